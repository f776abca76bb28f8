"""Hands inputs to workers, looks at the clock, and keeps what should not have happened."""

import collections
import dataclasses
import json
import queue
import select
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.reliability.canary import Canary
from tests.reliability.case import Case

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 10.0
"""Seconds that a reading may take."""
MOST_GROWN = 1.5 * 2**30
"""Bytes by which memory may grow while a file is read."""


@dataclasses.dataclass(kw_only=True)
class Tally:
    """What came of the inputs of one kind through one door."""

    count: int = 0
    read: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    grown: int = 0

    def add(self, answer: dict[str, Any]) -> None:
        self.count += 1
        self.read += answer["result"] == "read"
        self.refused += answer["result"] == "refused"
        self.seconds += answer.get("seconds", 0.0)
        self.slowest = max(self.slowest, answer.get("seconds", 0.0))
        self.grown = max(self.grown, answer.get("grown", 0))


@dataclasses.dataclass(kw_only=True)
class Verdict:
    """What came of all of them.

    Attributes:
        tallies: by kind and door.
        findings: what should not have happened, a line each.
    """

    tallies: dict[tuple[str, str], Tally] = dataclasses.field(
        default_factory=lambda: collections.defaultdict(Tally)
    )
    findings: list[str] = dataclasses.field(default_factory=list)

    def total(self, door: str | None = None) -> Tally:
        """Join the tallies of one door, or of all."""
        whole = Tally()
        for (_, through), one in self.tallies.items():
            if door in (None, through):
                whole.count += one.count
                whole.read += one.read
                whole.refused += one.refused
                whole.seconds += one.seconds
                whole.slowest = max(whole.slowest, one.slowest)
                whole.grown = max(whole.grown, one.grown)
        return whole


class Worker:
    """A process that reads files, started anew where one broke it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def ask(self, door: str, paths: list[str], hidden: list[str]) -> dict[str, Any]:
        """Have something read; what breaks the process is an answer too."""
        asked = json.dumps({"door": door, "paths": paths, "hidden": hidden})
        process = self._process or self._started()
        process.stdin.write(asked + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        line = process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        self.close()
        finding = f"crash (status {process.returncode})" if ready else f"longer than {PATIENCE:g} s"
        return {"result": "fault", "message": "", "finding": finding, "seconds": PATIENCE}

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            try:
                process.wait(0.5)  # one that crashed says how
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdin.close()
            process.stdout.close()

    def _started(self) -> subprocess.Popen:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        return self._process


def judge(
    cases: Iterable[tuple[int, Case, str]],
    folder: Path,
    canary: Canary,
    *,
    workers: int = 2,
    keep: Path | None = None,
) -> Verdict:
    """Read inputs through `read_patch` and `open_scene`.

    Args:
        cases: number, input and door of each.
        folder: where the files are written, each in a folder of its own.
        canary: that must stay silent.
        workers: processes at a time.
        keep: where the files of a finding are kept, or None.
    """
    verdict, waiting = Verdict(), queue.Queue(maxsize=4 * workers)
    lock = threading.Lock()

    def work() -> None:
        worker = Worker()
        while (job := waiting.get()) is not None:
            number, case, door = job
            place = folder / f"{number:06}-{door}"
            answer = _tried(worker, case, door, place, folder)
            with lock:
                verdict.tallies[case.kind, door].add(answer)
                if answer["finding"]:
                    verdict.findings.append(_line(number, case, door, answer))
                    _keep(place, keep)
            shutil.rmtree(place, ignore_errors=True)
        worker.close()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for job in cases:
        waiting.put(job)
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    verdict.findings += [f"the canary's server was asked: {asked}" for asked in canary.asked]
    return verdict


def _tried(worker: Worker, case: Case, door: str, place: Path, folder: Path) -> dict[str, Any]:
    """Write, read and judge one; what was late may try once more, for a machine can be busy."""
    try:
        paths = case.write(place)
    except (OSError, ValueError) as error:
        return {"result": "fault", "finding": f"the suite cannot write it: {error}"}
    hidden = [str(folder), str(ROOT), str(Path.home())]
    answer = worker.ask(door, paths, hidden)
    if answer["finding"].startswith("longer than"):
        answer = worker.ask(door, paths, hidden)
    if answer.get("grown", 0) > MOST_GROWN:
        answer["finding"] += f" {answer['grown'] / 2**30:.1f} GiB of memory"
    return answer


def _line(number: int, case: Case, door: str, answer: dict[str, Any]) -> str:
    what = case.address if case.address is not None else " ".join(case.hand[:2])
    return f"{number} {door}: {case.kind} of {case.seed} ({what[:80]!r}): {answer['finding']}"


def _keep(place: Path, keep: Path | None) -> None:
    if keep is not None and place.is_dir():
        shutil.copytree(place, keep / place.name, dirs_exist_ok=True)
