"""A scene in windows: the picture done at once, with nothing lost on the way."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rio_cogeo.cogeo import cog_validate

from ldsr.data import scl
from ldsr.errors import LdsrError
from ldsr.scene import choices as chosen
from ldsr.scene import job as jobs
from ldsr.scene import worker
from ldsr.scene.crew import Here
from ldsr.scene.folder import job_folder, open_folder
from ldsr.scene.job import Choices, resolve_scene
from ldsr.scene.progress import Progress
from ldsr.scene.windows import Plan
from ldsr.scene.worker import Machine
from ldsr.settings import Settings
from tests.scene.arrays import ArrayScene, ground
from tests.scene.jobs import CHEAP, SMALL, Stopping, made

QUICK = Settings(steps=2, refine_steps=2, semantics="none")


def change(choices: Choices, **settings: object) -> Choices:
    return dataclasses.replace(choices, settings=dataclasses.replace(choices.settings, **settings))


def compare(scene: ArrayScene, folder: Path, crew: Here, **settings: object) -> int:
    """Make a picture at once and in windows, and see that they are equal.

    Returns:
        How many windows there were.
    """
    choices = Choices(settings=QUICK, dtype="float32", exact=True, detail=True)
    choices = change(choices, **settings)
    once, _ = made(scene, folder / "once.tif", crew, dataclasses.replace(choices, side=256))
    cut, sheet = made(scene, folder / "cut.tif", crew, dataclasses.replace(choices, side=64))
    np.testing.assert_allclose(cut, once, atol=1e-4)
    assert np.ptp(once[:4]) > 0.05 and np.isfinite(cut).all()
    return sheet["windows"]["count"]


def test_windows_equal_the_picture_done_at_once(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    assert compare(scene, tmp_path, tiny_crew) == 9


@pytest.mark.parametrize(
    "settings",
    [
        {"eta": 1.0},
        {"sampler": "dpm", "steps": 4},
        {"base": "sr3", "cascade": True},
        {"base": "regression", "refine_strength": 0.6},
        {"semantics": "forest:0.5, water:0.5", "tag_weight": 2.0},
        {"samples": 2},
    ],
)
def test_whatever_is_chosen_windows_equal_the_picture(
    strip: ArrayScene, tmp_path: Path, tiny_crew: Here, settings: dict
) -> None:
    assert compare(strip, tmp_path, tiny_crew, **settings) == 3


def test_without_shared_noise_windows_would_differ(
    strip: ArrayScene, tmp_path: Path, tiny_crew: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: this is what it looks like."""
    choices = Choices(settings=QUICK, dtype="float32", exact=True)
    once, _ = made(strip, tmp_path / "once.tif", tiny_crew, dataclasses.replace(choices, side=256))
    field = worker.NoiseField
    monkeypatch.setattr(
        worker,
        "NoiseField",
        lambda seed, row, column, size: field(seed, row=0, column=0, size=size),
    )
    cut, _ = made(strip, tmp_path / "cut.tif", tiny_crew, dataclasses.replace(choices, side=64))
    assert np.abs(cut - once).max() > 1e-3


@pytest.mark.parametrize("apart", [False, True])
def test_no_seam_can_be_seen(
    tmp_path: Path,
    tiny_crew: Here,
    monkeypatch: pytest.MonkeyPatch,
    apart: bool,
) -> None:
    """Steps across the borders of windows are no larger than where there is no border, in the
    usual mode too; of windows that share nothing they are."""
    scene = ArrayScene(ground((128, 136)))
    choices = Choices(settings=QUICK, dtype="float32", side=64)
    whole = dataclasses.replace(choices, side=256)
    once, _ = made(scene, tmp_path / "once.tif", tiny_crew, whole)
    if apart:
        field = worker.NoiseField

        def own_noise(seed: int, row: int, column: int, size: int) -> object:
            return field(seed + abs(row) + abs(column), row=0, column=0, size=size)

        monkeypatch.setattr(worker, "NoiseField", own_noise)
        monkeypatch.setattr(chosen, "MARGIN", 0)
        monkeypatch.setattr(chosen, "RAMP", 0)
    cut, _ = made(scene, tmp_path / "cut.tif", tiny_crew, choices)
    windows = jobs.make_plan(scene.size, choices, local=True).windows
    for axis in (0, 1):
        borders = sorted({4 * window.block[axis].start for window in windows} - {0})
        seams = _steps(cut, axis, borders) / _steps(once, axis, borders)
        assert seams > 1.5 if apart else seams < 1.05


def _steps(picture: np.ndarray, axis: int, borders: list[int]) -> float:
    """Mean difference between the pixels on both sides of borders."""
    steps = np.abs(np.diff(picture, axis=axis + 1))
    return float(steps.take(np.array(borders) - 1, axis + 1).mean())


