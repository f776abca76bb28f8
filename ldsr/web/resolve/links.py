"""Settings in the address of the page: written by "Copy link", read when the page opens."""

import contextlib
import dataclasses
import urllib.parse
from collections.abc import Mapping
from typing import Any

from ldsr.data.endpoints import catalogues
from ldsr.data.patch import Patch
from ldsr.data.places import SIDES, Box, box_at, is_utm_code
from ldsr.errors import SceneError
from ldsr.settings import PRESETS, Settings

DEFAULTS = dataclasses.asdict(PRESETS["balanced"])
BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinkedScene:
    """A box of a scene, as an address names it.

    Attributes:
        scene: id.
        catalogue: key of its catalogue, "" for the default one.
        box: what of it.
    """

    scene: str
    catalogue: str
    box: Box


def share_query(settings: Settings, sample: str | None, patch: Patch | None = None) -> str:
    """Write settings, and the sample or the scene of a patch, as a URL query.

    `from_query` and `scene_of` read it. An upload has no address.
    """
    pairs = {} if sample is None else {"sample": sample}
    pairs |= {} if patch is None else _scene_pairs(patch)
    for name, value in dataclasses.asdict(settings).items():
        if value is not None:
            pairs[name] = int(value) if isinstance(value, bool) else value
    return "?" + urllib.parse.urlencode(pairs)


def scene_of(query: Mapping[str, str]) -> LinkedScene | None:
    """Read the scene that a URL query names, None where it names none.

    Raises:
        LdsrError: the place is missing or wrong.
    """
    if "scene" not in query:
        return None
    try:
        lon, lat = float(query["lon"]), float(query["lat"])
        side, zone = int(query.get("side", SIDES[1])), query.get("zone")
        crs = None if zone is None else f"EPSG:{int(zone)}"
    except (KeyError, ValueError):
        raise SceneError(
            "a scene needs lon and lat in degrees, and side and zone (EPSG) as whole numbers."
        ) from None
    if crs is not None and not is_utm_code(crs):
        raise SceneError(f"zone is {zone}, expected the EPSG code of a UTM zone, such as 32633.")
    box = box_at(lon, lat, side, crs=crs)
    return LinkedScene(scene=query["scene"], catalogue=query.get("catalogue", ""), box=box)


def from_query(query: Mapping[str, str]) -> Settings:
    """Read settings from a URL query; what it does not name is as in "balanced".

    Raises:
        LdsrError: a value out of its range.
    """
    values = {name: _read(name, query[name]) for name in DEFAULTS if name in query}
    return Settings(**(DEFAULTS | values))


def asks_for_refinement(query: Mapping[str, str]) -> bool:
    """True where the address itself names the second stage, and wants it."""
    return BOOLEANS.get(query.get("refine", "").lower(), False)


def _read(name: str, text: str) -> Any:
    """A value of the field's type; text that is not stays text, which Settings refuses."""
    default = DEFAULTS[name]
    if isinstance(default, bool):
        return BOOLEANS.get(text.lower(), text)
    kind = float if name == "temperature" else type(default)
    with contextlib.suppress(ValueError):
        return kind(text)
    return text


def _scene_pairs(patch: Patch) -> dict[str, Any]:
    """Name the scene and box of a patch from a catalogue; nothing for any other."""
    if patch.source.kind != "scene" or patch.crs is None or patch.transform is None:
        return {}
    west, south, east, north = (round(edge) for edge in patch.bounds)
    crs = patch.crs.to_string()
    lon, lat = Box(crs=crs, west=west, south=south, east=east, north=north).centre
    where = patch.source.catalogue or ""
    keys = [one.key for one in catalogues() if where == f"{one.public_url} {one.collection}"]
    return {
        "scene": patch.source.name,
        "catalogue": keys[0] if keys else "",
        "lon": f"{lon:.5f}",
        "lat": f"{lat:.5f}",
        "side": east - west,
        "zone": patch.crs.to_epsg(),
    }
