"""KL-f4 autoencoder: pictures to latents of a quarter of their size, and back.

One class for both sizes. The published geometry (LDSR-S2) is the default. The mini model codes only
the detail that its guide, a first picture at full size, lacks; its decoder sees that guide.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.layers import Attention, ResBlock, Upsample, activate, add, make_norm


class Downsample(nn.Module):
    """Half the size: pad right and bottom by one, 3x3 convolution with stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Middle(nn.Module):
    """ResBlock, attention (optional), ResBlock at the lowest resolution."""

    def __init__(self, channels: int, *, attention: bool, norm: str) -> None:
        super().__init__()
        self.block1 = ResBlock(channels, channels, norm=norm)
        self.attention = Attention(channels, norm=norm) if attention else nn.Identity()
        self.block2 = ResBlock(channels, channels, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        return self.block2(self.attention(self.block1(x)))


class Encoder(nn.Module):
    """[B, bands, 4h, 4w] -> [B, 2 * z_channels, h, w]: mean and log-variance, before `quant`."""

    def __init__(
        self,
        *,
        bands: int,
        channels: int,
        mults: tuple[int, ...],
        blocks: int,
        z_channels: int,
        attention: bool,
        norm: str,
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(bands, channels, 3, padding=1)
        self.levels = nn.ModuleList()
        width = channels
        for level, mult in enumerate(mults):
            stage = nn.ModuleDict({"blocks": nn.ModuleList()})
            for _ in range(blocks):
                stage["blocks"].append(ResBlock(width, channels * mult, norm=norm))
                width = channels * mult
            if level < len(mults) - 1:
                stage["down"] = Downsample(width)
            self.levels.append(stage)
        self.middle = Middle(width, attention=attention, norm=norm)
        self.norm_out = make_norm(norm, width, 1e-6)
        self.conv_out = nn.Conv2d(width, 2 * z_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for stage in self.levels:
            for block in stage["blocks"]:
                h = block(h)
            if "down" in stage:
                h = stage["down"](h)
        return self.conv_out(activate(self.norm_out(self.middle(h))))


class Decoder(nn.Module):
    """[B, z_channels, h, w] (and the guide [B, bands, 4h, 4w]) -> [B, bands, 4h, 4w].

    `levels` run from the lowest to the highest resolution.
    """

    def __init__(
        self,
        *,
        bands: int,
        channels: int,
        mults: tuple[int, ...],
        blocks: int,
        z_channels: int,
        attention: bool,
        norm: str,
        upsample: str,
        guided: bool,
    ) -> None:
        super().__init__()
        width = channels * mults[-1]
        self.conv_in = nn.Conv2d(z_channels, width, 3, padding=1)
        self.middle = Middle(width, attention=attention, norm=norm)
        self.levels = nn.ModuleList()
        for level, mult in reversed(list(enumerate(mults))):
            stage = nn.ModuleDict({"blocks": nn.ModuleList()})
            if guided:
                stage["guide"] = nn.Conv2d(bands, width, 3, padding=1)
            for _ in range(blocks + 1):
                stage["blocks"].append(ResBlock(width, channels * mult, norm=norm))
                width = channels * mult
            if level > 0:
                stage["up"] = Upsample(width, mode=upsample)
            self.levels.append(stage)
        self.norm_out = make_norm(norm, width, 1e-6)
        self.conv_out = nn.Conv2d(width, bands, 3, padding=1)

    def forward(self, z: Tensor, guide: Tensor | None = None) -> Tensor:
        h = self.middle(self.conv_in(z))
        for level, stage in enumerate(self.levels):
            if "guide" in stage:
                factor = 2 ** (len(self.levels) - 1 - level)
                h = add(h, stage["guide"](F.avg_pool2d(guide, factor) if factor > 1 else guide))
            for block in stage["blocks"]:
                h = block(h)
            if "up" in stage:
                h = stage["up"](h)
        return self.conv_out(activate(self.norm_out(h)))


class Autoencoder(nn.Module):
    """KL autoencoder with a factor of 4 and `z_channels` latent channels.

    Args:
        bands: of the picture.
        channels: at full resolution; `mults` gives the widths of the levels.
        blocks: ResBlocks of an encoder level; a decoder level has one more.
        z_channels: latent channels.
        attention: self-attention at the lowest resolution.
        norm: "group" as published, or "pixel".
        upsample: "nearest" as published, or "bilinear", which leaves no grid.
        guided: the decoder sees a guide picture at full size.
    """

    def __init__(
        self,
        *,
        bands: int = 4,
        channels: int = 128,
        mults: tuple[int, ...] = (1, 2, 4),
        blocks: int = 2,
        z_channels: int = 4,
        attention: bool = True,
        norm: str = "group",
        upsample: str = "nearest",
        guided: bool = False,
    ) -> None:
        super().__init__()
        shape = dict(
            bands=bands,
            channels=channels,
            mults=mults,
            blocks=blocks,
            z_channels=z_channels,
            attention=attention,
            norm=norm,
        )
        self.encoder = Encoder(**shape)
        self.decoder = Decoder(**shape, upsample=upsample, guided=guided)
        self.quant = nn.Conv2d(2 * z_channels, 2 * z_channels, 1)
        self.post_quant = nn.Conv2d(z_channels, z_channels, 1)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode [B, bands, 4h, 4w] to mean and log-variance of the latent, each [B, z, h, w]."""
        mean, log_variance = self.quant(self.encoder(x)).chunk(2, dim=1)
        return mean, log_variance.clamp(-30, 20)

    def decode(self, z: Tensor, guide: Tensor | None = None) -> Tensor:
        """Decode [B, z, h, w], with the guide [B, bands, 4h, 4w] if built `guided`."""
        return self.decoder(self.post_quant(z), guide)
