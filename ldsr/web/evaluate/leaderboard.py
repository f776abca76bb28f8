"""The saved runs of the small benchmark: one JSON file each, listed, replaced, and never too many.

Plain data and files; knows nothing of Gradio or of how a score is made.
"""

import csv
import hashlib
import io
import json
import logging
import math
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluation.metrics import METRICS
from evaluation.score import Score
from evaluation.statistics import estimate
from ldsr.appearing import appearing, clear_parts
from ldsr.errors import LdsrError

MOST = 200
"""Runs that are kept; the oldest go first."""
FORMAT = 1
METHODS = {
    "bicubic": "Bicubic",
    "regression": "Regression",
    "base": "Base",
    "refined": "Refined",
}
"""What a run compares, in this order, with its name on the page."""

_log = logging.getLogger(__name__)


class Board:
    """The saved runs of a folder; several may look into the same one.

    Args:
        folder: made when the first run is saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def runs(self) -> list[dict[str, Any]]:
        """Read all runs, the newest first; files that are no runs are left out."""
        found = []
        for path in self._folder.glob("*.json"):
            try:
                run = json.loads(path.read_text(encoding="utf-8"))
                check_run(run)
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
                _log.warning("%s is no saved run: %s", path, error)
                continue
            found.append(run)
        return sorted(found, key=lambda run: (run["date"], run["id"]), reverse=True)

    def find(self, key: str) -> dict[str, Any] | None:
        """The run of an id, or None when it is gone."""
        return next((run for run in self.runs() if run["id"] == key), None)

    def save(self, run: dict[str, Any]) -> None:
        """Keep a run; an older one of the same weights and settings on the same pictures goes.

        Raises:
            LdsrError: the folder cannot be written.
        """
        path = self._folder / f"{same_as(run)}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with appearing(path) as part:
                part.write_text(json.dumps(run, indent=1, allow_nan=False), encoding="utf-8")
            for old in self.runs()[MOST:]:
                (self._folder / f"{same_as(old)}.json").unlink(missing_ok=True)
            clear_parts(self._folder)
        except OSError as error:
            raise LdsrError(
                f"The run cannot be saved ({error.strerror}); check the server's folder for "
                "evaluations, under LDSR_HOME."
            ) from error


def make_run(
    scores: Mapping[str, Sequence[Sequence[Score]]],
    pictures: Sequence[Mapping[str, str]],
    *,
    sheet: Mapping[str, Any],
    protocol: Mapping[str, str],
) -> dict[str, Any]:
    """Sum up a benchmark.

    Args:
        scores: of each method, of each picture.
        pictures: name and SHA-256 of each, in the same order.
        sheet: weights and settings, as `SuperResolution.run_sheet` writes them.
        protocol: key and description of how the truth was come by.
    """
    names = [picture["name"] for picture in pictures]
    return {
        "format": FORMAT,
        "id": secrets.token_urlsafe(12),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "weights": dict(sheet["weights"]),
        "settings": dict(sheet["settings"]),
        "protocol": dict(protocol),
        "patches": len(pictures),
        "pictures": [dict(picture) for picture in pictures],
        "methods": [method for method in METHODS if method in scores],
        "scores": {
            method: _summed(scores[method], names) for method in METHODS if method in scores
        },
        "provenance": _provenance(scores),
    }


def same_as(run: Mapping[str, Any]) -> str:
    """Name what a run is of: equal for the same weights, settings, pictures and protocol."""
    weights = {key: run["weights"][key] for key in ("name", "sha256", "files")}
    hashes = [picture["sha256"] for picture in run["pictures"]]
    of = [weights, run["settings"], hashes, run["protocol"]["key"], run["methods"]]
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:32]


def check_run(run: Any) -> None:
    """Refuse what is no saved run.

    Raises:
        ValueError: with what is wrong; TypeError, KeyError and AttributeError of other things.
    """
    if run["format"] != FORMAT:
        raise ValueError("another format")
    datetime.fromisoformat(run["date"])
    if not (isinstance(run["id"], str) and run["id"] and isinstance(run["patches"], int)):
        raise ValueError("no id")
    same_as(run)
    about = (run["settings"], run["provenance"], run["protocol"])
    if not all(isinstance(part, dict) for part in about):
        raise ValueError("no settings, provenance or protocol")
    if not all(isinstance(run["protocol"][key], str) for key in ("title", "description")):
        raise ValueError("no protocol")
    names = [picture["name"] for picture in run["pictures"]]
    for method in run["methods"]:
        for found in run["scores"][method].values():
            numbers = [found["mean"], found["low"], found["high"], *found["values"]]
            if not all(isinstance(number, float | int | None) for number in numbers):
                raise ValueError("a score that is no number")
            if len(found["values"]) != len(names):
                raise ValueError("another number of pictures")


def to_csv(run: Mapping[str, Any]) -> str:
    """Write a run as CSV: a line for each method, metric and picture, and one for the mean."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(
        ["method", "metric", "better", "picture", "value", "low", "high", "date", "protocol"]
        + ["weights", "weights_sha256", "settings", "provenance"]
    )
    files = run["weights"]
    about = [run["date"], run["protocol"]["key"], files["name"], files["sha256"]]
    settings = json.dumps(run["settings"], sort_keys=True)
    for method in run["methods"]:
        for name, found in run["scores"][method].items():
            made = "; ".join(f"{k}: {v}" for k, v in run["provenance"].get(name, {}).items())
            rest = [*about, settings, made]
            better = METRICS[name].better if name in METRICS else ""
            head = [method, name, better]
            writer.writerow([*head, "mean", found["mean"], found["low"], found["high"], *rest])
            for picture, value in zip(run["pictures"], found["values"], strict=True):
                writer.writerow([*head, plain(picture["name"]), value, "", "", *rest])
    return sink.getvalue()


def plain(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _summed(found: Sequence[Sequence[Score]], names: Sequence[str]) -> dict[str, Any]:
    """Mean, 95 % interval and single values of each metric that any picture has."""
    table: dict[str, Any] = {}
    for column in zip(*found, strict=True):
        values = [math.nan if score.value is None else score.value for score in column]
        if not any(map(math.isfinite, values)):
            continue
        mean = estimate(values, names)
        table[column[0].metric.name] = {
            "mean": _finite(mean.mean),
            "low": _finite(mean.low),
            "high": _finite(mean.high),
            "count": mean.count,
            "values": [_finite(value) for value in values],
        }
    return table


def _provenance(scores: Mapping[str, Sequence[Sequence[Score]]]) -> dict[str, dict[str, str]]:
    """How each metric was made; what differs from picture to picture is left out."""
    everything = [score for found in scores.values() for column in found for score in column]
    table: dict[str, dict[str, str]] = {}
    for score in everything:
        if score.value is not None:
            before = table.setdefault(score.metric.name, dict(score.provenance))
            for name in [n for n, text in before.items() if score.provenance.get(n) != text]:
                del before[name]
    return table


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
