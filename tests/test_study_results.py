"""The statistics of human studies: known values, recovered strengths, rules for raters."""

import csv
import itertools
import math

import numpy as np
import pytest

from evaluation.study import results as found
from evaluation.study.records import Vote


def make_vote(chosen, other, *, rater="r", task=2, is_catch=False, ms=500, side="left", a=None):
    a = chosen if a is None else a
    b = other if a == chosen else chosen
    left = chosen if side == "left" else other
    return Vote(task, 1, rater, "", "place", a, b, is_catch, left, side, ms, 1e9)


def camera_votes(fooled: int, of: int, method="base", **more) -> list[Vote]:
    pairs = [(method, "camera")] * fooled + [("camera", method)] * (of - fooled)
    return [make_vote(*pair, a="camera", **more) for pair in pairs]


def test_wilson_intervals_are_the_textbook_ones():
    share = found.wilson(10, 40)
    assert (share.low, share.high) == pytest.approx((0.141871, 0.401940), abs=1e-6)
    half = found.wilson(50, 100)
    assert (half.low, half.high) == pytest.approx((0.403832, 0.596168), abs=1e-6)
    n, p, z = 40, 0.25, found.Z95
    for bound in (share.low, share.high):  # the bounds are where a z test just rejects
        assert abs(p - bound) == pytest.approx(z * math.sqrt(bound * (1 - bound) / n))
    none, all_ = found.wilson(0, 12), found.wilson(12, 12)
    assert none.low == 0 and all_.high == 1 and none.high == pytest.approx(1 - all_.low)
    assert found.wilson(0, 0) == found.Share(0, 0, 0.0, 1.0)


def test_binomial_p():
    assert found.binomial_p(8, 16) == 1.0
    assert found.binomial_p(0, 10) == pytest.approx(2 / 1024)
    assert found.binomial_p(15, 20) == found.binomial_p(5, 20) == pytest.approx(0.041389, abs=1e-6)


def test_fool_rates_by_task_and_method_without_catch_trials():
    votes = camera_votes(3, 10) + camera_votes(4, 8, task=1) + camera_votes(0, 5, "bicubic")
    votes += [make_vote("degraded", "camera", is_catch=True, a="camera")] * 9
    rates = found.fool_rates(votes, ("bicubic", "base"))
    assert {key: (share.count, share.of) for key, share in rates.items()} == {
        (1, "base"): (4, 8),
        (2, "bicubic"): (0, 5),
        (2, "base"): (3, 10),
    }


def test_bradley_terry_recovers_strengths_and_its_intervals_hold():
    true = np.array([-1.0, -0.2, 0.3, 0.9])
    chance = 1 / (1 + np.exp(true[None] - true[:, None]))
    generator = np.random.default_rng(0)
    inside = []
    for _ in range(60):
        wins = np.zeros((4, 4))
        for i, j in itertools.combinations(range(4), 2):
            wins[i, j] = generator.binomial(80, chance[i, j])
            wins[j, i] = 80 - wins[i, j]
        strengths = found.bradley_terry(wins, "abcd")
        assert sum(one.value for one in strengths) == pytest.approx(0, abs=1e-9)
        inside += [one.low <= t <= one.high for one, t in zip(strengths, true, strict=True)]
    assert 0.9 <= np.mean(inside) <= 0.99
    exact = found.bradley_terry(1e6 * chance * (1 - np.eye(4)), "abcd")
    assert [one.value for one in exact] == pytest.approx(true, abs=1e-4)


def test_bradley_terry_is_symmetric_and_finite():
    wins = np.array([[0, 9, 4], [3, 0, 7], [8, 1, 0]])
    values = [one.value for one in found.bradley_terry(wins, "abc")]
    order = [2, 0, 1]
    turned = found.bradley_terry(wins[np.ix_(order, order)], "cab")
    assert [one.value for one in turned] == pytest.approx([values[i] for i in order])
    lost = found.bradley_terry(wins.T, "abc", prior=0)
    won = found.bradley_terry(wins, "abc", prior=0)
    assert [-one.value for one in lost] == pytest.approx([one.value for one in won], abs=1e-6)
    even = found.bradley_terry(np.array([[0, 5], [5, 0]]), "ab")
    assert [one.value for one in even] == pytest.approx([0, 0])
    never = found.bradley_terry(np.array([[0, 0], [6, 0]]), "ab")
    assert all(math.isfinite(one.low) for one in never) and never[0].value < 0
    split = np.array([[0, 5, 0], [5, 0, 0], [0, 0, 0]])
    assert found.bradley_terry(split, "abc") == []


def test_raters_are_checked_by_the_rule():
    def rater(name, caught, failed, *, ms=500, sides="lr"):
        votes = [make_vote("camera", "degraded", rater=name, is_catch=True)] * caught
        votes += [make_vote("degraded", "camera", rater=name, is_catch=True, a="camera")] * failed
        for i in range(20):
            side = "left" if sides[i % len(sides)] == "l" else "right"
            votes.append(make_vote("base", "camera", rater=name, a="camera", ms=ms, side=side))
        return votes

    good = rater("good", 7, 1, sides="lrr")
    votes = good + rater("blind", 1, 2) + rater("fast", 0, 0, ms=20) + rater("one", 0, 0, sides="l")
    reasons = {one.label: one.reasons for one in found.check_raters(votes)}
    assert reasons == {
        "good": (),
        "blind": ("2 of 3 catch trials failed",),
        "fast": ("answers within 20 ms",),
        "one": ("20 of 20 answers left",),
    }
    assert found.reliable(votes) == good


def test_csv_has_one_row_an_answer_and_no_formula():
    votes = [make_vote("base", "camera", a="camera"), *camera_votes(0, 1)]
    named = [
        Vote(*list(vars(vote).values())[:3], "=1+1", *list(vars(vote).values())[4:])
        for vote in votes
    ]
    rows = list(csv.DictReader(found.to_csv(named, about={"study": "x"}).splitlines()))
    assert [row["chosen"] for row in rows] == ["base", "camera"]
    assert rows[0]["name"] == "'=1+1" and rows[0]["study"] == "x"
    assert rows[0]["answered_utc"].startswith("2001-09-09T01:46:40")
