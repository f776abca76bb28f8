"""How long the page takes from its start to its first HTML."""

import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence

from tests.benchmarks.measure import ROOT, peak_gb
from tests.benchmarks.work import Work

PAUSE = 0.02
"""Seconds between two requests."""
LIMIT = 120.0
"""Seconds after which the page is given up."""


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def time_page(command: Sequence[str], port: int, *, limit: float = LIMIT) -> dict[str, float]:
    """Start a server, ask until it answers with HTML, and stop it.

    Args:
        command: starts it at 127.0.0.1 and `port`.
        port: as in the command.
        limit: seconds to wait.

    Returns:
        "seconds" to the first HTML, and "peak_gb", its resident memory until then.

    Raises:
        RuntimeError: it ended, or gave no HTML in time.
    """
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        server = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
        try:
            while not _gives_html(f"http://127.0.0.1:{port}/"):
                if server.poll() is not None:
                    said.seek(0)
                    last = said.read().decode(errors="replace").splitlines()[-1:]
                    raise RuntimeError(f"the page ended with {server.returncode}: {last}")
                if time.perf_counter() - start > limit:
                    raise RuntimeError(f"the page gave no HTML within {limit:g} s")
                time.sleep(PAUSE)
            return {"seconds": time.perf_counter() - start, "peak_gb": peak_gb(server.pid)}
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _gives_html(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=LIMIT) as answer:
            kind = answer.headers.get_content_type()
            return kind == "text/html" and b"<html" in answer.read().lower()
    except (urllib.error.URLError, OSError):
        return False


def make_run(work: Work) -> Callable[[], tuple[None, dict]]:
    """`python app.py`, as the README says it."""

    def run() -> tuple[None, dict]:
        port = free_port()
        return None, time_page([sys.executable, "app.py", "--port", str(port)], port)

    return run
