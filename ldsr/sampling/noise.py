"""Noise that belongs to one sample: a batch of N holds the same numbers as N single runs."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Field(Protocol):
    """Noise of one sample that belongs to a place, as a window of a larger picture needs it."""

    def draw(self, shape: Sequence[int]) -> Tensor:
        """Draw N(0, 1), float32 [C, H, W] on the CPU."""


Noise = torch.Generator | Field
"""The noise of one sample, in the order in which it is drawn."""


def make_generators(seed: int, count: int = 1) -> list[torch.Generator]:
    """One generator per sample, on the CPU so that every device sees the same noise.

    Sample i of a seed is sample 0 of seed + i.
    """
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def draw_noise(shape: Sequence[int], generators: Sequence[Noise]) -> Tensor:
    """Draw N(0, 1) of shape [C, H, W] from each generator: float32 [B, C, H, W] on the CPU."""
    return torch.stack([_draw(shape, generator) for generator in generators])


def _draw(shape: Sequence[int], noise: Noise) -> Tensor:
    if isinstance(noise, torch.Generator):
        return torch.randn(*shape, generator=noise)
    return noise.draw(shape)
