"""How fast and how small the product is beside opensr-model 1.0.8, on the same random weights.

    python -m tests.benchmark_speed [--size 128] [--steps 4] [--samples 15] [--cases ...] [--json F]

Each case is a process of its own, one after the other: seconds of the run without loading (the
fastest of `--repeat`), and the largest resident memory while it ran, weights included. What is to
be equal is compared. Ratios are what counts; seconds belong to the machine.
"""

import argparse
import contextlib
import dataclasses
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
SEED = 0


@dataclasses.dataclass(frozen=True)
class Work:
    """What a case is given.

    Attributes:
        folder: of checkpoint, input and results.
        size: side of the input in pixels.
        steps: of DDIM.
        samples: of the uncertainty.
    """

    folder: Path
    size: int
    steps: int
    samples: int

    def input(self) -> np.ndarray:
        """Reflectance [1, 4, H, W]."""
        return np.random.default_rng(SEED).uniform(0.02, 0.4, (1, 4, self.size, self.size))


Run = Callable[[], torch.Tensor | None]


def peer(work: Work, *, runs: int = 1, steps: int | None = None) -> Run:
    """opensr-model as it is called, without its random posterior and its histogram matching."""
    from opensr_model.srmodel import SRLatentDiffusion

    from tests.test_published import oracle_config

    model = SRLatentDiffusion(oracle_config(128, 160))
    state = torch.load(work.folder / "published.ckpt", weights_only=True)["state_dict"]
    model.model.load_state_dict(state)
    del state
    lr = torch.from_numpy(work.input()).float()

    def mode_only(posterior: Any) -> torch.Tensor:
        return posterior.mode()

    kind = type(model.model.first_stage_model.encode(torch.zeros(1, 4, 32, 32)))
    kind.sample = mode_only

    def run() -> torch.Tensor:
        for _ in range(runs):
            torch.manual_seed(SEED)
            sr = model(
                lr,
                sampling_eta=0.0,
                sampling_steps=steps or work.steps,
                sampling_temperature=1.0,
                histogram_matching=False,
            )
        return sr

    return run


def ours(work: Work, *, bfloat16: bool = False) -> Run:
    """The same networks in ours: condition, DDIM, decoder; noise as the peer draws it."""
    from ldsr import stages
    from ldsr.loading import load_published
    from ldsr.sampling.ddim import ddim
    from ldsr.sampling.schedule import timesteps

    loaded = load_published(work.folder / "published.ckpt", "", torch.device("cpu"))
    lr = torch.from_numpy(work.input()).float().contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run() -> torch.Tensor:
        torch.manual_seed(SEED)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            prepared = stages.prepare(loaded.model, lr)
            z = ddim(
                lambda z, t: loaded.model.denoise(z, t[:1], prepared).float(),
                torch.randn(prepared.cond.shape),
                schedule=loaded.schedule,
                timesteps=timesteps(loaded.schedule, work.steps, spacing=loaded.spacing),
                last_alpha_cumprod=loaded.last_alpha_cumprod,
            )
            return stages.decode(loaded.model, z, prepared).clamp(min=0)

    return run


def ours_samples(work: Work, *, steps: int = 3) -> Run:
    """Uncertainty of several samples: one condition, DPM-Solver++ with few steps."""
    from ldsr.loading import load_published
    from ldsr.pipeline import Pipeline
    from ldsr.settings import Settings
    from tests.conftest import make_patch

    loaded = load_published(work.folder / "published.ckpt", "", torch.device("cpu"))
    pipeline = Pipeline("ldsr-s2", loaded, torch.device("cpu"))
    patch = make_patch(work.size, work.size)
    settings = Settings(sampler="dpm", steps=steps, refine=False, samples=work.samples, settle=0.0)
    return lambda: pipeline(patch, settings) and None


def mini(work: Work, *, samples: int = 0) -> Run:
    """The balanced preset with the weights that ship, both stages."""
    from evaluation.benchmark import make_patch
    from ldsr.pipeline import Pipeline
    from ldsr.settings import PRESETS

    pipeline, patch = Pipeline.load("mini", device="cpu"), make_patch(work.size)
    settings = dataclasses.replace(PRESETS["balanced"], samples=samples, settle=0.0)
    return lambda: pipeline(patch, settings) and None


