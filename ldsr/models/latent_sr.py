"""One super-resolution model: networks put together, reflectance in and out.

Two ways of guidance, one interface (`prepare`, `denoise`, `encode`, `decode`):
  mini: a regression gives guide and condition; the latent codes the detail the guide lacks;
  published (LDSR-S2): no guide, the condition is the encoded bilinear interpolation.
"""

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.autoencoder import Autoencoder
from ldsr.models.layers import suppress_nyquist
from ldsr.models.regression import Regression
from ldsr.models.unet import BlockCache, UNet
from ldsr.models.value_range import to_range, to_reflectance


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What depends on the input alone and is computed once for all steps and samples.

    Attributes:
        guide: first picture in the network's range [B, bands, 4H, 4W], or None.
        cond: condition of the denoiser [B, C, H, W].
    """

    guide: Tensor | None
    cond: Tensor

    def expand(self, count: int) -> "Prepared":
        """The one input (B = 1) for each of several samples, without copies."""
        if count == len(self.cond):
            return self
        guide = None if self.guide is None else self.guide.expand(count, -1, -1, -1)
        return Prepared(guide, self.cond.expand(count, -1, -1, -1))


class LatentSR(nn.Module):
    """Latent diffusion super-resolution x4.

    Args:
        autoencoder: arguments of Autoencoder.
        denoiser: arguments of UNet.
        regression: arguments of Regression, or None for the published geometry.
        value_range: "reflectance" (the network sees reflectance as is) or "sqrt" (its square root).
        detail_scale: the latent codes (picture - guide) / detail_scale.
    """

    def __init__(
        self,
        *,
        autoencoder: dict,
        denoiser: dict,
        regression: dict | None = None,
        value_range: str = "reflectance",
        detail_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.value_range = value_range
        self.detail_scale = detail_scale
        self.autoencoder = Autoencoder(**autoencoder)
        self.denoiser = UNet(**denoiser)
        self.regression = Regression(**regression) if regression is not None else None
        z_channels = autoencoder.get("z_channels", 4)
        self.register_buffer("latent_mean", torch.zeros(1, z_channels, 1, 1))
        self.register_buffer("latent_std", torch.ones(1, z_channels, 1, 1))
        features = regression.get("channels", 64) if regression is not None else z_channels
        self.register_buffer("cond_mean", torch.zeros(1, features, 1, 1))
        self.register_buffer("cond_std", torch.ones(1, features, 1, 1))

    def to_range(self, reflectance: Tensor) -> Tensor:
        """Map reflectance to the network's range."""
        return to_range(reflectance, self.value_range)

    def to_reflectance(self, x: Tensor) -> Tensor:
        """Map the network's range to reflectance; the inverse of `to_range`."""
        return to_reflectance(x, self.value_range)

    def regress(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Give the guide picture [B, bands, 4H, 4W] (network's range) and its features."""
        return self.regression(self.to_range(lr))

    def prepare(self, lr: Tensor) -> Prepared:
        """Compute guide and condition of reflectance [B, bands, H, W]."""
        if self.regression is not None:
            guide, features = self.regress(lr)
            return Prepared(guide, (features - self.cond_mean) / self.cond_std)
        up = F.interpolate(self.to_range(lr), scale_factor=4, mode="bilinear")
        return Prepared(None, self.encode(up))

    def denoise(
        self, z_t: Tensor, t: Tensor, prepared: Prepared, *, cache: BlockCache | None = None
    ) -> Tensor:
        """Evaluate the denoiser on z_t [B, z, H, W] at time steps t [B]."""
        return self.denoiser(z_t, t, prepared.cond, cache=cache)

    def encode(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Encode a picture in the network's range to the latent (posterior mean, normalised)."""
        if guide is not None:
            x = (x - guide) / self.detail_scale
        mean, _ = self.autoencoder.encode(x)
        return (mean - self.latent_mean) / self.latent_std

    def decode(self, z: Tensor, prepared: Prepared) -> Tensor:
        """Decode a latent to reflectance [B, bands, 4H, 4W]."""
        z = z * self.latent_std + self.latent_mean
        x = self.autoencoder.decode(z, prepared.guide)
        if prepared.guide is None:
            return self.to_reflectance(x)
        guide = self.to_reflectance(prepared.guide)
        picture = self.to_reflectance(prepared.guide + self.detail_scale * x.float())
        # upsampling inside the decoder can leave a checkerboard; the guide has none
        return guide + suppress_nyquist(picture - guide)
