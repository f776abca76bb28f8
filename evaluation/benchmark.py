"""Time and memory of whole runs: python -m evaluation.benchmark [--sizes 128 512 1024] [--steps 8].

Each size is run `--repeat` times on a shipped sample, mirrored to size; the fastest is shown with
its parts (the first run in a process also pays for the preparation of kernels). Memory is the peak
of the process so far, so sizes go from small to large.
"""

import argparse
import resource
import sys

import numpy as np

from ldsr.data.patch import Patch
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Print one line a size and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.benchmark", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--weights", default="mini")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    try:
        pipeline = Pipeline.load(options.weights, device=options.device)
        for size in sorted(options.sizes):
            patch, settings = make_patch(size), Settings(steps=options.steps)
            runs = [pipeline(patch, settings).seconds for _ in range(options.repeat)]
            best = min(runs, key=lambda seconds: seconds["total"])
            parts = "  ".join(f"{name} {seconds:.2f}" for name, seconds in best.items())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(f"{size:5} px  {parts} s  peak {peak:.2f} GiB", flush=True)
    except LdsrError as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    return 0


def make_patch(size: int) -> Patch:
    """Mirror a shipped sample to size x size pixels of 10 m."""
    picture = load_sample(list_samples()[0].key).reflectance
    missing = [(0, max(0, size - side)) for side in picture.shape[1:]]
    picture = np.pad(picture, [(0, 0), *missing], mode="symmetric")[:, :size, :size]
    return Patch(reflectance=np.ascontiguousarray(picture), valid=np.ones((size, size), bool))


if __name__ == "__main__":
    sys.exit(main())
