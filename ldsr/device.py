"""Where networks run, in which precision, and how long a part of a run took."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import torch
from torch import nn

from ldsr.errors import WeightsError
from ldsr.models.layers import Upsample

P = ParamSpec("P")
R = TypeVar("R")


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
    enabled = half_where_fast(device, wanted=wanted)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def half_where_fast(device: torch.device, *, wanted: bool = True) -> bool:
    """Whether bfloat16 is computed in: where it is wanted and the processor has it."""
    return wanted and _has_bfloat16(device)


def gpu_memory(device: torch.device) -> int:
    """Bytes that may still be taken of a GPU: the free ones and those that torch keeps unused."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def choose_half(half: bool | None, device: torch.device) -> bool | None:
    """Check that half precision, where it is asked for, is what this device is fast at.

    Raises:
        WeightsError: it would be emulated.
    """
    if half and not _has_bfloat16(device):
        what = "GPU" if device.type == "cuda" else "processor"
        needed = "Ampere or later" if device.type == "cuda" else "AMX or AVX512-BF16"
        raise WeightsError(
            f"Half precision was asked for, but this {what} does not compute in bfloat16 (it takes "
            f"{needed}): it would be slower, not faster; leave --half (half=True) out."
        )
    return half


def describe(device: str) -> str:
    """Name what computes, to read: "CPU, 2 threads" or the name of the GPU."""
    place = torch.device(device)
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    count = torch.get_num_threads()
    return f"CPU, {count} thread{'' if count == 1 else 's'}"


def keep_half(network: nn.Module) -> nn.Module:
    """Keep the weights of convolutions and linear layers in bfloat16, as autocast would make them.

    It is then made once and not at each call; the network needs autocast from then on. Weights
    that are added to each other before they are used (`Upsample`) stay.
    """
    summed = {id(module.conv) for module in network.modules() if isinstance(module, Upsample)}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and id(module) not in summed:
            module.to(torch.bfloat16)
    return network


def without_gradients(method: Callable[P, R]) -> Callable[P, R]:
    """Run a function whose first argument has a `device` in inference mode; see `convolutions`."""

    @functools.wraps(method)
    def run(*arguments: P.args, **more: P.kwargs) -> R:
        with torch.inference_mode(), convolutions(torch.device(arguments[0].device)):
            return method(*arguments, **more)

    return run


def convolutions(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """How a GPU convolves: float32 is float32, and the fastest way is looked for at each new shape.

    cuDNN would round float32 to TF32 (10 bits) unasked, too coarse for a back-projection to 1e-4;
    matrix products are not rounded by default. Elsewhere nothing changes.
    """
    if device.type != "cuda":
        return contextlib.nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
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
