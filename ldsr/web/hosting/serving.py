"""Serving the page until somebody stops it, and stopping so that nothing is lost.

The first SIGTERM or SIGINT closes the door: new runs are turned away, scene jobs stop as if the
server had died (they go on at the next start), the run that is computed may end. A second ends all.
"""

import atexit
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from ldsr.errors import LdsrError
from ldsr.web.hosting.logs import take_over_uvicorn
from ldsr.web.ledger import fields
from ldsr.web.studio import Studio

SECONDS_VARIABLE = "LDSR_SHUTDOWN_SECONDS"
"""Environment: seconds that a run may take to end once the server is asked to stop."""
DEFAULT_SECONDS = 60.0
LINGER = 2.0
"""Seconds in which a page fetches the pictures of the run that has just ended."""
SWEEP = 30.0
"""Seconds between two looks for what has expired."""
STUBBORN = 8.0
"""Seconds after which the process ends although something in it does not."""
_log = logging.getLogger(__name__)


def patience() -> float:
    """Seconds that the running work may take to end, of $LDSR_SHUTDOWN_SECONDS.

    Raises:
        LdsrError: no such number.
    """
    text = os.environ.get(SECONDS_VARIABLE, "").strip() or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 86400:
        raise LdsrError(f"{SECONDS_VARIABLE} is {text!r}; expected seconds, 0 or more.")
    return seconds


def listen() -> threading.Event:
    """Take SIGTERM and SIGINT from now on.

    Returns:
        What is set by the first; the second ends the process at once.
    """
    asked = threading.Event()

    def stop(number: int, _: Any) -> None:
        if asked.is_set():
            os._exit(128 + number)
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return asked


def serve(
    page: Any, studio: Studio, begin: Callable[[], None], *, seconds: float, **launch: Any
) -> NoReturn:
    """Serve the page until the process is asked to stop, then end it with status 0.

    Args:
        page: gradio.Blocks.
        studio: the server's state.
        begin: called once the page is up.
        seconds: that the running work may take to end.
        launch: options of the page's `launch`.
    """
    asked = listen()
    page.launch(prevent_thread_lock=True, **launch)
    tidy(page.server)
    begin()
    _log.info("serving")
    watch(asked, studio)
    drain(studio, seconds)
    _end_although(STUBBORN)
    page.server.config.timeout_graceful_shutdown = 1
    page.close(verbose=False)
    _log.info("stopped")
    atexit._run_exitfuncs()
    _end()


def watch(asked: threading.Event, studio: Studio, *, every: float = SWEEP) -> None:
    """Let go of what has expired now and then, until the process is asked to stop.

    Args:
        asked: set when it is.
        studio: the server's state.
        every: seconds between two times.
    """
    due = time.monotonic() + every
    while not asked.wait(min(1.0, every)):
        if time.monotonic() < due:
            continue
        try:
            studio.sweep()
        except Exception:
            _log.exception("what has expired could not be cleared away")
        due = time.monotonic() + every


def tidy(server: Any) -> None:
    """Say nothing of the server's make in its answers, and nothing of requests in the log."""
    config = server.config
    config.server_header = False
    config.encoded_headers = [pair for pair in config.encoded_headers if pair[0] != b"server"]
    state = server.server_state
    state.default_headers = [pair for pair in state.default_headers if pair[0] != b"server"]
    take_over_uvicorn()


def drain(studio: Studio, seconds: float) -> None:
    """Turn new work away, stop scene jobs, and let what runs end; then make it."""
    ledger = studio.ledger
    ledger.close()
    running = ledger.running
    _log.info("stopping", extra=fields(running=running, seconds=seconds))
    scenes = threading.Thread(target=studio.scene_jobs.close, name="ldsr-closing", daemon=True)
    scenes.start()
    end = time.monotonic() + seconds
    while ledger.running and time.monotonic() < end:
        time.sleep(0.05)
    if ledger.running:
        _log.warning("a run did not end in time and is cut off")
        ledger.cancel()
    elif running:
        time.sleep(LINGER)
    scenes.join(5.0)


def _end_although(seconds: float) -> None:
    """End the process after some seconds, whatever still holds it."""

    timer = threading.Timer(seconds, _end)
    timer.daemon = True
    timer.start()


def _end() -> NoReturn:
    """End the process without taking it apart, which costs torch seconds."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)
