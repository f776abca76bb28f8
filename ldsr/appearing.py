"""Files that appear complete or not at all. Standard library only."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

LEFT_BEHIND = 3600.0
"""Seconds after which nobody is writing a file any more."""


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Give a path beside a file to write to; when the block ends well, the file is there.

    Whoever reads finds the old file or the new one, never a part; several may write at once. What a
    killed process leaves behind begins with a point and ends with `.part`.

    Args:
        path: the file; its folder is there.

    Yields:
        The path to write to.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def clear_parts(folder: Path) -> None:
    """Delete what killed processes left half-written in a folder, an hour or more ago."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):  # somebody else is quicker
            if time.time() - part.stat().st_mtime > LEFT_BEHIND:
                part.unlink()
