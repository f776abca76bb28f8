"""How the grids of several pictures lie beside each other, and which part of one bounds ask for.

Numbers of headers alone; knows nothing of files or pixels.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import transform as warp

from ldsr.data.grid import Window, window_transform
from ldsr.data.patch import MIN_SIDE
from ldsr.errors import SceneError

NOT_ALIGNED = 0.01
"""Largest part of a pixel by which one grid may miss another."""
PER_SIDE = 256
"""Steps in which a side of bounds is followed: a parallel is no straight line in UTM."""
ROUNDING = 1e-4
"""Part of a pixel that bounds may reach into it and not mean it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the pixels of a picture lie: size, CRS and transform, north up or without a place."""

    width: int
    height: int
    crs: CRS | None
    transform: Affine | None


def apart(grid: Grid, base: Grid) -> tuple[float, float, float]:
    """Measure where a grid begins on another, and how its pixels compare.

    Returns:
        Column and row of its upper left corner in pixels of `base`, and its pixel's size as a
        multiple of theirs; not a number where a grid has no place or pixels are not square alike.
    """
    mine, its = base.transform, grid.transform
    if mine is None or its is None:
        return math.nan, math.nan, math.nan
    times = its.a / mine.a
    if not math.isclose(its.e / mine.e, times, rel_tol=1e-6):
        times = math.nan
    return (its.c - mine.c) / mine.a, (its.f - mine.f) / mine.e, times


def is_whole(value: float) -> bool:
    """Whether a number of pixels is a whole one."""
    return math.isfinite(value) and abs(value - round(value)) <= NOT_ALIGNED


def join(grids: Sequence[tuple[str, Grid]], *, what: str) -> tuple[Grid, list[tuple[int, int]]]:
    """Find the grid that holds several others.

    Args:
        grids: name (for messages) and grid of each, one at least.
        what: all of them, as a message names it.

    Returns:
        The smallest grid around them, and column and row of each one's corner in it.

    Raises:
        SceneError: several CRS, several pixel sizes, or pixels that do not meet.
    """
    (first, base), *others = grids
    for name, grid in others:
        if grid.crs != base.crs:
            raise SceneError(
                f"{what} holds {first} in {_crs(base)} and {name} in {_crs(grid)}, expected one "
                "CRS for all; keep the files of one, or bring them onto one grid, for example "
                "with gdalwarp -tr 10 10 -tap."
            )
        col, row, times = apart(grid, base)
        # A tiny difference of pixel sizes adds up over the width of a picture.
        drift = abs(times - 1) * max(grid.width, grid.height)
        if not (drift <= NOT_ALIGNED and is_whole(col) and is_whole(row)):
            raise SceneError(
                f"The pixels of {name} do not line up with those of {first} in {what}, expected "
                "one grid for all; bring them onto one, for example with gdalwarp -tr 10 10 -tap."
            )
    places = [(0, 0)] + [
        (round(col), round(row)) for col, row, _ in (apart(grid, base) for _, grid in others)
    ]
    west, north = min(col for col, _ in places), min(row for _, row in places)
    ends = [
        (col + grid.width, row + grid.height)
        for (col, row), (_, grid) in zip(places, grids, strict=True)
    ]
    whole = Grid(
        width=max(col for col, _ in ends) - west,
        height=max(row for _, row in ends) - north,
        crs=base.crs,
        transform=base.transform
        if (west, north) == (0, 0)
        else window_transform(base.transform, west, north),
    )
    return whole, [(col - west, row - north) for col, row in places]


def window_within(grid: Grid, bounds: Sequence[float] | None, *, what: str) -> Window:
    """Find the pixels that bounds ask for, snapped outwards, as far as there are any.

    Args:
        grid: of the scene.
        bounds: west, south, east, north in degrees, west above east across the antimeridian; None
            for the whole grid.
        what: the scene, as a message names it.

    Returns:
        Column, row, width and height within the grid.

    Raises:
        SceneError: no such bounds, none of the scene within them, or fewer than MIN_SIDE pixels.
    """
    col, row, right, bottom = 0, 0, grid.width, grid.height
    if bounds is not None:
        asked = _pixels(grid, _checked(bounds), what=what)
        col, row = max(0, asked[0]), max(0, asked[1])
        right, bottom = min(grid.width, asked[2]), min(grid.height, asked[3])
        if col >= right or row >= bottom:
            raise SceneError(
                f"The bounds lie outside of {what}, which reaches {_reach(grid)}; choose bounds "
                "within it (west, south, east, north in degrees)."
            )
    if min(right - col, bottom - row) < MIN_SIDE:
        raise SceneError(
            f"{what} gives {right - col} x {bottom - row} pixels"
            f"{' within the bounds' if bounds is not None else ''}, expected at least {MIN_SIDE} x "
            f"{MIN_SIDE}; choose a larger piece of a scene."
        )
    return col, row, right - col, bottom - row


def _checked(bounds: Sequence[float]) -> tuple[float, float, float, float]:
    """Check that bounds are bounds; east above west, beyond 180 across the antimeridian."""
    try:
        west, south, east, north = (float(value) for value in bounds)
    except (TypeError, ValueError):
        raise SceneError(
            f"The bounds are {bounds!r}, expected four numbers: west, south, east, north in "
            "degrees."
        ) from None
    sound = all(math.isfinite(value) and abs(value) <= 360 for value in (west, east))
    if not sound or west == east or not -90 <= south < north <= 90:
        raise SceneError(
            f"The bounds are {west:g}, {south:g}, {east:g}, {north:g}, expected west, south, east, "
            "north in degrees of longitude and latitude, south below north."
        )
    return west, south, east if east > west else east + 360, north


def _pixels(
    grid: Grid, bounds: tuple[float, float, float, float], *, what: str
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of bounds in pixels, outwards."""
    if grid.crs is None or grid.transform is None:
        raise SceneError(
            f"{what} has no CRS, so that bounds in degrees cannot be found in it; leave the bounds "
            "away, or give it its CRS."
        )
    west, south, east, north = bounds
    along, step = np.linspace(0, 1, PER_SIDE + 1), np.ones(PER_SIDE + 1)
    lon = np.concatenate([west + (east - west) * along] * 2 + [west * step, east * step])
    lat = np.concatenate([south * step, north * step] + [south + (north - south) * along] * 2)
    try:
        x, y = warp("EPSG:4326", grid.crs, lon.tolist(), lat.tolist())
    except (RasterioError, CPLE_BaseError):
        x = y = [math.inf]
    transform = grid.transform
    cols = (np.asarray(x) - transform.c) / transform.a
    rows = (np.asarray(y) - transform.f) / transform.e
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        raise SceneError(
            f"The bounds cannot be placed in {grid.crs.to_string()}, the CRS of {what}, which "
            f"reaches {_reach(grid)}; choose bounds within it."
        )
    return (
        math.floor(cols.min() + ROUNDING),
        math.floor(rows.min() + ROUNDING),
        math.ceil(cols.max() - ROUNDING),
        math.ceil(rows.max() - ROUNDING),
    )


def _reach(grid: Grid) -> str:
    """Describe the extent of a grid in degrees."""
    place = grid.transform
    xs = [place.c, place.c + place.a * grid.width]
    ys = [place.f, place.f + place.e * grid.height]
    corners = [(x, y) for x in xs for y in ys]
    try:
        lon, lat = warp(grid.crs, "EPSG:4326", [x for x, _ in corners], [y for _, y in corners])
    except (RasterioError, CPLE_BaseError):
        return "over a place that cannot be told in degrees"
    west, east = min(lon), max(lon)
    if east - west > 180:
        west, east = min(at for at in lon if at > 0), max(at for at in lon if at < 0)
    return f"from {west:.3f}, {min(lat):.3f} to {east:.3f}, {max(lat):.3f}"


def _crs(grid: Grid) -> str:
    return grid.crs.to_string()[:60] if grid.crs else "no CRS"
