"""How the other bases of stage 1 are trained: the large regression, and SR3."""

import torch
from torch import Tensor, nn

from ldsr.models.geometry import REGRESSION
from ldsr.models.regression import Regression
from ldsr.training import loop, losses
from ldsr.training.recipes import GENTLY, Bench

QUIET = 1e-6
"""Squared error in reflectance below which a picture counts as right."""


def grow(small: Regression, large: Regression) -> None:
    """Put a trained trunk into a deeper one; the blocks it lacks begin as the identity."""
    missing = large.load_state_dict(small.state_dict(), strict=False)
    if missing.unexpected_keys:
        raise ValueError(f"the larger network lacks {missing.unexpected_keys[0]}.")
    for block in large.trunk[len(small.trunk) :]:
        nn.init.zeros_(block.conv2.weight)
        nn.init.zeros_(block.conv2.bias)


def train_regressor(bench: Bench, budget: loop.Budget) -> nn.Module:
    """Train the large regression on from the mini model's: the logarithm of each picture's error.

    The mean of log MSE is PSNR but for a factor: bright and dark, quiet and busy count alike. Every
    other batch is seen through the nominal point spread function without noise.
    """
    model = bench.model
    regressor = Regression(**REGRESSION)
    grow(model.regression, regressor)
    regressor = regressor.to(bench.device, memory_format=torch.channels_last)

    def loss(step: int, progress: float) -> tuple[Tensor, dict[str, float]]:
        hr, lr = bench.draw(strength=GENTLY if step % 2 else 0.0)
        with bench.autocast():
            guide, _ = regressor(model.to_range(lr))
        guide = guide.float()
        error = (model.to_reflectance(guide) - hr).square().mean((1, 2, 3))
        decibel = (error + QUIET).log10().mean() * 10
        grid = losses.relative_grid_loss(guide, model.to_range(hr))
        return decibel / 10 + 0.1 * grid, {"decibel": decibel.item(), "grid": grid.item()}

    loop.fit(
        regressor,
        loss,
        budget=budget,
        checkpoint=bench.folder / "regressor.pt",
        extra=bench.random(),
    )
    return regressor
