"""Scores what a run says of its own errors on places it was not calibrated on, beside predictors
that need no samples: a constant, and the picture's local contrast.

Knows ensembles and calibrations; does not know how they were drawn, nor how a report reads.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.ndimage import minimum_filter, uniform_filter

from evaluation.calibration import Ensemble, combine, fit_factors, fit_scale, interval_score, pool
from evaluation.reliability import ensemble as reliability
from evaluation.statistics import difference
from ldsr import calibration
from ldsr.data.bands import BANDS
from ldsr.result import LEVELS, Calibration

TARGETS = {"pixel": 1, "3 x 3 mean": 3}
"""Side of the window that truth and samples are averaged over: how finely is an error placed?"""
ALL, MEAN = "all", "mean"
"""The bands together, each in units of its RMSE: all their pixels, or their mean at each pixel."""
SPREAD, CALIBRATED, LEVEL = "spread", "calibrated", "brightness"
CONSTANT, CONTRAST = "constant", "contrast of the picture, 5 x 5"
CONTRAST_OF_MEAN, BEST = "contrast of the mean, 5 x 5", "contrast of the picture, best side"
TRIVIAL = (CONSTANT, CONTRAST, CONTRAST_OF_MEAN, BEST)
SIDES = (3, 5, 9)
"""Of the window of local contrast, tried on the first half."""
CURVE = (*(k / 10 for k in range(1, 10)), 0.68, 0.95)
"""Levels at which intervals of the raw spread are measured."""
Z = (1.0, 1.96)
WIDE = max(LEVELS)


@dataclasses.dataclass(frozen=True, eq=False)
class Pixels:
    """The pixels of several ensembles that count.

    Attributes:
        truth: [C, M].
        samples: [N, C, M].
        maps: what shall predict the error, [C, M] by name.
        group: place of each pixel [M], an index.
        tile: ensemble of each pixel [M].
    """

    truth: np.ndarray
    samples: np.ndarray
    maps: Mapping[str, np.ndarray]
    group: np.ndarray
    tile: np.ndarray

    @property
    def errors(self) -> dict[str, np.ndarray]:
        """Truth - picture [C, M]: of the mean of the samples, and of the picture shown."""
        return {
            "mean": self.truth - self.samples.mean(0),
            "picture": self.truth - self.samples[0],
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Scaled:
    """A predictor made a scale of the error, on the first half.

    Attributes:
        scale: on the second half [C, M].
        factors: half width of intervals in units of it, by level, per band.
        sigma: standard deviation in units of it, per band.
    """

    scale: np.ndarray
    factors: Mapping[float, Sequence[float]]
    sigma: Sequence[float]

    def half_width(self, level: float) -> np.ndarray:
        """Of the intervals, [C, M]."""
        return np.array(self.factors[level])[:, None] * self.scale


def assess(first: Sequence[Ensemble], second: Sequence[Ensemble], found: Calibration) -> dict:
    """Score everything on the second half; what is trivial is fitted on the first.

    Args:
        first, second: halves by place; see `evaluation.calibration.split_places`.
        found: fitted on the first half or elsewhere.

    Returns:
        Plain values: `rows` (target, error, band, predictor, score, value), and what figures are
        drawn of: `rmse` (of the mean, per band), `nominal`, `ranks`, `sparsification`, `bins`,
        `gains`.
    """
    rows, ranks, curves = [], {}, {}
    for target, side in TARGETS.items():
        halves = [look(half, found, side) for half in (first, second)]
        best = choose_side(halves[0])
        seen = halves[1]
        maps = {name: seen.maps[of] for name, of in _names(best).items()}
        unit = np.sqrt(np.square(seen.errors["mean"]).mean(1))[:, None]
        rows += _ensemble_rows(target, seen, unit)
        ranks[target] = _ranks(seen)
        for what, error in seen.errors.items():
            rows += _ranking_rows(target, what, error, maps, unit)
            curves[f"{what}, {target}"] = _curves(error / unit, maps, unit)
        if target == "pixel":
            scaled = scale_all(halves[0], seen, found, best)
            rows += _interval_rows(seen, scaled, unit)
            gains = _gains(seen, scaled, unit)
            bins = _bins(seen.errors["mean"], scaled, unit)
            chosen, rmse = best, unit[:, 0].round(6).tolist()
    return {
        "samples": len(seen.samples),
        "tiles": len(second),
        "places": len({e.group for e in second}),
        "fitted_tiles": len(first),
        "fitted_places": len({e.group for e in first}),
        "calibration": found.data,
        "best_side": chosen,
        "rmse": rmse,
        "levels": list(CURVE),
        "nominal": {str(z): reliability.nominal(z, len(seen.samples)) for z in Z},
        "rows": rows,
        "ranks": ranks,
        "sparsification": curves,
        "bins": bins,
        "gains": gains,
    }


def look(ensembles: Sequence[Ensemble], found: Calibration, side: int) -> Pixels:
    """Gather pixels, averaged over side x side of them, with every predictor.

    The calibrated scale and the contrasts are the maps as a person sees them, at every pixel.
    """
    smooth = [_smoothed(e, side) for e in ensembles]
    sizes = [int(e.counted.sum()) for e in smooth]
    _, groups = np.unique([e.group for e in ensembles], return_inverse=True)

    def gather(maps: Sequence[np.ndarray]) -> np.ndarray:
        return pool(smooth, maps)

    means, deviations = zip(*(e.moments(len(e.samples)) for e in ensembles), strict=True)
    contrast = {
        _side(width): gather([calibration.local_contrast(e.samples[0], width) for e in ensembles])
        for width in SIDES
    }
    shares = {"contrast": found.contrast, "floor": found.floor}
    moments = list(zip(means, deviations, strict=True))
    scales = [calibration.to_scale(*of, **shares) for of in moments]
    parts = [calibration.scale_parts(*of) for of in moments]
    maps = {
        SPREAD: gather([e.moments(len(e.samples))[1] for e in smooth]),
        CALIBRATED: gather(scales),
        CONSTANT: np.ones((len(BANDS), sum(sizes))),
        LEVEL: gather([level for _, _, level in parts]) ** 0.5,
        CONTRAST_OF_MEAN: gather([calibration.local_contrast(mean, 5) for mean in means]),
        **contrast,
    }
    return Pixels(
        truth=gather([e.hr for e in smooth]),
        samples=gather([e.samples for e in smooth]),
        maps=maps,
        group=np.repeat(groups, sizes),
        tile=np.repeat(np.arange(len(sizes)), sizes),
    )


def choose_side(first: Pixels) -> int:
    """Side of the window of local contrast with the least AUSE for the error of the mean."""
    error = first.errors["mean"]

    def area(side: int) -> float:
        pairs = zip(first.maps[_side(side)], error, strict=True)
        return float(np.mean([reliability.ause(one, wrong) for one, wrong in pairs]))

    return min(SIDES, key=area)


def scale_all(first: Pixels, second: Pixels, found: Calibration, best: int) -> dict[str, Scaled]:
    """Make each predictor a scale: the raw spread as it is, the others as well as may be.

    What is trivial gets a floor and factors on the first half, just as the calibration did.
    """
    count, error = len(second.samples), np.abs(first.errors["mean"])
    bands = len(error)
    raw = {level: (reliability.quantile_factor(level, count),) * bands for level in LEVELS}
    wider = (float(np.sqrt(1 + 1 / count)),) * bands
    made = {
        SPREAD: Scaled(second.maps[SPREAD], raw, wider),
        CALIBRATED: Scaled(
            second.maps[CALIBRATED],
            calibration.factors_for(found, count),
            _sigma(error, first.maps[CALIBRATED]),
        ),
    }
    for name, of in _names(best).items():
        if name not in TRIVIAL:
            continue
        parts = [_parts(half.maps[of], half.maps[LEVEL]) for half in (first, second)]
        still = name == CONSTANT
        floor = (0.0,) * bands if still else fit_scale([error], [parts[0]], (0.0,))[1]
        fitted, scale = (combine(one, (0.0,) * bands, floor) for one in parts)
        made[name] = Scaled(scale, fit_factors(error, fitted), _sigma(error, fitted))
    return made


def _names(best: int) -> dict[str, str]:
    """Name to show of each predictor, and its map's."""
    plain = {name: name for name in (SPREAD, CALIBRATED, CONSTANT, CONTRAST_OF_MEAN)}
    return plain | {CONTRAST: _side(5), BEST: _side(best)}


