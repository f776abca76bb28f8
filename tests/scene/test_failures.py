"""What goes wrong in a scene: it is said, and nothing is lost or half-made."""

import dataclasses
import resource
import signal
from pathlib import Path

import numpy as np
import pytest

from ldsr.errors import LdsrError, SceneError
from ldsr.scene import cog, worker
from ldsr.scene import job as jobs
from ldsr.scene.crew import Here
from ldsr.scene.folder import job_folder
from ldsr.scene.job import resolve_scene
from ldsr.scene.progress import Progress
from tests.scene.arrays import ArrayScene, ground
from tests.scene.jobs import SMALL, Stopping, made

RESUME = dataclasses.replace(SMALL, resume=True)
GAPS = dataclasses.replace(SMALL, gaps=True)


def test_a_window_that_fails_is_named_and_the_rest_is_kept(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out, whole = tmp_path / "sr.tif", tmp_path / "whole.tif"
    resolve_scene(scene, whole, tiny_crew, SMALL)
    plan = jobs.make_plan(scene.size, SMALL, local=True)
    seen = plan[1, 1].seen
    scene.broken = {(seen[0].start, seen[1].start)}
    with pytest.raises(LdsrError) as failure:
        resolve_scene(scene, out, tiny_crew, SMALL)
    rows, columns = plan[1, 1].block
    said = str(failure.value)
    assert "1 window of 9 failed, the others of sr.tif are kept" in said and "--resume" in said
    assert f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}" in said
    assert "longitude 13.5" in said and "latitude 52.3" in said and "The block is damaged" in said
    assert not out.exists()
    scene.broken, before = set(), len(scene.reads)
    resolve_scene(scene, out, tiny_crew, dataclasses.replace(SMALL, resume=True))
    assert len(scene.reads) == before + 1
    assert out.read_bytes() == whole.read_bytes()


def test_a_file_with_gaps_is_written_on_request(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    plan = jobs.make_plan(scene.size, SMALL, local=True)
    seen = plan[0, 0].seen
    scene.broken = {(seen[0].start, seen[1].start)}
    choices = dataclasses.replace(SMALL, gaps=True)
    values, sheet = made(scene, tmp_path / "sr.tif", tiny_crew, choices)
    whole, _ = made(ArrayScene(scene.reflectance), tmp_path / "whole.tif", tiny_crew, SMALL)
    gap = np.isnan(values[0])
    rows, columns = plan[0, 0].block
    assert gap[: 4 * rows.stop, : 4 * columns.stop].all()
    assert gap.sum() < 1.4 * 16 * len(rows) * len(columns)
    np.testing.assert_array_equal(values[:, ~gap], whole[:, ~gap])
    assert [one["window"] for one in sheet["windows"]["failed"]] == [[0, 0]]


def test_where_all_fails_it_ends_early(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fail(job, window, patch):
        asked.append(window.key)
        raise MemoryError

    monkeypatch.setattr(jobs, "resolve_window", fail)
    with pytest.raises(LdsrError, match="6 windows of 9 failed.*MemoryError"):
        resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, SMALL)
    assert len(set(asked)) == jobs.HOPELESS and len(asked) == 3 * jobs.HOPELESS


def test_a_window_that_fails_once_is_tried_again(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = set()

    def hesitate(job, window, patch):
        if window.key not in once:
            once.add(window.key)
            raise RuntimeError("not now")
        return worker.resolve_window(job, window, patch)

    monkeypatch.setattr(jobs, "resolve_window", hesitate)
    sheet = resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, SMALL)
    assert not sheet["windows"]["failed"] and len(once) == 9


def test_a_full_disk_is_seen_before_the_start(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 2_000_000})
    monkeypatch.setattr(jobs.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(LdsrError, match=r"may need 20\.7 MB .*but 2 MB are free; make room"):
        resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, SMALL)
    assert not list(tmp_path.iterdir()) and not scene.reads


def test_a_disk_that_fills_up_leaves_nothing_under_the_final_name(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(jobs.cog, "raster_copy", full)
        with pytest.raises(LdsrError, match="cannot be written.*make room.*--resume"):
            resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["sr.tif.job"]
    resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, dataclasses.replace(SMALL, resume=True))
    assert (tmp_path / "sr.tif").exists()


def test_after_many_failures_in_a_row_it_ends_also_while_reading(
    tmp_path: Path, tiny_crew: Here
) -> None:
    """A server that is gone half-way."""
    scene, out = ArrayScene(ground((400, 390))), tmp_path / "sr.tif"
    read = scene.read
    asked = set()

    def gone(window: tuple) -> object:
        if len(scene.reads) > 20:
            asked.add(window)
            raise SceneError("The server is gone; try again later.")
        return read(window)

    scene.read = gone
    with pytest.raises(LdsrError, match="6 windows of 49 failed.*The server is gone"):
        resolve_scene(scene, out, tiny_crew, SMALL)
    assert len(asked) == jobs.HOPELESS
    scene.read = read
    resolve_scene(scene, out, tiny_crew, RESUME)
    assert out.exists()


