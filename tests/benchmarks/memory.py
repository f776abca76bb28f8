"""How much memory runs take at their largest, beside what `ldsr.memory` says of them.

    python -m tests.benchmarks.memory [--kinds ldsr refine ...] [--sizes 128 256 512] [--full]
        [--json FILE]

Each kind is a process of its own, which runs a small picture first: what is measured is the largest
resident memory less that before the run, emerging pictures included, as the page shows them. Then
the straight line through it: bytes for each pixel of the block that is computed (a side of
`ldsr.memory.BLOCK` at most) and for each pixel of the picture; what is written in `ldsr.memory` is
a tenth more. Status 1 where a run took more than was estimated.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ldsr.memory import BLOCK, needed_bytes
from ldsr.settings import Settings
from tests.benchmarks.measure import ROOT, forget_peak, peak_gb, resident_gb

KINDS: Mapping[str, Settings] = {
    "bicubic": Settings(base="bicubic", refine=False),
    "regression": Settings(base="regression", refine=False),
    "ldsr": Settings(steps=2, refine=False),
    "sr3": Settings(base="sr3", steps=1, refine=False),
    "refine": Settings(base="bicubic", refine_steps=2),
    "both stages": Settings(steps=2, refine_steps=2),
    "samples": Settings(steps=2, refine_steps=2, samples=3, settle=0.0),
    "long": Settings(steps=52, skip_threshold=0.9, refine=False),
    "published": Settings(steps=2, refine=False),
}
"""What is run, with few steps: they take time and not memory. "published" is LDSR-S2's geometry
with random weights, "samples" further samples of a result."""
SIZES = {"published": (64, 128, 192)}
USUAL = (128, 256, 512)
SMALL = 32
"""Side of the picture before."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--sizes", nargs="+", type=int, help="sides in pixels of the input")
    parser.add_argument("--full", action="store_true", help="float32 instead of bfloat16")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        for size in options.sizes:
            print(json.dumps(measure(options.one, size, full=options.full)), flush=True)
        return 0
    rows: list[dict[str, Any]] = []
    for kind in options.kinds:
        sizes = options.sizes or SIZES.get(kind, USUAL)
        command = [sys.executable, "-m", __spec__.name, "--one", kind, "--sizes", *map(str, sizes)]
        command += ["--full"] * options.full
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        rows += [json.loads(line) for line in done.stdout.splitlines()]
        print("\n".join(lines(kind, [row for row in rows if row["kind"] == kind])), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return int(any(row["measured"] > row["estimated"] for row in rows))


def measure(kind: str, size: int, *, full: bool) -> dict[str, Any]:
    """Run a kind once, in this process.

    Returns:
        "kind", "size", "half", and bytes: "measured", "estimated".
    """
    import ldsr  # first: it tells torch how to allocate
    from evaluation.benchmark import make_patch
    from ldsr.device import half_where_fast
    from ldsr.machine import return_memory

    assert ldsr.__version__
    pipeline, settings = make_pipeline(kind, full=full), KINDS[kind]
    alone = dataclasses.replace(settings, samples=0)
    pipeline(make_patch(SMALL), alone)
    patch, shown = make_patch(size), {}
    first = pipeline(patch, alone) if settings.samples else None

    def see(step: Any) -> None:
        """As the page does: the newest picture of each stage is kept."""
        if step.preview is not None and step.part.split()[0] not in shown:
            shown[step.part.split()[0]] = step.preview()

    return_memory()
    before = resident_gb()
    forget_peak()
    if first is None:
        pipeline(patch, settings, see)
    else:
        pipeline.sample(first, settings.samples)
    published, half = kind == "published", half_where_fast(pipeline._place, wanted=not full)
    said = "samples" if settings.samples else "picture"
    about = {"kind": said, "half": half, "published": published}
    return {
        "kind": kind,
        "size": size,
        "half": half and not published,
        "measured": round(1e9 * (peak_gb() - before)),
        "estimated": needed_bytes((size, size), settings, **about),
    }


def make_pipeline(kind: str, *, full: bool) -> Any:
    """The weights that ship, or LDSR-S2's geometry with random ones."""
    import torch

    from ldsr.loading import Loaded
    from ldsr.models.geometry import PUBLISHED
    from ldsr.models.latent_sr import LatentSR
    from ldsr.pipeline import Pipeline
    from ldsr.sampling.schedule import cosine_schedule

    if kind != "published":
        return Pipeline.load("mini", device="cpu", half=False if full else None)
    model = LatentSR(**PUBLISHED).eval().requires_grad_(False)
    loaded = Loaded(
        model=model.to(memory_format=torch.channels_last),
        schedule=cosine_schedule(),
        spacing="trailing",
        last_alpha_cumprod=1.0,
        temperature=1.0,
        sha256="",
    )
    return Pipeline("ldsr-s2", loaded, torch.device("cpu"))


def lines(kind: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was measured of a kind, and its straight line."""
    found = [
        f"{kind:12} {row['size']:5} px {'bfloat16' if row['half'] else 'float32':8} "
        f"{row['measured'] / 1e9:6.2f} GB measured, {row['estimated'] / 1e9:6.2f} GB estimated"
        + ("" if row["measured"] <= row["estimated"] else "  TOO LITTLE")
        for row in rows
    ]
    block, whole = fit([row["size"] for row in rows], [row["measured"] for row in rows])
    return [*found, f"{'':12} Cost({block:.0f}, {whole:.0f})"]


def fit(sizes: Sequence[int], measured: Sequence[float]) -> tuple[float, float]:
    """Bytes for each pixel of the block and of the picture, least squares, neither below 0."""
    sides = np.array(sizes, float)
    pixels = np.stack([np.minimum(sides, BLOCK) ** 2, sides**2], axis=1)
    costs, *_ = np.linalg.lstsq(pixels, np.array(measured, float), rcond=None)
    if costs.min() < 0:
        each = [pixels[:, i] @ measured / (pixels[:, i] @ pixels[:, i]) for i in (0, 1)]
        costs = np.array([0.0, each[1]] if costs[0] < 0 else [each[0], 0.0])
    return float(costs[0]), float(costs[1])


if __name__ == "__main__":
    sys.exit(main())
