"""The threshold study: it runs what the pipeline runs, and counts what it costs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import threshold_study
from evaluation.aerial import make_pair
from evaluation.flops import main as flops_main
from evaluation.flops import step_cost
from evaluation.threshold_report import draw, to_markdown
from evaluation.threshold_study import make_settings, run_batch, study
from ldsr.models.geometry import MINI
from ldsr.models.unet import UNet
from ldsr.pipeline import Pipeline
from ldsr.sampling.cache import FORMS
from ldsr.settings import SKIP_FORMS, Settings
from tests.conftest import TINY
from tests.test_evaluation import make_tiles


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_batch_is_what_the_pipeline_makes_of_each(
    tiny_pipeline: Pipeline, threshold: float
) -> None:
    pairs = [make_pair(tile, name="made") for tile in make_tiles(2)]
    settings = Settings(steps=4, skip_threshold=threshold, refine=False, seed=3)
    lr = torch.from_numpy(np.stack([pair.lr.reflectance for pair in pairs]))
    outcome = run_batch(tiny_pipeline.loaded, lr, settings)
    for i, pair in enumerate(pairs):
        result = tiny_pipeline(pair.lr, settings)
        assert np.allclose(outcome.pictures[i], result.sr.reflectance, atol=2e-4)
        assert outcome.computed[i] == result.steps_computed
        assert outcome.skipped[i] == result.steps_skipped
    assert (sum(outcome.skipped) > 0) == (threshold > 0)


def test_rows_state_cost_and_difference(
    tiny_pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    pairs = [make_pair(tile, name="made") for tile in make_tiles(3)]
    plain = Settings(steps=4, refine=False, skip_threshold=0.0)
    runs = [plain, Settings(steps=4, refine=False, skip_threshold=0.9, skip_form="shallow")]
    cost = step_cost(TINY["denoiser"], (16, 16))
    rows = study(tiny_pipeline.loaded, pairs, runs, cost=cost, batch=2)
    first, cached = rows
    assert first["computed"] == 4 and first["difference"] == 0 and first["flops_ratio"] == 1
    assert cached["computed"] + cached["skipped"] == 4 and cached["skipped"] > 0
    operations = cached["computed"] * cost.full + cached["skipped"] * cost.hit["shallow"]
    assert cached["gflops"] == pytest.approx(operations / 1e9)
    assert cached["flops_ratio"] == pytest.approx(first["gflops"] / cached["gflops"])
    assert np.isnan(cached["lpips"]), "no weights, no number"
    table = to_markdown(rows).splitlines()
    assert table[2].startswith("| DDIM 4 |") and table[3].startswith("| DDIM 4, shallow 0.9 |")
    assert len({line.count("|") for line in table}) == 1
    pytest.importorskip("matplotlib")
    draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_the_reference_comes_first_and_once() -> None:
    runs = make_settings()
    assert runs[0].steps == 50 and runs[0].sampler == "ddim" and runs[0].skip_threshold == 0
    assert len(set(runs)) == len(runs)
    assert all(run.skip_threshold == 0 for run in runs if run.sampler == "dpm")
    assert {run.skip_form for run in runs} == set(SKIP_FORMS) == set(FORMS) - {"finest"}


def test_command_line(
    tiny_pipeline: Pipeline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(threshold_study, "STEPS", (1, 2))
    monkeypatch.setattr(threshold_study, "load_weights", lambda *_: tiny_pipeline.loaded)
    tiles = tmp_path / "tiles.npz"
    np.savez(tiles, image=make_tiles())
    asked = ["--cached-steps", "3", "--thresholds", "0.3", "0.5", "--device", "cpu"]
    out = tmp_path / "out"
    assert threshold_study.main(["--pairs", str(tiles), *asked, "--out", str(out)]) == 0
    table = capsys.readouterr().out
    assert "| DDIM 3, literal 0.3 |" in table and "| DDIM 3, literal 0.5 |" not in table
    assert (out / "thresholds.csv").read_text().count("\n") == 1 + 1 + 4 + 6
    assert {path.name for path in out.iterdir()} == {"thresholds.csv", "thresholds.png"}
    assert threshold_study.main(["--pairs", str(tmp_path / "none.npz")]) == 2


def test_operations_are_those_of_the_layers() -> None:
    """Two for each multiplication with its addition, by hand for what a "residual" hit computes."""
    with torch.device("meta"):
        unet = UNet(**MINI["denoiser"])
    block = unet.down[0]["blocks"][0]
    convolutions = [unet.conv_in, block.conv1, block.conv2, unet.conv_out]
    linear = [unet.time[0], unet.time[2], block.embed]
    expected = sum(2 * 16 * 24 * layer.weight.numel() for layer in convolutions)
    expected += sum(2 * layer.weight.numel() for layer in linear)
    cost = step_cost(MINI["denoiser"], (16, 24))
    assert cost.hit["residual"] == cost.hit["literal"] == expected
    assert cost.hit["residual"] < cost.hit["shallow"] < cost.full


def test_flops_print_both_sizes(capsys: pytest.CaptureFixture) -> None:
    assert flops_main(["--size", "16", "16"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["mini", "ldsr-s2"]
