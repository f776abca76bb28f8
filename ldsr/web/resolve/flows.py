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
from ldsr.errors import AmbiguousPatchError, LdsrError
from ldsr.settings import Settings
from ldsr.web.ledger import fault
from ldsr.web.pictures import Shown
from ldsr.web.resolve import trust
from ldsr.web.resolve.views import busy_value, job_status, sampling_value, status, viewer_value
from ldsr.web.said import public
from ldsr.web.scenes.offer import Offer, offer_upload
from ldsr.web.session import Job
from ldsr.web.studio import Studio
from ldsr.words import ended

_log = logging.getLogger(__name__)

POLL = 0.2
"""Seconds between two looks at a running job."""
AGAIN = {"waiting": 2.0, "running": 0.5}
"""Seconds after which a page is told again what is not new: a word to each of twenty in line, five
times a second, would leave the run itself little time."""
NO_RESULT = "There is no refined result to measure; press Super-resolve first."
NO_PICTURE = "There is no result to sample; press Super-resolve first."
NO_INPUT = (
    "There is no input any more: the server was restarted, or what was here was not used for long "
    "and is deleted; choose a sample, or upload the patch again."
)
QUESTIONS = {
    "scale": "How do its numbers become reflectance?",
    "bands": "Which bands does it hold, in this order?",
}
EARLIER = "Super-resolved when the server started."
TOO_LARGE = "Too large to be shown at once; it can be run as a scene job: see below."
READY = "Ready. Press Super-resolve, or Ctrl + Enter."
EMPTY = {
    "shown": None,
    "page": None,
    "viewer": {"mode": "empty"},
    "sample": None,
    "pending": None,
    "offer": None,
}
"""State of a visitor: id of the picture on screen, id of what the page measures of it (a result),
the viewer's value, its sample, an upload that waits for an answer, id of what is offered to be run
as a scene job."""


