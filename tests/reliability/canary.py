"""What must never come out: a picture and a text beside the inputs, and a server nobody may ask."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.rasters import write_tif

SECRET = "canary-4f1d9a27"
"""A text that stands in no input but where it leads to the canary."""
NUMBERS = (3111, 2777, 1555, 4999)
"""Digital numbers of all pixels of the secret picture."""
SIZE = (40, 56)
FEW = 8
"""Pixels with these numbers that may be there by accident."""


class Canary:
    """Files and a server that no input may lead to.

    Attributes:
        folder: of the files: picture.tif, mask.tif and text.txt.
        url: of the server.
        asked: what was asked of it.
    """

    def __init__(self, folder: Path, url: str, asked: list[str]) -> None:
        self.folder, self.url, self.asked = folder, url, asked
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.empty((4, *SIZE), np.uint16)
        picture[:] = np.array(NUMBERS).reshape(4, 1, 1)
        write_tif(folder / "picture.tif", picture)
        write_tif(folder / "mask.tif", 255 * secret_mask()[None].astype(np.uint8))
        (folder / "text.txt").write_text(SECRET)

    @property
    def picture(self) -> str:
        return str(self.folder / "picture.tif")

    @property
    def mask(self) -> str:
        return str(self.folder / "mask.tif")

    @property
    def text(self) -> str:
        return str(self.folder / "text.txt")


def secret_mask() -> np.ndarray:
    """Where the secret mask is set, bool."""
    return np.random.default_rng(4711).random(SIZE) < 0.5


def leaked(reflectance: np.ndarray, valid: np.ndarray) -> str:
    """Say which secret is in a picture, "" for none."""
    secret = np.array(NUMBERS).reshape(4, 1, 1) / 1e4
    for offset in (0, 0.1):
        if (np.abs(reflectance - (secret - offset)) < 2e-5).all(axis=0).sum() > FEW:
            return "pixels of the secret picture"
    if valid.shape == SIZE and (valid == secret_mask()).all():
        return "the secret mask"
    return ""


@contextmanager
def canary(folder: Path) -> Iterator[Canary]:
    """Make the files, and serve on loopback until the context ends."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            content = (folder / "picture.tif").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Canary(folder, f"http://127.0.0.1:{server.server_port}", asked)
        finally:
            server.shutdown()
