"""What the figures were measured on."""

import importlib.metadata
import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "opensr-model", "numpy", "gradio")


def threads() -> int:
    """What torch would compute with: OMP_NUM_THREADS, or the cores this process may use."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else len(os.sched_getaffinity(0))


def describe(threads: int) -> dict[str, Any]:
    """Processor, memory, versions, pages, and how busy the machine is."""
    info = _read("/proc/cpuinfo")
    flags = set(_find(r"^flags\s*:\s*(.*)$", info).split())
    memory = int(_find(r"^MemTotal:\s*(\d+) kB", _read("/proc/meminfo")) or 0)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _find(r"^model name\s*:\s*(.*)$", info) or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "bfloat16": sorted(flags & {"avx512_bf16", "amx_bf16"}),
        "memory_gb": round(memory * 1024 / 1e9, 1),
        "huge_pages": _find(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled")),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.M)
    return found[1].strip() if found else ""


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
