"""Arrays to pictures: reflectance in, uint8 out, with one stretch for all pictures of a run.

Knows numpy and Pillow; knows nothing of torch, files or the page.
"""

import dataclasses
import io

import numpy as np
from PIL import Image

from ldsr.data.bands import BANDS
from ldsr.data.patch import Patch
from ldsr.data.scl import MARKED
from ldsr.errors import LdsrError

TRUE_COLOUR = ("R", "G", "B")
FALSE_COLOUR = ("NIR", "R", "G")
GAMMA = 1.6
"""Display value = stretched reflectance ** (1 / GAMMA): opens the shadows, keeps bright roofs."""
PERCENTILES = (2.0, 98.0)
MIN_RANGE = {"R": 0.08, "G": 0.08, "B": 0.08, "NIR": 0.16}
"""Smallest range shown, in reflectance, so that the noise of open water is not blown up."""
FOOTROOM = 0.06
"""Share of the range below the 2nd percentile that is still shown."""
HEADROOM = 1.15
"""Share of the range above the 98th percentile that is still shown: super-resolved roofs are
brighter than their 10 m mean."""

HEAT = (
    "#000004",
    "#210c4a",
    "#56106e",
    "#89226a",
    "#bc3754",
    "#e35932",
    "#f98e09",
    "#f9cb35",
    "#fcffa4",
)
"""Colours of a heat map at equal distances, from 0 to the largest value shown ("inferno")."""
CLASSES = {"cloud": "#f0a202", "shadow": "#7c4dff", "snow": "#1fb6e0"}
"""Of each of `ldsr.data.scl.MARKED`: its colour, told apart on dark and on white ground alike."""


@dataclasses.dataclass(frozen=True)
class Stretch:
    """The reflectance shown as black and as white.

    Attributes:
        low: float32 [4], R, G, B, NIR, shown as 0.
        high: float32 [4], shown as 255.
    """

    low: np.ndarray
    high: np.ndarray


def stretch_of(patch: Patch) -> Stretch:
    """Choose one stretch from an input, for it and for everything made from it.

    Black is each band's 2nd percentile (removes haze); R, G and B share one range, the widest of
    the three, so that colours keep their proportions; NIR has its own.

    Args:
        patch: the low-resolution input.

    Returns:
        The stretch; a fixed one where no pixel is valid.
    """
    smallest = np.array([MIN_RANGE[band] for band in BANDS], np.float32)
    if not patch.valid.any():
        return Stretch(np.zeros(4, np.float32), smallest)
    pixels = patch.reflectance[:, patch.valid]
    low, top = np.percentile(pixels, PERCENTILES, axis=1).astype(np.float32)
    low = np.maximum(low - FOOTROOM * (top - low), 0.0)
    spread = np.maximum((top - low) * HEADROOM, smallest)
    spread[:3] = spread[:3].max()
    return Stretch(low, low + spread)


def true_colour(
    reflectance: np.ndarray, stretch: Stretch, *, valid: np.ndarray | None = None
) -> np.ndarray:
    """Draw red, green, blue as they are.

    Args:
        reflectance: float [4, H, W], R, G, B, NIR.
        stretch: of the input.
        valid: bool [H, W]; invalid pixels become transparent.

    Returns:
        uint8 [H, W, 4], RGBA.
    """
    return _composite(reflectance, stretch, TRUE_COLOUR, valid)


