"""Scores of ensembles whose truth is known; the section of the report that is made of them."""

import csv
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc

from evaluation.__main__ import main
from evaluation.benchmark_report import make_report
from evaluation.calibration import fit, split_places
from evaluation.judge import Judge
from evaluation.pairs import Dataset
from evaluation.reliability import ensemble as r
from evaluation.reliability.figures import make_section, to_html
from evaluation.reliability.places import highest, judge_places, mask_of, ratio
from evaluation.reliability.report import KEPT, TABLE, judge_reliability
from evaluation.reliability.scores import (
    ALL,
    BEST,
    CALIBRATED,
    CONSTANT,
    MEAN,
    SPREAD,
    assess,
)
from evaluation.runs import Progress
from ldsr.calibration import local_contrast
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings
from tests.test_calibration import make_ensembles
from tests.test_evaluation import make_tiles
from tests.test_runs import make_cases, make_options, make_tiny

RANDOM = np.random.default_rng(0)
MANY = 40000
SAMPLES = RANDOM.normal(size=(33, MANY))
"""The first n are an ensemble of n, the last is the truth: all draws of the same."""
TRUTH = SAMPLES[-1]


@pytest.mark.parametrize(
    ("z", "count", "share"),
    [(1, 15, 0.651), (1.96, 15, 0.921), (1, 8, 0.623), (1.96, 8, 0.893), (1, 30, 0.667)],
)
def test_nominal_shares_of_few_samples(z: float, count: int, share: float) -> None:
    """The numbers of shared/reference/methods.md, and what draws of a Gaussian do."""
    assert r.nominal(z, count) == pytest.approx(share, abs=6e-4)
    assert r.quantile_factor(r.nominal(z, count), count) == pytest.approx(z)
    first = SAMPLES[:count]
    found = r.coverage(TRUTH - first.mean(0), z * first.std(0, ddof=1))
    assert found == pytest.approx(share, abs=0.01)


def test_a_true_ensemble_is_flat_and_has_skill_one() -> None:
    shares = r.rank_histogram(SAMPLES[:8], TRUTH)
    assert shares.sum() == pytest.approx(1) and shares == pytest.approx(1 / 9, abs=0.006)
    assert r.rank_deviation(shares) < 0.03
    first = SAMPLES[:8]
    found = r.spread_skill(first.std(0, ddof=1), TRUTH - first.mean(0), 8)
    assert found == pytest.approx(1, abs=0.02)
    narrow = r.rank_histogram(0.3 * first, TRUTH)
    assert narrow[0] > 0.3 and narrow[-1] > 0.3, "U where the samples are too much alike"
    assert r.rank_deviation(narrow) > 0.5


def test_ties_take_random_ranks() -> None:
    shares = r.rank_histogram(np.zeros((4, MANY)), np.zeros(MANY))
    assert shares == pytest.approx(0.2, abs=0.01)
    assert (shares == r.rank_histogram(np.zeros((4, MANY)), np.zeros(MANY))).all(), "seeded"


def test_fair_crps_is_the_closed_form_at_any_number_of_samples() -> None:
    exact = r.gaussian_crps(TRUTH, np.ones(MANY)).mean()
    assert exact == pytest.approx(1 / math.sqrt(math.pi), abs=0.005), "of the perfect forecast"
    for count in (2, 4, 8, 32):
        assert r.fair_crps(SAMPLES[:count], TRUTH).mean() == pytest.approx(exact, abs=0.015)
    few, y = SAMPLES[:5, :7], TRUTH[:7]
    pairs = np.abs(few[:, None] - few[None]).sum((0, 1)) / (2 * 5 * 4)
    assert r.fair_crps(few, y) == pytest.approx(np.abs(few - y).mean(0) - pairs), "the formula"


def test_an_oracle_has_no_area_and_a_constant_knows_nothing() -> None:
    error = TRUTH
    assert r.ause(np.abs(error), error) == 0
    constant = np.ones(MANY)
    assert r.sparsification(constant, error) == pytest.approx(1, abs=0.1)
    assert r.sparsification(constant, error)[:50] == pytest.approx(1, abs=0.02)
    assert 0.4 < r.ause(constant, error) < r.ause(-np.abs(error), error)
    assert r.sparsification(np.abs(error), error)[0] == 1
    assert r.auroc(np.abs(error), error) == 1 and r.auroc(-np.abs(error), error) == 0
    assert r.auroc(constant, error) == 0.5
    assert r.spearman(np.abs(error), error) == pytest.approx(1)
    assert r.spearman(constant, error) == 0
    assert math.isnan(r.auroc(constant, constant)), "no error is larger than another"


