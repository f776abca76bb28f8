"""How far a long job is: a line for the terminal, and a small file for whoever watches."""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import TextIO

from ldsr.appearing import appearing
from ldsr.words import duration

QUIET = 60.0
"""Seconds between two lines where the output is no terminal."""


class Progress:
    """Counts pieces of work as they end.

    Args:
        total: pieces in all.
        done: of them, those that were done before.
        unit: what a piece is called.
        file: JSON of the state, replaced whole: state, done, failed, windows, seconds, rate
            (pieces a second), left (seconds), message. None: there is none, but somebody may still
            set `file`.
        stream: where lines go.
    """

    def __init__(
        self,
        total: int = 0,
        *,
        unit: str = "window",
        file: Path | None = None,
        stream: TextIO | None = None,
    ) -> None:
        self.total = total
        self.done = self.failed = self._before = 0
        self._unit, self.file = unit, file
        self._stream = stream or sys.stderr
        self._began = time.monotonic()
        self._said = -QUIET
        self._open_line = False
        self.state = "starting"
        self.write()

    def begin(self, total: int, *, done: int = 0) -> None:
        """Know how much there is to do, and how much of it was done before."""
        self.total, self.done, self._before = total, done, done
        self._began = time.monotonic()
        self.enter("computing")

    def enter(self, state: str, message: str = "") -> None:
        """Be in another state: "computing", "writing", or one of `end`."""
        self.state = state
        self.write(message)
        if state == "writing":
            self._say("writing the file", always=True)

    def step(self, *, failed: bool = False, free: bool = False) -> None:
        """One more piece has ended; one that cost nothing does not count for the rate."""
        self.done += not failed
        self._before += free
        self.failed += failed
        self.write()
        rate, left = self.rate, self.left
        text = f"{self.done} of {self.total} {self._unit}s"
        if self.failed:
            text += f", {self.failed} failed"
        if rate is not None:
            text += f"; {_number(60 * rate)} a minute, {duration(left)} left"
        self._say(text, always=self.done + self.failed == self.total)

    def end(self, state: str, message: str = "") -> None:
        """Be "done", "failed" or "stopped"; what is printed next begins on a line of its own."""
        if self._open_line:
            self._stream.write("\n")
            self._stream.flush()
        self._open_line = False
        self.enter(state, message)

    @property
    def rate(self) -> float | None:
        """Pieces a second, of those done now; None before the first."""
        now = self.done - self._before
        return now / max(time.monotonic() - self._began, 1e-9) if now else None

    @property
    def left(self) -> float | None:
        """Seconds that the rest takes at this rate."""
        rest = self.total - self.done - self.failed
        return None if self.rate is None else rest / self.rate

    def write(self, message: str = "") -> None:
        """Write the state into the file, if there is one."""
        if self.file is None:
            return
        state = {
            "state": self.state,
            "done": self.done,
            "failed": self.failed,
            "windows": self.total,
            "seconds": round(time.monotonic() - self._began, 1),
            "rate": self.rate,
            "left": self.left,
            "message": message,
        }
        # a full disk is the work's to tell
        with contextlib.suppress(OSError), appearing(self.file) as unfinished:
            unfinished.write_text(json.dumps(state), encoding="utf-8")

    def _say(self, text: str, *, always: bool) -> None:
        if self._stream.isatty():
            self._stream.write(f"\r\x1b[2K{text}")
            self._open_line = True
        elif always or time.monotonic() - self._said >= QUIET:
            self._stream.write(f"{text}\n")
            self._said = time.monotonic()
        self._stream.flush()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
