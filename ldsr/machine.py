"""What of this machine a process may use, and what its person asked for. Standard library only.

Applied by the entry points (page, command lines), never on import: a program that uses the package
keeps its own threads.
"""

import argparse
import contextlib
import ctypes
import math
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from ldsr.errors import LdsrError

THREADS_VARIABLE = "LDSR_THREADS"
COMPILE_VARIABLE = "LDSR_COMPILE"
WORKER_MEMORY = 3 * 2**30
"""Bytes that one process may need which computes windows of scenes."""
_MEMORY_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
FALSE, TRUE = ("", "0", "no", "false", "off"), ("1", "yes", "true", "on")


def usable_cores(root: Path = Path("/")) -> int:
    """Count the cores this process may keep busy, 1 or more.

    The smallest of the cores it is bound to and of the whole cores within the CPU quota of its
    control group and those above it (cgroup v2 and v1; `docker --cpus`, Kubernetes' limits).

    Args:
        root: where `proc` and `sys` lie.
    """
    try:
        bound = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not Linux
        bound = os.cpu_count() or 1
    return max(1, min([bound, *(math.floor(share) for share in _quotas(root))]))


def asked_threads() -> int | None:
    """The threads a person asks for by $LDSR_THREADS, or None.

    Raises:
        LdsrError: something else than a whole number of 1 or more.
    """
    text = os.environ.get(THREADS_VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise LdsrError(f"{THREADS_VARIABLE} is {text!r}; expected a whole number of 1 or more.")
    return int(text)


def limit_threads() -> int:
    """Let torch compute with as many threads as `asked_threads`, else no more than `usable_cores`.

    With OMP_NUM_THREADS set, and LDSR_THREADS not, nothing is changed. Torch's second pool, between
    operators, is left alone: it starts no thread before it is used, and nothing here uses it.

    Returns:
        Threads torch computes with.

    Raises:
        LdsrError: see `asked_threads`.
    """
    asked = asked_threads()
    import torch

    if asked is not None:
        torch.set_num_threads(asked)
    elif "OMP_NUM_THREADS" not in os.environ:
        # torch itself knows the physical cores, but no quota
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    return torch.get_num_threads()


def local_workers(workers: int | None = None) -> tuple[int, int]:
    """How many processes may work side by side on this machine, and threads for each.

    By default one for each GPU; without one, as many as cores and free memory bear.

    Args:
        workers: the number of processes a person asks for.

    Returns:
        Processes, and the threads torch is to compute with in each, 1 or more.

    Raises:
        LdsrError: see `asked_threads`.
    """
    asked, cores = asked_threads(), usable_cores()
    if workers is None:
        import torch

        workers = torch.cuda.device_count() or min(cores, free_memory() // WORKER_MEMORY)
        workers = max(1, workers)
    return workers, asked or max(1, cores // max(1, workers))


def free_memory(root: Path = Path("/")) -> int:
    """Bytes of memory a process may still take.

    The machine's, or what is left below the limit of its control group and those above it (cgroup
    v2 and v1). Files that the system keeps in memory and can let go of count as free.

    Args:
        root: where `proc` and `sys` lie.
    """
    free = _kilobytes(root / "proc/meminfo", "MemAvailable")
    if free is None:  # not Linux
        return 4 * WORKER_MEMORY
    mounts = root / "sys/fs/cgroup"
    here = [("v2", mounts), ("v1", mounts / "memory")]  # in a container often all there is
    for version, folder in [*_groups(root, "memory"), *here]:
        if version == "v2":
            limit, used, kept = "memory.max", "memory.current", "inactive_file"
        else:
            limit, used, kept = *_MEMORY_V1, "total_inactive_file"
        try:
            taken = int(_read(folder / used)) - _stat(folder, kept)
            free = min(free, int(_read(folder / limit)) - taken)
        except ValueError:  # no such file, or "max"
            continue
    return max(0, free)


def return_memory() -> None:
    """Give back to the system what freed memory the process still holds (glibc; elsewhere none).

    Memory of freed tensors below 32 MiB stays with the process, in pieces too small for large ones.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def compile_asked() -> bool:
    """Whether $LDSR_COMPILE asks for compiled networks.

    Raises:
        LdsrError: neither a yes nor a no.
    """
    text = os.environ.get(COMPILE_VARIABLE, "").strip().lower()
    if text not in FALSE + TRUE:
        raise LdsrError(f"{COMPILE_VARIABLE} is {text!r}; expected 1 or 0.")
    return text in TRUE


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add --device, --compile and --half; what they mean is said by `Pipeline.load`."""
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument(
        "--compile",
        dest="compiled",
        action="store_true",
        help="compile the networks (for GPUs; minutes at the first run, kept for the next start)",
    )
    parser.add_argument(
        "--half",
        action=argparse.BooleanOptionalAction,
        help="bfloat16 for everything, or with --no-half for nothing; "
        "by default for our networks where the processor has it, not for LDSR-S2",
    )


def machine_choices(options: argparse.Namespace) -> dict[str, object]:
    """What `Pipeline.load` is to be told of the options, the environment included.

    Raises:
        LdsrError: environment variables that say nothing sensible.
    """
    asked_threads()
    return {
        "device": options.device,
        "compiled": options.compiled or compile_asked(),
        "half": options.half,
    }


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Let a request to end (SIGTERM) stop work as Ctrl-C does; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that control groups allow, each limit that is set."""
    for _, folder in _groups(root, "cpu"):
        yield from _quota(folder)


def _groups(root: Path, controller: str) -> Iterator[tuple[str, Path]]:
    """The control groups of this process and those above: "v1" or "v2", and their folders.

    Args:
        root: where `proc` and `sys` lie.
        controller: that they are asked for; v2 has one tree for all.
    """
    lines = _read(root / "proc" / "self" / "cgroup").splitlines()
    mounts = root / "sys" / "fs" / "cgroup"
    for number, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        version = "v1"
        if number == "0" and not controllers:
            version, places = "v2", (mounts, mounts / "unified")
        elif controller in controllers.split(","):
            places = tuple(mounts / name for name in dict.fromkeys((controllers, controller)))
            places += (mounts / "cpu,cpuacct",) if controller == "cpu" else ()
        else:
            continue
        for place in places:
            # within a container the path may be the host's: then only its last parents are here
            for folder in _upwards(place, path):
                yield version, folder


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """A group's folder and all above it, up to where the groups are mounted."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _quota(folder: Path) -> Iterator[float]:
    """The quota of one group in cores, if it has one."""
    both = _read(folder / "cpu.max").split()
    if not both:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        both = [text for name in names if (text := _read(folder / name).strip())]
    try:
        quota, period = map(float, both)
    except ValueError:  # "max 100000", or no such files
        return
    if quota > 0 and period > 0:
        yield quota / period


def _kilobytes(path: Path, name: str) -> int | None:
    """Bytes that a line "NAME: 123 kB" says, None where there is none."""
    for line in _read(path).splitlines():
        key, _, value = line.partition(":")
        if key == name and value.split() and value.split()[0].isdecimal():
            return int(value.split()[0]) * 1024
    return None


def _stat(folder: Path, name: str) -> int:
    """A number of a control group's memory.stat, 0 where it does not say."""
    for line in _read(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdecimal():
            return int(value)
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
