"""The maps under a picture: whose tiles, from where, and whose name stands beside them.

Addresses and attributions as `xyzservices` (with leafmap) knows them; nothing is fetched here.
"""

import functools
import os
import re
from typing import Any

TILES_VARIABLE = "LDSR_TILES_URL"
"""Environment: one address with {z}, {x}, {y} in place of all base maps; "" or "off" for none."""
ATTRIBUTION_VARIABLE = "LDSR_TILES_ATTRIBUTION"
"""Environment: what is written on that map, plain text or HTML."""
NONE = ("", "off")
DEEPEST = 19
"""Largest zoom of tiles where a provider names none."""


def basemaps() -> list[dict[str, Any]]:
    """List the base maps on offer, the first as default.

    Returns:
        Of each its "name", "url" (a Leaflet template), "attribution" (HTML of the provider),
        "max_zoom" (of its tiles) and "dark" (whether it suits a dark page).
    """
    url = os.environ.get(TILES_VARIABLE)
    if url is None:
        return [dict(basemap) for basemap in _known()]
    if url.strip().lower() in NONE:
        return []
    attribution = os.environ.get(ATTRIBUTION_VARIABLE, "")
    return [_basemap("Map", url.strip(), attribution, DEEPEST, dark=False)]


def tile_sources() -> list[str]:
    """Name the hosts of the base maps' tiles as a Content-Security-Policy does.

    Of "https://{s}.tiles.org/..." it is "https://*.tiles.org": it has a wildcard at the front.
    """
    urls = [basemap["url"] for basemap in basemaps()]
    found = [re.match(r"(https?:)?//([\w.:{}-]+)", url, re.IGNORECASE) for url in urls]
    hosts = {
        f"{one[1] or ''}//".lower().removeprefix("//") + re.sub(r".*\{\w*\}[^.:]*", "*", one[2])
        for one in found
        if one
    }
    return sorted(hosts)


@functools.cache
def _known() -> tuple[dict[str, Any], ...]:
    """Streets, satellite, dark; the dark one is Esri's, for CARTO's asks for a key."""
    from xyzservices import providers

    grey = providers.Esri.WorldGrayCanvas(variant="Canvas/World_Dark_Gray_Base")
    chosen = (
        ("Streets", providers.OpenStreetMap.Mapnik, DEEPEST, False),
        ("Satellite", providers.Esri.WorldImagery, 18, False),
        ("Dark", grey, 16, True),
    )
    return tuple(
        _basemap(
            name,
            tiles.build_url(fill_subdomain=False, scale_factor=""),
            tiles.html_attribution,
            tiles.get("max_zoom", deepest),
            dark=dark,
        )
        for name, tiles, deepest, dark in chosen
    )


def _basemap(name: str, url: str, attribution: str, max_zoom: int, *, dark: bool) -> dict[str, Any]:
    return {
        "name": name,
        "url": url,
        "attribution": attribution,
        "max_zoom": max_zoom,
        "dark": dark,
    }
