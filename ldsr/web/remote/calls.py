"""What a program that calls this server has done: a run, or the scores of a result.

Runs and scores stand in the page's own lines and end with the page's own sentences. Nothing is
kept here once the answer is made. Knows nothing of Gradio.
"""

import asyncio
import dataclasses
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evaluation.pair_scores import check_place, to_dict
from evaluation.score import Score
from ldsr import render
from ldsr.data.fine import FACTOR, read_fine
from ldsr.data.patch import Patch
from ldsr.data.reader import read_patch
from ldsr.data.samples import load_sample
from ldsr.errors import AmbiguousPatchError, LdsrError, PatchError
from ldsr.result import SuperResolution
from ldsr.settings import PRESETS, Settings
from ldsr.web.evaluate.desk import Desk, wait
from ldsr.web.evaluate.flows import read_reference
from ldsr.web.ledger import fault
from ldsr.web.pictures import Shown
from ldsr.web.resolve.views import job_status
from ldsr.web.session import Cancelled, Job

POLL = 0.2
"""Seconds between two looks at a running job."""
PREVIEW_SIDE = 512
"""Pixels of the longer side of a preview, at most."""
STOPPED = "The call was stopped on the server; call again."
NEITHER = "Neither a file nor a sample was given; give one of the two."
BOTH = "Both a file and a sample were given; leave one of the two out."
_log = logging.getLogger(__name__)
Tell = Callable[[float, str], None]
"""Told how far a call is: a share of 1, and in words."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """What a run gives to whoever called.

    Attributes:
        stem: of the names of its files.
        geotiff, preview: the result, and a small PNG of it.
        sheet: the run sheet as JSON.
        uncertainty: a GeoTIFF, or None where no samples were drawn.
    """

    stem: str
    geotiff: bytes
    preview: bytes
    sheet: str
    uncertainty: bytes | None


class Calls:
    """What goes on for programs.

    Args:
        desk: the line of scores, and the studio with the line of runs.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._studio = desk, desk.studio
        self._going: dict[str, set[str]] = {}

    async def super_resolve(
        self,
        session: str,
        source: tuple[str | None, str],
        wish: tuple[str, str, Mapping[str, Any]],
        answers: Mapping[str, str],
        tell: Tell,
    ) -> Answer:
        """Super-resolve one picture, and draw its samples.

        Args:
            session: who asks.
            source: path of an uploaded file or None, key of a sample or "".
            wish: see `settings_of`.
            answers: "bands" and "scale", where the person said them; else "".
            tell: told how far it is.

        Raises:
            LdsrError: anything the person can mend, and faults.
        """
        preset, text, chosen = wish
        settings = settings_of(self._studio.preset, preset, text, chosen)
        patch = await asyncio.to_thread(read_input, *source, answers)
        async with self._visit(session) as visitor:
            result = await self._run(visitor, patch, settings, tell)
            if settings.samples:
                sampling = dataclasses.replace(
                    result.settings, samples=settings.samples, settle=settings.settle
                )
                first = Shown(patch, result)
                result = await self._run(visitor, patch, sampling, tell, sample=first)
            return await asyncio.to_thread(_answer, patch, result, source[1] or None)

    async def evaluate(
        self, session: str, files: tuple[str, str, str | None], tell: Tell
    ) -> dict[str, Any]:
        """Score a result, each score beside bicubic's.

        Args:
            session: who asks.
            files: paths of the input, the result, and the true picture or None.
            tell: told how far it is.

        Raises:
            LdsrError: anything the person can mend, and faults.
        """
        lr, methods, references, remark = await asyncio.to_thread(read_pair, *files)
        async with self._visit(session) as visitor:
            turn = self._desk.begin(visitor)
            try:
                job = self._desk.score(turn, methods, lr, references or {"": None})
                async for _ in wait(turn, job):
                    before = job.place
                    line = f"Waiting to be scored; {before} before it" if before else "Scoring"
                    tell(0.5, line)
            except Cancelled:
                raise LdsrError(STOPPED) from None
            finally:
                self._desk.end(visitor, turn)
        kinds = ("input", "result", "truth")
        names = {kind: Path(path).name for kind, path in zip(kinds, files, strict=True) if path}
        return {"files": names, "remark": remark, "scores": report(job.result)}

    def leave(self, session: str) -> None:
        """Somebody has gone: stop what goes on for them."""
        for visitor in self._going.get(session, set()):
            self._studio.cancel(visitor)
            self._desk.cancel(visitor)

    @asynccontextmanager
    async def _visit(self, session: str) -> AsyncIterator[str]:
        """Give each call a name of its own: calls of one program do not stop one another."""
        visitor = f"call {secrets.token_urlsafe(8)}"
        self._going.setdefault(session, set()).add(visitor)
        try:
            yield visitor
        finally:
            self._going[session].discard(visitor)
            if not self._going[session]:
                del self._going[session]
            self._studio.forget(visitor)

    async def _run(
        self,
        visitor: str,
        patch: Patch,
        settings: Settings,
        tell: Tell,
        *,
        sample: Shown | None = None,
    ) -> SuperResolution:
        """Wait in line and for the result, telling every step."""
        key, job = self._studio.start(visitor, patch, settings, sample=sample)
        try:
            while not job.ended:
                line = job_status(job, time.monotonic())
                tell(line["share"] or 0.0, line["text"])
                await asyncio.sleep(POLL)
            return _result(job)
        finally:
            self._studio.finish(key, visitor)


