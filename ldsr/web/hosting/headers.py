"""The headers of every answer: what a browser lets this page do, and who may frame it.

Gradio needs 'unsafe-eval' (it compiles the templates and scripts of components with `new Function`)
and styles in the page; a script in the page runs only if its hash is in the policy of that very
answer, so that no script comes in by a text. An answer with a policy of its own keeps it.
"""

import base64
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ldsr.errors import LdsrError
from ldsr.web.ledger import fault
from ldsr.web.maps.basemaps import tile_sources

ANCESTORS_VARIABLE = "LDSR_FRAME_ANCESTORS"
"""Environment: who may show the page in a frame, as CSP's frame-ancestors writes it."""
NOBODY_ELSE = "'self'"
SPACE = "'self' https://huggingface.co https://*.hf.space"
"""Who may in a Hugging Face Space, which is shown in a frame."""
FAILED = "The server failed to answer: a fault in the program; its log tells more."
FIXED = {
    "X-Content-Type-Options": "nosniff",
    # not "no-referrer": the tiles of OpenStreetMap are only for pages that say who they are
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Permissions-Policy": ", ".join(
        f"{feature}=()"
        for feature in (
            "accelerometer",
            "camera",
            "display-capture",
            "geolocation",
            "gyroscope",
            "magnetometer",
            "microphone",
            "midi",
            "payment",
            "usb",
        )
    ),
}
_SCRIPT = re.compile(rb"<script([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_SOURCE = re.compile(r"""'(?:self|none)'|(?:https?://)?[\w*][\w.*-]*(?::[\d*]+)?|https?:|\*""")
_log = logging.getLogger(__name__)


def frame_ancestors(environment: Mapping[str, str] = os.environ) -> str:
    """Who may show the page in a frame.

    Raises:
        LdsrError: $LDSR_FRAME_ANCESTORS is no list of origins.
    """
    here = SPACE if environment.get("SPACE_ID") else NOBODY_ELSE
    text = " ".join(environment.get(ANCESTORS_VARIABLE, "").split()) or here
    if not all(_SOURCE.fullmatch(source) for source in text.split()):
        raise LdsrError(
            f"{ANCESTORS_VARIABLE} is {text!r}; expected origins separated by blanks, such as "
            "'self' https://example.org"
        )
    return text


def policy(*, ancestors: str, images: Iterable[str] = (), scripts: Iterable[str] = ()) -> str:
    """Write the Content-Security-Policy of an answer.

    Args:
        ancestors: who may frame it.
        images: further hosts of pictures: those of the map's tiles.
        scripts: hashes of the scripts that stand in the page.
    """
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src 'self' 'unsafe-eval'", *scripts)),
            "style-src 'self' 'unsafe-inline'",
            " ".join(("img-src 'self' data: blob:", *images)),
            "font-src 'self'",
            "connect-src 'self'",
            "frame-src 'self'",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'self'",
            f"frame-ancestors {ancestors}",
        )
    )


def script_hashes(page: bytes) -> list[str]:
    """Hash the scripts that stand in a page, as a policy names them."""
    texts = [text for mark, text in _SCRIPT.findall(page) if b" src=" not in mark and text.strip()]
    digests = (hashlib.sha256(text.replace(b"\r\n", b"\n")).digest() for text in texts)
    return list(
        dict.fromkeys(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    )


def in_its_folder(page: bytes) -> bytes:
    """Let a page of Gradio's find its icon and its manifest beside it, not at the host's root."""
    page = page.replace(b' href="/manifest.json"', b' href="./manifest.json"', 1)
    return page.replace(b"</head>", b'<link rel="icon" href="./favicon.ico">\n\t</head>', 1)


class Headers:
    """Middleware that puts the headers on every answer, and answers where a route fails.

    Args:
        app: what stands behind it.
        ancestors: who may frame the page.
        head: what Gradio's script puts into the page's head.
    """

    def __init__(self, app: ASGIApp, *, ancestors: str = NOBODY_ELSE, head: str = "") -> None:
        self._app = app
        self._ancestors = ancestors
        self._images = tile_sources()
        self._head = script_hashes(head.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(self, send)
        root = (scope.get("root_path") or "").rstrip("/")
        if root and scope["path"] == root:  # every address of the page is relative to its folder
            query = scope["query_string"].decode("latin-1")
            away = RedirectResponse(f"{root}/" + (f"?{query}" if query else ""))
            await away(scope, receive, answer.send)
            return
        try:
            await self._app(scope, receive, answer.send)
        except Exception:
            if answer.begun:
                raise
            sentence = fault(_log, "a request failed", FAILED)
            await PlainTextResponse(sentence, 500)(scope, receive, answer.send)

    def put_on(self, headers: MutableHeaders, page: bytes = b"") -> None:
        """Add the headers to those of an answer."""
        for name, value in FIXED.items():
            headers[name] = value
        own = headers.get("content-security-policy")
        if own is None:
            hashes = [*script_hashes(page), *self._head] if page else []
            own = policy(ancestors=self._ancestors, images=self._images, scripts=hashes)
        elif "frame-ancestors" not in own:
            own = f"{own}; frame-ancestors {self._ancestors}"
        headers["content-security-policy"] = own


class _Answer:
    """One answer on its way out: a page waits until all of it is there, for its scripts' hashes.

    Attributes:
        begun: whether something has been sent.
    """

    def __init__(self, headers: Headers, send: Send) -> None:
        self.begun = False
        self._headers, self._send = headers, send
        self._start: Message | None = None
        self._page = b""

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if message["type"] == "http.response.start":
            found = MutableHeaders(scope=message)
            is_page = found.get("content-type", "").startswith("text/html")
            if is_page and "content-security-policy" not in found:
                self._start = message
                return
            self._headers.put_on(found)
        elif self._start is not None and message["type"] == "http.response.body":
            self._page += message.get("body", b"")
            if message.get("more_body"):
                return
            start, self._start = self._start, None
            found, page = MutableHeaders(scope=start), in_its_folder(self._page)
            if page:
                found["content-length"] = str(len(page))
            self._headers.put_on(found, page)
            self.begun = True
            await self._send(start)
            await self._send({"type": "http.response.body", "body": page})
            return
        self.begun = True
        await self._send(message)
