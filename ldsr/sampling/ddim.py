"""DDIM (Song et al., 2021): from noise to a clean latent in any number of steps.

Knows the denoiser only as a function.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ldsr.sampling.noise import Noise, draw_noise
from ldsr.sampling.schedule import Schedule

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""Network: x_t [B, C, h, w] and t [B] (whole numbers) to its output [B, C, h, w]."""

Fuse = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Corrects the estimate of x0: x_t, x0 [B, C, h, w] and t [B] to x0 [B, C, h, w]."""

OnStep = Callable[[int, int, Tensor], None]
"""Called after each step with the steps done (from 1), all steps, and the estimate of x0."""


def ddim(
    denoise: Denoiser,
    x: Tensor,
    *,
    schedule: Schedule,
    timesteps: Sequence[int],
    eta: float = 0.0,
    generators: Sequence[Noise] | None = None,
    last_alpha_cumprod: float = 1.0,
    fuse: Fuse | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Turn noise into a clean latent.

    With a = alpha_t^2 and p = alpha^2 of the next (less noisy) step:
    sigma = eta sqrt((1 - p) / (1 - a)) sqrt(1 - a / p),
    x <- sqrt(p) x0 + sqrt(1 - p - sigma^2) eps + sigma N(0, 1)   (Song et al., equations 12, 16).

    Args:
        denoise: the network.
        x: noise [B, C, h, w], N(0, 1).
        schedule: the noise schedule the network was trained with.
        timesteps: strictly decreasing, as `ldsr.sampling.schedule.timesteps` gives them.
        eta: 0 (deterministic) .. 1 (as much noise as the ancestral sampler).
        generators: one per sample; needed where eta > 0.
        last_alpha_cumprod: p of the last step. 1 ends at x0 exactly; LDSR-S2 ends at
            `schedule.alphas_cumprod[0]`, which leaves a trace of noise.
        fuse: corrects each estimate of x0; the noise is derived again from what it gives.
        on_step: called after each step; what it raises ends the run.

    Returns:
        [B, C, h, w].

    Raises:
        ValueError: eta > 0 without one generator per sample.
    """
    if eta > 0 and (generators is None or len(generators) != len(x)):
        raise ValueError(f"eta > 0 needs {len(x)} generators, one per sample.")
    signals = [float(schedule.alphas_cumprod[t]) for t in timesteps] + [last_alpha_cumprod]
    for step, t in enumerate(timesteps):
        a, p = signals[step], signals[step + 1]
        # Denoise.
        at = torch.full((len(x),), t, device=x.device)
        x0, eps = schedule.to_x0_eps(denoise(x, at), x, at)
        if fuse is not None:
            x0 = fuse(x, x0, at)
            eps = schedule.to_eps(x0, x, at)
        # Step to the next noise level.
        sigma = eta * ((1 - p) / (1 - a)) ** 0.5 * max(1 - a / p, 0.0) ** 0.5
        x = p**0.5 * x0 + max(1 - p - sigma**2, 0.0) ** 0.5 * eps
        # Put back fresh noise.
        if sigma > 0:
            x = x + sigma * draw_noise(x.shape[1:], generators).to(x)
        # Report.
        if on_step is not None:
            on_step(step + 1, len(timesteps), x0)
    return x
