"""A checkpoint file in the published layout, through `Pipeline.load("ldsr-s2")`, odd sizes too."""

import dataclasses
from pathlib import Path

import pytest
import torch
from opensr_model.srmodel import SRLatentDiffusion

from ldsr import loading, weights
from ldsr.errors import WeightsError
from ldsr.models.geometry import PUBLISHED
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings
from tests.conftest import make_patch
from tests.test_published import TINY, oracle_config

NARROW = PUBLISHED | {"autoencoder": {"channels": TINY}, "denoiser": {"channels": TINY}}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Lightning checkpoint of the published package, narrow, where the product looks for it."""
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    monkeypatch.setattr(loading, "PUBLISHED", NARROW)
    entry = dataclasses.replace(weights.WEIGHTS["ldsr-s2"], sha256=None, bytes=None)
    monkeypatch.setattr(weights, "WEIGHTS", {**weights.WEIGHTS, "ldsr-s2": entry})
    path = entry.path
    path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    state = SRLatentDiffusion(oracle_config(TINY, TINY)).model.state_dict()
    torch.save({"state_dict": state | {"loss.perceptual": torch.zeros(1)}, "epoch": 3}, path)
    return path


def test_it_runs_with_its_own_schedule_at_any_size(checkpoint: Path) -> None:
    pipeline = Pipeline.load("ldsr-s2", device="cpu")
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    schedule = pipeline.loaded.schedule
    assert torch.allclose(schedule.alphas_cumprod.float(), state["alphas_cumprod"])
    for size, settings in (
        ((16, 21), Settings(steps=3, eta=0.95, refine_steps=1)),
        ((18, 16), Settings(steps=7, sampler="dpm", refine_steps=1)),
    ):
        result = pipeline(make_patch(*size), settings)
        assert result.sr.size == (4 * size[0], 4 * size[1])
        assert result.settings.temperature == 1.0
        assert result.residual_after <= 1e-4
        # stage 2 works on its base in the mini model's language
        assert result.figures["refine"].steps_computed > 0
        assert result.detail.max() <= settings.detail_cap


@pytest.mark.parametrize("damage", ["missing", "shape", "schedule"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(checkpoint: Path, damage: str) -> None:
    content = torch.load(checkpoint, weights_only=True)
    state = content["state_dict"]
    if damage == "missing":
        del state["first_stage_model.quant_conv.bias"]
    elif damage == "shape":
        state["first_stage_model.quant_conv.bias"] = torch.zeros(3)
    else:
        state["alphas_cumprod"] = torch.ones(1000)
    torch.save(content, checkpoint)
    with pytest.raises(WeightsError) as error:
        Pipeline.load("ldsr-s2", device="cpu")
    assert "\n" not in str(error.value)
