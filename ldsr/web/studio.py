"""One server's state: the pipeline, the line before it, its running jobs and what it keeps.

Knows nothing of Gradio.
"""

import dataclasses
import functools
import gc
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ldsr.data.patch import Patch
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.machine import return_memory
from ldsr.result import SuperResolution
from ldsr.settings import BASES, PRESETS, Settings
from ldsr.web.hosting.limits import Limits
from ldsr.web.hosting.uploads import Uploaded, clear
from ldsr.web.ledger import Ledger
from ldsr.web.page_times import PageTimes
from ldsr.web.pictures import Frames, Shown
from ldsr.web.scenes.jobs import SceneJobs
from ldsr.web.session import Job, Line
from ldsr.web.store import Store

HUSH = 3.0
"""Seconds that a run which was taken back may take to fall silent."""
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Asking:
    """Whom the server is working for.

    Attributes:
        session: of the page or the program; what is kept belongs to it.
        person: who the limits count for, "" for nobody: an address, or the name of a login.
    """

    session: str = ""
    person: str = ""


class Studio:
    """What all visitors of one server share.

    Args:
        pipeline: the model.
        limits: what one visitor may have.

    Attributes:
        pipeline: the model.
        limits: as given.
        asking: says whom the server is working for in this moment; by default nobody.
        uploads: the folder of uploads, which `sweep` clears; None where it is not ours.
        can_refine: whether they have a second stage.
        bases: the pictures of stage 1 that they can make.
        store: inputs and results (`Shown`) by random id.
        jobs: runs that are being watched, by random id.
        ledger: what is noted of all runs.
        first: the run of the first sample, begun by `open_first`.
        first_sample: its key, or None when no samples are installed.
    """

    def __init__(self, pipeline: Any, limits: Limits | None = None) -> None:
        self.pipeline = pipeline
        self.limits = limits or Limits()
        self.asking: Callable[[], Asking] = Asking
        self.uploads: Path | None = None
        self.can_refine = bool(getattr(pipeline, "can_refine", False))
        self.bases = tuple(getattr(pipeline, "bases", BASES))
        self.store = Store()
        self.jobs: dict[str, Job] = {}
        self.ledger = Ledger()
        self.first: Job | None = None
        self.first_sample = next((sample.key for sample in list_samples()), None)
        self._first_key: str | None = None
        self._line = Line()
        self._mine: dict[str, Job] = {}
        self._shows: dict[str, str] = {}  # who watches a run, by its id
        self._turns: dict[str, int] = {}
        self._map_turns: dict[str, int] = {}
        self._reads: dict[str, threading.Event] = {}
        self._lock = threading.Lock()
        self._tagging = threading.Lock()
        self._swept = 0

    @functools.cached_property
    def scene_jobs(self) -> SceneJobs:
        """The scene jobs of this server."""
        return SceneJobs()

    def preset(self, name: str = "balanced") -> Settings:
        """A preset as far as the weights can do it: without stage 2 where there is none."""
        chosen = PRESETS[name]
        return dataclasses.replace(chosen, refine=chosen.refine and self.can_refine)

    def find_tags(self, patch: Patch, semantics: str) -> tuple[dict[str, float] | None, str]:
        """Find the land-cover tags of a patch, one patch at a time.

        Returns:
            Probabilities by tag or None, and where they come from.

        Raises:
            LdsrError: a source that is not there.
        """
        with self._tagging:
            return self.pipeline.find_tags(patch, semantics)

    def open_first(self) -> None:
        """Begin to super-resolve the first sample; done once, when the server starts."""
        if self.first_sample is None:
            return
        try:
            patch = load_sample(self.first_sample)
            settings = self.preset()
            check = self._fits(patch, settings, "picture")
            self.first = Job(
                self.pipeline, self._line, patch, settings, ledger=self.ledger, check=check
            )
        except LdsrError as error:
            _log.warning("the first sample could not be read: %s", error)

    def first_result(self) -> tuple[str, Shown] | None:
        """The finished first sample and its id, or None while it is not there."""
        with self._lock:
            if self._first_key is None and self.first and self.first.result:
                shown = Shown(self.first.patch, self.first.result, self.first_sample)
                self._first_key = self.store.put(shown, shown.nbytes, pinned=True)
        return (
            None if self._first_key is None else (self._first_key, self.store.get(self._first_key))
        )

    def keep(self, shown: Shown) -> str:
        """Keep an input or a result (anything that says its `nbytes`) of who is asking."""
        return self.store.put(shown, shown.nbytes, owner=self.asking().session)

    def keep_small(self, item: Any) -> str:
        """Keep something of a few kilobytes, such as a scene in somebody's list."""
        return self.store.put(item, 4096, owner=self.asking().session)

    def keep_files(self, paths: Sequence[str]) -> None:
        """Keep uploaded files as long as the page of who is asking."""
        self.keep_small(Uploaded(frozenset(map(Path, paths))))

    def sweep(self) -> None:
        """Let go of what has expired, and give its memory and its disk back to the system."""
        dropped = self.store.expire(self.limits.grace_seconds, self.limits.keep_seconds)
        if self.uploads is not None:
            held = [upload.paths for upload in self.store.of_kind(Uploaded)]
            clear(self.uploads, held=frozenset().union(*held), seconds=self.limits.grace_seconds)
        ended, self._swept = self.ledger.left - self._swept, self.ledger.left
        if dropped or ended:
            gc.collect()
            return_memory()

    def hand_over(self, key: str, shown: Shown, before: str | None) -> tuple[str, PageTimes]:
        """Begin to measure what the page takes for a result that goes to one person.

        Args:
            key: id of the result.
            shown: the result.
            before: id of what was measured for the result on their screen until now, or None.

        Returns:
            Id of what is measured, and what is measured.
        """
        earlier = self.page_times(before)
        if earlier is not None:
            earlier.over = True
        times = PageTimes(key, shown.drawing)
        last = None if earlier is None else self.store.get(earlier.key)
        if isinstance(last, Shown) and last.result and last.result.sr is shown.result.sr:
            times.evaluation = earlier.evaluation  # samples were drawn: it is the same picture
        return self.keep_small(times), times

    def page_times(self, page: Any) -> PageTimes | None:
        """What was measured under an id, or None when it is gone."""
        found = self.store.get(page) if isinstance(page, str) else None
        return found if isinstance(found, PageTimes) else None

    def patch(self, key: str | None) -> Patch | None:
        """The input under an id, or None when it is gone."""
        shown = self.store.get(key)
        return shown.patch if isinstance(shown, Shown) else None

    def start(
        self,
        visitor: str,
        patch: Patch,
        settings: Settings,
        *,
        measure: Shown | None = None,
        sample: Shown | None = None,
    ) -> tuple[str, Job]:
        """Begin a run for a visitor, after `take_turn`: a picture alone, samples are asked for.

        Args:
            visitor: whose run it is.
            patch: the input.
            settings: of the run; `samples` and `settle` are those of `sample`.
            measure: a finished run, to measure how much its tags matter instead.
            sample: a finished run, to draw further samples of it instead.

        Returns:
            Id of the run, and the run.

        Raises:
            LdsrError: the line is full.
        """
        work, frames, kind = self.pipeline, None, "picture"
        if measure is not None:
            kind = "tags"
            work = functools.partial(_measure, self.pipeline, measure.result)
        elif sample is not None:
            kind = "samples"
            work, frames = functools.partial(_sample, self.pipeline, sample.result), Frames(patch)
        else:
            settings = dataclasses.replace(settings, samples=0)
        check = self._fits(patch, settings, kind)
        job = self.job(work, patch, settings, kind=kind, frames=frames, check=check)
        self._mine[visitor] = job
        key = self.watch(job)
        self._shows[key] = visitor
        return key, job

    def job(
        self, work: Callable[..., Any], patch: Patch, settings: Any, *, line: Line | None = None,
        **more: Any,
    ) -> Job:  # fmt: skip
        """Put work into a line, the model's by default, for who is asking; `more` as of `Job`.

        Raises:
            LdsrError: the line is full, or holds enough of theirs.
        """
        more |= {"ledger": self.ledger, "limits": self.limits, "person": self.asking().person}
        return Job(work, line or self._line, patch, settings, **more)

    def _fits(self, patch: Patch, settings: Settings, kind: str) -> Callable[[], None]:
        """What raises LdsrError where memory does not last for a run of a kind."""

        def check() -> None:
            # not before: it waits where the model is read late
            fits = getattr(self.pipeline, "check_memory", None)
            if fits is not None:
                fits(patch.size, settings, kind=kind)

        return check

    def watch(self, job: Job) -> str:
        """Give a run an id under which its previews can be fetched."""
        key = secrets.token_urlsafe(16)
        self.jobs[key] = job
        return key

    def finish(self, key: str, visitor: str | None) -> None:
        """Stop watching a run; with a visitor, also stop the run if it is theirs."""
        job = self.jobs.pop(key, None)
        self._shows.pop(key, None)
        if job is not None and visitor is not None and self._mine.get(visitor) is job:
            job.cancel()
            del self._mine[visitor]

    def take_turn(self, visitor: str) -> int:
        """Note that a visitor did something new: what was going on for them stops writing the page.

        Returns:
            A number to compare with `turn`.
        """
        self.cancel(visitor)
        self._turns[visitor] = self.turn(visitor) + 1
        return self._turns[visitor]

    def hush(self, visitor: str) -> None:
        """Wait until what went on for a visitor has written its last word, after `take_turn`.

        For whoever says something but once: what is written later stays on the page.
        """
        end = time.monotonic() + HUSH
        while visitor in self._shows.copy().values() and time.monotonic() < end:
            time.sleep(0.02)

    def turn(self, visitor: str) -> int:
        """Number of the newest thing a visitor did."""
        return self._turns.get(visitor, 0)

    def forget(self, visitor: str) -> None:
        """A visitor has gone: stop their run."""
        self.cancel(visitor)
        self._turns.pop(visitor, None)
        self._map_turns.pop(visitor, None)

    def ask_map(self, visitor: str) -> int:
        """Note that a visitor asked their map something new; gives a number for `map_turn`."""
        self._map_turns[visitor] = self.map_turn(visitor) + 1
        return self._map_turns[visitor]

    def map_turn(self, visitor: str) -> int:
        """Number of the newest thing a visitor asked their map."""
        return self._map_turns.get(visitor, 0)

    def begin_reading(self, visitor: str) -> threading.Event:
        """Note that an input is being read for a visitor; the event is set when they cancel."""
        self._reads[visitor] = threading.Event()
        return self._reads[visitor]

    def end_reading(self, visitor: str, stop: threading.Event) -> None:
        """Note that a reading has ended."""
        if self._reads.get(visitor) is stop:
            del self._reads[visitor]

    def cancel(self, visitor: str) -> bool:
        """Stop a visitor's run or reading; True if there was one going."""
        reading = self._reads.pop(visitor, None)
        if reading is not None:
            reading.set()
            return True
        job = self._mine.pop(visitor, None)
        if job is None or job.ended:
            return False
        job.cancel()
        return True


def _measure(
    pipeline: Any, result: SuperResolution, patch: Patch, settings: Settings, on_step: Any
) -> Any:
    """The work of a job: how much the tags of a result matter."""
    return pipeline.prompt_sensitivity(result, on_step=on_step)


def _sample(
    pipeline: Any, result: SuperResolution, patch: Patch, settings: Settings, on_step: Any
) -> SuperResolution:
    """The work of a job: further samples of a result, as many as the settings say."""
    settled = dataclasses.replace(result.settings, settle=settings.settle)
    first = dataclasses.replace(result, settings=settled)
    return pipeline.sample(first, settings.samples, on_step)
