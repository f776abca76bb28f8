"""The noise of a scene by place: neighbouring windows see the same numbers where they overlap."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

BLOCK = 64
"""Side of the squares that a field is drawn in."""
_ALL = 2**64


class NoiseField:
    """N(0, 1) by place: whoever draws the same pixels of the same seed gets the same numbers.

    Each draw is a field of its own, so that a sampler may draw at every step.

    Args:
        seed: of the sample.
        row: of the window's first row, in pixels of 10 m on a grid all windows share; may be < 0.
        column: of its first column.
        size: rows and columns of the window.
    """

    def __init__(self, seed: int, *, row: int, column: int, size: tuple[int, int]) -> None:
        self.seed = seed
        self.row, self.column, self.size = row, column, size
        self._draws = 0

    def draw(self, shape: Sequence[int]) -> Tensor:
        """Draw [C, H, W] of the window, or [C, s H, s W] of a grid s times finer."""
        channels, height, width = shape
        finer = height // self.size[0]
        if (height, width) != (finer * self.size[0], finer * self.size[1]):
            raise ValueError(f"A window of {self.size} pixels has no {height} x {width} noise.")
        top, left = finer * self.row, finer * self.column
        self._draws += 1
        noise = np.empty((channels, height, width), np.float32)
        for row in range(top // BLOCK, -(-(top + height) // BLOCK)):
            for column in range(left // BLOCK, -(-(left + width) // BLOCK)):
                key = (self.seed, self._draws, finer, row % _ALL, column % _ALL)
                square = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
                drawn = square.standard_normal((channels, BLOCK, BLOCK), np.float32)
                here, there = _meet(row, top, height), _meet(column, left, width)
                noise[:, here[0], there[0]] = drawn[:, here[1], there[1]]
        return torch.from_numpy(noise)


def _meet(block: int, start: int, length: int) -> tuple[slice, slice]:
    """Where a block meets start .. start + length, counted from `start` and from the block."""
    first, last = max(block * BLOCK, start), min((block + 1) * BLOCK, start + length)
    return slice(first - start, last - start), slice(first - block * BLOCK, last - block * BLOCK)
