"""Scene jobs: a line of commands that outlives the page, one at a time on the server.

Each job is a folder (`ldsr.web.scenes.records`); `python -m ldsr scene` does the work in a process
of its own and says how far it is. Knows nothing of Gradio.
"""

import contextlib
import dataclasses
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ldsr.appearing import clear_parts
from ldsr.errors import SceneError
from ldsr.manifest import home
from ldsr.web.ledger import fields, new_id
from ldsr.web.scenes.preview import draw_preview
from ldsr.web.scenes.records import (
    ENDED,
    GONE,
    OPEN,
    Record,
    Records,
    Wish,
    can_run,
    held,
    most_bytes,
    setting,
)
from ldsr.web.scenes.run import Command, Figures, Run, scene_command
from ldsr.web.scenes.view import PREVIEW, STOP, describe, has_file, say_gaps

MOST_WAITING = 8
MOST_EACH = 2
"""Jobs of one person that may run and wait."""
CUT_OFF = "The server was stopped while this job ran; what was computed is kept."
STOPPED = "Stopped; what was computed is kept."
BROKEN = "The server could not run this job; what was computed is kept, and it can be gone on with."
PAUSE = 1.0
"""Seconds between two looks at a line that cannot be worked on now."""
_MEDIA = {".tif": "image/tiff", ".json": "application/json", ".png": "image/png"}
_log = logging.getLogger(__name__)


