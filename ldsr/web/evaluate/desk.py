"""What the Evaluate tabs of all visitors share: the judge, its line, and what goes on for whom.

Runs stand in the studio's line; scoring has a line of its own, beside the model. Knows nothing of
Gradio.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from evaluation.judge import Judge
from evaluation.metrics import METRICS
from evaluation.score import Score
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web.evaluate.leaderboard import Board
from ldsr.web.evaluate.views import missing_weights
from ldsr.web.session import Cancelled, Job, Line
from ldsr.web.studio import Studio
from ldsr.weights import home

POLL, WAITING = 0.2, 1.0
"""Seconds between two looks at a running job, and at one in line."""


@dataclasses.dataclass
class Turn:
    """What is going on for one visitor.

    Attributes:
        owner: its runs are under this name in the studio.
        stopped: whether it should end.
        replaced: whether something newer writes the page now.
        key, job: what is waited for.
    """

    owner: str
    stopped: bool = False
    replaced: bool = False
    key: str | None = None
    job: Job | None = None

    def stop(self) -> None:
        """Ask it to end."""
        self.stopped = True
        if self.job is not None:
            self.job.cancel()

    def check(self) -> None:
        """Raise Cancelled where it should end."""
        if self.stopped:
            raise Cancelled


class Desk:
    """What the Evaluate tabs of all visitors share: the judge, its line, the saved runs.

    Args:
        studio: the server's state.
        board: the saved runs.
        judge: made when first needed; tests bring their own.
    """

    def __init__(self, studio: Studio, board: Board, judge: Judge | None = None) -> None:
        self.studio, self.board = studio, board
        self._judge = judge
        self._line = Line()
        self._turns: dict[str, Turn] = {}

    def begin(self, visitor: str) -> Turn:
        """Begin something for a visitor; what was going on for them ends."""
        before = self._turns.get(visitor)
        if before is not None:
            before.replaced = True
            before.stop()
        self._turns[visitor] = Turn(f"evaluate {visitor}")
        return self._turns[visitor]

    def end(self, visitor: str, turn: Turn) -> None:
        """Note that it is over; what it still waits for is cancelled."""
        turn.stop()
        if turn.key is not None:
            self.studio.finish(turn.key, turn.owner)
        if self._turns.get(visitor) is turn:
            del self._turns[visitor]

    def cancel(self, visitor: str) -> bool:
        """Stop what is going on for a visitor; True if there was something."""
        turn = self._turns.get(visitor)
        if turn is None or turn.stopped:
            return False
        turn.stop()
        return True

    def run(self, turn: Turn, patch: Patch, settings: Settings) -> Job:
        """Super-resolve, in the studio's line.

        Raises:
            Cancelled: it should end.
            LdsrError: the line is full.
        """
        turn.check()
        if turn.key is not None:
            self.studio.finish(turn.key, turn.owner)
        turn.key, turn.job = self.studio.start(turn.owner, patch, settings)
        return turn.job

    def score(
        self,
        turn: Turn,
        methods: Mapping[str, Patch],
        lr: Patch,
        references: Mapping[str, Patch | None],
    ) -> Job:
        """Score methods against references, in a line beside the model.

        The job's result is {reference: {method: scores}}.

        Raises:
            Cancelled: it should end.
            LdsrError: the line is full.
        """

        def work(patch: Patch, settings: Any, on_step: Callable[..., None]) -> Any:
            if self._judge is None:
                self._judge = Judge(device=str(self.studio.pipeline.device))
            self._judge.retry()
            wanted = [(label, method) for label in references for method in methods]
            found: dict[str, dict[str, Sequence[Score]]] = {label: {} for label in references}
            for i, (label, method) in enumerate(wanted, 1):
                on_step(SimpleNamespace(part=method, step=i, steps=len(wanted), preview=None))
                scores = self._judge.scores(methods[method], lr=patch, hr=references[label])
                found[label][method] = [_plain(score) for score in scores]
            return found

        turn.check()
        turn.job = self.studio.job(work, lr, None, line=self._line, kind="scores")
        return turn.job


async def wait(turn: Turn, job: Job) -> AsyncIterator[None]:
    """Look at a job until it has ended well.

    Raises:
        Cancelled: somebody stopped it.
        LdsrError: it failed.
    """
    while not job.ended:
        yield
        turn.check()
        await asyncio.sleep(WAITING if job.state == "waiting" else POLL)
    turn.check()
    if job.state == "cancelled":
        raise Cancelled
    if job.result is None:
        raise LdsrError(job.message)


def saved_runs() -> Board:
    """The saved runs of this server: under the folder `evaluations` of the person's own folder."""
    return Board(home() / "evaluations")


def _plain(score: Score) -> Score:
    """A score without the server's folders in its reason."""
    if score.status != "unavailable":
        return score
    title = METRICS[score.metric.name].title
    if missing_weights(score):
        reason = f"The weights of {title} are not on this server."
        return dataclasses.replace(score, reason=reason)
    return dataclasses.replace(score, reason=f"{title} is not ready on this server.")
