"""Chromium and two servers: the page as a person starts it, and the page around a stand-in."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = Path(__file__).resolve().parents[2]
APP = os.environ.get("LDSR_APP", str(ROOT / "app.py"))
PATIENCE = int(os.environ.get("LDSR_PATIENCE", "120")) * 1000
"""Milliseconds: a slow machine is not a fault."""
NOWHERE = {
    "LDSR_STAC_URL": "http://127.0.0.1:9",
    "LDSR_GEOCODER_URL": "off",
    "LDSR_TILES_URL": "off",
}
"""Environment of a server that shall ask nobody."""
LEFT_BEHIND = ("AbortError: signal is aborted", "Connection errored out")
"""What Gradio says of its own open stream when a page is reloaded or closed."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


def _missing(what: str) -> None:
    if os.environ.get("LDSR_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{what} is missing, but LDSR_REQUIRE_BROWSER=1")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="package")
def browser() -> Iterator:
    yield from chromium()


def chromium() -> Iterator:
    """Start Chromium; stop it at the end. For a fixture of a package or a module."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _missing("playwright")
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    with sync_playwright() as play:
        try:
            started = play.chromium.launch(executable_path=found, args=FLAGS)
        except Error:
            _missing("Chromium")
        yield started
        started.close()


@pytest.fixture(scope="package")
def address(tmp_path_factory) -> Iterator[str]:
    """Start the page on a free port; stop it at the end."""
    yield from _serve([APP], tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="package")
def stand_in(tmp_path_factory) -> Iterator[str]:
    """The same page around `stand_in.py`: two stages in no time, or held until cancelled."""
    yield from _serve([str(HERE / "stand_in.py")], tmp_path_factory.mktemp("stand_in"))


@pytest.fixture(scope="package")
def base_only(tmp_path_factory) -> Iterator[str]:
    """The stand-in without a second stage."""
    command = [str(HERE / "stand_in.py"), "--base-only"]
    yield from _serve(command, tmp_path_factory.mktemp("base_only"))


def _serve(script: list[str], folder: Path, env: dict[str, str] | None = None) -> Iterator[str]:
    given = os.environ | NOWHERE | {"LDSR_HOME": str(folder / "home")} | (env or {})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    with log.open("w") as sink:
        command = [sys.executable, *script, "--port", str(port)]
        server = subprocess.Popen(
            command, cwd=ROOT, env=given, stdout=sink, stderr=subprocess.STDOUT
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for_server(server, url, log)
        yield url
        assert "Traceback" not in log.read_text()
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for_server(server: subprocess.Popen, url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the page did not start:\n" + log.read_text())


@pytest.fixture
def open_page(browser, address) -> Iterator:
    """Open pages of the real thing; see `_pages`."""
    yield from _pages(browser, address)


@pytest.fixture
def open_stand_in(browser, stand_in) -> Iterator:
    """Open pages around the stand-in; see `_pages`."""
    yield from _pages(browser, stand_in)


@pytest.fixture
def open_base_only(browser, base_only) -> Iterator:
    """Open pages around the stand-in without stage 2; see `_pages`."""
    yield from _pages(browser, base_only)


def _pages(browser, address: str) -> Iterator:
    """Open pages that must end without an error and without a request to another host."""
    contexts, wrong = [], []

    def note(text: str, expected: str) -> None:
        if not any(known in text for known in (*LEFT_BEHIND, expected)):
            wrong.append(text)

    def open_one(
        query: str = "",
        *,
        width: int = 1440,
        height: int = 900,
        scheme: str = "light",
        expected: str = LEFT_BEHIND[0],
    ):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: line.type == "error" and note(line.text, expected))
        page.on("pageerror", lambda error: note(str(error), expected))
        page.on("request", lambda sent: _is_foreign(sent.url, address) and wrong.append(sent.url))
        page.goto(address + query)
        page.wait_for_selector("#viewer .viewer")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def _is_foreign(url: str, address: str) -> bool:
    return url.startswith(("http", "ws")) and not url.startswith(
        (address, address.replace("http", "ws"))
    )
