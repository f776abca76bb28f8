"""Who does the work: outcomes come back whatever happens to workers, and nobody waits for ever."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed.comm import CommClosedError

from ldsr.errors import LdsrError
from ldsr.scene import crew as crews
from ldsr.scene.crew import Here, Outcome, gather_crew, one_line
from ldsr.scene.job import Choices, resolve_scene
from ldsr.scene.progress import Progress
from ldsr.settings import Settings
from tests.scene.arrays import ArrayScene, ground

ROOT = Path(__file__).parents[2]
CHOICES = Choices(settings=Settings(base="bicubic", refine=False), dtype="float32", side=64)
PATIENCE = 180.0


class Cluster:
    """A real scheduler and workers, each a process of its own, on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: list[subprocess.Popen] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        port = self.address.rpartition(":")[2]
        own = ["--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0"]
        self.scheduler = self._start("dask_scheduler", *own)

    def add(self, *, python_path: str | None = None) -> subprocess.Popen:
        worker = self._start(
            "dask_worker",
            *(self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard"),
            *("--local-directory", str(self.folder)),
            python_path=python_path,
        )
        self.workers.append(worker)
        return worker

    def _start(self, name: str, *more: str, python_path: str | None = None) -> subprocess.Popen:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT) if python_path is None else python_path,
            "LDSR_THREADS": "1",
            # a worker that says nothing for so long is taken for lost
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "12s",
        }
        command = [sys.executable, "-m", f"distributed.cli.{name}", *more]
        log = (self.folder / f"{name}.log").open("a")
        return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()


class Happening(Progress):
    """Does something when so many windows are done."""

    def __init__(self, what: dict[int, Callable[[], object]]) -> None:
        super().__init__()
        self.what = what

    def step(self, **how: bool) -> None:
        super().step(**how)
        self.what.pop(self.done, lambda: None)()


def double(value: int) -> int:
    return 2 * value


def refuse(value: int) -> int:
    raise LdsrError(f"{value} is no good; choose another.")


def test_a_cluster_that_loses_and_finds_workers_gives_the_file_of_one_process(
    cluster: Cluster, tmp_path: Path
) -> None:
    """One worker is killed, one is cut off (it lives, but says nothing), one is added."""
    scene, here, there = ArrayScene(ground((400, 390))), tmp_path / "here.tif", tmp_path / "a.tif"
    resolve_scene(scene, here, Here(), CHOICES)
    doomed, mute, _ = (cluster.add() for _ in range(3))
    progress = Happening(
        {
            3: doomed.kill,
            7: lambda: mute.send_signal(signal.SIGSTOP),
            10: cluster.add,
        }
    )
    with gather_crew(scheduler=cluster.address) as crew:
        wait_for(lambda: crew._count() == 3)
        sheet = resolve_scene(scene, there, crew, CHOICES, progress)
    assert not progress.what and progress.done == 49
    assert sheet["windows"]["with_data"] == 49, "each window is in the file once"
    assert there.read_bytes() == here.read_bytes()


def test_worker_processes_of_this_machine_give_the_same_file(tmp_path: Path) -> None:
    scene, here, there = ArrayScene(ground((150, 130))), tmp_path / "here.tif", tmp_path / "b.tif"
    resolve_scene(scene, here, Here(), CHOICES)
    with gather_crew(workers=2) as crew:
        assert crew.workers == 2
        resolve_scene(scene, there, crew, CHOICES)
    assert there.read_bytes() == here.read_bytes()


def test_a_scheduler_that_dies_is_one_sentence_and_the_job_goes_on(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask

    scene, out = ArrayScene(ground((400, 390))), tmp_path / "sr.tif"
    cluster.add()
    progress = Happening({5: cluster.scheduler.kill})
    short = {"distributed.comm.timeouts.connect": "2s"}
    with (
        dask.config.set(short),
        pytest.raises(LdsrError, match=r"The scheduler at tcp://127.* is gone; .* --resume"),
        gather_crew(scheduler=cluster.address) as crew,
    ):
        resolve_scene(scene, out, crew, CHOICES, progress)
    assert not out.exists() and progress.done >= 5
    resume = Choices(**{**vars(CHOICES), "resume": True})
    later = Progress()
    resolve_scene(scene, out, Here(), resume, later)
    assert later._before >= 5 and out.exists()


def test_no_more_is_under_way_than_workers_can_take() -> None:
    taken = 0

    def tasks() -> Iterator[tuple]:
        nonlocal taken
        for taken in range(1, 101):
            yield taken, (taken,)

    with gather_crew(workers=1) as crew:
        outcomes = crew.run(double, tasks())
        first = next(outcomes)
        assert taken <= crews.AHEAD + 1
        outcomes.close()
    assert first.value == 2 * first.key


@pytest.mark.parametrize("workers", [0, 1])
def test_a_task_that_fails_is_an_outcome(workers: int) -> None:
    with gather_crew(workers=workers) as crew:
        outcomes = list(crew.run(refuse, [("a", (3,))]))
        assert outcomes == [Outcome("a", error="3 is no good; choose another.")]
        assert [one.value for one in crew.run(double, [("b", (4,))])] == [8]


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "PATIENCE", 0.5)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with (
            pytest.raises(LdsrError, match="No Dask scheduler answers at .*expected an address"),
            gather_crew(scheduler=address),
        ):
            pass


def test_a_scheduler_without_workers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for(lambda: answers(cluster.address))
    monkeypatch.setattr(crews, "PATIENCE", 1.0)
    with (
        pytest.raises(LdsrError, match="has no workers after 1 s; start some with: dask worker"),
        gather_crew(scheduler=cluster.address),
    ):
        pass


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([True, CommClosedError("gone")], None),
        ([CommClosedError("gone")], "The workers at tcp://a:1 do not answer; see whether they run"),
        ([], "do not answer"),
        ([True, ImportError("No ldsr")], r"cannot run this program \(ImportError: No ldsr\)"),
    ],
)
def test_a_worker_that_leaves_while_they_are_checked(found: list, said: str | None) -> None:
    client = SimpleNamespace(run=lambda *_, on_error: dict(enumerate(found)))
    with pytest.raises(LdsrError, match=said) if said else contextlib.nullcontext():
        crews._check_able(client, "tcp://a:1")


def test_workers_that_do_not_know_the_program(cluster: Cluster) -> None:
    cluster.add(python_path="")
    with (
        pytest.raises(LdsrError, match="cannot run this program .*No module named 'ldsr'"),
        gather_crew(scheduler=cluster.address),
    ):
        pass


def test_workers_and_scheduler_exclude_each_other() -> None:
    with (
        pytest.raises(LdsrError, match="give one of the two"),
        gather_crew(scheduler="tcp://127.0.0.1:9", workers=2),
    ):
        pass
    with pytest.raises(LdsrError, match="--workers is -1"), gather_crew(workers=-1):
        pass


def test_errors_are_one_line() -> None:
    assert one_line(RuntimeError("a\nb")) == "RuntimeError: a b"
    assert one_line(MemoryError()) == "MemoryError"
    assert len(one_line(RuntimeError("x" * 1000))) == crews.MOST_LINE


def answers(address: str) -> bool:
    host, port = address.removeprefix("tcp://").split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
