"""Threads and pages: no more than this process may keep busy, unless the person says so."""

import argparse
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import app
from ldsr import machine
from ldsr.__main__ import main
from ldsr.errors import LdsrError
from ldsr.machine import (
    add_machine_options,
    asked_threads,
    free_memory,
    limit_threads,
    local_workers,
    machine_choices,
    usable_cores,
)

ROOT = Path(app.__file__).parent
PAGES = "THP_MEM_ALLOC_ENABLE"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of 64 cores without control groups; none of the variables is set."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    for name in ("OMP_NUM_THREADS", "LDSR_THREADS", "LDSR_COMPILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(root: Path, **files: str) -> None:
    """Write files under a root; "__" stands for a slash, "_dot_" for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def groups(root: Path, own: str, **files: str) -> None:
    """Write /proc/self/cgroup, and files of the groups."""
    write(root, proc__self__cgroup=own, **{f"sys__fs__cgroup__{k}": v for k, v in files.items()})


def test_without_a_quota_it_is_what_the_process_is_bound_to(host: Path) -> None:
    assert usable_cores(host) == 64
    groups(host, "0::/\n", cpu_dot_max="max 100000\n")
    assert usable_cores(host) == 64


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("200000 100000", 2), ("250000 100000", 2), ("50000 100000", 1), ("9900000 100000", 64)],
)
def test_docker_cpus_with_version_2(host: Path, quota: str, cores: int) -> None:
    groups(host, "0::/\n", cpu_dot_max=quota)
    assert usable_cores(host) == cores


def test_the_tightest_of_the_groups_above_counts(host: Path) -> None:
    groups(
        host,
        "0::/user.slice/pod/box\n",
        user_dot_slice__pod__box__cpu_dot_max="max 100000",
        user_dot_slice__pod__cpu_dot_max="300000 100000",
        user_dot_slice__cpu_dot_max="800000 100000",
    )
    assert usable_cores(host) == 3


def test_a_container_that_is_told_the_path_on_the_host(host: Path) -> None:
    groups(host, "0::/docker/0123abcd\n", cpu_dot_max="400000 100000")
    assert usable_cores(host) == 4


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_docker_cpus_with_version_1(host: Path, mount: str) -> None:
    own = "9:memory:/docker/0123\n4:cpu,cpuacct:/docker/0123\n0::/docker/0123\n"
    folder = f"sys/fs/cgroup/{mount}"
    write(host, proc__self__cgroup=own)
    write(host / folder, cpu_dot_cfs_quota_us="600000\n", cpu_dot_cfs_period_us="100000\n")
    assert usable_cores(host) == 6
    write(host / folder, cpu_dot_cfs_quota_us="-1\n")
    assert usable_cores(host) == 64


@pytest.mark.parametrize(
    ("own", "quota"),
    [("", "1 1"), ("nonsense", ""), ("0::/", "fast"), ("0::/", "100 0"), ("0::/\n:::", "-1 5")],
)
def test_what_cannot_be_read_limits_nothing(host: Path, own: str, quota: str) -> None:
    groups(host, own, cpu_dot_max=quota)
    assert usable_cores(host) == 64


def test_where_there_is_no_affinity_cores_are_counted(host: Path, monkeypatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert usable_cores(host) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(host) == 1


@pytest.fixture
def threads(host: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads torch was told to take, the last one last; it begins with the host's 32 cores."""
    told = [32]
    monkeypatch.setattr(torch, "get_num_threads", lambda: told[-1])
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    return told


def test_torch_takes_no_more_than_may_be_used(threads: list[int], monkeypatch) -> None:
    assert limit_threads() == 2
    monkeypatch.setattr(machine, "usable_cores", lambda: 64)
    threads.append(32)
    assert limit_threads() == 32, "torch knows the physical cores"