def _side(side: int) -> str:
    return f"contrast {side}"


def _parts(values: np.ndarray, level: np.ndarray) -> tuple[np.ndarray, ...]:
    """A predictor in place of the spread, in the form of `ldsr.calibration.scale_parts`."""
    return values**2, np.zeros_like(values), level**2


def _sigma(error: np.ndarray, scale: np.ndarray) -> tuple[float, ...]:
    pairs = zip(error, scale, strict=True)
    return tuple(reliability.variance_scaling(wrong, one) for wrong, one in pairs)


def _smoothed(ensemble: Ensemble, side: int) -> Ensemble:
    """Truth and samples averaged over side x side pixels; what touches others does not count."""
    if side == 1:
        return ensemble
    inside = minimum_filter(ensemble.counted, side, mode="constant", cval=0)
    return dataclasses.replace(
        ensemble,
        samples=uniform_filter(ensemble.samples, (0, 0, side, side), mode="nearest"),
        hr=uniform_filter(ensemble.hr, (0, side, side), mode="nearest"),
        counted=inside,
    )


def _bands(*arrays: np.ndarray) -> list[tuple[str, tuple[np.ndarray, ...]]]:
    """Each band's rows of arrays [..., C, M], and all bands together; standardise them before."""
    single = [(band, tuple(x[..., k, :] for x in arrays)) for k, band in enumerate(BANDS)]
    together = tuple(x.reshape(*x.shape[:-2], -1) for x in arrays)
    return [*single, (ALL, together)]


