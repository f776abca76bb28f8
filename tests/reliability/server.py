"""A server in a process of its own that can be watched, killed and started again in its place."""

import contextlib
import dataclasses
import datetime
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.reliability.judge import ROOT
from tests.reliability.served import NOWHERE, START

REAL = ("app.py", "--log", "json")
STAND_IN = ("tests/browser/stand_in.py", "--log", "json")
"""The page with its model, and the page around a stand-in that needs no time."""


@dataclasses.dataclass(frozen=True)
class Ran:
    """A run, as the server's log tells of it: seconds since 1970, infinite where it has not ended.

    Attributes:
        id, kind, outcome: as `ldsr.web.ledger` has them.
        began, ended: when.
    """

    id: str
    kind: str
    began: float
    ended: float
    outcome: str


class Server:
    """The page on one port, over one folder.

    Args:
        folder: for all it writes: its home, its temporary files, its log.
        script: REAL or STAND_IN.
        env: what it is told besides.
        port: of the page; any that is free by default.

    Attributes:
        url: of the page.
        home, temporary: its folders.
    """

    def __init__(
        self,
        folder: Path,
        script: Sequence[str] = REAL,
        *,
        env: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.home, self.temporary = folder / "home", folder / "temporary"
        for place in (self.home, self.temporary):
            place.mkdir(parents=True, exist_ok=True)
        self._log = folder / "server.log"
        self._command = [sys.executable, *script, "--port", str(self.port)]
        told = {"LDSR_HOME": str(self.home), "GRADIO_TEMP_DIR": str(self.temporary / "gradio")}
        self._env = os.environ | NOWHERE | told | {"TMPDIR": str(self.temporary)} | (env or {})
        self._process: subprocess.Popen | None = None
        self._read = 0

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, or start it again, and wait until its model is loaded.

        Raises:
            RuntimeError: it does not start.
        """
        self._read = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("a") as sink:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._env, stdout=sink, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + START
        while self.health() != "ok":
            if not self.alive or time.monotonic() > end:
                raise RuntimeError(f"the server did not start:\n{self.log()}")
            time.sleep(0.1)

    def health(self) -> str:
        """What /healthz says; "" where nobody answers."""
        try:
            return requests.get(f"{self.url}healthz", timeout=5).json()["status"]
        except (requests.RequestException, ValueError, KeyError):
            return ""

    def kill(self) -> None:
        """Kill it as an accident does: no handler runs, nothing is written to the end."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)

    def stop(self) -> None:
        """Ask it to stop; make it where it does not."""
        if not self.alive:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout=90)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=30)

    def memory(self) -> int:
        """Bytes that it has in memory."""
        text = Path(f"/proc/{self._process.pid}/statm").read_text()
        return os.sysconf("SC_PAGE_SIZE") * int(text.split()[1])

    def gauge(self, name: str) -> float:
        """A number of /metrics; 0 where it is not there."""
        text = requests.get(f"{self.url}metrics", timeout=10).text
        found = [line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(found[0]) if found else 0.0

    def log(self, *, all_of_it: bool = False) -> str:
        """What it has written since it was started last, or ever."""
        with self._log.open("rb") as file:
            file.seek(0 if all_of_it else self._read)
            return file.read().decode(errors="replace")

    def faults(self) -> list[str]:
        """Tracebacks in all of its log, each by its last line."""
        found = []
        for line in self.log(all_of_it=True).splitlines():
            with contextlib.suppress(ValueError, TypeError):
                said = json.loads(line)
                if "exception" in said:
                    last = said["exception"].splitlines()[-1]
                    found.append(f"{said['message']}: {last}"[:300])
                continue
            if line.startswith("Traceback"):
                found.append(line)
        return found

    def runs(self) -> list[Ran]:
        """All runs that began since it was started last."""
        found: dict[str, Ran] = {}
        for said in _events(self.log()):
            if said["message"] == "run begins":
                at = _seconds(said["time"])
                found[said["run"]] = Ran(said["run"], said["kind"], at, float("inf"), "")
            elif said["message"] == "run ends" and said["run"] in found:
                ended = {"ended": _seconds(said["time"]), "outcome": said["outcome"]}
                found[said["run"]] = dataclasses.replace(found[said["run"]], **ended)
        return list(found.values())


@contextlib.contextmanager
def serving(folder: Path, script: Sequence[str] = REAL, **more: Any) -> Iterator[Server]:
    """Start a server, and see to it that it has ended when the context does."""
    server = Server(folder, script, **more)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _events(text: str) -> Iterator[dict[str, Any]]:
    """The lines of a log that tell of runs."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError, TypeError, KeyError):
            said = json.loads(line)
            if "run" in said and "kind" in said and said["message"].startswith("run "):
                yield said


def _seconds(when: str) -> float:
    return datetime.datetime.fromisoformat(when).timestamp()
