"""What a step costs: floating-point operations of the denoiser, in full and with stored features.

Counted on tensors without values, so no weights are needed. A multiplication with its addition
counts as two; matrix products, convolutions and attention are counted, pointwise functions (and
with them the gate) are not. Per sample: python -m evaluation.flops [--size 128 128]

With --samples 8 whole runs are counted instead, on a shipped sample and with the weights that ship:
what a run of one sample costs, what one of eight, network by network.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from evaluation.benchmark import make_patch
from ldsr.data.patch import Patch
from ldsr.models.geometry import MINI, PUBLISHED
from ldsr.models.unet import UNet
from ldsr.pipeline import Pipeline
from ldsr.sampling.cache import FORMS
from ldsr.settings import PRESETS, Settings


@dataclasses.dataclass(frozen=True)
class StepCost:
    """Operations of one evaluation for one sample.

    Attributes:
        full: everything computed.
        hit: stored features used, by the form of the cache.
    """

    full: int
    hit: dict[str, int]

    def run(self, form: str, *, computed: float, skipped: float) -> float:
        """Operations of a run, the means over samples for `computed` and `skipped`."""
        return computed * self.full + skipped * self.hit[form]


def step_cost(denoiser: dict, size: tuple[int, int]) -> StepCost:
    """Count the operations of one evaluation.

    Args:
        denoiser: arguments of UNet, as in `ldsr.models.geometry`.
        size: height and width of the latent, which are those of the input.
    """
    with torch.device("meta"):
        unet = UNet(**denoiser)
    z_channels = unet.conv_out.out_channels
    channels = unet.conv_in.in_channels
    z_t = torch.empty(1, z_channels, *size, device="meta")
    cond = torch.empty(1, channels - z_channels, *size, device="meta")
    t = torch.empty(1, device="meta")

    def evaluate(cache: "_Reuse | None") -> int:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            unet(z_t, t, cond, cache=cache)
        return counter.get_total_flops()

    hits = {}
    for form in FORMS:
        cache = _Reuse(form)
        evaluate(cache)
        hits[form] = evaluate(cache)
    return StepCost(evaluate(None), hits)


class _Reuse:
    """Computes the first step and none after it, whatever changes (a gate would need values)."""

    def __init__(self, form: str) -> None:
        self.form = form
        self._stored: Tensor | None = None

    def __call__(
        self, change: Tensor, compute: Callable[[Tensor | None], Tensor], *, anchor: Tensor | None
    ) -> Tensor:
        if self._stored is None:
            self._stored = compute(None)
        return self._stored


PARTS = {
    "Regression": "condition (of the input)",
    "UNet": "denoisers",
    "Decoder": "decoder",
    "Encoder": "stage 2: encoder (of each base)",
    "ControlBranch": "stage 2: control branch",
    "WeightAllocation": "stage 2: weight map",
}
"""Networks of a run, by the name of their class."""


def run_cost(pipeline: Pipeline, patch: Patch, settings: Settings) -> dict[str, int]:
    """Operations of a whole run, by network, and "total"."""
    with FlopCounterMode(display=False) as counter:
        pipeline(patch, settings)
    counts = counter.get_flop_counts()
    found = {name: sum(counts[name].values()) for name in PARTS if name in counts}
    return found | {"total": counter.get_total_flops()}


def print_samples(samples: int, preset: str, side: int) -> None:
    """Print what one and what several samples cost, network by network."""
    pipeline, patch = Pipeline.load("mini", device="cpu"), make_patch(side)
    settings = PRESETS[preset]
    one = run_cost(pipeline, patch, settings)
    several = run_cost(pipeline, patch, dataclasses.replace(settings, samples=samples, settle=0.0))
    print(
        f"{preset}, {side} x {side} px, GFLOP{'1 sample':>26}{f'{samples} samples':>14}{'ratio':>8}"
    )
    for name, cost in one.items():
        more = several[name]
        print(f"{PARTS.get(name, name):34}{cost / 1e9:16.1f}{more / 1e9:14.1f}{more / cost:8.2f}")


def main(arguments: list[str] | None = None) -> int:
    """Print one line a geometry and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.flops", description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=[128, 128], help="of the input")
    parser.add_argument("--samples", type=int, help="count whole runs of so many samples")
    parser.add_argument("--preset", default="balanced", choices=sorted(PRESETS))
    options = parser.parse_args(arguments)
    if options.samples:
        print_samples(options.samples, options.preset, options.size[0])
        return 0
    for name, geometry in (("mini", MINI), ("ldsr-s2", PUBLISHED)):
        cost = step_cost(geometry["denoiser"], tuple(options.size))
        hits = "  ".join(
            f"{form} {value / 1e9:8.3f} ({value / cost.full:6.2%})"
            for form, value in cost.hit.items()
        )
        print(f"{name:8} full {cost.full / 1e9:9.3f} GFLOP  hit: {hits}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
