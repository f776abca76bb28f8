"""The grid of cells, method x patch x reference: each is computed once and kept as it is done.

A cell's key is a hash of all its number depends on, so that a run that was killed goes on, and
another setting makes new cells.
"""

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from evaluation.methods import Method
from evaluation.pairs import Case, digest
from evaluation.score import Score
from ldsr.data.patch import Patch
from ldsr.errors import MetricError, PatchError

VERSION = 1
"""Of what a score means; a new one makes every cell anew."""
CELLS = "cells.jsonl"


class Scorer(Protocol):
    """What of `evaluation.judge.Judge` is used."""

    def scores(
        self, sr: Patch, *, lr: Patch | None = None, hr: Patch | None = None
    ) -> list[Score]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """The scores of one method on one patch against one reference.

    Attributes:
        key: hash of settings, weights, pixels and metrics.
        method, patch, group, reference: names.
        seconds: the method took.
        values: by metric, None where there is none.
        status: of each metric that has no value: status, reason, fix.
    """

    key: str
    method: str
    patch: str
    group: str
    reference: str
    seconds: float
    values: Mapping[str, float | None]
    status: Mapping[str, tuple[str, str, str]]


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        done, total: pairs of a method and a patch.
        seconds_left: estimated from what each method took so far; None before anything is known.
        method, patch: just finished.
    """

    done: int
    total: int
    seconds_left: float | None
    method: str
    patch: str


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """A finished run.

    Attributes:
        cells: every one that was asked for, in the order of methods and patches.
        kept: how many of them were there before.
        seconds: the rest took.
        provenance: how each metric was made, by metric.
    """

    cells: list[Cell]
    kept: int
    seconds: float
    provenance: dict[str, Mapping[str, str]]


def run_grid(
    methods: Sequence[Method],
    cases: Sequence[Case],
    judge: Scorer,
    *,
    folder: Path,
    sweep_every: int = 1,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Grid:
    """Compute every cell that is not there yet.

    Args:
        methods: in the order of the table.
        cases: patches with their references.
        judge: scores.
        folder: to keep CELLS in.
        sweep_every: methods of a sweep see every n-th patch alone.
        on_progress: told after each method on each patch.

    Raises:
        MetricError: no cases, a method's result that does not fit.
    """
    if not cases:
        raise MetricError("There are no patches to judge; was --every larger than their number?")
    started = time.perf_counter()
    path = folder / CELLS
    folder.mkdir(parents=True, exist_ok=True)
    known = read_cells(path)
    states, provenance = probe(judge)
    signature = json.dumps([VERSION, states, provenance], sort_keys=True)
    tasks = list(_tasks(methods, cases, sweep_every))
    # before anything is computed: a foreign result that is not there is said at once
    wanted = [_keys(method, case, signature) for method, case in tasks]
    clock, found, kept = _Left(tasks), {}, 0
    with path.open("a", encoding="utf-8") as file:
        file.write("\n")  # ends a line that was cut off
        for (method, case), keys in zip(tasks, wanted, strict=True):
            missing = {name: key for name, key in keys.items() if key not in known}
            kept += len(keys) - len(missing)
            if missing:
                for cell in _compute(method, case, missing, judge):
                    known[cell.key] = cell
                    file.write(_line(cell))
                file.flush()
            for name, key in keys.items():
                # names are not part of a key: what is now called otherwise keeps its number
                found[(method.name, case.name, name)] = dataclasses.replace(
                    known[key], method=method.name, patch=case.name, group=case.group,
                    reference=name,
                )  # fmt: skip
            on_progress(clock.tick(method, case, computed=bool(missing)))
    return Grid(list(found.values()), kept, time.perf_counter() - started, provenance)


def read_cells(path: Path) -> dict[str, Cell]:
    """Read what was kept, by key; a line that was cut off by the end of a run is left out."""
    cells: dict[str, Cell] = {}
    if not path.is_file():
        return cells
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found = json.loads(line)
            found["values"] = {
                name: math.inf if value == "inf" else value
                for name, value in found["values"].items()
            }
            found["status"] = {name: tuple(state) for name, state in found["status"].items()}
            cell = Cell(**found)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        cells[cell.key] = cell
    return cells


def _tasks(
    methods: Sequence[Method], cases: Sequence[Case], sweep_every: int
) -> Iterator[tuple[Method, Case]]:
    """Patch by patch, so that a run that is killed has whole patches."""
    for i, case in enumerate(cases):
        for method in methods:
            if not method.sweep or i % sweep_every == 0:
                yield method, case


def _keys(method: Method, case: Case, signature: str) -> dict[str, str]:
    """Key of each reference's cell."""
    identity, lr = method.identity(case.lr), digest(case.lr)
    return {
        name: hashlib.sha256("\n".join((signature, identity, lr, digest(hr))).encode()).hexdigest()
        for name, hr in case.references.items()
    }


