"""What happens on the Evaluate tab: judging the current result, and the small benchmark.

Each function gives what the components become; none knows the layout.
"""

import asyncio
import dataclasses
import functools
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from evaluation.pairs import AS_GIVEN, Case, check_bands, digest, match
from evaluation.protocol import HARMONISATIONS, WALD, prepare, register, wald
from evaluation.score import Score
from ldsr.data.fine import read_fine
from ldsr.data.patch import Patch
from ldsr.data.samples import Sample, list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.result import SuperResolution
from ldsr.settings import Settings
from ldsr.web.evaluate.desk import Desk, Turn, wait
from ldsr.web.evaluate.evaluations import TRUTHS, Evaluation, compared
from ldsr.web.evaluate.leaderboard import make_run
from ldsr.web.evaluate.views import NAMES, board_value, result_value
from ldsr.web.ledger import fault
from ldsr.web.pictures import Shown
from ldsr.web.resolve.views import job_status, status
from ldsr.web.said import public
from ldsr.web.session import Cancelled, Job
from ldsr.words import settings_line

_log = logging.getLogger(__name__)

NO_RESULT = "There is no result yet; press Super-resolve on the first tab, then come back."
NO_FILE = "Choose a reference first: a GeoTIFF of the same ground at 2.5 m."
FAULT = "A fault in the program; the server's log tells more."
NOTHING = "Nothing is running."
DONE = {
    "none": "Scored without a true picture.",
    "wald": "Scored by Wald's protocol.",
    "reference": "Scored against your reference.",
}
HARMONISED = "linear"
"""How a reference's brightness is brought to the input's."""
WALD_RESULT = (
    "The patch was degraded to 40 m, super-resolved to 10 m with the settings of the current "
    "result, and compared with itself. What holds from 40 m to 10 m need not hold from 10 m to "
    "2.5 m."
)
EMPTY = {"key": None}
"""State of a visitor: the id of their evaluation."""


def screen(desk: Desk, mine: dict[str, Any], line: dict[str, Any]) -> list[Any]:
    """Give state, status, scores, saved runs, and the three buttons while nothing runs."""
    buttons = [gr.update(interactive=on) for on in (True, True, False)]
    found = desk.studio.store.get(mine["key"])
    shown = result_value(mine["key"], found) if isinstance(found, Evaluation) else result_value()
    return [mine, line, shown, board_value(desk.board.runs()), *buttons]


def busy(line: dict[str, Any]) -> list[Any]:
    """Give the same while something runs: what was there stays."""
    buttons = [gr.update(interactive=on) for on in (False, False, True)]
    return [gr.skip(), line, gr.skip(), gr.skip(), *buttons]


async def evaluate(
    desk: Desk,
    mine: dict[str, Any],
    shown_key: str | None,
    wish: tuple[str, str | None],
    visitor: str,
    *,
    page: str | None = None,
) -> AsyncIterator[list[Any]]:
    """Judge the current result.

    Args:
        desk: what all visitors share.
        mine: the state of this one.
        shown_key: id of the result on the Super-resolve tab.
        wish: of TRUTHS, and the path of the uploaded reference or None.
        visitor: who asks.
        page: id of what the page measures of that result; the scores and their time go there.
    """
    turn, began = desk.begin(visitor), time.monotonic()
    rest = functools.partial(asyncio.to_thread, screen, desk)
    try:
        yield busy(status("busy", "Beginning", share=0.0))
        made: dict[str, Evaluation] = {}
        async for line in _judge(desk, turn, (shown_key, *wish), made):
            yield busy(line)
        draft = made["evaluation"]
        key = desk.studio.keep(draft)
        times = desk.studio.page_times(page)
        if times is not None and times.key == shown_key:
            times.metrics, times.evaluation = draft.seconds, key
        clock = time.monotonic() - began
        mine = mine | {"key": key}
        yield await rest(mine, status("done", DONE[draft.truth], clock=clock))
    except Cancelled:
        if not turn.replaced:
            text = "Cancelled. What was there before is shown."
            yield await rest(mine, status("idle", text))
    except LdsrError as error:
        if not turn.replaced:
            yield await rest(mine, status("error", public(error)))
    except Exception:
        message = fault(_log, "an evaluation failed", FAULT)
        if not turn.replaced:
            yield await rest(mine, status("error", message))
    finally:
        desk.end(visitor, turn)


