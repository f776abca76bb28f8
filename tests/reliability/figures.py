"""What a load came to: its figures, what it demands of them, and the table."""

import dataclasses
import json
import statistics
from collections.abc import Sequence
from typing import Any

from tests.reliability.server import Ran
from tests.reliability.tally import Tally

REACH = 60.0
"""Seconds after a click in which the run that it cancels is looked for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes that the server had: before, at its largest, and after all had gone."""

    start: int
    largest: int
    end: int
    settled: float

    @property
    def grown(self) -> float:
        """Share by which the end is above the start."""
        return self.end / self.start - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demands:
    """What must hold: seconds until a cancelled run has freed its slot, share of memory."""

    cancel: float = 2.0
    grown: float = 0.10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """All that was counted.

    Attributes:
        clients, seconds, seed: of the load.
        tally: what the people say.
        runs: what the server says.
        memory: of the server.
        faults: tracebacks in its log.
        left_over: runs that it still computes or keeps in line at the end.
    """

    clients: int
    seconds: float
    seed: int
    tally: Tally
    runs: Sequence[Ran]
    memory: Memory
    faults: Sequence[str]
    left_over: int

    @property
    def cancels(self) -> list[float]:
        """Seconds from each click on Cancel until the slot was free."""
        return cancel_seconds(self.tally.cancels, self.runs)

    def findings(self, demands: Demands) -> list[str]:
        """What should not have happened, a line each."""
        tally, found = self.tally, []
        found += [f"lost: {what}" for what in tally.lost]
        found += [f"page error: {what}" for what in tally.page_errors]
        found += [f"console error: {what}" for what in tally.console_errors]
        found += [f"traceback: {what}" for what in self.faults]
        endings = tally.finished + tally.cancelled + tally.left + len(tally.lost)
        endings += sum(count for (asked, _), count in tally.refused.items() if asked == "run")
        if endings < tally.asked:
            found.append(f"{tally.asked - endings} runs of {tally.asked} have no ending")
        if self.left_over:
            found.append(f"{self.left_over} runs are still there although nobody waits for them")
        found += [
            f"a cancelled run freed its slot only after {seconds:.1f} s"
            for seconds in self.cancels
            if seconds > demands.cancel
        ]
        if self.memory.grown > demands.grown:
            found.append(f"memory at the end is {self.memory.grown:.0%} above the start")
        return found

    def table(self) -> str:
        """Lay it out for people."""
        tally, memory = self.tally, self.memory
        rows = [
            ("clients", f"{self.clients} for {self.seconds / 60:.1f} minutes, seed {self.seed}"),
            ("pages opened", tally.pages),
            ("runs asked for", tally.asked),
            ("  finished", tally.finished),
            ("  cancelled", tally.cancelled),
            ("  left behind with their page", tally.left),
            ("  refused", sum(n for (what, _), n in tally.refused.items() if what == "run")),
            ("lost", len(tally.lost)),
            ("page errors", len(tally.page_errors)),
            ("console errors", len(tally.console_errors)),
            ("tracebacks of the server", len(self.faults)),
            ("seconds from Run to the result", spread(tally.waits)),
            ("seconds from Cancel to a free slot", spread(self.cancels)),
            ("memory, MB", f"{memory.start / 1e6:.0f} at the start, {memory.largest / 1e6:.0f} at "
             f"most, {memory.end / 1e6:.0f} after {memory.settled:.0f} s ({memory.grown:+.1%})"),
        ]  # fmt: skip
        lines = [f"{name:36} {value}" for name, value in rows]
        lines += ["sentences:"]
        lines += [f"  {n:4} {what:8} {text}" for (what, text), n in tally.refused.most_common()]
        return "\n".join(lines)

    def to_json(self, demands: Demands) -> str:
        """Write all figures."""
        told: dict[str, Any] = dataclasses.asdict(self.tally)
        told["refused"] = [[what, text, n] for (what, text), n in self.tally.refused.items()]
        memory = dataclasses.asdict(self.memory) | {"grown": self.memory.grown}
        about = {"clients": self.clients, "seconds": self.seconds, "seed": self.seed}
        about |= {"cancel_seconds": self.cancels, "memory": memory, "faults": list(self.faults)}
        about |= {"runs_of_the_server": len(self.runs), "left_over": self.left_over}
        return json.dumps(told | about | {"findings": self.findings(demands)}, indent=1)


def cancel_seconds(clicks: Sequence[float], runs: Sequence[Ran]) -> list[float]:
    """Seconds from each click until the run that was computed then had ended.

    Clicks that came when nothing was computed are left out.
    """
    found = []
    for click in clicks:
        running = [run for run in runs if run.kind == "picture" and run.began <= click < run.ended]
        if running and running[0].ended - click < REACH and running[0].outcome == "cancelled":
            found.append(running[0].ended - click)
        elif running and running[0].ended == float("inf"):
            found.append(REACH)
    return found


def spread(seconds: Sequence[float]) -> str:
    """Median and 95th percentile in words."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    last = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    middle = statistics.median(ordered)
    return f"median {middle:.2f}, 95 % {last:.2f}, longest {ordered[-1]:.2f} ({len(ordered)})"
