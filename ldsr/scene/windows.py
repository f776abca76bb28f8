"""The windows a scene is cut into, and how their pictures become one again.

All in pixels of 10 m, rows before columns. Each window sees a margin around what it is asked for,
so that its networks see there what they would see in the whole; each gives a little more than its
own block, and where two give a pixel they are mixed by straight ramps. Mixing pictures is mixing
what was added to the interpolated input: that is the same on both sides.
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping

import numpy as np

ALIGNED = 8
"""Windows begin at whole multiples of this: the denoisers halve their input three times."""


@dataclasses.dataclass(frozen=True)
class Span:
    """A range of rows or columns: start .. stop, as in Python."""

    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)

    def slice(self, *, of: "Span", times: int = 1) -> slice:
        """Where it lies in an array that covers `of`, whose pixels are `times` finer."""
        return slice(times * (self.start - of.start), times * (self.stop - of.start))


Box = tuple[Span, Span]
"""Rows and columns."""
Key = tuple[int, int]
"""Row and column of a window among the windows."""


@dataclasses.dataclass(frozen=True)
class Window:
    """One window.

    Attributes:
        key: row and column in the grid of windows.
        block: pixels that are its own.
        given: pixels it gives, `block` and half a ramp on each side that has a neighbour.
        seen: pixels it is computed from.
    """

    key: Key
    block: Box
    given: Box
    seen: Box


@dataclasses.dataclass(frozen=True)
class Plan:
    """All windows of a scene.

    Attributes:
        size: rows and columns of the scene.
        side: most rows and columns of a block; all are about equal.
        margin: seen on each side beyond the block.
        ramp: pixels over which two neighbours are mixed, even, at most a quarter of the side and
            twice the margin; 0 does not mix.
    """

    size: tuple[int, int]
    side: int = 384
    margin: int = 64
    ramp: int = 16

    def __post_init__(self) -> None:
        if self.side % ALIGNED or self.margin % ALIGNED or self.side < 1 or self.margin < 0:
            raise ValueError(f"Side and margin must be multiples of {ALIGNED}.")
        if self.ramp % 2 or not 0 <= self.ramp <= min(self.side // 4, 2 * self.margin):
            raise ValueError("The ramp must be even, at most side / 4 and 2 margins.")

    @property
    def area(self) -> int:
        """Pixels that all windows see, overlaps counted as often as they are seen."""
        return sum(len(window.seen[0]) * len(window.seen[1]) for window in self.windows)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of windows."""
        return tuple(math.ceil(length / self.side) for length in self.size)

    @property
    def windows(self) -> list[Window]:
        """All windows, row by row."""
        return [self[key] for key in itertools.product(*map(range, self.shape))]

    def __getitem__(self, key: Key) -> Window:
        blocks = tuple(self._block(axis, at) for axis, at in enumerate(key))
        given = tuple(self._wider(axis, block, self.ramp // 2) for axis, block in enumerate(blocks))
        seen = tuple(self._wider(axis, block, self.margin) for axis, block in enumerate(blocks))
        return Window(key, blocks, given, seen)

    def around(self, key: Key) -> list[Key]:
        """Keys of a window and its neighbours, corners included."""
        ranges = [
            range(max(0, at - 1), min(count, at + 2))
            for at, count in zip(key, self.shape, strict=True)
        ]
        return list(itertools.product(*ranges))

    def mix(self, key: Key, given: Mapping[Key, np.ndarray], *, times: int) -> np.ndarray:
        """Mix what a window and its neighbours give into the picture of its block.

        Args:
            key: of the window.
            given: of `around(key)`: [C, times * rows, times * columns] of what each gives. One
                that is missing leaves NaN where it counts.
            times: pixels of the pictures per pixel of the plan.

        Returns:
            float32 [C, times * rows, times * columns] of the block.
        """
        block = self[key].block
        channels = len(next(iter(given.values())))
        mixed = np.zeros((channels, *(times * len(span) for span in block)), np.float32)
        for other in self.around(key):
            across = self[other].given
            overlap = tuple(map(_meet, block, across))
            if not all(map(len, overlap)):
                continue
            there, here = (_slices(overlap, of=whole, times=times) for whole in (across, block))
            rows, columns = (self._weight(axis, other[axis], times)[there[axis]] for axis in (0, 1))
            part = given[other][:, *there] if other in given else np.float32(np.nan)
            mixed[:, *here] += rows[:, None] * columns * part
        return mixed

    def _block(self, axis: int, at: int) -> Span:
        length, count = self.size[axis], self.shape[axis]
        start, stop = (ALIGNED * round(length * i / count / ALIGNED) for i in (at, at + 1))
        return Span(start, length if at == count - 1 else stop)

    def _wider(self, axis: int, block: Span, by: int) -> Span:
        return Span(max(0, block.start - by), min(self.size[axis], block.stop + by))

    def _weight(self, axis: int, at: int, times: int) -> np.ndarray:
        """How much a window counts at each row or column it gives: 1, towards neighbours down."""
        given = self._wider(axis, self._block(axis, at), self.ramp // 2)
        weight = np.ones(times * len(given), np.float32)
        length = times * self.ramp
        if length == 0:
            return weight
        rise = (np.arange(length, dtype=np.float32) + 0.5) / length
        if at > 0:
            weight[:length] = rise
        if at < self.shape[axis] - 1:
            weight[-length:] = rise[::-1]
        return weight


def _meet(one: Span, other: Span) -> Span:
    return Span(max(one.start, other.start), min(one.stop, other.stop))


def _slices(box: Box, *, of: Box, times: int) -> tuple[slice, slice]:
    return box[0].slice(of=of[0], times=times), box[1].slice(of=of[1], times=times)
