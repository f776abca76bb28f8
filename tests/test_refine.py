"""Stage 2: bounded by its weight map, true to its base, steered by tags, repeatable."""

import dataclasses

import numpy as np
import pytest
import torch

from ldsr import stages
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError, PatchError, WeightsError
from ldsr.loading import Parts
from ldsr.models.control import ControlBranch
from ldsr.models.fusion import gate
from ldsr.models.latent_sr import LatentSR
from ldsr.models.refiner import Refiner
from ldsr.models.unet import UNet
from ldsr.pipeline import Pipeline
from ldsr.sampling.ddim import ddim
from ldsr.sampling.dpm_solver import dpm_solver
from ldsr.sampling.noise import make_generators
from ldsr.sampling.schedule import cosine_schedule, timesteps
from ldsr.settings import SAMPLERS, Settings
from tests.conftest import TINY, TINY_REFINER, make_patch

SCHEDULE = cosine_schedule()


def refine(
    refiner: Refiner, model: LatentSR, base: torch.Tensor, **changes: object
) -> tuple[torch.Tensor, torch.Tensor, stages.Anchor]:
    """Picture, detail and anchor of stage 2 on a base, noise of seed 0."""
    settings = Settings(refine_steps=3, **changes)
    with torch.inference_mode():
        anchor = stages.anchor(refiner, model, base, control_scale=settings.control_scale)
        z, detail = stages.refine_stage(
            refiner,
            anchor,
            settings=settings,
            schedule=SCHEDULE,
            temperature=1.0,
            tags=None,
            generators=[make_generators(0)[0] for _ in base],
        )
        freedom = gate(stages.bilinear(detail))
        generated = stages.add_detail(model, z, anchor)
        return base + freedom * (generated - base), detail, anchor


def make_base(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(make_patch(64, 64, seed=seed).reflectance)[None]


# ---------------------------------------------------------------- fusion


@pytest.mark.parametrize("sampler", [ddim, dpm_solver])
def test_fusion_with_all_weight_on_the_reference_ends_there(sampler: object) -> None:
    z_ref, noise = torch.randn(2, 4, 6, 6), torch.randn(2, 4, 6, 6)
    z = sampler(
        lambda x, t: torch.randn_like(x),
        noise,
        schedule=SCHEDULE,
        timesteps=timesteps(SCHEDULE, 5),
        fuse=lambda x_t, x0, t: z_ref,
    )
    assert torch.allclose(z, z_ref, atol=1e-5)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver])
def test_fusion_that_changes_nothing_is_no_fusion(sampler: object) -> None:
    noise = torch.randn(1, 4, 6, 6)
    way = {"schedule": SCHEDULE, "timesteps": timesteps(SCHEDULE, 5)}
    plain = sampler(lambda x, t: 0.3 * x, noise, **way)
    fused = sampler(lambda x, t: 0.3 * x, noise, **way, fuse=lambda x_t, x0, t: x0)
    assert torch.allclose(plain, fused, atol=1e-4)


def test_noise_is_derived_again_from_what_was_fused() -> None:
    t = torch.tensor([400])
    x0, eps = torch.randn(1, 4, 3, 3), torch.randn(1, 4, 3, 3)
    x_t = SCHEDULE.add_noise(x0, eps, t)
    assert torch.allclose(SCHEDULE.to_eps(x0, x_t, t), eps, atol=1e-5)


@pytest.mark.parametrize("cap", [0.0, 0.3, 0.6, 1.0])
def test_detail_never_exceeds_its_cap(
    tiny_refiner: Refiner, tiny_model: LatentSR, cap: float
) -> None:
    _, detail, _ = refine(tiny_refiner, tiny_model, make_base(), detail_cap=cap)
    assert detail.min() >= 0 and detail.max() <= cap


@pytest.mark.parametrize("nothing", [{"detail_cap": 0.0}, {"refine_strength": 0.0}])
def test_without_leave_to_invent_the_base_comes_back(
    tiny_refiner: Refiner, tiny_model: LatentSR, nothing: dict
) -> None:
    base = make_base()
    picture, detail, _ = refine(tiny_refiner, tiny_model, base, **nothing)
    assert torch.equal(picture, base)
    assert not detail.any()