def screen(state: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """Give state, viewer, status line, Run and Cancel while nothing runs."""
    return [state, state["viewer"], line, gr.update(interactive=True), gr.update(interactive=False)]


def put(studio: Studio, key: str, shown: Shown, before: str | None) -> dict[str, Any]:
    """Give what of the state says which picture is on the screen.

    Args:
        studio: the server's state.
        key: id of the picture.
        shown: the picture.
        before: "page" of the state until now.
    """
    if shown.result is None:
        return {"shown": key, "page": None, "viewer": viewer_value(key, shown)}
    page = studio.hand_over(key, shown, before)
    with page[1].preparing():
        viewer = viewer_value(key, shown, page=page)
    return {"shown": key, "page": page[0], "viewer": viewer}


class Pace:
    """Says when a page is told how a run goes: what is new at once, all else now and then."""

    def __init__(self) -> None:
        self._told: Any = None
        self._due = 0.0

    def now(self, job: Job, news: Any) -> bool:
        """Whether it is time, for something that is compared with what was told last."""
        at = time.monotonic()
        if news == self._told and at < self._due:
            return False
        self._told, self._due = news, at + AGAIN.get(job.state, POLL)
        return True


def _busy() -> list[Any]:
    """Give Run and Cancel while something runs."""
    return [gr.update(interactive=False), gr.update(interactive=True)]


def took(
    studio: Studio, patch: Patch, sample: str | None, *, before: str | None = None
) -> list[Any]:
    """Show a new input (with its result, where it is the first sample); `before` as for `put`."""
    first = studio.first_result() if sample is not None and sample == studio.first_sample else None
    key, shown = first or (None, Shown(patch, sample=sample))
    key = key or studio.keep(shown)
    state = EMPTY | put(studio, key, shown, before) | {"sample": sample}
    line = status("done", EARLIER) if first else status("idle", READY)
    return [*screen(state, line), {"key": sample}, None, gr.update(visible=False), gr.update()]


def reading(state: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """Show that an input is being read; nothing else changes."""
    shot = [state, state["viewer"], line, *_busy()]
    return [*shot, {"key": state["sample"]}, gr.skip(), gr.skip(), gr.skip()]


def kept(state: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """Say something; what was on the screen stays."""
    shot = screen(state | {"pending": None, "offer": None}, line)
    return [*shot, {"key": state["sample"]}, None, gr.update(visible=False), gr.update()]


def refused(state: dict[str, Any], message: str) -> list[Any]:
    """Say what is wrong; what was on the screen stays."""
    return kept(state, status("error", message))


def read_upload(studio: Studio, state: dict[str, Any], pending: dict[str, Any]) -> list[Any]:
    """Read an upload; where it is ambiguous, ask and remember what was asked."""
    paths, answers = pending["paths"], pending["answers"]
    if not paths:
        return refused(state, "No file arrived; please choose one.")
    name = Path(paths[0]).name
    studio.keep_files(paths)
    try:
        patch = read_patch(paths[0] if len(paths) == 1 else paths, **answers)
    except AmbiguousPatchError as error:
        return asked(state, pending | {"question": error.question}, error)
    except LdsrError as error:
        return _too_large(studio, state, pending) or refused(state, public(error))
    except Exception:
        sentence = f"{name} could not be read; please try another file."
        return refused(state, fault(_log, "an upload could not be read", sentence))
    return took(studio, patch, None)


def _too_large(studio: Studio, state: dict[str, Any], pending: dict[str, Any]) -> list[Any] | None:
    """Offer a scene job for an upload that was refused, None where it is not for its size."""
    try:
        offer = offer_upload(pending["paths"], pending["answers"])
    except AmbiguousPatchError as error:
        return asked(state, pending | {"question": error.question}, error)
    except LdsrError:
        return None
    return None if offer is None else offered(studio, state, offer)


def offered(studio: Studio, state: dict[str, Any], offer: Offer) -> list[Any]:
    """Offer a scene job; what was on the screen stays."""
    waiting = state | {"pending": None, "offer": studio.keep_small(offer)}
    shot = screen(waiting, status("ask", TOO_LARGE))
    return [*shot, {"key": state["sample"]}, None, gr.update(visible=False), gr.update()]


def asked(state: dict[str, Any], pending: dict[str, Any], error: AmbiguousPatchError) -> list[Any]:
    """Ask the person, and remember what for."""
    waiting = state | {"pending": pending, "offer": None}
    label = QUESTIONS.get(error.question, "Please choose")
    radio = gr.Radio(list(error.choices), value=None, label=label)
    shot = screen(waiting, status("ask", public(error)))
    return [*shot, {"key": state["sample"]}, None, gr.update(visible=True), radio]


async def resolve(
    studio: Studio, state: dict[str, Any], settings: Settings, visitor: str
) -> AsyncIterator[list[Any]]:
    """Run the picture on the screen with some settings, showing every step; then its samples."""
    turn = studio.take_turn(visitor)
    shown = studio.store.get(state["shown"])
    if shown is None:
        yield screen(state, status("error", NO_INPUT))
        return
    try:
        key, job = studio.start(visitor, shown.patch, settings)
    except LdsrError as error:
        yield screen(state, status("error", public(error)))
        return
    try:
        async for shot in follow(state, shown, key, job):
            if studio.turn(visitor) != turn:
                return
            yield shot
        if studio.turn(visitor) != turn:
            return
        shot = _outcome(studio, state, job, shown.sample)
        if not settings.samples or job.result is None:
            yield shot
            return
    finally:
        studio.finish(key, visitor)
    wanted = (settings.samples, settings.settle)
    async for further in sample(studio, shot[0], wanted, visitor):
        yield further


async def sample(
    studio: Studio, state: dict[str, Any], wanted: tuple[int, float], visitor: str
) -> AsyncIterator[list[Any]]:
    """Draw further samples of the result on the screen and show where they differ.

    Args:
        studio: the server's state.
        state: the visitor's.
        wanted: how many samples, and the change below which they end early.
        visitor: who asks.
    """
    turn = studio.take_turn(visitor)
    shown = studio.store.get(state["shown"])
    if shown is None or shown.result is None:
        yield screen(state, status("error", NO_PICTURE))
        return
    try:
        settings = dataclasses.replace(shown.result.settings, samples=wanted[0], settle=wanted[1])
        key, job = studio.start(visitor, shown.patch, settings, sample=shown)
    except LdsrError as error:
        yield screen(state, status("error", public(error)))
        return
    try:
        async for line in _lines(studio, job, visitor, turn):
            yield [state, sampling_value(state["viewer"], key, job, line), line, *_busy()]
        shot = await asyncio.to_thread(_sampled, studio, state, shown, job)  # draws pictures
        if studio.turn(visitor) == turn:
            yield shot
    finally:
        studio.finish(key, visitor)


def _sampled(studio: Studio, state: dict[str, Any], shown: Shown, job: Job) -> list[Any]:
    """Show what the samples say under a new id: what an id gives never changes."""
    if job.result is None and job.state != "cancelled":
        return screen(state, status("error", job.message))
    if job.result is None or job.result.uncertainty is None:
        return screen(state, status("idle", trust.NOT_KEPT))
    again = shown.sampled(job.result, job.frames.samples)
    key = studio.keep(again)
    done = state | put(studio, key, again, state["page"])
    seconds = time.monotonic() - job.started
    return screen(done, status("done", ended(job.result.uncertainty), clock=seconds))


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
        yield screen(state, status("error", public(error)))
        return
    viewer = state["viewer"] | {"sensitivity": {"can": False, "text": "Measuring …"}}
    try:
        async for line in _lines(studio, job, visitor, turn, measuring=True):
            yield [state, viewer, line, *_busy()]
        if studio.turn(visitor) == turn:
            yield _measured(studio, state, shown, job)
    finally:
        studio.finish(key, visitor)


def _measured(studio: Studio, state: dict[str, Any], shown: Shown, job: Job) -> list[Any]:
    if job.state == "cancelled":
        return screen(state, status("idle", "Cancelled; the tags were not measured."))
    if job.result is None:
        return screen(state, status("error", job.message))
    shown.sensitivity = job.result
    times = studio.page_times(state["page"])
    page = None if times is None else (state["page"], times)
    done = state | {"viewer": viewer_value(state["shown"], shown, page=page)}
    seconds = time.monotonic() - job.started
    return screen(done, status("done", "Measured how much the tags matter.", clock=seconds))


async def _lines(
    studio: Studio, job: Job, visitor: str, turn: int, *, measuring: bool = False
) -> AsyncIterator[dict[str, Any]]:
    """Give the status lines of a job, until it has ended or the visitor does something else."""
    pace = Pace()
    while not job.ended and studio.turn(visitor) == turn:
        line = job_status(job, time.monotonic(), measuring=measuring)
        if pace.now(job, line["text"]):
            yield line
        await asyncio.sleep(POLL)


async def follow(
    state: dict[str, Any], shown: Shown, key: str, job: Job
) -> AsyncIterator[list[Any]]:
    """Watch a run until it has ended; the state keeps the last finished picture."""
    base, pace = viewer_value(state["shown"], shown, input_only=True), Pace()
    while True:
        line = job_status(job, time.monotonic())
        shot = [state, busy_value(base, key, job), line, *_busy()]
        if pace.now(job, [shot[1], line["text"]]):
            yield shot
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
    done = state | put(studio, key, shown, state["page"])
    seconds = time.monotonic() - job.started
    return screen(done, status("done", "Done.", clock=seconds))
