"""What the networks are trained to: pixels, perception, distribution, and no grid."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Distance = Callable[[Tensor, Tensor, torch.Generator], Tensor]
"""Of a picture to its reference, [B, 4, H, W] each; a scalar."""


class Perceptual(nn.Module):
    """LPIPS (AlexNet) on a random three of the four bands, stretched by the reference.

    Both pictures are cut at a random offset of up to three pixels, so that the stride of AlexNet's
    first layer cannot imprint a grid on what is trained with it. Needs the package `lpips` (0.1.4)
    and torchvision's AlexNet in the torch hub folder.
    """

    def __init__(self) -> None:
        super().__init__()
        import lpips

        self.net = lpips.LPIPS(net="alex", verbose=False).eval().requires_grad_(False)

    def forward(self, sr: Tensor, hr: Tensor, generator: torch.Generator) -> Tensor:
        """Distance of reflectance sr to hr, both [B, 4, H, W]; a scalar."""
        drop = torch.randint(5, (1,), generator=generator).item()
        bands = [b for b in (0, 1, 2, 3) if b != (3 if drop > 3 else drop)]
        top, left = torch.randint(4, (2,), generator=generator).tolist()
        rows, columns = slice(top, sr.shape[-2] - 3 + top), slice(left, sr.shape[-1] - 3 + left)
        sr, hr = (stretch(x[:, bands], hr[:, bands])[..., rows, columns] for x in (sr, hr))
        return self.net(sr, hr).mean()


class SpatialPerceptual(nn.Module):
    """LPIPS (AlexNet) of R, G, B at each pixel, stretched by the reference; as `Perceptual`."""

    def __init__(self) -> None:
        super().__init__()
        import lpips

        net = lpips.LPIPS(net="alex", spatial=True, verbose=False)
        self.net = net.eval().requires_grad_(False)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distance of reflectance sr to hr, [B, 4, H, W] each: [B, 1, H, W]."""
        return self.net(*(stretch(x[:, :3], hr[:, :3]) for x in (sr, hr)))


def stretch(x: Tensor, reference: Tensor) -> Tensor:
    """Map the reference's 1st to 99th percentile of each picture (all bands pooled) to -1..1."""
    flat = reference.flatten(1)
    rank = max(1, round(0.01 * flat.shape[1]))
    low = flat.kthvalue(rank, dim=1).values[:, None, None, None]
    high = flat.kthvalue(flat.shape[1] - rank + 1, dim=1).values[:, None, None, None]
    return ((x - low) / (high - low).clamp(min=0.01) * 2 - 1).clamp(-1.2, 1.2)


def phase_means(x: Tensor) -> Tensor:
    """Mean of each 4 x 4 pixel phase minus the overall mean: [B, C, H, W] -> [B, C, 4, 4]."""
    batch, channels, height, width = x.shape
    means = x.reshape(batch, channels, height // 4, 4, width // 4, 4).mean((2, 4))
    return means - means.mean((2, 3), keepdim=True)


def grid_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """Penalise a pattern that repeats every four pixels and that the reference does not have."""
    return (phase_means(sr) - phase_means(hr)).abs().mean()


def relative_grid_loss(sr: Tensor, hr: Tensor) -> Tensor:
    """`grid_loss` in units of each band's fine texture, so that quiet scenes count as much."""
    texture = hr - F.avg_pool2d(hr, 5, stride=1, padding=2, count_include_pad=False)
    scale = texture.std((2, 3), keepdim=True) + 0.002
    return ((phase_means(sr) - phase_means(hr)) / scale).abs().mean()


def wasserstein(sr: Tensor, hr: Tensor) -> Tensor:
    """Wasserstein-1 distance of each band's values, the histogram regulariser of LDSR-S2."""
    return (sr.flatten(2).sort(dim=2).values - hr.flatten(2).sort(dim=2).values).abs().mean()


class PatchCritic(nn.Module):
    """Judges patches of a picture: [B, bands, H, W] -> [B, 1, h, w], high for real."""

    def __init__(self, bands: int = 4, channels: int = 32) -> None:
        super().__init__()

        def spectral(width_in: int, width_out: int, stride: int) -> nn.Module:
            conv = nn.Conv2d(width_in, width_out, 4, stride=stride, padding=1)
            return nn.utils.parametrizations.spectral_norm(conv)

        self.net = nn.Sequential(
            spectral(bands, channels, 2),
            nn.LeakyReLU(0.2),
            spectral(channels, 2 * channels, 2),
            nn.LeakyReLU(0.2),
            spectral(2 * channels, 4 * channels, 1),
            nn.LeakyReLU(0.2),
            spectral(4 * channels, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the critic."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
