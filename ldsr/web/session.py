"""What goes on between clicks: the line before the model, and the runs in it.

Plain threads; knows nothing of Gradio or of how a picture is drawn.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.memory import TOO_LITTLE, is_out_of_memory
from ldsr.settings import Settings
from ldsr.steps import Enough
from ldsr.web.hosting.limits import Limits
from ldsr.web.ledger import Ledger, fault, new_id
from ldsr.web.said import public

MAX_WAITING = 20
"""Runs that may stand in line; the next one is turned away with a sentence."""
PREVIEW_EVERY = 1.0
"""Seconds between two previews, at least."""
PREVIEW_SHARE = 0.25
"""Largest share of a run's time spent on previews."""

TOO_LONG = (
    "This run was stopped after the {minutes:g} minutes that one may take on this server; choose a "
    "smaller picture, or fewer steps or samples."
)
FAULT = "The run failed: a fault in the program; the server's log tells more."
_log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised inside a run to end it, because its person asked to."""


class Ticket:
    """A place in a line.

    Attributes:
        person: whose it is; "" is nobody's.
    """

    def __init__(self, person: str) -> None:
        self.person = person


class Line:
    """A fair line: whoever came first is served first, one at a time."""

    def __init__(self) -> None:
        self._tickets: deque[Ticket] = deque()
        self._changed = threading.Condition()

    def join(self, person: str = "", *, each: int = 0) -> Ticket:
        """Take a ticket at the end of the line.

        Args:
            person: whose it is; "" counts for nobody.
            each: tickets that one person may hold, the one that is served too; 0: any number.

        Raises:
            LdsrError: too many are waiting, or too many of one person.
        """
        with self._changed:
            if len(self._tickets) > MAX_WAITING:
                raise LdsrError(
                    f"{MAX_WAITING} runs are already waiting; please try again in a few minutes."
                )
            held = sum(ticket.person == person for ticket in self._tickets)
            if person and each and held >= each:
                raise LdsrError(
                    f"{_runs(held)} of yours, or from your network, {'is' if held == 1 else 'are'} "
                    f"already running or waiting, and this server takes {each} at a time from one; "
                    "please wait for one of them, or cancel it."
                )
            ticket = Ticket(person)
            self._tickets.append(ticket)
            return ticket

    def place(self, ticket: Ticket) -> int:
        """Say how many are before this ticket: 0 is being served."""
        with self._changed:
            return self._tickets.index(ticket)

    def wait(self, ticket: Ticket, timeout: float) -> bool:
        """Wait until this ticket is served, at most `timeout` seconds; True if it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._tickets[0] is ticket, timeout)

    def leave(self, ticket: Ticket) -> None:
        """Give the ticket back, served or not; the next one moves up."""
        with self._changed:
            if ticket in self._tickets:
                self._tickets.remove(ticket)
            self._changed.notify_all()


