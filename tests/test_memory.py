"""The memory guard: what a run takes, what would fit, and that nothing begins that does not."""

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from rasterio.transform import from_origin

from ldsr import machine, memory
from ldsr.__main__ import main
from ldsr.data.geotiff import write_patch
from ldsr.data.patch import MAX_SIDE, MIN_SIDE, Patch
from ldsr.errors import LdsrError, PatchError
from ldsr.machine import free_memory
from ldsr.memory import check_fits, is_out_of_memory, largest_side, needed_bytes
from ldsr.settings import BASES, PRESETS, Settings
from ldsr.web.evaluate.desk import Desk, wait
from ldsr.web.evaluate.leaderboard import Board
from ldsr.web.pictures import Shown
from ldsr.web.resolve import flows
from ldsr.web.studio import Studio
from tests.benchmarks import memory as benchmark
from tests.conftest import make_patch
from tests.fakes import FakePipeline, collect, wait_for
from tests.test_machine import write

BALANCED = PRESETS["balanced"]
GB = 10**9


# the estimate


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("half", [True, False])
def test_larger_pictures_and_more_work_never_take_less(base: str, half: bool) -> None:
    settings = dataclasses.replace(BALANCED, base=base)
    plain = dataclasses.replace(settings, refine=False)
    sides = range(16, MAX_SIDE + 1, 16)
    each = [needed_bytes((side, side), settings, half=half) for side in sides]
    assert each == sorted(each) and len(set(each)) == len(each)
    assert needed_bytes((512, 256), settings, half=half) < needed_bytes((512, 512), settings,
                                                                       half=half)  # fmt: skip
    assert needed_bytes((512, 512), plain, half=half) <= each[512 // 16 - 1]
    drawn = dataclasses.replace(settings, samples=8)
    assert needed_bytes((512, 512), drawn, half=half) > each[512 // 16 - 1]
    full = needed_bytes((512, 512), settings, half=False)
    assert full >= needed_bytes((512, 512), settings, half=True)


def test_long_runs_and_the_published_model_take_more() -> None:
    size = (256, 256)
    few, many = Settings(steps=50, refine=False), Settings(steps=51, refine=False)
    assert needed_bytes(size, many) > needed_bytes(size, few)
    assert needed_bytes(size, few, published=True) > 2 * needed_bytes(size, few)
    fixed = Settings(base="bicubic", refine=False)
    assert needed_bytes(size, fixed, published=True) == needed_bytes(size, fixed)


def test_blocks_are_counted_once() -> None:
    wide = needed_bytes((200, 800), BALANCED) - needed_bytes((200, 400), BALANCED)
    wider = needed_bytes((200, 1200), BALANCED) - needed_bytes((200, 800), BALANCED)
    assert wide == pytest.approx(wider, abs=1)


# the sentence


def test_what_does_not_fit_is_refused_with_the_size_that_would() -> None:
    free = 2 * GB
    with pytest.raises(PatchError) as found:
        check_fits((1024, 768), BALANCED, free=free)
    side = largest_side(free, BALANCED, most=1024)
    assert side % 16 == 0 and 16 < side < 1024
    assert str(found.value) == (
        "A picture of 768 x 1024 pixels with these settings needs about "
        f"{needed_bytes((1024, 768), BALANCED) / GB:.1f} GB of memory, 2.0 GB are free; up to "
        f"{side} x {side} fit now: crop it, or run it as a scene job."
    )
    check_fits((side, side), BALANCED, free=free)
    with pytest.raises(PatchError):
        check_fits((side + 16, side + 16), BALANCED, free=free)


def test_samples_are_named_where_they_are_asked_for() -> None:
    drawn = dataclasses.replace(BALANCED, samples=8)
    with pytest.raises(PatchError, match="leave the samples out, or run it as a scene job"):
        check_fits((1024, 1024), drawn, free=2 * GB)
    with pytest.raises(PatchError, match="free; try again later, or with samples off"):
        check_fits((64, 64), drawn, free=0)
    with pytest.raises(PatchError, match="free; try again later[.]$"):
        check_fits((64, 64), BALANCED, free=0)


def test_the_guard_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDSR_MEMORY_GUARD", "0")
    check_fits((1024, 1024), BALANCED, free=0)


def test_the_smallest_side_is_that_of_patches() -> None:
    assert memory.LEAST == MIN_SIDE


# what is free


def test_groups_above_and_files_in_memory_are_counted(tmp_path: Path) -> None:
    write(tmp_path, proc__meminfo="MemAvailable: 8000000 kB\n")
    write(tmp_path, proc__self__cgroup="0::/system.slice/studio.service\n")
    own = tmp_path / "sys/fs/cgroup/system.slice/studio.service"
    write(own, memory_dot_max="max\n", memory_dot_current="400000000\n")
    write(own.parent, memory_dot_max="3000000000\n", memory_dot_current="2500000000\n")
    write(own.parent, memory_dot_stat="anon 7\ninactive_file 1500000000\nactive_file 1\n")
    assert free_memory(tmp_path) == 2_000_000_000
    write(own, memory_dot_max="900000000\n")
    assert free_memory(tmp_path) == 500_000_000


def test_version_1_groups(tmp_path: Path) -> None:
    write(tmp_path, proc__meminfo="MemAvailable: 8000000 kB\n")
    write(tmp_path, proc__self__cgroup="4:memory:/docker/0123\n0::/\n")
    mount = tmp_path / "sys/fs/cgroup/memory"
    write(mount, memory_dot_limit_in_bytes="3000000000\n", memory_dot_usage_in_bytes="900000000\n")
    assert free_memory(tmp_path) == 2_100_000_000
    write(mount, memory_dot_stat="inactive_file 5\ntotal_inactive_file 400000000\n")
    assert free_memory(tmp_path) == 2_500_000_000


# who asks


class Guarded(FakePipeline):
    """A stand-in with the guard of the pipeline, on a machine with so much memory."""

    free = 10 * GB

    def __init__(self) -> None:
        super().__init__()
        self.kinds: list[str] = []

    def check_memory(self, size, settings, *, kind="picture") -> None:
        self.kinds.append(kind)
        check_fits(size, settings, free=self.free, kind=kind)


@pytest.fixture
def studio() -> Studio:
    return Studio(Guarded())


def refused(studio: Studio) -> None:
    studio.pipeline.free = 0


def test_every_run_of_the_page_is_checked(studio: Studio, tmp_path: Path) -> None:
    state = flows.EMPTY | {"shown": studio.keep(Shown(make_patch()))}
    state = collect(flows.resolve(studio, state, dataclasses.replace(BALANCED, samples=2), "me"))
    state = state[-1][0]
    collect(flows.measure(studio, state, "me"))
    assert studio.pipeline.kinds == ["picture", "samples", "tags"]
    seen = len(studio.pipeline.seen)
    refused(studio)
    for flow in (
        flows.resolve(studio, state, BALANCED, "me"),
        flows.sample(studio, state, (8, 0.0), "me"),
        flows.measure(studio, state, "me"),
    ):
        shot = collect(flow)[-1]
        assert shot[2]["state"] == "error" and "of memory, 0.0 GB are free" in shot[2]["text"]
        assert shot[0]["shown"] == state["shown"]
    desk = Desk(studio, Board(tmp_path))
    turn = desk.begin("me")
    with pytest.raises(LdsrError, match="0.0 GB are free"):
        collect(wait(turn, desk.run(turn, make_patch(), BALANCED)))
    assert len(studio.pipeline.seen) == seen, "nothing was begun"
    assert studio.ledger.started.labels("picture")._value.get() == 1


def test_memory_is_looked_at_when_its_turn_comes(studio: Studio) -> None:
    studio.pipeline.gate = threading.Semaphore(0)
    _, first = studio.start("a", make_patch(), BALANCED)
    wait_for(lambda: first.state == "running")
    refused(studio)
    _, second = studio.start("b", make_patch(), BALANCED)
    assert second.state == "waiting"
    studio.pipeline.free = 10 * GB
    studio.pipeline.gate.release(1000)
    wait_for(lambda: second.ended)
    assert (first.state, second.state) == ("done", "done")


def test_the_pipeline_knows_how_it_computes(tiny_pipeline, monkeypatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * GB)
    tiny_pipeline.check_memory((64, 64), BALANCED)
    with pytest.raises(PatchError, match="2.0 GB are free"):
        tiny_pipeline.check_memory((1024, 1024), BALANCED)
    monkeypatch.setattr(tiny_pipeline, "_place", torch.device("cuda"))
    monkeypatch.setattr("ldsr.pipeline.gpu_memory", lambda device: 3 * GB)
    monkeypatch.setattr("ldsr.pipeline.half_where_fast", lambda device, wanted: wanted)
    with pytest.raises(PatchError, match="3.0 GB are free"):
        tiny_pipeline.check_memory((1024, 1024), BALANCED)


def test_the_command_line_refuses_too(tmp_path: Path, monkeypatch, capsys) -> None:
    values = np.random.default_rng(0).uniform(0.05, 0.3, (4, 32, 32)).astype(np.float32)
    place = {"crs": "EPSG:32633", "transform": from_origin(4e5, 5e6, 10, 10)}
    patch = Patch(reflectance=values, valid=np.ones((32, 32), bool), **place)
    path = write_patch(patch, tmp_path / "in.tif")
    monkeypatch.setattr(memory, "free_memory", lambda: 0)
    asked = ["run", str(path), "--out", str(tmp_path / "out"), "--base", "bicubic", "--no-refine"]
    assert main([*asked, "--scale", "reflectance"]) == 2
    assert "needs about 0.1 GB of memory, 0.0 GB are free" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*.tif"))


def test_what_says_that_memory_did_not_last() -> None:
    said = "[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: ..."
    for error in (MemoryError(), RuntimeError(said), torch.OutOfMemoryError("CUDA out of memory")):
        assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("not enough memory"))


# the benchmark


def test_a_straight_line_is_found_again() -> None:
    sides = [64, 128, 256, 512]
    measured = [5000 * min(side, memory.BLOCK) ** 2 + 1300 * side**2 for side in sides]
    assert benchmark.fit(sides, measured) == pytest.approx((5000, 1300))
    assert benchmark.fit(sides, [1300 * side**2 for side in sides])[0] == pytest.approx(0, abs=1e-3)
    assert min(benchmark.fit([64, 128, 512], [9e6, 1e6, 9e7])) >= 0


def test_the_benchmark_measures_each_kind_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--kinds", "bicubic"]
    done = subprocess.run(
        [*command, "--sizes", "16", "48"], cwd=benchmark.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "48 px" in done.stdout and "Cost(" in done.stdout


def test_the_reader_of_processors_is_the_one_that_is_tested() -> None:
    assert memory.free_memory is machine.free_memory
