"""The small pictures of a gallery: input, base, refined and generated detail of one result.

Knows numpy and Pillow; where they lie and how they are shown, others know.
"""

import io

import numpy as np
from PIL import Image

from ldsr import render
from ldsr.result import SuperResolution

LONGEST = 1024
"""Pixels of the longest side; the input has its own pixels, never more than this."""
QUALITY = 90
GROUND = (128, 128, 128, 255)
"""Where there is no data, as in a thumbnail."""


def draw_pictures(result: SuperResolution) -> dict[str, bytes]:
    """Draw a result in true colour, all pictures with the stretch of its input.

    Args:
        result: of a run.

    Returns:
        "input" as PNG in its own pixels; "base", and with a second stage "refined" and "detail",
        as JPEG of at most LONGEST pixels a side.
    """
    stretch = render.stretch_of(result.lr)
    colours = render.true_colour(result.lr.reflectance, stretch, valid=result.lr.valid)
    pictures = {"input": render.encode_png(_on_ground(colours), level=6)}
    shown = {"base": result.base}
    if "refine" in result.figures:
        shown["refined"] = result.sr
    for name, patch in shown.items():
        colours = render.true_colour(patch.reflectance, stretch, valid=patch.valid)
        pictures[name] = _jpeg(_on_ground(colours))
    if result.detail is not None:
        top = result.settings.detail_cap or 1.0
        heat = render.heat(result.detail, top, valid=result.sr.valid)
        pictures["detail"] = _jpeg(_on_ground(heat))
    return pictures


def _on_ground(colours: np.ndarray) -> np.ndarray:
    """Lay RGBA [H, W, 4] on grey: RGB [H, W, 3]."""
    picture = Image.fromarray(colours)
    ground = Image.new("RGBA", picture.size, GROUND)
    return np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))


def _jpeg(colours: np.ndarray) -> bytes:
    picture, sink = Image.fromarray(colours), io.BytesIO()
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    picture.save(sink, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return sink.getvalue()
