"""What happens on the Super-resolve tab: reading an input, running, opening the page.

Each function gives what the components become; none knows the layout.
"""

import asyncio
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
from ldsr.settings import PRESETS, Settings
from ldsr.web.session import Job
from ldsr.web.studio import Studio
from ldsr.web.views import Shown, busy_value, from_query, job_status, status, viewer_value

_log = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at a running job."""
NO_INPUT = "There is no input any more; choose a sample or upload a patch."
QUESTIONS = {
    "scale": "How do its numbers become reflectance?",
    "bands": "Which bands does it hold, in this order?",
}
READY = "Ready. Press Super-resolve, or Ctrl + Enter."
EMPTY = {"shown": None, "viewer": {"mode": "empty"}, "sample": None, "pending": None}
"""State of a visitor: id of the picture on screen, the viewer's value, its sample, and an upload
that waits for an answer."""


def preset_of(steps: float, sampler: str, eta: float) -> str | None:
    """Name the preset that the knobs equal, None for the person's own mixture."""
    for name, preset in PRESETS.items():
        if (preset.steps, preset.sampler, preset.eta) == (steps, sampler, eta):
            return name
    return None


def screen(state: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """Give state, viewer, status line, Run and Cancel while nothing runs."""
    return [state, state["viewer"], line, gr.update(interactive=True), gr.update(interactive=False)]


def took(studio: Studio, patch: Patch, sample: str | None) -> list[Any]:
    """Show a new input (with its result, where it is the first sample)."""
    first = studio.first_result() if sample is not None and sample == studio.first_sample else None
    key, shown = first or (None, Shown(patch, sample=sample))
    key = key or studio.keep(shown)
    state = EMPTY | {"shown": key, "viewer": viewer_value(key, shown), "sample": sample}
    line = (
        status("done", "Super-resolved when the server started.")
        if first
        else status("idle", READY)
    )
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


async def _follow(
    state: dict[str, Any], shown: Shown, key: str, job: Job
) -> AsyncIterator[list[Any]]:
    """Watch a run until it has ended; the state keeps the last finished picture."""
    base = viewer_value(state["shown"], shown, input_only=True)
    while True:
        line = job_status(job, time.monotonic())
        busy = gr.update(interactive=False), gr.update(interactive=True)
        yield [state, busy_value(base, key, job.previews), line, *busy]
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
    error, settings, sample = _wish(studio, query)
    knobs = [settings.steps, settings.sampler, settings.eta]
    warmth = studio.temperature if settings.temperature is None else settings.temperature
    rest = [{"key": sample}, preset_of(*knobs), *knobs, warmth, settings.consistency, settings.seed]
    if sample is None:
        yield [*screen(state, status("idle", "Upload a patch to begin.")), *rest]
        return
    plain = sample == studio.first_sample and settings == PRESETS["balanced"]
    ready = studio.first_result() if plain else None
    if ready is None:
        shown = Shown(await asyncio.to_thread(load_sample, sample), sample=sample)
        ready = studio.keep(shown), shown
    state = EMPTY | {"shown": ready[0], "viewer": viewer_value(*ready), "sample": sample}
    line = status("error", error) if error else status("idle", READY)
    if ready[1].result is not None:
        line = (
            status("error", error)
            if error
            else status("done", "Super-resolved when the server started.")
        )
    yield [*screen(state, line), *rest]
    keep = [gr.skip()] * len(rest)
    if ready[1].result is None and plain and studio.first is not None:
        async for shot in _watch_first(studio, state, ready[1], visitor):
            yield [*shot, *keep]
    elif ready[1].result is None and not error:
        async for shot in resolve(studio, state, settings, visitor):
            yield [*shot, *keep]


def _wish(studio: Studio, query: dict[str, str]) -> tuple[str, Settings, str | None]:
    known = {sample.key for sample in list_samples()}
    sample = query.get("sample", studio.first_sample)
    try:
        settings = from_query(query)
    except LdsrError as error:
        return f"The link could not be used: {error}", PRESETS["balanced"], studio.first_sample
    if sample is not None and sample not in known:
        return f"The link names a sample that is not here: {sample}.", settings, studio.first_sample
    return "", settings, sample


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
