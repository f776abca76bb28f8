"""Land-cover tags by rules on four bands: no network, no training, no download.

A tree of soft decisions, tuned by eye on a few scenes. Knows nothing of files or torch. With four
bands some things look alike: snow and cloud (no short-wave infrared), meadow and green crop.

NDVI = (NIR - R) / (NIR + R), Rouse et al. 1974, Monitoring vegetation systems in the Great Plains
with ERTS. NDWI = (G - NIR) / (G + NIR), McFeeters 1996, The use of the Normalized Difference Water
Index in the delineation of open water features, IJRS 17(7). Brightness = (R + G + B) / 3.
"""

import dataclasses

import numpy as np

from ldsr.errors import PatchError
from ldsr.semantics.vocabulary import VOCABULARY

FLOOR = 0.01
"""Reflectance added in every ratio, so that noise on dark pixels does not decide."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """What the rules look at; every array is [B, H, W].

    Attributes:
        ndvi, ndwi: the indices, -1..1.
        green, nir: reflectance.
        brightness: mean of R, G, B, reflectance.
        darkest: the smallest of R, G, B, reflectance.
        redness: log(R / B); about 0 for grey, 0.9 for red desert.
        wide_brightness, wide_redness: averaged over 7 x 7 pixels.
        roughness: contrast between neighbours in the calmest 5 x 5 pixels near (log units).
        nir_roughness: the same of the near infrared.
        wide_ndvi: NDVI averaged over 17 x 17 pixels.
        variety: how much NDVI differs between the fields of 17 x 17 pixels.
    """

    ndvi: np.ndarray
    ndwi: np.ndarray
    green: np.ndarray
    nir: np.ndarray
    brightness: np.ndarray
    darkest: np.ndarray
    redness: np.ndarray
    wide_brightness: np.ndarray
    wide_redness: np.ndarray
    roughness: np.ndarray
    nir_roughness: np.ndarray
    wide_ndvi: np.ndarray
    variety: np.ndarray


def spectral_tags(reflectance: np.ndarray, valid: np.ndarray) -> dict[str, float]:
    """Estimate the share of each land cover in a picture.

    Args:
        reflectance: float32 [4, H, W], R, G, B, NIR (B04, B03, B02, B08), nominally 0..1.
        valid: bool [H, W]; other pixels count for nothing.

    Returns:
        Every tag of VOCABULARY in its order; shares 0..1, sum 1.

    Raises:
        PatchError: no pixel is valid.
    """
    if not valid.any():
        raise PatchError("The picture has no valid pixel; there is nothing to find tags in.")
    shares = _shares(reflectance[None], valid[None])[0]
    return dict(zip(VOCABULARY, map(float, shares), strict=True))


def spectral_tags_batch(reflectance: np.ndarray) -> np.ndarray:
    """Estimate the shares of many pictures at once, all pixels valid.

    Args:
        reflectance: [B, 4, H, W], R, G, B, NIR, nominally 0..1.

    Returns:
        float32 [B, K] in the order of VOCABULARY; rows sum to 1.
    """
    shape = (len(reflectance), *reflectance.shape[2:])
    return _shares(reflectance, np.ones(shape, bool)).astype(np.float32)


def _shares(reflectance: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Mean membership of the valid pixels: [B, 4, H, W], [B, H, W] -> float64 [B, K]."""
    members = memberships(measure(reflectance, valid))
    inside = valid[:, None]
    shares = (members * inside).sum((2, 3)) / inside.sum((2, 3))
    return shares / shares.sum(1, keepdims=True)


def measure(reflectance: np.ndarray, valid: np.ndarray) -> Features:
    """Compute the features of every pixel: [B, 4, H, W], bool [B, H, W]."""
    red, green, blue, nir = np.moveaxis(reflectance.astype(np.float64).clip(0), 1, 0)
    brightness = (red + green + blue) / 3
    ndvi = (nir - red) / (nir + red + FLOOR)
    redness = np.log((red + FLOOR) / (blue + FLOOR))
    smooth = _mean(ndvi, valid, radius=1)
    wide_ndvi = _mean(ndvi, valid, radius=8)
    return Features(
        ndvi=ndvi,
        ndwi=(green - nir) / (green + nir + FLOOR),
        green=green,
        nir=nir,
        brightness=brightness,
        darkest=np.minimum(np.minimum(red, green), blue),
        redness=redness,
        wide_brightness=_mean(brightness, valid, radius=3),
        wide_redness=_mean(redness, valid, radius=3),
        roughness=_contrast(brightness, valid),
        nir_roughness=_contrast(nir, valid),
        wide_ndvi=wide_ndvi,
        variety=_mean(np.abs(smooth - wide_ndvi), valid, radius=8),
    )


