"""The map picker: a box on a Leaflet map, then a Sentinel-2 scene from a list.

The component, its value and the files it needs from our own server; who searches is told by `ask`.
"""

import datetime
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ldsr.data.places import SIDES
from ldsr.web.theme import ASSETS, asset

SCRIPTS = ("map.js", "map_chart.js", "map_scenes.js", "scene_area.js")
"""Joined in this order; they share one scope."""
DAYS = 90
"""Length of the period that is searched until the person says otherwise."""
_KEPT = {"Cache-Control": "public, max-age=604800"}
"""A week: these files change with a new version of the product only."""


def map_picker(value: dict[str, Any]) -> gr.HTML:
    """Make the component.

    Listen to its `input` event with `trigger_mode="multiple"`, or asks are lost while one is
    answered, and return the whole value with the `turn` it came with. A value whose `turn` is
    None is always taken: for what nobody asked for, such as a picture.

    Args:
        value: `picker_value(...)`.
    """
    return gr.HTML(
        value,
        html_template=asset("map.html"),
        js_on_load="\n".join(asset(name) for name in SCRIPTS),
        apply_default_css=False,
        elem_id="map-picker",
    )


def picker_value(**changes: Any) -> dict[str, Any]:
    """Make a value of the picker: the defaults with some changes.

    Args:
        changes: entries of the value, see the keys below.

    Raises:
        TypeError: there is no such entry.
    """
    today = datetime.datetime.now(datetime.UTC).date()
    value = {
        "turn": 0,
        "ask": "",
        "lon": None,
        "lat": None,
        "side": SIDES[1],
        "span": None,
        "ring": None,
        "footprint": "",
        "query": "",
        "found": [],
        "start": (today - datetime.timedelta(days=DAYS)).isoformat(),
        "end": today.isoformat(),
        "cloud": 40,
        "catalogue": "",
        "catalogues": [],
        "order": "clear",
        "scenes": [],
        "chosen": None,
        "basemaps": None,
        "picture": None,
        "message": "",
        "state": "idle",
    }
    unknown = sorted(set(changes) - set(value))
    if unknown:
        raise TypeError(f"The picker's value has no {', '.join(unknown)}.")
    return value | changes


def leaflet_folder() -> Path:
    """Find leaflet.js, leaflet.css and images/, installed by xstatic-leaflet."""
    from xstatic.pkg import leaflet

    return Path(leaflet.BASE_DIR)


def leaflet_route() -> Route:
    """Serve Leaflet's files at /ldsr/leaflet; a Mount would not be found behind a proxy's path."""
    files = _Kept(directory=leaflet_folder())

    async def file(request: Request) -> Response:
        return await files.get_response(request.path_params["path"], request.scope)

    return Route("/ldsr/leaflet/{path:path}", file)


def map_routes() -> Sequence[BaseRoute]:
    """List all that the picker fetches from our server: Leaflet and the outline of the land."""

    @functools.cache
    def outline() -> bytes:
        return (ASSETS / "land.json").read_bytes()

    async def land(_: Request) -> Response:
        return Response(outline(), media_type="application/json", headers=_KEPT)

    return [leaflet_route(), Route("/ldsr/map/land.json", land)]


class _Kept(StaticFiles):
    """Static files that a browser need not ask for again."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in (200, 304):
            response.headers.update(_KEPT)
        return response
