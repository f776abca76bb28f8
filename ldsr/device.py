"""Where networks run, in which precision, and how long a part of a run took."""

import contextlib
import time
from collections.abc import Iterator

import torch

from ldsr.errors import WeightsError


def choose_device(device: str) -> torch.device:
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device.

    Raises:
        WeightsError: a device that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise WeightsError(f"There is no device {device!r}; use auto, cpu or cuda.") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise WeightsError("cuda was asked for, but torch finds no GPU here; use auto or cpu.")
    return place


def bfloat16_where_fast(device: torch.device, *, wanted: bool = True) -> torch.autocast:
    """Compute in bfloat16 where the processor does it in hardware."""
    enabled = wanted and _has_bfloat16(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


class Clock:
    """Seconds of each named part of a run."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Time what happens within."""
        started = time.perf_counter()
        yield
        self._seconds[part] = time.perf_counter() - started

    def finish(self) -> dict[str, float]:
        """Seconds by part, and "total" since the clock was made."""
        return {**self._seconds, "total": time.perf_counter() - self._started}