def false_colour(
    reflectance: np.ndarray, stretch: Stretch, *, valid: np.ndarray | None = None
) -> np.ndarray:
    """Draw near infrared, red, green as red, green, blue: vegetation is red.

    Args:
        reflectance: float [4, H, W], R, G, B, NIR.
        stretch: of the input.
        valid: bool [H, W]; invalid pixels become transparent.

    Returns:
        uint8 [H, W, 4], RGBA.
    """
    return _composite(reflectance, stretch, FALSE_COLOUR, valid)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Average the absolute difference of two pictures over the bands: [C, H, W] to [H, W]."""
    total = np.zeros(first.shape[1:], np.float32)
    for one, other in zip(first, second, strict=True):
        total += np.abs(one - other)
    return total / np.float32(len(first))


def heat_top(values: np.ndarray, valid: np.ndarray) -> float:
    """Choose the largest value of a heat map: the 99th percentile, rounded up to 1, 2, 5 x 10^n.

    Args:
        values: float [H, W], not negative.
        valid: bool [H, W]; other pixels take no part.

    Returns:
        More than 0; 1e-4 where there is next to nothing to show.
    """
    high = max(float(np.percentile(values[valid], 99)), 1e-4) if valid.any() else 1e-4
    power = 10.0 ** np.floor(np.log10(high))
    factor = next((f for f in (1, 2, 5) if f * power >= high * (1 - 1e-6)), 10)
    return float(f"{factor * power:.1g}")


def heat(values: np.ndarray, top: float, *, valid: np.ndarray | None = None) -> np.ndarray:
    """Draw a map of one number a pixel in the colours of HEAT.

    Args:
        values: float [H, W].
        top: the value of the last colour; 0 is the first.
        valid: bool [H, W]; invalid pixels become transparent.

    Returns:
        uint8 [H, W, 4], RGBA.
    """
    stops = np.array([_rgb(stop) for stop in HEAT], np.float32)
    fine = np.linspace(0, len(HEAT) - 1, 256)
    table = np.stack([np.interp(fine, np.arange(len(HEAT)), band) for band in stops.T], axis=1)
    index = np.rint(np.clip(values / top, 0.0, 1.0) * 255).astype(np.uint8)
    rgb = np.rint(table).astype(np.uint8)[index]
    alpha = np.full(values.shape, 255, np.uint8) if valid is None else valid * np.uint8(255)
    return np.dstack([rgb, alpha])


def classes(scl: np.ndarray, factor: int = 4) -> np.ndarray:
    """Draw what a scene classification marks in the colours of CLASSES, each pixel as a square.

    Args:
        scl: uint8 [H, W].
        factor: whole number of output pixels per input pixel.

    Returns:
        uint8 [factor * H, factor * W, 4], RGBA, transparent where nothing is marked.
    """
    table = np.zeros((256, 4), np.uint8)
    for name, of in MARKED.items():
        table[list(of)] = [*_rgb(CLASSES[name]), 255]
    return table[scl].repeat(factor, axis=0).repeat(factor, axis=1)


def upsample(patch: Patch, factor: int = 4) -> np.ndarray:
    """Enlarge by bicubic interpolation, pixel-aligned (the corners of the outer pixels coincide).

    Invalid pixels take no part: their neighbours are interpolated from what is valid.

    Args:
        patch: [4, H, W].
        factor: whole number of output pixels per input pixel.

    Returns:
        float32 [4, factor * H, factor * W]; 0 where not valid.
    """
    if patch.valid.all():
        return np.stack([_bicubic(band, factor) for band in patch.reflectance])
    weight = _bicubic(patch.valid.astype(np.float32), factor)
    known = enlarge_mask(patch.valid, factor)
    masked = patch.reflectance * patch.valid
    bands = [_bicubic(band, factor) / np.maximum(weight, 0.25) for band in masked]
    return np.stack(bands) * known


def enlarge_mask(valid: np.ndarray, factor: int = 4) -> np.ndarray:
    """Repeat each pixel of a mask: bool [H, W] to bool [factor * H, factor * W]."""
    return valid.repeat(factor, axis=0).repeat(factor, axis=1)


def thumbnail(patch: Patch, side: int = 192) -> np.ndarray:
    """Draw the square centre of a patch in true colour.

    Returns:
        uint8 [side, side, 3], RGB; invalid pixels grey.
    """
    height, width = patch.size
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    box = (left, top, left + edge, top + edge)
    rgba = true_colour(patch.reflectance, stretch_of(patch), valid=patch.valid)
    picture = Image.fromarray(rgba).crop(box).resize((side, side), Image.Resampling.LANCZOS)
    ground = Image.new("RGBA", picture.size, (128, 128, 128, 255))
    return np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))


def encode_png(picture: np.ndarray, *, level: int = 4) -> bytes:
    """Encode uint8 [H, W, 3 or 4] (or [H, W] grey) as PNG.

    Args:
        picture: the pixels.
        level: zlib effort, 0..9.

    Raises:
        LdsrError: not uint8, or not a picture's shape.
    """
    shaped = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (3, 4))
    if picture.dtype != np.uint8 or not shaped:
        raise LdsrError(
            f"Cannot encode {picture.dtype} {picture.shape}; expected uint8 [H, W, 3 or 4]."
        )
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def _composite(
    reflectance: np.ndarray, stretch: Stretch, names: tuple[str, ...], valid: np.ndarray | None
) -> np.ndarray:
    chosen = [BANDS.index(name) for name in names]
    low = stretch.low[chosen, None, None]
    scale = 1.0 / (stretch.high[chosen, None, None] - low)
    shown = np.clip((reflectance[chosen] - low) * scale, 0.0, 1.0) ** (1.0 / GAMMA)
    alpha = np.ones(shown.shape[1:], np.float32) if valid is None else valid.astype(np.float32)
    rgba = np.concatenate([shown * alpha, alpha[None]])
    return np.rint(rgba * 255.0).astype(np.uint8).transpose(1, 2, 0)


def _bicubic(band: np.ndarray, factor: int) -> np.ndarray:
    height, width = band.shape
    picture = Image.fromarray(np.ascontiguousarray(band, np.float32))
    return np.asarray(picture.resize((width * factor, height * factor), Image.Resampling.BICUBIC))
