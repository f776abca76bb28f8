"""The stages of super-resolution on tensors, each in the order of the paper's pseudo-code.

Knows a model and a schedule; knows neither files nor pictures' places.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ldsr.blocks import in_blocks
from ldsr.consistency import SCALE, degrade
from ldsr.machine import return_memory
from ldsr.models.latent_sr import LatentSR, Prepared
from ldsr.models.refiner import Reference, Refiner
from ldsr.sampling.cache import FirstBlockCache
from ldsr.sampling.ddim import Denoiser, OnStep
from ldsr.sampling.noise import Noise, draw_noise
from ldsr.sampling.sampler import sample
from ldsr.sampling.schedule import Schedule, timesteps
from ldsr.settings import Settings


def bicubic(lr: Tensor) -> Tensor:
    """Interpolate reflectance [B, C, H, W] four times finer."""
    return F.interpolate(lr, scale_factor=SCALE, mode="bicubic")


def bilinear(detail: Tensor) -> Tensor:
    """Interpolate a map [B, 1, h, w] to the pixels of the picture."""
    return F.interpolate(detail, scale_factor=SCALE, mode="bilinear")


def base_stage(
    model: LatentSR,
    lr: Tensor,
    prepared: Prepared,
    *,
    settings: Settings,
    schedule: Schedule,
    spacing: str,
    last_alpha_cumprod: float,
    generators: Sequence[Noise],
    cache: FirstBlockCache | None = None,
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
        cache: of this run; without one everything is computed.
        on_step: called after each step with the steps done, all steps and the latent's estimate.

    Returns:
        Latent [B, z, H, W].
    """
    z_channels = model.latent_mean.shape[1]
    noise = draw_noise((z_channels, *lr.shape[-2:]), generators).to(lr.device)
    noise = settings.temperature * noise
    at = timesteps(schedule, settings.steps, spacing=spacing)

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        # one time for all samples, so that a batch holds the same numbers as single runs
        return model.denoise(z_t, t[:1], prepared, cache=cache).float()

    return sample(
        denoise,
        noise,
        sampler=settings.sampler,
        schedule=schedule,
        timesteps=at,
        eta=settings.eta,
        generators=generators,
        last_alpha_cumprod=last_alpha_cumprod,
        on_step=on_step,
    )


NEAR = 13
"""Side, in pixels of 2.5 m, of the window that structure is looked for in."""
SMOOTH, ROUGH = 0.05, 0.10
"""Relative local contrast below which nothing is refined, and above which all may be; chosen by eye
on fields of the samples, and so that aerial pictures of a city lie above."""


@dataclasses.dataclass(frozen=True)
class Anchor:
    """The base picture in every form that stage 2 needs.

    Attributes:
        base: reflectance [B, 4, 4H, 4W].
        decoded: what the autoencoder makes of it, reflectance [B, 4, 4H, 4W].
        reference: its latent, its condition and its control.
        structure: how much there is to refine [B, 1, h, w], 0 (smooth) .. 1, see `structure_of`.
    """

    base: Tensor
    decoded: Tensor
    reference: Reference
    structure: Tensor

    def expand(self, count: int) -> "Anchor":
        """The one base (B = 1) for each of several samples, without copies."""
        if count == len(self.base):
            return self

        def repeat(x: Tensor) -> Tensor:
            return x.expand(count, *x.shape[1:])

        reference = Reference(
            self.reference.prepared.expand(count),
            repeat(self.reference.z_ref),
            [repeat(control) for control in self.reference.control],
        )
        return Anchor(repeat(self.base), repeat(self.decoded), reference, repeat(self.structure))


def anchor(
    refiner: Refiner,
    model: LatentSR,
    base: Tensor,
    *,
    control_scale: float,
    prepared: Prepared | None = None,
    look_up: Callable[[], None] = lambda: None,
) -> Anchor:
    """Look at a base of any stage 1, reflectance [B, 4, 4H, 4W], with the eyes of stage 2.

    Guide and condition are those of the base as seen at 10 m: all structure comes from the base.
    Whoever knows them already hands them in (`prepared`). For `look_up` see `structure_of`.
    """
    prepared = prepared or prepare(model, degrade(base))
    z_ref = encode(model, base, prepared)
    reference = refiner.refer(z_ref, prepared, control_scale=control_scale)
    decoded = decode(model, z_ref, prepared)
    return Anchor(base, decoded, reference, structure_of(base, look_up))


def structure_of(base: Tensor, look_up: Callable[[], None] = lambda: None) -> Tensor:
    """Where a base shows structure: 0 in smooth places (bare fields, meadows), else 1.

    The local contrast is the standard deviation over NEAR x NEAR pixels in units of the mean
    reflectance there (+ 0.02), averaged over the bands; from SMOOTH to ROUGH it goes from 0 to 1.

    Args:
        base: reflectance [B, C, 4H, 4W].
        look_up: called before each band; what it raises ends the work.

    Returns:
        [B, 1, H, W].
    """

    def local_mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, NEAR, stride=1, padding=NEAR // 2, count_include_pad=False)

    def contrast_of(band: Tensor) -> Tensor:
        look_up()
        mean = local_mean(band)
        spread = (local_mean(band.square()) - mean.square()).clamp(min=0).sqrt()
        return spread / (mean.clamp(min=0) + 0.02)

    contrast = torch.cat([contrast_of(band) for band in base.split(1, 1)], 1).mean(1, keepdim=True)
    return ((F.avg_pool2d(contrast, SCALE) - SMOOTH) / (ROUGH - SMOOTH)).clamp(0, 1)


