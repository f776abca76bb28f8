"""Real patches without a reference: pictures side by side, and whether one carries a grid."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from evaluation.grid import PERIODS, grid_power
from ldsr.data.patch import Patch
from ldsr.render import stretch_of, true_colour

SIDE = 128
"""Side of the window in the middle of a patch that is looked at, in pixels of 10 m."""


def middle(patch: Patch, side: int = SIDE) -> Patch:
    """Cut the middle `side` x `side` pixels (all of it where it is smaller); no georeference."""
    height, width = patch.size
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    rows, columns = slice(top, top + side), slice(left, left + side)
    return Patch(
        reflectance=np.ascontiguousarray(patch.reflectance[:, rows, columns]),
        valid=patch.valid[rows, columns],
        source=patch.source,
    )


def look(
    patch: Patch, methods: dict[str, Callable[[Patch], Patch]]
) -> tuple[np.ndarray, list[dict]]:
    """Apply each method to the middle of a patch.

    Returns:
        The pictures side by side, uint8 [4H, n 4W, 4], and for each method its grid power (largest
        of bands and axes) at each period and its largest change of a band's mean reflectance.
    """
    patch = middle(patch)
    stretch = stretch_of(patch)
    pictures, rows = [], []
    for name, method in methods.items():
        sr = method(patch)
        pictures.append(true_colour(sr.reflectance, stretch, valid=sr.valid))
        power = grid_power(sr.reflectance).max((0, 1))
        row = {"patch": patch.source.name, "method": name}
        row |= {f"grid_{period}px": float(p) for period, p in zip(PERIODS, power, strict=True)}
        shift = sr.reflectance[:, sr.valid].mean(1) - patch.reflectance[:, patch.valid].mean(1)
        row["colour_shift"] = float(np.abs(shift).max())
        rows.append(row)
    return np.concatenate(pictures, axis=1), rows


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture as PNG."""
    Image.fromarray(picture).save(path, optimize=True)
