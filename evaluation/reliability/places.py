"""Whether the places that a result says to check are worth checking, each by what it warns of.

Where edges are said to differ: how far the picture's edges lie from the true ones. Where an
interval is wide or stage 2 changed much: the error as a share of the brightness. Both against the
rest of the picture, and beside as many pixels of the highest local contrast, which need no samples.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.ndimage import uniform_filter
from skimage.draw import polygon2mask

from evaluation.fidelity import border_of, crop
from evaluation.pairs import Case
from ldsr.calibration import local_contrast
from ldsr.check_here import WINDOW
from ldsr.edge_spread import EdgeSpread
from ldsr.pipeline import Pipeline
from ldsr.result import DARK, SuperResolution
from ldsr.settings import Settings

WARNINGS = {"edges": ("structure",), "brightness": ("brightness", "generated")}
"""What is warned of, and the reasons of `ldsr.result.Place` that warn of it."""


def judge_places(
    pipeline: Pipeline, cases: Sequence[Case], settings: Settings, samples: int
) -> dict[str, float]:
    """Compare errors inside and outside the places, on the picture shown.

    Returns:
        area: share of the pixels in places; marked: share of the pictures with a place; and of each
        of WARNINGS its area, its ratio (mean error inside over that elsewhere) and ratio_contrast
        (the same of as many pixels of each picture, those of the highest contrast). A ratio is NaN
        where nothing is marked.
    """
    settings = dataclasses.replace(settings, samples=samples, settle=0.0)
    looked = [look(pipeline(case.lr, settings), case) for case in cases]
    found = {
        "area": float(np.mean([np.mean(one["check"]) for one in looked])),
        "marked": float(np.mean([one["check"].any() for one in looked])),
    }
    for name in WARNINGS:
        error, inside, busy = (
            np.concatenate([one[f"{name} {part}"].ravel() for one in looked])
            for part in ("error", "inside", "busy")
        )
        found[f"{name}_area"] = float(inside.mean())
        found[f"{name}_ratio"] = ratio(error, inside)
        found[f"{name}_ratio_contrast"] = ratio(error, busy)
    return found


def look(result: SuperResolution, case: Case) -> Mapping[str, np.ndarray]:
    """Errors, places and pixels of high contrast of one picture, its border left out."""
    sr, hr = result.sr.reflectance, case.hr.reflectance
    contrast = uniform_filter(local_contrast(sr, WINDOW).mean(0), WINDOW, mode="nearest")
    edges = EdgeSpread()
    edges.add(sr)
    edges.add(hr)
    share = np.abs(sr - hr).mean(0) / (np.abs(hr).mean(0) + DARK)
    errors = {
        "edges": np.where(edges.pixels > 0, edges.pixels, np.nan),  # no edge, no error of its place
        "brightness": uniform_filter(share, WINDOW, mode="nearest"),
    }
    border = border_of(case.hr.size)
    contrast = crop(contrast, border)
    found = {"check": crop(result.uncertainty.check, border)}
    for name, reasons in WARNINGS.items():
        inside = crop(mask_of(result, reasons), border)
        found[f"{name} error"] = crop(errors[name], border)
        found[f"{name} inside"] = inside
        found[f"{name} busy"] = highest(contrast, int(inside.sum()))
    return found


def mask_of(result: SuperResolution, reasons: Sequence[str]) -> np.ndarray:
    """The places with one of these reasons: bool [4H, 4W]."""
    mask = np.zeros(result.sr.size, bool)
    for place in result.uncertainty.places:
        if place.reason in reasons:
            # an outline runs along the edges of pixels, the mask is made of their centres
            mask |= polygon2mask(mask.shape, np.array(place.outline) - 0.5)
    return mask & result.uncertainty.check


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """True at the `count` highest values: bool, of the same shape."""
    chosen = np.zeros(values.size, bool)
    chosen[np.argsort(-values, axis=None, kind="stable")[:count]] = True
    return chosen.reshape(values.shape)


def ratio(error: np.ndarray, inside: np.ndarray) -> float:
    """Mean error inside over the mean elsewhere, NaN left out; NaN where either is empty."""
    known = np.isfinite(error)
    inside, outside = known & inside, known & ~inside
    if not inside.any() or not outside.any():
        return float("nan")
    return float(error[inside].mean() / error[outside].mean())
