"""Noise that belongs to one sample: a batch of N holds the same numbers as N single runs."""

from collections.abc import Sequence

import torch
from torch import Tensor


def make_generators(seed: int, count: int = 1) -> list[torch.Generator]:
    """One generator per sample, on the CPU so that every device sees the same noise.

    Sample i of a seed is sample 0 of seed + i.
    """
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def draw_noise(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Draw N(0, 1) of shape [C, H, W] from each generator: float32 [B, C, H, W] on the CPU."""
    noise = [torch.randn(*shape, generator=generator) for generator in generators]
    return torch.stack(noise)
