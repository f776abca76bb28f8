"""How the networks of stage 2 are trained, but for the weight map: see `ldsr.training.allocation`.

Coarse to fine as in DE: first the denoiser on small crops, then, frozen, on larger ones the map.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.consistency import back_project, degrade
from ldsr.models.geometry import REFINER
from ldsr.models.refiner import Refiner
from ldsr.sampling.schedule import cosine_schedule
from ldsr.training import loop, losses
from ldsr.training.pool import Batch, Pool
from ldsr.training.recipes import MINI_SCHEDULE, Bench

TEMPERATURE = 0.5
"""Amplitude of the noise the base gets, chosen on the validation city."""
HIGHEST = 0.9
"""Share of the schedule that stage 2 is trained on."""
JUDGED = 0.34
"""Share of the pictures that are decoded and judged."""
NO_TAGS = 0.15
"""Share of the pictures whose tags are withheld, for guidance without a classifier."""


class RefineLoss:
    """The clean latent from a noised mixture of truth and base, and what its picture looks like.

    A run begins at the noised base and ends at the truth, so the mixture holds any share of both;
    the noise has any amplitude a temperature may give it.
    """

    def __init__(self, bench: Bench, refiner: Refiner) -> None:
        self.bench = bench
        self.refiner = refiner
        self.schedule = cosine_schedule(**MINI_SCHEDULE)
        self.perceptual = bench.make_perceptual()
        self.pool = Pool(bench, chunks=32 if bench.perceptual else 1)

    def __call__(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        batch = self.pool.draw()
        x0, weight = self.estimate(batch)
        latent = (weight * (x0 - batch.z_hr) ** 2).mean()
        some = batch.pick(slice(0, max(1, round(JUDGED * len(x0)))))
        refined, shown = self.show(x0[: len(some.hr)], some)
        parts = {
            "latent": latent,
            **self.judge(shown, some),
            "residual": (degrade(refined) - some.lr).abs().mean() * 100,
        }
        weights = {"latent": 0.5, "pixel": 0.5, "lpips": 0.8, "grid": 0.3, "residual": 0.2}
        total = sum(weights[name] * part for name, part in parts.items())
        return total, {name: part.item() for name, part in parts.items()}

    def estimate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The estimate of the clean latent at one random step per picture, and its loss weight."""
        generator, count = self.bench.pairs.generator, len(batch.hr)

        def uniform() -> Tensor:
            return torch.rand(count, 1, 1, 1, generator=generator).to(batch.hr)

        strata = (torch.arange(count) + torch.rand(count, generator=generator)) / count
        strata = strata[torch.randperm(count, generator=generator)]
        t = (strata * HIGHEST * len(self.schedule)).long().to(batch.hr.device)
        share = uniform() * (uniform() > 0.3)
        amplitude = torch.where(uniform() < 0.5, torch.ones_like(share), 0.3 + 0.7 * uniform())
        noise = torch.randn(batch.z_hr.shape, generator=generator).to(batch.hr)
        z_t = self.schedule.add_noise(batch.z_hr.lerp(batch.z_ref, share), amplitude * noise, t)
        tags = batch.tags * (uniform()[:, :, 0, 0] > NO_TAGS)
        with self.bench.autocast():
            reference = self.refiner.refer(batch.z_ref, batch.prepared())
            v = self.refiner.denoise(z_t, t, reference, context=self.refiner.embed(tags))
        x0, _ = self.schedule.to_x0_eps(v.float(), z_t, t)
        snr = self.schedule.log_snr(t).exp().to(z_t)
        return x0, (snr.clamp(max=5) + 1)[:, None, None, None] / 3

    def show(self, z: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The refined picture of a latent, before and after back-projection, reflectance."""
        with self.bench.autocast():
            decoded = self.bench.model.decode(z, batch.prepared())
        refined = batch.base + decoded.float() - batch.decoded
        return refined, back_project(refined, batch.lr, tol=3e-4, max_iterations=15).x

    def judge(self, shown: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Score a picture as it will be shown: pixels, LPIPS, grid."""
        model = self.bench.model
        target, seen = model.to_range(batch.hr), model.to_range(shown)
        return {
            "pixel": F.l1_loss(seen, target) / model.detail_scale,
            "lpips": self.perceptual(shown, batch.hr, self.bench.pairs.generator),
            "grid": losses.relative_grid_loss(seen, target),
        }


def train_refiner(bench: Bench, budget: loop.Budget) -> nn.Module:
    """Train denoiser, control branch and tags of stage 2, beginning as the base's denoiser."""
    bench.model.requires_grad_(False)
    refiner = Refiner(**REFINER)
    refiner.denoiser.load_state_dict(bench.model.denoiser.state_dict())
    refiner = refiner.to(bench.device, memory_format=torch.channels_last)
    refiner.fusion.requires_grad_(False)
    loop.fit(
        refiner,
        RefineLoss(bench, refiner),
        budget=budget,
        checkpoint=bench.folder / "refiner.pt",
        extra=bench.random(),
    )
    return refiner
