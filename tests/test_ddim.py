"""DDIM: exact with an oracle, equal to diffusers, one sample at a time or together."""

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ldsr.sampling.ddim import ddim
from ldsr.sampling.noise import draw_noise, make_generators
from ldsr.sampling.schedule import Schedule, cosine_schedule, linear_schedule, timesteps

SHAPE = (4, 6, 5)
SCHEDULES = {
    "linear eps": linear_schedule(),
    "linear v": linear_schedule(parameterization="v"),
    "cosine v": cosine_schedule(),
}
MEAN, STD = 0.7, 0.3


def noise(count: int = 2, seed: int = 0) -> Tensor:
    return draw_noise(SHAPE, make_generators(seed, count))


def known(x0: Tensor, schedule: Schedule):
    """A denoiser that knows the clean latent."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha = schedule.alpha(t).to(x_t)[:, None, None, None]
        sigma = schedule.sigma(t).to(x_t)[:, None, None, None]
        return schedule.target(x0, (x_t - alpha * x0) / sigma, t)

    return denoise


def gaussian(schedule: Schedule):
    """The best denoiser of data N(MEAN, STD^2): E[x0 | x_t] in closed form."""

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha = schedule.alpha(t).to(x_t)[:, None, None, None]
        sigma = schedule.sigma(t).to(x_t)[:, None, None, None]
        gain = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
        x0 = MEAN + gain * (x_t - alpha * MEAN)
        return schedule.target(x0, (x_t - alpha * x0) / sigma, t)

    return denoise


def flow(x: Tensor, schedule: Schedule, visited: tuple[int, ...]) -> Tensor:
    """The probability flow of that data from the first to the last time step, then E[x0 | x_t]."""
    (a, s), (b, r) = (
        (float(schedule.alpha(t)), float(schedule.sigma(t))) for t in visited[:: len(visited) - 1]
    )
    start, end = a**2 * STD**2 + s**2, b**2 * STD**2 + r**2
    x_t = b * MEAN + (x - a * MEAN) * (end / start) ** 0.5
    return MEAN + b * STD**2 / end * (x_t - b * MEAN)


def evenly(steps: int) -> tuple[int, ...]:
    """Time steps from 998 to 6, so that runs of any length end alike."""
    return tuple(round(998 - 992 * i / (steps - 1)) for i in range(steps))


def smooth(x_t: Tensor, t: Tensor) -> Tensor:
    """Some network: not linear, depends on t."""
    return torch.tanh(x_t + torch.sin(t / 100.0)[:, None, None, None]) * 0.8


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 1000])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_an_oracle_gives_the_clean_latent(name: str, steps: int, eta: float) -> None:
    schedule = SCHEDULES[name]
    x0 = noise(2, 7)
    x = ddim(
        known(x0, schedule),
        noise(),
        schedule=schedule,
        timesteps=timesteps(schedule, steps),
        eta=eta,
        generators=make_generators(1, 2),
    )
    torch.testing.assert_close(x, x0, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_follows_the_probability_flow_of_gaussian_data(name: str) -> None:
    schedule = SCHEDULES[name]
    x = noise().double()
    errors = []
    for steps in (32, 125, 497):
        visited = evenly(steps)
        got = ddim(gaussian(schedule), x, schedule=schedule, timesteps=visited)
        errors.append(float((got - flow(x, schedule, visited)).abs().max()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.01


@pytest.mark.parametrize("name", SCHEDULES)
def test_eta_one_draws_from_gaussian_data(name: str) -> None:
    schedule = SCHEDULES[name]
    shape = (4, 64, 64)
    x = ddim(
        gaussian(schedule),
        draw_noise(shape, make_generators(0)),
        schedule=schedule,
        timesteps=timesteps(schedule, 1000),
        eta=1.0,
        generators=make_generators(1),
    )
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(x.std()) == pytest.approx(STD, rel=0.03)


def reference(schedule: Schedule, spacing: str, *, last_is_one: bool) -> DDIMScheduler:
    signal = torch.cat([torch.ones(1, dtype=torch.float64), schedule.alphas_cumprod])
    return DDIMScheduler(
        trained_betas=(1 - signal[1:] / signal[:-1]).tolist(),
        clip_sample=False,
        set_alpha_to_one=last_is_one,
        timestep_spacing=spacing,
        steps_offset=1 if spacing == "leading" else 0,
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[schedule.parameterization],
    )


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize(("spacing", "steps"), [("leading", 4), ("leading", 50), ("trailing", 8)])
@pytest.mark.parametrize("eta", [0.0, 0.7])
@pytest.mark.parametrize("last_is_one", [True, False])
def test_it_agrees_with_diffusers(
    name: str, spacing: str, steps: int, eta: float, last_is_one: bool
) -> None:
    schedule = SCHEDULES[name]
    theirs = reference(schedule, spacing, last_is_one=last_is_one)
    theirs.set_timesteps(steps)
    visited = timesteps(schedule, steps, spacing=spacing)
    assert theirs.timesteps.tolist() == list(visited)
    generators = make_generators(5, 2)
    expected = noise()
    for t in theirs.timesteps:
        output = smooth(expected, t.expand(2))
        fresh = draw_noise(SHAPE, generators) if eta else None
        expected = theirs.step(output, t, expected, eta=eta, variance_noise=fresh).prev_sample
    x = ddim(
        smooth,
        noise(),
        schedule=schedule,
        timesteps=visited,
        eta=eta,
        generators=make_generators(5, 2),
        last_alpha_cumprod=1.0 if last_is_one else float(schedule.alphas_cumprod[0]),
    )
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_batch_equals_single_runs(eta: float) -> None:
    schedule = SCHEDULES["cosine v"]
    visited = timesteps(schedule, 5)

    def run(seed: int, count: int) -> Tensor:
        generators = make_generators(seed, count)
        x = draw_noise(SHAPE, generators)
        return ddim(smooth, x, schedule=schedule, timesteps=visited, eta=eta, generators=generators)

    together = run(3, 3)
    assert torch.equal(together, run(3, 3))
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], run(3 + i, 1), rtol=0, atol=1e-6)


def test_eta_needs_a_generator_for_each_sample() -> None:
    schedule = SCHEDULES["linear eps"]
    for generators in (None, make_generators(0, 1)):
        with pytest.raises(ValueError, match="one per sample"):
            ddim(
                smooth, noise(2), schedule=schedule, timesteps=(9,), eta=0.5, generators=generators
            )


def test_each_step_is_reported_and_can_end_the_run() -> None:
    schedule = SCHEDULES["cosine v"]
    x0 = noise(1, 7)
    seen = []

    class Stop(Exception):
        pass

    def on_step(step: int, steps: int, estimate: Tensor) -> None:
        seen.append((step, steps))
        torch.testing.assert_close(estimate, x0, rtol=0, atol=1e-4)
        if step == 3:
            raise Stop

    with pytest.raises(Stop):
        ddim(
            known(x0, schedule),
            noise(1),
            schedule=schedule,
            timesteps=timesteps(schedule, 5),
            on_step=on_step,
        )
    assert seen == [(1, 5), (2, 5), (3, 5)]
