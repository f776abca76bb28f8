"""Scene jobs on the page: the offer, the card of this browser's jobs, and the routes behind them.

The browser remembers its jobs by their ids; what it may change, by their keys. The server tells
nobody of a job whose id they do not have.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ldsr.errors import LdsrError, SceneError
from ldsr.web.pictures import Shown
from ldsr.web.resolve import parts
from ldsr.web.resolve.tags import read_settings
from ldsr.web.resolve.views import status
from ldsr.web.resolve.widgets import QUIET, Widgets
from ldsr.web.scenes.jobs import SceneJobs
from ldsr.web.scenes.offer import GONE, LAYERS, Offer, make_job, offer_value
from ldsr.web.scenes.view import PREVIEW
from ldsr.web.studio import Studio
from ldsr.web.theme import asset

NOTHING = {"offer": None, "layers": [], "made": None, "error": ""}
IN_LINE = "The scene job is in the line; its card says how far it is."
MOST_ASKED = 50
"""Jobs that one question may be about."""
_FRESH = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def scene_card(studio: Studio) -> gr.HTML:
    """Make the component; its value is like NOTHING, with `ask` from the browser."""

    def scene_job(ask: Any) -> dict[str, Any]:
        return answer(studio.scene_jobs, ask)

    rows = "".join(
        f'<label><input type="checkbox" value="{key}"><span>{name}</span></label>'
        for key, name in LAYERS.items()
    )
    return gr.HTML(
        dict(NOTHING),
        html_template=asset("scene.html").replace("LAYERS", rows),
        js_on_load="\n".join(asset(name) for name in ("scene.js", "scene_card.js")),
        apply_default_css=False,
        elem_id="scenes",
        server_functions=[scene_job],
    )


def connect_scenes(studio: Studio, widgets: Widgets) -> None:
    """Lead the offer's own buttons to a job, to another price, or away."""

    def ask(value: dict[str, Any], state: dict[str, Any], *panels: Any) -> list[Any]:
        if parts.same_value(value, "ask") == "dismiss":
            closed = state | {"offer": None}
            return [dict(NOTHING), closed, status("idle", "Nothing was changed.")]
        if parts.same_value(value, "ask") == "run":
            return run(studio, state, layers_of(value), panels)
        return [show(studio, state, layers_of(value), panels), gr.skip(), gr.skip()]

    inputs = [widgets.scenes, widgets.state, *widgets.settings]
    outputs = [widgets.scenes, widgets.state, widgets.status]
    widgets.scenes.input(ask, inputs, outputs, trigger_mode="multiple", **QUIET)


def connect_offer(studio: Studio, widgets: Widgets, event: Any) -> None:
    """Show or take away the offer after an event that may have changed it."""

    def look(value: dict[str, Any], state: dict[str, Any], *panels: Any) -> Any:
        if state["offer"] is None and parts.same_value(value, "offer") is None:
            return gr.skip()
        return show(studio, state, [], panels)

    event.then(look, [widgets.scenes, widgets.state, *widgets.settings], widgets.scenes, **QUIET)


def show(studio: Studio, state: dict[str, Any], layers: list[str], panels: Any) -> dict[str, Any]:
    """Describe what is offered now with the settings of the page."""
    offer = studio.store.get(state["offer"])
    if not isinstance(offer, Offer):
        return NOTHING | {"error": GONE if state["offer"] else ""}
    shown = studio.store.get(state["shown"])
    value = NOTHING | {"layers": layers}
    try:
        settings = read_settings(*panels)
        view = offer_value(
            offer,
            studio.scene_jobs,
            weights=studio.pipeline.name,
            settings=settings,
            layers=layers,
            shown=shown.result if isinstance(shown, Shown) else None,
        )
    except LdsrError as error:
        bare = {"name": offer.name, "text": offer.text, "windows": 0, "time": None}
        return value | {"offer": bare | {"key": state["offer"]}, "error": str(error)}
    return value | {"offer": view | {"key": state["offer"]}}


def run(studio: Studio, state: dict[str, Any], layers: list[str], panels: Any) -> list[Any]:
    """Make a job of what is offered: values of the card, the state and the status line."""
    offer = studio.store.get(state["offer"])
    try:
        if not isinstance(offer, Offer):
            raise SceneError(GONE)
        record = make_job(
            offer,
            studio.scene_jobs,
            pipeline=studio.pipeline,
            settings=read_settings(*panels),
            layers=layers,
            person=studio.asking().person,
        )
    except LdsrError as error:
        value = show(studio, state, layers, panels) | {"error": str(error)}
        return [value, gr.skip(), gr.skip()]
    made = NOTHING | {"made": {"id": record.id, "key": record.key}}
    return [made, state | {"offer": None}, status("done", IN_LINE)]


def layers_of(value: Any) -> list[str]:
    """The layers that are ticked, of those there are."""
    ticked = parts.same_value(value, "layers")
    return [layer for layer in LAYERS if isinstance(ticked, list) and layer in ticked]


def answer(jobs: SceneJobs, ask: Any) -> dict[str, Any]:
    """Stop, go on with, finish or discard a job; a refusal is {"refused": sentence}."""
    deeds: dict[str, Callable[[str, str], None]] = {
        "cancel": jobs.cancel,
        "go_on": jobs.go_on,
        "finish": jobs.finish,
        "discard": jobs.discard,
    }
    try:
        if not isinstance(ask, dict) or ask.get("ask") not in deeds:
            raise SceneError("The page is older than the server; reload it.")
        deeds[ask["ask"]](ask.get("id"), ask.get("key"))
    except LdsrError as error:
        return {"refused": str(error)}
    return {"refused": ""}


def scene_routes(studio: Studio) -> list[Route]:
    """List the routes: how jobs go, and the files of one that is done."""
    jobs = studio.scene_jobs

    def look(job: str) -> dict[str, Any] | None:
        try:
            return jobs.look(job)
        except SceneError:
            return None

    async def states(request: Request) -> Response:
        asked = request.query_params.getlist("id")[:MOST_ASKED]
        found = await run_in_threadpool(lambda: {job: look(job) for job in asked})
        return JSONResponse({"jobs": found}, headers=_FRESH)

    async def file(request: Request) -> Response:
        job, name = request.path_params["job"], request.path_params["name"]
        try:
            path, media_type = await run_in_threadpool(jobs.file, job, name)
        except SceneError as error:
            return PlainTextResponse(str(error), 404, headers=_FRESH)
        download = None if name == PREVIEW else name
        return FileResponse(path, media_type=media_type, filename=download, headers=_FRESH)

    return [Route("/ldsr/jobs.json", states), Route("/ldsr/jobs/{job}/{name}", file)]
