"""Pictures in the projection of web maps (EPSG:3857, spherical Mercator).

Geometry and pixels only; knows nothing of files, colours or the page. Longitudes run on across
the antimeridian (179.99, 180.01), as a Leaflet map counts them.
"""

import math

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine, array_bounds
from rasterio.warp import reproject, transform_bounds
from rasterio.warp import transform as warp

from ldsr.data.places import wrap
from ldsr.errors import LdsrError

RADIUS = 6378137.0
"""Of EPSG:3857's sphere, in metres."""
NORTHMOST = 85.0511
"""Where a web map ends, in degrees of latitude."""
PER_SIDE = 16
"""Points with which a side is followed, for in another projection it is no straight line."""

Bounds = tuple[tuple[float, float], tuple[float, float]]


def to_mercator(
    picture: np.ndarray, crs: CRS | None, transform: Affine | None
) -> tuple[np.ndarray, Bounds]:
    """Warp a picture to EPSG:3857, bilinearly and without losing resolution.

    Args:
        picture: uint8 [H, W, 3 or 4], RGB or RGBA.
        crs: of the picture.
        transform: pixel to CRS coordinates.

    Returns:
        uint8 [h, w, 4], RGBA, h * w at least H * W, transparent outside the picture; and the outer
        edges of its pixels as (south, west), (north, east) in degrees.

    Raises:
        LdsrError: no CRS, or a place that no web map shows.
    """
    centre = _centre(picture.shape[:2], crs, transform)
    local = _mercator(centre)
    height, width = picture.shape[:2]
    west, south, east, north = transform_bounds(
        crs, local, *array_bounds(height, width, transform), densify_pts=PER_SIDE
    )
    pixel = _pixel(height, width, crs, transform, local)
    wide, high = math.ceil((east - west) / pixel), math.ceil((north - south) / pixel)
    grid = Affine((east - west) / wide, 0, west, 0, (south - north) / high, north)
    warped = np.zeros((4, high, wide), np.float32)
    reproject(
        _premultiplied(picture),
        warped,
        src_transform=transform,
        src_crs=crs,
        dst_transform=grid,
        dst_crs=local,
        resampling=Resampling.bilinear,
    )
    corners = (
        (_latitude(south), centre + _degrees(west)),
        (_latitude(north), centre + _degrees(east)),
    )
    return _straight(warped), corners


def outline(
    size: tuple[int, int], crs: CRS | None, transform: Affine | None
) -> list[tuple[float, float]]:
    """Follow the edge of a picture.

    Args:
        size: height and width in pixels.
        crs: of the picture.
        transform: pixel to CRS coordinates.

    Returns:
        Latitude and longitude in degrees, a closed ring, in the longitudes of `to_mercator`.

    Raises:
        LdsrError: no CRS, or a place that no web map shows.
    """
    centre = _centre(size, crs, transform)
    height, width = size
    steps = np.linspace(0, 1, PER_SIDE, endpoint=False)
    corners = [(0, 0), (width, 0), (width, height), (0, height), (0, 0)]
    ring = [
        transform * (x + (u - x) * t, y + (v - y) * t)
        for (x, y), (u, v) in zip(corners, corners[1:], strict=False)
        for t in steps
    ]
    lons, lats = warp(crs, "EPSG:4326", [x for x, _ in ring], [y for _, y in ring])
    ring = [(lat, centre + wrap(lon - centre)) for lon, lat in zip(lons, lats, strict=True)]
    return [*ring, ring[0]]


def _centre(size: tuple[int, int], crs: CRS | None, transform: Affine | None) -> float:
    """Longitude of the middle of a picture, in -180 .. 180 (180 rather than -180)."""
    if crs is None or transform is None:
        raise LdsrError(
            "This picture has no position (no CRS), so it cannot be placed on a map; use a GeoTIFF "
            "that names its coordinate system."
        )
    x, y = transform * (size[1] / 2, size[0] / 2)
    try:
        (lon,), (lat,) = warp(crs, "EPSG:4326", [x], [y])
    except RasterioError:
        lon = lat = math.inf
    if not (math.isfinite(lon) and abs(lat) < NORTHMOST):
        raise LdsrError(
            f"The picture's position ({x:.0f}, {y:.0f} in {crs.to_string()}) lies on no web map, "
            f"expected a latitude within {NORTHMOST:g} degrees; check its coordinate system."
        )
    return wrap(lon) if abs(wrap(lon)) < 179.5 else lon % 360


def _mercator(centre: float) -> CRS:
    """EPSG:3857 moved so that x is 0 at a longitude: no box is torn at the antimeridian."""
    return CRS.from_proj4(
        f"+proj=merc +a={RADIUS} +b={RADIUS} +lat_ts=0 +lon_0={centre!r} +x_0=0 +y_0=0 +k=1 "
        "+units=m +nadgrids=@null +no_defs"
    )


def _pixel(height: int, width: int, crs: CRS, transform: Affine, local: CRS) -> float:
    """The shortest side of a picture in Mercator's metres, over its pixels."""
    corners = [transform * at for at in ((0, 0), (width, 0), (width, height), (0, height), (0, 0))]
    xs, ys = warp(crs, local, [x for x, _ in corners], [y for _, y in corners])
    lengths = np.hypot(np.diff(xs), np.diff(ys))
    return float(min(lengths / (width, height, width, height)))


def _premultiplied(picture: np.ndarray) -> np.ndarray:
    """Float [4, H, W]: colours times alpha, so that what is transparent lends no colour."""
    bands = np.moveaxis(picture, -1, 0).astype(np.float32)
    alpha = bands[3:] if len(bands) == 4 else np.full_like(bands[:1], 255)
    return np.concatenate([bands[:3] * (alpha / 255), alpha])


def _straight(bands: np.ndarray) -> np.ndarray:
    """Undo `_premultiplied`: uint8 [H, W, 4]."""
    alpha = bands[3:]
    colours = np.divide(bands[:3] * 255, alpha, out=np.zeros_like(bands[:3]), where=alpha > 0)
    whole = np.rint(np.clip(np.concatenate([colours, alpha]), 0, 255)).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(whole, 0, -1))


def _degrees(metres: float) -> float:
    return math.degrees(metres / RADIUS)


def _latitude(y: float) -> float:
    return math.degrees(math.atan(math.sinh(y / RADIUS)))
