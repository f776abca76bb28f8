"""The few places of a picture that should not be believed as drawn, each with its reason.

Knows arrays alone: how far samples differ, what stage 2 changed, what the input contradicts.
"""

import dataclasses

import numpy as np
from scipy.ndimage import label, uniform_filter
from skimage.measure import approximate_polygon, find_contours

from ldsr.result import DARK, Place

WINDOW = 7
"""Side, in pixels of 2.5 m, of the window over which a reason is averaged: 17.5 m."""
MOST_PLACES = 6
MOST_AREA = 0.03
"""Share of the picture that is pointed at, at most."""
SMALLEST = 30
"""Pixels below which a place is not worth a look."""
EDGES_APART = 0.7
"""Deviation of the edges' places, in pixels, that is unremarkable."""
WIDE = 0.45
"""Half width of the 90 % interval that is unremarkable, in units of the brightness."""
CHANGED = 0.25
"""Change by stage 2 that is unremarkable, in units of the brightness."""
LEFT = 0.004
"""Difference to the input, seen at 10 m, that is unremarkable, reflectance."""
PIXEL_M = 2.5


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What there is to go by, on the fine grid [4H, 4W] unless said otherwise.

    Attributes:
        brightness: mean of the bands, reflectance.
        half_width: mean over the bands of the 90 % interval's half width, reflectance.
        edge_spread: how far edges move between samples, pixels.
        change: mean |refined - base| over the bands, reflectance; None without stage 2.
        residual: difference to the input at 10 m, reflectance [H, W]; None where unknown.
        valid: bool.
    """

    brightness: np.ndarray
    half_width: np.ndarray
    edge_spread: np.ndarray
    change: np.ndarray | None
    residual: np.ndarray | None
    valid: np.ndarray


def find_places(evidence: Evidence) -> tuple[tuple[Place, ...], np.ndarray]:
    """Point out where a picture should be checked.

    Each reason, averaged over a small window, is divided by what is unremarkable of it. A place
    is where the largest of them exceeds 1, and belongs to the worst MOST_AREA of the picture.

    Returns:
        At most MOST_PLACES places, worst first, and a mask bool [4H, 4W] that is True in them.
    """
    reasons = _severities(evidence)
    names = list(reasons)
    worst = np.max(list(reasons.values()), axis=0)
    chosen = np.zeros(worst.shape, bool)
    if not evidence.valid.any():
        return (), chosen
    limit = max(1.0, float(np.quantile(worst[evidence.valid], 1 - MOST_AREA)))
    parts, count = label((worst > limit) & evidence.valid)
    places = []
    for part in range(1, count + 1):
        inside = parts == part
        if inside.sum() < SMALLEST:
            continue
        reason = max(names, key=lambda name, inside=inside: float(reasons[name][inside].mean()))
        places.append((float((worst[inside] - limit + 0.1).sum()), part, reason))
    kept = []
    for _, part, reason in sorted(places, reverse=True)[:MOST_PLACES]:
        inside = parts == part
        chosen |= inside
        kept.append(
            Place(
                reason=reason,
                text=_sentence(reason, evidence, inside),
                severity=float(worst[inside].mean()),
                area=int(inside.sum()),
                outline=_outline(inside),
            )
        )
    return tuple(kept), chosen


def _severities(evidence: Evidence) -> dict[str, np.ndarray]:
    """Each reason in units of what is unremarkable [4H, 4W]."""
    brightness = _smooth(np.abs(evidence.brightness)) + DARK
    found = {
        "structure": evidence.edge_spread / EDGES_APART,
        "brightness": _smooth(evidence.half_width) / brightness / WIDE,
    }
    if evidence.change is not None:
        found["generated"] = _smooth(evidence.change) / brightness / CHANGED
    if evidence.residual is not None:
        found["input"] = _finer(evidence.residual, evidence.valid.shape) / LEFT
    return found


def _sentence(reason: str, evidence: Evidence, inside: np.ndarray) -> str:
    brightness = float(np.abs(evidence.brightness[inside]).mean()) + DARK
    if reason == "structure":
        metres = PIXEL_M * float(evidence.edge_spread[inside].mean())
        return f"The samples do not agree where edges are: ± {metres:.1f} m on average."
    if reason == "brightness":
        share = float(evidence.half_width[inside].mean()) / brightness
        return f"The 90 % interval is wide: ± {share:.0%} of the brightness on average."
    if reason == "generated":
        share = float(evidence.change[inside].mean()) / brightness
        return f"Stage 2 changed the base here by {share:.0%} of the brightness on average."
    left = float(_finer(evidence.residual, inside.shape)[inside].mean())
    return f"Seen again at 10 m the picture differs from the input by {left:.4f} on average."


def _outline(inside: np.ndarray) -> tuple[tuple[float, float], ...]:
    """The longest border of a part, a little simplified; corners (row, column)."""
    lines = find_contours(np.pad(inside, 1).astype(np.float32), 0.5)
    longest = approximate_polygon(max(lines, key=len), tolerance=0.6)
    # of padded pixel centres to edges of pixels
    return tuple((round(float(row) - 0.5, 1), round(float(col) - 0.5, 1)) for row, col in longest)


def _smooth(values: np.ndarray) -> np.ndarray:
    return uniform_filter(values.astype(np.float32), WINDOW, mode="nearest")


def _finer(coarse: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    factor = size[0] // coarse.shape[0]
    return coarse.repeat(factor, axis=0).repeat(factor, axis=1)
