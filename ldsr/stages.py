"""The stages of super-resolution on tensors, each in the order of the paper's pseudo-code.

Knows a model and a schedule; knows neither files nor pictures' places.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ldsr.consistency import SCALE
from ldsr.models.latent_sr import LatentSR, Prepared
from ldsr.sampling.ddim import OnStep, ddim
from ldsr.sampling.dpm_solver import dpm_solver
from ldsr.sampling.noise import draw_noise
from ldsr.sampling.schedule import Schedule, timesteps
from ldsr.settings import Settings

TILE = 192
"""Side of the blocks, in low-resolution pixels, that the full-resolution parts are computed in."""
HALO = 24
"""Margin of a block: no less than the reach of the mini networks, so that blocks leave no seam."""


def bicubic(lr: Tensor) -> Tensor:
    """Interpolate reflectance [B, C, H, W] four times finer."""
    return F.interpolate(lr, scale_factor=SCALE, mode="bicubic")


def base_stage(
    model: LatentSR,
    lr: Tensor,
    prepared: Prepared,
    *,
    settings: Settings,
    schedule: Schedule,
    spacing: str,
    last_alpha_cumprod: float,
    generators: Sequence[torch.Generator],
    on_step: OnStep | None = None,
) -> Tensor:
    """Stage 1: from noise to the latent of the base picture, guided by nothing but the patch.

    Args:
        model: the networks.
        lr: reflectance [B, 4, H, W].
        prepared: guide and condition of `lr`.
        settings: sampler, steps, eta, temperature (a number).
        schedule: of the noise.
        spacing: of the time steps.
        last_alpha_cumprod: what the last DDIM step ends at.
        generators: one per sample.
        on_step: called after each step with the steps done, all steps and the latent's estimate.

    Returns:
        Latent [B, z, H, W].
    """
    z_channels = model.latent_mean.shape[1]
    noise = draw_noise((z_channels, *lr.shape[-2:]), generators).to(lr.device)
    noise = settings.temperature * noise
    at = timesteps(schedule, settings.steps, spacing=spacing)

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        return model.denoise(z_t, t, prepared).float()

    if settings.sampler == "dpm":
        return dpm_solver(denoise, noise, schedule=schedule, timesteps=at, on_step=on_step)
    return ddim(
        denoise,
        noise,
        schedule=schedule,
        timesteps=at,
        eta=settings.eta,
        generators=generators,
        last_alpha_cumprod=last_alpha_cumprod,
        on_step=on_step,
    )


def prepare(model: LatentSR, lr: Tensor) -> Prepared:
    """Compute guide and condition, block by block where the model is local."""
    if model.regression is None:
        return model.prepare(lr)

    def block(lr: Tensor) -> tuple[Tensor, Tensor]:
        prepared = model.prepare(lr)
        return prepared.guide.float(), prepared.cond

    return Prepared(*in_blocks(block, (lr,), out_scales=(SCALE, 1)))


def decode(model: LatentSR, z: Tensor, prepared: Prepared) -> Tensor:
    """Decode a latent to reflectance, block by block where the model is local."""
    if prepared.guide is None:
        return model.decode(z, prepared).float()

    def block(z: Tensor, guide: Tensor) -> tuple[Tensor]:
        return (model.decode(z, Prepared(guide, z)).float(),)

    return in_blocks(block, (z, prepared.guide), out_scales=(SCALE,))[0]


def in_blocks(
    function: Callable[..., tuple[Tensor, ...]],
    inputs: tuple[Tensor, ...],
    *,
    out_scales: tuple[int, ...],
    tile: int = TILE,
    halo: int = HALO,
) -> tuple[Tensor, ...]:
    """Apply a local function block by block, so that memory does not grow with the picture.

    Args:
        function: takes blocks of `inputs`, gives tensors `out_scales` times the first one's size.
        inputs: [B, C, s H, s W], the first with s = 1.
        out_scales: of the outputs.
        tile: side of a block without its margin, on the first input's grid.
        halo: margin on each side.

    Returns:
        The outputs as if `function` had seen everything at once.
    """
    height, width = inputs[0].shape[-2:]
    if height <= tile + halo and width <= tile + halo:
        return function(*inputs)
    outputs: tuple[Tensor, ...] | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            outer = (
                max(top - halo, 0),
                min(bottom + halo, height),
                max(left - halo, 0),
                min(right + halo, width),
            )
            parts = function(*(_window(x, outer, x.shape[-1] // width) for x in inputs))
            inner = (top - outer[0], bottom - outer[0], left - outer[2], right - outer[2])
            if outputs is None:
                outputs = tuple(
                    part.new_empty(*part.shape[:2], height * s, width * s)
                    for part, s in zip(parts, out_scales, strict=True)
                )
            for whole, part, s in zip(outputs, parts, out_scales, strict=True):
                _window(whole, (top, bottom, left, right), s).copy_(_window(part, inner, s))
    return outputs


def _window(x: Tensor, rows_columns: tuple[int, int, int, int], scale: int) -> Tensor:
    top, bottom, left, right = (scale * edge for edge in rows_columns)
    return x[..., top:bottom, left:right]