def test_the_person_has_the_last_word(threads: list[int], monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert limit_threads() == 32 and threads == [32], "left alone"
    monkeypatch.setenv("LDSR_THREADS", " 7 ")
    assert limit_threads() == 7


@pytest.mark.parametrize("text", ["0", "-2", "many", "1.5", "²"])
def test_threads_that_are_no_number_are_one_sentence(
    host: Path, monkeypatch, capsys: pytest.CaptureFixture, text: str
) -> None:
    monkeypatch.setenv("LDSR_THREADS", text)
    with pytest.raises(LdsrError, match="LDSR_THREADS"):
        asked_threads()
    assert main(["run", "missing.tif", "--out", str(host / "out")]) == 2
    assert app.main(["--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 2 and said.count("LDSR_THREADS") == 2


def test_compiling_is_asked_for_by_option_or_variable(host: Path, monkeypatch) -> None:
    parser = argparse.ArgumentParser()
    add_machine_options(parser)

    def choices(*arguments: str) -> dict[str, object]:
        return machine_choices(parser.parse_args(arguments))

    assert choices() == {"device": "auto", "compiled": False, "half": None}
    assert choices("--compile", "--half", "--device", "cpu") == {
        "device": "cpu",
        "compiled": True,
        "half": True,
    }
    assert choices("--no-half")["half"] is False
    monkeypatch.setenv("LDSR_COMPILE", "1")
    assert choices()["compiled"] is True
    monkeypatch.setenv("LDSR_COMPILE", "0")
    assert choices()["compiled"] is False
    monkeypatch.setenv("LDSR_COMPILE", "perhaps")
    with pytest.raises(LdsrError, match="LDSR_COMPILE"):
        choices()


def said_by(code: str, environment: dict[str, str]) -> str:
    """The last word that a fresh Python prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


def test_importing_the_package_leaves_threads_alone() -> None:
    code = (
        "import torch; torch.set_num_threads(3); import ldsr.pipeline, evaluation.__main__; "
        "print(torch.get_num_threads())"
    )
    assert said_by(code, {**os.environ, "LDSR_THREADS": "1"}) == "3"


@pytest.mark.parametrize(("set_before", "found"), [(None, "1"), ("0", "0")])
def test_huge_pages_are_asked_for_unless_the_person_has_chosen(set_before, found) -> None:
    environment = {name: value for name, value in os.environ.items() if name != PAGES}
    if set_before is not None:
        environment[PAGES] = set_before
    code = f"import os, ldsr; print(os.environ[{PAGES!r}])"
    assert said_by(code, environment) == found


@pytest.mark.parametrize(
    ("free", "asked", "found"),
    [
        ("67108864 kB", None, (21, 3)),
        ("6500000 kB", None, (2, 32)),
        ("1000 kB", None, (1, 64)),
        ("67108864 kB", 0, (0, 64)),
        ("67108864 kB", 5, (5, 12)),
        ("67108864 kB", 100, (100, 1)),
    ],
)
def test_workers_share_cores_and_memory(
    host: Path, monkeypatch: pytest.MonkeyPatch, free: str, asked: int | None, found: tuple
) -> None:
    write(host, proc__meminfo=f"MemTotal: 99 kB\nMemAvailable:  {free}\n")
    monkeypatch.setattr(machine, "free_memory", functools.partial(free_memory, host))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert local_workers(asked) == found


def test_each_gpu_gets_a_worker(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert local_workers() == (4, 16)


def test_asked_threads_are_those_of_each_worker(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_THREADS", "7")
    assert local_workers(3) == (3, 7)


def test_memory_ends_where_the_container_ends(host: Path) -> None:
    write(host, proc__meminfo="MemAvailable: 8000000 kB\n")
    assert free_memory(host) == 8000000 * 1024
    write(
        host,
        **{
            f"sys__fs__cgroup__{k}": v
            for k, v in {
                "memory_dot_max": "2000000000\n",
                "memory_dot_current": "500000000\n",
            }.items()
        },
    )
    assert free_memory(host) == 1_500_000_000
    write(host, sys__fs__cgroup__memory_dot_max="max\n")
    assert free_memory(host) == 8000000 * 1024
