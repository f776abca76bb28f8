"""What visitors sent lies in one folder, in Gradio's way: HASH/NAME. It goes when nobody holds it.

Standard library only; whatever else lies in that folder is left alone.
"""

import contextlib
import dataclasses
import re
import time
from collections.abc import Collection
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{32,}")


@dataclasses.dataclass(frozen=True)
class Uploaded:
    """Files that the page of a visitor may still need.

    Attributes:
        paths: of the files.
    """

    paths: frozenset[Path]


def clear(folder: Path, *, held: Collection[Path], seconds: float) -> int:
    """Delete files that came more than so many seconds ago, and the folders they leave empty.

    Args:
        folder: of all uploads.
        held: files that stay.
        seconds: how long anything stays.

    Returns:
        How many files were deleted.
    """
    deleted, now = 0, time.time()
    stays = {path.resolve() for path in held}
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_symlink() or not place.is_dir() or not _HASH.fullmatch(place.name):
            continue
        with contextlib.suppress(OSError):  # somebody else is quicker
            for path in place.iterdir():
                about = path.lstat()
                old = now - max(about.st_ctime, about.st_mtime) > seconds
                if old and not path.is_dir() and path.resolve() not in stays:
                    path.unlink()
                    deleted += 1
            if now - place.lstat().st_ctime > seconds:
                place.rmdir()  # fails where something is left
    return deleted