def test_the_file_lies_on_the_input_and_says_what_it_holds(
    strip: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out = tmp_path / "sr.tif"
    choices = Choices(settings=QUICK, side=64, detail=True)
    values, sheet = made(strip, out, tiny_crew, choices)
    floats, _ = made(
        strip, tmp_path / "f.tif", tiny_crew, dataclasses.replace(choices, dtype="float32")
    )
    # random networks draw what no surface reflects: uint16 ends at -0.0999
    np.testing.assert_allclose(values, floats.clip(-0.0999, 6.4535), atol=0.51e-4)
    valid, errors, warnings = cog_validate(str(out), strict=True)
    assert valid and not errors and not warnings
    with rasterio.open(out) as file:
        assert file.crs == strip.crs and file.res == (2.5, 2.5) and file.shape == (256, 760)
        assert file.transform @ (0, 0) == strip.transform @ (0, 0)
        assert file.transform @ (760, 256) == strip.transform @ (190, 64)
        assert file.dtypes == ("uint16",) * 5 and file.nodata == 0
        assert file.descriptions[:4] == ("R (B04)", "G (B03)", "B (B02)", "NIR (B08)")
        assert file.tags()["weights_sha256"] == "0" * 64
        assert json.loads(file.tags()["settings"])["steps"] == 2
        assert out.read_bytes()[2] == 43, "BigTIFF"
        assert len(file.overviews(1)) >= 1
    assert sheet["file"]["bands"] == list(file.descriptions)
    assert json.loads((tmp_path / "sr.json").read_text()) == sheet
    assert not job_folder(out).exists()


def test_seen_again_at_10_m_it_is_the_input(tmp_path: Path, tiny_crew: Here) -> None:
    import torch

    from ldsr.consistency import degrade

    scene = ArrayScene(ground((128, 136)))
    choices = Choices(settings=QUICK, dtype="float32", side=64)
    picture, sheet = made(scene, tmp_path / "sr.tif", tiny_crew, choices)
    seen = degrade(torch.from_numpy(picture).float()[None])[0].numpy()
    wrong = np.sqrt(np.mean((seen - scene.reflectance) ** 2))
    assert wrong < 1e-4 and sheet["consistency"]["after"] < 1e-4


def test_a_killed_job_goes_on_and_gives_the_same_file(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out, whole = tmp_path / "sr.tif", tmp_path / "whole.tif"
    resolve_scene(scene, whole, tiny_crew, SMALL)
    with pytest.raises(KeyboardInterrupt):
        resolve_scene(scene, out, tiny_crew, SMALL, Stopping(after=5))
    assert not out.exists() and not list(tmp_path.glob("sr.*json"))
    read_before = len(scene.reads)
    again = dataclasses.replace(SMALL, resume=True)
    progress = Progress()
    sheet = resolve_scene(scene, out, tiny_crew, again, progress)
    assert len(scene.reads) - read_before == 4, "finished windows are not read again"
    assert progress.done == 9 and sheet["windows"]["with_data"] == 9
    assert out.read_bytes() == whole.read_bytes()


def test_stopped_anywhere_it_goes_on(scene: ArrayScene, tmp_path: Path, tiny_crew: Here) -> None:
    whole = tmp_path / "whole.tif"
    resolve_scene(scene, whole, tiny_crew, SMALL)
    out, resume = tmp_path / "sr.tif", dataclasses.replace(SMALL, resume=True)
    for after in range(1, 10):
        with pytest.raises(KeyboardInterrupt):
            resolve_scene(scene, out, tiny_crew, resume, Stopping(after=after))
    resolve_scene(scene, out, tiny_crew, resume)
    assert out.read_bytes() == whole.read_bytes()


def test_parts_do_not_pile_up(scene: ArrayScene, tmp_path: Path, tiny_crew: Here) -> None:
    """A part is deleted once no block waits for it: the front is two rows of windows."""
    most = 0

    class Counting(Progress):
        def step(self, **how: bool) -> None:
            nonlocal most
            super().step(**how)
            most = max(most, len(list((job_folder(out) / "parts").glob("*.npy"))))

    scene, out = ArrayScene(ground((400, 120))), tmp_path / "sr.tif"
    resolve_scene(scene, out, tiny_crew, SMALL, Counting())
    assert 0 < most <= 3 * 2


def test_a_job_goes_on_only_as_it_was_begun(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out = tmp_path / "sr.tif"
    with pytest.raises(KeyboardInterrupt):
        resolve_scene(scene, out, tiny_crew, SMALL, Stopping(after=2))
    with pytest.raises(LdsrError, match="unfinished job of sr.tif; go on with --resume, or delete"):
        resolve_scene(scene, out, tiny_crew, SMALL)
    other = dataclasses.replace(change(SMALL, consistency="none"), resume=True, dtype="float32")
    with pytest.raises(LdsrError, match="begun with other settings and type; ask for the same"):
        resolve_scene(scene, out, tiny_crew, other)
    assert len(list((job_folder(out) / "parts").iterdir())) == 2, "nothing is lost by asking"


def test_two_do_not_work_on_one_file(scene: ArrayScene, tmp_path: Path, tiny_crew: Here) -> None:
    out, plan = tmp_path / "sr.tif", Plan((64, 64), side=64, margin=8, ramp=0)
    with (
        open_folder(out, plan, asked={}, resume=True),
        pytest.raises(LdsrError, match="Another process is at work on sr.tif"),
    ):
        resolve_scene(scene, out, tiny_crew, SMALL)


def test_where_the_input_has_no_data_the_file_has_none(tmp_path: Path, tiny_crew: Here) -> None:
    valid = np.ones((180, 190), bool)
    valid[:100, :110] = False
    valid[150, 150] = False
    scene = ArrayScene(ground((180, 190)), valid=valid)
    values, sheet = made(scene, tmp_path / "sr.tif", tiny_crew, SMALL)
    expected = ~valid.repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(np.isnan(values), np.broadcast_to(expected, values.shape))
    assert sheet["windows"]["with_data"] == 8, "a window without data costs nothing"


def test_clouds_become_no_data_where_asked(tmp_path: Path, tiny_crew: Here) -> None:
    classes = np.full((180, 190), 4, np.uint8)
    classes[20:40, 30:60], classes[100:110, 100:110], classes[5:8, 5:8] = 9, 3, 11
    scene = ArrayScene(ground((180, 190)), classes=classes)
    choices = dataclasses.replace(SMALL, mask=("cloud", "shadow"))
    values, sheet = made(scene, tmp_path / "sr.tif", tiny_crew, choices)
    gone = np.isin(classes, (*scl.CLOUD, *scl.SHADOW)).repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(np.isnan(values[0]), gone)
    assert sheet["file"]["made_no_data"] == ["cloud", "shadow"]


def test_uncertainty_is_that_of_the_run(tmp_path: Path, tiny_crew: Here, tiny_pipeline) -> None:
    scene = ArrayScene(ground((64, 64)))
    choices = Choices(settings=dataclasses.replace(QUICK, samples=3), dtype="float32", detail=True)
    values, sheet = made(scene, tmp_path / "sr.tif", tiny_crew, choices)
    assert len(values) == 9 and sheet["uncertainty"]["samples"] == 3
    assert sheet["uncertainty"]["calibrated"] is False and sheet["uncertainty"]["calibration"]
    row, column = -580002, 39996

    def noise(seed: int) -> worker.NoiseField:
        return worker.NoiseField(seed, row=row, column=column, size=(64, 64))

    within = worker.Within(noise=noise, tags=(None, "none"))
    settings = dataclasses.replace(QUICK, samples=3, settle=0.0)
    result = tiny_pipeline(scene.sample(), settings, within=within)
    np.testing.assert_array_equal(values[:4], result.sr.reflectance)
    np.testing.assert_array_equal(values[4], result.detail)
    np.testing.assert_array_equal(values[5:], result.uncertainty.half_width(0.9))


def test_tags_are_those_of_the_scene(strip: ArrayScene, tmp_path: Path, tiny_crew: Here) -> None:
    choices = Choices(settings=dataclasses.replace(QUICK, semantics="spectral"), side=64)
    _, sheet = made(strip, tmp_path / "sr.tif", tiny_crew, choices)
    from ldsr.semantics.sources import find_tags

    tags, _ = find_tags("spectral", strip.sample())
    assert sheet["tags"]["source"] == "spectral"
    assert sheet["tags"]["probabilities"] == {name: round(p, 4) for name, p in tags.items()}


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (Choices(dtype="int16"), "The type is 'int16'; expected uint16 or float32"),
        (Choices(settings=CHEAP, detail=True), "leave out --detail"),
        (Choices(settings=Settings(semantics="clip")), "Tags by clip are of one picture"),
        (Choices(mask=("fog",)), "--mask names fog; expected some of cloud, shadow, snow"),
        (Choices(mask=("snow",)), "comes without a scene classification"),
        (Choices(exact=True, machine=Machine(half=True)), "--exact needs float32"),
        (Choices(side=50), "--side is 50; expected a multiple of 8 from 64 to 1024"),
    ],
)
def test_what_does_not_go_together(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here, choices: Choices, said: str
) -> None:
    with pytest.raises(LdsrError, match=said):
        resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, choices)
    assert not list(tmp_path.iterdir())


def test_exactness_is_not_promised_of_a_model_that_looks_at_the_whole() -> None:
    with pytest.raises(LdsrError, match="look at a whole picture at once"):
        jobs.make_plan((500, 500), Choices(exact=True), local=False)
    plan = jobs.make_plan((500, 500), Choices(), local=False)
    assert {len(span) for span in plan[2, 2].seen} == {112}


def test_a_plain_picture_has_no_place(tmp_path: Path, tiny_crew: Here) -> None:
    scene = ArrayScene(ground((70, 70)), crs=None)
    values, sheet = made(scene, tmp_path / "sr.tif", tiny_crew, SMALL)
    item = json.loads((tmp_path / "sr.stac.json").read_text())
    assert np.isfinite(values).all() and item["geometry"] is None
