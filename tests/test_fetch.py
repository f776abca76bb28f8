"""Fetching weights from a small server here that can fail in every way."""

import dataclasses
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldsr import weights
from ldsr.__main__ import main
from ldsr.errors import WeightsError
from ldsr.manifest import Weights
from ldsr.weights import describe, fetch, find_weights, state, verify

CONTENT = bytes(range(256)) * 2000
HALF = len(CONTENT) // 2


class Server(ThreadingHTTPServer):
    """Serves CONTENT under any path, with one fault at a time.

    Attributes:
        ranges: the header Range of every request so far, None where there was none.
        fault: what goes wrong, see Handler.
        wait: a stalled answer ends when this is set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges: list[str | None] = []
        self.fault: str | int = ""
        self.wait = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """Answers one request as the server's fault says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Keep the tests quiet."""

    def do_GET(self) -> None:
        """Send the file, or the rest of it, or what the fault makes of it."""
        self.close_connection = True
        asked, fault, content = self.headers["Range"], self.server.fault, self.server.content
        self.server.ranges.append(asked)
        if isinstance(fault, int):
            self.send(fault, b"")
        elif fault == "no such rest" and asked:
            self.send(416, b"")
        elif asked and fault != "no ranges":
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            start -= 1 if fault == "another range" else 0
            where = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send(206, content[start:], {"Content-Range": where})
        else:
            self.send(200, content)

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send an answer, which a fault may end halfway."""
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if self.server.fault == "no length, cut":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % HALF + body[:HALF] + b"\r\n")
            return
        if self.server.fault != "no length, closed":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        halfway = self.server.fault in ("cut", "stalled", "no length, closed")
        self.wfile.write(body[:HALF] if halfway else body)
        if self.server.fault == "stalled":
            self.wfile.flush()
            self.server.wait.wait(60)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.wait.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def entry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """One file called thing, which the server has and the manifest knows all about."""
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    entry = Weights(
        name="thing",
        file="thing.bin",
        purpose="testing",
        url=f"http://127.0.0.1:{server.server_port}/thing",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
        licence="none",
        citation="none",
    )
    monkeypatch.setattr(weights, "WEIGHTS", {"thing": entry})
    return entry


@pytest.fixture
def unpublished(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """The same file, of which nobody has published the size and the hash."""
    entry = dataclasses.replace(entry, sha256=None, bytes=None)
    monkeypatch.setattr(weights, "WEIGHTS", {"thing": entry})
    return entry


def part_of(entry: Weights) -> Path:
    return entry.path.with_name("thing.bin.part")


def begin(entry: Weights, content: bytes) -> None:
    """Leave the first bytes of a download behind."""
    part_of(entry).parent.mkdir(parents=True, exist_ok=True)
    part_of(entry).write_bytes(content)


def folder_of(entry: Weights) -> list[str]:
    return sorted(path.name for path in entry.path.parent.glob("*"))


def test_fetch_puts_the_file_in_place_once(entry: Weights, server: Server) -> None:
    assert state("thing") == "not here" and verify("thing") == ("not here", None)
    told = []
    assert fetch("thing", progress=lambda *at: told.append(at)) == (entry.path, entry.sha256)
    assert entry.path.read_bytes() == CONTENT and folder_of(entry) == ["thing.bin"]
    assert state("thing") == "here" and verify("thing") == ("right", entry.sha256)
    assert told == sorted(told) and told[-1] == (len(CONTENT), len(CONTENT))
    assert fetch("thing") == find_weights("thing") == (entry.path, entry.sha256)
    assert server.ranges == [None], "what is here is not fetched again"


@pytest.mark.parametrize("fault", ["cut", "stalled", "no length, closed"])
def test_what_was_cut_goes_on(
    fault: str, entry: Weights, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.fault = fault
    if fault == "stalled":
        monkeypatch.setattr(weights, "TIMEOUT", (10.0, 0.3))
    with pytest.raises(WeightsError, match="stopped after .* the same command goes on") as error:
        fetch("thing")
    assert "\n" not in str(error.value)
    assert folder_of(entry) == ["thing.bin.part"]
    have = part_of(entry).stat().st_size
    assert 0 < have <= HALF and CONTENT.startswith(part_of(entry).read_bytes())
    server.fault = ""
    fetch("thing")
    assert server.ranges == [None, f"bytes={have}-"]
    assert entry.path.read_bytes() == CONTENT and folder_of(entry) == ["thing.bin"]


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        ("no ranges", ["bytes=1000-"]),
        ("no such rest", ["bytes=1000-", None]),
        ("another range", ["bytes=1000-", None]),
    ],
)
def test_a_server_without_the_rest_sends_the_whole(
    fault: str, requests: list, entry: Weights, server: Server
) -> None:
    begin(entry, CONTENT[:1000])
    server.fault = fault
    fetch("thing")
    assert entry.path.read_bytes() == CONTENT and server.ranges == requests


def test_a_whole_part_is_checked_and_not_asked_for(entry: Weights, server: Server) -> None:
    begin(entry, CONTENT)
    fetch("thing")
    assert entry.path.read_bytes() == CONTENT and server.ranges == []


def test_a_part_that_is_too_long_is_begun_anew(entry: Weights, server: Server) -> None:
    begin(entry, CONTENT + b"more")
    fetch("thing")
    assert entry.path.read_bytes() == CONTENT and server.ranges == [None]


def test_a_wrong_hash_keeps_nothing(entry: Weights, server: Server) -> None:
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsError, match="not kept"):
        fetch("thing")
    assert folder_of(entry) == []


def test_a_part_of_another_file_does_no_lasting_harm(entry: Weights, server: Server) -> None:
    begin(entry, b"!" * 1000)
    with pytest.raises(WeightsError, match="not kept"):
        fetch("thing")
    fetch("thing")
    assert server.ranges == ["bytes=1000-", None] and entry.path.read_bytes() == CONTENT


def test_a_damaged_file_is_fetched_again_and_kept_until_then(
    entry: Weights, server: Server
) -> None:
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"damaged")
    assert state("thing") == "damaged" and verify("thing")[0] == "wrong"
    with pytest.raises(WeightsError, match="damaged or another version"):
        find_weights("thing")
    server.fault = 503
    with pytest.raises(WeightsError):
        fetch("thing")
    assert entry.path.read_bytes() == b"damaged"
    server.fault = ""
    fetch("thing")
    assert entry.path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "no longer there"),
        (403, "refuses"),
        (416, "cannot send"),
        (503, "try again later"),
    ],
)
def test_refusals_are_one_sentence(status: int, words: str, entry: Weights, server: Server) -> None:
    server.fault = status
    with pytest.raises(WeightsError, match=words) as error:
        fetch("thing")
    assert str(status) in str(error.value) and "\n" not in str(error.value)
    assert folder_of(entry) == []


def test_another_size_is_not_even_begun(entry: Weights, server: Server) -> None:
    server.content = b"<html>Please log in to this network.</html>"
    with pytest.raises(WeightsError, match=f"offers 43 bytes .* expected {len(CONTENT)}"):
        fetch("thing")
    assert folder_of(entry) == []


def test_no_network_names_the_way_around(entry: Weights, server: Server) -> None:
    server.server_close()
    with pytest.raises(WeightsError, match="cannot be reached .* --from FOLDER") as error:
        fetch("thing")
    assert "\n" not in str(error.value)


def test_a_full_disk_is_noticed_before(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=weights.SPARE + len(CONTENT) - 1)

    monkeypatch.setattr(shutil, "disk_usage", full)
    with pytest.raises(WeightsError, match="make room"):
        fetch("thing")
    assert folder_of(entry) == []


def test_a_folder_that_cannot_be_made(entry: Weights, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(WeightsError, match="choose another by LDSR_HOME"):
        fetch("thing")


def test_the_first_hash_is_recorded_and_demanded(unpublished: Weights, server: Server) -> None:
    path, digest = fetch("thing")
    pin = json.loads((weights.home() / "pins.json").read_text())["thing"]
    assert digest == hashlib.sha256(CONTENT).hexdigest()
    assert (pin["sha256"], pin["bytes"], pin["source"]) == (digest, len(CONTENT), unpublished.url)
    assert find_weights("thing") == (path, digest) and verify("thing")[0] == "right"
    path.write_bytes(CONTENT[:-1])
    assert state("thing") == "damaged" and verify("thing")[0] == "wrong"
    with pytest.raises(WeightsError, match=f"expected {digest[:12]}"):
        find_weights("thing")
    server.content = CONTENT[:-1] + b"!"
    with pytest.raises(WeightsError, match="pins.json"):
        fetch("thing")
    server.content = CONTENT
    assert fetch("thing") == (path, digest)


def test_pieces_of_unknown_versions_are_not_put_together(
    unpublished: Weights, server: Server
) -> None:
    server.fault = "cut"
    with pytest.raises(WeightsError, match="the same command begins again"):
        fetch("thing")
    server.fault = ""
    fetch("thing")
    assert server.ranges == [None, None]


def test_a_cut_is_noticed_where_no_size_is_known(unpublished: Weights, server: Server) -> None:
    server.fault = "no length, cut"
    with pytest.raises(WeightsError, match="stopped after"):
        fetch("thing")
    assert not unpublished.path.exists() and not (weights.home() / "pins.json").exists()


def test_what_a_hash_begins_with_is_demanded(
    unpublished: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dataclasses.replace(unpublished, begins="00000000")
    monkeypatch.setattr(weights, "WEIGHTS", {"thing": wrong})
    with pytest.raises(WeightsError, match="expected 00000000"):
        fetch("thing")
    wrong.path.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="expected 00000000"):
        find_weights("thing")


def test_describe_says_what_a_page_shows_and_asks_no_server(entry: Weights, server: Server) -> None:
    shown = describe("thing")
    assert shown["size"] == "512 kB" and shown["licence"] == "none" and not shown["here"]
    assert shown["command"] == "python -m ldsr weights fetch thing"
    fetch("thing")
    assert describe("thing")["here"] and len(server.ranges) == 1


def test_finding_asks_no_server(entry: Weights, server: Server) -> None:
    with pytest.raises(WeightsError, match="python -m ldsr weights fetch thing"):
        find_weights("thing")
    assert server.ranges == []


def test_command_line_agrees_first(
    entry: Weights, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: False))
    assert main(["weights", "fetch", "thing"]) == 2
    said = capsys.readouterr()
    assert "--yes" in said.err and said.err.count("\n") == 1
    assert "512 kB, for testing" in said.out and "licence: none" in said.out
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["weights", "fetch", "thing"]) == 2
    assert server.ranges == []
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["weights", "fetch", "thing"]) == 0
    assert len(server.ranges) == 1 and entry.path.read_bytes() == CONTENT
    capsys.readouterr()
    assert main(["weights", "fetch", "all", "--yes"]) == 0
    assert "already here and right" in capsys.readouterr().out and len(server.ranges) == 1


def test_command_line_goes_on_after_a_failure(
    entry: Weights, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    lost = dataclasses.replace(entry, name="lost", file="lost.bin", url="http://127.0.0.1:9/lost")
    monkeypatch.setattr(weights, "WEIGHTS", {"lost": lost, "thing": entry})
    assert main(["weights", "fetch", "all", "--yes"]) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and said.err.startswith("ldsr: lost: ")
    assert entry.path.exists() and said.out.rstrip().endswith("right")


def test_command_line_stops_at_control_c(
    entry: Weights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def stop(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights, "fetch", stop)
    assert main(["weights", "fetch", "thing", "--yes"]) == 2
    assert "goes on from there" in capsys.readouterr().err


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_drawn_on_a_terminal_alone(
    terminal: bool, entry: Weights, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    assert main(["weights", "fetch", "thing", "--yes"]) == 0
    error = capsys.readouterr().err
    assert error.endswith("\rthing 100 % of 512 kB\n") if terminal else error == ""
