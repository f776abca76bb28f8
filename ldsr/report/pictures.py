"""The pictures of a report: all with the input's stretch, and small enough to be sent by mail.

Knows results, numpy and Pillow; knows nothing of HTML.
"""

import dataclasses
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from ldsr import render
from ldsr.data import scl
from ldsr.result import SCALE, SuperResolution

MOST_SIDE = 1024
"""Pixels of a picture's longer side: 8 cm at 300 dots an inch."""
CROP_SIDE = 32
"""Pixels of the input along a side of the magnified part, at most."""
CROP_DRAWN = 512
"""Pixels along a side of the magnified part, as it is drawn."""
BYTES = {"picture": 320_000, "map": 180_000, "crop": 90_000}
"""Of each kind of picture, at most."""
QUALITIES = (92, 84, 74, 60)
"""Of WebP, tried in turn."""
NO_DATA = 128
"""Grey of pixels that hold no data."""
LEVEL = 0.9
"""Of the interval that is drawn."""
VEIL = 0.6
"""How much the colours of a mask cover of the picture below."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Crop:
    """The part that is magnified.

    Attributes:
        row, col: of its first pixel, in pixels of the input.
        side: in pixels of the input.
        added: mean difference of result and bicubic enlargement within, reflectance.
        clear: whether it is without gaps and cloud.
    """

    row: int
    col: int
    side: int
    added: float
    clear: bool

    def within(self, factor: int) -> tuple[slice, slice]:
        """Rows and columns of it in a picture `factor` times finer than the input."""
        first, last = (self.row, self.col), (self.row + self.side, self.col + self.side)
        rows, cols = (slice(factor * a, factor * b) for a, b in zip(first, last, strict=True))
        return rows, cols


@dataclasses.dataclass(frozen=True, kw_only=True)
class Heat:
    """A map of one number a pixel.

    Attributes:
        content: WebP.
        top: the value of its last colour.
        mean: over the valid pixels.
        largest: of them.
    """

    content: bytes
    top: float
    mean: float
    largest: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """All that is drawn of a result.

    Attributes:
        size: height and width of the whole pictures as they are drawn.
        whole: "nearest", "bicubic", "base" and, where there is one, "refined": WebP.
        crop: the part that is magnified.
        closer: the same names, the part magnified.
        maps: "added" (result against bicubic), where there is one "detail", "change" (refined
            against base) and "uncertainty" (percent of the brightness).
        mask: cloud, shadow and snow over the input, or None where nothing is marked.
    """

    size: tuple[int, int]
    whole: Mapping[str, bytes]
    crop: Crop
    closer: Mapping[str, bytes]
    maps: Mapping[str, Heat]
    mask: bytes | None


def draw(result: SuperResolution) -> Pictures:
    """Draw everything once."""
    stretch, valid = render.stretch_of(result.lr), result.sr.valid

    def colour(reflectance: np.ndarray, there: np.ndarray) -> np.ndarray:
        return _flat(render.true_colour(reflectance, stretch, valid=there))

    fine = {"bicubic": render.upsample(result.lr), "base": result.base.reflectance}
    added = render.difference(result.sr.reflectance, fine["bicubic"])
    crop = choose_crop(result, added)
    if "refine" in result.figures:
        fine["refined"] = result.sr.reflectance
    coarse = colour(result.lr.reflectance, result.lr.valid)
    whole = {"nearest": to_webp(_enlarged(coarse, MOST_SIDE, SCALE), "picture", exact=True)}
    closer = {"nearest": _magnified(coarse[crop.within(1)])}
    for name in [*fine]:
        reflectance, cut = fine.pop(name), crop.within(SCALE)
        whole[name] = to_webp(colour(*_reduced(reflectance, valid)), "picture")
        closer[name] = _magnified(colour(reflectance[:, *cut], valid[cut]))
    return Pictures(
        size=_small(valid.shape),
        whole=whole,
        crop=crop,
        closer=closer,
        maps=_maps(result, added),
        mask=_mask(result, coarse),
    )


def choose_crop(result: SuperResolution, added: np.ndarray) -> Crop:
    """Choose the square whose result differs most from bicubic enlargement of the input.

    Squares without gaps and cloud come first, where there are any.

    Args:
        result: the result.
        added: the difference, float32 [4H, 4W].
    """
    height, width = result.lr.size
    side = min(CROP_SIDE, max(8, min(height, width) // 3))
    blocks = added.reshape(height, SCALE, width, SCALE).mean((1, 3), dtype=np.float64)
    usable = result.lr.valid
    if result.lr.scl is not None:
        usable = usable & ~np.isin(result.lr.scl, scl.CLOUD)
    sums, counts = _windows(blocks * usable, side), _windows(usable.astype(np.float64), side)
    full = counts > side**2 - 0.5
    score = np.where(full, sums, -1.0) if full.any() else sums
    row, col = (int(at) for at in np.unravel_index(np.argmax(score), score.shape))
    inside = slice(row, row + side), slice(col, col + side)
    known = blocks[inside][result.lr.valid[inside]]
    return Crop(
        row=row,
        col=col,
        side=side,
        added=float(known.mean()) if known.size else 0.0,
        clear=bool(full.any()),
    )


def to_webp(picture: np.ndarray, kind: str, *, exact: bool = False) -> bytes:
    """Encode uint8 [h, w, 3] as WebP of at most BYTES: exactly if that fits, else as well as fits.

    Args:
        picture: the pixels.
        kind: of BYTES.
        exact: try without loss first.
    """
    if exact:
        content = _encode(picture, lossless=True, method=2)
        if len(content) <= BYTES[kind]:
            return content
    while True:
        for quality in QUALITIES:
            content = _encode(picture, quality=quality, method=4, use_sharp_yuv=True)
            if len(content) <= BYTES[kind]:
                return content
        height, width = (max(1, side * 3 // 4) for side in picture.shape[:2])
        picture = _resized(picture, (height, width))


def _maps(result: SuperResolution, added: np.ndarray) -> dict[str, Heat]:
    """The maps that there are."""
    valid, samples = result.sr.valid, result.uncertainty
    found = {"added": _heat(added, valid)}
    if "refine" in result.figures:
        changed = render.difference(result.sr.reflectance, result.base.reflectance)
        found["change"] = _heat(changed, valid)
        if result.detail is not None:
            found["detail"] = _heat(result.detail, valid, result.settings.detail_cap or 1.0)
    if samples is not None:
        level = LEVEL if LEVEL in samples.factors else max(samples.factors)
        found["uncertainty"] = _heat(100 * samples.relative_width(level), valid)
    return found


def _heat(values: np.ndarray, valid: np.ndarray, top: float | None = None) -> Heat:
    top = render.heat_top(values, valid) if top is None else top
    known = values[valid]
    small, there = _reduced(values, valid)
    return Heat(
        content=to_webp(_flat(render.heat(small, top, valid=there)), "map"),
        top=top,
        mean=float(known.mean()) if known.size else 0.0,
        largest=float(known.max()) if known.size else 0.0,
    )


def _mask(result: SuperResolution, coarse: np.ndarray) -> bytes | None:
    """Cloud, shadow and snow over the input; gaps are grey already."""
    patch = result.lr
    marked = patch.scl is not None and any(scl.shares(patch.scl).values())
    if not marked and patch.valid.all():
        return None
    picture = coarse
    if marked:
        colours = render.classes(patch.scl, 1)
        alpha = VEIL * (colours[..., 3:] > 0)
        mixed = (1 - alpha) * coarse + alpha * colours[..., :3]
        picture = np.where(patch.valid[..., None], np.rint(mixed), coarse).astype(np.uint8)
    return to_webp(_enlarged(picture, MOST_SIDE, SCALE), "map", exact=True)


def _windows(values: np.ndarray, side: int) -> np.ndarray:
    """Sum each square: float64 [H, W] to [H - side + 1, W - side + 1]."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    return total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]