def memberships(f: Features) -> np.ndarray:
    """Decide what each pixel is, softly: [B, K, H, W] in the order of VOCABULARY, sum 1 over K.

    A tree: white (snow, cloud), else water, else shadow, else vegetation (forest, cropland,
    grassland), else bare (built-up, cropland, sand, bare soil).
    """
    blue_snow = (
        _above(-f.wide_redness, 0.05, 0.02)
        * _above(f.wide_brightness, 0.14, 0.015)
        * _above(f.nir, 0.15, 0.015)
    )
    bright = _above(np.minimum(f.darkest, f.wide_brightness), 0.28, 0.03)
    white = _either(bright * _above(-f.redness, -0.22, 0.04), blue_snow)
    snow = _above(f.roughness, 0.05, 0.02)
    water = _either(
        _above(f.ndwi, 0.0, 0.04) * _above(-f.nir, -0.15, 0.015),
        _above(-f.nir, -0.035, 0.005) * _above(-f.ndvi, -0.35, 0.05),
    )
    shadow = _above(-f.nir, -0.11, 0.012) * _above(-f.brightness, -0.035, 0.005)
    green = _above(f.ndvi, 0.40, 0.05)
    forest = _logistic(
        (0.055 - f.green) / 0.006 + (f.nir_roughness - 0.05) / 0.012 + (0.40 - f.nir) / 0.05
    )
    field = _above(f.variety, 0.08, 0.02)
    built = _logistic((f.roughness - 0.10) / 0.02 + (0.5 - f.redness) / 0.12)
    bare_field = _above(f.wide_ndvi, 0.35, 0.04)
    sand = _above(f.brightness, 0.25, 0.03)

    rest = 1 - white
    water, rest = rest * water, rest * (1 - water)
    shadow, rest = rest * shadow, rest * (1 - shadow)
    green, bare = rest * green, rest * (1 - green)
    low = green * (1 - forest)
    built, soil = bare * built, bare * (1 - built)
    ground = soil * (1 - bare_field)
    shares = {
        "water": water,
        "forest": green * forest,
        "grassland": low * (1 - field),
        "cropland": low * field + soil * bare_field,
        "built-up": built,
        "bare soil": ground * (1 - sand),
        "sand": ground * sand,
        "snow": white * snow,
        "cloud": white * (1 - snow),
        "shadow": shadow,
    }
    return np.stack([shares[tag] for tag in VOCABULARY], axis=1)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _above(x: np.ndarray, threshold: float, width: float) -> np.ndarray:
    """0..1: how surely x is above the threshold; 0.73 one width above it."""
    return _logistic((x - threshold) / width)


def _either(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """0..1: at least one of two independent conditions holds."""
    return 1 - (1 - a) * (1 - b)


def _contrast(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Mean absolute log ratio of neighbours in the calmest of five windows of 5 x 5 pixels.

    The pixel is the centre of one window and a corner of the others, so that the border of a calm
    field is calm (the idea of Kuwahara et al. 1976) and only what is rough all over is rough.
    """
    log = np.log(x + FLOOR)
    steps = np.zeros_like(log)
    for axis in (1, 2):
        a, b = _halves(log, axis)
        inside = np.logical_and(*_halves(valid, axis))
        first = _halves(steps, axis)[0]
        first += np.abs(b - a) * inside
    rough = _mean(np.sqrt(steps), valid, radius=2) ** 2
    rows, columns = (np.arange(size) for size in x.shape[1:])
    calmest = rough
    for dy, dx in ((-2, -2), (-2, 2), (2, -2), (2, 2)):
        near = np.take(rough, (rows + dy).clip(0, rows[-1]), 1)
        calmest = np.minimum(calmest, np.take(near, (columns + dx).clip(0, columns[-1]), 2))
    return calmest


def _halves(x: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Views without the last and without the first line along an axis: neighbours."""
    head = [slice(None)] * x.ndim
    tail = [slice(None)] * x.ndim
    head[axis], tail[axis] = slice(None, -1), slice(1, None)
    return x[tuple(head)], x[tuple(tail)]


def _mean(x: np.ndarray, valid: np.ndarray, *, radius: int) -> np.ndarray:
    """Mean of the valid pixels in a window of 2 radius + 1, cut at the border; 0 where none is."""
    count = _box(valid.astype(np.float64), radius)
    return _box(x * valid, radius) / np.maximum(count, 1)


def _box(x: np.ndarray, radius: int) -> np.ndarray:
    """Sum over a window of 2 radius + 1 pixels, zeros outside: [B, H, W] -> [B, H, W]."""
    for axis in (1, 2):
        size = x.shape[axis]
        padding = [(1, 0) if i == axis else (0, 0) for i in range(x.ndim)]
        total = np.pad(np.cumsum(x, axis), padding)
        stop = np.minimum(np.arange(size) + radius + 1, size)
        start = np.maximum(np.arange(size) - radius, 0)
        x = np.take(total, stop, axis) - np.take(total, start, axis)
    return x
