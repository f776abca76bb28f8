"""A place on the ground: a square box on the 10 m grid of its UTM zone.

Sentinel-2 tiles begin at multiples of 10 m in UTM: a box snapped to that grid is made of whole
pixels of every tile in its zone. Geometry only; knows nothing of files or catalogues.
"""

import dataclasses
import math
from typing import Any

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine
from rasterio.warp import transform as warp

from ldsr.errors import SceneError

SIDES = (640, 1280, 2560)
"""Sides of a box that the page offers, in metres."""
PIXEL = 10
"""Metres; boxes begin and end at multiples of it."""
NORTHMOST, SOUTHMOST = 84.0, -80.0
"""Where UTM ends, in degrees of latitude; Sentinel-2 takes no picture beyond 82.8 degrees."""
PER_SIDE = 8
"""Points with which a side of a box is followed, for in degrees it is no straight line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """A square of whole 10 m pixels in one UTM zone.

    Attributes:
        crs: such as "EPSG:32633".
        west, south, east, north: metres in that CRS, multiples of PIXEL.
    """

    crs: str
    west: int
    south: int
    east: int
    north: int

    @property
    def side(self) -> int:
        """In metres."""
        return self.east - self.west

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in 10 m pixels."""
        return (self.north - self.south) // PIXEL, (self.east - self.west) // PIXEL

    @property
    def transform(self) -> Affine:
        """Pixel to CRS coordinates."""
        return Affine(PIXEL, 0, self.west, 0, -PIXEL, self.north)

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the centre, degrees."""
        ((lon, lat),) = _lonlat(
            self.crs, [((self.west + self.east) / 2, (self.south + self.north) / 2)]
        )
        return lon, lat

    def ring(self) -> list[tuple[float, float]]:
        """Draw the outline as longitude, latitude, closed.

        Longitudes run on across the antimeridian (179.99, 180.01), so that a line stays a line.
        """
        steps = np.linspace(0, 1, PER_SIDE, endpoint=False)
        wide, high = self.east - self.west, self.north - self.south
        corners = [(0, 0, 1, 0), (1, 0, 0, 1), (1, 1, -1, 0), (0, 1, 0, -1)]
        points = [
            (self.west + (x + dx * t) * wide, self.south + (y + dy * t) * high)
            for x, y, dx, dy in corners
            for t in steps
        ]
        first = self.centre[0]
        ring = [(first + wrap(lon - first), lat) for lon, lat in _lonlat(self.crs, points)]
        return [*ring, ring[0]]

    def geojson(self) -> dict[str, Any]:
        """The outline as a GeoJSON geometry, in two parts where it crosses the antimeridian."""
        ring = self.ring()
        (west, *_, east), (south, *_, north) = (
            sorted(x for x, _ in ring),
            sorted(y for _, y in ring),
        )
        if west >= -180 and east <= 180:
            return {"type": "Polygon", "coordinates": [ring]}
        east, west = (east - 360, west) if east > 180 else (east, west + 360)
        halves = [(west, 180.0), (-180.0, east)]
        rings = [[[(a, south), (b, south), (b, north), (a, north), (a, south)]] for a, b in halves]
        return {"type": "MultiPolygon", "coordinates": rings}

    def moved_to(self, crs: str) -> "Box":
        """The box of the same centre and side on the grid of another UTM zone."""
        return self if crs == self.crs else box_at(*self.centre, self.side, crs=crs)


def box_at(lon: float, lat: float, side: int = 1280, *, crs: str | None = None) -> Box:
    """Make the box around a place, snapped to the 10 m grid: its centre is at most 5 m off.

    Args:
        lon: longitude in degrees, any turn.
        lat: latitude in degrees.
        side: in metres, one of SIDES.
        crs: the grid to use, that of the place's UTM zone by default.

    Raises:
        SceneError: no such place, beyond UTM, or another side.
    """
    if not (math.isfinite(lon) and math.isfinite(lat) and abs(lat) <= 90):
        raise SceneError(
            f"There is no place at latitude {lat:g}, longitude {lon:g}; latitude runs from -90 to "
            "90, longitude from -180 to 180."
        )
    if not SOUTHMOST <= lat <= NORTHMOST:
        raise SceneError(
            f"Latitude {lat:.2f} lies beyond the UTM grid ({SOUTHMOST:g} to {NORTHMOST:g}), and "
            "Sentinel-2 takes no pictures there; choose a place nearer to the equator."
        )
    if side not in SIDES:
        raise SceneError(f"A box has a side of {side} m, expected one of {_or(SIDES)} m.")
    lon = wrap(lon)
    crs = crs or utm(lon, lat)
    try:
        (x,), (y,) = warp("EPSG:4326", crs, [lon], [lat])
    except (RasterioError, CPLE_BaseError):
        x = y = math.inf
    if not (math.isfinite(x) and math.isfinite(y)):
        raise SceneError(f"Latitude {lat:.4f}, longitude {lon:.4f} cannot be placed in {crs}.")
    west = PIXEL * round((x - side / 2) / PIXEL)
    south = PIXEL * round((y - side / 2) / PIXEL)
    return Box(crs=crs, west=west, south=south, east=west + side, north=south + side)


def wrap(degrees: float) -> float:
    """The same angle in -180 .. 180."""
    return (degrees + 180) % 360 - 180


def utm(lon: float, lat: float) -> str:
    """Name the UTM zone of a place, such as "EPSG:32633"; longitude in -180 .. 180.

    Norway's and Svalbard's wider zones are as in the MGRS, which Sentinel-2's tiles follow.
    """
    zone = min(int((lon + 180) // 6) + 1, 60)
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    elif lat >= 72 and 0 <= lon < 42:
        zone = 31 + 2 * sum(lon >= edge for edge in (9, 21, 33))
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def is_utm(crs: CRS) -> bool:
    """Whether a CRS is a zone of UTM on WGS 84."""
    code = crs.to_epsg() or 0
    return code // 100 in (326, 327) and 1 <= code % 100 <= 60


def is_utm_code(crs: str) -> bool:
    """Whether a text such as "EPSG:32633" names a zone of UTM on WGS 84."""
    try:
        return is_utm(CRS.from_string(crs))
    except CRSError:
        return False


def lonlat(crs: str | CRS, x: float, y: float) -> tuple[float, float] | None:
    """Longitude and latitude of a point, degrees; None where the CRS does not lead there."""
    try:
        (lon,), (lat,) = warp(crs, "EPSG:4326", [x], [y])
    except (RasterioError, CPLE_BaseError):
        return None
    return (lon, lat) if math.isfinite(lon) and math.isfinite(lat) else None


def _lonlat(crs: str, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    lon, lat = warp(crs, "EPSG:4326", [x for x, _ in points], [y for _, y in points])
    return list(zip(lon, lat, strict=True))


def _or(values: tuple[int, ...]) -> str:
    *first, last = (str(value) for value in values)
    return f"{', '.join(first)} or {last}"
