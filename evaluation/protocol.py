"""How a true picture is come by: a reference that is registered and harmonised, or Wald's protocol.

Fits are made at 10 m, where input and reference show the same thing; what is finer is not touched.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.transform import Affine

from evaluation.aerial import PSF_SIGMA
from evaluation.consistency import FACTOR, find_shift, see, see_box
from evaluation.pairs import AS_GIVEN, RASTERS, Case, Dataset
from ldsr.data.patch import MIN_SIDE, Patch
from ldsr.data.reader import read_patch
from ldsr.errors import MetricError
from ldsr.render import enlarge_mask, upsample

HARMONISATIONS = {"linear": "harmonised (linear)", "histogram": "harmonised (histogram)"}
"""How a reference's brightness may be brought to the input's, and what the result is called."""
MAX_SHIFT = 12.0
"""Pixels of 2.5 m; a larger shift is not believed and not mended."""
KNOTS = 101
"""Quantiles that histograms are matched at."""
WALD = (
    "Wald's protocol: each 10 m patch was degraded to 40 m through Sentinel-2's point spread "
    "function, super-resolved to 10 m and compared with itself. It needs no reference and no "
    "network, but it judges 40 m to 10 m: the step from 10 m to 2.5 m is not what it measures."
)


@dataclasses.dataclass(frozen=True, eq=False)
class Registered:
    """A reference in its place.

    Attributes:
        hr: the reference, moved.
        shift: it had, in its pixels (rows south, columns east); None where the pictures are too
            plain to tell, or tell of more than MAX_SHIFT: then nothing was moved.
        remark: one sentence for the reader.
    """

    hr: Patch
    shift: tuple[float, float] | None
    remark: str


def prepare(case: Case, *, register_it: bool = True, harmonise_by: Sequence[str] = ()) -> Case:
    """Register a case's reference and add harmonised copies of it.

    Args:
        case: with its reference as given.
        register_it: whether to look for a shift.
        harmonise_by: of HARMONISATIONS.
    """
    hr, shift = case.hr, None
    if register_it:
        found = register(hr, case.lr)
        hr, shift = found.hr, found.shift
    references = {AS_GIVEN: hr}
    for how in harmonise_by:
        references[HARMONISATIONS[how]] = harmonise(hr, case.lr, how=how)
    return dataclasses.replace(case, references=references, shift=shift)


def register(hr: Patch, lr: Patch) -> Registered:
    """Find a reference's shift against an input by phase correlation, and move it back.

    Both are compared at 2.5 m: the reference through the point spread function, the input
    enlarged.

    Args:
        hr: [4, 4H, 4W].
        lr: [4, H, W].
    """
    from scipy.ndimage import shift as move

    valid = hr.valid & enlarge_mask(lr.valid, FACTOR)
    if not valid.any():
        raise MetricError("Input and reference have no valid pixel in common.")
    rows, columns = find_shift(_blur(hr), upsample(lr, FACTOR), valid)
    if not np.isfinite(rows):
        return Registered(hr, None, "too plain to find a shift; left where it was")
    if np.hypot(rows, columns) > MAX_SHIFT:
        return Registered(
            hr,
            None,
            f"a shift of {np.hypot(rows, columns):.0f} px is not believed; left where it was",
        )
    if not rows and not columns:
        return Registered(hr, (0.0, 0.0), "no shift")
    back = (-rows, -columns)
    moved = np.stack([move(band, back, order=3, mode="nearest") for band in hr.reflectance])
    kept = move(hr.valid.astype(np.float32), back, order=1, cval=0.0) > 1 - 1e-6
    patch = dataclasses.replace(
        hr, reflectance=(moved * kept).astype(np.float32), valid=kept, scl=None
    )
    return Registered(patch, (rows, columns), f"moved by {rows:+.2f}, {columns:+.2f} px")


def harmonise(hr: Patch, lr: Patch, *, how: str) -> Patch:
    """Bring a reference's brightness to the input's, band by band, fitted at 10 m.

    Args:
        hr: [4, 4H, 4W], registered.
        lr: [4, H, W].
        how: "linear" (gain and offset by least squares) or "histogram" (quantiles).

    Raises:
        MetricError: another way, or no pixel that both know.
    """
    if how not in HARMONISATIONS:
        raise MetricError(
            f"There is no harmonisation {how!r}; known are {', '.join(HARMONISATIONS)}, none."
        )
    seen, covered = see(hr.reflectance, hr.valid)
    counted = covered & lr.valid
    if counted.sum() < 2:
        raise MetricError("Input and reference have no valid pixel in common.")
    fit = _linear if how == "linear" else _quantiles
    bands = [
        fit(band, coarse[counted].astype(np.float64), target[counted].astype(np.float64))
        for band, coarse, target in zip(hr.reflectance, seen, lr.reflectance, strict=True)
    ]
    return dataclasses.replace(hr, reflectance=(np.stack(bands) * hr.valid).astype(np.float32))


def wald(patch: Patch) -> Case:
    """Degrade a patch four times; the patch itself is the reference.

    Raises:
        MetricError: a patch smaller than 64 x 64 pixels.
    """
    name = patch.source.name
    height, width = (side // FACTOR * FACTOR for side in patch.size)
    if min(height, width) < FACTOR * MIN_SIDE:
        raise MetricError(
            f"{name} is {patch.size[1]} x {patch.size[0]} pixels; Wald's protocol needs at least "
            f"{FACTOR * MIN_SIDE} x {FACTOR * MIN_SIDE}."
        )
    reflectance = np.ascontiguousarray(patch.reflectance[:, :height, :width])
    valid = np.ascontiguousarray(patch.valid[:height, :width])
    seen, _ = see(reflectance, valid)
    _, known = see_box(reflectance, valid)
    if not known.any():
        raise MetricError(f"{name} has no 40 m pixel that is wholly valid.")
    coarse = patch.transform and patch.transform @ Affine.scale(FACTOR)
    lr = Patch(
        reflectance=(seen * known).astype(np.float32),
        valid=known,
        crs=patch.crs,
        transform=coarse or None,
        source=dataclasses.replace(patch.source, radiometry="degraded to 40 m (Wald's protocol)"),
    )
    hr = dataclasses.replace(patch, reflectance=reflectance, valid=valid, scl=None)
    return Case(name=name, lr=lr, references={AS_GIVEN: hr}, group=name)


def load_wald(paths: Sequence[Path]) -> Dataset:
    """Apply Wald's protocol to files and to the GeoTIFFs of folders.

    Raises:
        MetricError: a folder without any, or two files of one name.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir() and path.suffix != ".SAFE":
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in RASTERS)
            if not inside:
                raise MetricError(f"{path} has no GeoTIFF in it.")
            files += inside
        else:
            files.append(path)
    twice = {path.stem for path in files if sum(p.stem == path.stem for p in files) > 1}
    if twice:
        raise MetricError(f"Several files are named {sorted(twice)[0]}; rename all but one.")
    cases = [wald(read_patch(path, name=path.stem)) for path in files]
    return Dataset(title="Wald's protocol, 40 m to 10 m", description=WALD, cases=cases)


