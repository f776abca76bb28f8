"""The learned weight map: how much of each place the generator may invent.

Weight allocation after DE (Sui et al., 2024), with one weight a place instead of one a channel, so
that it can be drawn, and squashed into 0..1.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.layers import ResBlock, Upsample, activate, make_norm, time_embedding

START_LOGIT = -1.0
"""Of the weight before training: W = 0.21, detail = 0.79."""
MARGIN = 0.1
"""The sigmoid is stretched by this at both ends and cut, so that W can be exactly 0 and 1."""
BORDER = 16
"""Latent pixels that a picture is continued by beyond its border; as far as the map looks."""
OPEN = 0.1
"""Detail from which on a pixel is free; below, what is generated fades out, to nothing at 0."""


class WeightAllocation(nn.Module):
    """Gives W in 0..1: x0 = (1 - W) x0_eps + W z_ref.

    It sees the noisy latent, the generator's estimate, the base and the condition, and the time.

    Args:
        z_channels: of a latent.
        cond_channels: of the condition.
        channels: width; twice as wide at half the size.
        norm: "group" or "pixel".
    """

    def __init__(
        self, *, z_channels: int = 4, cond_channels: int = 64, channels: int = 32,
        norm: str = "pixel",
    ) -> None:  # fmt: skip
        super().__init__()
        self.channels = channels
        embedding = 4 * channels
        self.time = nn.Sequential(
            nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )

        def res(width_in: int, width_out: int) -> ResBlock:
            return ResBlock(width_in, width_out, embedding=embedding, norm=norm)

        self.conv_in = nn.Conv2d(3 * z_channels + cond_channels, channels, 3, padding=1)
        self.fine1 = res(channels, channels)
        self.down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.coarse1 = res(2 * channels, 2 * channels)
        self.coarse2 = res(2 * channels, 2 * channels)
        self.up = Upsample(2 * channels, mode="bilinear")
        self.fine2 = res(3 * channels, channels)
        self.norm_out = make_norm(norm, channels, 1e-6)
        self.conv_out = nn.Conv2d(channels, 1, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.constant_(self.conv_out.bias, START_LOGIT)

    def forward(self, z_t: Tensor, x0: Tensor, z_ref: Tensor, cond: Tensor, t: Tensor) -> Tensor:
        """Give the logit of W.

        Args:
            z_t: noisy latent [B, z, h, w].
            x0: the generator's estimate of the clean latent [B, z, h, w].
            z_ref: latent of the base [B, z, h, w].
            cond: condition [B, cond_channels, h, w].
            t: time steps [B].

        Returns:
            [B, 1, h, w].
        """
        height, width = z_t.shape[-2:]
        x = torch.cat([z_t, x0 - z_ref, z_ref, cond], dim=1)
        margin = 0 if self.training else BORDER
        # beyond its border a picture goes on as it ended: the map must not see a border in zeros
        sides = (margin, margin + width % 2, margin, margin + height % 2)
        x = F.pad(x, sides, mode="replicate")
        embedding = self.time(time_embedding(t, self.channels).to(x.dtype))
        fine = self.fine1(self.conv_in(x), embedding)
        coarse = self.coarse2(self.coarse1(self.down(fine), embedding), embedding)
        h = self.fine2(torch.cat([self.up(coarse), fine], dim=1), embedding)
        logit = self.conv_out(activate(self.norm_out(h)))
        return logit[..., margin : margin + height, margin : margin + width]


def to_weight(logit: Tensor) -> Tensor:
    """Squash the logit into W: 0..1, both ends included."""
    return ((torch.sigmoid(logit.float()) - MARGIN) / (1 - 2 * MARGIN)).clamp(0, 1)


def gate(detail: Tensor) -> Tensor:
    """How far a pixel may leave the base at all: 1 where detail >= OPEN, 0 where it is 0."""
    return (detail / OPEN).clamp(max=1)
