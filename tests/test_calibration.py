"""Calibrations: fitted on one half of the places, true on the other, bound to their weights."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.calibration import (
    COUNTS,
    FLOORS,
    Ensemble,
    calibrate,
    conformal_quantile,
    draw,
    draw_all,
    fit,
    interval_score,
    split_places,
)
from evaluation.calibration_file import calibrate_preset, to_entry, write_entry
from evaluation.pairs import Dataset
from ldsr.calibration import CONTRAST_SIDE, factors_for, find_calibration, local_contrast
from ldsr.errors import MetricError
from ldsr.pipeline import Pipeline
from ldsr.result import LEVELS
from ldsr.settings import PRESETS, Settings
from tests.conftest import make_patch
from tests.test_runs import make_cases

SETTINGS = Settings(steps=1, refine_steps=1)
SIDE = 40
PLACES = 8


def make_ensembles(count: int = 8, *, narrow: float = 1.0, seed: int = 0) -> list[Ensemble]:
    """Two tiles of each place: truth and samples are draws of a Gaussian of a known deviation.

    The deviation is made of blocks, 0.01 or 0.04; that of the samples is `narrow` times as large.
    """
    random = np.random.default_rng(seed)
    counted = np.zeros((SIDE, SIDE), bool)
    counted[4:-4, 4:-4] = True
    made = []
    for i in range(2 * PLACES):
        blocks = random.choice([0.01, 0.04], (4, SIDE // 8, SIDE // 8))
        std = blocks.repeat(8, axis=1).repeat(8, axis=2)
        middle = random.uniform(0.1, 0.3, std.shape)
        samples = middle + narrow * std * random.normal(size=(count, *std.shape))
        hr = middle + std * random.normal(size=std.shape)
        made.append(
            Ensemble(
                name=str(i),
                group=f"town {i // 2}",
                samples=samples.astype(np.float32),
                hr=hr.astype(np.float32),
                counted=counted,
            )
        )
    return made


def test_places_never_straddle_halves() -> None:
    ensembles = make_ensembles(2)
    first, second = split_places(ensembles)
    assert len(first) + len(second) == len(ensembles)
    assert not {e.group for e in first} & {e.group for e in second}
    assert {e.group for e in first} == {f"town {i}" for i in range(PLACES // 2)}
    many = [dataclasses.replace(ensembles[0], group=f"town {i}") for i in range(12)]
    assert [e.group for e in split_places(many)[1]][-2:] == ["town 10", "town 11"], "by number"
    with pytest.raises(MetricError, match="1 place cannot be split"):
        split_places(ensembles[:2])


def test_the_conformal_quantile_counts_to_m_plus_one() -> None:
    values = np.arange(1.0, 20.0)[::-1]
    assert conformal_quantile(values, 0.9) == 18, "ceil(20 x 0.9) of 19"
    assert conformal_quantile(values, 0.5) == 10
    with pytest.raises(MetricError, match="8 pixels are too few"):
        conformal_quantile(values[:8], 0.9)


def test_the_interval_score_is_least_for_the_true_interval() -> None:
    error = np.random.default_rng(0).normal(size=100000)
    scores = {w: interval_score(error, np.full(1, w), 0.9).mean() for w in (1.2, 1.645, 2.2)}
    assert min(scores, key=scores.get) == 1.645
    assert interval_score(np.array([3.0]), np.array([2.0]), 0.9) == pytest.approx(4 + 20)


@pytest.mark.parametrize("narrow", [1.0, 0.3])
def test_intervals_hold_what_they_say_on_other_places(narrow: float) -> None:
    measured = calibrate(make_ensembles(16, narrow=narrow), name="x", title="Towns", counts=(4, 16))
    found = measured.calibration
    assert sorted(found.factors) == [4, 16]
    for count in (4, 16):
        for level in LEVELS:
            assert found.coverage[count][level] == pytest.approx((level,) * 4, abs=0.03)
    widths = measured.half_width
    assert min(widths[16][0.9]) > max(widths[16][0.5])
    assert np.mean(widths[4][0.9]) > np.mean(widths[16][0.9]), "fewer samples know less"
    between = factors_for(found, 8)[0.9]
    assert min(found.factors[16][0.9][0], found.factors[4][0.9][0]) <= between[0]
    places = len({e.group for e in split_places(make_ensembles(2))[0]})
    assert found.data == (
        f"Towns: fitted on {2 * places} tiles of {places} places, measured on "
        f"{2 * (PLACES - places)} tiles of {PLACES - places} others."
    )


def test_an_overconfident_ensemble_gets_wider() -> None:
    def width(narrow: float) -> float:
        measured = calibrate(make_ensembles(narrow=narrow), name="x", title="", counts=(8,))
        return measured.half_width[8][0.9][0]

    assert width(0.3) == pytest.approx(width(1.0), rel=0.1), "the errors are the same"


def test_the_floor_is_low_where_the_spread_knows_and_high_where_it_does_not() -> None:
    right, random = make_ensembles(), np.random.default_rng(1)
    wrong = [
        dataclasses.replace(
            e, samples=e.samples.mean(0) + random.choice([0.001, 0.02]) * random.normal(
                size=e.samples.shape).astype(np.float32)
        )
        for e in right
    ]  # fmt: skip
    fitted = [fit(split_places(e)[0], (8,), name="x", data="") for e in (right, wrong)]
    low, high = (found.floor for found in fitted)
    assert max(fitted[0].contrast) <= 0.2, "the spread alone explains the errors"
    assert max(low) < min(high)
    assert min(low) > 0 and 0 not in FLOORS, "no pixel is certain"


def test_contrast_counts_where_errors_follow_it() -> None:
    random = np.random.default_rng(3)
    made = []
    for e in make_ensembles():
        edges = random.choice([0.0, 0.2], (4, SIDE // 4, SIDE // 4)).repeat(4, 1).repeat(4, 2)
        middle = (0.1 + edges).astype(np.float32)
        noise = random.normal(size=e.samples.shape).astype(np.float32)
        wrong = random.normal(size=middle.shape) * local_contrast(middle, CONTRAST_SIDE)
        hr = (middle + wrong + 0.001 * random.normal(size=middle.shape)).astype(np.float32)
        made.append(dataclasses.replace(e, samples=middle + 0.001 * noise, hr=hr))
    found = fit(split_places(made)[0], (8,), name="x", data="")
    assert min(found.contrast) >= 0.5
    assert found.places == tuple(f"town {i}" for i in range(PLACES // 2))


def test_fitting_reads_no_pixel_of_the_second_half() -> None:
    ensembles = make_ensembles()
    second = {e.name for e in split_places(ensembles)[1]}
    spoilt = [
        dataclasses.replace(e, hr=e.hr + 9, samples=e.samples * 7) if e.name in second else e
        for e in ensembles
    ]
    one, other = (calibrate(e, name="x", title="", counts=(4, 8)) for e in (ensembles, spoilt))
    assert one.calibration.factors == other.calibration.factors
    assert one.calibration.floor == other.calibration.floor
    assert one.calibration.contrast == other.calibration.contrast
    assert one.calibration.coverage != other.calibration.coverage


def test_what_does_not_count_is_not_read() -> None:
    ensembles = make_ensembles()
    spoilt = [
        dataclasses.replace(e, hr=np.where(e.counted, e.hr, np.float32(9))) for e in ensembles
    ]
    one, other = (calibrate(e, name="x", title="", counts=(8,)) for e in (ensembles, spoilt))
    assert one == other


def test_samples_are_those_of_a_run(tiny_pipeline: Pipeline) -> None:
    """Nested: the first n of them are a run of n; the truth lies beside them."""
    case = make_cases(1)[0]
    ensemble, origin = draw(tiny_pipeline, case, SETTINGS, 5)
    fewer, _ = draw(tiny_pipeline, case, SETTINGS, 3)
    assert ensemble.samples.shape == (5, 4, 64, 64)
    assert np.abs(ensemble.samples[:3] - fewer.samples).max() < 1e-5
    run = tiny_pipeline(case.lr, dataclasses.replace(SETTINGS, samples=5, settle=0.0))
    mean, std = ensemble.moments(5)
    assert np.abs(mean - run.uncertainty.mean).max() < 1e-5
    assert np.abs(std - run.uncertainty.std).max() < 1e-5
    assert ensemble.counted.sum() == 56 * 56 and (ensemble.hr == case.hr.reflectance).all()
    assert origin.weights == {"tiny": "0" * 64, "tiny-refiner": "1" * 64}
    assert origin.settings.temperature == 0.8, "what the weights recommend"


def test_a_file_gives_back_what_was_written(tiny_pipeline: Pipeline, tmp_path: Path) -> None:
    path, cases = tmp_path / "deep" / "calibrations.json", make_cases(4)
    ensembles, origin = draw_all(tiny_pipeline, cases, SETTINGS, 4)
    measured = calibrate(ensembles, name="tiny", title="Blocks", counts=(4,))
    entry = to_entry(measured, origin)
    write_entry(entry | {"data": "old"}, path)
    write_entry(entry | {"preset": "another", "settings": entry["settings"] | {"steps": 9}}, path)
    write_entry(entry, path)
    content = json.loads(path.read_text())["calibrations"]
    assert [e["preset"] for e in content] == ["another", "tiny"], "replaced, and another kept"
    assert [p.name for p in path.parent.iterdir()] == [path.name]

    hashes = list(origin.weights.values())
    found, reason = find_calibration(origin.settings, hashes, samples=8, path=path)
    assert reason == "" and found.name == "tiny" and found.data == measured.calibration.data
    assert found.factors[4][0.9] == pytest.approx(measured.calibration.factors[4][0.9], abs=1e-4)
    assert found.floor == pytest.approx(measured.calibration.floor, abs=1e-6)
    assert found.contrast == measured.calibration.contrast
    assert found.places == measured.calibration.places != ()
    seeded = dataclasses.replace(origin.settings, seed=5, samples=9, settle=0.5)
    assert find_calibration(seeded, hashes, samples=4, path=path)[0] == found
    assert find_calibration(origin.settings, ["2" * 64], samples=8, path=path) == (
        None, "there is no calibration for these weights with these parts"
    )  # fmt: skip
    other = dataclasses.replace(origin.settings, eta=0.5)
    assert "eta differ" in find_calibration(other, hashes, samples=8, path=path)[1]
    assert "too few" in find_calibration(origin.settings, hashes, samples=2, path=path)[1]


def test_a_preset_from_its_pairs_to_its_entry(tiny_pipeline: Pipeline) -> None:
    told = []
    dataset = Dataset(title="Blocks", description="", cases=make_cases(3))
    entry = calibrate_preset(
        tiny_pipeline, dataset, "tiny", SETTINGS, on_case=lambda *of: told.append(of)
    )
    assert told == [(1, 3, "tile_0"), (2, 3, "tile_1"), (3, 3, "tile_2")]
    assert list(entry["factors"]) == list(entry["half_width"]) == ["4", "8", "16", "32"]
    assert "samples" not in entry["settings"] and entry["settings"]["temperature"] == 0.8


def test_a_foreign_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"format": 99}')
    with pytest.raises(MetricError, match="mine.json is not a file of calibrations"):
        write_entry({"preset": "x", "weights": {}}, path)
    assert path.read_text() == '{"format": 99}'


def test_what_ships_belongs_to_the_weights_that_ship() -> None:
    """Every preset is calibrated, and held what it says on the other half; nothing else is."""
    pipeline, patch = Pipeline.load("mini", device="cpu"), make_patch(16, 16)
    for name, preset in PRESETS.items():
        asked = dataclasses.replace(preset, samples=4, seed=7)
        found = pipeline(patch, asked).uncertainty
        assert found.calibration.name == name and found.uncalibrated == ""
        for count in COUNTS:
            for level in LEVELS:
                held = found.calibration.coverage[count][level]
                assert held == pytest.approx((level,) * 4, abs=0.02)
        other = dataclasses.replace(asked, detail_cap=0.5)
        assert "detail_cap differ" in pipeline(patch, other).uncertainty.uncalibrated
    fewer = pipeline(patch, dataclasses.replace(PRESETS["fast"], samples=3)).uncertainty
    assert fewer.calibration is None and "too few" in fewer.uncalibrated
