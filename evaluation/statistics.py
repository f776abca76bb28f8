"""Means with intervals, and paired differences: how sure a table's number is. Seeded."""

import dataclasses
from collections.abc import Sequence

import numpy as np

DRAWS = 2000
LEVEL = 0.95
SEED = 0


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over patches.

    Attributes:
        mean: over the patches, NaN where there is none.
        low, high: ends of the bootstrap interval (percentiles); NaN with fewer than two groups.
        count: patches that took part.
        groups: independent places among them.
    """

    mean: float
    low: float
    high: float
    count: int
    groups: int

    @property
    def sign(self) -> int:
        """-1 or 1 where the whole interval lies below or above zero, else 0."""
        return int(self.low > 0) - int(self.high < 0)


def estimate(
    values: Sequence[float],
    groups: Sequence[str],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = SEED,
) -> Estimate:
    """Mean of values with its interval by a bootstrap over groups.

    Whole groups are drawn, because patches of one place are not independent (a cluster bootstrap,
    Davison and Hinkley 1997, section 3.8). Values that are not finite take no part.

    Args:
        values: one a patch.
        groups: the place of each.
        draws: of the bootstrap.
        level: of the interval.
        seed: of the draws.
    """
    numbers = np.asarray(values, np.float64)
    counted = np.isfinite(numbers)
    if not counted.any():
        return Estimate(np.nan, np.nan, np.nan, 0, 0)
    numbers = numbers[counted]
    names, place = np.unique(np.asarray(groups)[counted], return_inverse=True)
    mean, count = float(numbers.mean()), len(numbers)
    if len(names) < 2:
        return Estimate(mean, np.nan, np.nan, count, len(names))
    sums = np.bincount(place, numbers, minlength=len(names))
    sizes = np.bincount(place, minlength=len(names))
    drawn = np.random.default_rng(seed).integers(0, len(names), (draws, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(mean, float(low), float(high), count, len(names))


def difference(
    values: Sequence[float],
    baseline: Sequence[float],
    groups: Sequence[str],
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = SEED,
) -> Estimate:
    """Mean of values - baseline on the same patches, with its interval; as `estimate`."""
    with np.errstate(invalid="ignore"):
        pairs = np.asarray(values, np.float64) - np.asarray(baseline, np.float64)
    return estimate(pairs, groups, draws=draws, level=level, seed=seed)


def share_better(values: Sequence[float], baseline: Sequence[float], *, higher: bool) -> float:
    """Share of the patches on which values beat the baseline, ties half; NaN without any."""
    first, second = (np.asarray(x, np.float64) for x in (values, baseline))
    counted = np.isfinite(first) & np.isfinite(second)
    if not counted.any():
        return float("nan")
    gain = (first - second)[counted] * (1 if higher else -1)
    return float((gain > 0).mean() + 0.5 * (gain == 0).mean())
