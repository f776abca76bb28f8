"""How each network of the mini model is trained: regression, then autoencoder, then denoiser."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.consistency import back_project, degrade
from ldsr.models.latent_sr import LatentSR, Prepared
from ldsr.sampling.schedule import Schedule, cosine_schedule
from ldsr.training import loop, losses
from ldsr.training.degradation import degrade_randomly
from ldsr.training.pairs import Pairs

GENTLY = 1 / 3
"""Strength of the degradation that is near the nominal point spread function."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What every recipe works with.

    Attributes:
        model: the model in training, float32, channels last.
        pairs: the source of fine reflectance.
        device: "cpu" or "cuda".
        batch: pictures to a step.
        folder: of the checkpoints.
        perceptual: use LPIPS, whose weights must be at hand (see `losses.Perceptual`).
    """

    model: LatentSR
    pairs: Pairs
    device: str
    batch: int
    folder: Path
    perceptual: bool = True

    def draw(self, *, strength: float = 1.0, count: int | None = None) -> tuple[Tensor, Tensor]:
        """Draw fine and degraded reflectance, [B, 4, S, S] and [B, 4, S/4, S/4].

        Args:
            strength: of the randomness in blur and noise, 0..1; GENTLY where pictures are judged.
            count: B, where it is not that of the bench.
        """
        hr = self.pairs.batch(count or self.batch)
        lr = degrade_randomly(hr, self.pairs.generator, strength=strength)
        return tuple(
            x.to(self.device).contiguous(memory_format=torch.channels_last) for x in (hr, lr)
        )

    def autocast(self) -> torch.autocast:
        """Compute in bfloat16 where that is safe."""
        return torch.autocast(self.device, dtype=torch.bfloat16)

    def make_perceptual(self) -> losses.Distance:
        """LPIPS, or zero where it is not wanted."""
        if not self.perceptual:
            return lambda sr, hr, generator: sr.new_zeros(())
        return losses.Perceptual().to(self.device)

    def random(self) -> dict[str, torch.Generator]:
        """Generators whose state a checkpoint must keep."""
        return {"pairs": self.pairs.generator}


def train_regression(bench: Bench, budget: loop.Budget) -> int:
    """Train the regression: L1 in the network's range and in reflectance."""
    model = bench.model

    def loss(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        hr, lr = bench.draw()
        with bench.autocast():
            guide, _ = model.regress(lr)
        guide, target = guide.float(), model.to_range(hr)
        pixel = F.l1_loss(guide, target)
        linear = F.l1_loss(model.to_reflectance(guide), hr)
        grid = losses.grid_loss(guide, target)
        return pixel + linear + 0.2 * grid, {"pixel": pixel.item(), "grid": grid.item()}

    return loop.fit(
        model.regression,
        loss,
        budget=budget,
        checkpoint=bench.folder / "regression.pt",
        extra=bench.random(),
    )


class AutoencoderLoss:
    """Pixels, LPIPS, grid, Wasserstein and KL of the autoencoder; late, an adversary as well."""

    def __init__(
        self, bench: Bench, *, adversary_from: float = 0.7, adversary_weight: float = 0.02
    ) -> None:
        self.bench = bench
        self.perceptual = bench.make_perceptual()
        self.adversary_from = adversary_from
        self.adversary_weight = adversary_weight
        self.critic = losses.PatchCritic().to(bench.device)
        self.critic_optimiser = torch.optim.AdamW(
            self.critic.parameters(), lr=2e-4, betas=(0.5, 0.9)
        )

    def __call__(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        bench, model = self.bench, self.bench.model
        hr, lr = bench.draw()
        target = model.to_range(hr)
        with torch.no_grad(), bench.autocast():
            guide = model.regress(lr)[0].float()
        detail = (target - guide) / model.detail_scale
        with bench.autocast():
            mean, log_variance = model.autoencoder.encode(detail)
            mean, log_variance = mean.float(), log_variance.float()
            z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
            decoded = model.autoencoder.decode(z, guide)
        decoded = decoded.float()
        sr = model.to_reflectance(guide + model.detail_scale * decoded)
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean()
        parts = {
            "pixel": F.l1_loss(decoded, detail),
            "lpips": self.perceptual(sr, hr, bench.pairs.generator),
            "grid": losses.grid_loss(decoded, detail),
            "wasserstein": losses.wasserstein(decoded, detail),
        }
        total = (
            parts["pixel"]
            + parts["lpips"]
            + 0.5 * parts["grid"]
            + 0.1 * parts["wasserstein"]
            + 1e-3 * kl
        )
        if progress > self.adversary_from:
            parts["adversary"] = self._adversary(decoded, detail)
            total = total + self.adversary_weight * parts["adversary"]
        return total, {"kl": kl.item(), **{name: part.item() for name, part in parts.items()}}

    def _adversary(self, fake: Tensor, real: Tensor) -> Tensor:
        """Teach the critic one step and return what it says of the decoded detail."""
        with self.bench.autocast():
            judged = losses.critic_loss(self.critic(real), self.critic(fake.detach()))
        self.critic_optimiser.zero_grad(set_to_none=True)
        judged.float().backward()
        self.critic_optimiser.step()
        with self.bench.autocast():
            return -self.critic(fake).float().mean()


def train_autoencoder(bench: Bench, budget: loop.Budget) -> int:
    """Train the autoencoder to code the detail that the regression's picture lacks."""
    bench.model.regression.requires_grad_(False)
    steps = loop.fit(
        bench.model.autoencoder,
        AutoencoderLoss(bench),
        budget=budget,
        checkpoint=bench.folder / "autoencoder.pt",
        extra=bench.random(),
    )
    measure_statistics(bench)
    return steps


@torch.no_grad()
def measure_statistics(bench: Bench, *, batches: int = 40) -> None:
    """Measure mean and standard deviation of latents and condition, to bring both near N(0, 1)."""
    model, latents, features = bench.model, [], []
    model.latent_mean.zero_(), model.latent_std.fill_(1)
    for _ in range(batches):
        hr, lr = bench.draw()
        guide, feature = model.regress(lr)
        latents.append(model.encode(model.to_range(hr), guide))
        features.append(feature)
    for name, values in (("latent", torch.cat(latents)), ("cond", torch.cat(features))):
        getattr(model, f"{name}_mean").copy_(values.mean((0, 2, 3), keepdim=True))
        getattr(model, f"{name}_std").copy_(values.std((0, 2, 3), keepdim=True))


MINI_SCHEDULE = {"length": 1000, "parameterization": "v"}
"""Arguments of `cosine_schedule` that the mini denoiser is trained with."""
MINI_TEMPERATURE = 0.35
"""Amplitude of the first noise the mini model is used with, chosen on the validation city."""


class DenoiserLoss:
    """Velocity loss with a truncated SNR weight.

    In terms of x0 the weight is min(SNR, 5) + 1: high noise keeps its full weight, which few steps
    need, and the almost clean end does not dominate (after min-SNR, Hang et al. 2023).
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.schedule: Schedule = cosine_schedule(**MINI_SCHEDULE)

    def __call__(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        hr, lr = self.bench.draw()
        velocity, _, _ = self.velocity(hr, lr)
        return velocity, {"velocity": velocity.item()}

    def velocity(self, hr: Tensor, lr: Tensor) -> tuple[Tensor, Tensor, Prepared]:
        """The loss at one random time step per picture, the estimate of x0, the preparation."""
        bench, model, schedule = self.bench, self.bench.model, self.schedule
        with torch.no_grad(), bench.autocast():
            prepared = model.prepare(lr)
            z = model.encode(model.to_range(hr), prepared.guide.float()).float()
        generator = bench.pairs.generator
        strata = (torch.arange(len(z)) + torch.rand(len(z), generator=generator)) / len(z)
        strata = strata[torch.randperm(len(z), generator=generator)]
        t = (strata * len(schedule)).long().to(z.device)
        noise = torch.randn(z.shape, generator=generator).to(z.device)
        z_t = schedule.add_noise(z, noise, t)
        with bench.autocast():
            v = model.denoise(z_t, t, prepared)
        v = v.float()
        snr = schedule.log_snr(t).exp().to(z)
        weight = ((snr.clamp(max=5) + 1) / (snr + 1))[:, None, None, None]
        loss = (weight * (v - schedule.target(z, noise, t)) ** 2).mean()
        return loss, schedule.to_x0_eps(v, z_t, t)[0], prepared


class PolishLoss(DenoiserLoss):
    """The velocity loss, and what the decoded and back-projected estimate looks like.

    The picture is judged as it will be shown: after back-projection, by L1, LPIPS and grid. What
    it lacks of the input before that is penalised too, so that little is left to project.
    """

    def __init__(self, bench: Bench, *, share: float = 0.34) -> None:
        super().__init__(bench)
        self.share = share
        self.perceptual = bench.make_perceptual()

    def __call__(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        model = self.bench.model
        hr, lr = self.bench.draw(strength=GENTLY)
        velocity, x0, prepared = self.velocity(hr, lr)
        n = max(1, round(self.share * len(hr)))
        hr, lr = hr[:n], lr[:n]
        with self.bench.autocast():
            sr = model.decode(x0[:n], Prepared(prepared.guide[:n].float(), prepared.cond[:n]))
        sr = sr.float()
        shown = back_project(sr, lr, tol=3e-4, max_iterations=15).x
        target, seen = model.to_range(hr), model.to_range(shown)
        parts = {
            "velocity": velocity,
            "pixel": F.l1_loss(seen, target) / model.detail_scale,
            "lpips": self.perceptual(shown, hr, self.bench.pairs.generator),
            "grid": losses.relative_grid_loss(seen, target),
            "residual": (degrade(sr) - lr).abs().mean() * 100,
        }
        weights = {"velocity": 1.0, "pixel": 0.5, "lpips": 0.5, "grid": 0.3, "residual": 0.2}
        total = sum(weights[name] * part for name, part in parts.items())
        return total, {name: part.item() for name, part in parts.items()}


def train_denoiser(bench: Bench, budget: loop.Budget) -> int:
    """Train the latent denoiser, conditioned on the regression's features."""
    bench.model.requires_grad_(False)
    bench.model.denoiser.requires_grad_(True)
    return loop.fit(
        bench.model.denoiser,
        DenoiserLoss(bench),
        budget=budget,
        checkpoint=bench.folder / "denoiser.pt",
        extra=bench.random(),
    )


def polish(bench: Bench, budget: loop.Budget) -> int:
    """Go on with denoiser and decoder together, on the pictures as they will be shown."""
    bench.model.requires_grad_(False)
    both = nn.ModuleList([bench.model.denoiser, bench.model.autoencoder.decoder])
    both.requires_grad_(True)
    return loop.fit(
        both,
        PolishLoss(bench),
        budget=budget,
        checkpoint=bench.folder / "polish.pt",
        extra=bench.random(),
    )