CASES: dict[str, Callable[[Work], Run]] = {
    "peer": peer,
    "ours": ours,
    "ours bf16": lambda work: ours(work, bfloat16=True),
    "peer 3 steps": lambda work: peer(work, steps=3),
    "ours samples": ours_samples,
    "mini": mini,
    "mini 512": lambda work: mini(dataclasses.replace(work, size=512)),
}


def measure(case: str, work: Work, repeat: int) -> dict[str, float]:
    """Run one case in this process: seconds, GiB at most, seconds to load and run once."""
    begun = time.perf_counter()
    run = CASES[case](work)
    _forget_peak()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
        if len(seconds) == 1:
            first = time.perf_counter() - begun
    if result is not None:
        np.save(work.folder / f"{case}.npy", result.float().cpu().numpy())
    return {"seconds": min(seconds), "peak_gib": _peak(), "first_with_load": first}


def _forget_peak() -> None:
    """From now on the largest resident memory is counted anew (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 2**20


def make_checkpoint(folder: Path) -> None:
    """Save random weights in the published layout."""
    from opensr_model.srmodel import SRLatentDiffusion

    from tests.test_published import oracle_config

    torch.manual_seed(SEED)
    model = SRLatentDiffusion(oracle_config(128, 160))
    torch.save({"state_dict": model.model.state_dict()}, folder / "published.ckpt")


def decibels(result: np.ndarray, reference: np.ndarray) -> float:
    """PSNR of a result to a reference, against the reference's range."""
    error = float(np.mean((result - reference) ** 2))
    return 10 * math.log10(float(np.ptp(reference)) ** 2 / max(error, 1e-30))


def compare(found: dict[str, dict], folder: Path) -> Iterator[str]:
    """Ratios and differences, a line each."""
    for name in ("ours", "ours bf16"):
        if name in found and "peer" in found:
            time_ratio = found["peer"]["seconds"] / found[name]["seconds"]
            memory = found[name]["peak_gib"] / found["peer"]["peak_gib"]
            yield f"{name}: {time_ratio:.2f} x faster, {memory:.0%} of the memory"
    if "peer 3 steps" in found and "ours samples" in found:
        samples = found["ours samples"]["samples"]
        ratio = samples * found["peer 3 steps"]["seconds"] / found["ours samples"]["seconds"]
        yield f"{samples} samples of 3 steps: {ratio:.2f} x faster than {samples} runs of the peer"
    pictures = {name: folder / f"{name}.npy" for name in ("peer", "ours", "ours bf16")}
    there = {name: np.load(path) for name, path in pictures.items() if path.is_file()}
    if {"peer", "ours"} <= set(there):
        difference = np.abs(there["ours"] - there["peer"]).max() / np.abs(there["peer"]).max()
        yield f"ours: largest difference to the peer {difference:.1e} of its largest value"
    if {"ours", "ours bf16"} <= set(there):
        yield f"ours bf16: {decibels(there['ours bf16'], there['ours']):.1f} dB to ours"


def main() -> None:
    """Run the cases asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        work = Work(options.one, options.size, options.steps, options.samples)
        print(json.dumps(measure(options.cases[0], work, options.repeat)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_checkpoint(folder)
        for case in options.cases:
            command = [sys.executable, "-m", "tests.benchmark_speed", "--one", place]
            for name in ("size", "steps", "samples", "repeat"):
                command += [f"--{name}", str(getattr(options, name))]
            done = subprocess.run(
                [*command, "--cases", case], cwd=ROOT, capture_output=True, text=True, check=True
            )
            found[case] = json.loads(done.stdout.splitlines()[-1]) | {"samples": options.samples}
            print(
                "{0:14} {seconds:8.2f} s  {peak_gib:6.2f} GiB  {first_with_load:8.2f} s with "
                "loading".format(case, **found[case]),
                flush=True,
            )
        lines = list(compare(found, folder))
    print("\n".join(lines))
    if options.json:
        threads = torch.get_num_threads()
        told = {"threads": threads, "torch": torch.__version__, "cases": found, "said": lines}
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
