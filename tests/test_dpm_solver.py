"""DPM-Solver++(2M): exact with an oracle, of second order, equal to diffusers."""

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from ldsr.sampling.ddim import ddim
from ldsr.sampling.dpm_solver import dpm_solver
from ldsr.sampling.noise import draw_noise, make_generators
from ldsr.sampling.schedule import Schedule, cosine_schedule, linear_schedule, timesteps
from tests.test_ddim import SCHEDULES, SHAPE, evenly, flow, gaussian, known, noise, smooth


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 1000])
def test_an_oracle_gives_the_clean_latent(name: str, steps: int) -> None:
    schedule = SCHEDULES[name]
    x0 = noise(2, 7)
    visited = timesteps(schedule, steps)
    x = dpm_solver(known(x0, schedule), noise(), schedule=schedule, timesteps=visited)
    torch.testing.assert_close(x, x0, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_it_is_of_second_order_on_gaussian_data(name: str) -> None:
    schedule = SCHEDULES[name]
    x = noise().double()
    errors = []
    for steps in (125, 249, 497):
        visited = evenly(steps)
        got = dpm_solver(gaussian(schedule), x, schedule=schedule, timesteps=visited)
        errors.append(float((got - flow(x, schedule, visited)).abs().max()))
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    first = ddim(gaussian(schedule), x, schedule=schedule, timesteps=evenly(125))
    assert errors[0] < 0.3 * float((first - flow(x, schedule, evenly(125))).abs().max())


CLIPPED = Schedule(cosine_schedule().alphas_cumprod.clamp_min(2.0**-24), "v")
"""Diffusers divides by alpha, so its last step must hold a little signal."""


@pytest.mark.parametrize(
    "schedule",
    [linear_schedule(), linear_schedule(parameterization="v"), CLIPPED],
    ids=["linear eps", "linear v", "cosine v"],
)
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 20])
def test_it_agrees_with_diffusers(schedule: Schedule, spacing: str, steps: int) -> None:
    visited = timesteps(schedule, steps, spacing=spacing)
    signal = torch.cat([torch.ones(1, dtype=torch.float64), schedule.alphas_cumprod])
    theirs = DPMSolverMultistepScheduler(
        trained_betas=(1 - signal[1:] / signal[:-1]).tolist(),
        algorithm_type="dpmsolver++",
        solver_order=2,
        solver_type="midpoint",
        final_sigmas_type="zero",
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[schedule.parameterization],
    )
    theirs.set_timesteps(timesteps=list(visited))
    expected = noise()
    for t in theirs.timesteps:
        expected = theirs.step(smooth(expected, t.expand(2)), t, expected).prev_sample
    x = dpm_solver(smooth, noise(), schedule=schedule, timesteps=visited)
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-4)


def test_a_batch_equals_single_runs() -> None:
    schedule = SCHEDULES["cosine v"]
    visited = timesteps(schedule, 6)

    def run(seed: int, count: int) -> Tensor:
        x = draw_noise(SHAPE, make_generators(seed, count))
        return dpm_solver(smooth, x, schedule=schedule, timesteps=visited)

    together = run(3, 3)
    assert torch.equal(together, run(3, 3))
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], run(3 + i, 1), rtol=0, atol=1e-6)


def test_each_step_is_reported() -> None:
    schedule = SCHEDULES["linear eps"]
    seen = []
    dpm_solver(
        smooth,
        noise(1),
        schedule=schedule,
        timesteps=timesteps(schedule, 3),
        on_step=lambda step, steps, x0: seen.append((step, steps, x0.shape)),
    )
    assert seen == [(i, 3, (1, *SHAPE)) for i in (1, 2, 3)]
