"""How the weight map of stage 2 is trained: on what the generator, left alone, would have done.

The generator is frozen and runs from many bases. Where the picture comes closer to the truth by
what it draws, in pixels and in LPIPS together, it shall be allowed to; elsewhere not.
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.consistency import back_project
from ldsr.models.fusion import WeightAllocation
from ldsr.models.geometry import REFINER
from ldsr.models.refiner import Refiner
from ldsr.sampling.ddim import ddim
from ldsr.sampling.schedule import cosine_schedule, timesteps
from ldsr.training import loop, losses
from ldsr.training.pool import Batch, Pool
from ldsr.training.recipes import MINI_SCHEDULE, Bench

SHARE = 0.5
"""Share of a picture's pixels that detail is allowed to at least: those that gain most. Where more
of them gain anything, as on a blurred base, all those are."""
LEAST = 0.25
"""Share of all pixels that gain too little to be allowed any, even where the picture is quiet."""
SHARPNESS = 4.0
"""The logit of W is so many times that of the probability."""
CONTRAST = 3.0
"""After training the map is made so many times steeper, chosen on the validation city: most pixels
are then either free or not to be touched."""
PERCEPTION = 1.5
"""Weight of the gain in LPIPS beside that in pixels, each relative to the base's own error."""


@dataclasses.dataclass
class Examples:
    """Steps of runs without a weight map, and where they were worth it.

    Attributes:
        z_t, x0, z_ref, cond, t: what the weight map sees.
        gain: of the generated picture over the base [n, 1, S, S].
    """

    z_t: Tensor
    x0: Tensor
    z_ref: Tensor
    cond: Tensor
    t: Tensor
    gain: Tensor

    def pick(self, rows: Tensor) -> "Examples":
        """Some of the examples."""
        return Examples(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})


class AllocationLoss:
    """Cross-entropy of the map to "this pixel gains, or is among those of its picture that do"."""

    def __init__(self, bench: Bench, refiner: Refiner) -> None:
        self.bench = bench
        self.refiner = refiner
        self.schedule = cosine_schedule(**MINI_SCHEDULE)
        self.spatial = losses.SpatialPerceptual().to(bench.device) if bench.perceptual else None
        pool = Pool(bench, chunks=1)
        parts = [self.examples(pool.renew()) for _ in range(64 if bench.perceptual else 1)]
        self.store = Examples(
            **{
                f.name: torch.cat([getattr(part, f.name) for part in parts])
                for f in dataclasses.fields(Examples)
            }
        )
        least = self.store.gain.flatten()[::97].quantile(LEAST)
        most = self.store.gain.flatten(1).quantile(1 - SHARE, dim=1)
        self.threshold = torch.maximum(most.clamp(max=0), least)[:, None, None, None]

    def __call__(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        generator = self.bench.pairs.generator
        rows = torch.randint(len(self.store.t), (2 * self.bench.batch,), generator=generator)
        some, threshold = self.turn(self.store.pick(rows)), self.threshold[rows]
        with self.bench.autocast():
            logit = self.refiner.fusion(some.z_t, some.x0, some.z_ref, some.cond, some.t)
        wanted = (some.gain > threshold).to(some.gain)
        detail = F.interpolate(-logit.float(), scale_factor=4, mode="bilinear") / SHARPNESS
        entropy = F.binary_cross_entropy_with_logits(detail, wanted)
        right = ((detail > 0) == (wanted > 0.5)).float().mean()
        return entropy, {"entropy": entropy.item(), "right": right.item()}

    def turn(self, some: Examples) -> Examples:
        """Turn all examples alike, in one of eight ways."""
        way = torch.randint(8, (1,), generator=self.bench.pairs.generator).item()
        maps = {f.name: getattr(some, f.name) for f in dataclasses.fields(some)}
        for name, x in maps.items():
            if x.ndim == 4:
                x = torch.rot90(x, way % 4, dims=(2, 3))
                maps[name] = x.flip(3) if way >= 4 else x
        return Examples(**maps)

    @torch.no_grad()
    def examples(self, batch: Batch) -> Examples:
        """Run from every base of a batch to a random step, and see what the picture gained."""
        bench, refiner, schedule = self.bench, self.refiner, self.schedule
        generator = bench.pairs.generator
        steps = 2 + torch.randint(4, (1,), generator=generator).item()
        strength, amplitude = (0.2 + 0.6 * torch.rand(2, generator=generator)).tolist()
        at = timesteps(schedule, steps, strength=strength)
        stop = torch.randint(2 * steps, (1,), generator=generator).clamp(max=steps - 1).item()
        noise = amplitude * torch.randn(batch.z_ref.shape, generator=generator).to(batch.z_ref)
        start = torch.full((len(noise),), at[0], device=noise.device)
        with bench.autocast():
            reference = refiner.refer(batch.z_ref, batch.prepared())
            context = refiner.embed(batch.tags)

            def denoise(z_t: Tensor, t: Tensor) -> Tensor:
                return refiner.denoise(z_t, t, reference, context=context).float()

            z_t = ddim(
                denoise,
                schedule.add_noise(batch.z_ref, noise, start),
                schedule=schedule,
                timesteps=at[:stop],
                last_alpha_cumprod=float(schedule.alphas_cumprod[at[stop]]),
            )
            t = torch.full_like(start, at[stop])
            x0, _ = schedule.to_x0_eps(denoise(z_t, t), z_t, t)
            generated = bench.model.decode(x0, batch.prepared()).float() - batch.decoded
        shown = back_project(batch.base + generated, batch.lr, tol=3e-4, max_iterations=15).x
        return Examples(z_t, x0, batch.z_ref, batch.cond, t, self.gain(shown, batch))

    def gain(self, shown: Tensor, batch: Batch) -> Tensor:
        """How much closer each pixel came to the truth, in units of the base's mean error."""
        base, refined = ((x - batch.hr).abs().mean(1, True) for x in (batch.base, shown))
        gain = F.avg_pool2d(base - refined, 3, 1, 1) / (base.mean((1, 2, 3), keepdim=True) + 1e-4)
        if self.spatial is None:
            return gain
        base, refined = (self.spatial(x, batch.hr) for x in (batch.base, shown))
        perceived = (base - refined) / (base.mean((1, 2, 3), keepdim=True) + 1e-3)
        return gain + PERCEPTION * perceived


@torch.no_grad()
def sharpen(fusion: WeightAllocation) -> None:
    """Make a trained map steeper; it opens where it did."""
    fusion.conv_out.weight.mul_(CONTRAST)
    fusion.conv_out.bias.mul_(CONTRAST)


def train_allocation(bench: Bench, budget: loop.Budget) -> nn.Module:
    """Train the weight map of stage 2, after the refiner, on larger crops."""
    bench.model.requires_grad_(False)
    refiner = Refiner(**REFINER)
    trained = torch.load(bench.folder / "refiner_network.pt", weights_only=True, map_location="cpu")
    refiner.load_state_dict(trained)
    refiner = refiner.to(bench.device, memory_format=torch.channels_last).requires_grad_(False)
    refiner.fusion.requires_grad_(True)
    loop.fit(
        refiner.fusion,
        AllocationLoss(bench, refiner),
        budget=budget,
        checkpoint=bench.folder / "allocation.pt",
        extra=bench.random(),
    )
    sharpen(refiner.fusion)
    return refiner
