"""One case in a process of its own: seconds, memory, pages, and what it drew.

Standard library and numpy at the top: torch comes with the case, after its environment.
"""

import contextlib
import dataclasses
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.work import Work

ROOT = Path(__file__).resolve().parents[2]
PAGES = "THP_MEM_ALLOC_ENABLE"
"""What torch reads when it first allocates: "1" asks for large tensors in pages of 2 MiB."""

Run = Callable[[], Any]
"""One run: gives a picture (or None), or a picture and what else is to be told, a dict."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """Something to be measured.

    Attributes:
        make: loads what is needed and gives the run.
        devices: where it is run unless cases are named.
        huge_pages: whether torch is to ask for them; None where another process computes.
        alone: the product may not be imported.
        adapt: what it makes of the work all cases are given.
        most: runs at most.
        references: cases whose picture this one's is compared with, the plain form first.
    """

    make: Callable[[Work], Run]
    devices: tuple[str, ...] = ("cpu",)
    huge_pages: bool | None = True
    alone: bool = False
    adapt: Callable[[Work], Work] = lambda work: work
    most: int | None = None
    references: tuple[str, ...] = ()


def environment(case: Case, threads: int) -> dict[str, str]:
    """The environment of a case's process.

    Pages are asked for by the product itself; where it is not imported, or they are not wanted,
    the environment says so.
    """
    rest = {key: value for key, value in os.environ.items() if key != PAGES}
    if case.alone or case.huge_pages is False:
        rest[PAGES] = str(int(case.huge_pages))
    return rest | {"OMP_NUM_THREADS": str(threads)}


def check_process(case: Case, modules: Iterable[str], environ: Mapping[str, str]) -> None:
    """Make sure that a case ran as it says: with which pages, and without the product if alone.

    Raises:
        RuntimeError: it did not; its figures are worth nothing.
    """
    if case.alone and any(name.split(".")[0] == "ldsr" for name in modules):
        raise RuntimeError("ldsr was imported into the peer's process")
    if case.huge_pages is None:
        return
    wanted = str(int(case.huge_pages))
    if environ.get(PAGES) != wanted:
        raise RuntimeError(f"{PAGES} is {environ.get(PAGES)!r}, expected {wanted!r}")


def measure(name: str, case: Case, work: Work) -> dict[str, Any]:
    """Run one case in this process.

    Returns:
        seconds: of the fastest run, without loading.
        runs: seconds of each.
        first_s: from the start of the process to the first result, imports and loading included.
        peak_gb: largest resident memory while it ran, weights included, 10^9 bytes.
        huge_gb: of what is resident at the end, what lies in huge pages.
        and what the run itself tells; its picture is saved in the folder.
    """
    if case.alone:
        check_process(case, sys.modules, os.environ)
    run = case.make(work)
    forget_peak()
    runs, first = [], 0.0
    for _ in range(min(work.repeat, case.most or work.repeat)):
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        first = first or time.time() - work.begun
        picture, told = result if isinstance(result, tuple) else (result, {})
        runs.append(told.get("seconds", seconds))
    found = {"runs": runs, "first_s": first, "peak_gb": peak_gb(), "huge_gb": huge_gb()}
    check_process(case, sys.modules, os.environ)
    if work.device == "cuda":
        import torch

        found["gpu_gb"] = torch.cuda.max_memory_allocated() / 1e9
        found["gpu"] = torch.cuda.get_device_name()
    if picture is not None:
        np.save(work.folder / f"{name}.npy", picture)
    at = {"size": work.size, "steps": work.steps, "batch": work.batch, "samples": work.samples}
    return at | found | told | {"seconds": min(runs)}


def measure_apart(name: str, case: Case, work: Work, threads: int) -> dict[str, Any]:
    """Run one case in a process of its own; {"error": ...} if it failed."""
    work = dataclasses.replace(case.adapt(work), begun=time.time())
    command = [sys.executable, "-m", "tests.benchmarks", "--one", name, work.to_json()]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(case, threads), capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        return {"error": said[-1]}
    return json.loads(lines[-1])


def forget_peak() -> None:
    """From now on the largest resident memory is counted anew (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_gb(process: int | str = "self") -> float:
    """Largest resident memory of a process so far, 10^9 bytes (Linux)."""
    return _kilobytes(f"/proc/{process}/status", "VmHWM")


def resident_gb() -> float:
    """Resident memory of this process now, 10^9 bytes (Linux)."""
    return _kilobytes("/proc/self/status", "VmRSS")


def huge_gb() -> float:
    """Resident memory of this process in huge pages, 10^9 bytes (Linux)."""
    return _kilobytes("/proc/self/smaps_rollup", "AnonHugePages")


def _kilobytes(path: str, key: str) -> float:
    found = re.search(rf"{key}:\s+(\d+) kB", Path(path).read_text())
    return int(found[1]) * 1024 / 1e9 if found else 0.0


def decibels(result: np.ndarray, reference: np.ndarray) -> float:
    """PSNR of a result to a reference, against the reference's range; 300 of equal ones."""
    error = float(np.mean((result.astype(np.float64) - reference) ** 2))
    return 10 * math.log10(float(np.ptp(reference)) ** 2 / error) if error else 300.0


def differences(cases: Mapping[str, Case], folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """How far the pictures of cases are from those of their references.

    Returns:
        By case and reference "db", and "largest", the largest difference over the largest value of
        the reference.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, case in cases.items():
        for reference in case.references:
            ours, theirs = folder / f"{name}.npy", folder / f"{reference}.npy"
            if name == reference or not (ours.is_file() and theirs.is_file()):
                continue
            a, b = np.load(ours), np.load(theirs)
            if a.shape == b.shape:
                largest = float(np.abs(a - b).max() / np.abs(b).max())
                found.setdefault(name, {})[reference] = {"db": decibels(a, b), "largest": largest}
    return found
