"""What a step costs: floating-point operations of the denoiser, in full and with stored features.

Counted on tensors without values, so no weights are needed. A multiplication with its addition
counts as two; matrix products, convolutions and attention are counted, pointwise functions (and
with them the gate) are not. Per sample: python -m evaluation.flops [--size 128 128]
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ldsr.models.geometry import MINI, PUBLISHED
from ldsr.models.unet import UNet
from ldsr.sampling.cache import FORMS


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


def main(arguments: list[str] | None = None) -> int:
    """Print one line a geometry and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.flops", description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=[128, 128], help="of the input")
    options = parser.parse_args(arguments)
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