def _row(
    target: str, error: str, band: str, predictor: str, scores: Mapping[str, float]
) -> list[dict]:
    where = {"target": target, "error": error, "band": band, "predictor": predictor}
    return [where | {"score": name, "value": float(value)} for name, value in scores.items()]


def _ensemble_rows(target: str, seen: Pixels, unit: np.ndarray) -> list[dict]:
    """What the samples themselves are worth, in units of the band's RMSE."""
    rows, count = [], len(seen.samples)
    truth, samples, std = (x / unit for x in (seen.truth, seen.samples, seen.maps[SPREAD]))
    error = seen.errors["mean"] / unit
    for band, (y, x, s, wrong) in _bands(truth, samples, std, error):
        shares = reliability.rank_histogram(x, y)
        scores = {
            "rank_deviation": reliability.rank_deviation(shares),
            "rank_outside": shares[0] + shares[-1],
            "spread_skill": reliability.spread_skill(s, wrong, count),
            "fair_crps": reliability.fair_crps(x, y).mean(),
        }
        for level in CURVE:
            width = reliability.quantile_factor(level, count) * s
            scores[f"coverage_{level:g}"] = reliability.coverage(wrong, width)
        for z in Z:
            scores[f"coverage_mean_{z:g}_std"] = reliability.coverage(wrong, z * s)
        rows += _row(target, "mean", band, "samples", scores)
    return rows


def _ranks(seen: Pixels) -> dict[str, list[float]]:
    found = {
        band: reliability.rank_histogram(x, y) for band, (x, y) in _bands(seen.samples, seen.truth)
    }
    return {band: [round(float(share), 5) for share in shares] for band, shares in found.items()}


