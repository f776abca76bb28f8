"""The only door: shapes, place, determinism, consistency, cancelling."""

import dataclasses

import numpy as np
import pytest
import torch

from ldsr.blocks import in_blocks
from ldsr.data.patch import Patch
from ldsr.errors import PatchError, WeightsError
from ldsr.models.latent_sr import LatentSR
from ldsr.pipeline import Pipeline, Step
from ldsr.settings import BASES, SAMPLERS, Settings
from tests.conftest import make_patch


def test_result_lies_where_the_input_lies(tiny_pipeline: Pipeline, patch: Patch) -> None:
    result = tiny_pipeline(patch, Settings(steps=2))
    height, width = patch.size
    assert result.sr.reflectance.shape == (4, 4 * height, 4 * width)
    assert result.sr.bounds == patch.bounds
    assert result.sr.crs == patch.crs
    assert result.sr.gsd == patch.gsd / 4


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (61, 16)])
def test_odd_and_small_sizes(tiny_pipeline: Pipeline, size: tuple[int, int]) -> None:
    result = tiny_pipeline(make_patch(*size, georeferenced=False), Settings(steps=1))
    assert result.sr.size == (4 * size[0], 4 * size[1])
    assert result.sr.crs is None and result.sr.bounds is None


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_equal_seeds_give_equal_pictures(
    tiny_pipeline: Pipeline, patch: Patch, sampler: str
) -> None:
    settings = Settings(steps=3, sampler=sampler, seed=5)
    first, again = (tiny_pipeline(patch, settings).sr.reflectance for _ in range(2))
    other = tiny_pipeline(patch, dataclasses.replace(settings, seed=6)).sr.reflectance
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_temperature_scales_the_first_noise(tiny_pipeline: Pipeline, patch: Patch) -> None:
    """None takes the weights' own and is recorded as a number; without noise the seed is idle."""
    recommended = tiny_pipeline(patch, Settings(steps=2))
    assert recommended.settings.temperature == 0.8
    stated = tiny_pipeline(patch, Settings(steps=2, temperature=0.8))
    assert np.array_equal(stated.sr.reflectance, recommended.sr.reflectance)
    cold = [
        tiny_pipeline(patch, Settings(steps=2, temperature=0.0, refine=False, seed=seed))
        for seed in (1, 2)
    ]
    assert np.array_equal(cold[0].sr.reflectance, cold[1].sr.reflectance)
    assert not np.array_equal(cold[0].sr.reflectance, stated.base.reflectance)


def test_random_state_of_the_caller_is_left_alone(tiny_pipeline: Pipeline, patch: Patch) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    tiny_pipeline(patch, Settings(steps=2, eta=1.0))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("operator", ["psf", "box"])
def test_result_seen_again_is_the_input(
    tiny_pipeline: Pipeline, patch: Patch, base: str, operator: str
) -> None:
    settings = Settings(base=base, steps=2, consistency=operator, refine_steps=2)
    result = tiny_pipeline(patch, settings)
    assert result.residual_after <= 1e-4
    assert result.residual_before > result.residual_after
    expected = 2 if base in ("ldsr", "sr3") else 0
    assert result.figures["base"].steps_computed == expected
    assert result.figures["base"].residual_after <= 1e-4


def test_without_consistency_the_residual_is_only_measured(
    tiny_pipeline: Pipeline, patch: Patch
) -> None:
    settings = Settings(base="bicubic", refine=False, consistency="none")
    result = tiny_pipeline(patch, settings)
    assert result.residual_before == result.residual_after > 0


def test_pixels_without_data_stay_so_and_spoil_nothing(tiny_pipeline: Pipeline) -> None:
    whole = make_patch(40, 48)
    valid = whole.valid.copy()
    valid[:10, :12] = False
    reflectance = np.where(valid, whole.reflectance, np.float32(0))
    holed = dataclasses.replace(whole, reflectance=reflectance, valid=valid)
    result = tiny_pipeline(holed, Settings(steps=2))
    assert not result.sr.valid[:40, :48].any() and result.sr.valid[40:].all()
    assert (result.sr.reflectance[:, :40, :48] == 0).all()
    assert result.residual_after <= 1e-4
    near_the_hole = result.sr.reflectance[:, 40:44, :48]
    assert near_the_hole.min() > -0.1, "no dark edge beside the hole"


