"""SR3 (Saharia et al., 2022): diffusion in pixels, told the noise level itself.

A U-Net denoises what bicubic interpolation lacks of the fine picture. Knows no schedule: any level
of noise may be asked for, so that the number of steps can change without training anew.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.layers import PixelNorm, ResBlock, suppress_nyquist, time_embedding
from ldsr.models.value_range import to_range, to_reflectance

SKIP_SCALE = 0.5**0.5
"""A sum of two equals is as large as each of them again."""
LEVEL_SCALE = 1000.0
"""The level 0..1 is embedded as if it were a time step 0..1000."""
COND_MEAN, COND_STD = 0.4, 0.1
"""What the condition is brought near N(0, 1) with, in the network's range."""


class ScaledBlock(ResBlock):
    """A ResBlock without a preference of its skip: the sum is rescaled by 1 / sqrt(2)."""

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        return SKIP_SCALE * super().forward(x, embedding)


class SR3(nn.Module):
    """Predicts the velocity of a noisy residual: fine picture minus interpolated coarse one.

    The trunk works at half the size (2 x 2 pixels become channels) and below; its features are
    interpolated bilinearly, which leaves no grid, and a light head at full size has the last word.

    Args:
        bands: of the picture.
        channels: width of the trunk's first level; `mults` gives the widths of the levels.
        mults: two levels or more, each half as large as the one before.
        blocks: of a level on the way down, and on the way up; of the lowest level, twice as many.
        head: channels at full size.
        value_range: "reflectance" or "sqrt", as in `ldsr.models.value_range`.
        residual_scale: standard deviation of the residual of x4 in that range; x2 has half of it.
    """

    def __init__(
        self,
        *,
        bands: int = 4,
        channels: int = 48,
        mults: tuple[int, ...] = (1, 2, 3),
        blocks: int = 1,
        head: int = 24,
        value_range: str = "sqrt",
        residual_scale: float = 0.036,
    ) -> None:
        super().__init__()
        self.bands = bands
        self.channels = channels
        self.value_range = value_range
        self.residual_scale = residual_scale
        self.multiple = 2 ** len(mults)
        embedding = 4 * channels
        self.level = nn.Sequential(
            nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.factor = nn.Linear(1, embedding)

        def stage(width: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(
                ScaledBlock(width, width, embedding=embedding, norm="pixel") for _ in range(count)
            )

        widths = [channels * mult for mult in mults]
        steps = list(zip(widths[:-1], widths[1:], strict=True))
        self.conv_in = nn.Conv2d(4 * 2 * bands, channels, 3, padding=1)
        self.down = nn.ModuleList(stage(width, blocks) for width, _ in steps)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in steps)
        self.middle = stage(widths[-1], 2 * blocks)
        self.widen = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in reversed(steps))
        self.up = nn.ModuleList(stage(width, blocks) for width, _ in reversed(steps))
        self.norm_out = PixelNorm(channels)
        self.reduce = nn.Conv2d(channels, head, 3, padding=1)
        self.head = nn.Conv2d(head + 2 * bands, head, 3, padding=1)
        self.head_embed = nn.Linear(embedding, head)
        self.conv_out = nn.Conv2d(head, bands, 3, padding=1)

    def forward(self, x_t: Tensor, level: Tensor, cond: Tensor, factor: Tensor) -> Tensor:
        """Predict the velocity v = level eps - sqrt(1 - level^2) x0.

        Args:
            x_t: noisy residual [B, bands, H, W].
            level: amplitude of the signal in it, sqrt(gamma), 0..1 [B].
            cond: the coarse picture on the fine grid, network's range [B, bands, H, W].
            factor: fine pixels to a coarse one, 2 or 4 [B].

        Returns:
            [B, bands, H, W].
        """
        height, width = x_t.shape[-2:]
        x = torch.cat([x_t, (cond - COND_MEAN) / COND_STD], dim=1)
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        embedding = self.embed(level, factor).to(x.dtype)
        h = self.trunk(self.conv_in(F.pixel_unshuffle(x, 2)), embedding)
        h = _twice(self.reduce(F.silu(self.norm_out(h))))
        h = self.head(torch.cat([h, x], dim=1))
        h = F.silu(h + self.head_embed(F.silu(embedding))[:, :, None, None])
        return self.conv_out(h)[..., :height, :width]

    def embed(self, level: Tensor, factor: Tensor) -> Tensor:
        """Embed noise level [B] and factor [B]: [B, 4 channels]."""
        waves = time_embedding(LEVEL_SCALE * level, self.channels)
        return self.level(waves) + self.factor(factor.float().log2()[:, None])

    def trunk(self, h: Tensor, embedding: Tensor) -> Tensor:
        """The U-Net at half size; what crosses it is added, and rescaled like every sum."""
        skips = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            for block in blocks:
                h = block(h, embedding)
            skips.append(h)
            h = shrink(h)
        for block in self.middle:
            h = block(h, embedding)
        for blocks, widen in zip(self.up, self.widen, strict=True):
            h = SKIP_SCALE * (_twice(widen(h)) + skips.pop())
            for block in blocks:
                h = block(h, embedding)
        return h

    def condition(self, coarse: Tensor, factor: int) -> Tensor:
        """Interpolate reflectance [B, bands, H, W] `factor` times finer, in the network's range."""
        fine = F.interpolate(coarse, scale_factor=factor, mode="bicubic")
        return to_range(fine, self.value_range)

    def residual(self, picture: Tensor, cond: Tensor, factor: int) -> Tensor:
        """What the condition lacks of a picture (reflectance), with about unit deviation."""
        return (to_range(picture, self.value_range) - cond) / self._scale(factor)

    def picture(self, residual: Tensor, cond: Tensor, factor: int) -> Tensor:
        """Reflectance of condition and residual; what alternates pixel by pixel is left out."""
        base = to_reflectance(cond, self.value_range)
        whole = to_reflectance(cond + self._scale(factor) * residual, self.value_range)
        return base + suppress_nyquist(whole - base)

    def _scale(self, factor: int) -> float:
        return self.residual_scale * factor / 4


def _twice(h: Tensor) -> Tensor:
    return F.interpolate(h, scale_factor=2, mode="bilinear")
