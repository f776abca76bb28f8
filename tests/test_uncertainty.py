"""Samples of one run: equal to single runs, streamed, ended for a reason, and pointed at."""

import dataclasses

import numpy as np
import pytest
import rasterio
import torch
from scipy.ndimage import shift

from ldsr import uncertainty
from ldsr.check_here import MOST_AREA, MOST_PLACES, Evidence, find_places
from ldsr.data.geotiff import write_geotiff
from ldsr.data.patch import Patch
from ldsr.edge_spread import FAR, EdgeSpread
from ldsr.errors import LdsrError
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings
from ldsr.steps import Enough, Step
from ldsr.uncertainty import Spread, draw_samples
from tests.conftest import make_patch

QUICK = {"steps": 2, "refine_steps": 2, "samples": 5, "settle": 0.0}
WAYS = [
    {},
    {"refine": False},
    {"base": "sr3"},
    {"base": "sr3", "cascade": True},
    {"base": "regression"},
    {"base": "bicubic"},
    {"sampler": "dpm", "consistency": "none"},
    {"eta": 0.7, "skip_threshold": 0.3},
    {"tag_weight": 2.0, "consistency": "box"},
]


def singles(pipeline: Pipeline, patch: Patch, settings: Settings) -> np.ndarray:
    """The same samples as runs of their own, [N, 4, 4H, 4W]."""
    seeds = range(settings.seed, settings.seed + settings.samples)
    runs = [dataclasses.replace(settings, samples=0, seed=seed) for seed in seeds]
    return np.stack([pipeline(patch, run).sr.reflectance for run in runs])


# ---------------------------------------------------------------- sampling


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_samples_of_a_run_are_single_runs(tiny_pipeline: Pipeline, patch: Patch, way: dict) -> None:
    settings = Settings(**QUICK, **way, seed=3)
    result = tiny_pipeline(patch, settings)
    alone = singles(tiny_pipeline, patch, settings)
    found = result.uncertainty
    assert np.array_equal(result.sr.reflectance, alone[0])
    assert np.ptp(alone, axis=0).max() > 1e-4
    np.testing.assert_allclose(found.mean, alone.mean(0), atol=2e-6)
    np.testing.assert_allclose(found.std, alone.std(0, ddof=1), atol=2e-6)
    assert (found.samples, found.asked, found.ended) == (5, 5, "all")


