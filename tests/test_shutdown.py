"""Stopping the server: the run that is computed ends, nothing new begins, the status says so."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ldsr.errors import LdsrError
from ldsr.web.hosting import serving
from ldsr.web.ledger import CLOSING
from ldsr.web.studio import Studio
from tests.conftest import make_patch
from tests.fakes import closed_gate, wait_for
from tests.reverse_proxy import free_port

ROOT = Path(__file__).parent.parent
SERVER = """
import pathlib, sys, threading, time
import app
from tests.fakes import FakePipeline

class Slow(FakePipeline):
    "The first sample takes as long as the file `go` is not there."
    def _run(self, patch, settings, on_step):
        def report(step):
            on_step(step)
            while not pathlib.Path(sys.argv[1], "go").exists():
                on_step(step)
                time.sleep(0.02)
        return super()._run(patch, settings, report)

app.open_model = lambda *_, **__: (Slow(), lambda: None)
sys.exit(app.main(["--port", sys.argv[2], "--log", "json"]))
"""


class Server:
    """The page around a model that waits for a file, as a process."""

    def __init__(self, folder: Path, seconds: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "log.txt"
        given = {"LDSR_HOME": str(folder / "home"), "LDSR_SHUTDOWN_SECONDS": seconds}
        command = [sys.executable, "-c", SERVER, str(folder), str(self.port)]
        with self._log.open("w") as sink:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | given, stdout=sink, stderr=sink
            )
        wait_for(lambda: self.health() == 200)

    def health(self) -> int:
        try:
            return httpx.get(f"{self.url}/healthz").status_code
        except httpx.HTTPError:
            return 0

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def said(self, message: str) -> list[dict]:
        return [event for event in self.events() if event["message"] == message]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator:
    servers = []

    def start(seconds: str = "60") -> Server:
        servers.append(Server(tmp_path, seconds))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(10)


def test_the_running_one_ends_and_the_status_is_0(serve) -> None:
    server = serve()
    wait_for(lambda: server.said("run begins"))
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.health() == 503)
    assert httpx.get(f"{server.url}/healthz").json()["status"] == "stopping"
    assert server.process.poll() is None and not server.said("run ends")
    (server.folder / "go").touch()
    assert server.process.wait(30) == 0
    ended = server.said("run ends")
    assert [event["outcome"] for event in ended] == ["finished"]
    assert [event["message"] for event in server.events()][-1] == "stopped"
    assert "Traceback" not in server._log.read_text()


def test_whoever_takes_too_long_is_cut_off(serve) -> None:
    server = serve("0.5")
    wait_for(lambda: server.said("run begins"))
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    assert server.said("a run did not end in time and is cut off")


def test_a_second_signal_ends_at_once(serve) -> None:
    server = serve()
    wait_for(lambda: server.said("run begins"))
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.said("stopping"))
    before = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 128 + signal.SIGTERM
    assert time.monotonic() - before < 3


def test_draining_turns_new_runs_away_and_stops_scene_jobs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    monkeypatch.setattr(serving, "LINGER", 0.0)
    pipeline = closed_gate()
    studio = Studio(pipeline)
    _, job = studio.start("a", make_patch(), studio.preset("fast"))
    wait_for(lambda: job.state == "running")
    draining = threading.Thread(target=serving.drain, args=[studio, 30.0])
    draining.start()
    wait_for(lambda: studio.ledger.closed)
    with pytest.raises(LdsrError, match=CLOSING):
        studio.start("b", make_patch(), studio.preset("fast"))
    assert draining.is_alive()
    pipeline.gate.release(1000)
    draining.join(30)
    assert not draining.is_alive() and job.state == "done"
    assert studio.scene_jobs._closed.is_set()


def test_seconds_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serving.SECONDS_VARIABLE, raising=False)
    assert serving.patience() == 60
    monkeypatch.setenv(serving.SECONDS_VARIABLE, "2.5")
    assert serving.patience() == 2.5
    for wrong in ("-1", "soon", "nan", "inf"):
        monkeypatch.setenv(serving.SECONDS_VARIABLE, wrong)
        with pytest.raises(LdsrError, match="expected seconds"):
            serving.patience()
