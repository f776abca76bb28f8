"""Noise by place: neighbours share it, and it is as random as other noise."""

import numpy as np
import pytest
import torch

from ldsr.sampling.noise import draw_noise
from ldsr.scene.noise import NoiseField


def field(row: int, column: int, size: tuple[int, int], seed: int = 7) -> NoiseField:
    return NoiseField(seed, row=row, column=column, size=size)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("origin", [(0, 0), (-580002, 39996)])
def test_windows_see_the_same_noise_where_they_overlap(times: int, origin: tuple[int, int]) -> None:
    row, column = origin
    whole, part = field(row, column, (150, 170)), field(row + 40, column + 90, (80, 70))
    for _ in range(3):  # each draw is a field of its own
        all_of_it = whole.draw((3, 150 * times, 170 * times))
        here = part.draw((3, 80 * times, 70 * times))
        assert torch.equal(here, all_of_it[:, 40 * times : 120 * times, 90 * times : 160 * times])


def test_it_is_normal_and_neither_draws_nor_places_nor_seeds_are_alike() -> None:
    one = field(0, 0, (256, 256))
    first, second = (one.draw((4, 256, 256)).numpy() for _ in range(2))
    elsewhere = field(0, 256, (256, 256)).draw((4, 256, 256)).numpy()
    other_seed = field(0, 0, (256, 256), seed=8).draw((4, 256, 256)).numpy()
    assert abs(first.mean()) < 0.01 and abs(first.std() - 1) < 0.01
    for other in (second, elsewhere, other_seed, first[::-1], np.roll(first, 64, axis=2)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.01


def test_a_batch_may_hold_fields_and_generators() -> None:
    noise = draw_noise((2, 8, 8), [field(0, 0, (8, 8)), torch.Generator().manual_seed(1)])
    assert torch.equal(noise[0], field(0, 0, (8, 8)).draw((2, 8, 8)))
    assert torch.equal(noise[1], torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(1)))


def test_noise_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError):
        field(0, 0, (10, 10)).draw((1, 15, 15))
