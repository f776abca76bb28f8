"""How close a picture is to its reference, pixel by pixel: PSNR, SSIM, squared error.

Four bands in reflectance, compared over a fixed range of 1 (never a picture's own maximum).
"""

import numpy as np

from ldsr.data.bands import BANDS

BORDER = 16
"""Pixels of 2.5 m left out along every edge, as in opensr-test: networks are worst there."""
SMALL, SMALL_BORDER = 128, 4
"""A picture with a side below this loses one pixel of the input only: 16 would leave too little."""
WINDOW = 5
"""Radius of SSIM's Gaussian window (11 x 11, sigma 1.5)."""


def border_of(size: tuple[int, int]) -> int:
    """Pixels left out along every edge of a picture of this height and width."""
    return BORDER if min(size) >= SMALL else SMALL_BORDER


def crop(x: np.ndarray, border: int) -> np.ndarray:
    """Leave out `border` pixels along each edge of [..., H, W]."""
    return x[..., border : x.shape[-2] - border, border : x.shape[-1] - border]


def psnr(
    sr: np.ndarray,
    hr: np.ndarray,
    *,
    data_range: float = 1.0,
    border: int = 0,
    valid: np.ndarray | None = None,
) -> float:
    """Peak signal-to-noise ratio in dB, all bands pooled: 10 log10(range^2 / mean squared error).

    Args:
        sr: reflectance [C, H, W]; clipped to 0..`data_range`, as `hr` is.
        hr: reflectance [C, H, W].
        data_range: of reflectance.
        border: pixels left out along each edge.
        valid: bool [H, W], the pixels that count; all by default.

    Returns:
        Infinity for identical pictures, NaN where no pixel counts.
    """
    return to_psnr(squared_error(sr, hr, data_range=data_range, border=border, valid=valid).mean())


def to_psnr(error: float, data_range: float = 1.0) -> float:
    """Mean squared error to dB."""
    if error == 0:
        return float("inf")
    return float(10 * np.log10(data_range**2 / error))


def squared_error(
    sr: np.ndarray,
    hr: np.ndarray,
    *,
    data_range: float | None = 1.0,
    border: int = 0,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Mean squared error of each band, [C]; arguments as `psnr`, a range of None clips nothing."""
    if data_range is not None:
        sr, hr = sr.clip(0, data_range), hr.clip(0, data_range)
    error = crop(np.square(sr.astype(np.float64) - hr), border)
    if valid is None:
        return error.mean((-2, -1))
    counted = crop(valid, border)
    if not counted.any():
        return np.full(len(error), np.nan)
    return error[:, counted].mean(-1)


def ssim(
    sr: np.ndarray,
    hr: np.ndarray,
    *,
    data_range: float = 1.0,
    border: int = 0,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """Structural similarity of each band (Wang et al. 2004), [C].

    Gaussian window of 11 x 11 pixels, sigma 1.5, K 0.01 and 0.03; only windows that lie wholly
    inside the picture, and wholly on pixels that count, are averaged.

    Args:
        sr, hr, data_range, border, valid: as `psnr`.
    """
    from scipy.ndimage import minimum_filter
    from skimage.metrics import structural_similarity

    sr, hr = (crop(x.clip(0, data_range).astype(np.float64), border) for x in (sr, hr))
    counted = np.ones(sr.shape[1:], bool) if valid is None else crop(valid, border)
    inside = crop(minimum_filter(counted, 2 * WINDOW + 1), WINDOW)
    if min(sr.shape[1:]) < 2 * WINDOW + 1 or not inside.any():
        return np.full(len(sr), np.nan)
    similar = [
        structural_similarity(
            first,
            second,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1]
        for first, second in zip(sr, hr, strict=True)
    ]
    return np.array([crop(x, WINDOW)[inside].mean() for x in similar])


def displayed_range(hr: np.ndarray, valid: np.ndarray) -> float:
    """Reflectance range of a reference, 0.1st to 99.9th percentile of its valid pixels.

    PSNR over this range compares with papers that work on stretched 8-bit pictures.
    """
    low, high = np.percentile(hr[:, valid], [0.1, 99.9])
    return float(max(high - low, 0.01))


def by_band(values: np.ndarray) -> dict[str, float]:
    """Name one number a band."""
    return dict(zip(BANDS, map(float, values), strict=True))
