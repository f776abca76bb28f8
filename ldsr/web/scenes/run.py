"""One run of a scene job's command: its process group, its end, its last words, its pace.

Knows the command line of `python -m ldsr scene` and nothing of what it computes.
"""

import contextlib
import dataclasses
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldsr.manifest import home
from ldsr.settings import Settings
from ldsr.web.scenes import guard as scene_guard
from ldsr.web.scenes.records import Record, write_whole
from ldsr.web.scenes.words import plain

ROOT = Path(__file__).resolve().parents[3]
GRACE = 20.0
"""Seconds that a command has to stop by itself, once asked to."""
NICENESS = 10
"""So that the page stays quick while a scene is computed."""
LOG = "log.txt"
UNSAID = "The job ended without a word; the server's log may tell more, and it can be gone on with."
COSTS = (
    "base",
    "sampler",
    "steps",
    "cascade",
    "refine",
    "refine_steps",
    "samples",
    "skip_threshold",
    "skip_form",
)
"""Settings that say how long a window takes."""
_log = logging.getLogger(__name__)

Command = Callable[[Record], Sequence[str]]


def scene_command(record: Record) -> list[str]:
    """The command of a job, to be run in its folder: all its files are named from there."""
    out = record.files["cog"]
    command = [sys.executable, "-m", "ldsr", "scene", record.scene, "--out", out]
    resume = ["--resume"] if record.resumed else []
    gaps = ["--with-gaps"] if record.gaps else []
    return [*command, "--progress", "progress.json", *record.options, *resume, *gaps]


def machine_options(pipeline: Any) -> list[str]:
    """How a pipeline computes, as options of the command: a job does it as the page does."""
    half = getattr(pipeline, "half", None)
    options = [f"--weights={pipeline.name}", f"--device={pipeline.device}"]
    if getattr(pipeline, "compiled", False):
        options.append("--compile")
    return options if half is None else [*options, "--half" if half else "--no-half"]


def setting_options(settings: Settings) -> list[str]:
    """Write settings as options of the command, but for samples, which are a layer's."""
    options = []
    for name, value in dataclasses.asdict(settings).items():
        option = "--" + name.replace("_", "-")
        if name == "cascade":
            options += [option] if value else []
        elif name == "refine":
            options += [] if value else ["--no-refine"]
        elif value is not None:
            options.append(f"{option}={value}")
    return options


def cost_of(weights: str, settings: Settings) -> str:
    """Say what a window costs, so that two of equal cost take the same time."""
    values = {name: getattr(settings, name) for name in COSTS}
    return json.dumps({"weights": weights, **values})


class Run:
    """A command that runs.

    Args:
        place: folder of the job; the command's own, and of its log.
        command: to run.

    Attributes:
        status: exit status, once it has ended.
    """

    def __init__(self, place: Path, command: Sequence[str]) -> None:
        self._place, self._log = place, place / LOG
        guard = [sys.executable, "-I", scene_guard.__file__, str(GRACE), *command]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                guard,
                cwd=place,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,
            )
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PGRP, self._process.pid, NICENESS)
        self._stopped: float | None = None

    @property
    def status(self) -> int | None:
        return self._process.returncode

    def ended(self, *, timeout: float) -> bool:
        """Wait for the end, at most so many seconds; True once it has come."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._process.stdin.close()
        return True

    def stop(self) -> None:
        """Ask the command to stop; asked again after GRACE seconds, make it."""
        if self._stopped is None:
            self._stopped = time.monotonic()
            self._signal(signal.SIGTERM)
        elif time.monotonic() - self._stopped > GRACE:
            self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End the command at once."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()

    def message(self, said: Mapping[str, Any]) -> str:
        """Why it failed, in the command's own words, without any path of this server."""
        if said.get("message"):
            return self._plain(str(said["message"]))
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        ours = [line.removeprefix("ldsr: ") for line in lines if line.startswith("ldsr: ")]
        if not ours:
            _log.error("a scene job ended without a word:\n%s", "\n".join(lines[-40:]))
        return self._plain(ours[-1]) if ours else UNSAID

    def _plain(self, text: str) -> str:
        folders = [self._place / "input", self._place, self._place.parent]
        return plain(text, [*folders, home(), ROOT, Path.home()])

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Figures:
    """Seconds per window that jobs took on this server, by their cost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def note(self, cost: str, said: Mapping[str, Any]) -> None:
        """Keep the pace that a command reports at its end."""
        rate = said.get("rate")
        if not isinstance(rate, int | float) or not math.isfinite(rate) or rate <= 0:
            return
        with self._lock, contextlib.suppress(OSError):  # a figure less, and no job is the worse
            write_whole(self._path, json.dumps(self._read() | {cost: 1 / rate}))

    def seconds(self, cost: str) -> float | None:
        """Seconds per window of that cost, None where there was none."""
        return self._read().get(cost)

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _environment() -> dict[str, str]:
    """The server's own; its packages are found, and nothing in the job's folder is imported."""
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    absolute = os.pathsep.join(str(Path(path).resolve()) for path in paths)
    return os.environ | {
        "PYTHONPATH": absolute,
        "PYTHONSAFEPATH": "1",
        "LDSR_HOME": str(home().resolve()),
    }