class Job:
    """One run, in its own thread: waits in line, works, and can be watched and cancelled.

    Args:
        pipeline: does the work.
        line: to stand in.
        patch, settings: what is computed.
        frames: what further samples are drawn into (`ldsr.web.pictures.Frames`), or None.
        ledger: where it is noted.
        kind: what is done.
        person: who it counts for, "" for nobody.
        limits: of the server.
        check: asked when its turn has come; raises LdsrError where it must not begin.

    Raises:
        LdsrError: the line is full, or closed.

    Attributes:
        id: what the log and a message about a fault call it.
        kind: what is done, "picture", "samples", "tags" or "scores".
        patch, settings: what is computed.
        state: "waiting", "running", "done", "cancelled" or "failed".
        step: the last `Step` reported, or None.
        preview: the emerging picture, float32 [4, 4H, 4W], of each stage ("base", "refine").
        previews: how many previews of each stage there have been.
        frames: what further samples are drawn into (`ldsr.web.pictures.Frames`), or None.
        sampled: when the newest sample came, as `time.monotonic`.
        result: what the pipeline gave, when done.
        message: one sentence, when failed.
        worked: seconds that the work took, when done.
    """

    def __init__(
        self,
        pipeline: Callable[..., Any],
        line: Line,
        patch: Patch,
        settings: Settings,
        *,
        frames: Any = None,
        ledger: Ledger | None = None,
        kind: str = "picture",
        person: str = "",
        limits: Limits | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        self.id, self.kind = new_id(), kind
        self.patch, self.settings = patch, settings
        self.state = "waiting"
        self.step: Any = None
        self.preview: dict[str, np.ndarray] = {}
        self.previews: dict[str, int] = {}
        self.result: Any = None
        self.message = ""
        self.worked: float | None = None
        self.created = time.monotonic()
        self.started = self.sampled = self.created
        self.frames = frames
        self._pipeline, self._line = pipeline, line
        self._ledger = ledger or Ledger()
        self._ledger.admit()
        self._limits = limits or Limits()
        self._admit = check or (lambda: None)
        self._ticket = line.join(person, each=self._limits.each)
        self._ledger.enter(self)
        self._cancel = threading.Event()
        self._preview_due = 0.0
        threading.Thread(target=self._work, name="ldsr-run", daemon=True).start()

    @property
    def ended(self) -> bool:
        """True when nothing more will happen."""
        return self.state in ("done", "cancelled", "failed")

    @property
    def place(self) -> int:
        """How many runs are before this one; 0 when it is being served or has ended."""
        try:
            return self._line.place(self._ticket)
        except ValueError:
            return 0

    @property
    def running_for(self) -> float:
        """Seconds since it began, 0 before."""
        return time.monotonic() - self.started if self.state == "running" else 0.0

    @property
    def cancelling(self) -> bool:
        """True once the run was asked to stop."""
        return self._cancel.is_set()

    @property
    def sampling(self) -> bool:
        """True while further samples are drawn: then cancelling keeps those that are there."""
        return self.step is not None and self.step.part == "sample"

    def cancel(self) -> None:
        """Ask the run to stop; it stops at its next step."""
        self._cancel.set()

    def _work(self) -> None:
        ended_by: Exception | None = None
        try:
            while not self._line.wait(self._ticket, 0.2):
                self.look_up()
                self._ledger.admit()
            self.look_up()
            self._ledger.admit()
            self._admit()
            self.started = self.sampled = time.monotonic()
            self.state = "running"
            self._ledger.begin(self)
            self.result = self._pipeline(self.patch, self.settings, _Watch(self))
            self.worked = time.monotonic() - self.started
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except LdsrError as error:
            ended_by = error
            self.message, self.state = public(error), "failed"
        except Exception as error:
            ended_by = error
            lacking = is_out_of_memory(error)
            said = TOO_LITTLE if lacking else fault(_log, "a run failed", FAULT, run=self.id)
            self.message, self.state = said, "failed"
        finally:
            self.preview = {}
            self._line.leave(self._ticket)
            self._ledger.end(self, ended_by)

    def look_up(self) -> None:
        """See whether the run is to end; raises what ends it."""
        late = self.running_for > self._limits.run_seconds
        if self.sampling and (late or self.cancelling):
            raise Enough
        if self.cancelling:
            raise Cancelled
        if late:
            raise LdsrError(TOO_LONG.format(minutes=self._limits.run_seconds / 60))

    def on_step(self, step: Any) -> None:
        """Take note of a step; raises what ends the run."""
        self.step = step
        if self.sampling:
            self._see_sample(step)
        self.look_up()
        if not self.sampling:
            self._show(step)

    def _see_sample(self, step: Any) -> None:
        if step.preview is None:
            return
        if self.frames is not None:
            self.frames.add(step.preview(), step.spread())
        self.sampled = time.monotonic()

    def _show(self, step: Any) -> None:
        now = time.monotonic()
        if step.preview is None or step.step >= step.steps or now < self._preview_due:
            return
        stage = "refine" if step.part.startswith("refine") else "base"
        self.preview[stage] = np.asarray(step.preview(), np.float32)
        self.previews[stage] = self.previews.get(stage, 0) + 1
        cost = time.monotonic() - now
        self._preview_due = time.monotonic() + max(
            PREVIEW_EVERY, cost * (1.0 / PREVIEW_SHARE - 1.0)
        )
        self.look_up()


class _Watch:
    """What a pipeline tells of a job's run, and asks within long steps (`ldsr.steps.OnStep`)."""

    def __init__(self, job: Job) -> None:
        self._job, self.look_up = job, job.look_up

    def __call__(self, step: Any) -> None:
        self._job.on_step(step)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
