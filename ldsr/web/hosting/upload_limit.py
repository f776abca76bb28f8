"""How much one request may bring: Gradio's own limit is of each of up to a thousand files.

ASGI alone; knows nothing of Gradio but the address that files are sent to.
"""

from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UPLOAD = "/upload"
"""End of the address that files are sent to."""
FRAME = 2**20
"""Bytes of an upload that are not files: names and boundaries."""
PLAIN = 8 * 2**20
"""Bytes of any other request: what the page tells its server is a few kilobytes."""


class UploadLimit:
    """Refuses a request that says it is larger, and cuts off one that turns out to be.

    Args:
        app: what is protected.
        most: bytes of all files of one upload.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        is_upload = scope["path"].endswith(UPLOAD)
        limit = self._most + FRAME if is_upload else PLAIN
        stated = Headers(scope=scope).get("content-length", "0")
        if not (stated.isascii() and stated.isdigit()) or int(stated[:20]) > limit:
            await _refusal(self._most if is_upload else PLAIN)(scope, receive, send)
            return
        arrived = 0

        async def counted() -> Message:
            nonlocal arrived
            message: dict[str, Any] = await receive()
            arrived += len(message.get("body", b""))
            return message if arrived <= limit else {"type": "http.disconnect"}

        await self._app(scope, counted, send)


def _refusal(most: int) -> PlainTextResponse:
    text = f"At most {most // 2**20} MB can be sent at a time; cut out a patch first."
    return PlainTextResponse(text, 413, headers={"Connection": "close"})
