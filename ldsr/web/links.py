"""Settings in the address of the page: written by "Copy link", read when the page opens."""

import contextlib
import dataclasses
import urllib.parse
from collections.abc import Mapping
from typing import Any

from ldsr.settings import PRESETS, Settings

DEFAULTS = dataclasses.asdict(PRESETS["balanced"])
BOOLEANS = {"1": True, "true": True, "0": False, "false": False}


def share_query(settings: Settings, sample: str | None) -> str:
    """Write settings (and the sample) as a URL query that `from_query` reads."""
    pairs = {} if sample is None else {"sample": sample}
    for name, value in dataclasses.asdict(settings).items():
        if value is not None:
            pairs[name] = int(value) if isinstance(value, bool) else value
    return "?" + urllib.parse.urlencode(pairs)


def from_query(query: Mapping[str, str]) -> Settings:
    """Read settings from a URL query; what it does not name is as in "balanced".

    Raises:
        LdsrError: a value out of its range.
    """
    values = {name: _read(name, query[name]) for name in DEFAULTS if name in query}
    return Settings(**(DEFAULTS | values))


def asks_for_refinement(query: Mapping[str, str]) -> bool:
    """True where the address itself names the second stage, and wants it."""
    return BOOLEANS.get(query.get("refine", "").lower(), False)


def _read(name: str, text: str) -> Any:
    """A value of the field's type; text that is not stays text, which Settings refuses."""
    default = DEFAULTS[name]
    if isinstance(default, bool):
        return BOOLEANS.get(text.lower(), text)
    kind = float if name == "temperature" else type(default)
    with contextlib.suppress(ValueError):
        return kind(text)
    return text
