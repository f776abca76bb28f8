"""Presentation mode: one page that holds its pictures and numbers, served, or saved as it is.

Everything was prepared by assets/story/make_story.py; nothing is computed here and no model read.
"""

import base64
import functools
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ldsr import render
from ldsr.errors import LdsrError
from ldsr.web.hosting.headers import script_hashes
from ldsr.web.theme import ASSETS, asset, script_json

FOLDER = ASSETS.parent / "story"
ADDRESS = "ldsr/present"
"""Of the page, below the studio's own."""
FILE = "ldsr-studio-story.html"
PALETTE = re.compile(r":root \{.*?\}\s*\.dark \{.*?\}", re.DOTALL)
"""The colours in studio.css, which the story shares."""


def story_routes() -> list[Route]:
    """List the routes: the story, and with ?download=1 the same as a file to take along."""

    async def present(request: Request) -> Response:
        try:
            page, tag = await run_in_threadpool(_page)
        except LdsrError as error:
            return PlainTextResponse(str(error), 404)
        headers = {"Cache-Control": "private, no-cache", "ETag": tag}
        headers["Content-Security-Policy"] = policy(page)
        if request.query_params.get("download") == "1":
            headers["Content-Disposition"] = f'attachment; filename="{FILE}"'
        elif request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(page, media_type="text/html", headers=headers)

    return [Route(f"/{ADDRESS}", present)]


def read_story(folder: Path = FOLDER) -> dict[str, Any]:
    """Read what was prepared, each picture as an address that holds it.

    Args:
        folder: of story.json, words.json and the pictures.

    Raises:
        LdsrError: it is missing, or damaged.
    """
    try:
        story = json.loads((folder / "story.json").read_text(encoding="utf-8"))
        words = json.loads((folder / "words.json").read_text(encoding="utf-8"))
        for sample in story["samples"]:
            sample |= words[sample["key"]]
            for picture in sample["pictures"].values():
                content = (folder / picture["file"]).read_bytes()
                picture["src"] = "data:image/webp;base64," + base64.b64encode(content).decode()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LdsrError(
            "The prepared story is missing or damaged; expected story.json and its pictures in "
            "assets/story: make it again by PYTHONPATH=. python assets/story/make_story.py."
        ) from error
    return story | {"heat": render.HEAT}


def story_page(folder: Path = FOLDER) -> bytes:
    """Build the page: HTML, UTF-8, with everything it needs in it.

    Args:
        folder: as in `read_story`.

    Raises:
        LdsrError: see `read_story`.
    """
    icon = base64.b64encode((ASSETS / "favicon.png").read_bytes()).decode()
    values = {
        "STYLE": f"{PALETTE.search(asset('studio.css'))[0]}\n{asset('story.css')}",
        "SCRIPT": asset("story.js"),
        "STORY": script_json(read_story(folder)),
        "ICON": f"data:image/png;base64,{icon}",
        "FILE": FILE,
    }
    names = re.compile(r"\b(" + "|".join(values) + r")\b")
    page = names.sub(lambda found: values[found[0]], asset("story.html"))
    return page.replace("POLICY", policy(page.encode()), 1).encode()


def policy(page: bytes) -> str:
    """The Content-Security-Policy of the page: nothing is fetched, and only its script runs."""
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src", *script_hashes(page))),
            "style-src 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@functools.cache
def _page() -> tuple[bytes, str]:
    """The page and its tag, built once."""
    page = story_page()
    return page, f'"{hashlib.sha256(page).hexdigest()[:32]}"'
