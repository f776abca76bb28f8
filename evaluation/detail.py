"""Does the map of generated detail mean something? Judged against a true reference.

"Refining helped" a pixel where the 3 x 3 mean of |base - HR| - |refined - HR| (mean of the bands)
is above zero.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torchmetrics.functional.classification import binary_auroc

TENTHS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Refined:
    """One refined picture with what it came from.

    Attributes:
        hr, base, sr: reflectance [4, H, W].
        detail: generated detail [H, W], 0..1.
    """

    hr: np.ndarray
    base: np.ndarray
    sr: np.ndarray
    detail: np.ndarray


@dataclasses.dataclass(frozen=True)
class DetailScores:
    """What the map of generated detail is worth.

    Attributes:
        auroc: of `detail` for "refining helped this pixel", all pixels together, 0..1; 0.5 is
            chance.
        helped: share of the pixels that refining helped, 0..1.
        detail: mean detail of each tenth of the pixels, from the least to the most.
        change: mean |refined - base| of the same tenths, reflectance.
        gain: mean of |base - HR| - |refined - HR| of the same tenths, reflectance.
    """

    auroc: float
    helped: float
    detail: tuple[float, ...]
    change: tuple[float, ...]
    gain: tuple[float, ...]


def gain(picture: Refined) -> np.ndarray:
    """How much closer refining came to the reference, 3 x 3 mean, reflectance [H, W]."""
    errors = (np.abs(x - picture.hr).mean(0) for x in (picture.base, picture.sr))
    base, refined = errors
    return uniform_filter(base - refined, 3, mode="nearest")


def judge_detail(pictures: Sequence[Refined]) -> DetailScores:
    """Score the maps of several pictures, all their pixels together."""
    gains = np.concatenate([gain(p).ravel() for p in pictures])
    details = np.concatenate([p.detail.ravel() for p in pictures])
    changes = np.concatenate([np.abs(p.sr - p.base).mean(0).ravel() for p in pictures])
    helped = torch.from_numpy(gains > 0).int()
    order = np.array_split(np.argsort(details, kind="stable"), TENTHS)

    def means(values: np.ndarray) -> tuple[float, ...]:
        return tuple(float(values[part].mean()) for part in order)

    return DetailScores(
        auroc=float(binary_auroc(torch.from_numpy(details.astype(np.float64)), helped)),
        helped=float((gains > 0).mean()),
        detail=means(details),
        change=means(changes),
        gain=means(gains),
    )