@pytest.mark.parametrize("pixels", [1, 2 * 24 * 32, 10**9])
def test_the_map_does_not_depend_on_batches(
    tiny_pipeline: Pipeline, patch: Patch, pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny_pipeline(patch, Settings(**QUICK)).uncertainty
    monkeypatch.setattr(uncertainty, "BATCH_PIXELS", {"cpu": pixels})
    again = tiny_pipeline(patch, Settings(**QUICK)).uncertainty
    assert np.array_equal(again.std, whole.std) and np.array_equal(again.mean, whole.mean)
    assert np.array_equal(again.edge_spread, whole.edge_spread)


def test_what_does_not_depend_on_noise_is_computed_once(
    tiny_pipeline: Pipeline, patch: Patch, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"prepare": 0, "denoise": 0, "encode": 0}
    model = tiny_pipeline.loaded.model
    for name in calls:
        original = getattr(model, name)

        def counted(*args: object, name: str = name, original=original, **more: object) -> object:
            calls[name] += 1
            return original(*args, **more)

        monkeypatch.setattr(model, name, counted)
    tiny_pipeline(patch, Settings(**QUICK, skip_threshold=0.0))
    # the first sample alone, the other four in one batch
    assert calls == {"prepare": 1, "denoise": 4, "encode": 2}
    tiny_pipeline(patch, Settings(**QUICK, base="regression"))
    assert calls == {"prepare": 2, "denoise": 4, "encode": 3}


def test_samples_are_drawn_of_a_finished_run(tiny_pipeline: Pipeline, patch: Patch) -> None:
    for way in ({}, {"base": "bicubic"}, {"refine": False}):
        settings = Settings(**QUICK, **way)
        whole = tiny_pipeline(patch, settings)
        first = tiny_pipeline(patch, dataclasses.replace(settings, samples=0))
        later = tiny_pipeline.sample(first, 5)
        assert first.uncertainty is None and later.sr is first.sr
        assert later.settings.samples == 5 and "sample" in later.seconds
        assert np.array_equal(later.uncertainty.std, whole.uncertainty.std)


def test_samples_of_a_base_from_elsewhere_keep_that_base(
    tiny_pipeline: Pipeline, patch: Patch
) -> None:
    bicubic = tiny_pipeline(patch, Settings(**QUICK, base="bicubic"))
    result = tiny_pipeline.refine(patch, bicubic.base, Settings(**QUICK))
    assert result.base_given and result.run_sheet()["base_given"]
    assert "made elsewhere" in result.uncertainty.uncalibrated
    again = tiny_pipeline.sample(dataclasses.replace(result, uncertainty=None), 5)
    assert np.array_equal(again.uncertainty.std, result.uncertainty.std)
    assert np.array_equal(bicubic.uncertainty.std, result.uncertainty.std)


def test_gaps_stay_empty(tiny_pipeline: Pipeline) -> None:
    patch = make_patch()
    valid = patch.valid.copy()
    valid[:4, :8] = False
    result = tiny_pipeline(dataclasses.replace(patch, valid=valid), Settings(**QUICK))
    found = result.uncertainty
    for layer in (found.mean, found.std, found.scale, found.half_width(0.9)):
        assert not layer[:, :16, :32].any() and layer[:, 16:, 32:].all()
    assert not found.check[:16, :32].any() and not found.edge_spread[:16, :32].any()


# ---------------------------------------------------------------- ending


def test_cancelling_keeps_what_is_there(tiny_pipeline: Pipeline, patch: Patch) -> None:
    def stop_at(last: int):
        def on_step(step: Step) -> None:
            if step.part == "sample" and step.step >= last and (last == 1 or step.preview):
                raise Enough

        return on_step

    whole = tiny_pipeline(patch, Settings(**{**QUICK, "samples": 3})).uncertainty
    kept = tiny_pipeline(patch, Settings(**QUICK), stop_at(3)).uncertainty
    assert (kept.samples, kept.asked, kept.ended) == (3, 5, "cancelled")
    assert np.array_equal(kept.std, whole.std)
    seconds = tiny_pipeline(patch, Settings(**QUICK), stop_at(3)).seconds
    assert seconds["total"] >= seconds["sample"] + seconds["denoise"] > seconds["sample"]
    none = tiny_pipeline(patch, Settings(**QUICK), stop_at(1))
    assert none.uncertainty is None and none.run_sheet()["uncertainty"] is None


def test_each_sample_is_told_with_its_picture_and_the_map(
    tiny_pipeline: Pipeline, patch: Patch
) -> None:
    told = []

    def on_step(step: Step) -> None:
        if step.part == "sample" and step.preview is not None:
            told.append((step.step, step.steps, step.preview(), step.spread()))

    settings = Settings(**QUICK)
    found = tiny_pipeline(patch, settings, on_step).uncertainty
    alone = singles(tiny_pipeline, patch, settings)
    assert [(done, of) for done, of, *_ in told] == [(i, 5) for i in range(2, 6)]
    for done, _, picture, _ in told:
        np.testing.assert_allclose(picture, alone[done - 1], atol=1e-6)
    np.testing.assert_allclose(told[-1][3], found.std.mean(0), atol=1e-7)


def test_it_ends_when_the_map_has_settled() -> None:
    random = np.random.default_rng(0)
    pictures = torch.from_numpy(random.normal(0.2, 0.01, (32, 4, 40, 40)).astype(np.float32))

    def run(settle: float, batch: int) -> uncertainty.Drawn:
        return draw_samples(
            pictures[0],
            lambda samples: pictures[samples.start : samples.stop],
            count=32,
            settle=settle,
            batch=batch,
            on_sample=lambda progress: None,
        )

    settled = run(0.02, 1)
    assert settled.ended == "settled" and 4 <= settled.spread.count < 32
    assert settled.change < 0.02
    for batch in (5, 40):  # in whatever batches they are drawn
        again = run(0.02, batch)
        assert again.spread.count == settled.spread.count
        assert torch.equal(again.spread.std, settled.spread.std)
    assert run(0.0, 8).spread.count == 32
    assert run(0.1, 8).spread.count < settled.spread.count


def test_settings_that_draw_nothing_are_refused() -> None:
    with pytest.raises(LdsrError, match="draws nothing"):
        Settings(base="bicubic", refine=False, samples=4)
    with pytest.raises(LdsrError, match="temperature above 0"):
        Settings(refine=False, temperature=0.0, samples=4)
    assert Settings(refine=False, temperature=0.0, eta=0.5, samples=4).draws
    assert not Settings(refine=False, temperature=0.0, eta=0.5, sampler="dpm").draws
    for wrong in (1, 33, -1, 2.0):
        with pytest.raises(LdsrError, match="samples is"):
            Settings(samples=wrong)
    assert Settings(base="bicubic", samples=4).samples == 4


# ---------------------------------------------------------------- streaming


def test_spread_is_mean_and_deviation() -> None:
    pictures = torch.from_numpy(np.random.default_rng(1).normal(0.3, 0.05, (32, 4, 8, 9)))
    spread = Spread()
    for picture in pictures:
        spread.add(picture)
    assert torch.allclose(spread.mean, pictures.mean(0))
    assert torch.allclose(spread.std, pictures.std(0))
    one = Spread()
    one.add(pictures[0])
    assert not one.std.any()


def fields(edge: float, *, brightness: float = 1.0) -> np.ndarray:
    """Two fields [4, 64, 64] with a border at column 32 + edge."""
    columns = np.arange(64)[None, :]
    border = 1 / (1 + np.exp(-(columns - 32 - edge) / 0.7))
    return brightness * np.broadcast_to(0.1 + 0.2 * border, (4, 64, 64)).astype(np.float32)


def spread_of(*pictures: np.ndarray) -> np.ndarray:
    edges = EdgeSpread()
    for picture in pictures:
        edges.add(picture)
    return edges.pixels


def test_edge_spread_sees_where_edges_are_and_not_how_bright_it_is() -> None:
    bright = spread_of(*(fields(0, brightness=1 + 0.1 * k) for k in range(-2, 3)))
    assert not bright.any()
    moved = spread_of(*(fields(edge) for edge in (0, -2, -1, 1, 2)))[8:-8]
    deviation = np.sqrt((4 + 1 + 1 + 4) / 4 / 2)
    # five edges a row: the first is off by the mean of all, each other by its own in one sample
    alone = np.mean([deviation, 2 / 8**0.5, 1 / 8**0.5, 1 / 8**0.5, 2 / 8**0.5])
    assert moved[:, 32] == pytest.approx(alone, abs=0.15)
    assert not moved[:, :24].any() and not moved[:, 41:].any()
    gone = spread_of(fields(0), np.full((4, 64, 64), 0.2, np.float32))
    assert gone.max() == pytest.approx(FAR / 2**0.5)
    assert np.array_equal(gone, spread_of(fields(0, brightness=0.5), fields(0)[:, ::-1] * 0 + 0.1))


def test_edges_of_noise_are_no_edges() -> None:
    random = np.random.default_rng(0)
    for level, noise in ((0.02, 1e-3), (0.3, 5e-3)):  # water, and a field
        sea = level + random.normal(0, noise, (6, 4, 64, 64)).astype(np.float32)
        assert not spread_of(*sea).any()


def test_an_edge_that_gets_weaker_has_not_moved() -> None:
    weak = 0.2 + 0.7 * (fields(0) - 0.2)
    assert spread_of(fields(0), weak, fields(0)).max() < 0.05


# ---------------------------------------------------------------- places to check


def evidence(**changes: object) -> Evidence:
    size = (96, 96)
    quiet = {
        "brightness": np.full(size, 0.2, np.float32),
        "half_width": np.full(size, 0.01, np.float32),
        "edge_spread": np.full(size, 0.1, np.float32),
        "change": np.full(size, 0.002, np.float32),
        "residual": np.full((24, 24), 5e-5, np.float32),
        "valid": np.ones(size, bool),
    }
    return Evidence(**{**quiet, **changes})


def spot(value: float, base: float, rows: slice, columns: slice) -> np.ndarray:
    field = np.full((96, 96), base, np.float32)
    field[rows, columns] = value
    return field


def test_nothing_is_pointed_at_where_nothing_stands_out() -> None:
    places, check = find_places(evidence())
    assert places == () and not check.any()
    everywhere = evidence(valid=np.zeros((96, 96), bool))
    assert find_places(everywhere)[0] == ()


HERE = (slice(40, 52), slice(20, 36))


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"edge_spread": spot(2.0, 0.1, *HERE)}, "structure", "where edges are: ± 5.0 m"),
        ({"half_width": spot(0.25, 0.01, *HERE)}, "brightness", "90 % interval is wide"),
        ({"change": spot(0.15, 0.002, *HERE)}, "generated", "Stage 2 changed"),
        (
            {"residual": spot(0.03, 5e-5, *HERE)[::4, ::4].copy()},
            "input",
            "differs from the input by 0.0",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_place_is_outlined_with_its_reason(changes: dict, reason: str, words: str) -> None:
    (place,), check = find_places(evidence(**changes))
    assert place.reason == reason and words in place.text and place.severity >= 1
    rows, columns = np.nonzero(check)
    assert place.area == check.sum() <= MOST_AREA * check.size
    assert rows.min() >= 36 and rows.max() < 56 and columns.min() >= 16 and columns.max() < 40
    outline = np.array(place.outline)
    assert np.array_equal(outline[0], outline[-1])
    assert abs(outline[:, 0].min() - rows.min()) <= 1 and abs(outline[:, 0].max() - rows.max()) <= 2


def test_only_the_few_worst_places_are_pointed_at() -> None:
    wide = np.full((96, 96), 0.01, np.float32)
    for i in range(12):
        row, column = 4 + 30 * (i // 4), 4 + 23 * (i % 4)
        wide[row : row + 9, column : column + 9] = 0.15 + 0.01 * i
    places, check = find_places(evidence(half_width=wide))
    assert 0 < len(places) <= MOST_PLACES and check.mean() <= MOST_AREA
    masked = evidence(half_width=wide, valid=np.tile(np.arange(96) < 48, (96, 1)))
    assert not find_places(masked)[1][:, 48:].any()


# ---------------------------------------------------------------- what is written


def test_sheet_and_file_hold_the_same(tiny_pipeline: Pipeline, patch: Patch, tmp_path) -> None:
    result = tiny_pipeline(patch, Settings(**QUICK))
    found = result.uncertainty
    sheet = result.run_sheet()["uncertainty"]
    assert (
        sheet["calibrated"] is False and "no calibration for these weights" in sheet["calibration"]
    )
    assert sheet["mean_std"] == [round(float(band.mean()), 6) for band in found.std]
    assert sheet["mean_half_width"].keys() == {"50%", "80%", "90%"}
    path = write_geotiff(result, tmp_path / "u.tif", picture="uncertainty")
    with rasterio.open(path) as dataset:
        assert dataset.bounds == pytest.approx(patch.bounds) and dataset.count == 22
        names = dataset.descriptions
        assert np.array_equal(
            dataset.read(1 + names.index("NIR: standard deviation")), found.std[3]
        )
        wide = dataset.read(1 + names.index("R: half width of the 90% interval, uncalibrated"))
        assert np.array_equal(wide, found.half_width(0.9)[0])
        assert np.array_equal(dataset.read(22) == 1, found.check)
        assert names[21] == "check here, 0 or 1"
    plain = tiny_pipeline(patch, Settings(steps=1))
    with pytest.raises(LdsrError, match="drew no samples"):
        write_geotiff(plain, tmp_path / "none.tif", picture="uncertainty")


def test_residual_is_what_the_input_is_missed_by(tiny_pipeline: Pipeline, patch: Patch) -> None:
    result = tiny_pipeline(patch, Settings(steps=1))
    rms = float(np.sqrt((result.residual**2).mean()))
    assert result.residual.shape == patch.size
    assert rms == pytest.approx(result.residual_after, rel=1e-3)
    moved = dataclasses.replace(
        patch, reflectance=shift(patch.reflectance, (0, 0, 1), mode="nearest")
    )
    free = tiny_pipeline(moved, Settings(steps=1, refine=False, consistency="none"))
    assert free.residual.max() > result.residual.max()
