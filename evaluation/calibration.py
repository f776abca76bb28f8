"""Fits what makes the intervals of a run hold what they say, on one half of the places of a data
set, and measures on the other half how often they do.

Knows pairs and samples; what a scale is and how a calibration is found: see `ldsr.calibration`.
"""

import dataclasses
import itertools
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch

from evaluation.fidelity import border_of
from evaluation.pairs import Case, Dataset
from ldsr import calibration
from ldsr.errors import MetricError
from ldsr.pipeline import Pipeline
from ldsr.result import LEVELS, Calibration
from ldsr.run import Run
from ldsr.settings import MAX_SAMPLES, Settings
from ldsr.tensors import finer
from ldsr.uncertainty import BATCH_PIXELS

BANDS = 4
COUNTS = (4, 8, 16, 32)
"""Numbers of samples that factors are fitted for; between them they are interpolated."""
FLOORS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0, 4.0)
"""Tried as the floor of a band, in units of its RMSE; 0 is not among them: no pixel is certain."""
CONTRASTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Tried as the weight of the local contrast."""
CHOSEN_BY = 0.9
"""Level whose interval score chooses floor and contrast."""

OnCase = Callable[[int, int, str], None]
"""Told how many cases are done, of how many, and the name of the last."""


class Grouped(Protocol):
    """Whatever shows one place."""

    group: str


One = TypeVar("One", bound=Grouped)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Ensemble:
    """Samples of one run, and the truth.

    Attributes:
        name: of the case.
        group: the place it shows.
        samples: reflectance [N, C, H, W]; the first n of them are a run of n samples.
        hr: the truth, reflectance [C, H, W].
        counted: bool [H, W], the pixels that count: valid, and not at the border.
    """

    name: str
    group: str
    samples: np.ndarray
    hr: np.ndarray
    counted: np.ndarray

    def moments(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (n - 1) of the first samples, [C, H, W] each."""
        first = self.samples[:count]
        return first.mean(0), first.std(0, ddof=1)


@dataclasses.dataclass(frozen=True, eq=False)
class Origin:
    """What made the samples.

    Attributes:
        settings: with what the weights recommend put in.
        weights: SHA-256 of every file of weights that took part, by name.
    """

    settings: Settings
    weights: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Measured:
    """A calibration and what was measured with it where it was not fitted.

    Attributes:
        calibration: with its coverage.
        half_width: mean of the intervals, reflectance, by number of samples and level, per band.
    """

    calibration: Calibration
    half_width: Mapping[int, Mapping[float, tuple[float, ...]]]


