"""Scene jobs: a line of commands that outlives the page, one at a time on the server.

Each job is a folder (`ldsr.web.scene_records`); `python -m ldsr scene` does the work in a process
of its own and says how far it is. Knows nothing of Gradio.
"""

import contextlib
import dataclasses
import fcntl
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ldsr.errors import SceneError
from ldsr.manifest import home
from ldsr.web.scene_preview import draw_preview
from ldsr.web.scene_records import ENDED, GONE, NUMBERS, OPEN, PHASES, Record, Records, Wish
from ldsr.web.scene_run import Command, Figures, Run, scene_command

MOST_WAITING = 8
PREVIEW = "preview.png"
STOP = "stop"
"""A file that asks whoever runs a job to stop it."""
CUT_OFF = "The server was stopped while this job ran; what was computed is kept."
STOPPED = "Stopped; what was computed is kept."
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
        self._lock = threading.Lock()
        self._runner: threading.Thread | None = None
        self._woken = threading.Event()
        self._closed = threading.Event()
        if self.folder.is_dir():
            with self._only_runner() as mine:
                if mine:
                    self._mark_cut_off()
            self._wake()

    def submit(self, wish: Wish) -> Record:
        """Put a job at the end of the line.

        Raises:
            SceneError: the line or the disk is full.
        """
        self.sweep()
        limit = most_bytes()
        if wish.bytes > limit:
            raise SceneError(
                f"The result would have up to {_gigabytes(wish.bytes)}, and scene jobs may keep "
                f"{_gigabytes(limit)} here; choose a smaller area or fewer layers."
            )
        with self._records.changing():
            records = self._records.all()
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
        said = self._records.progress(record)
        running = record.state == "running"
        state = said["state"] if said.get("state") in PHASES else "starting"
        numbers = {name: _number(said.get(name)) for name in NUMBERS}
        begun = numbers | {"windows": numbers["windows"] or record.windows}
        return begun | {
            "id": record.id,
            "state": state if running else record.state,
            "stopping": running and (self._records.path(job) / STOP).exists(),
            "name": record.name,
            "size": list(record.size),
            "about": record.about,
            "message": record.message,
            "place": self._place(record),
            "created": record.created,
            "expires": self._expires(record) if record.state in ENDED else None,
            "files": self._files(record),
            "preview": f"ldsr/jobs/{record.id}/{PREVIEW}" if self._has(record, PREVIEW) else "",
        }

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

    def go_on(self, job: str, key: str) -> None:
        """Put a job that was stopped or failed back into the line.

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
            self._change(record, state="waiting", message="", order=self._clock())
        self._wake()

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
        if name not in (*record.files.values(), PREVIEW) or not self._has(record, name):
            raise SceneError("There is no such file.")
        return self._records.path(job) / name, _MEDIA[Path(name).suffix]

    def before(self) -> int:
        """Number of jobs that a new one would wait for."""
        return sum(record.state in OPEN for record in self._records.all())

    def sweep(self) -> None:
        """Delete what has expired, then, while there is too much, what ended first."""
        if not self.folder.is_dir():
            return
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
        if self._runner is not None:
            self._runner.join()

    def _owned(self, job: str, key: Any) -> Record:
        record = self._records.read(job)
        if not isinstance(key, str) or not secrets.compare_digest(
            key.encode(), record.key.encode()
        ):
            raise SceneError("Only who began this scene job can change it.")
        return record

    def _place(self, record: Record) -> int:
        if record.state != "waiting":
            return 0
        return sum(
            one.state == "running" or (one.state == "waiting" and one.order < record.order)
            for one in self._records.all()
        )

    def _has(self, record: Record, name: str) -> bool:
        return record.state == "done" and (self._records.path(record.id) / name).is_file()

    def _files(self, record: Record) -> dict[str, dict[str, Any]]:
        there = {kind: name for kind, name in record.files.items() if self._has(record, name)}
        return {
            kind: {
                "url": f"ldsr/jobs/{record.id}/{name}",
                "name": name,
                "bytes": (self._records.path(record.id) / name).stat().st_size,
            }
            for kind, name in there.items()
        }

    def _expires(self, record: Record) -> float:
        return record.changed + 3600 * _setting("LDSR_JOBS_HOURS", 48)

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
        try:
            while not self._closed.is_set():
                with self._only_runner() as mine:
                    if mine:
                        self._mark_cut_off()
                        while not self._closed.is_set() and (record := self._next()):
                            self._run(record)
                with self._lock:
                    waits = any(one.state in OPEN for one in self._records.all())
                    if not waits or self._closed.is_set():
                        self._runner = None
                        return
                self._woken.wait(1.0)  # another server runs one
                self._woken.clear()
        except Exception:
            _log.exception("scene jobs are no longer run")
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
        place = self._records.path(record.id)
        run = Run(place, self._command(record))
        while not run.ended(timeout=0.2):
            if self._closed.is_set():
                run.kill()
                return
            if (place / STOP).exists():
                run.stop()
        said = self._records.progress(record)
        self.figures.note(record.cost, said)
        done = run.status == 0 and (place / record.files["cog"]).is_file()
        if done:
            self._finish(record)
        with self._records.changing():
            if done:
                self._change(record, state="done", message=str(said.get("message") or ""))
            elif (place / STOP).exists():
                self._change(record, state="stopped", message=STOPPED, resumed=True)
            else:
                self._change(record, state="failed", message=run.message(said), resumed=True)
            (place / STOP).unlink(missing_ok=True)
        self.sweep()

    def _finish(self, record: Record) -> None:
        """Draw a finished job's preview, and delete what only its run needed."""
        place = self._records.path(record.id)
        try:
            (place / PREVIEW).write_bytes(self._draw(place / record.files["cog"]))
        except Exception:
            _log.exception("the preview of a scene job could not be drawn")
        for path in (place / "input").iterdir():
            path.unlink()

    def _mark_cut_off(self) -> None:
        """Whoever holds the runner's lock knows: a job that runs has lost its runner."""
        with self._records.changing():
            for record in self._records.all():
                if record.state == "running":
                    self._change(record, state="stopped", message=CUT_OFF, resumed=True)

    @contextlib.contextmanager
    def _only_runner(self) -> Iterator[bool]:
        """Try to be the one server of this folder that runs jobs; gives whether it is."""
        with (self.folder / "runner.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True


def most_bytes() -> float:
    """Disk that jobs may fill: $LDSR_JOBS_GB (20) gigabytes."""
    return 1e9 * _setting("LDSR_JOBS_GB", 20)


def _setting(name: str, default: float) -> float:
    """A number from the environment; the default where it is none."""
    try:
        return max(0.0, float(os.environ.get(name, default)))
    except ValueError:
        return default


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
