"""Calibrations: factors that make the intervals of a run hold what they say, and for which runs.

A calibration belongs to weights (by the hashes of their files) and to all settings but seed,
samples and settle. It knows nothing of how it was fitted: see `evaluation.calibration`.
"""

import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.stats import t as student

from ldsr.errors import WeightsError
from ldsr.manifest import ASSETS
from ldsr.result import LEVELS, Calibration
from ldsr.settings import Settings

FILE = "mini-calibration-v1.json"
SPREAD_SIDE, CONTRAST_SIDE, LEVEL_SIDE = 5, 3, 9
"""Sides, in pixels of 2.5 m, of the windows that spread, contrast and brightness are taken over."""
DARKEST = 0.005
"""Reflectance below which a pixel does not become more certain by being darker."""
FREE = ("seed", "samples", "settle")
"""Settings that a calibration does not depend on."""
FORMAT = 1


def identity(settings: Settings) -> dict:
    """The settings that a calibration depends on."""
    given = json.loads(settings.to_json())
    return {name: value for name, value in given.items() if name not in FREE}


def find_calibration(
    settings: Settings, hashes: Sequence[str], *, samples: int, path: Path | None = None
) -> tuple[Calibration | None, str]:
    """Find the calibration of a run.

    Args:
        settings: of the run, with what the weights recommend put in.
        hashes: SHA-256 of every file of weights that took part.
        samples: drawn.
        path: of the calibrations; by default those that ship.

    Returns:
        The calibration and "", or None and one sentence why there is none.

    Raises:
        WeightsError: a file of calibrations that is damaged.
    """
    wanted, own = identity(settings), sorted(set(hashes))
    entries = [e for e in _read(path or ASSETS / FILE) if sorted(e["weights"].values()) == own]
    if not entries:
        return None, "there is no calibration for these weights with these parts"
    differences = [
        [name for name in wanted if entry["settings"].get(name, wanted[name]) != wanted[name]]
        for entry in entries
    ]
    closest = min(range(len(entries)), key=lambda i: len(differences[i]))
    if differences[closest]:
        name, found = entries[closest]["preset"], differences[closest]
        return None, (
            f"{' and '.join(found)} differ{'s' if len(found) == 1 else ''} from the preset "
            f"{name!r}, which is the closest that was calibrated"
        )
    calibrated = _to_calibration(entries[closest])
    fewest = min(calibrated.factors)
    if samples < fewest:
        return None, f"{samples} samples are too few; {fewest} and more are calibrated"
    return calibrated, ""


def factors_for(calibration: Calibration, samples: int) -> dict[float, tuple[float, ...]]:
    """Factors for a number of samples, between the fitted ones linearly in 1 / N."""
    fitted = sorted(calibration.factors)
    places = [1 / count for count in reversed(fitted)]

    def at(level: float, band: int) -> float:
        values = [calibration.factors[count][level][band] for count in reversed(fitted)]
        return float(np.interp(1 / samples, places, values))

    bands = range(len(calibration.floor))
    return {level: tuple(at(level, band) for band in bands) for level in LEVELS}


def own_factors(samples: int, bands: int = 4) -> dict[float, tuple[float, ...]]:
    """Half widths, in standard deviations, that hold the model's own next sample.

    t(n - 1) quantile times sqrt(1 + 1 / n): the finite-n interval of one more draw.
    """
    widen = math.sqrt(1 + 1 / samples)
    return {
        level: (float(student.ppf((1 + level) / 2, samples - 1)) * widen,) * bands
        for level in LEVELS
    }


def to_scale(
    mean: np.ndarray, std: np.ndarray, *, contrast: Sequence[float], floor: Sequence[float]
) -> np.ndarray:
    """What calibrated intervals are multiples of: float32 [C, H, W], reflectance.

    scale^2 = spread^2 + (contrast k)^2 + (floor b)^2 with the parts of `scale_parts`.

    Args:
        mean, std: of the samples [C, H, W].
        contrast: weight of the local contrast, of each band.
        floor: share of the brightness that no pixel is more certain than, of each band.
    """
    spread, local, level = scale_parts(mean, std)
    weight, least = (np.array(x, np.float32)[:, None, None] for x in (contrast, floor))
    return np.sqrt(spread + weight**2 * local + least**2 * level)


def scale_parts(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a scale is made of, each squared: float32 [C, H, W].

    The samples' variance, averaged over SPREAD_SIDE^2 pixels: n samples know their deviation to
    1 / sqrt(2 (n - 1)) only, and neighbours help. The local contrast k of their mean: errors that
    all samples share grow with it. The brightness b: no pixel is certain.
    """
    size = (0, SPREAD_SIDE, SPREAD_SIDE)
    spread = uniform_filter(std.astype(np.float32) ** 2, size, mode="nearest")
    level = uniform_filter(mean.astype(np.float32), (0, LEVEL_SIDE, LEVEL_SIDE), mode="nearest")
    local = local_contrast(mean, CONTRAST_SIDE) ** 2
    return np.maximum(spread, 0), local, np.maximum(level, DARKEST) ** 2


def local_contrast(picture: np.ndarray, side: int) -> np.ndarray:
    """Standard deviation of a picture [C, H, W] over side x side pixels: float32 [C, H, W]."""
    x = picture - picture.mean((1, 2), keepdims=True)
    size = (0, side, side)
    mean = uniform_filter(x, size, mode="nearest")
    variance = uniform_filter(x**2, size, mode="nearest") - mean**2
    return np.sqrt(np.maximum(variance, 0)).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _read(path: Path) -> tuple[Mapping, ...]:
    if not path.is_file():
        return ()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        entries = tuple(content["calibrations"])
        for entry in entries:
            _to_calibration(entry)
            entry["weights"].values(), entry["settings"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{path.name} is not a file of calibrations ({error}); restore it from the repository."
        ) from error
    return entries


def _to_calibration(entry: Mapping) -> Calibration:
    def table(name: str) -> dict[int, dict[float, tuple[float, ...]]]:
        return {
            int(count): {float(level): tuple(values) for level, values in levels.items()}
            for count, levels in entry[name].items()
        }

    return Calibration(
        name=entry["preset"],
        data=entry["data"],
        contrast=tuple(entry["contrast"]),
        floor=tuple(entry["floor"]),
        places=tuple(entry["places"]),
        factors=table("factors"),
        coverage=table("coverage"),
    )
