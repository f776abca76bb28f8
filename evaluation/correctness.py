"""Where new detail is true, left out or invented: the triad of opensr-test.

(Aybar et al. 2024, A Comprehensive Benchmark for Optical Remote Sensing Image Super-Resolution;
the package opensr-test 1.3.3 with its defaults: normalised difference, threshold at the 75th
percentile.) Brightness, colour and place are matched to the reference first.
"""

import dataclasses

import numpy as np

from evaluation.consistency import find_shift
from evaluation.fidelity import BORDER, crop
from evaluation.score import Unfit

FACTOR = 4
SHARE = 0.75
"""Of the distances between input and reference, below which a pixel has no detail to judge."""
LAMBDA = 0.05
"""opensr-test's im_score, om_score and ha_score."""
TEMPERATURE = 0.25
MAX_SHIFT = 5.0
"""Pixels; a larger shift is not believed and not mended."""
NAMES = ("improvement", "omission", "hallucination")


@dataclasses.dataclass(frozen=True, eq=False)
class Triad:
    """What became of the detail.

    Attributes:
        improvement: new against the input, and true; 0..1.
        omission: in the reference, and left out; 0..1.
        hallucination: neither in the input nor true; 0..1. The three sum to 1.
        maps: the same of each pixel by name, float32 [4H, 4W], NaN where there is nothing to judge.
        counted: share of the pixels that were judged.
        shift: of the result against the reference in pixels, rows and columns; mended.
        threshold: of the distance.
    """

    improvement: float
    omission: float
    hallucination: float
    maps: dict[str, np.ndarray]
    counted: float
    shift: tuple[float, float]
    threshold: float


def judge(
    sr: np.ndarray,
    lr: np.ndarray,
    hr: np.ndarray,
    *,
    valid: np.ndarray | None = None,
    border: int = BORDER,
) -> Triad:
    """Judge the detail of a result.

    Args:
        sr: reflectance [C, 4H, 4W].
        lr: reflectance [C, H, W].
        hr: reflectance [C, 4H, 4W].
        valid: bool [4H, 4W], the pixels that count; all by default.
        border: pixels left out along each edge, a multiple of 4.

    Raises:
        Unfit: too small, no valid pixel, or nowhere any detail.
    """
    size = sr.shape[1:]
    if min(size) <= 2 * border + FACTOR:
        raise Unfit(f"The pictures are {size[1]} x {size[0]} pixels, smaller than their border.")
    counted = crop(np.ones(size, bool) if valid is None else valid, border)
    if not counted.any():
        raise Unfit("No pixel away from the border is valid.")
    sr, hr = crop(sr, border), crop(hr, border)
    enlarged = _enlarge(crop(lr, border // FACTOR))
    harmonised, counted, shift = harmonise(sr, hr, counted)

    d_ref = _distance(enlarged, hr)
    d_im = _distance(harmonised, hr)
    d_om = _distance(harmonised, enlarged)
    known = np.sort(d_ref[counted])
    threshold = float(known[max(int(SHARE * known.size), 1) - 1]) if known.size else 0.0
    judged = counted & ((d_ref > threshold) | (d_im > threshold) | (d_om > threshold))
    shares = _shares(d_ref[judged], d_im[judged], d_om[judged])
    found = np.isfinite(shares).all(0)
    if not found.any():
        raise Unfit("Result, input and reference do not differ anywhere: no detail to judge.")

    maps = {}
    for name, share in zip(NAMES, shares, strict=True):
        part = np.full(counted.shape, np.nan, np.float32)
        part[judged] = share
        maps[name] = np.pad(part, border, constant_values=np.nan)
    means = dict(zip(NAMES, map(float, shares[:, found].mean(1)), strict=True))
    share = float(judged.mean())
    return Triad(**means, maps=maps, counted=share, shift=shift, threshold=threshold)


def harmonise(
    sr: np.ndarray, hr: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """Match a result's histogram, band by band, and then its place to the reference.

    Args:
        sr, hr: reflectance [C, H, W].
        valid: bool [H, W].

    Returns:
        The result [C, H, W], which of its pixels are valid [H, W], and its shift in pixels.
    """
    from scipy.ndimage import shift as move
    from skimage.exposure import match_histograms

    matched = np.array(sr, np.float32)
    for band, reference in zip(matched, hr, strict=True):
        band[valid] = match_histograms(band[valid], reference[valid])
    rows, columns = find_shift(matched, hr, valid, plain=True)
    if not np.hypot(rows, columns) <= MAX_SHIFT:
        return matched, valid, (0.0, 0.0)
    if rows or columns:
        back = (-rows, -columns)
        matched = np.stack([move(band, back, order=1, mode="nearest") for band in matched])
        if not valid.all():
            moved = move(valid.astype(np.float32), back, order=1, mode="nearest")
            valid = valid & (moved > 1 - 1e-6)
    return matched, valid, (rows, columns)


def _shares(d_ref: np.ndarray, d_im: np.ndarray, d_om: np.ndarray) -> np.ndarray:
    """Improvement, omission and hallucination of pixels [n] from their distances: [3, n].

    With a = d_im / d_ref, b = d_om / d_ref and H = a + b - 1 the distances from the three corners
    are a + b (1 - exp(-l H)), b + a (1 - exp(-l H)) and exp(-l a b); a softmin makes shares.
    """
    with np.errstate(all="ignore"):
        a, b = d_im.astype(np.float64) / d_ref, d_om.astype(np.float64) / d_ref
        fade = 1 - np.exp(-LAMBDA * (a + b - 1))
        corners = np.stack([a + b * fade, b + a * fade, np.exp(-LAMBDA * a * b)])
        weights = np.exp(-corners / TEMPERATURE)
        return weights / weights.sum(0)


def _distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Normalised difference |x - y| / |x + y| of each pixel, mean of the bands, [H, W]."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return (np.abs(x - y) / np.abs(x + y + 1e-8)).mean(0)


def _enlarge(lr: np.ndarray) -> np.ndarray:
    """Enlarge by bilinear interpolation, [C, H, W] to [C, 4H, 4W]."""
    import torch
    from torch.nn import functional

    x = torch.from_numpy(np.ascontiguousarray(lr, np.float32))[None]
    return functional.interpolate(x, scale_factor=FACTOR, mode="bilinear")[0].numpy()