async def benchmark(
    desk: Desk, mine: dict[str, Any], shown_key: str | None, visitor: str
) -> AsyncIterator[list[Any]]:
    """Judge the weights on all samples by Wald's protocol, and save the run."""
    turn, began = desk.begin(visitor), time.monotonic()
    rest = functools.partial(asyncio.to_thread, screen, desk)
    try:
        yield busy(status("busy", "Beginning", share=0.0))
        made: dict[str, Any] = {}
        async for line in _benchmark(desk, turn, _settings(desk, shown_key), made):
            yield busy(line | {"clock": f"{time.monotonic() - began:.0f} s"})
        await asyncio.to_thread(desk.board.save, made["run"])
        clock = time.monotonic() - began
        text = f"Done: {made['run']['patches']} samples; the run is saved in the leaderboard."
        yield await rest(mine, status("done", text, clock=clock))
    except Cancelled:
        if not turn.replaced:
            yield await rest(mine, status("idle", "Cancelled; no run was saved."))
    except LdsrError as error:
        if not turn.replaced:
            yield await rest(mine, status("error", public(error)))
    except Exception:
        message = fault(_log, "a benchmark failed", FAULT)
        if not turn.replaced:
            yield await rest(mine, status("error", message))
    finally:
        desk.end(visitor, turn)


async def _judge(
    desk: Desk,
    turn: Turn,
    wish: tuple[str | None, str, str | None],
    made: dict[str, Evaluation],
) -> AsyncIterator[dict[str, Any]]:
    """Find the truth, make what is compared, score it; `made` holds the evaluation at the end."""
    shown_key, truth, path = wish
    shown = desk.studio.store.get(shown_key)
    if not isinstance(shown, Shown) or shown.result is None:
        raise LdsrError(NO_RESULT)
    if truth not in TRUTHS:
        raise LdsrError("Choose what the result is compared with.")
    result, lr = shown.result, shown.patch
    references: Mapping[str, Patch] = {}
    remark = ""
    if truth == "wald":
        case = await asyncio.to_thread(wald, shown.patch)
        job = desk.run(turn, case.lr, result.settings)
        async for _ in wait(turn, job):
            line = job_status(job, time.monotonic())
            yield line | {"text": f"40 m to 10 m. {line['text']}"}
        result, lr, references, remark = job.result, case.lr, case.references, WALD_RESULT
    elif truth == "reference":
        yield status("busy", "Reading the reference", share=0.1)
        desk.studio.keep_files([path] if path else [])
        references, remark = await asyncio.to_thread(read_reference, lr, path)
    draft = Evaluation(
        truth=truth,
        shown=shown_key,
        name=lr.source.name or shown.sample or "Patch",
        stem=shown.stem,
        lr=lr,
        methods=await asyncio.to_thread(compared, result),
        references=references,
        remark=remark,
        sheet=result.run_sheet(),
        line=settings_line(result),
    )
    job = desk.score(turn, draft.methods, lr, references or {"": None})
    async for _ in wait(turn, job):
        yield _scoring(job)
    draft.scores, draft.seconds = job.result, job.worked
    if references:
        yield status("busy", "Drawing the maps", share=0.95)
        await asyncio.to_thread(lambda: draft.error_top)
    turn.check()
    made["evaluation"] = draft