def _blur(hr: Patch) -> np.ndarray:
    """Through the point spread function without decimation, [4, H, W]; no-data takes no part."""
    from scipy.ndimage import gaussian_filter

    weight = hr.valid.astype(np.float64)
    bands = []
    for band, sigma in zip(hr.reflectance, PSF_SIGMA, strict=True):
        known = gaussian_filter(weight, sigma, mode="nearest")
        bands.append(
            gaussian_filter(band * weight, sigma, mode="nearest") / np.maximum(known, 1e-6)
        )
    return np.stack(bands)


def _linear(band: np.ndarray, coarse: np.ndarray, target: np.ndarray) -> np.ndarray:
    spread = coarse.var()
    centred = coarse - coarse.mean()
    gain = float((centred * (target - target.mean())).mean() / spread) if spread > 1e-12 else 1.0
    if not gain > 0:
        gain = 1.0  # unrelated pictures: only the mean is brought over
    return target.mean() + gain * (band - coarse.mean())


def _quantiles(band: np.ndarray, coarse: np.ndarray, target: np.ndarray) -> np.ndarray:
    shares = np.linspace(0, 1, KNOTS)
    known, wanted = np.quantile(coarse, shares), np.quantile(target, shares)
    known, first = np.unique(known, return_index=True)
    wanted = wanted[first]
    inside = np.interp(band, known, wanted)
    # fine pixels are brighter and darker than any coarse one: beyond the ends a shift, no clipping
    below, above = np.minimum(band - known[0], 0), np.maximum(band - known[-1], 0)
    return inside + below + above