def refine_stage(
    refiner: Refiner,
    anchor: Anchor,
    *,
    settings: Settings,
    schedule: Schedule,
    temperature: float,
    tags: Tensor | None,
    generators: Sequence[Noise],
    caches: Sequence[FirstBlockCache | None] = (None, None),
    on_step: OnStep | None = None,
) -> tuple[Tensor, Tensor]:
    """Stage 2: from the noised base to the base with as much detail as the weight map allows.

    At each step x0 = (1 - W) x0_eps + W z_ref (weight allocation, Sui et al., 2024), and the noise
    is derived again from x0. 1 - W is what the learned map allows, times the base's structure, at
    most the cap.

    Args:
        refiner: the networks of stage 2.
        anchor: the base.
        settings: sampler, eta, refine_steps, refine_strength, detail_cap, tag_weight.
        schedule: of the noise.
        temperature: amplitude of the noise the base gets, 0..1.
        tags: probabilities [B, K] over the vocabulary, or None.
        generators: one per sample.
        caches: of this run; of the evaluations with tags, and of those without.
        on_step: called after each step with the steps done, all steps and the latent's estimate.

    Returns:
        Latent [B, z, h, w] and detail = 1 - W [B, 1, h, w], 0..detail_cap, of the last step: how
        far from the base the latent was allowed to go.
    """
    reference, z_ref = anchor.reference, anchor.reference.z_ref
    detail = torch.zeros_like(z_ref[:, :1])
    if settings.refine_strength == 0 or settings.detail_cap == 0:
        return z_ref, detail
    at = timesteps(schedule, settings.refine_steps, strength=settings.refine_strength)
    noise = temperature * draw_noise(z_ref.shape[1:], generators).to(z_ref)
    start = torch.full((len(z_ref),), at[0], device=z_ref.device)
    z_t = schedule.add_noise(z_ref, noise, start)

    def fuse(z_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        nonlocal detail
        allowed = (1 - refiner.weight(z_t, x0, reference, t[:1])) * anchor.structure
        detail = allowed.clamp(max=settings.detail_cap)
        return z_ref + detail * (x0 - z_ref)

    denoise = guided_by_tags(refiner, reference, tags, settings.tag_weight, caches)
    z = sample(
        denoise,
        z_t,
        sampler=settings.sampler,
        schedule=schedule,
        timesteps=at,
        eta=settings.eta,
        generators=generators,
        fuse=fuse,
        on_step=on_step,
    )
    return z, detail


def add_detail(model: LatentSR, z: Tensor, anchor: Anchor) -> Tensor:
    """The base and what the decoder makes of z beyond what it makes of the base.

    Where z is the base's latent the picture is the base, whatever the autoencoder does to it.

    Returns:
        Reflectance [B, 4, 4H, 4W], not yet back-projected.
    """
    return anchor.base + (decode(model, z, anchor.reference.prepared) - anchor.decoded)


def guided_by_tags(
    refiner: Refiner,
    reference: Reference,
    tags: Tensor | None,
    weight: float,
    caches: Sequence[FirstBlockCache | None],
) -> Denoiser:
    """The second denoiser, guided without a classifier: out = without + weight (with - without).

    Ho and Salimans, 2022. Weights 0 and 1, and no tags, take one evaluation.
    """
    context = refiner.embed(tags) if weight > 0 else None

    def denoise(z_t: Tensor, t: Tensor) -> Tensor:
        told = refiner.denoise(z_t, t[:1], reference, context=context, cache=caches[0]).float()
        if context is None or weight == 1:
            return told
        untold = refiner.denoise(z_t, t[:1], reference, cache=caches[1]).float()
        return untold + weight * (told - untold)

    return denoise


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
    return_memory()  # pictures are the largest tensors of a run
    if prepared.guide is None:
        return model.decode(z, prepared).float()

    def block(z: Tensor, guide: Tensor) -> tuple[Tensor]:
        return (model.decode(z, Prepared(guide, z)).float(),)

    return in_blocks(block, (z, prepared.guide), out_scales=(SCALE,))[0]


def encode(model: LatentSR, picture: Tensor, prepared: Prepared) -> Tensor:
    """Encode reflectance [B, 4, 4H, 4W] to a latent, block by block (mini model only)."""

    def block(cond: Tensor, guide: Tensor, picture: Tensor) -> tuple[Tensor]:
        return (model.encode(model.to_range(picture), guide).float(),)

    return in_blocks(block, (prepared.cond, prepared.guide, picture), out_scales=(1,))[0]
