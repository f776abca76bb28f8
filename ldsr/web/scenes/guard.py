"""Runs one command for as long as whoever started it lives: `python scene_guard.py GRACE COMMAND`.

Standard input is the rope: when it ends, the starter is gone, however it went, and the command is
asked to stop (SIGTERM), then made to (SIGKILL). Two guards never work in one folder at a time.
Standard library only; run as a file, in a process group of its own, in the folder of its job.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows, where no scene job is begun
    fcntl = None

LOCK = "guard.lock"
"""Held while a guard works in a folder."""


def main(arguments: list[str]) -> int:
    """Run the command; its exit status."""
    grace, *command = arguments
    signal.signal(signal.SIGTERM, lambda *_: None)  # the command got it too: we wait for its end
    with Path(LOCK).open("w") as lock:
        gone = threading.Event()
        threading.Thread(target=_watch, args=[gone, float(grace)], daemon=True).start()
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if gone.is_set():
            return 2
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            status = process.wait()
    return status if status >= 0 else 128 - status


def _watch(gone: threading.Event, grace: float) -> None:
    """Wait for the end of standard input, then end the whole group."""
    while os.read(0, 1024):
        pass
    gone.set()
    os.killpg(0, signal.SIGTERM)
    threading.Event().wait(grace)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