class SceneJobs:
    """All scene jobs of a server.

    Args:
        folder: where they are kept, $LDSR_HOME/jobs by default.
        command: makes the command of a job.
        clock: seconds since 1970.
        draw: makes the preview of a finished file.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        command: Command = scene_command,
        clock: Callable[[], float] = time.time,
        draw: Callable[[Path], bytes] = draw_preview,
    ) -> None:
        self.folder = folder or home().resolve() / "jobs"
        self.figures = Figures(self.folder / "measured.json")
        self._records = Records(self.folder)
        self._command, self._clock, self._draw = command, clock, draw
        self._people: dict[str, str] = {}  # of jobs; an address is never written down
        self._broken: set[str] = set()  # jobs whose failure could not be written down
        self._lock = threading.Lock()
        self._runner: threading.Thread | None = None
        self._woken = threading.Event()
        self._closed = threading.Event()
        if self.folder.is_dir():
            with self._only_runner() as mine:
                if mine:
                    self._mark_cut_off(finish=False)
            self._wake()

    def submit(self, wish: Wish, *, person: str = "") -> Record:
        """Put a job at the end of the line.

        Args:
            wish: what is to be done.
            person: who it counts for, "" for nobody; forgotten when the server is stopped.

        Raises:
            SceneError: the line or the disk is full, the person has enough jobs there, or the
                system cannot run jobs.
        """
        if not can_run():
            raise SceneError(
                "Scene jobs of the page need Linux or macOS; on this server use "
                "python -m ldsr scene."
            )
        self.sweep()
        limit = most_bytes()
        if wish.bytes > limit:
            raise SceneError(
                f"The result would have up to {_gigabytes(wish.bytes)}, and scene jobs may keep "
                f"{_gigabytes(limit)} here; choose a smaller area or fewer layers."
            )
        with self._records.changing():
            records = self._records.all()
            going = {record.id for record in records if record.state in OPEN}
            if person and [self._people.get(job) for job in going].count(person) >= MOST_EACH:
                raise SceneError(
                    f"{MOST_EACH} scene jobs of yours, or from your network, are already running "
                    "or waiting; wait for one of them, or cancel it."
                )
            if sum(record.state == "waiting" for record in records) >= MOST_WAITING:
                raise SceneError(
                    f"{MOST_WAITING} scene jobs are already waiting; please try again later."
                )
            kept = sum(self._records.bytes(record.id) for record in records)
            if kept > limit:
                raise SceneError(
                    f"Scene jobs already keep {_gigabytes(kept)} of {_gigabytes(limit)}; discard "
                    "one, or try again when older ones have expired."
                )
            record = self._records.make(wish, self._clock())
            self._people = {job: who for job, who in self._people.items() if job in going}
            self._people[record.id] = person
        self._wake()
        return record

    def look(self, job: str) -> dict[str, Any]:
        """Describe a job for the page; nothing in it leads into the server.

        Raises:
            SceneError: there is no such job.
        """
        record = self._records.read(job)
        if record.state in ENDED and self._expires(record) < self._clock():
            raise SceneError(GONE)
        if job in self._broken:
            record = dataclasses.replace(record, state="failed", message=BROKEN)
        return describe(self._records, record, expires=self._expires(record))

    def cancel(self, job: str, key: str) -> None:
        """Stop a job, running or waiting; what it computed is kept.

        Raises:
            SceneError: there is no such job, or the key is another's.
        """
        with self._records.changing():
            record = self._owned(job, key)
            if record.state == "waiting":
                self._change(record, state="stopped", message="Stopped before it began.")
            elif record.state == "running":
                (self._records.path(job) / STOP).touch()
        self._woken.set()

    def go_on(self, job: str, key: str, *, gaps: bool = False) -> None:
        """Put a job that was stopped or failed back into the line.

        Args:
            job, key: of the job.
            gaps: whether its file is then written without the windows that fail again.

        Raises:
            SceneError: there is no such job, the key is another's, or the line is full.
        """
        with self._records.changing():
            record = self._owned(job, key)
            if record.state not in ("stopped", "failed"):
                return
            waiting = sum(one.state == "waiting" for one in self._records.all())
            if waiting >= MOST_WAITING:
                raise SceneError(f"{waiting} scene jobs are already waiting; try again later.")
            (self._records.path(job) / STOP).unlink(missing_ok=True)
            self._change(record, state="waiting", message="", gaps=gaps, order=self._clock())
        self._wake()

    def finish(self, job: str, key: str) -> None:
        """Go on with a job of which windows failed, and write its file without those.

        Raises:
            SceneError: as `go_on`.
        """
        self.go_on(job, key, gaps=True)

    def discard(self, job: str, key: str) -> None:
        """Forget a job that does not run, and delete its files.

        Raises:
            SceneError: there is no such job, the key is another's, or it runs.
        """
        with self._records.changing():
            if self._owned(job, key).state == "running":
                raise SceneError("This job is running; cancel it first.")
            self._records.drop(job)

    def file(self, job: str, name: str) -> tuple[Path, str]:
        """Find a file of a finished job, of those that may be fetched.

        Returns:
            The file, and its media type.

        Raises:
            SceneError: no such job, no such file.
        """
        record = self._records.read(job)
        if record.state != "done" or self._expires(record) < self._clock():
            raise SceneError(GONE)
        served = name in (*record.files.values(), PREVIEW)
        if not served or not has_file(self._records, record, name):
            raise SceneError("There is no such file.")
        return self._records.path(job) / name, _MEDIA[Path(name).suffix]

    def states(self) -> dict[str, int]:
        """Number of jobs in each state there is."""
        states = [record.state for record in self._records.all()]
        return {state: states.count(state) for state in (*OPEN, *ENDED)}

    def before(self) -> int:
        """Number of jobs that a new one would wait for."""
        return sum(record.state in OPEN for record in self._records.all())

    def sweep(self) -> None:
        """Delete what has expired, then, while there is too much, what ended first."""
        if not self.folder.is_dir():
            return
        clear_parts(self.folder)
        with self._records.changing():
            records = [one for one in self._records.all() if one.state in ENDED]
            for record in [one for one in records if self._expires(one) < self._clock()]:
                self._records.drop(record.id)
                records.remove(record)
            sizes = {one.id: self._records.bytes(one.id) for one in self._records.all()}
            for record in sorted(records, key=lambda one: one.changed)[:-1]:
                if sum(sizes.values()) <= most_bytes():
                    break
                self._records.drop(record.id)
                del sizes[record.id]

    def close(self) -> None:
        """Stop running jobs; whatever runs now is cut off as if the server had died."""
        self._closed.set()
        self._woken.set()
        runner = self._runner
        if runner is not None:
            runner.join()

    def _owned(self, job: str, key: Any) -> Record:
        record = self._records.read(job)
        if not isinstance(key, str) or not secrets.compare_digest(
            key.encode(), record.key.encode()
        ):
            raise SceneError("Only who began this scene job can change it.")
        return record

    def _expires(self, record: Record) -> float:
        return record.changed + 3600 * setting("LDSR_JOBS_HOURS", 48)

    def _change(self, record: Record, **values: Any) -> Record:
        changed = dataclasses.replace(record, changed=self._clock(), **values)
        self._records.write(changed)
        return changed

    def _wake(self) -> None:
        """See to it that somebody works on the line, where there is one."""
        with self._lock:
            self._woken.set()
            if self._runner is not None or self._closed.is_set():
                return
            if any(record.state in OPEN for record in self._records.all()):
                self._runner = threading.Thread(target=self._work, name="ldsr-jobs", daemon=True)
                self._runner.start()

    def _work(self) -> None:
        """Run one job after the other, until none is left."""
        while not self._closed.is_set():
            try:
                with self._only_runner() as mine:
                    if mine:
                        self._mark_cut_off()
                        while not self._closed.is_set() and (record := self._next()):
                            self._run(record)
            except Exception:
                _log.exception("scene jobs cannot be run now")
            with self._lock:
                waits = any(one.state in OPEN for one in self._records.all())
                if not waits or self._closed.is_set():
                    self._runner = None
                    return
            self._woken.wait(PAUSE)  # another server runs one, or the disk is full
            self._woken.clear()
        self._runner = None

    def _next(self) -> Record | None:
        with self._records.changing():
            waiting = [one for one in self._records.all() if one.state == "waiting"]
            if not waiting:
                return None
            place = self._records.path(waiting[0].id)
            for name in (STOP, "progress.json"):
                (place / name).unlink(missing_ok=True)
            return self._change(waiting[0], state="running")

    def _run(self, record: Record) -> None:
        """Run a job to its end; whatever goes wrong on the server, the line goes on."""
        try:
            self._run_command(record)
        except Exception:
            _log.exception("a scene job could not be run")
            if not self._is_complete(record):
                self._broken.add(record.id)
            with contextlib.suppress(Exception):  # it is tried again with the next job
                self._mark_cut_off()

    def _run_command(self, record: Record) -> None:
        place, note = self._records.path(record.id), {"run": new_id(), "kind": "scene"}
        begun = time.monotonic()
        _log.info("run begins", extra=fields(**note, windows=record.windows))
        run = Run(place, self._command(record))
        try:
            while not run.ended(timeout=0.2):
                if self._closed.is_set():
                    run.kill()
                    _log.info("run is cut off, and can be gone on with", extra=fields(**note))
                    return
                if (place / STOP).exists():
                    run.stop()
        except BaseException:
            run.kill()
            raise
        said = self._records.progress(record)
        self.figures.note(record.cost, said)
        done = run.status == 0 and (place / record.files["cog"]).is_file()
        if done:
            self._finish(record)
        with self._records.changing():
            if done:
                self._change(record, state="done", message=say_gaps(said))
            elif (place / STOP).exists():
                self._change(record, state="stopped", message=STOPPED, resumed=True)
            else:
                self._change(record, state="failed", message=run.message(said), resumed=True)
            (place / STOP).unlink(missing_ok=True)
        outcome = "finished" if done else self._records.read(record.id).state
        note |= {"seconds": round(time.monotonic() - begun, 2), "outcome": outcome}
        _log.info("run ends", extra=fields(**note))
        self.sweep()

    def _finish(self, record: Record) -> None:
        """Draw a finished job's preview, and delete what only its run needed."""
        place = self._records.path(record.id)
        try:
            if not (place / PREVIEW).is_file():
                part = place / f"{PREVIEW}.part"
                part.write_bytes(self._draw(place / record.files["cog"]))
                part.replace(place / PREVIEW)
        except Exception:
            _log.exception("the preview of a scene job could not be drawn")
        with contextlib.suppress(OSError):
            for path in (place / "input").iterdir():
                path.unlink()

    def _mark_cut_off(self, *, finish: bool = True) -> None:
        """Whoever holds the runner's lock knows: a job that runs has lost its runner.

        Args:
            finish: also end those whose files are complete, which draws their previews.
        """
        lost = [record for record in self._records.all() if record.state == "running"]
        for record in lost:
            complete = self._is_complete(record)
            if complete and not finish:
                continue
            ended = {"state": "stopped", "message": CUT_OFF, "resumed": True}
            if complete:
                self._finish(record)
                ended = {"state": "done", "message": say_gaps(self._records.progress(record))}
            elif record.id in self._broken:
                ended |= {"state": "failed", "message": BROKEN}
            with self._records.changing():
                self._change(record, **ended)
                (self._records.path(record.id) / STOP).unlink(missing_ok=True)
            self._broken.discard(record.id)
        self._broken.intersection_update(record.id for record in lost)

    def _is_complete(self, record: Record) -> bool:
        """Whether the command of a job wrote all it had to, and tidied up."""
        place = self._records.path(record.id)
        there = all((place / name).is_file() for name in record.files.values())
        return there and not (place / f"{record.files['cog']}.job").exists()

    @contextlib.contextmanager
    def _only_runner(self) -> Iterator[bool]:
        """Try to be the one server of this folder that runs jobs; gives whether it is."""
        with held(self.folder / "runner.lock", wait=False) as mine:
            yield mine


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
