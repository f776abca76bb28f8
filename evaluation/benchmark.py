"""Time and memory of whole runs: python -m evaluation.benchmark [--sizes 128 512] [--presets fast].

Each preset at each size is run `--repeat` times on a shipped sample, mirrored to size; the fastest
is shown with its parts (the first run in a process also pays for the preparation of kernels).
Memory is the peak of the process so far, so sizes go from small to large.
"""

import argparse
import dataclasses
import resource
import sys
from collections.abc import Mapping

import numpy as np

from ldsr.data.patch import Patch
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.machine import add_machine_options, limit_threads, machine_choices
from ldsr.pipeline import Pipeline
from ldsr.settings import PRESETS, Settings


def main(arguments: list[str] | None = None) -> int:
    """Print one line a size and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.benchmark", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--presets", nargs="+", default=["balanced"], choices=sorted(PRESETS))
    parser.add_argument("--steps", type=int, help="of stage 1, instead of the preset's")
    parser.add_argument("--no-refine", action="store_true", help="stage 1 alone")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--weights", default="mini")
    add_machine_options(parser)
    options = parser.parse_args(arguments)
    try:
        limit_threads()
        pipeline = Pipeline.load(options.weights, **machine_choices(options))
        for size in sorted(options.sizes):
            for preset in options.presets:
                best = fastest(pipeline, make_patch(size), make_settings(preset, options), options)
                parts = "  ".join(f"{name} {seconds:.2f}" for name, seconds in best.items())
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
                print(f"{size:5} px  {preset}  {parts} s  peak {peak:.2f} GiB", flush=True)
    except LdsrError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    return 0


def make_settings(preset: str, options: argparse.Namespace) -> Settings:
    """A preset with what the options say otherwise."""
    settings = PRESETS[preset]
    if options.steps is not None:
        settings = dataclasses.replace(settings, steps=options.steps)
    return dataclasses.replace(settings, refine=settings.refine and not options.no_refine)


def fastest(
    pipeline: Pipeline, patch: Patch, settings: Settings, options: argparse.Namespace
) -> Mapping[str, float]:
    """Seconds by part of the fastest of several runs."""
    runs = [pipeline(patch, settings).seconds for _ in range(options.repeat)]
    return min(runs, key=lambda seconds: seconds["total"])


def make_patch(size: int) -> Patch:
    """Mirror a shipped sample to size x size pixels of 10 m."""
    picture = load_sample(list_samples()[0].key).reflectance
    missing = [(0, max(0, size - side)) for side in picture.shape[1:]]
    picture = np.pad(picture, [(0, 0), *missing], mode="symmetric")[:, :size, :size]
    return Patch(reflectance=np.ascontiguousarray(picture), valid=np.ones((size, size), bool))


if __name__ == "__main__":
    sys.exit(main())
