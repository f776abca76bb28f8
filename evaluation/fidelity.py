"""How close a picture is to its reference, pixel by pixel."""

import numpy as np


def psnr(sr: np.ndarray, hr: np.ndarray, *, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, all bands pooled: 10 log10(range^2 / mean squared error).

    Args:
        sr: reflectance [4, H, W]; clipped to 0..`data_range`.
        hr: reflectance [4, H, W].
        data_range: of reflectance.
    """
    error = np.square(sr.clip(0, data_range).astype(np.float64) - hr).mean()
    return float(10 * np.log10(data_range**2 / error))
