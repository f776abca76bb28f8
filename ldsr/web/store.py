"""What a server keeps for its visitors: inputs and results under ids that cannot be guessed.

They go some time after the page they belong to was closed, anyway after a day, and sooner where
memory is short. Knows nothing of Gradio or of what is kept.
"""

import dataclasses
import secrets
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

KEEP_BYTES = 600 * 2**20
"""Memory for patches and results; the least recently used go first."""


@dataclasses.dataclass
class _Kept:
    """One thing.

    Attributes:
        item: what is kept.
        size: its bytes.
        owner: session of the page it belongs to, "" for none.
        pinned: whether it stays for good.
        made, used: when, by the store's clock.
    """

    item: Any
    size: int
    owner: str
    pinned: bool
    made: float
    used: float


class Store:
    """Things under random ids.

    Args:
        budget: bytes that all of them may have.
        clock: seconds.
    """

    def __init__(
        self, budget: int = KEEP_BYTES, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._budget, self._clock = budget, clock
        self._open: Counter[str] = Counter()
        self._left: dict[str, float] = {}
        self._lock = threading.Lock()

    def put(self, item: Any, size: int, *, owner: str = "", pinned: bool = False) -> str:
        """Keep an item.

        Args:
            item: anything.
            size: its bytes.
            owner: session of the page it belongs to.
            pinned: never dropped.

        Returns:
            An id that cannot be guessed.
        """
        key, now = secrets.token_urlsafe(16), self._clock()
        with self._lock:
            self._kept[key] = _Kept(item, size, owner, pinned, now, now)
            total = sum(kept.size for kept in self._kept.values())
            for old, kept in list(self._kept.items()):
                if total <= self._budget:
                    break
                if old != key and not kept.pinned:
                    del self._kept[old]
                    total -= kept.size
        return key

    def get(self, key: str | None) -> Any | None:
        """Fetch an item, or None when it is gone; it counts as used now."""
        with self._lock:
            if key is None or key not in self._kept:
                return None
            self._kept.move_to_end(key)
            self._kept[key].used = self._clock()
            return self._kept[key].item

    def of_kind(self, kind: type) -> list[Any]:
        """All items of a class; none counts as used."""
        with self._lock:
            return [kept.item for kept in self._kept.values() if isinstance(kept.item, kind)]

    def arrive(self, owner: str) -> None:
        """A page was opened, or has come back: what belongs to it stays."""
        with self._lock:
            self._open[owner] += 1
            self._left.pop(owner, None)

    def leave(self, owner: str) -> None:
        """A page was closed; what belongs to it waits a while for it to come back."""
        with self._lock:
            self._open[owner] -= 1
            if self._open[owner] <= 0:
                del self._open[owner]
                self._left[owner] = self._clock()

    def expire(self, grace: float, most: float) -> int:
        """Drop what nobody is there for any more, and what is too old.

        Args:
            grace: seconds that something is kept after its page was closed and it was last used.
            most: seconds that anything is kept.

        Returns:
            How many were dropped.
        """
        now, dropped = self._clock(), 0
        with self._lock:
            for key, kept in list(self._kept.items()):
                alone = kept.owner not in self._open
                seen = max(kept.used, self._left.get(kept.owner, kept.used))
                expired = (alone and now - seen > grace) or now - kept.made > most
                if expired and not kept.pinned:
                    del self._kept[key]
                    dropped += 1
            for owner, since in list(self._left.items()):
                if now - since > grace:
                    del self._left[owner]
        return dropped