def test_auroc_is_that_of_torchmetrics() -> None:
    predictor = np.abs(TRUTH) + SAMPLES[0].round(1)
    large = np.abs(TRUTH) > np.quantile(np.abs(TRUTH), r.LARGE)
    ranked = torch.from_numpy((predictor - predictor.min()) / np.ptp(predictor))
    expected = float(binary_auroc(ranked, torch.from_numpy(large).int()))
    assert r.auroc(predictor, TRUTH) == pytest.approx(expected, abs=1e-6)


def test_sizes_in_bins() -> None:
    sigma = np.exp(0.5 * SAMPLES[0])
    error = sigma * TRUTH
    assert r.ence(sigma, error) < 0.03
    assert r.ence(2 * sigma, error) == pytest.approx(0.5, abs=0.03)
    found = r.binned(sigma, error)
    assert found.shape == (r.BINS, 2) and (np.diff(found[:, 0]) > 0).all()
    assert r.variance_scaling(error, 2 * sigma) == pytest.approx(0.5, abs=0.01)


def test_local_contrast_is_the_deviation_of_a_window() -> None:
    picture = RANDOM.uniform(0, 1, (4, 9, 9))
    found = local_contrast(picture, 3)
    assert found.shape == picture.shape
    assert found[2, 4, 4] == pytest.approx(picture[2, 3:6, 3:6].std())


@pytest.fixture(scope="module")
def found() -> dict:
    first, second = split_places(make_ensembles(8, narrow=0.5))
    places = {"area": 0.02, "marked": 0.5, "brightness_area": 0.0}
    places |= {"edges_area": 0.02, "edges_ratio": 1.5, "edges_ratio_contrast": 0.75}
    fitted = fit(first, (8,), name="x", data="Made up.")
    return assess(first, second, fitted) | {"check_here": places}


def value(found: dict, predictor: str, score: str, **where: str) -> float:
    wanted = {"target": "pixel", "error": "mean", "band": ALL, "predictor": predictor} | where
    rows = [row for row in found["rows"] if row["score"] == score and wanted.items() <= row.items()]
    assert len(rows) == 1
    return rows[0]["value"]


def test_a_map_that_knows_beats_what_is_trivial(found: dict) -> None:
    """Truth and samples differ by the same pattern: the map is right but for its size."""
    for target in ("pixel", "3 x 3 mean"):
        assert value(found, "samples", "spread_skill", target=target) < 0.7
        for error in ("mean", "picture"):
            where = {"target": target, "error": error}
            assert value(found, CALIBRATED, "auroc", **where) > 0.6
            assert value(found, CONSTANT, "auroc", **where) == 0.5
    assert value(found, "samples", "coverage_0.9") < 0.75
    assert value(found, CALIBRATED, "coverage_0.9") == pytest.approx(0.9, abs=0.03)
    assert value(found, CONSTANT, "coverage_0.9") == pytest.approx(0.9, abs=0.05)
    scores = [value(found, name, "interval_score_0.9") for name in (CALIBRATED, CONSTANT, BEST)]
    assert scores[0] == min(scores)
    assert value(found, CALIBRATED, "crps") < value(found, CONSTANT, "crps")
    mean, low, high = found["gains"][CONSTANT]
    assert 0 < low < mean < high
    assert mean == pytest.approx(scores[1] - scores[0])
    assert value(found, SPREAD, "ence") > value(found, CALIBRATED, "ence")


def test_the_mean_of_the_bands_is_ranked_too(found: dict) -> None:
    own = value(found, CALIBRATED, "auroc", band=MEAN)
    assert value(found, CONSTANT, "auroc", band=MEAN) == pytest.approx(0.5, abs=0.02)
    assert 0.5 < own <= 1


def test_the_section_says_so(found: dict) -> None:
    section = make_section({"one <& two": found, "other": found})
    page = to_html(section)
    assert "one &lt;&amp; two: by the score of its 90 % intervals the calibrated map is better" in (
        page
    )
    assert "Made up." in page and page.count("<table>") == 4
    assert "hold 2.0% of the pixels, in 50% of the pictures. Where edges are" in page
    assert "1.50 times as far off as elsewhere" in page and "the error is" not in page
    nowhere = found | {"check_here": found["check_here"] | {"area": 0.0}}
    assert "No picture had a place to check." in to_html(make_section({"x": nowhere}))
    keys = [figure.key for figure in section.figures]
    assert keys == ["reliability", "ranks", "sparsification", "spread-skill"]
    for figure in section.figures:
        assert all("template" not in spec["layout"] for spec in figure.views.values())
    assert list(section.figures[0].views) == ["one <& two", "other"]
    bars = section.figures[1].views["other"]["data"][0]
    assert sum(bars["y"]) == pytest.approx(100, abs=0.01) and len(bars["x"]) == 9


