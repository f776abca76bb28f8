"""An area on the map: a rectangle in degrees, larger than the boxes that are shown at once.

Geometry only, and what a command and a catalogue need of it; knows nothing of jobs.
"""

import dataclasses
import json
import math
from typing import Any

from ldsr.data.bands import BANDS
from ldsr.data.places import PIXEL, SIDES, Box, box_at, wrap
from ldsr.data.scenes import ASSETS, Scene, Tile
from ldsr.errors import SceneError

AREA_SIDES = (5000, 10000, 20000)
"""Sides of an area that the page offers, in metres."""
LEAST_KM, MOST_KM = 0.32, 110.0
"""Of a side, in kilometres: a Sentinel-2 tile has 110."""
DEGREE = 111320.0
"""Metres, of latitude."""
LOOKED_INTO = 2600
"""Longer side in pixels up to which thumbnails and clouds of an area are read for the list."""
_STEPS = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Area(Box):
    """The 10 m pixels of one UTM zone that a rectangle in degrees touches.

    Attributes:
        degrees: west, south, east, north of the rectangle.
    """

    degrees: tuple[float, float, float, float]

    @property
    def side(self) -> float:  # what shares of a box are measured by
        """Side of a square of the same area, in metres."""
        return math.sqrt((self.east - self.west) * (self.north - self.south))

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the centre of the rectangle."""
        west, south, east, north = self.degrees
        return (west + east) / 2, (south + north) / 2

    def ring(self) -> list[tuple[float, float]]:
        """The outline as it is drawn, closed."""
        return _outline(self.degrees)

    def moved_to(self, crs: str) -> "Area":
        """The same rectangle on the grid of another UTM zone."""
        return self if crs == self.crs else _on_grid(self.degrees, crs)

    @property
    def kilometres(self) -> tuple[float, float]:
        """Across and up."""
        return (self.east - self.west) / 1000, (self.north - self.south) / 1000

    @property
    def looked_into(self) -> bool:
        """Whether it is small enough to read its clouds before it is asked for."""
        return max(self.size) <= LOOKED_INTO


def area_at(lon: float, lat: float, kilometres: tuple[float, float]) -> Area:
    """Make the area around a place.

    Args:
        lon, lat: of its centre, degrees.
        kilometres: across and up.

    Raises:
        SceneError: no such place, or a side that is too short or too long.
    """
    place = box_at(lon, lat, SIDES[0])
    if not all(LEAST_KM <= side <= MOST_KM for side in kilometres):
        across, up = kilometres
        raise SceneError(
            f"The area is {across:.3g} x {up:.3g} km, expected {LEAST_KM:g} to {MOST_KM:g} km a "
            "side; draw another one, or type its width and height."
        )
    lon = wrap(lon)
    half_up = 500 * kilometres[1] / DEGREE
    half_across = 500 * kilometres[0] / (DEGREE * max(0.02, math.cos(math.radians(lat))))
    degrees = (lon - half_across, lat - half_up, lon + half_across, lat + half_up)
    if degrees[0] < -180 or degrees[2] > 180:
        raise SceneError(
            "The area crosses the 180th meridian, where no scene is in one piece; move it to "
            "one side."
        )
    return _on_grid(degrees, place.crs)


def is_area(value: Any, span: Any) -> bool:
    """Whether side and span of a map's value ask for an area rather than a box."""
    return span is not None or value in AREA_SIDES


def area_of(lon: float, lat: float, side: Any, span: Any) -> Area:
    """Make the area that side or span of a map's value ask for.

    Raises:
        SceneError: as `area_at`.
    """
    if span is None:
        return area_at(lon, lat, (side / 1000, side / 1000))
    numbers = span if isinstance(span, list | tuple) and len(span) == 2 else (math.nan, math.nan)
    across, up = (one if isinstance(one, int | float) else math.nan for one in numbers)
    return area_at(lon, lat, (float(across), float(up)))


def items_of(scene: Scene) -> bytes:
    """Write the tiles of a scene as a STAC ItemCollection, as `read_item` reads it back."""
    collection = {
        "type": "FeatureCollection",
        "features": [_item(scene, tile) for tile in scene.tiles],
    }
    return json.dumps(collection, indent=1).encode()


def _item(scene: Scene, tile: Tile) -> dict[str, Any]:
    hints = tile.hints
    said: dict[str, Any] = {"datetime": scene.acquired.isoformat()}
    pixels: dict[str, Any] = {}
    if scene.cloud_percent is not None:
        said["eo:cloud_cover"] = scene.cloud_percent
    if tile.crs is not None:
        said["proj:code"] = tile.crs
    if hints.baseline is not None:
        said["s2:processing_baseline"] = hints.baseline
    if hints.scale == 1e-4 and hints.certain and hints.offset_dn == 0:
        said["earthsearch:boa_offset_applied"] = True  # known to be taken off already, or never on
    if hints.scale is not None:
        offset = (hints.offset_dn or 0.0) * hints.scale
        pixels["raster:bands"] = [{"scale": hints.scale, "offset": offset}]
    if tile.bounds is not None:
        pixels["proj:bbox"] = list(tile.bounds)
    assets = {
        ASSETS[role][0]: {"href": href, **(pixels if role in BANDS else {})}
        for role, href in tile.hrefs.items()
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": tile.id,
        "geometry": None,
        "properties": said,
        "links": [],
        "assets": assets,
    }


def _on_grid(degrees: tuple[float, float, float, float], crs: str) -> Area:
    """Find the whole pixels of a UTM zone that a rectangle in degrees touches."""
    points = _outline(degrees)
    places = [box_at(lon, lat, SIDES[0], crs=crs) for lon, lat in points]
    x = [(place.west + place.east) / 2 for place in places]
    y = [(place.south + place.north) / 2 for place in places]
    west, south = (PIXEL * math.floor(min(values) / PIXEL) for values in (x, y))
    east, north = (PIXEL * math.ceil(max(values) / PIXEL) for values in (x, y))
    return Area(crs=crs, west=west, south=south, east=east, north=north, degrees=degrees)


def _outline(degrees: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    west, south, east, north = degrees
    corners = [(west, north), (east, north), (east, south), (west, south), (west, north)]
    ring = []
    for (x, y), (next_x, next_y) in zip(corners, corners[1:], strict=False):
        ring += [
            (x + (next_x - x) * i / _STEPS, y + (next_y - y) * i / _STEPS) for i in range(_STEPS)
        ]
    return [*ring, ring[0]]
