"""The denoiser: a time-conditioned U-Net on latents, one class for both sizes.

The published geometry (LDSR-S2) is the default. Any latent size works: it is padded inside.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.layers import Attention, ResBlock, Upsample, make_norm, time_embedding

EPS = 1e-5


class UNet(nn.Module):
    """Predicts noise or velocity of a noisy latent that is concatenated to its condition.

    Args:
        channels_in: channels of the noisy latent and the condition together.
        channels_out: channels of the prediction.
        channels: width of the first level; `mults` gives the widths of the levels.
        blocks: ResBlocks of a level on the way down; one more on the way up.
        attention_levels: levels with self-attention.
        middle_attention: self-attention in the middle.
        head_channels: channels of an attention head.
        norm: "group" as published, or "pixel".
        upsample: "nearest" as published, or "bilinear".
    """

    def __init__(
        self,
        *,
        channels_in: int = 8,
        channels_out: int = 4,
        channels: int = 160,
        mults: tuple[int, ...] = (1, 2, 2, 4),
        blocks: int = 2,
        attention_levels: tuple[int, ...] = (3,),
        middle_attention: bool = True,
        head_channels: int = 32,
        norm: str = "group",
        upsample: str = "nearest",
    ) -> None:
        super().__init__()
        self.channels = channels
        self.factor = 2 ** (len(mults) - 1)
        embedding = 4 * channels
        self.time = nn.Sequential(
            nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )

        def res(width_in: int, width_out: int) -> ResBlock:
            return ResBlock(width_in, width_out, embedding=embedding, norm=norm, eps=EPS)

        def attend(width: int, wanted: bool) -> nn.Module:
            if not wanted:
                return nn.Identity()
            return Attention(width, heads=width // head_channels, norm=norm, eps=EPS)

        self.conv_in = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.down = nn.ModuleList()
        width, skips = channels, [channels]
        for level, mult in enumerate(mults):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks):
                stage["blocks"].append(res(width, channels * mult))
                width = channels * mult
                stage["attention"].append(attend(width, level in attention_levels))
                skips.append(width)
            if level < len(mults) - 1:
                stage["down"] = nn.Conv2d(width, width, 3, stride=2, padding=1)
                skips.append(width)
            self.down.append(stage)

        self.middle1 = res(width, width)
        self.middle_attention = attend(width, middle_attention)
        self.middle2 = res(width, width)

        self.up = nn.ModuleList()
        for level, mult in reversed(list(enumerate(mults))):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks + 1):
                stage["blocks"].append(res(width + skips.pop(), channels * mult))
                width = channels * mult
                stage["attention"].append(attend(width, level in attention_levels))
            if level > 0:
                stage["up"] = Upsample(width, mode=upsample)
            self.up.append(stage)

        self.norm_out = make_norm(norm, width, EPS)
        self.conv_out = nn.Conv2d(width, channels_out, 3, padding=1)

    def forward(self, z_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """Predict noise or velocity.

        Args:
            z_t: noisy latent [B, z, h, w].
            t: time steps [B].
            cond: condition [B, channels_in - z, h, w].

        Returns:
            [B, channels_out, h, w].
        """
        height, width = z_t.shape[-2:]
        x = torch.cat([z_t, cond], dim=1)
        x = F.pad(x, (0, -width % self.factor, 0, -height % self.factor), mode="replicate")
        embedding = self.time(time_embedding(t, self.channels).to(x.dtype))
        h = self.conv_in(x)
        skips = [h]
        for stage in self.down:
            for block, attention in zip(stage["blocks"], stage["attention"], strict=True):
                h = attention(block(h, embedding))
                skips.append(h)
            if "down" in stage:
                h = stage["down"](h)
                skips.append(h)
        h = self.middle2(self.middle_attention(self.middle1(h, embedding)), embedding)
        for stage in self.up:
            for block, attention in zip(stage["blocks"], stage["attention"], strict=True):
                h = attention(block(torch.cat([h, skips.pop()], dim=1), embedding))
            if "up" in stage:
                h = stage["up"](h)
        return self.conv_out(F.silu(self.norm_out(h)))[..., :height, :width]
