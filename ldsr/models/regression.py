"""A residual CNN that predicts the conditional mean: 10 m in, 2.5 m out, in one pass.

It is the light stage 1, and what the mini diffusion model starts from: its picture guides the
decoder, its features condition the denoiser.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.layers import Upsample


class PlainBlock(nn.Module):
    """conv - SiLU - conv, plus the input; no normalisation, so that brightness is kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(x)))


class Regression(nn.Module):
    """Bicubic interpolation plus a learned residual; x4 by bilinear steps, which leave no grid.

    Args:
        bands: of the picture.
        channels: of the trunk, which works at low resolution.
        blocks: of the trunk.
        head: channels of the two convolutions at full resolution.
    """

    def __init__(
        self, *, bands: int = 4, channels: int = 64, blocks: int = 8, head: int = 32
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(bands, channels, 3, padding=1)
        self.trunk = nn.Sequential(*(PlainBlock(channels) for _ in range(blocks)))
        self.up1 = Upsample(channels, mode="bilinear")
        self.reduce = nn.Conv2d(channels, head, 3, padding=1)
        self.up2 = Upsample(head, mode="bilinear")
        self.conv_out = nn.Conv2d(head, bands, 3, padding=1)

    def forward(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Predict.

        Args:
            lr: low-resolution picture [B, bands, H, W] in the network's range.

        Returns:
            The picture [B, bands, 4H, 4W] and the features [B, channels, H, W] it came from.
        """
        features = self.conv_in(lr)
        features = features + self.trunk(features)
        h = F.silu(self.reduce(F.silu(self.up1(features))))
        residual = self.conv_out(F.silu(self.up2(h)))
        return F.interpolate(lr, scale_factor=4, mode="bicubic") + residual, features