def test_places_are_judged_by_the_error_in_them(tiny_pipeline: Pipeline) -> None:
    error = np.ones((2, 4, 4))
    inside = np.zeros(error.shape, bool)
    inside[0, :2, :2] = True
    error[inside] = 3
    assert ratio(error, inside) == 3 and math.isnan(ratio(error, ~np.zeros_like(inside)))
    values = np.arange(16.0).reshape(4, 4)
    assert highest(values, 3).ravel().tolist() == [False] * 13 + [True] * 3
    assert math.isnan(ratio(np.where(inside, np.nan, 1.0), inside)), "nothing is known inside"
    settings = Settings(steps=1, refine_steps=1)
    found = judge_places(tiny_pipeline, make_cases(2), settings, 3)
    runs = [
        tiny_pipeline(case.lr, dataclasses.replace(settings, samples=3, settle=0.0))
        for case in make_cases(2)
    ]
    checks = [run.uncertainty.check[4:-4, 4:-4] for run in runs]
    assert found["area"] == pytest.approx(np.mean(checks))
    every = ("structure", "brightness", "generated", "input")
    for run in runs:
        marked = mask_of(run, every)
        assert (marked != run.uncertainty.check).mean() < 0.01, "outlines are the mask's"
        assert not mask_of(run, ()).any()


def test_a_report_draws_once(tiny_pipeline: Pipeline, tmp_path: Path) -> None:
    cases, told = make_cases(4), []
    wanted = [("tiny", Settings(steps=1, refine_steps=1))]

    def judge(samples: int = 4) -> dict:
        told.clear()
        return judge_reliability(
            cases, tiny_pipeline, wanted, samples=samples, folder=tmp_path, on_progress=told.append
        )

    first = judge()
    assert [one.done for one in told] == [1, 2, 3, 4] and isinstance(told[0], Progress)
    assert "fitted for this report" in first["tiny"]["calibration"]
    again = judge()
    assert not told and str(again) == str(first), "kept"
    judge(5)
    assert len(told) == 4, "of other samples"
    (tmp_path / KEPT).write_text("[]")
    judge()
    assert len(told) == 4, "a damaged file is made anew"
    with (tmp_path / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"tiny"}
    assert {row["band"] for row in rows} == {"R", "G", "B", "NIR", ALL, MEAN}
    assert all(row["value"] for row in rows)


def test_the_report_has_the_section_where_samples_were_asked_for(
    tiny_pipeline: Pipeline, tmp_path: Path
) -> None:
    options = ("--methods", "bicubic,refine", "--steps", "1", "--refine-steps", "1")

    def page(samples: int) -> str:
        make_report(
            Dataset(title="Blocks", description="", cases=make_cases(3)),
            make_tiny(tiny_pipeline, *options),
            Judge(metrics=["psnr"]),
            folder=tmp_path,
            metrics=["psnr"],
            seed=0,
            sweep_every=1,
            detail=False,
            options=make_options(*options),
            command=[],
            on_progress=lambda progress: None,
            samples=samples,
        )
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    assert "Reliability of the uncertainty" not in page(0)
    full = page(4)
    assert "Reliability of the uncertainty" in full and "ldsr + refine: by band" in full
    for key in ("reliability", "ranks", "sparsification", "spread-skill"):
        assert f'data-figure="{key}"' in full


def test_what_cannot_be_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiles = tmp_path / "tiles.npz"
    np.savez(tiles, image=make_tiles(2), place=np.zeros(2, np.int16))
    for arguments, said in (
        (["--calibrate", str(tiles), "--presets", "odd"], "no preset 'odd'"),
        (["--calibrate", str(tiles), "--presets", "fast"], "1 place cannot be split"),
        (["--pairs", str(tiles), "--samples", "3"], "--samples is 3; expected 0, or 4 to 32"),
        (["--pairs", str(tiles), "--samples", "4"], "1 place cannot be split"),
    ):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
