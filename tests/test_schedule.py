"""Noise schedules and the time steps of a run."""

import pytest
import torch

from ldsr.sampling.schedule import (
    PARAMETERIZATIONS,
    SPACINGS,
    Schedule,
    cosine_schedule,
    linear_schedule,
    timesteps,
)


@pytest.mark.parametrize(
    ("t", "expected"),
    [
        (0, 0.998500),
        (1, 0.996996),
        (251, 0.533530),
        (500, 0.150070),
        (751, 0.017209),
        (999, 0.000669),
    ],
)
def test_linear_schedule_is_the_published_one(t: int, expected: float) -> None:
    assert float(linear_schedule().alphas_cumprod[t]) == pytest.approx(expected, abs=1e-6)


def test_cosine_schedule_ends_without_signal() -> None:
    schedule = cosine_schedule()
    assert len(schedule) == 1000
    assert float(schedule.alphas_cumprod[-1]) == 0
    assert float(schedule.alphas_cumprod[0]) == pytest.approx(1, abs=1e-4)
    assert float(schedule.log_snr(999)) == -torch.inf


@pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
def test_signal_and_noise_have_unit_power(make) -> None:
    schedule = make()
    t = torch.arange(1000)
    torch.testing.assert_close(
        schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones(1000, dtype=torch.float64)
    )
    assert bool((schedule.log_snr(t).diff() < 0).all())


@pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_every_number_of_steps_gives_so_many_time_steps(make, spacing: str) -> None:
    schedule = make()
    for steps in range(1, 1001):
        visited = timesteps(schedule, steps, spacing=spacing)
        assert len(visited) == steps
        assert all(a > b for a, b in zip(visited, visited[1:], strict=False))
        assert 0 <= visited[-1] <= visited[0] <= 999
        if spacing == "trailing":
            assert visited[0] == 999
            exact = [1000 - i * 1000 / steps - 1 for i in range(steps)]
            assert all(abs(t - e) <= 0.5 for t, e in zip(visited, exact, strict=True))


@pytest.mark.parametrize("steps", [n for n in range(1, 501) if 1000 % n == 0])
def test_leading_spacing_is_the_published_one(steps: int) -> None:
    expected = [i * (1000 // steps) + 1 for i in range(steps)]
    assert list(timesteps(linear_schedule(), steps, spacing="leading")) == expected[::-1]


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_out_of_range_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 1000"):
        timesteps(linear_schedule(), steps)


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="spacing"):
        timesteps(linear_schedule(), 4, spacing="quadratic")
    with pytest.raises(ValueError, match="parameterization"):
        linear_schedule(parameterization="x0")


def test_eps_from_pure_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="use .v."):
        cosine_schedule(parameterization="eps")


@pytest.mark.parametrize(
    "values", [[], [[0.5]], [0.5, 0.6], [0.5, 0.5], [1.5, 0.5], [0.5, -0.1], [float("nan"), 0.5]]
)
def test_a_sequence_that_is_no_schedule_is_refused(values: list) -> None:
    with pytest.raises(ValueError, match="alphas_cumprod"):
        Schedule(torch.tensor(values))


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("make", [linear_schedule, cosine_schedule])
def test_target_gives_back_signal_and_noise(make, parameterization: str) -> None:
    if make is cosine_schedule and parameterization == "eps":
        return
    schedule = make(parameterization=parameterization)
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(4, 3, 5, 7, generator=generator, dtype=torch.float64)
    eps = torch.randn(4, 3, 5, 7, generator=generator, dtype=torch.float64)
    t = torch.tensor([0, 17, 500, 998])
    x_t = schedule.add_noise(x0, eps, t)
    got_x0, got_eps = schedule.to_x0_eps(schedule.target(x0, eps, t), x_t, t)
    torch.testing.assert_close(got_x0, x0)
    torch.testing.assert_close(got_eps, eps)


def test_v_holds_where_there_is_no_signal() -> None:
    schedule = cosine_schedule()
    x0, eps = torch.randn(2, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([999])
    x_t = schedule.add_noise(x0, eps, t)
    torch.testing.assert_close(x_t, eps)
    got_x0, got_eps = schedule.to_x0_eps(schedule.target(x0, eps, t), x_t, t)
    torch.testing.assert_close(got_x0, x0)
    torch.testing.assert_close(got_eps, eps)
