"""What the machine can do at most, measured, and what a run of LDSR-S2's geometry asks of it."""

import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ldsr.models.geometry import PUBLISHED
from ldsr.models.latent_sr import LatentSR
from tests.benchmarks.paths import without
from tests.benchmarks.work import Work

SIDES = {"cpu": (2048, 128), "cuda": (8192, 512)}
"""Rows of the square matrices, and pixels of the convolved picture's side."""
CHANNELS = 256
LONG_ENOUGH = 0.5
"""Seconds to try for; the fastest counts."""


def geometry(work: Work) -> dict:
    """Arguments of LatentSR: LDSR-S2, or a narrow copy."""
    narrow = {"autoencoder": {"channels": work.widths[0]}, "denoiser": {"channels": work.widths[1]}}
    return PUBLISHED | narrow


def measure_ceiling(
    device: str, dtype: torch.dtype, *, sides: tuple[int, int] | None = None
) -> dict[str, float]:
    """Operations a second of a large matrix product and of a large 3x3 convolution.

    A multiplication with its addition counts as two.

    Args:
        device: "cpu" or "cuda".
        dtype: what both are computed in.
        sides: as in SIDES.

    Returns:
        "matmul", "convolution" and the larger, "ceiling", FLOP/s.
    """
    rows, side = sides or SIDES[device]
    made = {"device": device, "dtype": dtype}
    a, b = torch.randn(rows, rows, **made), torch.randn(rows, rows, **made)
    x = torch.randn(1, CHANNELS, side, side, **made).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(CHANNELS, CHANNELS, 3, 3, **made) / CHANNELS
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        found = {
            "matmul": 2 * rows**3 / _fastest(lambda: a @ b, device),
            "convolution": 2 * (side * CHANNELS * 3) ** 2
            / _fastest(lambda: F.conv2d(x, kernel, padding=1), device),
        }  # fmt: skip
    return found | {"ceiling": max(found.values())}


def _fastest(function: Callable[[], Tensor], device: str) -> float:
    """Seconds of the fastest of as many calls as fit into LONG_ENOUGH, three at least."""
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None
    function()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < LONG_ENOUGH:
        finish()
        start = time.perf_counter()
        function()
        finish()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def run_flops(work: Work) -> dict[str, int]:
    """Operations of one picture: condition, steps, decoder; counted as `evaluation.flops` does.

    Returns:
        "ours" as it is computed, and "plain" without the short cut of doubling by phases, which is
        what the peer computes.
    """
    counts = {}
    with torch.device("meta"):
        model = LatentSR(**geometry(work)).eval()
        lr, t = torch.empty(1, 4, work.size, work.size), torch.empty(1)
        z = torch.empty_like(lr)
    for name, off in (("ours", ()), ("plain", ("doubling by phases",))):
        parts = []
        with torch.inference_mode(), without(off):
            prepared = model.prepare(lr)
            for part in (
                lambda: model.prepare(lr),
                lambda: model.denoise(z, t, prepared),
                lambda: model.decode(z, prepared),
            ):
                with FlopCounterMode(display=False) as counter:
                    part()
                parts.append(counter.get_total_flops())
        counts[name] = parts[0] + work.steps * parts[1] + parts[2]
    return counts


def make_run(work: Work) -> Callable[[], tuple[None, dict]]:
    """Ceilings by precision, and the operations they are to be compared with."""

    def run() -> tuple[None, dict]:
        precisions = {"fp32": torch.float32, "bf16": torch.bfloat16}
        found = {name: measure_ceiling(work.device, kind) for name, kind in precisions.items()}
        return None, {"ceiling": found, "flops": run_flops(work)}

    return run
