"""Draws the samples that reliability is judged on, and keeps what was found: reliability.json for
the next run, reliability.csv to read.
"""

import csv
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluation.calibration import Ensemble, draw, draw_all, fit, split_places
from evaluation.methods import ours
from evaluation.pairs import Case, digest
from evaluation.reliability.places import judge_places
from evaluation.reliability.scores import assess
from evaluation.runs import Progress
from ldsr.appearing import appearing
from ldsr.calibration import find_calibration
from ldsr.pipeline import Pipeline
from ldsr.result import Calibration
from ldsr.settings import Settings

VERSION = 3
"""Of what a score means; a new one makes every result anew."""
KEPT, TABLE = "reliability.json", "reliability.csv"


def judge_reliability(
    cases: Sequence[Case],
    pipeline: Pipeline,
    wanted: Sequence[tuple[str, Settings]],
    *,
    samples: int,
    folder: Path,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    calibrations: Path | None = None,
) -> dict[str, dict]:
    """Score the uncertainty of several methods, where KEPT does not hold it yet.

    Args:
        cases: pairs of enough places for two halves.
        pipeline: the product's own.
        wanted: name and settings of each method.
        samples: of each case.
        folder: of the report.
        on_progress: told after each case.
        calibrations: file of them; by default what ships.

    Returns:
        What `assess` found, by name.

    Raises:
        MetricError: so few places that they have no halves.
        WeightsError: weights that are not here.
    """
    split_places(cases)
    kept, results = _read(folder / KEPT), {}
    data = [digest(case.lr, case.hr) for case in cases]
    for label, settings in wanted:
        _, origin = draw(pipeline, cases[0], settings, 2)
        found, reason = find_calibration(
            origin.settings, list(origin.weights.values()), samples=samples, path=calibrations
        )
        identity = ours(label, pipeline, dataclasses.replace(settings, samples=0)).identity_text
        of = (str(VERSION), str(samples), identity, _text(found), reason, *data)
        key = hashlib.sha256("\n".join(of).encode()).hexdigest()
        if key not in kept:
            ticks = Ticks(f"samples of {label}", on_progress)
            ensembles, _ = draw_all(pipeline, cases, settings, samples, ticks)
            first, second = halves(ensembles, found)
            held_out = {e.name for e in second}
            places = [case for case in cases if case.name in held_out]
            kept[key] = assess(first, second, found or _own(first, samples, reason)) | {
                "check_here": judge_places(pipeline, places, settings, samples)
            }
            _write(kept, folder / KEPT)
        results[label] = kept[key]
    _write_table(results, folder / TABLE)
    return results


def halves(
    ensembles: Sequence[Ensemble], found: Calibration | None
) -> tuple[list[Ensemble], list[Ensemble]]:
    """What trivial predictors may be fitted on, and what all are judged on.

    Nothing is judged on a place that the calibration was fitted on.
    """
    fitted = set() if found is None else set(found.places)
    first = [e for e in ensembles if e.group in fitted]
    second = [e for e in ensembles if e.group not in fitted]
    return (first, second) if first and second else split_places(ensembles)


class Ticks:
    """Counts the cases of one task, and says how long the rest will take."""

    def __init__(self, label: str, on_progress: Callable[[Progress], None]) -> None:
        self._label, self._tell, self._begun = label, on_progress, time.perf_counter()

    def __call__(self, done: int, total: int, name: str) -> None:
        """Tell of one more case."""
        left = (time.perf_counter() - self._begun) / done * (total - done)
        self._tell(Progress(done, total, left, self._label, name))


def _own(first: Sequence[Ensemble], samples: int, reason: str) -> Calibration:
    """A calibration for this report alone, where none ships."""
    places = len({e.group for e in first})
    data = f"fitted for this report on {len(first)} tiles of {places} places, because {reason}."
    return fit(first, (samples,), name="this report", data=data)


def _text(found: Calibration | None) -> str:
    return "" if found is None else json.dumps(dataclasses.asdict(found), sort_keys=True)


def _read(path: Path) -> dict[str, dict]:
    """Results that were kept, by a hash of settings, weights, calibration and pixels."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content["results"]) if content["version"] == VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # another file, or none: all is computed again


def _write(results: Mapping[str, dict], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as part:
        part.write_text(json.dumps({"version": VERSION, "results": results}), encoding="utf-8")


def _write_table(results: Mapping[str, dict], path: Path) -> None:
    """Every number, one a line; complete or not at all."""
    with appearing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        names = ("method", "samples", "target", "error", "band", "predictor", "score", "value")
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for label, found in results.items():
            for row in (*found["rows"], *_further(found)):
                number = f"{row['value']:.6g}"
                writer.writerow(
                    {"method": label, "samples": found["samples"], **row, "value": number}
                )


def _further(found: Mapping) -> list[dict]:
    """Nominal coverages, and gains against other predictors, as rows."""
    where = {"target": "pixel", "error": "mean", "band": "all"}
    rows = [
        where | {"predictor": "samples", "score": f"nominal_mean_{float(z):g}_std", "value": value}
        for z, value in found["nominal"].items()
    ]
    for name, value in found["check_here"].items():
        row = {"target": "pixel", "error": "picture", "band": "all", "predictor": "check here"}
        rows.append(row | {"score": name, "value": value})
    for name, values in found["gains"].items():
        for end, value in zip(("", "_low", "_high"), values, strict=True):
            score = f"interval_score_0.9_gain_of_calibrated{end}"
            rows.append(where | {"predictor": name, "score": score, "value": value})
    return rows
