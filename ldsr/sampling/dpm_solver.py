"""DPM-Solver++(2M) (Lu et al., 2022): second order with one evaluation per step.

Knows the denoiser only as a function. Deterministic.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ldsr.sampling.ddim import Denoiser, Fuse, OnStep
from ldsr.sampling.schedule import Schedule


def dpm_solver(
    denoise: Denoiser,
    x: Tensor,
    *,
    schedule: Schedule,
    timesteps: Sequence[int],
    fuse: Fuse | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Turn noise into a clean latent.

    With lambda = ln(alpha / sigma), h its step and r = h_before / h (Lu et al., algorithm 2):
    D = (1 + 1 / (2 r)) x0 - 1 / (2 r) x0_before,
    x <- sigma_next / sigma x - alpha_next (e^-h - 1) D.
    The first and the last step are of first order (D = x0); the last ends at sigma = 0, at x0.

    Args:
        denoise: the network.
        x: noise [B, C, h, w], N(0, 1).
        schedule: the noise schedule the network was trained with.
        timesteps: strictly decreasing, as `ldsr.sampling.schedule.timesteps` gives them.
        fuse: corrects each estimate of x0.
        on_step: called after each step; what it raises ends the run.

    Returns:
        [B, C, h, w].
    """
    levels = [(float(schedule.alpha(t)), float(schedule.sigma(t))) for t in timesteps] + [
        (1.0, 0.0)
    ]
    x0_before, h_before = None, 0.0
    for step, t in enumerate(timesteps):
        (alpha, sigma), (alpha_next, sigma_next) = levels[step], levels[step + 1]
        # Denoise.
        at = torch.full((len(x),), t, device=x.device)
        x0, _ = schedule.to_x0_eps(denoise(x, at), x, at)
        if fuse is not None:
            x0 = fuse(x, x0, at)
        # Extrapolate x0 along lambda.
        h = _log_ratio(alpha_next, sigma_next) - _log_ratio(alpha, sigma)
        estimate = x0
        if x0_before is not None and step < len(timesteps) - 1:
            estimate = x0 + 0.5 * (h / h_before) * (x0 - x0_before)
        # Step to the next noise level.
        x = (sigma_next / sigma) * x - alpha_next * math.expm1(-h) * estimate
        x0_before, h_before = x0, h
        # Report.
        if on_step is not None:
            on_step(step + 1, len(timesteps), x0)
    return x


def _log_ratio(alpha: float, sigma: float) -> float:
    """ln(alpha / sigma), infinite at its ends."""
    if alpha == 0.0:
        return -math.inf
    return math.inf if sigma == 0.0 else math.log(alpha / sigma)
