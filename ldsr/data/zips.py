"""Zip files from strangers: opened only where the list of what they hold is short.

Knows nothing of what is in them.
"""

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

MAX_DIRECTORY = 4 * 2**20
"""Bytes of the list of members: some ten thousand of them. Each takes ten times that in memory."""
ZIP_ERRORS = (
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""All that zipfile raises on damaged, protected or unusual files."""


class _Bounded:
    """A file that gives few bytes at a time, for zipfile reads the list of members in one go."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.most: int | None = MAX_DIRECTORY
        self.close, self.seek, self.tell = self._file.close, self._file.seek, self._file.tell
        self.seekable = self._file.seekable

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > self.most:
            raise zipfile.BadZipFile("too many members")
        return self._file.read(size if self.most is None or size >= 0 else self.most)


class OpenZip(zipfile.ZipFile):
    """A zip file that is open for reading, and closes its file."""

    def __init__(self, path: Path) -> None:
        self._bounded = _Bounded(path)
        try:
            super().__init__(self._bounded)
        except BaseException:
            self._bounded.close()
            raise
        self._bounded.most = None

    def close(self) -> None:
        super().close()
        self._bounded.close()


def open_zip(path: Path) -> OpenZip:
    """Open a zip file for reading.

    Raises:
        One of ZIP_ERRORS: it is damaged, or its list of members is longer than MAX_DIRECTORY.
    """
    return OpenZip(path)
