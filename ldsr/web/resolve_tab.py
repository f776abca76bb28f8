"""The Super-resolve tab: layout, and which click leads where.

The state of one visitor is one small JSON object; pictures stay in the studio's store.
"""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web import flows, knobs, parts, tags
from ldsr.web.flows import EMPTY, read_upload, refused, screen, took
from ldsr.web.studio import Studio
from ldsr.web.views import status

LIVE = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
QUIET = {"show_progress": "hidden", "concurrency_limit": 4, "api_visibility": "private"}
NOW = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}


@dataclasses.dataclass(frozen=True)
class Widgets:
    """The components that events read and write."""

    state: gr.State
    samples: gr.HTML
    upload: gr.File
    ask: gr.Group
    choice: gr.Radio
    main: gr.HTML
    more: gr.HTML
    tags: gr.HTML
    run: gr.Button
    cancel: gr.Button
    status: gr.HTML
    viewer: gr.HTML

    @property
    def settings(self) -> list[gr.components.Component]:
        """In the order of `read_settings`."""
        return [self.main, self.more, self.tags]

    @property
    def screen(self) -> list[gr.components.Component]:
        """In the order of `flows.screen`."""
        return [self.state, self.viewer, self.status, self.run, self.cancel]


def build_resolve(studio: Studio, page: gr.Blocks) -> None:
    """Lay out the tab and connect it.

    Args:
        studio: the server's state.
        page: the whole page, for what happens when it opens and closes.
    """
    with gr.Row(elem_id="resolve", equal_height=False):
        with gr.Column(scale=0, min_width=300, elem_id="controls"):
            controls = _controls(studio)
        with gr.Column(scale=1, min_width=300, elem_id="output"):
            line, viewer = parts.status_line(), parts.viewer()
    widgets = Widgets(state=gr.State(dict(EMPTY)), status=line, viewer=viewer, **controls)
    _connect_input(studio, widgets)
    _connect_tags(studio, widgets)
    _connect_run(studio, widgets)
    _connect_page(studio, widgets, page)


def _controls(studio: Studio) -> dict[str, Any]:
    main_values, more_values = knobs.panel_values(studio.preset())
    gr.HTML("<h2>Input</h2>", js_on_load=None, apply_default_css=False)
    samples = parts.gallery(list_samples(), studio.first_sample)
    upload = gr.File(
        file_count="multiple",
        label="Upload a patch",
        height=74,
        show_label=False,
        elem_id="upload",
        interactive=True,
    )
    with gr.Group(visible=False, elem_id="ask") as ask:
        choice = gr.Radio([], label="Please choose", interactive=True, elem_id="choice")
    main = parts.panel(knobs.main_panel(studio.bases, studio.can_refine), main_values, "main-knobs")
    with gr.Row(elem_id="actions"):
        run = gr.Button("Super-resolve", variant="primary", elem_id="run", scale=3, min_width=140)
        cancel = gr.Button("Cancel", elem_id="cancel", scale=1, min_width=80, interactive=False)
    return {
        "samples": samples,
        "upload": upload,
        "ask": ask,
        "choice": choice,
        "main": main,
        "run": run,
        "cancel": cancel,
        "more": parts.panel(knobs.more_panel(), more_values, "more-knobs"),
        "tags": parts.tag_editor(studio.preset().semantics),
    }


def _connect_input(studio: Studio, widgets: Widgets) -> None:
    outputs = [*widgets.screen, widgets.samples, widgets.upload, widgets.ask, widgets.choice]

    def pick(value: dict[str, Any], state: dict[str, Any], request: gr.Request) -> list[Any]:
        studio.take_turn(request.session_hash)
        key = parts.same_value(value, "key")
        try:
            return took(studio, load_sample(key), key)
        except LdsrError as error:
            return refused(state, str(error))

    def take(files: Sequence[str] | None, state: dict[str, Any], request: gr.Request) -> list[Any]:
        studio.take_turn(request.session_hash)
        return read_upload(studio, state, {"paths": list(files or []), "answers": {}})

    def answer(value: str, state: dict[str, Any]) -> list[Any]:
        pending = state["pending"]
        if pending is None:
            return refused(state, "The upload is no longer open; please upload it again.")
        answers = pending["answers"] | {pending["question"]: value}
        return read_upload(studio, state, {"paths": pending["paths"], "answers": answers})

    def renew(state: dict[str, Any], line: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
        if line["state"] in ("error", "ask"):
            return value
        return tags.renew(studio, studio.patch(state["shown"]), value)

    chosen = [
        widgets.samples.input(pick, [widgets.samples, widgets.state], outputs, **QUIET),
        widgets.upload.upload(take, [widgets.upload, widgets.state], outputs, **QUIET),
        widgets.choice.input(answer, [widgets.choice, widgets.state], outputs, **QUIET),
    ]
    for event in chosen:
        inputs = [widgets.state, widgets.status, widgets.tags]
        event.then(renew, inputs, widgets.tags, **QUIET)


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

    def cancel(request: gr.Request) -> Any:
        # a run that stops says so itself: this answer could come after its last word
        stopped = studio.cancel(request.session_hash)
        return gr.skip() if stopped else status("idle", "Nothing is running.")

    widgets.run.click(run, [widgets.state, *widgets.settings], widgets.screen, **LIVE)
    widgets.viewer.submit(measure, widgets.state, widgets.screen, **LIVE)
    widgets.cancel.click(cancel, None, widgets.status, **NOW)


def _connect_page(studio: Studio, widgets: Widgets, page: gr.Blocks) -> None:
    async def opened(state: dict[str, Any], request: gr.Request) -> AsyncIterator[list[Any]]:
        query = dict(request.query_params)
        async for shot in flows.open_page(studio, state, query, request.session_hash):
            yield shot

    def tagged(request: gr.Request) -> dict[str, Any]:
        _, settings, sample = flows.wish(studio, dict(request.query_params))
        if sample is None:
            return tags.tags_value(settings.semantics, None)
        return tags.find(studio, load_sample(sample), settings.semantics)

    def closed(request: gr.Request) -> None:
        studio.forget(request.session_hash)

    outputs = [*widgets.screen, widgets.samples, widgets.main, widgets.more]
    page.load(opened, widgets.state, outputs, **LIVE)
    page.load(tagged, None, widgets.tags, **QUIET)
    page.unload(closed)


def read_settings(
    main: dict[str, Any] | None, more: dict[str, Any] | None, land_cover: dict[str, Any] | None
) -> Settings:
    """Make Settings of the values of the two panels and of the land-cover editor.

    Raises:
        LdsrError: a value that is missing or out of its range, or tags that cannot be read.
    """
    return knobs.to_settings({**(main or {}), **(more or {})}, tags.semantics_of(land_cover))