def _magnified(picture: np.ndarray) -> bytes:
    return to_webp(_enlarged(picture, CROP_DRAWN), "crop", exact=True)


def _flat(rgba: np.ndarray) -> np.ndarray:
    """Lay a picture on grey: uint8 [h, w, 4], alpha 0 or 255, to [h, w, 3]."""
    return np.where(rgba[..., 3:] > 0, rgba[..., :3], np.uint8(NO_DATA))


def _enlarged(picture: np.ndarray, most: int, factor: int | None = None) -> np.ndarray:
    """Repeat each pixel `factor` times, as far as no side exceeds `most`."""
    times = max(1, most // max(picture.shape[:2]))
    times = times if factor is None else min(times, factor)
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _reduced(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average float32 [.., h, w] and its mask so that no side exceeds MOST_SIDE."""
    size = _small(valid.shape)
    if size == valid.shape:
        return values, valid
    share = _resized(valid.astype(np.float32), size, Image.Resampling.BOX)
    bands = values.reshape(-1, *valid.shape)
    small = np.stack([_resized(band, size, Image.Resampling.BOX) for band in bands])
    small = small.reshape(*values.shape[:-2], *size) / np.maximum(share, 0.5)
    return small, share >= 0.5


def _small(size: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture whose longer side does not exceed MOST_SIDE."""
    scale = min(1.0, MOST_SIDE / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def _resized(
    picture: np.ndarray, size: tuple[int, int], how: Image.Resampling = Image.Resampling.LANCZOS
) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size[::-1], how))


def _encode(picture: np.ndarray, **how: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", **how)
    return buffer.getvalue()