def test_all_invalid_is_refused(tiny_pipeline: Pipeline, patch: Patch) -> None:
    nothing = dataclasses.replace(patch, valid=np.zeros_like(patch.valid))
    with pytest.raises(PatchError, match="no-data"):
        tiny_pipeline(nothing)


def test_steps_are_reported_with_a_preview(tiny_pipeline: Pipeline, patch: Patch) -> None:
    seen: list[Step] = []

    def watch(step: Step) -> None:
        seen.append(step)
        if step.preview is not None:
            assert step.preview().shape == (4, 4 * patch.size[0], 4 * patch.size[1])

    tiny_pipeline(patch, Settings(steps=3, refine_steps=2), watch)
    assert [(s.part, s.step) for s in seen] == [
        ("regress", 1),
        ("denoise", 1),
        ("denoise", 2),
        ("denoise", 3),
        ("decode", 1),
        ("consistency", 1),
        ("refine encode", 1),
        ("refine denoise", 1),
        ("refine denoise", 2),
        ("refine decode", 1),
        ("refine consistency", 1),
    ]
    assert all(s.preview for s in seen if "denoise" in s.part)


def test_raising_in_on_step_cancels(tiny_pipeline: Pipeline, patch: Patch) -> None:
    class Stop(Exception):
        pass

    def stop(step: Step) -> None:
        if step.step == 2:
            raise Stop

    with pytest.raises(Stop):
        tiny_pipeline(patch, Settings(steps=5), stop)
    assert tiny_pipeline(patch, Settings(steps=1)).sr is not None


def test_values_out_of_range_are_counted_not_clipped(tiny_pipeline: Pipeline) -> None:
    bright = make_patch()
    bright = dataclasses.replace(bright, reflectance=bright.reflectance * 4)
    result = tiny_pipeline(bright, Settings(base="bicubic", refine=False))
    values = result.sr.reflectance
    assert result.out_of_range == pytest.approx(((values < 0) | (values > 1)).mean())
    assert result.out_of_range > 0 and values.max() > 1


def test_blocks_leave_no_seam(tiny_model: LatentSR) -> None:
    """Computed in small blocks, guide and picture equal those computed at once."""
    torch.manual_seed(4)
    lr = torch.rand(1, 4, 70, 90) * 0.3

    def guide_and_features(lr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        prepared = tiny_model.prepare(lr)
        return prepared.guide, prepared.cond

    with torch.inference_mode():
        whole = guide_and_features(lr)
        blocks = in_blocks(guide_and_features, (lr,), out_scales=(4, 1), tile=32, halo=16)
    for one, other in zip(whole, blocks, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_long_run_may_skip_more_in_a_row(tiny_pipeline: Pipeline, patch: Patch) -> None:
    """Where nothing exceeds the threshold every fourth step is computed, of 64 every fifth."""
    for steps, computed in ((50, 13), (64, 13)):
        settings = Settings(steps=steps, refine=False, skip_threshold=1.0)
        assert tiny_pipeline(patch, settings).figures["base"].steps_computed == computed


def test_run_sheet_repeats_the_run(tiny_pipeline: Pipeline, patch: Patch) -> None:
    result = tiny_pipeline(patch, Settings(steps=2, seed=11))
    sheet = result.run_sheet()
    again = tiny_pipeline(patch, Settings(**sheet["settings"]))
    assert np.array_equal(again.sr.reflectance, result.sr.reflectance)
    assert sheet["weights"]["sha256"] == tiny_pipeline.sha256
    assert sheet["seconds"]["total"] >= sheet["seconds"]["denoise"]


def test_unknown_weights_and_devices_are_refused() -> None:
    with pytest.raises(WeightsError, match="mini"):
        Pipeline.load("huge")
    with pytest.raises(WeightsError, match="device"):
        Pipeline.load("mini", device="abacus")
