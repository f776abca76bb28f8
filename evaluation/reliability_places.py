"""Whether the places that a result says to check are worth checking: the error in them, elsewhere,
and in as many pixels of the highest local contrast, which need no samples.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter

from evaluation.fidelity import border_of, crop
from evaluation.pairs import Case
from ldsr.calibration import local_contrast
from ldsr.check_here import WINDOW
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings


def judge_places(
    pipeline: Pipeline, cases: Sequence[Case], settings: Settings, samples: int
) -> dict[str, float]:
    """Compare errors inside and outside the places, on the picture shown.

    Returns:
        area: share of the pixels inside; marked: share of the pictures with a place; ratio: mean
        error inside over that elsewhere; ratio_contrast: the same of as many pixels of each
        picture, those of the highest contrast. Ratios are NaN where nothing is marked.
    """
    settings = dataclasses.replace(settings, samples=samples, settle=0.0)
    errors, inside, busy = [], [], []
    for case in cases:
        result = pipeline(case.lr, settings)
        border = border_of(case.hr.size)
        sr, hr = (crop(x, border) for x in (result.sr.reflectance, case.hr.reflectance))
        check = crop(result.uncertainty.check, border)
        errors.append(np.abs(sr - hr))
        inside.append(check)
        contrast = crop(local_contrast(result.sr.reflectance, WINDOW).mean(0), border)
        busy.append(highest(uniform_filter(contrast, WINDOW, mode="nearest"), int(check.sum())))
    unit = np.sqrt(np.mean([np.square(e).mean((1, 2)) for e in errors], axis=0))[:, None, None]
    error = np.stack([(e / unit).mean(0) for e in errors])
    return {
        "area": float(np.mean(inside)),
        "marked": float(np.mean([check.any() for check in inside])),
        "ratio": ratio(error, np.stack(inside)),
        "ratio_contrast": ratio(error, np.stack(busy)),
    }


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """True at the `count` highest values: bool, of the same shape."""
    chosen = np.zeros(values.size, bool)
    chosen[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)


def ratio(error: np.ndarray, inside: np.ndarray) -> float:
    """Mean error inside over the mean elsewhere; NaN where either is empty."""
    if not inside.any() or inside.all():
        return float("nan")
    return float(error[inside].mean() / error[~inside].mean())
