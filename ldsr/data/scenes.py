"""What a catalogue says of a Sentinel-2 picture: scenes, their tiles, and where the bands lie.

Makes them of STAC items (dictionaries); knows nothing of networks or pixels.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rasterio.crs import CRS
from rasterio.errors import CRSError

from ldsr.data.bands import BANDS
from ldsr.data.places import Box, is_utm
from ldsr.data.radiometry import OFFSET_DN, Hints, newer_baseline
from ldsr.data.raw import plain_baseline, utc
from ldsr.errors import SceneError, one_line, shortened

ASSETS = {
    "R": ("red", "B04"),
    "G": ("green", "B03"),
    "B": ("blue", "B02"),
    "NIR": ("nir", "B08"),
    "SCL": ("scl", "SCL"),
    "visual": ("visual", "TCI"),
}
"""Names that catalogues give to the files we read."""
LONGEST_ID = 200
"""Characters of an id that are kept."""
ONE_PASS = timedelta(minutes=10)
"""Tiles of one satellite closer in time than this were taken in one pass."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """One tile of one pass, as one STAC item describes it.

    Attributes:
        id: of the item.
        crs: such as "EPSG:32633", or None where the item does not say.
        bounds: west, south, east, north in that CRS, or None.
        hrefs: address of each of ASSETS that there is; R, G, B and NIR always are.
        hints: what the item says of scale, offset and baseline.
    """

    id: str
    crs: str | None
    bounds: tuple[float, float, float, float] | None
    hrefs: Mapping[str, str]
    hints: Hints

    def covers(self, box: Box) -> float:
        """Share of a box that lies within the tile's frame, 0..1; 1 where that is not known."""
        if self.bounds is None or self.crs is None:
            return 1.0
        try:
            moved = box.moved_to(self.crs)
        except SceneError:
            return 0.0
        west, south, east, north = self.bounds
        wide = min(east, moved.east) - max(west, moved.west)
        high = min(north, moved.north) - max(south, moved.south)
        return max(0.0, wide) * max(0.0, high) / moved.side**2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """What one pass of one satellite shows of a box.

    Attributes:
        id: of the tile that covers most of the box.
        acquired: time of acquisition (UTC).
        cloud_percent: of that whole tile, as the catalogue says, 0..100, or None.
        tiles: in one CRS, the one that covers most of the box first.
        catalogue: key of the `Catalogue` it is from.
    """

    id: str
    acquired: datetime
    cloud_percent: float | None
    tiles: tuple[Tile, ...]
    catalogue: str

    @property
    def crs(self) -> str | None:
        """Of all tiles, or None where the catalogue does not say."""
        return self.tiles[0].crs


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One usable STAC item: its tile, and what tells passes apart."""

    tile: Tile
    acquired: datetime
    cloud_percent: float | None
    platform: str


def on_the_web(href: str) -> str | None:
    """Take an address on the web alone; catalogues also list files in buckets, which need accounts.

    JPEG 2000 cannot be read by windows in few requests.
    """
    web = href.startswith(("https://", "http://"))
    return href if web and not href.partition("?")[0].lower().endswith(".jp2") else None


def read_item(
    item: Mapping[str, Any],
    *,
    original: bool,
    reach: Callable[[str], str | None] = on_the_web,
) -> Entry | None:
    """Make an entry of a STAC item, or None where it is not a Sentinel-2 picture we can read.

    Args:
        item: GeoJSON feature.
        original: the catalogue holds the numbers as ESA made them, and what it says of their
            offset is true: the numbers need not confirm it.
        reach: gives the address to read a file at by what the item says, or None where it may not.
    """
    try:
        return _entry(item, original=original, reach=reach)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None


def _entry(
    item: Mapping[str, Any], *, original: bool, reach: Callable[[str], str | None]
) -> Entry | None:
    assets, said = item.get("assets") or {}, item.get("properties") or {}
    hrefs = {role: _href(assets, names, reach) for role, names in ASSETS.items()}
    hrefs = {role: href for role, href in hrefs.items() if href}
    acquired = utc(said.get("datetime") or said.get("start_datetime"))
    if acquired is None or not item.get("id") or not all(band in hrefs for band in BANDS):
        return None
    red = next(assets[name] for name in ASSETS["R"] if name in assets)
    crs = _crs(said) or _crs(red)
    tile = Tile(
        id=shortened(one_line(item["id"]), LONGEST_ID),
        crs=crs,
        bounds=_bounds(red) or _bounds(said),
        hrefs=hrefs,
        hints=_hints(red, said, original=original),
    )
    cloud = said.get("eo:cloud_cover")
    return Entry(
        tile=tile,
        acquired=acquired,
        cloud_percent=float(cloud) if _is_number(cloud) else None,
        platform=str(said.get("platform") or ""),
    )


def group(entries: Iterable[Entry], box: Box, *, catalogue: str) -> list[Scene]:
    """Join the tiles of one pass to one scene of a box, newest scene first.

    Of tiles in several UTM zones those of the zone that covers most of the box are kept, and the
    box's own zone where they are equal; of the same tile processed twice, the newer baseline.
    """
    passes: list[list[Entry]] = []
    for entry in sorted(entries, key=lambda entry: entry.acquired, reverse=True):
        for kept in passes:
            near = kept[0].acquired - entry.acquired < ONE_PASS
            if near and kept[0].platform == entry.platform:
                kept.append(entry)
                break
        else:
            passes.append([entry])
    return [_scene(entries, box, catalogue) for entries in passes]


def _scene(entries: list[Entry], box: Box, catalogue: str) -> Scene:
    def worth(entry: Entry) -> tuple[float, bool, str]:
        tile = entry.tile
        return round(tile.covers(box), 3), tile.crs == box.crs, tile.hints.baseline or ""

    best, *others = sorted(entries, key=worth, reverse=True)
    frames = [best.tile]
    for tile in (entry.tile for entry in others):
        known = any(tile.bounds == kept.bounds for kept in frames)
        if tile.crs == best.tile.crs and tile.covers(box) > 0 and not known:
            frames.append(tile)
    return Scene(
        id=best.tile.id,
        acquired=best.acquired,
        cloud_percent=best.cloud_percent,
        tiles=tuple(frames),
        catalogue=catalogue,
    )


def _href(
    assets: Mapping[str, Any], names: tuple[str, ...], reach: Callable[[str], str | None]
) -> str | None:
    """Find the first address that may be read."""
    for name in names:
        href = (assets.get(name) or {}).get("href")
        found = reach(href) if isinstance(href, str) else None
        if found:
            return found
    return None


def _is_number(said: Any) -> bool:
    return isinstance(said, int | float) and math.isfinite(said)


def _crs(said: Mapping[str, Any]) -> str | None:
    """Read the projection extension, version 1 (a number) or 2 (a text); UTM zones alone."""
    code = str(said.get("proj:code") or said.get("proj:epsg") or "").upper()
    number = code.removeprefix("EPSG:")
    if not (number.isascii() and number.isdigit() and len(number) <= 6):
        return None  # GDAL would fetch a CRS from an address
    try:
        crs = CRS.from_epsg(int(number))
    except CRSError:
        return None
    return f"EPSG:{crs.to_epsg()}" if crs and is_utm(crs) else None


def _bounds(said: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    box = said.get("proj:bbox")
    if box and len(box) == 4:
        return tuple(box)
    shape, place = said.get("proj:shape"), said.get("proj:transform")
    if not (shape and place and len(place) >= 6):
        return None
    across, _, west, _, down, north = place[:6]
    return west, north + down * shape[0], west + across * shape[1], north


def _hints(asset: Mapping[str, Any], said: Mapping[str, Any], *, original: bool) -> Hints:
    """Read scale and offset: what was done to the pixels, then what the band says, then baseline.

    Some catalogues declare an offset that is already taken off (Earth Search's older collection),
    so that without `original` the numbers themselves must confirm it.
    """
    baseline = said.get("s2:processing_baseline")
    baseline = plain_baseline(str(baseline)) if baseline else None
    band = ((asset.get("raster:bands") or asset.get("bands") or [{}])[0]) | dict(asset)
    scale = band.get("scale", band.get("raster:scale"))
    offset = band.get("offset", band.get("raster:offset"))
    plain = {"baseline": baseline, "authority": "the catalogue"}
    if said.get("earthsearch:boa_offset_applied") is True:
        return Hints(scale=1e-4, offset_dn=0.0, certain=True, **plain)
    if isinstance(scale, int | float) and scale > 0 and not math.isclose(scale, 1.0):
        offset_dn = round(float(offset or 0.0) / scale, 6)
        return Hints(scale=float(scale), offset_dn=offset_dn, certain=original, **plain)
    if original and baseline:
        offset_dn = OFFSET_DN if newer_baseline(baseline) else 0.0
        said_by = f"processing baseline {baseline}"
        return Hints(offset_dn=offset_dn, certain=True, baseline=baseline, authority=said_by)
    return Hints(**plain)


def day(moment: datetime) -> str:
    """Write the day (UTC) of a moment, such as 2026-09-14."""
    return moment.astimezone(UTC).date().isoformat()