def _ranking_rows(
    target: str, what: str, error: np.ndarray, maps: Mapping[str, np.ndarray], unit: np.ndarray
) -> list[dict]:
    """Whether a map puts the large errors first."""
    rows = []
    for name, values in maps.items():
        for band, (one, wrong) in _bands(values / _own(name, unit), error / unit):
            scores = {
                "auroc": reliability.auroc(one, wrong),
                "ause": reliability.ause(one, wrong),
                "spearman": reliability.spearman(one, wrong),
            }
            rows += _row(target, what, band, name, scores)
        # one map for a picture: the mean of the bands
        one, wrong = (np.abs(x).mean(0) for x in (values / _own(name, unit), error / unit))
        rows += _row(target, what, MEAN, name, {"auroc": reliability.auroc(one, wrong)})
    return rows


def _own(name: str, unit: np.ndarray) -> np.ndarray:
    """What brings a predictor to units of the band's RMSE; a constant is the same in all."""
    return np.ones_like(unit) if name == CONSTANT else unit


def _interval_rows(seen: Pixels, scaled: Mapping[str, Scaled], unit: np.ndarray) -> list[dict]:
    """Intervals about the mean, in units of the band's RMSE."""
    rows, error = [], seen.errors["mean"] / unit
    for name, made in scaled.items():
        widths = [made.half_width(level) / unit for level in LEVELS]
        sigma = np.array(made.sigma)[:, None] * made.scale / unit
        crps = reliability.gaussian_crps(error, np.maximum(sigma, 1e-9))
        for band, (wrong, s, score, *of_levels) in _bands(error, sigma, crps, *widths):
            scores = {"ence": reliability.ence(s, wrong), "crps": score.mean()}
            for level, width in zip(LEVELS, of_levels, strict=True):
                scores |= {
                    f"coverage_{level:g}": reliability.coverage(wrong, width),
                    f"half_width_{level:g}": width.mean(),
                    f"interval_score_{level:g}": interval_score(wrong, width, level).mean(),
                }
            rows += _row("pixel", "mean", band, name, scores)
    return rows


def _gains(seen: Pixels, scaled: Mapping[str, Scaled], unit: np.ndarray) -> dict[str, list[float]]:
    """By how much the calibrated intervals score better than others: mean, low, high.

    In units of the band's RMSE, with a 95 % interval bootstrapped over places.
    """
    error = seen.errors["mean"] / unit
    sizes = np.bincount(seen.tile)
    places = [str(group) for group in seen.group[np.cumsum(sizes) - 1]]

    def of_tiles(made: Scaled) -> np.ndarray:
        score = interval_score(error, made.half_width(WIDE) / unit, WIDE).mean(0)
        return np.bincount(seen.tile, score) / sizes

    own, gains = of_tiles(scaled[CALIBRATED]), {}
    for name in (SPREAD, *TRIVIAL):
        found = difference(of_tiles(scaled[name]), own, places)
        gains[name] = [found.mean, found.low, found.high]
    return gains


def _curves(
    error: np.ndarray, maps: Mapping[str, np.ndarray], unit: np.ndarray
) -> dict[str, list[float]]:
    """Sparsification of all bands together, the oracle first."""
    given = {"oracle": np.abs(error)}
    given |= {name: values / _own(name, unit) for name, values in maps.items()}
    wrong = error.ravel()
    return {
        name: [round(float(x), 5) for x in reliability.sparsification(values.ravel(), wrong)]
        for name, values in given.items()
    }


def _bins(
    error: np.ndarray, scaled: Mapping[str, Scaled], unit: np.ndarray
) -> dict[str, list[list[float]]]:
    """Expected and found error of all bands together, in bins by what was expected."""
    bins = {}
    for name in (SPREAD, CALIBRATED, BEST):
        sigma = np.array(scaled[name].sigma)[:, None] * scaled[name].scale / unit
        bins[name] = reliability.binned(sigma.ravel(), (error / unit).ravel()).round(5).tolist()
    return bins
