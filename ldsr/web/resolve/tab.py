"""The Super-resolve tab: layout, and which click leads where.

The state of one visitor is one small JSON object; pictures stay in the studio's store.
"""

from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from ldsr.data.samples import load_sample
from ldsr.errors import LdsrError
from ldsr.web.resolve import flows, knobs, opening, parts, tags, time_views
from ldsr.web.resolve.flows import EMPTY, screen
from ldsr.web.resolve.input_tabs import build_inputs, connect_inputs
from ldsr.web.resolve.tags import read_settings
from ldsr.web.resolve.views import status
from ldsr.web.resolve.widgets import LIVE, NOW, QUIET, Widgets
from ldsr.web.scenes.card import connect_scenes, scene_card
from ldsr.web.studio import Studio


def build_resolve(studio: Studio, page: gr.Blocks) -> Widgets:
    """Lay out the tab and connect it.

    Args:
        studio: the server's state.
        page: the whole page, for what happens when it opens and closes.

    Returns:
        Its components; the state among them is the visitor's, for other tabs to read.
    """

    def timed(ask: Any) -> dict[str, Any]:
        return time_views.answer(studio, ask)

    with gr.Row(elem_id="resolve", equal_height=False):
        with gr.Column(scale=0, min_width=300, elem_id="controls"):
            controls = _controls(studio)
        with gr.Column(scale=1, min_width=300, elem_id="output"):
            line, scenes, viewer = parts.status_line(), scene_card(studio), parts.viewer(timed)
    shown = {"status": line, "scenes": scenes, "viewer": viewer}
    widgets = Widgets(state=gr.State(dict(EMPTY)), **shown, **controls)
    connect_inputs(studio, widgets, page)
    _connect_tags(studio, widgets)
    _connect_run(studio, widgets)
    connect_scenes(studio, widgets)
    _connect_page(studio, widgets, page)
    return widgets


def _controls(studio: Studio) -> dict[str, Any]:
    main_values, more_values = knobs.panel_values(studio.preset())
    inputs = build_inputs(studio)
    main = parts.panel(knobs.main_panel(studio.bases, studio.can_refine), main_values, "main-knobs")
    with gr.Row(elem_id="actions"):
        look = {"elem_id": "run", "variant": "primary", "scale": 3, "min_width": 140}
        run = gr.Button("Super-resolve", **look, interactive=False)  # until the page has its input
        cancel = gr.Button("Cancel", elem_id="cancel", scale=1, min_width=80, interactive=False)
    return inputs | {
        "main": main,
        "run": run,
        "cancel": cancel,
        "more": parts.panel(knobs.more_panel(), more_values, "more-knobs"),
        "tags": parts.tag_editor(studio.preset().semantics),
    }


def _connect_tags(studio: Studio, widgets: Widgets) -> None:
    def answer(state: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        return tags.answer(studio, studio.patch(state["shown"]), value)

    widgets.tags.input(answer, [widgets.state, widgets.tags], widgets.tags, **QUIET)


def _connect_run(studio: Studio, widgets: Widgets) -> None:
    async def run(
        state: dict[str, Any], main: Any, more: Any, land_cover: Any, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        try:
            settings = read_settings(main, more, land_cover)
        except LdsrError as error:
            yield screen(state, status("error", str(error)))
            return
        async for shot in flows.resolve(studio, state, settings, request.session_hash):
            yield shot

    async def measure(state: dict[str, Any], request: gr.Request) -> AsyncIterator[list[Any]]:
        async for shot in flows.measure(studio, state, request.session_hash):
            yield shot

    async def sample(
        state: dict[str, Any], more: Any, request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        try:
            wanted = knobs.to_sampling(more or {})
        except LdsrError as error:
            yield screen(state, status("error", str(error)))
            return
        async for shot in flows.sample(studio, state, wanted, request.session_hash):
            yield shot

    def cancel(request: gr.Request) -> Any:
        # a run that stops says so itself: this answer could come after its last word
        stopped = studio.cancel(request.session_hash)
        return gr.skip() if stopped else status("idle", "Nothing is running.")

    widgets.run.click(run, [widgets.state, *widgets.settings], widgets.screen, **LIVE)
    widgets.viewer.submit(measure, widgets.state, widgets.screen, **LIVE)
    widgets.viewer.apply(sample, [widgets.state, widgets.more], widgets.screen, **LIVE)
    widgets.cancel.click(cancel, None, widgets.status, **NOW)


def _connect_page(studio: Studio, widgets: Widgets, page: gr.Blocks) -> None:
    async def opened(state: dict[str, Any], request: gr.Request) -> AsyncIterator[list[Any]]:
        query = dict(request.query_params)
        async for shot in opening.open_page(studio, state, query, request.session_hash):
            yield shot

    def tagged(request: gr.Request) -> dict[str, Any]:
        query = dict(request.query_params)
        _, settings, sample = opening.wish(studio, query)
        if sample is None or "scene" in query:
            return tags.tags_value(settings.semantics, None)
        return tags.find(studio, load_sample(sample), settings.semantics)

    def tagged_scene(state: dict[str, Any], request: gr.Request) -> Any:
        patch, query = studio.patch(state["shown"]), dict(request.query_params)
        if patch is None or "scene" not in query:
            return gr.skip()
        return tags.find(studio, patch, opening.wish(studio, query)[1].semantics)

    def closed(request: gr.Request) -> None:
        studio.forget(request.session_hash)

    load = page.load(opened, widgets.state, [*widgets.input, widgets.main, widgets.more], **LIVE)
    page.load(tagged, None, widgets.tags, **QUIET)
    load.then(tagged_scene, widgets.state, widgets.tags, **QUIET)
    page.unload(closed)
