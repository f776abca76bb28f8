"""Intervals: known means, coverage, whole places, pairs, and the same at every run."""

import numpy as np
import pytest

from evaluation.statistics import difference, estimate, share_better


def names(count: int) -> list[str]:
    return [f"place {i}" for i in range(count)]


def test_the_interval_holds_the_mean_and_is_the_same_again() -> None:
    values = np.random.default_rng(3).normal(5, 1, 100)
    found = estimate(values, names(100))
    assert found.mean == pytest.approx(values.mean()) and found.count == found.groups == 100
    assert found.low < found.mean < found.high
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 10, rel=0.1)
    assert estimate(values, names(100)) == found
    assert estimate(values, names(100), seed=1) != found


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        found = estimate(random.normal(0, 1, 40), names(40), draws=400)
        hits += found.low <= 0 <= found.high
    assert 0.89 < hits / 200 < 0.99


def test_patches_of_one_place_are_not_independent() -> None:
    values = np.random.default_rng(0).normal(0, 1, 30)
    alone = estimate(values, names(30))
    thrice = estimate(values.repeat(3), [name for name in names(30) for _ in range(3)])
    apart = estimate(values.repeat(3), names(90))
    assert thrice.mean == pytest.approx(alone.mean)
    assert (thrice.low, thrice.high) == pytest.approx((alone.low, alone.high))
    assert apart.high - apart.low < 0.8 * (thrice.high - thrice.low), "what would be wrong"


def test_a_small_but_steady_difference_is_seen_in_pairs_alone() -> None:
    random = np.random.default_rng(0)
    hard = random.normal(30, 5, 50)
    better = hard + 0.5 + random.normal(0, 0.1, 50)
    apart = [estimate(values, names(50)) for values in (hard, better)]
    assert apart[1].low < apart[0].high, "the means' intervals overlap"
    found = difference(better, hard, names(50))
    assert found.sign == 1 and found.mean == pytest.approx(0.5, abs=0.05)
    assert difference(hard, better, names(50)).sign == -1
    assert difference(hard, hard, names(50)).sign == 0


def test_what_has_no_number_takes_no_part() -> None:
    found = estimate([1.0, np.nan, 3.0, np.inf], names(4))
    assert found.mean == 2 and found.count == 2
    found = difference([1.0, np.nan, 3.0], [0.0, 1.0, np.inf], names(3))
    assert found.mean == 1 and found.count == 1 and np.isnan(found.low) and found.sign == 0
    nothing = estimate([np.nan], names(1))
    assert nothing.count == 0 and np.isnan(nothing.mean) and nothing.sign == 0


def test_share_of_patches_that_are_better() -> None:
    assert share_better([2, 2, 0], [1, 1, 1], higher=True) == pytest.approx(2 / 3)
    assert share_better([2, 1, np.nan], [1, 1, 1], higher=False) == pytest.approx(0.25)
    assert np.isnan(share_better([np.nan], [1], higher=True))
