"""How much memory a run takes, and whether there is as much: a run that does not fit is refused.

The figures are measured by `python -m tests.benchmarks.memory`, straight lines above what they
were measured from. Standard library only.
"""

import dataclasses
import os
from collections.abc import Mapping

from ldsr.errors import PatchError
from ldsr.machine import FALSE, free_memory
from ldsr.settings import Settings

GUARD_VARIABLE = "LDSR_MEMORY_GUARD"
BLOCK = 240
"""Side of the largest block that a network sees at once, margins included (`ldsr.blocks`)."""
LEAST = 16
"""Side of the smallest picture that is taken."""
TOO_LITTLE = "This picture needs more memory than there is; try a smaller one."


@dataclasses.dataclass(frozen=True)
class Cost:
    """Bytes that a part of a run takes at its largest.

    Attributes:
        block: for each pixel of the block that is computed; no more than BLOCK x BLOCK count.
        whole: for each pixel of the picture.
        start: beside its pictures: kernels that are prepared, weights that are read late.
    """

    block: float
    whole: float
    start: float = 100e6

    def bytes(self, rows: int, columns: int) -> float:
        """Of a picture of so many pixels of 10 m."""
        seen = min(rows, BLOCK) * min(columns, BLOCK)
        return self.start + self.block * seen + self.whole * rows * columns


HALF: Mapping[str, Cost] = {
    "bicubic": Cost(0, 1450),
    "regression": Cost(4600, 1400),
    "ldsr": Cost(3500, 4600),
    "sr3": Cost(7500, 1500),
    "refine": Cost(5000, 5100),
}
"""Of each base and of stage 2, where networks compute in bfloat16."""
FULL: Mapping[str, Cost] = {
    "bicubic": Cost(0, 1450),
    "regression": Cost(8500, 1400),
    "ldsr": Cost(9500, 4600),
    "sr3": Cost(8500, 1500),
    "refine": Cost(10500, 5100),
}
"""The same in float32."""
PUBLISHED = Cost(0, 32000, start=350e6)
"""Of LDSR-S2, which sees the whole picture at once, in float32."""
LONG, LONG_BYTES = 50, 300
"""Steps of a run beyond which so many bytes more are kept between them, for each pixel."""
SAMPLES_BYTES = 900
"""For each pixel, what further samples take beside the run: mean, deviation, edges, the newest."""


def needed_bytes(
    size: tuple[int, int],
    settings: Settings,
    *,
    kind: str = "picture",
    half: bool = False,
    published: bool = False,
) -> int:
    """Estimate the memory that a run takes at its largest, beyond what the loaded model has.

    Args:
        size: rows and columns of the input.
        settings: of the run.
        kind: "picture", "samples" (of a result that is there), or "tags" (stage 2 again).
        half: whether our networks compute in bfloat16.
        published: whether the base "ldsr" is LDSR-S2.
    """
    costs = HALF if half else FULL
    base = PUBLISHED if published and settings.base == "ldsr" else costs[settings.base]
    stages = [] if kind == "tags" else [base]
    if settings.refine or kind == "tags":
        stages.append(costs["refine"])
    total = max(stage.bytes(*size) for stage in stages)
    pixels = size[0] * size[1]
    if max(settings.steps, settings.refine_steps) > LONG and settings.skip_threshold:
        total += LONG_BYTES * pixels
    if settings.samples:
        total += SAMPLES_BYTES * pixels
    return round(total)


def check_fits(
    size: tuple[int, int], settings: Settings, *, free: int | None = None, **about: object
) -> None:
    """Refuse a run that memory does not last for.

    Args:
        size: rows and columns of the input.
        settings: of the run.
        free: bytes; by default what this process may still take.
        about: as of `needed_bytes`.

    Raises:
        PatchError: it does not fit; says what is needed, what is free, and what would fit.
    """
    if os.environ.get(GUARD_VARIABLE, "1").strip().lower() in FALSE:
        return
    free = free_memory() if free is None else free
    needed = needed_bytes(size, settings, **about)
    if needed <= free:
        return
    rows, columns = size
    side = largest_side(free, settings, most=max(size), **about)
    begun = (
        f"A picture of {columns} x {rows} pixels with these settings needs about "
        f"{_gigabytes(needed)} of memory, {_gigabytes(free)} are free; "
    )
    less = "samples off, or " if settings.samples and about.get("kind") != "tags" else ""
    if side < LEAST:
        raise PatchError(f"{begun}try again later{', or with ' + less[:-5] if less else ''}.")
    raise PatchError(
        f"{begun}up to {side} x {side} fit now: crop it, "
        f"{'leave the samples out, ' if less else ''}or run it as a scene job."
    )


def largest_side(free: int, settings: Settings, *, most: int, **about: object) -> int:
    """Side of the largest square picture that fits, a multiple of LEAST; 0 where none does."""
    sides = range(LEAST, most + 1, LEAST)
    fit = [side for side in sides if needed_bytes((side, side), settings, **about) <= free]
    return max(fit, default=0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not last: Python's, or torch's on a CPU or a GPU."""
    said = str(error)
    torchs = isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError"
        or "not enough memory" in said
        or "can't allocate memory" in said
    )
    return isinstance(error, MemoryError) or torchs


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count < 10e9 else f"{count / 1e9:.0f} GB"