def test_change_grows_with_the_cap(tiny_refiner: Refiner, tiny_model: LatentSR) -> None:
    base = make_base()
    changes = [
        (refine(tiny_refiner, tiny_model, base, detail_cap=cap)[0] - base).abs().mean()
        for cap in (0.0, 0.1, 0.3)
    ]
    assert changes[0] < changes[1] < changes[2]


def test_where_detail_is_zero_the_picture_is_the_base(
    tiny_refiner: Refiner, tiny_model: LatentSR, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(z_t: torch.Tensor, *_: object) -> torch.Tensor:
        weight = torch.ones_like(z_t[:, :1])
        weight[..., : z_t.shape[-1] // 2] = 0
        return weight

    monkeypatch.setattr(tiny_refiner, "weight", half)
    base = make_base()
    picture, _, anchor = refine(tiny_refiner, tiny_model, base)
    changed = (picture - base).abs().amax((0, 1, 2))
    middle = base.shape[-1] // 2
    assert changed[: middle // 2].min() > 0
    assert changed[middle + 4 :].max() == 0, "beyond the interpolated border nothing changes"


# ---------------------------------------------------------------- structure


def test_smooth_places_have_no_structure_and_edges_have() -> None:
    base = torch.full((1, 4, 64, 64), 0.2)
    base[..., 40:] = 0.3
    base += 0.002 * torch.randn(base.shape, generator=torch.Generator().manual_seed(0))
    structure = stages.structure_of(base)
    assert structure.shape == (1, 1, 16, 16)
    assert structure[..., :7].max() == 0, "a field with a little noise"
    assert structure[..., 9:11].min() == 1, "its border"


def test_nothing_is_generated_in_a_smooth_field(
    tiny_refiner: Refiner, tiny_model: LatentSR
) -> None:
    field = torch.full((1, 4, 64, 64), 0.2) + 0.001 * torch.randn(1, 4, 64, 64)
    picture, detail, _ = refine(tiny_refiner, tiny_model, field)
    assert not detail.any() and torch.equal(picture, field)


def test_untrained_control_changes_nothing(tiny_model: LatentSR) -> None:
    torch.manual_seed(3)
    unet = UNet(**TINY["denoiser"]).eval()
    control = ControlBranch(**TINY_REFINER["control"])
    z, cond, t = torch.randn(2, 4, 9, 10), torch.randn(2, 8, 9, 10), torch.tensor([10, 900])
    with torch.inference_mode():
        injected = control(unet.pad(z), unet.pad(cond))
        assert torch.equal(unet(z, t, cond), unet(z, t, cond, control=injected))
        torch.nn.init.normal_(control.out[0].weight)
        injected = control(unet.pad(z), unet.pad(cond))
        assert not torch.equal(unet(z, t, cond), unet(z, t, cond, control=injected))


def test_control_scale_zero_switches_the_branch_off(
    tiny_refiner: Refiner, tiny_model: LatentSR
) -> None:
    base = make_base()
    with torch.inference_mode():
        off = stages.anchor(tiny_refiner, tiny_model, base, control_scale=0.0)
        on = stages.anchor(tiny_refiner, tiny_model, base, control_scale=1.0)
    assert all(not c.any() for c in off.reference.control)
    assert any(c.any() for c in on.reference.control)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of what is finer than 16 px in two pictures [4, H, W]."""

    def fine(x: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(x)[None]
        smooth = torch.nn.functional.avg_pool2d(x, 15, 1, 7, count_include_pad=False)
        return (x - smooth).flatten().numpy()

    return float(np.corrcoef(fine(a), fine(b))[0, 1])


def test_structure_follows_the_base_even_a_wrong_one() -> None:
    """With the shipped weights: refine the base of another place; the result shows that place."""
    pipeline = Pipeline.load("mini", device="cpu")
    mini, part = pipeline.mini(), pipeline.part("refiner", "")
    here, there = (
        pipeline(make_patch(24, 24, seed=seed), Settings(steps=2, refine=False)).sr.reflectance
        for seed in (0, 5)
    )
    there = np.ascontiguousarray(there[:, ::-1])
    settings = Settings(refine_strength=0.9)
    with torch.inference_mode():
        anchor = stages.anchor(
            part.network, mini.model, torch.from_numpy(there)[None], control_scale=1.0
        )
        z, _ = stages.refine_stage(
            part.network,
            anchor,
            settings=settings,
            schedule=mini.schedule,
            temperature=1.0,
            tags=None,
            generators=make_generators(0),
        )
        refined = stages.add_detail(mini.model, z, anchor)[0].numpy()
    assert not np.array_equal(refined, there)
    assert correlation(refined, there) > 0.7
    assert correlation(refined, there) > correlation(refined, here) + 0.4


# ---------------------------------------------------------------- tags


def test_tags_change_the_picture_and_no_tags_are_no_context(tiny_refiner: Refiner) -> None:
    nothing = torch.zeros(1, 10)
    assert tiny_refiner.embed(None) is None
    assert not tiny_refiner.embed(nothing).any()
    assert tiny_refiner.embed(torch.eye(10)[:1]).any()


@pytest.mark.parametrize(("weight", "evaluations"), [(0.0, 1), (1.0, 1), (2.0, 2)])
def test_guidance_takes_as_many_evaluations_as_it_needs(
    tiny_pipeline: Pipeline, patch: Patch, weight: float, evaluations: int
) -> None:
    settings = Settings(steps=1, refine_steps=3, tag_weight=weight, skip_threshold=0.0)
    result = tiny_pipeline(patch, settings)
    assert result.figures["refine"].steps_computed == 3 * evaluations


def test_person_s_tags_are_used_and_recorded(tiny_pipeline: Pipeline, patch: Patch) -> None:
    settings = Settings(steps=1, refine_steps=2, semantics="forest:3, water:1")
    forest = tiny_pipeline(patch, settings)
    snow = tiny_pipeline(patch, dataclasses.replace(settings, semantics="snow"))
    assert forest.tags_source == "person" and forest.tags["forest"] == pytest.approx(0.75)
    assert np.array_equal(forest.base.reflectance, snow.base.reflectance)
    assert not np.array_equal(forest.sr.reflectance, snow.sr.reflectance)
    assert forest.run_sheet()["tags"]["probabilities"]["water"] == 0.25


def test_tag_weight_zero_ignores_the_tags(tiny_pipeline: Pipeline, patch: Patch) -> None:
    pictures = [
        tiny_pipeline(
            patch, Settings(steps=1, refine_steps=2, semantics=semantics, tag_weight=0.0)
        ).sr.reflectance
        for semantics in ("snow", "water", "none")
    ]
    assert np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[0], pictures[2])


def test_prompt_sensitivity_is_what_other_tags_change(
    tiny_pipeline: Pipeline, patch: Patch
) -> None:
    settings = Settings(steps=1, refine_steps=2, semantics="forest:0.8, water:0.2")
    result = tiny_pipeline(patch, settings)
    found = tiny_pipeline.prompt_sensitivity(result)
    written = ", ".join(f"{tag}:{p}" for tag, p in found.other_tags.items() if p > 0)
    again = tiny_pipeline(patch, dataclasses.replace(settings, semantics=written))
    expected = np.abs(again.sr.reflectance - result.sr.reflectance).mean()
    assert found.mean == pytest.approx(expected, rel=1e-3) and found.mean > 0
    assert found.difference.shape == result.sr.size
    assert found.refinement > 0


def test_sensitivity_needs_tags(tiny_pipeline: Pipeline, patch: Patch) -> None:
    for settings in (Settings(steps=1, refine=False), Settings(steps=1, semantics="none")):
        result = tiny_pipeline(patch, settings)
        with pytest.raises(WeightsError, match="without land-cover tags"):
            tiny_pipeline.prompt_sensitivity(result)


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("base", ["ldsr", "sr3", "regression", "bicubic"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_any_base_is_refined_and_repeatable(
    tiny_pipeline: Pipeline, patch: Patch, base: str, sampler: str
) -> None:
    settings = Settings(base=base, sampler=sampler, steps=2, refine_steps=2, seed=4)
    first, again = (tiny_pipeline(patch, settings) for _ in range(2))
    assert np.array_equal(first.sr.reflectance, again.sr.reflectance)
    assert np.array_equal(first.detail, again.detail)
    assert not np.array_equal(first.sr.reflectance, first.base.reflectance)
    assert first.detail.shape == first.sr.size
    assert first.figures["refine"].steps_computed + first.figures["refine"].steps_skipped == 2


def test_without_refining_the_result_is_the_base(tiny_pipeline: Pipeline, patch: Patch) -> None:
    result = tiny_pipeline(patch, Settings(steps=1, refine=False))
    assert result.sr is result.base and result.detail is None and set(result.figures) == {"base"}


def test_threshold_zero_skips_nothing_and_a_high_one_does(
    tiny_pipeline: Pipeline, patch: Patch
) -> None:
    never = tiny_pipeline(patch, Settings(steps=8, refine_steps=8, skip_threshold=0.0))
    often = tiny_pipeline(patch, Settings(steps=8, refine_steps=8, skip_threshold=1.0))
    assert never.steps_skipped == 0 and never.steps_computed == 16
    for figures in often.figures.values():
        assert figures.steps_skipped > 0
        assert figures.steps_computed + figures.steps_skipped == 8


def test_a_base_from_elsewhere_is_refined_as_it_is(tiny_pipeline: Pipeline, patch: Patch) -> None:
    settings = Settings(steps=1, refine_steps=2)
    whole = tiny_pipeline(patch, settings)
    again = tiny_pipeline.refine(patch, whole.base, settings)
    assert np.array_equal(again.base.reflectance, whole.base.reflectance)
    assert np.allclose(again.sr.reflectance, whole.sr.reflectance, atol=1e-5)
    with pytest.raises(PatchError, match="four times the input"):
        tiny_pipeline.refine(patch, patch, settings)


def test_files_that_took_part_are_recorded(tiny_pipeline: Pipeline, patch: Patch) -> None:
    result = tiny_pipeline(patch, Settings(base="sr3", steps=1, refine_steps=1))
    assert set(result.run_sheet()["weights"]["files"]) == {"tiny-sr3", "tiny-refiner"}
    assert result.settings.temperature == 0.5, "what the base's own weights recommend"


def test_weights_that_lack_a_part_say_so(tiny_pipeline: Pipeline, patch: Patch) -> None:
    class Bare(Parts):
        def __contains__(self, role: str) -> bool:
            return False

    cpu = torch.device("cpu")
    bare = Pipeline("bare", tiny_pipeline.loaded, cpu, parts=Bare(cpu))
    assert not bare.can_refine and bare.bases == ("ldsr", "bicubic")
    with pytest.raises(WeightsError, match="second stage"):
        bare(patch, Settings(steps=1))
    for base in ("sr3", "regression"):
        with pytest.raises(WeightsError, match=base):
            bare(patch, Settings(base=base, refine=False))
    assert bare(patch, Settings(steps=1, refine=False)).detail is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"refine_strength": 1.2},
        {"refine_steps": 0},
        {"detail_cap": -0.1},
        {"skip_threshold": 2},
        {"skip_threshold": float("nan")},
        {"skip_form": "deep"},
        {"tag_weight": 5},
        {"control_scale": 3},
        {"semantics": "jungle"},
        {"semantics": "forest:x"},
        {"refine": 1},
    ],
)
def test_settings_out_of_range_are_refused_in_one_sentence(wrong: dict) -> None:
    with pytest.raises(LdsrError) as error:
        Settings(**wrong)
    assert "\n" not in str(error.value)
    assert str(next(iter(wrong.values())))[:6] in str(error.value)
