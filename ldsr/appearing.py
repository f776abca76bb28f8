"""Files that appear complete or not at all. Standard library only."""

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path


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
