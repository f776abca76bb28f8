"""How SR3 is trained: one network for x4 at once and for both halves of a 2x + 2x cascade."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.consistency import PSF_SIGMA, back_project, degrade
from ldsr.models.geometry import SR3 as GEOMETRY
from ldsr.models.sr3 import SR3
from ldsr.models.value_range import to_range
from ldsr.sampling.schedule import sr3_signal
from ldsr.training import loop, losses
from ldsr.training.degradation import decimation_matrix
from ldsr.training.recipes import GENTLY, Bench

HALF_SIGMA = tuple(sigma / 5**0.5 for sigma in PSF_SIGMA)
"""Blur of a x2 decimation, per band, in its fine pixels: two in a row, (1 + 4) sigma^2, make x4."""

TEMPERATURE = 0.5
"""Amplitude of the first noise SR3 is used with, chosen on the validation city."""


def halve(hr: Tensor) -> Tensor:
    """See a fine picture [B, 4, H, W] at half the size, as midway to the input."""
    sigma = torch.tensor(HALF_SIGMA)
    rows = decimation_matrix(hr.shape[-2], 2, sigma, torch.zeros(4)).to(hr)
    columns = decimation_matrix(hr.shape[-1], 2, sigma, torch.zeros(4)).to(hr)
    return torch.einsum("cih,bchw,cjw->bcij", rows, hr, columns)


def roughen(middle: Tensor, generator: torch.Generator) -> Tensor:
    """Make a true picture as imperfect as the first half of a cascade leaves it.

    Blur of sigma U(0, 1.5) pixels, noise of U(0, 0.02) in units of the picture's mean (Ho et al.,
    Cascaded Diffusion Models, 2022).
    """
    batch = len(middle)
    sigma = 0.1 + 1.4 * torch.rand(batch, 1, generator=generator)
    rows = decimation_matrix(middle.shape[-2], 1, sigma, torch.zeros(1)).to(middle)
    columns = decimation_matrix(middle.shape[-1], 1, sigma, torch.zeros(1)).to(middle)
    blurred = torch.einsum("bcih,bchw,bcjw->bcij", rows, middle, columns)
    noise = torch.randn(middle.shape, generator=generator)
    noise = 0.02 * torch.rand(batch, 1, 1, 1, generator=generator) * noise
    return blurred + noise.to(middle) * middle.mean((1, 2, 3), keepdim=True)


class Sr3Loss:
    """Velocity loss of three tasks, and what the x4 estimate looks like once it is shown.

    Half of a batch goes x4 at once, a quarter each through the halves of the cascade. A share of
    the batch, of the x4 pictures, is judged as in PolishLoss: after back-projection, by L1, LPIPS
    and grid, and by what it lacks of the input before that.
    """

    def __init__(self, network: SR3, bench: Bench, *, share: float = 0.34) -> None:
        self.network = network
        self.bench = bench
        self.share = share
        self.perceptual = bench.make_perceptual()

    def __call__(self, step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        network, generator = self.network, self.bench.pairs.generator
        hr, lr = self.bench.draw(strength=GENTLY)
        quarter = max(1, len(hr) // 4)
        direct = len(hr) - 2 * quarter
        middle = halve(hr[direct:])
        rough = roughen(middle[:quarter], generator)
        conds = network.condition(lr[:direct], 4), network.condition(rough, 2)
        residuals = (
            network.residual(hr[:direct], conds[0], 4),
            network.residual(hr[direct : direct + quarter], conds[1], 2),
        )
        # x4 and the second half of the cascade have the same size: one call
        factor = torch.tensor([4.0] * direct + [2.0] * quarter, device=hr.device)
        velocity, x0 = self.velocity(torch.cat(residuals), torch.cat(conds), factor)
        cond = network.condition(lr[-quarter:], 2)
        residual = network.residual(middle[quarter:], cond, 2)
        first, _ = self.velocity(residual, cond, factor[-quarter:])
        parts = {"velocity": velocity[:direct].mean(), "second": velocity[direct:].mean()}
        parts["first"] = first.mean()
        n = min(direct, max(1, round(self.share * len(hr))))
        parts |= self.looks(x0[:n], conds[0][:n], hr[:n], lr[:n])
        weights = {"velocity": 0.5, "first": 0.25, "second": 0.25}
        weights |= {"pixel": 0.5, "lpips": 0.5, "grid": 0.3, "residual": 0.2}
        total = sum(weights[name] * part for name, part in parts.items())
        return total, {name: part.item() for name, part in parts.items()}

    def velocity(self, residual: Tensor, cond: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted error of the velocity of each residual [B], and the estimate of the residual.

        Time is uniform, one stratum per picture, and not tied to steps: the level is continuous.
        The weight min(SNR, 5) + 1 in terms of x0 is DenoiserLoss's.
        """
        gamma = sr3_signal(self._times(len(residual))).to(residual.device)
        level, sigma = (x.sqrt().float()[:, None, None, None] for x in (gamma, 1 - gamma))
        generator = self.bench.pairs.generator
        noise = torch.randn(residual.shape, generator=generator).to(residual)
        x_t = level * residual + sigma * noise
        with self.bench.autocast():
            v = self.network(x_t, level.flatten(), cond, factor)
        v = v.float()
        weight = (gamma / (1 - gamma)).clamp(max=5) + 1
        weight = (weight * (1 - gamma)).float()
        error = (v - (level * noise - sigma * residual)).square().mean((1, 2, 3))
        return weight * error, level * x_t - sigma * v

    def looks(self, x0: Tensor, cond: Tensor, hr: Tensor, lr: Tensor) -> dict[str, Tensor]:
        """Judge the picture of an estimate, for x4."""
        network = self.network
        sr = network.picture(x0, cond, 4)
        shown = back_project(sr, lr, tol=3e-4, max_iterations=15).x
        target, seen = (to_range(x, network.value_range) for x in (hr, shown))
        return {
            "pixel": F.l1_loss(seen, target) / network.residual_scale,
            "lpips": self.perceptual(shown, hr, self.bench.pairs.generator),
            "grid": losses.relative_grid_loss(seen, target),
            "residual": (degrade(sr) - lr).abs().mean() * 100,
        }

    def _times(self, count: int) -> Tensor:
        """Draw times in 0..1, one from each of `count` equal strata, in random order."""
        generator = self.bench.pairs.generator
        strata = torch.arange(count) + torch.rand(count, generator=generator)
        times = strata[torch.randperm(count, generator=generator)] / count
        return times.clamp(min=1e-3)


def train_sr3(bench: Bench, budget: loop.Budget) -> nn.Module:
    """Train SR3 on pixels, x4 and as a cascade; it needs no other network."""
    network = SR3(**GEOMETRY).to(bench.device, memory_format=torch.channels_last)
    loop.fit(
        network,
        Sr3Loss(network, bench),
        budget=budget,
        checkpoint=bench.folder / "sr3.pt",
        extra=bench.random(),
    )
    return network
