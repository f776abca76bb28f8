"""The other bases of stage 1: SR3, and the large regression.

Knows a network and a schedule; knows neither files nor pictures' places.
"""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ldsr.blocks import in_blocks
from ldsr.consistency import SCALE
from ldsr.models.regression import Regression
from ldsr.models.sr3 import SR3
from ldsr.models.value_range import to_range, to_reflectance
from ldsr.sampling.noise import Noise, draw_noise
from ldsr.sampling.sampler import sample
from ldsr.sampling.schedule import sr3_schedule, timesteps
from ldsr.settings import Settings

SR3_TILE, SR3_HALO = 768, 128
"""Side and margin, in fine pixels, of the blocks the network is evaluated in; multiples of 8."""
REGRESSION_HALO = 40
"""Margin of a block of the large regression, in low-resolution pixels: no less than its reach."""


Draw = Callable[[], Tensor]
"""Draws a picture, reflectance [B, 4, H, W], when it is called."""
OnPicture = Callable[[int, int, Draw], None]
"""Called after each step with the steps done (from 1), all steps, and the emerging picture."""


def sr3_stage(
    network: SR3,
    lr: Tensor,
    *,
    settings: Settings,
    generators: Sequence[Noise],
    on_step: OnPicture | None = None,
    cascade: bool = False,
) -> Tensor:
    """Stage 1 by SR3: from noise to a picture, guided by nothing but the interpolated input.

    Args:
        network: of SR3.
        lr: reflectance [B, 4, H, W].
        settings: sampler, steps (of each part of a cascade), eta, temperature (None: 1).
        generators: one per sample.
        on_step: called after each step with the steps done, all steps, and what draws the emerging
            picture on request.
        cascade: twice x2 instead of once x4.

    Returns:
        Reflectance [B, 4, 4H, 4W], before back-projection.
    """
    factors = (2, 2) if cascade else (SCALE,)
    full = [SCALE * side for side in lr.shape[-2:]]
    picture = lr
    for part, factor in enumerate(factors):

        def report(done: int, steps: int, draw: Draw, before: int = part) -> None:
            if on_step is not None:
                fine = functools.partial(_enlarge, draw, full)
                on_step(before * steps + done, len(factors) * steps, fine)

        picture = _sharpen(
            network, picture, factor, settings=settings, generators=generators, on_step=report
        )
    return picture


def _sharpen(
    network: SR3,
    coarse: Tensor,
    factor: int,
    *,
    settings: Settings,
    generators: Sequence[Noise],
    on_step: OnPicture,
) -> Tensor:
    """One diffusion: reflectance [B, 4, H, W] to reflectance `factor` times finer."""
    schedule = sr3_schedule()
    at = timesteps(schedule, settings.steps)
    cond = network.condition(coarse, factor)
    temperature = 1.0 if settings.temperature is None else settings.temperature
    noise = temperature * draw_noise(cond.shape[1:], generators).to(cond)

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        level = schedule.alpha(t[:1]).to(x_t)
        factors = torch.full_like(level, factor)

        def block(x_t: Tensor, cond: Tensor) -> tuple[Tensor]:
            return (network(x_t, level, cond, factors).float(),)

        blocks = {"out_scales": (1,), "tile": SR3_TILE, "halo": SR3_HALO}
        return in_blocks(block, (x_t, cond), **blocks)[0]

    def report(step: int, steps: int, x0: Tensor) -> None:
        on_step(step, steps, lambda: network.picture(x0, cond, factor))

    x0 = sample(
        denoise,
        noise,
        sampler=settings.sampler,
        schedule=schedule,
        timesteps=at,
        eta=settings.eta,
        generators=generators,
        on_step=report,
    )
    return network.picture(x0, cond, factor)


def _enlarge(draw: Draw, size: list[int]) -> Tensor:
    """Draw a picture at another size."""
    return F.interpolate(draw(), size=size, mode="bilinear")


def regression_stage(network: Regression, lr: Tensor) -> Tensor:
    """Stage 1 by the large regression: the conditional mean in one pass, block by block.

    Args:
        network: sees the square root of reflectance.
        lr: reflectance [B, 4, H, W].

    Returns:
        Reflectance [B, 4, 4H, 4W], before back-projection.
    """

    def block(lr: Tensor) -> tuple[Tensor]:
        picture, _ = network(to_range(lr, "sqrt"))
        return (to_reflectance(picture.float(), "sqrt"),)

    return in_blocks(block, (lr,), out_scales=(SCALE,), halo=REGRESSION_HALO)[0]
