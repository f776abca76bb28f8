"""From a preset to its entry in a file of calibrations, as `ldsr.calibration` reads them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.calibration import Measured, OnCase, Origin, calibrate, draw_all, split_places
from evaluation.pairs import Dataset
from ldsr import calibration
from ldsr.appearing import appearing
from ldsr.errors import MetricError
from ldsr.pipeline import Pipeline
from ldsr.settings import MAX_SAMPLES, Settings


def calibrate_preset(
    pipeline: Pipeline,
    dataset: Dataset,
    name: str,
    settings: Settings,
    *,
    on_case: OnCase = lambda done, total, case: None,
) -> dict:
    """Draw, fit and measure one preset: its entry for a file of calibrations.

    Raises:
        MetricError: too few places.
        WeightsError: weights that are not here.
    """
    split_places(dataset.cases)  # said before anything is drawn
    ensembles, origin = draw_all(pipeline, dataset.cases, settings, MAX_SAMPLES, on_case)
    return to_entry(calibrate(ensembles, name=name, title=dataset.title), origin)


def to_entry(measured: Measured, origin: Origin) -> dict:
    """What a file of calibrations says of one preset; see `ldsr.calibration`."""
    found = measured.calibration
    return {
        "preset": found.name,
        "settings": calibration.identity(origin.settings),
        "weights": dict(origin.weights),
        "data": found.data,
        "places": list(found.places),
        "contrast": list(found.contrast),
        "floor": _rounded(found.floor, 7),
        "factors": _table(found.factors, 4),
        "coverage": _table(found.coverage, 4),
        "half_width": _table(measured.half_width, 6),
    }


def write_entry(entry: dict, path: Path) -> None:
    """Put one preset into a file of calibrations, complete or not at all.

    An entry of the same preset and the same weights is replaced.

    Raises:
        MetricError: a file that holds something else.
    """
    kept = []
    if path.is_file():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != calibration.FORMAT:
                raise ValueError(f"format {content['format']}")
            kept = [e for e in content["calibrations"] if _key(e) != _key(entry)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MetricError(
                f"{path.name} is not a file of calibrations ({error}); move it away, or give "
                "another with --out."
            ) from error
    lines = ",\n".join(json.dumps(e, ensure_ascii=False) for e in (*kept, entry))
    text = f'{{"format": {calibration.FORMAT}, "calibrations": [\n{lines}\n]}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    with appearing(path) as part:
        part.write_text(text, encoding="utf-8")


def _key(entry: Mapping) -> tuple:
    return entry["preset"], sorted(entry["weights"].values())


def _rounded(values: Sequence[float], digits: int) -> list[float]:
    return [round(value, digits) for value in values]


def _table(of: Mapping[int, Mapping[float, Sequence[float]]], digits: int) -> dict:
    return {
        str(count): {str(level): _rounded(values, digits) for level, values in levels.items()}
        for count, levels in of.items()
    }
