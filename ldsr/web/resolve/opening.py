"""What the page shows when it opens: the first sample, or what its address asks for."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web.maps import flows as map_flows
from ldsr.web.pictures import Shown
from ldsr.web.resolve import flows, knobs
from ldsr.web.resolve.links import asks_for_refinement, from_query, scene_of
from ldsr.web.resolve.views import status
from ldsr.web.said import public
from ldsr.web.studio import Studio


async def open_page(
    studio: Studio, state: dict[str, Any], query: dict[str, str], visitor: str
) -> AsyncIterator[list[Any]]:
    """Fill the page when it opens: the first sample, or what the address asks for.

    Yields:
        What becomes of `Widgets.input`, then of the two panels of controls.
    """
    error, settings, sample = wish(studio, query)
    if not error and "scene" in query:
        async for shot in _open_scene(studio, state, settings, query, visitor):
            yield [*shot, *knobs.panel_values(settings)]
        if shot[2]["state"] != "error" or shot[0]["shown"] is not None:
            return
        error, sample = shot[2]["text"], studio.first_sample
    rest = [{"key": sample}, *[gr.skip()] * 3, *knobs.panel_values(settings)]
    if sample is None:
        yield [*flows.screen(state, status("idle", "Upload a patch to begin.")), *rest]
        return
    plain = sample == studio.first_sample and settings == studio.preset()
    ready = studio.first_result() if plain else None
    if ready is None:
        shown = Shown(await asyncio.to_thread(load_sample, sample), sample=sample)
        ready = studio.keep(shown), shown
    state = flows.EMPTY | flows.put(studio, *ready, state["page"]) | {"sample": sample}
    line = status("idle", flows.READY) if ready[1].result is None else status("done", flows.EARLIER)
    yield [*flows.screen(state, status("error", error) if error else line), *rest]
    keep = [gr.skip()] * len(rest)
    if ready[1].result is None and plain and studio.first is not None:
        async for shot in _watch_first(studio, state, ready[1], visitor):
            yield [*shot, *keep]
    elif ready[1].result is None and not error:
        async for shot in flows.resolve(studio, state, settings, visitor):
            yield [*shot, *keep]


def wish(studio: Studio, query: dict[str, str]) -> tuple[str, Settings, str | None]:
    """Read what the address asks for: a sentence about what is wrong or "", settings, sample."""
    known = {sample.key for sample in list_samples()}
    sample = query.get("sample", studio.first_sample)
    try:
        settings = from_query(query)
        scene_of(query)
        _check_weights(studio, settings, asks_for_refinement(query))
    except LdsrError as error:
        return f"The link could not be used: {public(error)}", studio.preset(), studio.first_sample
    settings = dataclasses.replace(settings, refine=settings.refine and studio.can_refine)
    if sample is not None and sample not in known:
        return f"The link names a sample that is not here: {sample}.", settings, studio.first_sample
    return "", settings, sample


async def _open_scene(
    studio: Studio, state: dict[str, Any], settings: Settings, query: dict[str, str], visitor: str
) -> AsyncIterator[list[Any]]:
    """Read the scene that the address names, then run."""
    wanted = scene_of(query)
    find = map_flows.linked(wanted.scene, wanted.box, wanted.catalogue)
    async for _, shot in map_flows.read(studio, state, visitor, find):
        yield shot
    state, line = shot[0], shot[2]
    if line["text"] != flows.READY:
        return
    async for shot in flows.resolve(studio, state, settings, visitor):
        yield [*shot, *[gr.skip()] * 4]


def _check_weights(studio: Studio, settings: Settings, refines: bool) -> None:
    name = studio.pipeline.name
    if refines and not studio.can_refine:
        raise LdsrError(f"the weights {name!r} have no second stage (refine=0 leaves it out).")
    if settings.base not in studio.bases:
        there = ", ".join(studio.bases)
        raise LdsrError(f"the weights {name!r} have no base {settings.base!r}; there is {there}.")


async def _watch_first(
    studio: Studio, state: dict[str, Any], shown: Shown, visitor: str
) -> AsyncIterator[list[Any]]:
    """Show the run that the server itself began; leaving the page does not stop it."""
    job, turn = studio.first, studio.turn(visitor)
    key = studio.watch(job)
    try:
        async for shot in flows.follow(state, shown, key, job):
            if studio.turn(visitor) != turn:
                return
            shot[2]["text"] = f"Computing the first sample: {shot[2]['text'].lower()}"
            yield [*shot[:3], gr.update(interactive=True), gr.update(interactive=False)]
    finally:
        studio.finish(key, None)
    done = studio.first_result()
    if studio.turn(visitor) != turn:
        return
    if done is None:
        message = job.message or "The first sample was not computed."
        yield flows.screen(state, status("error", message))
        return
    state = state | flows.put(studio, *done, state["page"])
    seconds = time.monotonic() - job.started
    yield flows.screen(state, status("done", "The first sample is super-resolved.", clock=seconds))