def test_a_failed_job_can_be_finished_with_gaps(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out = tmp_path / "sr.tif"
    seen = jobs.make_plan(scene.size, SMALL, local=True)[1, 1].seen
    scene.broken = {tuple(span.start for span in seen)}
    with pytest.raises(LdsrError, match="1 window of 9 failed"):
        resolve_scene(scene, out, tiny_crew, SMALL)
    sheet = resolve_scene(scene, out, tiny_crew, dataclasses.replace(GAPS, resume=True))
    assert [one["window"] for one in sheet["windows"]["failed"]] == [[1, 1]] and out.exists()


def test_with_gaps_every_window_is_tried(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out = tmp_path / "sr.tif"
    with pytest.raises(KeyboardInterrupt):
        resolve_scene(scene, out, tiny_crew, SMALL, Stopping(after=2))
    plan = jobs.make_plan(scene.size, SMALL, local=True)
    scene.broken = {tuple(span.start for span in window.seen) for window in plan.windows}
    sheet = resolve_scene(scene, out, tiny_crew, dataclasses.replace(GAPS, resume=True))
    assert len(sheet["windows"]["failed"]) == 7 and sheet["windows"]["with_data"] == 2
    with pytest.raises(LdsrError, match="6 windows of 9 failed"):
        resolve_scene(scene, tmp_path / "none.tif", tiny_crew, GAPS)
    assert not (tmp_path / "none.tif").exists()


def test_gaps_are_tried_again_by_the_next(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it wrote the file with gaps, it does not take them for windows without data."""
    out, whole = tmp_path / "sr.tif", tmp_path / "whole.tif"
    resolve_scene(scene, whole, tiny_crew, SMALL)
    seen = jobs.make_plan(scene.size, SMALL, local=True)[1, 1].seen
    scene.broken = {tuple(span.start for span in seen)}

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now, pytest.raises(KeyboardInterrupt):
        now.setattr(cog, "write_cog", killed)
        resolve_scene(scene, out, tiny_crew, GAPS)
    scene.broken = set()
    sheet = resolve_scene(scene, out, tiny_crew, RESUME)
    assert not sheet["windows"]["failed"] and out.read_bytes() == whole.read_bytes()


def test_what_nobody_knows_the_origin_of_is_not_used(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    out = tmp_path / "sr.tif"
    with pytest.raises(KeyboardInterrupt):
        resolve_scene(scene, out, tiny_crew, SMALL, Stopping(after=8))
    (job_folder(out) / "job.json").unlink()
    other = ArrayScene(ground((180, 190), seed=5))
    resolve_scene(other, out, tiny_crew, SMALL)
    resolve_scene(other, tmp_path / "whole.tif", tiny_crew, SMALL)
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_another_scene_of_the_same_name_is_another_scene(
    scene: ArrayScene, tmp_path: Path, tiny_crew: Here
) -> None:
    with pytest.raises(KeyboardInterrupt):
        resolve_scene(scene, tmp_path / "sr.tif", tiny_crew, SMALL, Stopping(after=2))
    other = ArrayScene(ground((180, 190), seed=5))
    with pytest.raises(LdsrError, match="begun with other scene"):
        resolve_scene(other, tmp_path / "sr.tif", tiny_crew, RESUME)


@pytest.mark.parametrize("short", [1, 300, 20_000])
def test_a_disk_that_fills_up_at_the_very_end(
    scene: ArrayScene,
    tmp_path: Path,
    tiny_crew: Here,
    monkeypatch: pytest.MonkeyPatch,
    short: int,
) -> None:
    """GDAL says nothing where its last bytes find no room; here a limit of the file's size."""
    whole, out = tmp_path / "whole.tif", tmp_path / "sr.tif"
    resolve_scene(scene, whole, tiny_crew, SMALL)
    size, write = whole.stat().st_size, cog.write_cog

    def limited(*given: object, **named: object) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size - short, before[1]))
        try:
            write(*given, **named)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with monkeypatch.context() as full:
            full.setattr(cog, "write_cog", limited)
            with pytest.raises(LdsrError, match="make room on the disk"):
                resolve_scene(scene, out, tiny_crew, SMALL)
    finally:
        signal.signal(signal.SIGXFSZ, before)
    assert not out.exists()
    resolve_scene(scene, out, tiny_crew, RESUME)
    assert out.read_bytes() == whole.read_bytes()


def test_a_block_is_whole_or_not_there(scene: ArrayScene, tmp_path: Path, tiny_crew: Here) -> None:
    out = tmp_path / "sr.tif"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # room for the small files, not for what a window gives
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(LdsrError, match="sr.tif cannot be made .*make room on the disk"):
            resolve_scene(scene, out, tiny_crew, SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list((job_folder(out) / "blocks").iterdir())
    resolve_scene(scene, out, tiny_crew, RESUME)
    assert out.exists()


def test_windows_without_data_hold_up_no_others(tmp_path: Path, tiny_crew: Here) -> None:
    valid = np.zeros((800, 100), bool)
    valid[::200] = True
    most, out = 0, tmp_path / "sr.tif"

    class Counting(Progress):
        def step(self, **how: object) -> None:
            nonlocal most
            super().step(**how)
            most = max(most, len(list((job_folder(out) / "parts").glob("*.npy"))))

    resolve_scene(ArrayScene(ground((800, 100)), valid=valid), out, tiny_crew, SMALL, Counting())
    assert most <= 6
