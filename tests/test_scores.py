"""Pixel, colour and consistency scores: known answers, other libraries' answers, and reasons."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import shift as move

from evaluation import consistency
from evaluation.fidelity import (
    BORDER,
    SMALL,
    SMALL_BORDER,
    border_of,
    crop,
    psnr,
    squared_error,
    ssim,
)
from evaluation.judge import COMPUTE, Judge
from evaluation.metrics import METRICS
from evaluation.pair_scores import score_files
from evaluation.score import ARROWS, Missing, Score, not_applicable, unavailable
from evaluation.spectral import ergas, ndvi_error, spectral_angle
from ldsr.data.geotiff import write_patch
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError, MetricError, PatchError, WeightsError
from tests.pictures import make_hr, make_lr, make_sr, place

PLAIN = ("psnr", "ssim", "rmse", "ergas", "spectral_angle", "ndvi")


@pytest.fixture(scope="module")
def triple() -> tuple[Patch, Patch, Patch]:
    """Result, input, reference."""
    hr = make_hr()
    lr = make_lr(hr)
    return make_sr(lr), lr, hr


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights on this machine."""
    for name in ("TORCH_HOME", "LDSR_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def values(scores: list[Score]) -> dict[str, float | None]:
    return {score.metric.name: score.value for score in scores}


def test_every_metric_says_what_it_sees_and_misses() -> None:
    assert set(METRICS) == set(COMPUTE)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.better in ARROWS and metric.needs in ("reference", "input", "both", "nothing")
        for sentence in (metric.sees, metric.misses):
            assert sentence.endswith(".") and len(sentence) > 20


def test_pixel_scores_agree_with_scikit_image_and_torchmetrics(triple: tuple) -> None:
    from skimage import metrics
    from torchmetrics.functional import image

    sr, hr = (crop(p.reflectance, BORDER) for p in (triple[0], triple[2]))
    found = psnr(triple[0].reflectance, triple[2].reflectance, border=BORDER)
    assert found == pytest.approx(metrics.peak_signal_noise_ratio(hr, sr, data_range=1), abs=1e-4)
    pair = [torch.from_numpy(x.copy())[None] for x in (sr, hr)]
    oracle = image.peak_signal_noise_ratio(*pair, data_range=1.0)
    assert found == pytest.approx(float(oracle), abs=1e-4)
    bands = [
        metrics.structural_similarity(
            a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(sr, hr, strict=True)
    ]
    similar = ssim(triple[0].reflectance, triple[2].reflectance, border=BORDER)
    assert similar == pytest.approx(bands, abs=1e-6)
    maps = image.structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
    oracle = crop(maps[1][0].numpy(), 5).mean((1, 2))  # its mean takes reflected edges in
    assert similar == pytest.approx(oracle, abs=1e-4)
    angle = image.spectral_angle_mapper(*pair)
    assert spectral_angle(sr, hr) == pytest.approx(np.degrees(float(angle)), abs=1e-3)
    error = np.square(sr - hr).mean((1, 2))
    oracle = image.error_relative_global_dimensionless_synthesis(*pair, ratio=0.25)
    assert ergas(error, hr.mean((1, 2))) * 16 == pytest.approx(float(oracle), rel=1e-4)


def test_known_answers() -> None:
    hr = np.full((4, 40, 40), 0.2)
    assert squared_error(hr + 0.01, hr) == pytest.approx([0.01**2] * 4)
    assert squared_error(hr + 1, hr) == pytest.approx([0.8**2] * 4), "clipped to 0..1"
    assert squared_error(hr + 1, hr, data_range=None) == pytest.approx([1] * 4)
    assert psnr(hr, hr) == float("inf")
    assert spectral_angle(2 * hr, hr) == 0
    red = np.array([1.0, 0, 0, 0])[:, None, None]
    assert spectral_angle(red, np.roll(red, 1, 0)) == pytest.approx(90)
    assert ergas(np.full(4, 0.02**2), np.full(4, 0.2)) == pytest.approx(2.5)
    greener = hr.copy()
    greener[3] = 0.6
    assert ndvi_error(greener, hr) == pytest.approx(0.5)
    assert np.isnan(spectral_angle(0 * hr, hr)) and np.isnan(ndvi_error(0 * hr, hr))


def test_what_is_not_valid_counts_nowhere(triple: tuple) -> None:
    sr, lr, hr = triple
    valid = np.ones(hr.size, bool)
    valid[32:64, 48:88] = False
    wrecked = np.where(valid, sr.reflectance, 5.0)
    judge = Judge(metrics=[*PLAIN, "input_reflectance", "improvement"])
    one = judge.scores(place(wrecked, 2.5, valid=valid), lr=lr, hr=hr)
    hole = place(np.where(valid, hr.reflectance, 3.0), 2.5, valid=valid)
    two = judge.scores(place(wrecked, 2.5, valid=valid), lr=lr, hr=hole)
    assert values(one) == pytest.approx(values(two))
    whole = values(judge.scores(sr, lr=lr, hr=hr))
    assert values(one)["psnr"] == pytest.approx(whole["psnr"], abs=1.5)
    assert values(one)["input_reflectance"] == pytest.approx(whole["input_reflectance"], rel=0.5)


def test_scores_have_provenance_and_parts(triple: tuple, nothing_here: None) -> None:
    sr, lr, hr = triple
    scores = {score.metric.name: score for score in Judge().scores(sr, lr=lr, hr=hr)}
    assert list(scores) == list(METRICS)
    for score in scores.values():
        assert (score.value is None) == (score.status != "ok")
        assert score.provenance if score.status == "ok" else score.reason and score.fix
    assert set(scores["psnr"].parts) == {"R", "G", "B", "NIR", "over the displayed range"}
    assert scores["psnr"].parts["over the displayed range"] < scores["psnr"].value
    for name in ("lpips", "lpips_nir", "clip_iqa", "sms", "sms_iou", "boundary_f"):
        assert scores[name].status == "unavailable" and scores[name].text == "–"
    triad = [scores[name].value for name in ("improvement", "omission", "hallucination")]
    assert sum(triad) == pytest.approx(1)


def test_what_is_not_given_is_said(triple: tuple) -> None:
    sr, lr, hr = triple
    alone = Judge(metrics=["psnr", "input_shift", "omission"]).scores(sr)
    assert [score.status for score in alone] == ["not applicable"] * 3
    assert "reference" in alone[0].reason and "input" in alone[1].reason
    assert all(score.fix for score in alone)
    with pytest.raises(MetricError, match="128 x 128 pixels, expected 64 x 64"):
        Judge().scores(sr, lr=place(lr.reflectance[:, :16, :16], 10))
    with pytest.raises(MetricError, match="one grid"):
        Judge().scores(sr, hr=place(hr.reflectance[:, :64, :64], 2.5))
    with pytest.raises(MetricError, match="known are psnr"):
        Judge(metrics=["magic"])
    nowhere = np.zeros(sr.size, bool)
    empty = Judge(metrics=["psnr"]).scores(place(sr.reflectance, 2.5, valid=nowhere), hr=hr)
    assert empty[0].status == "not applicable" and "valid" in empty[0].reason


def test_identical_pictures_are_perfect(triple: tuple) -> None:
    _, lr, hr = triple
    found = Judge(metrics=[*PLAIN, "improvement"]).scores(hr, lr=lr, hr=hr)
    assert found[0].text == "∞ dB"
    assert values(found)["ssim"] == pytest.approx(1)
    assert [values(found)[n] for n in ("rmse", "ergas", "spectral_angle", "ndvi")] == [0] * 4
    assert values(found)["improvement"] > 0.9


def test_a_result_that_the_sensor_cannot_tell_is_consistent(triple: tuple) -> None:
    _, lr, hr = triple
    kept = values(Judge().scores(hr, lr=lr))
    assert kept["input_reflectance"] < 1e-6 and kept["input_angle"] < 1e-3
    assert kept["input_shift"] == 0
    brighter = values(Judge().scores(place(hr.reflectance + 0.02, 2.5), lr=lr))
    assert brighter["input_reflectance"] == pytest.approx(0.02, abs=1e-4)


def test_a_shift_is_found_with_its_direction(triple: tuple) -> None:
    _, lr, hr = triple
    moved = np.stack([move(band, (4, -2), order=1, mode="nearest") for band in hr.reflectance])
    found = consistency.judge(moved, lr.reflectance, sr_valid=hr.valid, lr_valid=lr.valid)
    assert (found.rows, found.columns) == pytest.approx((1.0, -0.5), abs=0.1)
    assert found.shift == pytest.approx(np.hypot(found.rows, found.columns))


def test_what_is_missing_becomes_a_score() -> None:
    metric = METRICS["lpips"]
    error = Missing.of(WeightsError("X is not there; fetch it with: this."))
    assert (error.reason, error.fix) == ("X is not there.", "Fetch it with: this.")
    assert unavailable(metric, error.reason, error.fix).text == "–"
    assert not_applicable(metric, "why").status == "not applicable"
    assert Score(metric=METRICS["spectral_angle"], value=1.234).text == "1.23 °"


def test_a_device_that_is_not_there_is_a_reason(
    triple: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = Judge(device="cuda", metrics=["psnr", "lpips"]).scores(triple[0], hr=triple[2])
    assert [score.status for score in found] == ["ok", "unavailable"]
    assert "no GPU" in found[1].reason


def test_maps_lie_on_the_result(triple: tuple) -> None:
    sr, lr, hr = triple
    maps = Judge().maps(sr, lr=lr, hr=hr)
    assert set(maps) == {"error", "improvement", "omission", "hallucination"}
    for found in maps.values():
        assert found.shape == sr.size and found.dtype == np.float32 and np.nanmin(found) >= 0
    assert np.isnan(maps["omission"][:BORDER]).all()
    score = Judge(metrics=["omission"]).scores(sr, lr=lr, hr=hr)[0]
    assert np.nanmean(maps["omission"]) == pytest.approx(score.value, abs=1e-5)
    flat = place(np.full((4, *sr.size), 0.2), 2.5)
    empty = Judge().maps(flat, lr=place(np.full((4, *lr.size), 0.2), 10), hr=flat)
    assert np.isnan(empty["improvement"]).all() and not empty["error"].any()


def test_files_are_scored(triple: tuple, tmp_path: Path, nothing_here: None) -> None:
    sr, lr, hr = triple
    names = ("lr.tif", "sr.tif", "hr.tif")
    paths = [write_patch(p, tmp_path / n) for p, n in zip((lr, sr, hr), names, strict=True)]
    table = score_files(*paths).splitlines()
    assert len(table) == len(METRICS) and table[0].startswith("PSNR ↑")
    sheet = json.loads(score_files(*paths, as_json=True))
    assert sheet["files"] == {"lr": "lr.tif", "sr": "sr.tif", "hr": "hr.tif"}
    expected = Judge().scores(sr, lr=lr, hr=hr)
    assert [row["value"] for row in sheet["scores"]] == pytest.approx(
        [score.value for score in expected], abs=1e-6
    )
    without = json.loads(score_files(*paths[:2], as_json=True))["scores"]
    assert without[0]["status"] == "not applicable" and without[0]["value"] is None
    same = json.loads(score_files(paths[0], paths[2], paths[2], as_json=True))["scores"][0]
    assert same["value"] is None and same["text"] == "∞ dB" and same["status"] == "ok"


def test_files_that_do_not_belong_together(triple: tuple, tmp_path: Path) -> None:
    sr, lr, hr = triple

    def write(name: str, patch: Patch, **changes: object) -> Path:
        fields = {"reflectance": patch.reflectance, "valid": patch.valid}
        place = {"crs": patch.crs, "transform": patch.transform} | changes
        return write_patch(Patch(**fields, **place), tmp_path / name)

    before, after = write("lr.tif", lr), write("sr.tif", sr)
    for path, words in (
        (write("small.tif", place(hr.reflectance[:, :64, :64], 2.5)), "64 x 64 pixels, expected"),
        (write("zone.tif", hr, crs="EPSG:32632"), "EPSG:32632"),
        (write("moved.tif", hr, transform=hr.transform.translation(5, 0) * hr.transform), "apart"),
    ):
        with pytest.raises(MetricError, match=words) as error:
            score_files(before, after, path)
        assert "\n" not in str(error.value)
    with pytest.raises(PatchError, match="no file"):
        score_files(before, tmp_path / "none.tif")
    with pytest.raises(LdsrError):
        score_files(before, before)


def test_small_pictures_lose_one_pixel_of_the_input() -> None:
    assert border_of((SMALL, 4 * SMALL)) == BORDER == 16
    assert border_of((64, 512)) == SMALL_BORDER == 4
    hr = make_hr(64)
    found = Judge(metrics=["psnr"]).scores(hr, hr=hr)[0]
    assert found.provenance["border"] == "4 pixels left out along each edge"
