"""What is noted of the runs of one server: lines in its log, numbers, and the door that closes.

Nothing of a person is in it: no name of a picture, no address, no path. Knows nothing of Gradio.
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import Counter, Histogram

from ldsr.errors import LdsrError
from ldsr.settings import Settings

CLOSING = "The server is being stopped and takes no new runs; please try again in a minute."
SECONDS = (0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300, 600, 1800)
"""Bounds of the histogram of a run's seconds."""
_log = logging.getLogger("ldsr.runs")


class Ledger:
    """The runs of one server.

    A run is a `ldsr.web.session.Job`: of it `id`, `kind`, `patch`, `settings`, `state`, `created`,
    `started` and `result` are looked at.

    Attributes:
        begun: when the server began, seconds since 1970.
        left: runs that have ended or left the line, so far.
        started, ended, seconds, samples: the metrics, not yet in a registry.
    """

    def __init__(self) -> None:
        self.begun = time.time()
        self.left = 0
        self.started = Counter("ldsr_runs_started", "Runs begun.", ["kind"], registry=None)
        self.ended = Counter(
            "ldsr_runs_ended",
            "Runs that were begun and have ended: finished, failed or cancelled.",
            ["kind", "outcome"],
            registry=None,
        )
        self.seconds = Histogram(
            "ldsr_run_seconds",
            "Seconds that finished runs took, without the time in the line.",
            ["kind"],
            buckets=SECONDS,
            registry=None,
        )
        self.samples = Counter("ldsr_samples", "Pictures drawn to see how far they differ.",
                               registry=None)  # fmt: skip
        self._waiting: dict[str, Any] = {}
        self._running: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def metrics(self) -> Iterator[Counter | Histogram]:
        """All of them, for a registry."""
        return iter((self.started, self.ended, self.seconds, self.samples))

    @property
    def closed(self) -> bool:
        """Whether new runs are turned away."""
        return self._closed.is_set()

    @property
    def waiting(self) -> int:
        """Runs in the line."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Runs being computed."""
        return len(self._running)

    def close(self) -> None:
        """Turn new runs away from now on, and those that wait; what runs may end."""
        self._closed.set()

    def cancel(self) -> None:
        """Ask all that runs to stop at its next step."""
        with self._lock:
            running = list(self._running.values())
        for job in running:
            job.cancel()

    def admit(self) -> None:
        """See whether a run may begin.

        Raises:
            LdsrError: the server is being stopped.
        """
        if self.closed:
            raise LdsrError(CLOSING)

    def enter(self, job: Any) -> None:
        """Note that a run stands in line."""
        with self._lock:
            self._waiting[job.id] = job

    def begin(self, job: Any) -> None:
        """Note that a run begins."""
        with self._lock:
            self._waiting.pop(job.id, None)
            self._running[job.id] = job
        self.started.labels(job.kind).inc()
        waited = round(job.started - job.created, 2)
        _log.info("run begins", extra=fields(**_about(job), waited=waited))

    def end(self, job: Any, error: BaseException | None = None) -> None:
        """Note that a run has ended, or has left the line before it began; once for each."""
        with self._lock:
            self.left += 1
            self._waiting.pop(job.id, None)
            began = self._running.pop(job.id, None) is not None
        outcome = {"done": "finished"}.get(job.state, job.state)
        seconds = time.monotonic() - job.started
        found = getattr(job.result, "uncertainty", None) if outcome == "finished" else None
        if began:
            self.ended.labels(job.kind, outcome).inc()
            if outcome == "finished":
                self.seconds.labels(job.kind).observe(seconds)
        if found is not None:
            self.samples.inc(max(0, found.samples))
        said = {"error": type(error).__name__} if outcome == "failed" and error else {}
        note = "run ends" if began else "run leaves the line"
        _log.info(note, extra=fields(**_about(job), seconds=round(seconds, 2), outcome=outcome,
                                     **said))  # fmt: skip


def fields(**values: Any) -> dict[str, Any]:
    """Values of a line of the log, as `extra` of a logging call (see `ldsr.web.hosting.logs`)."""
    return {"fields": values}


def new_id() -> str:
    """An id for a run, short enough to be read out on the telephone."""
    return secrets.token_hex(4)


def fault(log: logging.Logger, what: str, sentence: str, *, run: str | None = None) -> str:
    """Write the unexpected error that is being handled into the log.

    Args:
        log: of the module that met it.
        what: what failed, for the log.
        sentence: what the person is told.
        run: id of the run; a new one by default.

    Returns:
        The sentence with the id under which the log tells more.
    """
    run = run or new_id()
    log.exception(what, extra=fields(run=run))
    return f"{sentence.rstrip().removesuffix('.')} (run {run})."


def summary(settings: Settings | None) -> str:
    """The settings that say most of what a run computes, in one line."""
    if settings is None:
        return ""
    sampled = settings.base in ("ldsr", "sr3")
    parts = [f"{settings.base} {settings.sampler} {settings.steps}" if sampled else settings.base]
    if settings.cascade:
        parts.append("cascade")
    if settings.refine:
        parts.append(f"refine {settings.refine_steps}")
    if settings.skip_threshold:
        parts.append(f"skip {settings.skip_threshold:g}")
    if settings.samples:
        parts.append(f"samples {settings.samples}")
    return ", ".join([*parts, f"seed {settings.seed}"])


def _about(job: Any) -> dict[str, Any]:
    rows, columns = job.patch.size
    about = {"run": job.id, "kind": job.kind, "size": f"{columns}x{rows}"}
    settings = summary(job.settings)
    return about | ({"settings": settings} if settings else {})