def split_places(items: Sequence[One]) -> tuple[list[One], list[One]]:
    """Two halves by place: one to fit on, one to measure on.

    Places are put in order (numbers in their names by value), the first half of them to fit on;
    all years of a place come into the same half.

    Raises:
        MetricError: so few places that one half is empty.
    """
    places = sorted({item.group for item in items}, key=_in_order)
    fitted = set(places[: len(places) // 2])
    if not fitted:
        raise MetricError(
            f"{len(places)} place{'' if len(places) == 1 else 's'} cannot be split into one half "
            "to fit on and one to measure on; give more places."
        )
    first = [item for item in items if item.group in fitted]
    return first, [item for item in items if item.group not in fitted]


def _in_order(name: str) -> list:
    parts = re.split(r"(\d+)", name)
    return [int(part) if part.isdigit() else part for part in parts]


@torch.inference_mode()
def draw(
    pipeline: Pipeline, case: Case, settings: Settings, samples: int
) -> tuple[Ensemble, Origin]:
    """Draw samples of one case as a run does that shows its uncertainty."""
    run = Run(pipeline, case.lr, dataclasses.replace(settings, samples=samples, settle=0.0))
    base = run.base()
    pictures = [run.refined(base) if run.settings.refine else base]
    height, width = case.lr.size
    batch = max(1, BATCH_PIXELS[torch.device(pipeline.device).type] // (height * width))
    for start in range(1, samples, batch):
        pictures.append(run.draw(range(start, min(start + batch, samples))))
    ensemble = Ensemble(
        name=case.name,
        group=case.group,
        samples=torch.cat(pictures).float().cpu().numpy(),
        hr=case.hr.reflectance,
        counted=_inside(case.hr.valid & finer(case.lr.valid)),
    )
    files = {pipeline.name: pipeline.sha256, **run.files}
    once = {sha256: name for name, sha256 in files.items()}  # as `Run.hashes`, without repeats
    return ensemble, Origin(run.settings, {name: sha256 for sha256, name in once.items()})


def draw_all(
    pipeline: Pipeline,
    cases: Sequence[Case],
    settings: Settings,
    samples: int,
    on_case: OnCase = lambda done, total, name: None,
) -> tuple[list[Ensemble], Origin]:
    """Draw samples of every case."""
    ensembles = []
    for done, case in enumerate(cases, start=1):
        ensemble, origin = draw(pipeline, case, settings, samples)
        ensembles.append(ensemble)
        on_case(done, len(cases), case.name)
    return ensembles, origin


def calibrate(
    ensembles: Sequence[Ensemble], *, name: str, title: str, counts: Sequence[int] = COUNTS
) -> Measured:
    """Fit on the first half of the places, measure on the second.

    Args:
        ensembles: with as many samples as the largest of `counts`.
        name: of the preset.
        title: of the data.
        counts: numbers of samples to fit factors for.

    Raises:
        MetricError: too few places or pixels.
    """
    first, second = split_places(ensembles)
    found = fit(first, counts, name=name, data=_sentence(title, first, second))
    coverage, half_width = measure(second, found)
    return Measured(dataclasses.replace(found, coverage=coverage), half_width)


def fit(
    ensembles: Sequence[Ensemble], counts: Sequence[int] = COUNTS, *, name: str, data: str
) -> Calibration:
    """Fit contrast and floor of each band, and factors by number of samples and level.

    Args:
        ensembles: with as many samples as the largest of `counts`.
        counts: numbers of samples to fit factors for.
        name, data: of the calibration.
    """
    moments = [[e.moments(count) for e in ensembles] for count in counts]
    errors = [
        pool(ensembles, [np.abs(e.hr - mean) for e, (mean, _) in zip(ensembles, of, strict=True)])
        for of in moments
    ]

    def part(i: int, contrast: float) -> np.ndarray:
        shares = {"contrast": (contrast,) * BANDS, "floor": (0.0,) * BANDS}
        return pool(ensembles, [calibration.to_scale(*of, **shares) for of in moments[i]])

    chosen = fit_scale(errors, part, CONTRASTS)
    contrast, floor = (tuple(values) for values in zip(*chosen, strict=True))
    factors = {}
    for i, count in enumerate(counts):
        scales = [calibration.to_scale(*of, contrast=contrast, floor=floor) for of in moments[i]]
        factors[count] = fit_factors(errors[i], pool(ensembles, scales))
    return Calibration(
        name=name,
        data=data,
        places=tuple(sorted({e.group for e in ensembles}, key=_in_order)),
        contrast=contrast,
        floor=floor,
        factors=factors,
        coverage={},
    )


def fit_scale(
    errors: Sequence[np.ndarray],
    scale_of: Callable[[int, float], np.ndarray],
    contrasts: Sequence[float],
) -> list[tuple[float, float]]:
    """Contrast and floor of each band whose 90 % intervals have the least mean score.

    Args:
        errors: |truth - centre| [C, M] of each number of samples.
        scale_of: scales [C, M] without a floor, for the i-th of them and a contrast.
        contrasts: to try; every one with every floor of FLOORS.
    """
    rmse = np.sqrt(np.mean([np.square(error).mean(1) for error in errors], axis=0))
    tried = list(itertools.product(contrasts, FLOORS))
    scores = np.zeros((len(tried), len(rmse)))
    for i, error in enumerate(errors):
        scales = {contrast: scale_of(i, contrast) for contrast in contrasts}
        for row, (contrast, share) in enumerate(tried):
            scale = np.hypot(scales[contrast], (share * rmse)[:, None])
            ratio = error / scale
            factor = np.array([conformal_quantile(band, CHOSEN_BY) for band in ratio])[:, None]
            scores[row] += interval_score(error, factor * scale, CHOSEN_BY).mean(1)
    best = scores.argmin(axis=0)
    return [(tried[row][0], float(tried[row][1] * rmse[band])) for band, row in enumerate(best)]


def fit_factors(error: np.ndarray, scale: np.ndarray) -> dict[float, tuple[float, ...]]:
    """Factors of each level and band that make error <= factor scale as often as it says."""
    ratio = error / scale
    return {level: tuple(conformal_quantile(band, level) for band in ratio) for level in LEVELS}


def conformal_quantile(values: np.ndarray, level: float) -> float:
    """The ceil((m + 1) level)-th smallest of m values: split conformal prediction.

    A further value of the same kind is at most that with a probability of `level` or more (Vovk
    et al. 2005; Lei et al. 2018). Pixels of one picture are not independent, so that this holds
    on average over pictures, not for each.

    Raises:
        MetricError: fewer values than the level needs.
    """
    rank = math.ceil((len(values) + 1) * level)
    if rank > len(values):
        raise MetricError(f"{len(values)} pixels are too few for an interval of {level:.0%}.")
    return float(np.partition(values, rank - 1)[rank - 1])


def interval_score(error: np.ndarray, half_width: np.ndarray, level: float) -> np.ndarray:
    """Score of the interval centre +- half width, lower is better (Gneiting and Raftery 2007).

    2 w + (2 / a) max(|error| - w, 0) with a = 1 - level: its width, and what it misses.
    """
    missed = np.maximum(np.abs(error) - half_width, 0)
    return 2 * half_width + 2 / (1 - level) * missed


def measure(
    ensembles: Sequence[Ensemble], found: Calibration
) -> tuple[dict[int, dict[float, tuple[float, ...]]], dict[int, dict[float, tuple[float, ...]]]]:
    """Share of the true values that the intervals hold, and their mean half width, as fitted."""
    coverage, half_width = {}, {}
    for count in sorted(found.factors):
        moments = [e.moments(count) for e in ensembles]
        centres = zip(ensembles, moments, strict=True)
        error = pool(ensembles, [np.abs(e.hr - mean) for e, (mean, _) in centres])
        shares = {"contrast": found.contrast, "floor": found.floor}
        scale = pool(ensembles, [calibration.to_scale(*of, **shares) for of in moments])
        coverage[count], half_width[count] = {}, {}
        for level, factors in calibration.factors_for(found, count).items():
            width = np.array(factors)[:, None] * scale
            coverage[count][level] = tuple(map(float, (error <= width).mean(1)))
            half_width[count][level] = tuple(map(float, width.mean(1)))
    return coverage, half_width


def pool(ensembles: Sequence[Ensemble], maps: Sequence[np.ndarray]) -> np.ndarray:
    """All pixels that count of maps [..., H, W], one an ensemble: [..., M]."""
    pairs = zip(ensembles, maps, strict=True)
    return np.concatenate([values[..., e.counted] for e, values in pairs], axis=-1)


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
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


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


def _inside(valid: np.ndarray) -> np.ndarray:
    border = border_of(valid.shape)
    counted = np.zeros_like(valid)
    here = np.s_[border : valid.shape[0] - border, border : valid.shape[1] - border]
    counted[here] = valid[here]
    return counted


def _sentence(title: str, first: Sequence[Ensemble], second: Sequence[Ensemble]) -> str:
    tiles = [len(half) for half in (first, second)]
    places = [len({e.group for e in half}) for half in (first, second)]
    return (
        f"{title}: fitted on {tiles[0]} tiles of {places[0]} places, measured on {tiles[1]} tiles "
        f"of {places[1]} others."
    )


def _key(entry: Mapping) -> tuple:
    return entry["preset"], sorted(entry["weights"].values())


def _rounded(values: Sequence[float], digits: int) -> list[float]:
    return [round(value, digits) for value in values]


def _table(of: Mapping[int, Mapping[float, Sequence[float]]], digits: int) -> dict:
    return {
        str(count): {str(level): _rounded(values, digits) for level, values in levels.items()}
        for count, levels in of.items()
    }