def settings_of(
    preset: Callable[[str], Settings], name: str, text: str, chosen: Mapping[str, Any]
) -> Settings:
    """Make the settings of a call.

    Args:
        preset: gives the settings of a preset.
        name: of a preset.
        text: settings as JSON, as a run sheet has them, instead of the preset; or "".
        chosen: single settings on top of either, None where nothing was said.

    Raises:
        LdsrError: a preset that is not there, or a value out of its range.
    """
    if name not in tuple(PRESETS):
        raise LdsrError(f"There is no preset {name!r}; known are {', '.join(PRESETS)}.")
    settings = Settings.from_json(text) if text else preset(name)
    said = {field: value for field, value in chosen.items() if value is not None}
    return dataclasses.replace(settings, **said)


def read_input(path: str | None, sample: str, answers: Mapping[str, str]) -> Patch:
    """Read an uploaded file or a sample.

    Raises:
        LdsrError: what is wrong with it; where it can be read in several ways, the argument that
            decides and its values.
    """
    if (path is None) == (not sample):
        raise PatchError(NEITHER if path is None else BOTH)
    if path is None:
        return load_sample(sample)
    said = {name: value for name, value in answers.items() if value}
    try:
        return read_patch(path, **said)
    except AmbiguousPatchError as error:
        choices = " or ".join(error.choices)
        sentence = str(error).removesuffix(".")
        raise PatchError(f"{sentence} (argument {error.question}: {choices}).") from None
    except LdsrError:
        raise
    except Exception:
        sentence = f"{Path(path).name} could not be read; please try another file."
        raise PatchError(fault(_log, "a file of a call could not be read", sentence)) from None


def read_pair(
    lr_path: str, sr_path: str, truth_path: str | None
) -> tuple[Patch, dict[str, Patch], dict[str, Patch], str]:
    """Read what is scored: the input, bicubic and the result, the truth, and a sentence on it.

    Raises:
        LdsrError: a file that cannot be read, or pictures that do not lie on one another.
    """
    lr = read_input(lr_path, "", {})
    try:
        result = read_fine(sr_path)
    except LdsrError:
        raise
    except Exception:
        sentence = f"{Path(sr_path).name} could not be read; please try another file."
        raise PatchError(fault(_log, "a result of a call could not be read", sentence)) from None
    check_place(lr, result, "input", "result", factor=FACTOR)
    bicubic = dataclasses.replace(result, reflectance=render.upsample(lr))
    references, remark = read_reference(lr, truth_path) if truth_path else ({}, "")
    return lr, {"bicubic": bicubic, "result": result}, references, remark


def report(scores: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write scores as plain values: those of the result, with what bicubic gets beside them.

    Args:
        scores: of each reference ("" without one), of the methods "bicubic" and "result".
    """
    lines = []
    for reference, found in scores.items():
        pairs: list[tuple[Score, Score]] = list(zip(found["result"], found["bicubic"], strict=True))
        for result, bicubic in pairs:
            line = {**to_dict(result), "bicubic": to_dict(bicubic)["value"]}
            lines.append(line | ({"reference": reference} if reference else {}))
    return lines


def to_json(values: Mapping[str, Any]) -> str:
    """Write what `evaluate` gives."""
    return json.dumps(values, indent=2)


def preview(shown: Shown) -> bytes:
    """Draw the best picture there is in true colour, small, as PNG."""
    drawn = Image.fromarray(shown.colour(shown.reflectance(shown.pictures[-1]), "true"))
    drawn.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return render.encode_png(np.asarray(drawn))


def _answer(patch: Patch, result: SuperResolution, sample: str | None) -> Answer:
    shown = Shown(patch, result, sample)
    return Answer(
        stem=shown.stem,
        geotiff=shown.geotiff("sr"),
        preview=preview(shown),
        sheet=shown.sheet().decode(),
        uncertainty=shown.geotiff("uncertainty") if "uncertainty" in shown.files else None,
    )


def _result(job: Job) -> SuperResolution:
    """What a run gave that has ended."""
    if job.state == "cancelled":
        raise LdsrError(STOPPED)
    if job.result is None:
        raise LdsrError(job.message)
    return job.result
