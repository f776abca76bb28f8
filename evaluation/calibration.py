"""Fits what makes the intervals of a run hold what they say, on one half of the places of a data
set, and measures on the other half how often they do.

Knows pairs and samples; what a scale is and how a calibration is found: see `ldsr.calibration`.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch

from evaluation.fidelity import border_of
from evaluation.pairs import Case
from ldsr import calibration
from ldsr.device import without_gradients
from ldsr.errors import MetricError
from ldsr.pipeline import Pipeline
from ldsr.result import LEVELS, Calibration
from ldsr.run import Run
from ldsr.settings import Settings
from ldsr.tensors import finer
from ldsr.uncertainty import BATCH_PIXELS

BANDS = 4
COUNTS = (4, 8, 16, 32)
"""Numbers of samples that factors are fitted for; between them they are interpolated."""
FLOORS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.13, 0.17, 0.22, 0.3, 0.5)
"""Tried as the floor of a band, a share of the brightness; not 0: no pixel is certain."""
CONTRASTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Tried as the weight of the local contrast."""
TOLERANCE = 0.01
"""Share of the score by which a smaller floor may be worse."""
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


@without_gradients
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

    parts = [
        [
            pool(ensembles, maps)
            for maps in zip(*(calibration.scale_parts(*m) for m in of), strict=True)
        ]
        for of in moments
    ]
    contrast, floor = fit_scale(errors, parts, CONTRASTS)
    factors = {}
    for count, error, of in zip(counts, errors, parts, strict=True):
        factors[count] = fit_factors(error, combine(of, contrast, floor))
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
    parts: Sequence[Sequence[np.ndarray]],
    contrasts: Sequence[float],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Contrast and floor of each band: the smallest floor, all but best by the intervals' score.

    Of all whose mean score at 90 % is within TOLERANCE of the least, the one with the smallest
    floor, and of those the best: what can be told apart shall be.

    Args:
        errors: |truth - centre| [C, M] of each number of samples.
        parts: of the scale, as `ldsr.calibration.scale_parts` gives them, [C, M], of the same.
        contrasts: to try; every one with every floor of FLOORS.
    """
    tried = list(itertools.product(contrasts, FLOORS))
    bands = len(errors[0])
    scores = np.zeros((len(tried), bands))
    for error, of in zip(errors, parts, strict=True):
        for row, (contrast, floor) in enumerate(tried):
            scale = combine(of, (contrast,) * bands, (floor,) * bands)
            ratio = error / scale
            factor = np.array([conformal_quantile(band, CHOSEN_BY) for band in ratio])[:, None]
            scores[row] += interval_score(error, factor * scale, CHOSEN_BY).mean(1)

    def choose(band: int) -> tuple[float, float]:
        score = scores[:, band]
        good = np.flatnonzero(score <= (1 + TOLERANCE) * score.min())
        return tried[min(good, key=lambda row: (tried[row][1], score[row]))]

    best = [choose(band) for band in range(bands)]
    return tuple(contrast for contrast, _ in best), tuple(floor for _, floor in best)


def combine(
    parts: Sequence[np.ndarray], contrast: Sequence[float], floor: Sequence[float]
) -> np.ndarray:
    """The scale of its squared parts [C, M]; see `ldsr.calibration.to_scale`."""
    spread, local, level = parts
    weight, least = (np.square(x)[:, None] for x in (contrast, floor))
    return np.sqrt(spread + weight * local + least * level)


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
