"""Numbers of the Compare tab: under the cursor, along a line, and of a whole map.

Knows results and numpy; what it gives is ready for JSON. A place is (row, column) in pixels of
2.5 m, 0 at the edge of the first pixel.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from ldsr.data.bands import BANDS
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.result import SCALE
from ldsr.web.compare.layers import (
    COARSE,
    HEATS,
    half_width,
    heat_top,
    heat_valid,
    heat_values,
    missing,
    pixel_metres,
)
from ldsr.web.pictures import Shown

MOST_POINTS = 512
"""Points along a line, at most."""
MOST_SIDE = 256
"""Pixels of a map's longer side that are sent, at most."""
BINS = 60
SHARE = 99.9
"""Percentile at which a histogram ends; what is larger is told in words."""
STEPS = 32767
"""Largest whole number of a map as it is sent; -1 is no data."""


def values_at(
    shown: Shown, row: int, col: int, references: Mapping[str, Patch] | None = None
) -> dict[str, Any]:
    """Give every picture's reflectance and every map's number at one pixel of 2.5 m.

    Args:
        shown: with a result.
        row, col: of the pixel.
        references: the true picture by name, where there is one.

    Returns:
        "pictures": four bands by name; "half": four half widths by level ("0.9"), {} without
        samples; "maps": one number by name; "place": x and y of the pixel's centre in the CRS or
        None. What is not valid is None.

    Raises:
        LdsrError: outside the picture.
    """
    result, samples = shown.result, shown.uncertainty
    height, width = result.sr.size
    if not (0 <= row < height and 0 <= col < width):
        raise LdsrError(f"Pixel {row}, {col} is outside the picture of {height} x {width}.")
    valid = bool(result.sr.valid[row, col])
    found = {
        "input": _bands(shown.patch.reflectance[:, row // SCALE, col // SCALE], valid),
        "base": _bands(result.base.reflectance[:, row, col], valid),
    }
    if shown.refined:
        found["refined"] = _bands(result.sr.reflectance[:, row, col], valid)
    half = {}
    if samples is not None:
        found["mean"] = _bands(samples.mean[:, row, col], valid)
        half = {
            str(level): _bands(samples.scale[:, row, col] * np.float32(factors), valid)
            for level, factors in samples.factors.items()
        }
    for name, patch in (references or {}).items():
        found[name] = _bands(patch.reflectance[:, row, col], bool(patch.valid[row, col]))
    return {
        "row": row,
        "col": col,
        "place": _place(shown, row, col),
        "pictures": found,
        "half": half,
        "maps": _maps_at(shown, row, col, valid),
    }


def profile(
    shown: Shown,
    ends: tuple[float, float, float, float],
    *,
    band: int,
    level: float,
    references: Mapping[str, Patch] | None = None,
) -> dict[str, Any]:
    """Give one band along a straight line: linear between pixel centres, the input by squares.

    Args:
        shown: with a result.
        ends: row, column of its beginning, row, column of its end.
        band: index of BANDS.
        level: of the interval, one of the result's.
        references: the true picture by name, where there is one.

    Returns:
        "distance" from the beginning in "unit" ("m" or "pixels"), "rows", "cols", and "lines": the
        reflectance of each picture; with samples also "low" and "high", mean -+ half width. What
        is not valid is None.

    Raises:
        LdsrError: a line without length, or outside the picture.
    """
    points = _points(shown, ends)
    valid = _along(shown.result.sr.valid.astype(np.float32), points) > 1 - 1e-6
    coarse = np.minimum(points // SCALE, np.array(shown.patch.size)[:, None] - 1).astype(int)
    found = {
        "input": (shown.patch.reflectance[band][tuple(coarse)], shown.patch.valid[tuple(coarse)]),
        "base": (_along(shown.result.base.reflectance[band], points), valid),
    }
    if shown.refined:
        found["refined"] = (_along(shown.result.sr.reflectance[band], points), valid)
    samples = shown.uncertainty
    if samples is not None:
        mean = _along(samples.mean[band], points)
        half = _along(half_width(samples, level, band), points)
        found |= {
            "mean": (mean, valid),
            "low": (mean - half, valid),
            "high": (mean + half, valid),
        }
    for name, patch in (references or {}).items():
        there = _along(patch.valid.astype(np.float32), points) > 1 - 1e-6
        found[name] = (_along(patch.reflectance[band], points), there)
    distance, unit = _distance(shown, points)
    return {
        "band": BANDS[band],
        "level": level,
        "unit": unit,
        "distance": _numbers(distance, 3),
        "rows": _numbers(points[0], 2),
        "cols": _numbers(points[1], 2),
        "lines": {name: _numbers(line, 6, there) for name, (line, there) in found.items()},
    }


def heat_data(shown: Shown, name: str) -> dict[str, Any]:
    """Give a heat map small enough to be drawn by plotly, and the histogram of all its pixels.

    Returns:
        "map": "values", int16 little-endian in base64, each times "step" is the mean of "block" x
        "block" valid pixels, -1 no data; "rows", "cols"; "top" of the colours. "histogram": "edges"
        [61], "share" of each bin in percent, "median", "p95", "beyond" (share above the last edge
        in percent), "largest".

    Raises:
        LdsrError: no such map, or not in this result.
    """
    if name not in HEATS or missing(shown, name):
        raise LdsrError(missing(shown, name) or "There is no such map.")
    values, valid = heat_values(shown, name), heat_valid(shown, name)
    if not valid.any():
        raise LdsrError("No pixel of this picture is valid.")
    block = math.ceil(max(values.shape) / MOST_SIDE)
    small = block_mean(values, valid, block)
    step = max(float(np.nanmax(small)), 1e-9) / STEPS
    whole = np.where(np.isnan(small), -1, np.rint(small / step)).astype("<i2")
    return {
        "map": {
            "values": base64.b64encode(whole.tobytes()).decode(),
            "step": step,
            "rows": small.shape[0],
            "cols": small.shape[1],
            "block": block,
            "pixel": block * (SCALE if name in COARSE else 1),
            "top": heat_top(shown, name),
        },
        "histogram": histogram(values[valid]),
    }


def histogram(values: np.ndarray) -> dict[str, Any]:
    """Count values [n], n > 0 and none negative, in BINS bins from 0 to their SHARE percentile."""
    median, p95, end = (float(v) for v in np.percentile(values, (50, 95, SHARE)))
    end = max(end, 1e-9)
    count, edges = np.histogram(values, bins=BINS, range=(0.0, end))
    return {
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "share": [round(float(share), 4) for share in 100.0 * count / values.size],
        "median": median,
        "p95": p95,
        "beyond": float(100.0 * np.mean(values > end)),
        "largest": float(values.max()),
    }


def block_mean(values: np.ndarray, valid: np.ndarray, block: int) -> np.ndarray:
    """Average the valid pixels of each block: [H, W] to float64 [H / block, W / block], up.

    Returns:
        NaN where a block has no valid pixel.
    """
    rows, cols = (range(0, side, block) for side in values.shape)

    def total(array: np.ndarray) -> np.ndarray:
        return np.add.reduceat(np.add.reduceat(array, rows, axis=0), cols, axis=1)

    count = total(valid.astype(np.float64))
    with np.errstate(invalid="ignore"):
        return total(np.where(valid, values, 0.0).astype(np.float64)) / np.where(
            count > 0, count, np.nan
        )


def _maps_at(shown: Shown, row: int, col: int, valid: bool) -> dict[str, float | None]:
    """The maps that are cheap to look up at one pixel."""
    samples, found = shown.uncertainty, {}
    if samples is not None:
        distance = pixel_metres(shown) or 1.0
        found["edges"] = float(samples.edge_spread[row, col]) * distance
    if "detail" in shown.overlays:
        found["detail"] = float(shown.result.detail[row, col])
    if shown.refined:
        found["change"] = float(shown.change[row, col])
    if shown.result.residual is not None:
        found["residual"] = float(shown.result.residual[row // SCALE, col // SCALE])
    return {name: round(number, 6) if valid else None for name, number in found.items()}


def _points(shown: Shown, ends: tuple[float, float, float, float]) -> np.ndarray:
    """Places along a line, a pixel apart or less than MOST_POINTS: float64 [2, n]."""
    height, width = shown.result.sr.size
    first, last = np.array(ends[:2], float), np.array(ends[2:], float)
    sides = np.array([height, width], float)
    inside = np.isfinite([first, last]).all() and (np.array([first, last]) >= 0).all()
    if not inside or (first > sides).any() or (last > sides).any():
        raise LdsrError(f"The line leaves the picture of {height} x {width} pixels.")
    length = float(np.hypot(*(last - first)))
    if length < 1e-6:
        raise LdsrError("A line needs two different ends.")
    count = min(MOST_POINTS, math.ceil(length - 1e-9) + 1)
    return first[:, None] + (last - first)[:, None] * np.linspace(0.0, 1.0, max(count, 2))


def _along(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A picture [4H, 4W] at places [2, n], linear between the pixels' centres."""
    at = points - 0.5  # numpy's indices are of pixel centres
    return map_coordinates(picture, at, order=1, mode="nearest", output=np.float64)


def _distance(shown: Shown, points: np.ndarray) -> tuple[np.ndarray, str]:
    moved = points - points[:, :1]
    if pixel_metres(shown) is None:
        return np.hypot(*moved), "pixels"
    place = shown.result.sr.transform
    return np.hypot(moved[0] * place.e, moved[1] * place.a), "m"


def _place(shown: Shown, row: int, col: int) -> list[float] | None:
    sr = shown.result.sr
    if sr.crs is None or sr.transform is None:
        return None
    x, y = sr.transform @ (col + 0.5, row + 0.5)
    return [float(x), float(y)]


def _bands(values: np.ndarray, valid: bool) -> list[float | None]:
    return [round(float(value), 6) if valid else None for value in values]


def _numbers(
    values: np.ndarray, digits: int, there: np.ndarray | None = None
) -> list[float | None]:
    known = np.ones(len(values), bool) if there is None else there
    return [
        round(float(value), digits) if ok else None for value, ok in zip(values, known, strict=True)
    ]
