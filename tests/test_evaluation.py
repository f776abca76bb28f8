"""Scores: known answers, and the pairs they are computed on."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from evaluation.__main__ import main
from evaluation.aerial import load_pairs, make_pair
from evaluation.detail import Refined, judge_detail
from evaluation.fidelity import psnr
from evaluation.grid import grid_power
from evaluation.perceptual import Lpips, stretch
from ldsr.errors import MetricError


def make_tiles(count: int = 2) -> np.ndarray:
    """Blocks of 16 px, uint8 [count, 4, 128, 128]."""
    random = np.random.default_rng(0)
    blocks = random.integers(40, 220, (count, 4, 8, 8), dtype=np.uint8)
    return blocks.repeat(16, axis=2).repeat(16, axis=3)


def test_psnr_of_a_known_error() -> None:
    hr = np.full((4, 8, 8), 0.3, np.float32)
    assert psnr(hr + 0.01, hr) == pytest.approx(40, abs=1e-3)


def test_pairs_share_brightness_and_place() -> None:
    pair = make_pair(make_tiles(1)[0], name="tile")
    assert pair.lr.size == (16, 16) and pair.hr.shape == (4, 64, 64)
    assert np.allclose(pair.lr.reflectance.mean((1, 2)), pair.hr.mean((1, 2)), rtol=0.03)
    flat = make_pair(np.full((4, 128, 128), 100, np.uint8), name="flat")
    assert np.allclose(flat.lr.reflectance, flat.hr[:, ::4, ::4], rtol=1e-6)
    turned = make_pair(make_tiles(1)[0][:, ::-1, ::-1], name="turned")
    assert np.allclose(turned.lr.reflectance, pair.lr.reflectance[:, ::-1, ::-1], atol=1e-6)


def test_a_grid_is_seen_and_a_clean_picture_is_clean() -> None:
    random = np.random.default_rng(1)
    clean = random.normal(0.2, 0.02, (4, 256, 256)).astype(np.float32)
    assert grid_power(clean).max() < 2
    for period, index in ((4, 0), (2, 1)):
        stripes = 0.01 * np.cos(2 * np.pi * np.arange(256) / period)
        assert grid_power(clean + stripes)[1, :, index].min() > 5, "horizontal"
        assert grid_power(clean + stripes)[0].max() < 2, "not vertical"
        assert grid_power(clean + stripes[:, None])[0, :, index].min() > 5, "vertical"


def test_stretch_comes_from_the_reference() -> None:
    reference = np.linspace(0, 1, 10_000).reshape(1, 100, 100)
    assert stretch(np.array([[[0.0, 0.5, 1.0, 3.0]]]), reference).ravel() == pytest.approx(
        [-1, 0, 1, 1], abs=1e-3
    )


def test_missing_perceptual_weights_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MetricError, match="alexnet"):
        Lpips()


def test_detail_that_points_at_what_helped_scores_high() -> None:
    random = np.random.default_rng(0)
    hr = random.random((4, 32, 32))
    base = hr + 0.1
    better = np.zeros((32, 32))
    better[:, :16] = 1
    sr = base - 0.05 * better + 0.05 * (1 - better)

    def score(detail: np.ndarray) -> float:
        return judge_detail([Refined(hr=hr, base=base, sr=sr, detail=detail)]).auroc

    assert score(better) > 0.9
    assert score(1 - better) < 0.1
    assert score(np.full((32, 32), 0.5)) == pytest.approx(0.5)
    scores = judge_detail([Refined(hr=hr, base=base, sr=sr, detail=better)])
    assert scores.helped == pytest.approx(0.5, abs=0.05)
    assert scores.gain[0] < 0 < scores.gain[-1]
    assert scores.detail[0] == 0 and scores.detail[-1] == 1


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    tiles, report = tmp_path / "tiles.npz", tmp_path / "report"
    np.savez(tiles, image=make_tiles())
    asked = ["--pairs", str(tiles), "--steps", "2", "--methods", "bicubic,regression,base,refine"]
    assert main([*asked, "--out", str(report)]) == 0
    out = capsys.readouterr().out
    found = re.findall(r"^\| (bicubic|regression|base, 2 DDIM steps|ldsr \+ refine) \|", out, re.M)
    assert found == ["bicubic", "regression", "base, 2 DDIM steps", "ldsr + refine"]
    assert (report / "scores.csv").read_text().count("\n") == 1 + 4 * 2
    assert re.search(r"AUROC 0\.\d+", out)
    assert (report / "detail.csv").read_text().count("\n") == 11
    page = (report / "report.html").read_text()
    assert "unavailable: LPIPS needs" in page and str(tmp_path) not in page

    table = out[out.index("| as given") : out.index("\n\n")]
    assert main(["--table", str(report)]) == 0
    assert capsys.readouterr().out.strip() == table, "printed again from scores.csv"


def test_command_line_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tiles = tmp_path / "tiles.npz"
    np.savez(tiles, image=make_tiles())
    out = ["--out", str(tmp_path / "report")]
    for asked, said in (
        (["--pairs", str(tiles), "--methods", "magic"], "no method 'magic'"),
        (["--pairs", str(tiles), "--metrics", "magic"], "no metric 'magic'"),
        (["--pairs", str(tiles), "--every", "0"], ": --every is 0"),
        (["--pairs", str(tiles), "--sweep-every", "0"], ": --sweep-every is 0"),
        (["--pairs", str(tiles), "--foreign", "magic"], "expected NAME=FOLDER"),
        (["--pairs", str(tiles), "--foreign", f"x={tmp_path / 'none'}"], "There is no folder"),
        (["--pairs", str(tmp_path / "none.npz")], "none.npz"),
        (["--table", str(tmp_path)], "make a report"),
        (["--opensr-test", "venus"], "add --fetch"),
        ([str(tiles)], "1 files; expected LR SR"),
    ):
        assert main([*asked, *out]) == 2, asked
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, (asked, error)
    np.savez(tiles, image=make_tiles()[:, :3])
    assert main(["--pairs", str(tiles)]) == 2
    assert "expected uint8" in capsys.readouterr().err


def test_one_pair_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    np.savez(tmp_path / "tiles.npz", image=make_tiles(1))
    assert main(["--pairs", str(tmp_path / "tiles.npz"), "--export", str(tmp_path)]) == 0
    lr, hr = (str(tmp_path / part / "tiles_000.tif") for part in ("lr", "hr"))
    capsys.readouterr()
    assert main([lr, hr, hr]) == 0
    assert re.search(r"^PSNR ↑ +∞ dB$", capsys.readouterr().out, re.M)
    assert main([lr, hr, "--json"]) == 0
    scores = {row["name"]: row for row in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["psnr"]["status"] == "not applicable"
    assert scores["input_reflectance"]["value"] < 0.01
    assert main([lr, lr]) == 2
    assert "expected 64" in capsys.readouterr().err


def test_wrong_tiles_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.npz"
    path.write_text("no tiles")
    with pytest.raises(MetricError):
        load_pairs(path)


def test_benchmark_prints_a_line_a_size(capsys: pytest.CaptureFixture) -> None:
    from evaluation import benchmark

    assert benchmark.main(["--sizes", "32", "24", "--steps", "1", "--repeat", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["24", "32"]
    assert all("total" in line and "peak" in line for line in lines)
    assert benchmark.main(["--weights", "magic"]) == 2
