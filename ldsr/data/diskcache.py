"""A folder that keeps what was fetched, up to a size; the longest unused goes first.

Files appear complete or not at all, and begin with a hash of the rest; a damaged or vanished one
counts as not there.
"""

import contextlib
import hashlib
import os
import threading
from pathlib import Path

from ldsr.appearing import appearing

_HASH = hashlib.sha256().digest_size


class DiskCache:
    """Bytes by key, in one folder.

    Attributes:
        folder: where; made when first needed.
        limit: bytes that may be kept.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Fetch what is kept under a key, or None; it counts as used now."""
        path = self._path(key)
        try:
            whole = path.read_bytes()
        except OSError:
            return None
        if hashlib.sha256(whole[_HASH:]).digest() != whole[:_HASH]:
            self.drop(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return whole[_HASH:]

    def has(self, key: str) -> bool:
        """Whether something is kept under a key."""
        try:
            return self._path(key).is_file()
        except OSError:
            return False

    def put(self, key: str, content: bytes) -> None:
        """Keep something; where the disk does not let us, it is simply not kept."""
        whole = hashlib.sha256(content).digest() + content
        if len(whole) > self.limit:
            return
        path = self._path(key)
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with appearing(path) as unfinished:
                unfinished.write_bytes(whole)
            self._shrink()

    def drop(self, key: str) -> None:
        """Forget a key."""
        with contextlib.suppress(OSError):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / hashlib.sha256(key.encode()).hexdigest()

    def _shrink(self) -> None:
        with self._lock:
            kept = []
            for path in self.folder.iterdir():
                try:
                    found = path.stat()
                except OSError:
                    continue
                kept.append((found.st_mtime_ns, found.st_size, path))
            total = sum(size for _, size, _ in kept)
            for _, size, path in sorted(kept):
                if total <= self.limit:
                    break
                path.unlink(missing_ok=True)
                total -= size
