"""Whether colours are right: spectral angle, ERGAS, NDVI."""

import numpy as np

from ldsr.data.bands import BANDS

DARK = 1e-6
"""Pixels shorter than this have no direction."""


def spectral_angle(sr: np.ndarray, hr: np.ndarray, *, valid: np.ndarray | None = None) -> float:
    """Angle in degrees between the bands of a pixel and its reference, mean over the pixels.

    (Kruse et al. 1993's spectral angle mapper.)

    Args:
        sr, hr: reflectance [C, H, W].
        valid: bool [H, W], the pixels that count; all by default.

    Returns:
        0..180, NaN where no pixel counts.
    """
    angles = angle_map(sr, hr)
    counted = np.isfinite(angles) if valid is None else np.isfinite(angles) & valid
    return float(angles[counted].mean()) if counted.any() else float("nan")


def angle_map(sr: np.ndarray, hr: np.ndarray) -> np.ndarray:
    """Angle of each pixel in degrees [H, W], NaN where either has no direction."""
    first, second = (x.astype(np.float64) for x in (sr, hr))
    lengths = [np.sqrt(np.square(x).sum(0)) for x in (first, second)]
    bright = (lengths[0] > DARK) & (lengths[1] > DARK)
    units = [x / np.where(bright, n, 1) for x, n in zip((first, second), lengths, strict=True)]
    # half the chord is the sine of half the angle: exact for small angles, unlike arccos
    half = np.sqrt(np.square(units[0] - units[1]).sum(0)) / 2
    return np.where(bright, np.degrees(2 * np.arcsin(half.clip(0, 1))), np.nan)


def ergas(squared_error: np.ndarray, mean: np.ndarray, *, factor: int = 4) -> float:
    """Relative error of all bands: 100 / factor * sqrt(mean_b (RMSE_b / mean_b)^2) (Wald 2000).

    Args:
        squared_error: mean squared error of each band, [C].
        mean: of each band of the reference, [C].
        factor: how many times the pixels became smaller.
    """
    return float(100 / factor * np.sqrt((squared_error / np.square(mean)).mean()))


def ndvi(x: np.ndarray) -> np.ndarray:
    """Vegetation index (NIR - R) / (NIR + R) of [4, H, W], NaN where the sum is not above 0."""
    red, nir = (x[BANDS.index(band)].astype(np.float64).clip(0) for band in ("R", "NIR"))
    total = red + nir
    return np.where(total > DARK, (nir - red) / np.where(total > DARK, total, 1), np.nan)


def ndvi_error(sr: np.ndarray, hr: np.ndarray, *, valid: np.ndarray | None = None) -> float:
    """Mean absolute error of the vegetation index; arguments as `spectral_angle`."""
    error = np.abs(ndvi(sr) - ndvi(hr))
    counted = np.isfinite(error) if valid is None else np.isfinite(error) & valid
    return float(error[counted].mean()) if counted.any() else float("nan")
