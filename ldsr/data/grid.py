"""What a pixel grid must be: its size, its place on the ground, a window of it.

Checks numbers from headers, before any pixel is read.
"""

import math

from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.warp import transform as warp

from ldsr.data.patch import MAX_SIDE, MIN_SIDE
from ldsr.data.places import utm, wrap
from ldsr.errors import PatchError

GSD = 10.0
"""Ground size of a Sentinel-2 pixel of B02, B03, B04 and B08, in metres."""
GSD_RANGE = (9.0, 11.0)
"""Pixel sizes taken as 10 m, in metres on the ground."""
FARTHEST = 1e9
"""Largest coordinate of a place on the earth, in any unit."""

Window = tuple[int, int, int, int]
"""Column, row, width, height in pixels."""


def check_window(width: int, height: int, window: Window | None, *, what: str) -> Window:
    """Check the size of what will be read.

    Args:
        width: of the whole picture, in pixels.
        height: of the whole picture, in pixels.
        window: the part to read, or None for all of it.
        what: the file, as a message names it.

    Returns:
        The window to read.

    Raises:
        PatchError: it reaches outside, is below MIN_SIDE or above MAX_SIDE.
    """
    try:
        col, row, wide, high = (int(value) for value in window or (0, 0, width, height))
    except (TypeError, ValueError):
        raise PatchError(
            f"The window is {window!r}, expected column, row, width and height in pixels."
        ) from None
    if window and (min(col, row) < 0 or col + wide > width or row + high > height):
        raise PatchError(
            f"The window {col}, {row}, {wide}, {high} (column, row, width, height) reaches "
            f"outside {what}, which is {width} x {height} pixels; choose one inside."
        )
    if min(wide, high) < MIN_SIDE:
        raise PatchError(
            f"{what} gives {wide} x {high} pixels, expected at least {MIN_SIDE} x {MIN_SIDE}; "
            "cut a larger piece of the scene."
        )
    if max(wide, high) > MAX_SIDE:
        raise PatchError(
            f"{what} gives {wide} x {high} pixels, at most {MAX_SIDE} x {MAX_SIDE} are taken "
            "here; whole scenes are done by python -m ldsr scene, or cut a window first, for "
            f"example with gdal_translate -srcwin 0 0 {MAX_SIDE} {MAX_SIDE} or with "
            "window=(column, row, width, height)."
        )
    return col, row, wide, high


def check_grid(
    crs: CRS | None, transform: Affine | None, width: int, height: int, *, what: str
) -> tuple[CRS | None, Affine | None]:
    """Check that the pixels are 10 m on the ground, north up.

    A grid without a CRS is a plain picture and passes. Degrees pass where a pixel is 9 to 11 m
    on the ground both ways.

    Returns:
        CRS and transform; None both for a plain picture without any placing.

    Raises:
        PatchError: no numbers, rotated, flipped, or pixels that are not 10 m.
    """
    if transform is None or transform == Affine.identity():
        return None, None
    check_place(transform, what=what)
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise PatchError(
            f"{what} is rotated or flipped, expected north up; bring it onto a north-up 10 m "
            "grid first, for example with gdalwarp -tr 10 10 in.tif out.tif."
        )
    if not crs:
        return None, transform
    across, down, zone = ground_size(crs, transform, width, height)
    low, high = GSD_RANGE
    if low <= across <= high and low <= down <= high:
        return crs, transform
    unit = " in degrees" if crs.is_geographic else ""
    warp_to = f"-t_srs {zone} " if zone else ""
    raise PatchError(
        f"{what} has pixels{unit} of {across:.3g} x {down:.3g} m on the ground, expected "
        f"{GSD:g} m; bring the original Sentinel-2 10 m bands onto a UTM grid, for example with "
        f"gdalwarp {warp_to}-tr 10 10 -r cubic in.tif out.tif."
    )


def check_place(transform: Affine | None, *, what: str) -> None:
    """Check that a transform is made of numbers that a place on the earth can have.

    Raises:
        PatchError: one that is not finite, or far too large.
    """
    if transform is None or all(abs(number) < FARTHEST for number in transform):
        return
    raise PatchError(
        f"{what} states a place that is nowhere on the earth (its transform holds "
        f"{max(transform, key=_oddness):g}); give it its CRS and transform anew, or hand in the "
        "original file."
    )


def window_transform(transform: Affine | None, col: int, row: int) -> Affine | None:
    """Move the origin of a north-up grid to the corner of a window."""
    if transform is None:
        return None
    west, north = transform.c + transform.a * col, transform.f + transform.e * row
    return Affine(transform.a, 0.0, west, 0.0, transform.e, north)


def ground_size(
    crs: CRS, transform: Affine, width: int, height: int
) -> tuple[float, float, str | None]:
    """Measure a pixel at the centre of the grid, on the WGS 84 ellipsoid.

    Returns:
        Width and height of a pixel in metres on the ground, and the UTM zone there, such as
        "EPSG:32633" (None where the CRS cannot be related to the earth).
    """
    x, y = transform.c + transform.a * width / 2, transform.f + transform.e * height / 2
    places = [(x, y), (x + transform.a, y), (x, y + transform.e)]
    try:
        lon, lat = warp(crs, "EPSG:4326", [x for x, _ in places], [y for _, y in places])
    except RasterioError:
        lon, lat = [math.inf], [math.inf]
    if not all(math.isfinite(value) for value in (*lon, *lat)) or abs(lat[0]) > 90:
        unit = crs.linear_units_factor[1] if crs.is_projected else 1.0
        return transform.a * unit, -transform.e * unit, None
    sizes = [_metres(lon[0], lat[0], lon[i], lat[i]) for i in (1, 2)]
    return sizes[0], sizes[1], utm(wrap(lon[0]), lat[0])


def _oddness(number: float) -> float:
    return abs(number) if math.isfinite(number) else math.inf


def _metres(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """Distance of two close points on the WGS 84 ellipsoid, from its two radii of curvature."""
    major, eccentricity = 6378137.0, 0.00669437999014
    bend = 1 - eccentricity * math.sin(math.radians(lat)) ** 2
    north = math.radians(other_lat - lat) * major * (1 - eccentricity) / bend**1.5
    east = (
        math.radians(wrap(other_lon - lon)) * major / math.sqrt(bend) * math.cos(math.radians(lat))
    )
    return math.hypot(north, east)
