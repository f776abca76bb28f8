"""From digital numbers to reflectance: which scale, which offset, and why.

Metadata first, then the evidence in the numbers, then the person. Knows nothing of files.
"""

import dataclasses

import numpy as np

from ldsr.errors import AmbiguousPatchError, PatchError

SCALES = ("dn/10000", "(dn-1000)/10000", "reflectance")
"""The answers a person can give to the question "scale"."""

QUANTIFICATION = 10000.0
OFFSET_DN = -1000.0
"""Added by processing baseline 04.00 and later (25 January 2022, and reprocessed archives)."""

SCALE_RANGE = (1e-7, 1.0)
"""Reflectance of one digital number, as a file may state it."""
CLEARLY_BELOW = 950
"""Digital numbers below this would be reflectances below -0.005 if the offset applied."""
CLEAR_SHARE = 0.05
"""This share of them in any one band shows that the offset is not in the data."""
BRIGHTEST_REFLECTANCE = 2.0
"""99 % of the values of a picture in reflectance are below this, also for cloud and snow."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hints:
    """What the metadata of a file says about its numbers; None where it is silent.

    Attributes:
        scale: reflectance of one digital number, such as 0.0001.
        offset_dn: to add to the digital number before scaling, such as -1000.
        baseline: processing baseline such as "05.09".
        authority: who says so, as the sentence names it ("MTD_MSIL2A.xml").
        certain: the offset is the product's own, so that the numbers need not confirm it.
    """

    scale: float | None = None
    offset_dn: float | None = None
    baseline: str | None = None
    authority: str = "the file"
    certain: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Radiometry:
    """reflectance = (dn + offset_dn) * scale, and one sentence that says why."""

    scale: float
    offset_dn: float
    sentence: str


def decide(
    dn: np.ndarray, valid: np.ndarray, *, hints: Hints, answer: str | None = None
) -> Radiometry:
    """Decide how the numbers of one picture become reflectance.

    Args:
        dn: [4, H, W] as stored, integer or float, finite where valid.
        valid: bool [H, W].
        hints: what the metadata says.
        answer: one of SCALES when the person has said it, else None.

    Returns:
        Scale, offset and the reason.

    Raises:
        AmbiguousPatchError: neither metadata nor numbers tell whether the offset is in the data.
        PatchError: nothing is valid, the picture is 8 bit, or the numbers are no reflectance.
    """
    if answer is not None and answer not in SCALES:
        raise PatchError(f"The scale is '{answer}', expected one of {', '.join(SCALES)}.")
    refuse_8bit(dn.dtype)
    values = dn[:, valid].astype(np.float64)
    if values.size == 0:
        raise PatchError(
            "The picture holds no valid pixel (all are no-data, zero or not a number); "
            "choose a part of the scene that has data."
        )
    low, high = np.percentile(values, (1, 99))
    if answer is not None:
        return _answered(answer, low, high)
    if np.issubdtype(dn.dtype, np.floating) and high <= BRIGHTEST_REFLECTANCE:
        return _already_reflectance(low, high)
    if hints.scale is None or hints.scale == 1.0:
        _check_digital_numbers(values, low, high, hints)
    found = _digital_numbers(values, hints)
    _check_stated(found, low, high, hints)
    return found


def to_reflectance(dn: np.ndarray, valid: np.ndarray, radiometry: Radiometry) -> np.ndarray:
    """Apply a decision: float32 [4, H, W], 0 where not valid, never clipped."""
    reflectance = np.zeros(dn.shape, np.float32)
    for layer, made in zip(dn, reflectance, strict=True):  # float64 of one band at a time
        kept = layer[valid].astype(np.float64)
        made[valid] = (kept + radiometry.offset_dn) * radiometry.scale
    return reflectance


def refuse_8bit(dtype: np.dtype) -> None:
    """Refuse 8-bit pictures, which are stretched for the eye, and types that are no numbers.

    Raises:
        PatchError: 8 bit, complex, boolean or not numeric.
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        raise PatchError(
            "The picture is 8 bit: a picture stretched for the eye, not reflectance; use the "
            "16-bit bands of the Sentinel-2 product (reflectance x 10000) or float reflectance."
        )
    if dtype.kind not in "iuf":
        raise PatchError(
            f"The picture holds values of type {dtype}, expected whole or floating-point "
            "numbers; save it as uint16 (reflectance x 10000) or float32 reflectance."
        )


