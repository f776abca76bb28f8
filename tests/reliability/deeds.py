"""What goes on at a server when it is killed, and what must be true of it afterwards.

A deed begins in threads or processes of its own, goes on until the server has gone, and is looked
at once it is back.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import requests
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from ldsr.web.evaluate.leaderboard import Board
from ldsr.web.scenes.records import Records, Wish
from tests.reliability.caller import PATIENCE, Caller
from tests.reliability.judge import ROOT
from tests.reliability.server import Server

HELD = 1001
"""Seed with which the stand-in holds a run in stage 1."""
RUN = {"sample": "austria_fields", "preset": "fast"}


class Deed(Protocol):
    """Something that goes on while the server is killed."""

    def begin(self, server: Server) -> None:
        """Begin; returns once it is going on."""

    def check(self, server: Server) -> list[str]:
        """Say what is wrong now that the server is back, a line each."""


class Downloads:
    """Results are written as GeoTIFF and fetched, again and again."""

    def __init__(self, readers: int = 2) -> None:
        self._readers = readers
        self._address = ""
        self._broken: list[str] = []
        self._threads: list[threading.Thread] = []
        self.whole = 0

    def begin(self, server: Server) -> None:
        self._address = Caller(server.url).open()
        before = self.whole
        self._threads = in_threads(self._fetch, self._readers)
        wait_until(lambda: self.whole > before, "no file was fetched")

    def _fetch(self) -> None:
        while True:
            try:
                answer = requests.get(self._address, timeout=PATIENCE)
            except requests.RequestException:
                return  # cut off, and the one who asked knows
            if answer.status_code != 200:
                return
            self._broken += look_at(answer.content, "a file fetched as the server was killed")
            self.whole += 1

    def check(self, server: Server) -> list[str]:
        join(self._threads)
        found, self._broken = self._broken, []
        answer = requests.get(self._address, timeout=PATIENCE)
        if answer.status_code != 404 or not answer.text.strip().endswith("."):
            found.append(f"a result of the server before: {answer.status_code}")
        after = requests.get(Caller(server.url).open(), timeout=PATIENCE)
        found += look_at(after.content, "a file fetched after the restart")
        left = [path.name for path in server.temporary.iterdir() if path.name != "gradio"]
        return found + [f"left in the temporary folder: {name}" for name in left]


class Runs:
    """A run is computed for a program; with a stand-in it is held there.

    Args:
        held: whether the model is a stand-in.
    """

    def __init__(self, *, held: bool) -> None:
        more = {"base": "ldsr", "steps": 8, "seed": HELD} if held else {"preset": "balanced"}
        self._wish = RUN | more
        self._threads: list[threading.Thread] = []
        self._answered: list[str] = []

    def begin(self, server: Server) -> None:
        caller = Caller(server.url)
        self._threads = in_threads(lambda: self._run(caller), 1)
        wait_until(lambda: server.gauge("ldsr_runs_running") > 0, "no run began")

    def _run(self, caller: Caller) -> None:
        try:
            found = look_at(caller.super_resolve(**self._wish), "a run's file")
        except (requests.RequestException, ValueError):
            return  # cut off, and the one who asked knows
        self._answered += found

    def check(self, server: Server) -> list[str]:
        join(self._threads)
        found, self._answered = self._answered, []
        return found + look_at(Caller(server.url).super_resolve(**RUN), "a run after the restart")


class Evaluations:
    """Runs of the benchmark are saved into the server's folder by a process that is killed, too."""

    CODE = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from ldsr.web.evaluate.leaderboard import Board\n"
        "from tests.test_leaderboard import _run\n"
        "board, number = Board(Path(sys.argv[1])), 0\n"
        "while True:\n"
        "    number += 1\n"
        "    board.save(_run(number % 20))\n"
        "    print(number, flush=True)\n"
    )

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def begin(self, server: Server) -> None:
        command = [sys.executable, "-c", self.CODE, str(server.home / "evaluations")]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        self._process.stdout.readline()
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def end(self) -> None:
        """Kill the process, as it was killed with the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)

    def check(self, server: Server) -> list[str]:
        self.end()
        folder = server.home / "evaluations"
        found = []
        for path in folder.glob("*.json"):
            try:
                json.loads(path.read_text())
            except ValueError:
                found.append(f"a saved run is broken: {path.name}")
        runs = Board(folder).runs()
        if len(runs) != len(list(folder.glob("*.json"))) or not runs:
            found.append("a saved run cannot be read")
        for run in runs[:3]:
            answer = requests.get(f"{server.url}ldsr/b/{run['id']}.json", timeout=PATIENCE)
            if answer.status_code != 200 or answer.json()["id"] != run["id"]:
                found.append(f"a saved run is not served: {answer.status_code}")
        return found


class SceneJob:
    """A scene job runs (with the stand-in's command): it is cut off, and goes on when asked to."""

    def __init__(self) -> None:
        self._id = self._key = ""

    def begin(self, server: Server) -> None:
        """Put a job in; a server that starts runs what waits, so it must not run yet."""
        wish = Wish(
            name="field.tif",
            scene="input/field.tif",
            files={"field.tif": b"pixels"},
            size=(1100, 1040),
            windows=4,
            options=["--weights=mini"],
            cost="cheap",
            bytes=10**6,
            about={"settings": "base ldsr"},
        )
        (server.home / "gate").write_text("2")
        records = Records(server.home / "jobs")
        with records.changing():
            record = records.make(wish, time.time())
        self._id, self._key = record.id, record.key

    def wait(self, server: Server) -> None:
        """Wait until half of it is done."""
        wait_until(lambda: self._look(server).get("done") == 2, "the scene job does not run")

    def check(self, server: Server) -> list[str]:
        found = []
        job = self._look(server)
        if job.get("state") != "stopped" or "server was stopped" not in job.get("message", ""):
            found.append(f"a scene job that was cut off is {job.get('state')}")
        name = "field_sr.tif"
        address = f"{server.url}ldsr/jobs/{self._id}/{name}"
        if requests.get(address, timeout=PATIENCE).status_code != 404:
            found.append("an unfinished scene is served")
        (server.home / "gate").write_text("4")
        asked = {"ask": "go_on", "id": self._id, "key": self._key}
        Caller(server.url).ask("scenes", "scene_job", asked)
        wait_until(lambda: self._look(server).get("state") == "done", "a scene job does not go on")
        found += look_at(requests.get(address, timeout=PATIENCE).content, "a scene")
        Caller(server.url).ask("scenes", "scene_job", asked | {"ask": "discard"})
        return found

    def _look(self, server: Server) -> dict:
        address = f"{server.url}ldsr/jobs.json?id={self._id}"
        return requests.get(address, timeout=PATIENCE).json()["jobs"][self._id] or {}


def look_at(content: bytes, what: str) -> list[str]:
    """Read every pixel of a GeoTIFF; says what is wrong with it."""
    try:
        with MemoryFile(content) as memory, memory.open() as file:
            values = file.read()
    except RasterioError as error:
        return [f"{what} is broken ({len(content)} bytes): {error}"]
    return [] if values.size and np.isfinite(values).any() else [f"{what} is empty"]


def in_threads(work: Callable[[], None], count: int) -> list[threading.Thread]:
    """Begin something several times at once."""
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def join(threads: list[threading.Thread]) -> None:
    """Wait for threads that end because the server has gone."""
    for thread in threads:
        thread.join(PATIENCE)


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait until something holds.

    Raises:
        RuntimeError: it does not, in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(what)
        time.sleep(0.05)
