"""What skipping steps saves and what it costs, beside simply taking fewer steps.

python -m evaluation.threshold_study --pairs NPZ [--every N] [--out DIR] prints the table; with
--out it also writes thresholds.csv (every row) and thresholds.png. Stage 1 alone, on aerial pairs;
the tiles run in batches, which changes nothing: noise and gate are each tile's own.
"""

import argparse
import csv
import dataclasses
import importlib.util
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.aerial import Pair, load_pairs
from evaluation.fidelity import psnr
from evaluation.flops import StepCost, step_cost
from evaluation.perceptual import Lpips
from evaluation.threshold_report import draw, shorten, to_markdown
from ldsr import stages
from ldsr.consistency import back_project
from ldsr.device import bfloat16_where_fast, choose_device
from ldsr.errors import LdsrError, MetricError
from ldsr.loading import Loaded, load_weights
from ldsr.machine import limit_threads
from ldsr.models.geometry import MINI
from ldsr.sampling.cache import MAX_HITS, FirstBlockCache
from ldsr.sampling.noise import make_generators
from ldsr.settings import SAMPLERS, SKIP_FORMS, Settings

STEPS = (2, 4, 8, 16, 25, 50)
"""Of the runs without a cache."""
CACHED_STEPS = (50, 20, 8)
THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
REFERENCE = 50
"""Steps of the run that the others are compared with: DDIM without a cache."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """One setting on one batch of tiles.

    Attributes:
        pictures: reflectance float32 [B, 4, 4H, 4W], back-projected.
        computed: steps computed in full, of each tile [B].
        skipped: steps that used stored features, of each tile [B].
        seconds: the sampler took for the batch.
    """

    pictures: np.ndarray
    computed: Sequence[int]
    skipped: Sequence[int]
    seconds: float


def make_settings(
    *,
    steps: Sequence[int] = STEPS,
    cached_steps: Sequence[int] = CACHED_STEPS,
    thresholds: Sequence[float] = THRESHOLDS,
    forms: Sequence[str] = SKIP_FORMS,
) -> list[Settings]:
    """All settings of the study: the reference, fewer steps, and caches.

    Args:
        steps: of DDIM and DPM-Solver++ without a cache.
        cached_steps: of DDIM with each of `thresholds` and `forms`.
        thresholds: above 0.
        forms: of the cache.
    """
    plain = Settings(refine=False, skip_threshold=0.0)
    runs = [
        dataclasses.replace(plain, sampler=sampler, steps=n) for sampler in SAMPLERS for n in steps
    ]
    cached = [
        dataclasses.replace(plain, steps=n, skip_form=form, skip_threshold=threshold)
        for n in cached_steps
        for form in forms
        for threshold in thresholds
    ]
    reference = dataclasses.replace(plain, steps=REFERENCE)
    return [reference, *(run for run in runs + cached if run != reference)]


@torch.inference_mode()
def run_batch(
    loaded: Loaded, lr: Tensor, settings: Settings, *, max_hits: int = MAX_HITS
) -> Outcome:
    """Stage 1 and back-projection of several inputs at once, as `Pipeline` does it for one.

    Args:
        loaded: a model.
        lr: reflectance [B, 4, H, W] on the model's device, all pixels valid.
        settings: of stage 1; every input begins with the noise of its seed.
        max_hits: of the cache.
    """
    if settings.temperature is None:
        settings = dataclasses.replace(settings, temperature=loaded.temperature)
    cache = FirstBlockCache(settings.skip_threshold, form=settings.skip_form, max_hits=max_hits)
    lr = lr.contiguous(memory_format=torch.channels_last)
    with bfloat16_where_fast(lr.device, wanted=loaded.model.regression is not None):
        prepared = stages.prepare(loaded.model, lr)
        started = time.perf_counter()
        z = stages.base_stage(
            loaded.model,
            lr,
            prepared,
            settings=settings,
            schedule=loaded.schedule,
            spacing=loaded.spacing,
            last_alpha_cumprod=loaded.last_alpha_cumprod,
            generators=[make_generators(settings.seed)[0] for _ in lr],
            cache=cache,
        ).cpu()
        seconds = time.perf_counter() - started
        picture = stages.decode(loaded.model, z.to(lr.device), prepared)
    if settings.consistency != "none":
        picture = back_project(picture, lr, operator=settings.consistency).x
    return Outcome(picture.float().cpu().numpy(), cache.computed, cache.skipped, seconds)


def study(
    loaded: Loaded,
    pairs: Sequence[Pair],
    runs: Sequence[Settings],
    *,
    cost: StepCost,
    batch: int = 23,
    max_hits: int = MAX_HITS,
    device: torch.device | None = None,
) -> list[dict]:
    """Run every setting on every pair and average.

    Args:
        loaded: a model.
        pairs: inputs and references, all of one size.
        runs: settings; all are compared with the first.
        cost: of one evaluation for one input.
        batch: inputs at once.
        max_hits: of the cache.
        device: of the model; the CPU by default.

    Returns:
        A row a setting: what it was ("sampler", "steps", "form", "threshold"); means over the
        tiles of "computed" and "skipped" steps, "gflops" of the denoiser, "psnr" (dB), "lpips"
        (NaN where its weights are missing) and "difference" (RMSE in reflectance to the first
        setting's picture); "seconds" of the sampler a tile, median over the batches; "flops_ratio"
        and "time_ratio", how many times less than the first setting.
    """
    lpips = _lpips()
    scores: list[list[dict]] = [[] for _ in runs]
    for start in range(0, len(pairs), batch):
        part = pairs[start : start + batch]
        lr = torch.from_numpy(np.stack([pair.lr.reflectance for pair in part]))
        lr = lr.to(device or torch.device("cpu"))
        run_batch(loaded, lr, runs[0])  # else the first setting would pay for preparing kernels
        first: Outcome | None = None
        for settings, found in zip(runs, scores, strict=True):
            outcome = run_batch(loaded, lr, settings, max_hits=max_hits)
            first = first or outcome
            found += _score(outcome, first, part, lpips)
        log.info("%d of %d tiles", start + len(part), len(pairs))
    rows = [_average(settings, found, cost) for settings, found in zip(runs, scores, strict=True)]
    return [row | {"flops_ratio": rows[0]["gflops"] / row["gflops"]} for row in rows]


def _lpips() -> Lpips | None:
    try:
        return Lpips()
    except MetricError as error:
        log.warning("No LPIPS: %s", error)
        return None


def _score(
    outcome: Outcome, first: Outcome, pairs: Sequence[Pair], lpips: Lpips | None
) -> Iterator[dict]:
    """What is averaged later, tile by tile."""
    for i, pair in enumerate(pairs):
        picture = outcome.pictures[i]
        difference = picture.astype(np.float64) - first.pictures[i]
        yield {
            "computed": outcome.computed[i],
            "skipped": outcome.skipped[i],
            "psnr": psnr(picture, pair.hr),
            "lpips": lpips(picture, pair.hr) if lpips else float("nan"),
            "difference": float(np.sqrt(np.square(difference).mean())),
            "seconds": outcome.seconds / len(pairs),
            "time_ratio": first.seconds / outcome.seconds,
        }


def _average(settings: Settings, scores: Sequence[dict], cost: StepCost) -> dict:
    """One row of the table: medians of times, means of all else."""
    row = {
        "sampler": settings.sampler,
        "steps": settings.steps,
        "form": settings.skip_form if settings.skip_threshold > 0 else "none",
        "threshold": settings.skip_threshold,
    }
    for name in scores[0]:
        average = np.median if name in ("seconds", "time_ratio") else np.mean
        row[name] = float(average([score[name] for score in scores]))
    operations = cost.run(settings.skip_form, computed=row["computed"], skipped=row["skipped"])
    return row | {"gflops": operations / 1e9}


def main(arguments: list[str] | None = None) -> int:
    """Print the table, write table and figure, and return the exit status: 0, or 2 with a line."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.out and importlib.util.find_spec("matplotlib") is None:
            raise MetricError(
                "The figure needs matplotlib: pip install -r tests/requirements.txt, or leave out "
                "--out."
            )
        limit_threads()
        device = choose_device(options.device)
        pairs = load_pairs(options.pairs)[:: options.every]
        runs = make_settings(
            steps=STEPS,
            cached_steps=options.cached_steps,
            thresholds=options.thresholds,
            forms=options.forms,
        )
        rows = study(
            load_weights("mini", device),
            pairs,
            runs,
            cost=step_cost(MINI["denoiser"], pairs[0].lr.size),
            batch=options.batch,
            max_hits=options.max_hits,
            device=device,
        )
    except LdsrError as error:
        print(f"threshold study: {error}", file=sys.stderr)
        return 2
    print(f"{len(pairs)} tiles, at most {options.max_hits} consecutive hits\n")
    print(to_markdown(rows if options.full else shorten(rows)))
    if options.out:
        _write(rows, options.out)
    return 0


def _write(rows: Sequence[dict], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "thresholds.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    draw(rows, folder / "thresholds.png")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation.threshold_study")
    parser.add_argument("--pairs", type=Path, required=True, help=".npz of aerial tiles, 1.2 m")
    parser.add_argument("--every", type=int, default=1, help="take every n-th tile")
    parser.add_argument("--cached-steps", type=int, nargs="+", default=CACHED_STEPS)
    parser.add_argument("--thresholds", type=float, nargs="+", default=THRESHOLDS)
    parser.add_argument("--forms", nargs="+", default=SKIP_FORMS, choices=SKIP_FORMS)
    parser.add_argument("--max-hits", type=int, default=MAX_HITS)
    parser.add_argument("--batch", type=int, default=23, help="tiles at once")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--full", action="store_true", help="print every row")
    parser.add_argument("--out", type=Path, metavar="DIR", help="also write table and figure")
    return parser


if __name__ == "__main__":
    sys.exit(main())
