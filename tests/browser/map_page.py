"""The map picker on a page of its own: `python tests/browser/map_page.py --port N`.

Its handler answers from nothing but the ask: three scenes, two places, tiles that are not there.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ldsr.web import theme  # noqa: E402, I001  first: it switches Gradio's analytics off

import gradio as gr  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import Response  # noqa: E402
from starlette.routing import Route  # noqa: E402

from ldsr.data.places import box_at  # noqa: E402
from ldsr.errors import LdsrError  # noqa: E402
from ldsr.web.maps.picker import map_picker, map_routes, picker_value  # noqa: E402

CATALOGUES = {"earth-search": "Earth Search", "planetary": "Planetary Computer"}
CREDIT = '© <a href="https://example.org/">Example</a> <img src=x onerror="document.title=1">'
LAYERS = [("Streets", False), ("Dark", True)]
PLACES = [
    {"name": "Bolzano, Italy", "lon": 11.3548, "lat": 46.4983},
    {"name": "Bolzano <b>Novarese</b>", "lon": 8.4443, "lat": 45.7633},
]
SCENES = [
    ("a", "2026-10-02", 12.3, None, 1.0, ""),
    ("b", "2026-11-11", 30.0, 0.25, 1.0, "snow <i>on</i> the ground"),
    ("c", "2026-09-04", 4.0, 0.004, 0.61, ""),
]


def scenes() -> list[dict[str, Any]]:
    keys = ("key", "date", "tile_cloud", "box_cloud", "covers", "note")
    found = [dict(zip(keys, scene, strict=True)) for scene in SCENES]
    extra = {"a": "ldsr/t/a.png", "b": "ldsr/t/gone.png", "c": "ldsr/t/c.png"}
    return [
        scene | {"id": f"S2A_{scene['key']}", "time": "10:10", "thumb": extra[scene["key"]]}
        for scene in found
    ]


def tiles(which: str) -> list[dict[str, Any]]:
    if which == "none":
        return []
    folder = "gone" if which == "gone" else "tile"
    return [
        {
            "name": name,
            "url": f"ldsr/{folder}/{name}/{{z}}/{{x}}/{{y}}.png",
            "attribution": CREDIT,
            "max_zoom": 16,
            "dark": dark,
        }
        for name, dark in LAYERS
    ]


def respond(value: dict[str, Any], request: gr.Request) -> Iterator[dict[str, Any]]:
    """Answer one ask; the query of the page's address says which tiles there are, and how fast."""
    if value["ask"] == "scenes" and "slow" in request.query_params:
        known = {"box_cloud": None, "covers": None, "note": ""}
        first = [scene | known for scene in scenes()]
        yield value | {"scenes": first, "state": "busy", "message": "Reading cloud."}
        time.sleep(2)
    yield answer(value, request)


def answer(value: dict[str, Any], request: gr.Request) -> dict[str, Any]:
    asked = value["ask"]
    if asked == "basemaps":
        return value | {"basemaps": tiles(request.query_params.get("tiles", "gone"))}
    if asked == "place":
        if value["query"] == "nowhere":
            return value | {"found": [], "state": "error", "message": "No such place was found."}
        return value | {"found": PLACES, "state": "done", "message": "2 places found."}
    if asked == "box":
        if abs(value["lat"]) < 1e-9:  # a slow answer, for the test of old turns
            time.sleep(1.5)
        try:
            box = box_at(value["lon"], value["lat"], value["side"])
        except LdsrError as error:
            return value | {"state": "error", "message": str(error)}
        text = f"{box.crs}, {box.west}-{box.east} E, {box.south}-{box.north} N"
        return value | {"ring": box.ring(), "footprint": text}
    if asked == "scenes":
        return value | {"scenes": scenes(), "state": "done", "message": "3 scenes found."}
    if asked == "choose":
        (south, west), (north, east) = (
            (value["lat"] - 0.0057, value["lon"] - 0.0083),
            (value["lat"] + 0.0057, value["lon"] + 0.0083),
        )
        bounds = [[south, west], [north, east]]
        picture = {"url": f"ldsr/t/{value['chosen']}.png", "bounds": bounds}
        chosen = f"Scene {value['chosen']} is chosen."
        return value | {"picture": picture, "message": chosen, "state": "done"}
    raise AssertionError(f"no such ask: {asked!r}")


def png(seed: int, size: int, dark: bool) -> bytes:
    """Draw something that could be land: fields in greens, or in greys."""
    random = np.random.default_rng(seed)
    blocks = random.uniform(0.2, 0.45, (8, 8, 1)) * ([1, 1, 1.2] if dark else [1.3, 1.9, 1.1])
    small = Image.fromarray((255 * np.clip(blocks, 0, 1)).astype(np.uint8))
    sink = io.BytesIO()
    small.resize((size, size), Image.Resampling.NEAREST).save(sink, "PNG")
    return sink.getvalue()


async def tile(request: Request) -> Response:
    x, y = (request.path_params[key] for key in "xy")
    dark = request.path_params["name"] == "Dark"
    return Response(png(1000 * x + y, 256, dark), media_type="image/png")


async def thumb(request: Request) -> Response:
    key = request.path_params["key"]
    if key not in "abc":
        return Response("No such picture.", 404)
    return Response(png(ord(key), 96, False), media_type="image/png")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    catalogues = [{"key": key, "title": title} for key, title in CATALOGUES.items()]
    start = picker_value(
        start="2026-08-23", end="2026-11-21", catalogue="earth-search", catalogues=catalogues
    )
    with (
        gr.Blocks(title="Map picker") as page,
        gr.Row(elem_id="resolve"),
        gr.Column(scale=0, min_width=300, elem_id="controls"),
        gr.Tabs(elem_id="tabs"),
    ):
        with gr.Tab("Sample"):
            gr.Markdown("Something else.")
        with gr.Tab("Map"):
            picker = map_picker(start)
        picker.input(
            respond,
            picker,
            picker,
            show_progress="hidden",
            trigger_mode="multiple",
            concurrency_limit=8,
        )
    routes = [
        *map_routes(),
        Route("/ldsr/tile/{name}/{z:int}/{x:int}/{y:int}.png", tile),
        Route("/ldsr/t/{key}.png", thumb),
    ]
    launch = theme.launch_options()
    page.launch(
        server_name="127.0.0.1",
        server_port=options.port,
        **launch | {"app_kwargs": {"routes": routes}},
    )


if __name__ == "__main__":
    main()
