"""The server's log: one line an event, as text for people or as JSON for machines.

Standard library only. A logging call may bring values along, `extra=ledger.fields(run=...)`.
"""

import datetime
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

KINDS = ("text", "json")
OURS = ("ldsr", "evaluation")
UVICORN = ("uvicorn", "uvicorn.error")


def set_up(kind: str = "text", stream: TextIO | None = None) -> None:
    """Send the log of this process to standard error; replaces what was set up before.

    Ours from level INFO on, that of other packages from WARNING on; uvicorn's lines about
    single requests never.

    Args:
        kind: of KINDS.
        stream: another place.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)


def take_over_uvicorn() -> None:
    """Lead the lines of a uvicorn that has started into the same log."""
    for name in UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    access = logging.getLogger("uvicorn.access")
    access.handlers.clear()
    access.propagate = False


class TextLines(logging.Formatter):
    """2026-11-21T21:00:00.000Z INFO run begins: run=3f2a9c1e size=128x128."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record; only a traceback takes more lines than one."""
        values = _fields(record).items()
        pairs = " ".join(f"{key}={_quoted(value)}" for key, value in values)
        line = f"{_time(record)} {record.levelname} {' '.join(record.getMessage().split())}"
        line += f": {pairs}" if pairs else ""
        return line + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the values."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record, its traceback as one string."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in _fields(record).items() if key not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    found = getattr(record, "fields", None)
    return found if isinstance(found, Mapping) else {}


def _time(record: logging.LogRecord) -> str:
    """When it was, in UTC, to a millisecond."""
    when = datetime.datetime.fromtimestamp(record.created or time.time(), datetime.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text and not any(sign.isspace() or sign in '"=' for sign in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