def read_reference(lr: Patch, path: str | None) -> tuple[dict[str, Patch], str]:
    """Read an uploaded reference and lay it on an input: by how it was prepared, and a sentence.

    Raises:
        LdsrError: what is wrong with it, one sentence.
    """
    if path is None:
        raise LdsrError(NO_FILE)
    name = Path(path).name
    try:
        hr = match(lr, read_fine(path), name=name)
        check_bands(lr, hr, name=name)
        found = register(hr, lr)
        case = Case(name=name, lr=lr, references={AS_GIVEN: found.hr}, group=name)
        case = prepare(case, register_it=False, harmonise_by=[HARMONISED])
    except LdsrError:
        raise
    except Exception as error:
        sentence = f"{name} could not be used; please try another file."
        raise LdsrError(fault(_log, "a reference could not be read", sentence)) from error
    how = HARMONISATIONS[HARMONISED]
    text = f"{name}, phase correlation: {found.remark}. As given it differs from "
    text += f"the input in light and calibration too; {how}, its brightness was fitted to the "
    return dict(case.references), text + "input's at 10 m."


async def _benchmark(
    desk: Desk, turn: Turn, settings: Settings, made: dict[str, Any]
) -> AsyncIterator[dict[str, Any]]:
    """Go through the samples, one after another; `made` holds the run at the end."""
    samples = list_samples()
    runs = {"base": settings}
    if settings.base != "regression" and "regression" in desk.studio.bases:
        runs["regression"] = dataclasses.replace(settings, base="regression", refine=False)
    scores: dict[str, list[Sequence[Score]]] = {}
    pictures, sheet = [], {}
    for i, sample in enumerate(samples):
        case = await asyncio.to_thread(_case, sample)
        methods: dict[str, Patch] = {}
        for j, (name, wanted) in enumerate(runs.items()):
            job = desk.run(turn, case.lr, wanted)
            share = (i + j / len(runs)) / len(samples)
            async for _ in wait(turn, job):
                yield _where(job, name, (i + 1, len(samples)), sample.name, share)
            if name == "base":
                methods = await asyncio.to_thread(compared, job.result)
                sheet = sheet or _sheet(job.result)
            else:
                methods[name] = job.result.base
        job = desk.score(turn, methods, case.lr, {AS_GIVEN: case.hr})
        share = (i + 0.95) / len(samples)
        async for _ in wait(turn, job):
            yield _where(job, "scoring", (i + 1, len(samples)), sample.name, share)
        for method, found in job.result[AS_GIVEN].items():
            scores.setdefault(method, []).append(found)
        pictures.append({"name": sample.name, "sha256": digest(case.lr, case.hr)})
    protocol = {"key": "wald", "title": "Wald's protocol, 40 m to 10 m", "description": WALD}
    made["run"] = make_run(scores, pictures, sheet=sheet, protocol=protocol)


def _case(sample: Sample) -> Case:
    return wald(load_sample(sample.key))


def _settings(desk: Desk, shown_key: str | None) -> Settings:
    """Of the current result, else the preset; tags that a person chose hold for one place only."""
    shown = desk.studio.store.get(shown_key)
    preset = desk.studio.preset()
    if not isinstance(shown, Shown) or shown.result is None:
        return preset
    settings = dataclasses.replace(shown.result.settings, samples=0)
    if shown.result.tags_source == "person":
        settings = dataclasses.replace(settings, semantics=preset.semantics)
    return settings


def _sheet(result: SuperResolution) -> dict[str, Any]:
    sheet = result.run_sheet()
    return {"weights": sheet["weights"], "settings": sheet["settings"]}


def _scoring(job: Job) -> dict[str, Any]:
    if job.place > 0:
        return status("busy", f"Waiting to be scored; {job.place} before it", share=0.9)
    if job.step is None:
        return status("busy", "Scoring", share=0.9)
    text = f"Scoring {NAMES[job.step.part].lower()}, {job.step.step} of {job.step.steps}"
    return status("busy", text, share=0.9)


def _where(
    job: Job, name: str, place: tuple[int, int], sample: str, share: float
) -> dict[str, Any]:
    """Say where a benchmark is: "3 of 6, base: Tromsø"."""
    part = "" if job.step is None else str(job.step.part)
    name = "refined" if name == "base" and part.startswith("refine") else name
    before = f"; {job.place} before it in line" if job.place else ""
    text = f"{place[0]} of {place[1]}, {name}: {sample}{before}"
    return status("busy", text, share=share)
