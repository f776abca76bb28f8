"""N pictures of one run: how far they differ in brightness, and in where edges lie.

Knows pictures as tensors and what draws them; knows neither networks nor files.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ldsr import calibration
from ldsr.check_here import Evidence, find_places
from ldsr.data.patch import Patch
from ldsr.device import Clock
from ldsr.edge_spread import EdgeSpread
from ldsr.result import Uncertainty
from ldsr.settings import Settings
from ldsr.steps import Enough, Step
from ldsr.tensors import finer

BATCH_PIXELS = {"cpu": 128 * 128, "cuda": 16 * 128 * 128}
"""Pixels of the input that are drawn at once. A CPU gains nothing by more, and ends later."""
MIN_SAMPLES = 4
"""Fewer are never called settled."""
LOOK = 3
"""Side, in pixels of 2.5 m, of the window the map is averaged over before it is called settled."""


class Spread:
    """Mean and standard deviation of pictures as they come, one at a time (Welford, 1962).

    Memory does not grow with their number, and the result does not depend on their batches.

    Attributes:
        count: pictures seen.
        mean: [C, H, W].
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, picture: Tensor) -> None:
        """See one more picture [C, H, W]."""
        self.count += 1
        if self.mean is None:
            self.mean, self._squares = picture.clone(), torch.zeros_like(picture)
            return
        before = picture - self.mean
        self.mean += before / self.count
        self._squares += before * (picture - self.mean)

    @property
    def std(self) -> Tensor:
        """Standard deviation with n - 1 [C, H, W]; 0 of a single picture."""
        return (self._squares / max(self.count - 1, 1)).sqrt()


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the sampling is.

    Attributes:
        samples: drawn so far.
        newest: the last one [C, H, W].
        spread: of all.
    """

    samples: int
    newest: Tensor
    spread: Spread

    def picture(self) -> np.ndarray:
        """The newest sample, float32 [C, H, W]."""
        return self.newest.cpu().numpy()

    def deviation(self) -> np.ndarray:
        """Standard deviation so far, mean of the bands, float32 [H, W]."""
        return self.spread.std.mean(0).cpu().numpy()


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What the sampling gave.

    Attributes:
        spread: mean and deviation.
        edges: how far edges move.
        ended: "all" (as many as asked for), "settled" or "cancelled".
        change: of the map with the last sample, relative, 0..; see `settle`.
    """

    spread: Spread
    edges: EdgeSpread
    ended: str
    change: float


def draw_samples(
    first: Tensor,
    draw: Callable[[range], Tensor],
    *,
    count: int,
    settle: float,
    batch: int,
    on_sample: Callable[[Progress], None],
) -> Drawn:
    """Draw samples until there are `count`, or their map has settled, or somebody says Enough.

    The map is the deviation averaged over the bands and LOOK x LOOK pixels; its change is
    mean|map - map before| / mean(map). It is looked at after each sample, so that where it ends
    does not depend on the batches.

    Args:
        first: sample 0, reflectance [C, H, W].
        draw: gives the samples of a range, [N, C, H, W].
        count: of samples, sample 0 included; 2 or more.
        settle: change below which it ends; 0 never does.
        batch: samples drawn at once.
        on_sample: told after each; may raise `Enough`.
    """
    spread, edges = Spread(), EdgeSpread()

    def add(picture: Tensor) -> Tensor:
        """See a sample, and give the map as it is now."""
        spread.add(picture)
        edges.add(picture.cpu().numpy())
        return _map(spread.std)

    change = float("inf")
    try:
        before = add(first.float())
        on_sample(Progress(spread.count, first, spread))
        while spread.count < count:
            todo = range(spread.count, min(spread.count + batch, count))
            for picture in draw(todo):
                now = add(picture.float())
                change = ((now - before).abs().mean() / now.mean().clamp_min(1e-9)).item()
                before = now
                on_sample(Progress(spread.count, picture.float(), spread))
                if spread.count >= MIN_SAMPLES and change < settle:
                    return Drawn(spread, edges, "settled", change)
    except Enough:
        return Drawn(spread, edges, "cancelled", change)
    return Drawn(spread, edges, "all", change)


