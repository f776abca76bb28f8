"""Either sampler by its name: from a noisy latent to a clean one."""

from collections.abc import Sequence

from torch import Tensor

from ldsr.sampling.ddim import Denoiser, Fuse, OnStep, ddim
from ldsr.sampling.dpm_solver import dpm_solver
from ldsr.sampling.noise import Noise
from ldsr.sampling.schedule import Schedule


def sample(
    denoise: Denoiser,
    x: Tensor,
    *,
    sampler: str,
    schedule: Schedule,
    timesteps: Sequence[int],
    eta: float,
    generators: Sequence[Noise],
    last_alpha_cumprod: float = 1.0,
    fuse: Fuse | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Turn noise into a clean latent by "ddim" or "dpm" (DPM-Solver++(2M)).

    `eta`, `generators` and `last_alpha_cumprod` concern DDIM alone; for all others see there.
    """
    way = {"schedule": schedule, "timesteps": timesteps, "fuse": fuse, "on_step": on_step}
    if sampler == "dpm":
        return dpm_solver(denoise, x, **way)
    ancestral = {"eta": eta, "generators": generators, "last_alpha_cumprod": last_alpha_cumprod}
    return ddim(denoise, x, **way, **ancestral)
