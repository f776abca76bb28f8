"""Where an input comes from: a sample, the map, or a file. Layout, and which click leads where."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from ldsr.data.references import list_references
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.web.maps import flows as map_flows
from ldsr.web.maps.picker import map_picker, picker_value
from ldsr.web.resolve import parts, tags
from ldsr.web.resolve.flows import read_upload, refused, took
from ldsr.web.resolve.widgets import LIVE, QUIET, Widgets
from ldsr.web.scenes.card import connect_offer
from ldsr.web.studio import Studio


def build_inputs(studio: Studio) -> dict[str, Any]:
    """Lay out the three tabs and the question that an input may raise."""
    with gr.Tabs(elem_id="inputs", selected="samples"):
        with gr.Tab("Samples", id="samples", elem_id="tab-samples"):
            samples = parts.gallery(list_samples(), studio.first_sample)
            references = parts.references(list_references())
        with gr.Tab("Map", id="map", elem_id="tab-map"):
            chart = map_picker(picker_value())
        with gr.Tab("Upload", id="upload", elem_id="tab-upload"):
            upload = gr.File(
                file_count="multiple",
                label="Upload a patch",
                height=150,
                show_label=False,
                elem_id="upload",
                interactive=True,
            )
    with gr.Group(visible=False, elem_id="ask") as ask:
        choice = gr.Radio([], label="Please choose", interactive=True, elem_id="choice")
    return {
        "samples": samples,
        "references": references,
        "map": chart,
        "upload": upload,
        "ask": ask,
        "choice": choice,
    }


def connect_inputs(studio: Studio, widgets: Widgets, page: gr.Blocks) -> None:
    """Lead each choice of an input to the screen, and find the tags of what was chosen."""

    def renew(
        state: dict[str, Any],
        line: dict[str, Any],
        value: dict[str, Any],
        picker: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        elsewhere = picker is not None and (picker["ask"], picker["state"]) != ("choose", "done")
        if elsewhere or line["state"] in ("error", "ask", "busy"):
            return value
        return tags.renew(studio, studio.patch(state["shown"]), value)

    inputs = [widgets.state, widgets.status, widgets.tags]
    for event in (
        _connect_sample(studio, widgets),
        _connect_upload(studio, widgets),
        _connect_answer(studio, widgets),
        _connect_reference(studio, widgets, page),
    ):
        event.then(renew, inputs, widgets.tags, **QUIET)
        connect_offer(studio, widgets, event)
    event = _connect_map(studio, widgets)
    event.then(renew, [*inputs, widgets.map], widgets.tags, **QUIET)
    connect_offer(studio, widgets, event)


def _connect_sample(studio: Studio, widgets: Widgets) -> Any:
    def pick(value: dict[str, Any], state: dict[str, Any], request: gr.Request) -> list[Any]:
        studio.take_turn(request.session_hash)
        studio.hush(request.session_hash)
        key = parts.same_value(value, "key")
        try:
            return took(studio, load_sample(key), key, before=state["page"])
        except LdsrError as error:
            return refused(state, str(error))

    inputs = [widgets.samples, widgets.state]
    return widgets.samples.input(pick, inputs, widgets.input, **QUIET)


def _connect_upload(studio: Studio, widgets: Widgets) -> Any:
    def take(files: Sequence[str] | None, state: dict[str, Any], request: gr.Request) -> list[Any]:
        studio.take_turn(request.session_hash)
        studio.hush(request.session_hash)
        return read_upload(studio, state, {"paths": list(files or []), "answers": {}})

    return widgets.upload.upload(take, [widgets.upload, widgets.state], widgets.input, **QUIET)


async def answer_question(
    studio: Studio, state: dict[str, Any], value: str, visitor: str
) -> AsyncIterator[list[Any]]:
    """Read what the person was asked about once more, with their answer."""
    pending = state["pending"]
    if pending is None:
        yield refused(state, "What was asked about is no longer open; please choose it again.")
    elif "scene" in pending:
        find = map_flows.listed(studio, pending["scene"])
        async for _, shot in map_flows.read(studio, state, visitor, find, scale=value):
            yield shot
    else:
        studio.take_turn(visitor)
        await asyncio.to_thread(studio.hush, visitor)
        answers = pending["answers"] | {pending["question"]: value}
        upload = {"paths": pending["paths"], "answers": answers}
        yield await asyncio.to_thread(read_upload, studio, state, upload)


def _connect_answer(studio: Studio, widgets: Widgets) -> Any:
    async def answer(
        value: str, state: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        async for shot in answer_question(studio, state, value, request.session_hash):
            yield shot

    return widgets.choice.input(answer, [widgets.choice, widgets.state], widgets.input, **LIVE)


def _connect_reference(studio: Studio, widgets: Widgets, page: gr.Blocks) -> Any:
    async def fetch(
        value: dict[str, Any], state: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        find = map_flows.referred(str(parts.same_value(value, "key")))
        reading = map_flows.read(studio, state, request.session_hash, find)
        async for _, shot in reading:
            yield shot

    page.load(map_flows.which_references, None, widgets.references, **QUIET)
    inputs = [widgets.references, widgets.state]
    return widgets.references.input(fetch, inputs, widgets.input, **LIVE)


def _connect_map(studio: Studio, widgets: Widgets) -> Any:
    async def answer(
        value: dict[str, Any], state: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        visitor = request.session_hash
        if parts.same_value(value, "ask") == "choose":
            key = str(value.get("chosen"))
            area = map_flows.area_found(studio, key)
            if area is not None:
                changes, shot = map_flows.offer(studio, state, visitor, area)
                yield [{**value, **changes}, *shot]
                return
            reading = map_flows.read(studio, state, visitor, map_flows.listed(studio, key))
            async for changes, shot in reading:
                yield [{**value, **changes}, *shot]
            return
        rest = [gr.skip()] * len(widgets.input)
        async for picker in map_flows.answer(studio, value or {}, visitor):
            yield [picker, *rest]

    outputs, inputs = [widgets.map, *widgets.input], [widgets.map, widgets.state]
    return widgets.map.input(answer, inputs, outputs, trigger_mode="multiple", **LIVE)
