"""Windows: together they are the scene, and what they give becomes one picture again."""

import numpy as np
import pytest

from ldsr.scene.windows import ALIGNED, Plan

PLANS = [
    Plan((300, 517), side=64, margin=16, ramp=16),
    Plan((64, 64), side=96, margin=32, ramp=16),
    Plan((385, 100), side=384, margin=64, ramp=16),
    Plan((50, 1030), side=64, margin=8, ramp=0),
]


def given_of(plan: Plan, picture: np.ndarray, times: int) -> dict:
    """What each window would give of a picture."""
    return {
        window.key: picture[
            :, *(slice(times * span.start, times * span.stop) for span in window.given)
        ]
        for window in plan.windows
    }


@pytest.mark.parametrize("plan", PLANS)
def test_blocks_cover_each_pixel_once(plan: Plan) -> None:
    seen = np.zeros(plan.size, int)
    for window in plan.windows:
        seen[tuple(slice(span.start, span.stop) for span in window.block)] += 1
        for block, given, whole in zip(window.block, window.given, window.seen, strict=True):
            assert (
                whole.start <= given.start <= block.start < block.stop <= given.stop <= whole.stop
            )
            assert whole.start % ALIGNED == 0 and len(block) <= plan.side + ALIGNED
    assert (seen == 1).all()


@pytest.mark.parametrize("plan", PLANS)
def test_equal_pictures_mix_to_themselves(plan: Plan) -> None:
    picture = np.random.default_rng(0).random(
        (2, *(2 * length for length in plan.size)), np.float32
    )
    given, mixed = given_of(plan, picture, 2), np.zeros_like(picture)
    for window in plan.windows:
        here = tuple(slice(2 * span.start, 2 * span.stop) for span in window.block)
        mixed[:, *here] = plan.mix(window.key, given, times=2)
    np.testing.assert_allclose(mixed, picture, atol=5e-7)


def test_different_pictures_pass_into_each_other_in_a_straight_line() -> None:
    plan = Plan((64, 128), side=64, margin=16, ramp=16)
    ones = {
        key: np.full((1, 64, 72), value, np.float32) for key, value in (((0, 0), 0), ((0, 1), 1))
    }
    row = np.concatenate([plan.mix(key, ones, times=1)[0, 0] for key in ones])
    assert (row[:56] == 0).all() and (row[72:] == 1).all()
    np.testing.assert_allclose(np.diff(row[55:73]), [1 / 32, *[1 / 16] * 15, 1 / 32], atol=1e-6)


def test_a_missing_neighbour_leaves_no_number_where_it_would_count() -> None:
    plan = Plan((64, 128), side=64, margin=16, ramp=16)
    mixed = plan.mix((0, 0), {(0, 0): np.ones((1, 64, 72), np.float32)}, times=1)
    assert np.isnan(mixed[0, :, 56:]).all() and (mixed[0, :, :56] == 1).all()


def test_the_area_is_what_windows_see() -> None:
    plan = Plan((64, 128), side=64, margin=16, ramp=16)
    assert plan.area == 2 * 64 * 80


@pytest.mark.parametrize("wrong", [{"side": 100}, {"margin": 12}, {"ramp": 3}, {"ramp": 34}])
def test_plans_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(ValueError):
        Plan((300, 300), **{"side": 96, "margin": 16, "ramp": 16, **wrong})
