"""From a fine picture to what Sentinel-2 would have seen of it: blur, decimate, noise, quantise."""

import torch
from torch import Tensor

from ldsr.consistency import PSF_SIGMA


def decimation_matrix(size: int, factor: int, sigma: Tensor, shift: Tensor) -> Tensor:
    """Build the rows that blur and decimate one axis, normalised so that a constant stays itself.

    Args:
        size: length of the fine axis.
        factor: fine pixels to a coarse one.
        sigma: of the Gaussian in fine pixels [...].
        shift: of the sampling points in fine pixels [...].

    Returns:
        [..., size // factor, size].
    """
    fine = torch.arange(size, dtype=torch.float32) + 0.5
    coarse = (torch.arange(size // factor, dtype=torch.float32) + 0.5) * factor
    offset = fine - (coarse[:, None] + shift[..., None, None])
    weights = torch.exp(-0.5 * (offset / sigma[..., None, None]) ** 2)
    return weights / weights.sum(-1, keepdim=True)


def degrade_randomly(hr: Tensor, generator: torch.Generator, *, strength: float = 1.0) -> Tensor:
    """Degrade with a random point spread function, band shifts, noise and quantisation.

    At full strength the blur is PSF_SIGMA times U(0.85, 1.25) per picture and up to 10 % of
    anisotropy; bands are shifted by N(0, 0.15) fine pixels; noise is N(0, s^2), s = 0.0005..0.002
    plus 0..1.5 % of the band's mean.

    Args:
        hr: reflectance [B, 4, H, W].
        generator: of all randomness.
        strength: 0..1, scales every deviation from the nominal.

    Returns:
        Reflectance [B, 4, H/4, W/4].
    """
    batch = hr.shape[0]

    def uniform(*shape: int, low: float, high: float) -> Tensor:
        return (torch.rand(*shape, generator=generator) * (high - low) + low) * strength

    sigma = torch.tensor(PSF_SIGMA) * (1 + uniform(batch, 1, low=-0.15, high=0.25))
    sigma = sigma * (1 + uniform(batch, 4, low=-0.03, high=0.03))
    aspect = 1 + uniform(batch, 1, low=-0.05, high=0.05)
    shift = torch.randn(2, batch, 4, generator=generator) * 0.15 * strength
    rows = decimation_matrix(hr.shape[-2], 4, sigma * aspect, shift[0])
    columns = decimation_matrix(hr.shape[-1], 4, sigma / aspect, shift[1])
    lr = torch.einsum("bcih,bchw,bcjw->bcij", rows, hr, columns)
    level = uniform(batch, 1, 1, 1, low=0.0005, high=0.002)
    level = level + uniform(batch, 1, 1, 1, low=0.0, high=0.015) * lr.mean((2, 3), keepdim=True)
    lr = lr + level * torch.randn(lr.shape, generator=generator)
    return (lr * 10000).round() / 10000