def _map(std: Tensor) -> Tensor:
    """Deviation averaged over the bands and a small window [H, W]."""
    variance = std.square().mean(0, keepdim=True)[None]
    return F.avg_pool2d(variance, LOOK, stride=1, padding=LOOK // 2).sqrt()[0, 0]


class Drawable(Protocol):
    """What of a `ldsr.run.Run` the samples come from."""

    patch: Patch
    settings: Settings
    hashes: Sequence[str]
    base_given: bool
    report: Callable[[Step], None]
    clock: Clock

    def draw(self, samples: range) -> Tensor:
        """Pictures of the samples, reflectance [N, 4, 4H, 4W]."""

    def tell_instead(self, told: Callable[[], Step]) -> None:
        """Replace what is told at each step."""

    def residual_map(self, picture: Tensor) -> np.ndarray:
        """Difference of a picture [1, 4, 4H, 4W], seen at 10 m, to the input [H, W]."""


def estimate(run: Drawable, base: Tensor, sr: Tensor) -> Uncertainty | None:
    """Draw further samples of a run and say how far they differ.

    `on_step` is told of each sample as part "sample"; what it raises ends the run, but `Enough`
    only ends the sampling.

    Args:
        run: of which sample 0 is there.
        base: of sample 0, reflectance [1, 4, 4H, 4W].
        sr: its final picture, of the same shape.

    Returns:
        None if nothing was drawn before somebody said enough.
    """
    asked = run.settings.samples
    done = 1
    report = run.report

    def on_sample(progress: Progress) -> None:
        nonlocal done
        done = progress.samples
        if done > 1:
            report(Step("sample", done, asked, progress.picture, progress.deviation))

    run.tell_instead(lambda: Step("sample", done, asked))
    height, width = run.patch.size
    with run.clock("sample"):
        drawn = draw_samples(
            sr[0],
            run.draw,
            count=asked,
            settle=run.settings.settle,
            batch=max(1, BATCH_PIXELS.get(sr.device.type, 1) // (height * width)),
            on_sample=on_sample,
        )
        return None if drawn.spread.count < 2 else to_uncertainty(run, drawn, base, sr)


def to_uncertainty(run: Drawable, drawn: Drawn, base: Tensor, sr: Tensor) -> Uncertainty:
    """Calibrate what the samples say, and point out the places to check."""
    valid = finer(run.patch.valid)
    count = drawn.spread.count
    mean, std = (x.float().cpu().numpy() for x in (drawn.spread.mean, drawn.spread.std))
    found, reason = calibration.find_calibration(run.settings, run.hashes, samples=count)
    if run.base_given:
        found, reason = None, "the base was made elsewhere"
    scale, factors = std, calibration.own_factors(count)
    if found is not None:
        scale = calibration.to_scale(mean, std, contrast=found.contrast, floor=found.floor)
        factors = calibration.factors_for(found, count)
    # only now: the rim of a gap is no contrast
    mean, std, scale = (np.where(valid, x, np.float32(0)) for x in (mean, std, scale))
    width = scale * np.array(factors[max(factors)], np.float32)[:, None, None]
    changed = None
    if sr is not base:
        changed = np.where(valid, (sr - base).abs().mean(1)[0].float().cpu().numpy(), 0)
    edge_spread = np.where(valid, drawn.edges.pixels, np.float32(0))
    places, check = find_places(
        Evidence(
            brightness=mean.mean(0),
            half_width=width.mean(0),
            edge_spread=edge_spread,
            change=changed,
            residual=run.residual_map(sr),
            valid=valid,
        )
    )
    return Uncertainty(
        mean=mean,
        std=std,
        scale=scale.astype(np.float32),
        edge_spread=edge_spread,
        samples=count,
        asked=run.settings.samples,
        ended=drawn.ended,
        change=drawn.change,
        factors=factors,
        calibration=found,
        uncalibrated=reason,
        places=places,
        check=check,
    )
