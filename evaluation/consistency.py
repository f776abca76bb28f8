"""Whether a result, seen again at 10 m, is what the satellite measured.

The sensor is Sentinel-2's point spread function at the centres of the input's pixels.
"""

import dataclasses

import numpy as np

from evaluation.aerial import PSF_SIGMA
from evaluation.score import Unfit
from evaluation.spectral import spectral_angle

FACTOR = 4
COVERED = 0.98
"""An input pixel counts where at least this share of its point spread function is known."""
STEPS = 50
"""A shift is looked for in steps of 1 / STEPS of a pixel, as in opensr-test."""
BOX = "mean of 4 x 4 pixels"
PSF = "Sentinel-2's point spread function, Gaussian"


@dataclasses.dataclass(frozen=True)
class Consistency:
    """How a result differs from its input, both at 10 m.

    Attributes:
        reflectance: mean absolute difference, all bands, in reflectance.
        angle: mean spectral angle in degrees.
        shift: distance in pixels of 10 m; NaN where the pictures are too plain to tell.
        rows, columns: of the shift, in pixels of 10 m: positive where the result lies further
            south or east.
        box_reflectance: as `reflectance`, seen through the mean of 4 x 4 pixels.
    """

    reflectance: float
    angle: float
    shift: float
    rows: float
    columns: float
    box_reflectance: float


def judge(
    sr: np.ndarray, lr: np.ndarray, *, sr_valid: np.ndarray, lr_valid: np.ndarray
) -> Consistency:
    """Compare a result with its input.

    Args:
        sr: reflectance [4, 4H, 4W].
        lr: reflectance [4, H, W].
        sr_valid: bool [4H, 4W].
        lr_valid: bool [H, W].

    Raises:
        Unfit: no input pixel is wholly covered by valid pixels.
    """
    seen, covered = see(sr, sr_valid)
    counted = covered & lr_valid
    if not counted.any():
        raise Unfit("No pixel of the input is wholly covered by valid pixels of the result.")
    box, boxed = see_box(sr, sr_valid)
    box_difference = np.abs(box - lr)[:, boxed & lr_valid]
    rows, columns = find_shift(seen, lr, counted)
    return Consistency(
        reflectance=float(np.abs(seen - lr)[:, counted].mean()),
        angle=spectral_angle(seen, lr, valid=counted),
        shift=float(np.hypot(rows, columns)),
        rows=rows,
        columns=columns,
        box_reflectance=float(box_difference.mean()) if box_difference.size else float("nan"),
    )


def see(sr: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Look at [4, 4H, 4W] with Sentinel-2's point spread function: [4, H, W], and what is covered.

    Pixels that are not valid or outside take no part; the weights of the others sum to 1.
    """
    height, width = valid.shape
    known = valid.astype(np.float64)
    seen, covered = [], np.ones((height // FACTOR, width // FACTOR), bool)
    for band, sigma in zip(sr, PSF_SIGMA, strict=True):
        down, across = _weights(height, sigma), _weights(width, sigma)
        weight = down @ known @ across.T
        covered &= weight >= COVERED
        total = down @ (band * known) @ across.T
        seen.append(total / np.maximum(weight, 1e-12))
    return np.stack(seen), covered


def see_box(sr: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of 4 x 4 pixels: [4, H, W], and where all sixteen are valid [H, W]."""
    count, height, width = sr.shape
    blocks = (height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    mean = sr.astype(np.float64).reshape(count, *blocks).mean((2, 4))
    return mean, valid.reshape(blocks).all((1, 3))


def find_shift(
    moved: np.ndarray, reference: np.ndarray, valid: np.ndarray, *, plain: bool = False
) -> tuple[float, float]:
    """Shift of one picture [C, H, W] against another in pixels (rows, columns), NaN if unknown.

    Cross-correlation of the bands' mean (Guizar-Sicairos et al. 2008, as scikit-image has it)
    inside the rectangle around the valid pixels; what is not valid there is the mean.

    Args:
        moved, reference: the pictures.
        valid: bool [H, W].
        plain: as opensr-test: no window, and phases alone. On true shifts of a Sentinel-2 sample
            that was up to 0.5 pixels wrong; the windowed form 0.1.
    """
    from skimage.registration import phase_cross_correlation

    rows, columns = (np.flatnonzero(valid.any(axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = valid[part]
    layers = [x.mean(0, dtype=np.float64)[part] for x in (reference, moved)]
    layers = [np.where(inside, x, x[inside].mean()) for x in layers]
    if min(inside.shape) < 8 or any(np.ptp(x) < 1e-6 for x in layers):
        return float("nan"), float("nan")
    if not plain:
        window = np.outer(*map(np.hanning, inside.shape))
        layers = [(x - x[inside].mean()) * window for x in layers]
    shift = phase_cross_correlation(
        *layers, upsample_factor=STEPS, normalization="phase" if plain else None
    )[0]
    # the shift found brings the second picture back onto the first
    return float(-shift[0]) + 0.0, float(-shift[1]) + 0.0


def _weights(length: int, sigma: float) -> np.ndarray:
    """Rows that weigh `length` pixels for every fourth position: [length / 4, length].

    Each sums to 1 with what lies outside the picture, so that less than 1 means cut off.
    """
    centres = (np.arange(length // FACTOR) + 0.5) * FACTOR
    offsets = np.arange(length) + 0.5 - centres[:, None]
    everywhere = np.arange(-50 * FACTOR, 50 * FACTOR) + 0.5
    total = np.exp(-0.5 * (everywhere / sigma) ** 2).sum()
    return np.exp(-0.5 * (offsets / sigma) ** 2) / total