def _compute(method: Method, case: Case, keys: Mapping[str, str], judge: Scorer) -> Iterator[Cell]:
    """Run a method once and score it against each reference."""
    started = time.perf_counter()
    try:
        sr = method(case.lr)
    except PatchError as error:
        raise MetricError(f"{method.name}, {case.name}: {error}") from error
    seconds = time.perf_counter() - started
    for name, key in keys.items():
        try:
            scores = judge.scores(sr, lr=case.lr, hr=case.references[name])
        except MetricError as error:
            raise MetricError(f"{method.name}, {case.name}: {error}") from error
        yield Cell(
            key=key,
            method=method.name,
            patch=case.name,
            group=case.group,
            reference=name,
            seconds=round(seconds, 4),
            values={score.metric.name: score.value for score in scores},
            status={
                score.metric.name: (score.status, score.reason, score.fix)
                for score in scores
                if score.value is None
            },
        )


def _line(cell: Cell) -> str:
    """One line of JSON; infinity has no number there."""
    row = dataclasses.asdict(cell)
    row["values"] = {
        name: "inf" if value is not None and math.isinf(value) else value
        for name, value in row["values"].items()
    }
    return json.dumps(row, ensure_ascii=False) + "\n"


def probe(judge: Scorer) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Which scores this machine can make, and how: status and provenance by metric.

    Asked on two made-up pictures; what differs between them is of the picture, and left out.
    """
    asked = [{score.metric.name: score for score in _asked(judge, seed)} for seed in (0, 1)]
    states = {name: score.status for name, score in asked[0].items()}
    kept = {
        name: dict(score.provenance.items() & asked[1][name].provenance.items())
        for name, score in asked[0].items()
    }
    return states, {name: dict(sorted(found.items())) for name, found in kept.items()}


def _asked(judge: Scorer, seed: int) -> list[Score]:
    sr, lr, hr = _made_up(seed)
    return judge.scores(sr, lr=lr, hr=hr)


def _made_up(seed: int) -> tuple[Patch, Patch, Patch]:
    """Result, input and reference of blocks in a little noise, 128 x 128 pixels."""
    random = np.random.default_rng(seed)
    blocks = random.uniform(0.05, 0.4, (4, 8, 8)).repeat(16, 1).repeat(16, 2)
    hr = (blocks + random.normal(0, 0.005, blocks.shape)).clip(0.01).astype(np.float32)
    lr = hr.reshape(4, 32, 4, 32, 4).mean((2, 4))
    sr = (0.9 * hr + 0.02 + random.normal(0, 0.01, hr.shape)).astype(np.float32)
    return tuple(Patch(reflectance=x, valid=np.ones(x.shape[1:], bool)) for x in (sr, lr, hr))


class _Left:
    """How long the rest will take: the mean time of each method so far, times what is left."""

    def __init__(self, tasks: Sequence[tuple[Method, Case]]) -> None:
        self._total, self._done = len(tasks), 0
        self._left: dict[str, int] = {}
        for method, _ in tasks:
            self._left[method.name] = self._left.get(method.name, 0) + 1
        self._times: dict[str, list[float]] = {}
        self._last = time.perf_counter()

    def tick(self, method: Method, case: Case, *, computed: bool) -> Progress:
        """Count one that is done."""
        now = time.perf_counter()
        if computed:
            self._times.setdefault(method.name, []).append(now - self._last)
        self._last = now
        self._done += 1
        self._left[method.name] -= 1
        means = {name: sum(times) / len(times) for name, times in self._times.items()}
        typical = sum(means.values()) / len(means) if means else None
        left = None
        if typical is not None:
            left = sum(count * means.get(name, typical) for name, count in self._left.items())
        return Progress(self._done, self._total, left, method.name, case.name)