def _answered(answer: str, low: float, high: float) -> Radiometry:
    if answer == "reflectance":
        if high > 10 or low < -1:
            raise PatchError(
                f"The values run from {low:g} to {high:g}, which cannot be reflectance "
                "(about 0 to 1); choose dn/10000 or (dn-1000)/10000."
            )
        return Radiometry(scale=1.0, offset_dn=0.0, sentence="Reflectance, as the person said.")
    offset_dn = OFFSET_DN if answer == "(dn-1000)/10000" else 0.0
    return Radiometry(
        scale=1 / QUANTIFICATION, offset_dn=offset_dn, sentence=f"{answer}, as the person said."
    )


def _already_reflectance(low: float, high: float) -> Radiometry:
    if low < -0.2 or high <= 0:
        raise PatchError(
            f"The values run from {low:.3g} to {high:.3g}, which is not reflectance (about 0 to "
            "1), perhaps normalised or in decibel; hand in reflectance or digital numbers."
        )
    return Radiometry(
        scale=1.0,
        offset_dn=0.0,
        sentence=f"Already reflectance: floating-point values up to {high:.2g}.",
    )


def _check_digital_numbers(values: np.ndarray, low: float, high: float, hints: Hints) -> None:
    """Refuse numbers that are neither reflectance nor Sentinel-2 digital numbers."""
    if values.max() <= 255 and hints.offset_dn is None and hints.baseline is None:
        raise PatchError(
            f"The values end at {values.max():g}, like an 8-bit picture stretched for the eye, "
            "not reflectance x 10000; use the Sentinel-2 bands themselves, or state the scale "
            "dn/10000 if the scene is really that dark."
        )
    if np.median(values) > 2 * QUANTIFICATION or low < -2000:
        raise PatchError(
            f"The values run from {low:g} to {high:g}, expected reflectance x 10000 (about 0 to "
            "10000); use the Sentinel-2 bands without stretching."
        )


def _check_stated(found: Radiometry, low: float, high: float, hints: Hints) -> None:
    """Refuse a scale or an offset that makes no reflectance of the numbers."""
    darkest, brightest = sorted((number + found.offset_dn) * found.scale for number in (low, high))
    smallest, largest = SCALE_RANGE
    if smallest <= found.scale <= largest and -1 <= darkest <= brightest <= 10:
        return
    raise PatchError(
        f"The scale {found.scale:g} and offset {found.offset_dn:g} stated by {hints.authority} "
        f"give reflectances from {darkest:.3g} to {brightest:.3g}, expected about 0 to 1; use the "
        "original file, or choose the scale yourself."
    )


def _digital_numbers(values: np.ndarray, hints: Hints) -> Radiometry:
    """Decide the offset: authority, then evidence, then baseline, else ask."""
    scale = hints.scale if hints.scale not in (None, 1.0) else 1 / QUANTIFICATION
    share = float((values < CLEARLY_BELOW).mean(axis=1).max())
    shown = f"{share:.0%} of one band's values are below {CLEARLY_BELOW}"

    def done(offset_dn: float, reason: str) -> Radiometry:
        how = f"(dn{offset_dn:+g}) x {scale:g}" if offset_dn else f"dn x {scale:g}"
        return Radiometry(scale=scale, offset_dn=offset_dn, sentence=f"{how}: {reason}.")

    offset_dn = hints.offset_dn
    if offset_dn is None and newer_baseline(hints.baseline):
        offset_dn, said = OFFSET_DN, f"processing baseline {hints.baseline}"
    elif offset_dn is None and hints.baseline is not None:
        return done(0.0, f"processing baseline {hints.baseline} has no offset")
    else:
        said = f"stated by {hints.authority}"
    if offset_dn is not None and (hints.certain or offset_dn >= 0 or share < CLEAR_SHARE):
        return done(offset_dn, said)
    if share >= CLEAR_SHARE:
        also = (
            f", so the offset of {offset_dn:g} ({said}) is already taken off" if offset_dn else ""
        )
        return done(0.0, shown + (also or ", so no offset is in them"))
    raise AmbiguousPatchError(
        "The scene is bright and its file does not say whether 1000 was added to its digital "
        f"numbers (only {shown}); say which scale applies.",
        question="scale",
        choices=SCALES[:2],
    )


def newer_baseline(baseline: str | None) -> bool:
    """Whether a processing baseline is 04.00 or later, whose numbers carry the offset."""
    try:
        return baseline is not None and float(baseline) >= 4.0
    except ValueError:
        return False
