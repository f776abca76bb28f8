"""What happens on the Super-resolve tab: reading an input, running, opening the page.

Each function gives what the components become; none knows the layout.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import gradio as gr

from ldsr.data.patch import Patch
from ldsr.data.reader import read_patch
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import AmbiguousPatchError, LdsrError
from ldsr.settings import Settings
from ldsr.web import knobs
from ldsr.web.links import asks_for_refinement, from_query
from ldsr.web.pictures import Shown
from ldsr.web.session import Job
from ldsr.web.studio import Studio
from ldsr.web.views import busy_value, job_status, status, viewer_value

_log = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at a running job."""
NO_RESULT = "There is no refined result to measure; press Super-resolve first."
NO_INPUT = "There is no input any more; choose a sample or upload a patch."
QUESTIONS = {
    "scale": "How do its numbers become reflectance?",
    "bands": "Which bands does it hold, in this order?",
}
EARLIER = "Super-resolved when the server started."
READY = "Ready. Press Super-resolve, or Ctrl + Enter."
EMPTY = {"shown": None, "viewer": {"mode": "empty"}, "sample": None, "pending": None}
"""State of a visitor: id of the picture on screen, the viewer's value, its sample, and an upload
that waits for an answer."""


def screen(state: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """Give state, viewer, status line, Run and Cancel while nothing runs."""
    return [state, state["viewer"], line, gr.update(interactive=True), gr.update(interactive=False)]


def _busy() -> list[Any]:
    """Give Run and Cancel while something runs."""
    return [gr.update(interactive=False), gr.update(interactive=True)]


def took(studio: Studio, patch: Patch, sample: str | None) -> list[Any]:
    """Show a new input (with its result, where it is the first sample)."""
    first = studio.first_result() if sample is not None and sample == studio.first_sample else None
    key, shown = first or (None, Shown(patch, sample=sample))
    key = key or studio.keep(shown)
    state = EMPTY | {"shown": key, "viewer": viewer_value(key, shown), "sample": sample}
    line = status("done", EARLIER) if first else status("idle", READY)
    return [*screen(state, line), {"key": sample}, None, gr.update(visible=False), gr.update()]


def refused(state: dict[str, Any], message: str) -> list[Any]:
    """Say what is wrong; what was on the screen stays."""
    kept = state | {"pending": None}
    shot = screen(kept, status("error", message))
    return [*shot, {"key": state["sample"]}, None, gr.update(visible=False), gr.update()]


def read_upload(studio: Studio, state: dict[str, Any], pending: dict[str, Any]) -> list[Any]:
    """Read an upload; where it is ambiguous, ask and remember what was asked."""
    paths, answers = pending["paths"], pending["answers"]
    if not paths:
        return refused(state, "No file arrived; please choose one.")
    name = Path(paths[0]).name
    try:
        patch = read_patch(paths[0] if len(paths) == 1 else paths, **answers)
    except AmbiguousPatchError as error:
        return _asked(state, pending | {"question": error.question}, error)
    except LdsrError as error:
        return refused(state, str(error))
    except Exception:
        _log.exception("an upload could not be read")
        return refused(state, f"{name} could not be read; please try another file.")
    return took(studio, patch, None)


def _asked(state: dict[str, Any], pending: dict[str, Any], error: AmbiguousPatchError) -> list[Any]:
    asked = state | {"pending": pending}
    label = QUESTIONS.get(error.question, "Please choose")
    radio = gr.Radio(list(error.choices), value=None, label=label)
    shot = screen(asked, status("ask", str(error)))
    return [*shot, {"key": state["sample"]}, None, gr.update(visible=True), radio]


async def resolve(
    studio: Studio, state: dict[str, Any], settings: Settings, visitor: str
) -> AsyncIterator[list[Any]]:
    """Run the picture on the screen with some settings, showing every step."""
    turn = studio.take_turn(visitor)
    shown = studio.store.get(state["shown"])
    if shown is None:
        yield screen(state, status("error", NO_INPUT))
        return
    try:
        key, job = studio.start(visitor, shown.patch, settings)
    except LdsrError as error:
        yield screen(state, status("error", str(error)))
        return
    try:
        async for shot in _follow(state, shown, key, job):
            if studio.turn(visitor) != turn:
                return
            yield shot
        if studio.turn(visitor) == turn:
            yield _outcome(studio, state, job, shown.sample)
    finally:
        studio.finish(key, visitor)


async def measure(studio: Studio, state: dict[str, Any], visitor: str) -> AsyncIterator[list[Any]]:
    """Measure how much the tags of the result on the screen matter: stage 2 with other tags."""
    turn = studio.take_turn(visitor)
    shown = studio.store.get(state["shown"])
    if shown is None or not shown.refined:
        yield screen(state, status("error", NO_RESULT))
        return
    settings = shown.result.settings
    try:
        key, job = studio.start(visitor, shown.patch, settings, measure=shown)
    except LdsrError as error:
        yield screen(state, status("error", str(error)))
        return
    try:
        while not job.ended and studio.turn(visitor) == turn:
            line = job_status(job, time.monotonic(), measuring=True)
            viewer = state["viewer"] | {"sensitivity": {"can": False, "text": "Measuring …"}}
            yield [state, viewer, line, *_busy()]
            await asyncio.sleep(POLL)
        if studio.turn(visitor) == turn:
            yield _measured(state, shown, job)
    finally:
        studio.finish(key, visitor)


def _measured(state: dict[str, Any], shown: Shown, job: Job) -> list[Any]:
    if job.state == "cancelled":
        return screen(state, status("idle", "Cancelled; the tags were not measured."))
    if job.result is None:
        return screen(state, status("error", job.message))
    shown.sensitivity = job.result
    done = state | {"viewer": viewer_value(state["shown"], shown)}
    seconds = time.monotonic() - job.started
    return screen(done, status("done", "Measured how much the tags matter.", clock=seconds))


async def _follow(
    state: dict[str, Any], shown: Shown, key: str, job: Job
) -> AsyncIterator[list[Any]]:
    """Watch a run until it has ended; the state keeps the last finished picture."""
    base = viewer_value(state["shown"], shown, input_only=True)
    while True:
        line = job_status(job, time.monotonic())
        yield [state, busy_value(base, key, job), line, *_busy()]
        await asyncio.sleep(POLL)
        if job.ended:
            return


def _outcome(studio: Studio, state: dict[str, Any], job: Job, sample: str | None) -> list[Any]:
    if job.state == "cancelled":
        return screen(state, status("idle", "Cancelled. What was there before is shown."))
    if job.result is None:
        return screen(state, status("error", job.message))
    shown = Shown(job.patch, job.result, sample)
    key = studio.keep(shown)
    done = state | {"shown": key, "viewer": viewer_value(key, shown)}
    seconds = time.monotonic() - job.started
    return screen(done, status("done", "Done.", clock=seconds))


async def open_page(
    studio: Studio, state: dict[str, Any], query: dict[str, str], visitor: str
) -> AsyncIterator[list[Any]]:
    """Fill the page when it opens: the first sample, or what the address asks for."""
    error, settings, sample = wish(studio, query)
    rest = [{"key": sample}, *knobs.panel_values(settings)]
    if sample is None:
        yield [*screen(state, status("idle", "Upload a patch to begin.")), *rest]
        return
    plain = sample == studio.first_sample and settings == studio.preset()
    ready = studio.first_result() if plain else None
    if ready is None:
        shown = Shown(await asyncio.to_thread(load_sample, sample), sample=sample)
        ready = studio.keep(shown), shown
    state = EMPTY | {"shown": ready[0], "viewer": viewer_value(*ready), "sample": sample}
    line = status("idle", READY) if ready[1].result is None else status("done", EARLIER)
    yield [*screen(state, status("error", error) if error else line), *rest]
    keep = [gr.skip()] * len(rest)
    if ready[1].result is None and plain and studio.first is not None:
        async for shot in _watch_first(studio, state, ready[1], visitor):
            yield [*shot, *keep]
    elif ready[1].result is None and not error:
        async for shot in resolve(studio, state, settings, visitor):
            yield [*shot, *keep]


def wish(studio: Studio, query: dict[str, str]) -> tuple[str, Settings, str | None]:
    """Read what the address asks for: a sentence about what is wrong or "", settings, sample."""
    known = {sample.key for sample in list_samples()}
    sample = query.get("sample", studio.first_sample)
    try:
        settings = from_query(query)
        _check_weights(studio, settings, asks_for_refinement(query))
    except LdsrError as error:
        return f"The link could not be used: {error}", studio.preset(), studio.first_sample
    settings = dataclasses.replace(settings, refine=settings.refine and studio.can_refine)
    if sample is not None and sample not in known:
        return f"The link names a sample that is not here: {sample}.", settings, studio.first_sample
    return "", settings, sample


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
        async for shot in _follow(state, shown, key, job):
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
        yield screen(state, status("error", job.message or "The first sample was not computed."))
        return
    state = state | {"shown": done[0], "viewer": viewer_value(*done)}
    seconds = time.monotonic() - job.started
    yield screen(state, status("done", "The first sample is super-resolved.", clock=seconds))
