"""The words about how sure a result is: why sampling ended, what its map says, where to look.

Plain text and numbers; knows nothing of Gradio or of addresses.
"""

from typing import Any

import numpy as np

from ldsr.data.bands import BANDS
from ldsr.result import Uncertainty
from ldsr.web.pictures import LEVEL, Shown
from ldsr.words import CALIBRATED, HELP, NO_PLACE, NO_PROMISE, UNCALIBRATED, ended, label, why_not

PERCENT = f"{100 * LEVEL:.0f}\u00a0%"
ASK, AGAIN = "How sure is this?", "Sample again"
INVITE = "Draws further pictures of the same input and shows where they differ."
STOP, STOPPED = "Stop and keep", "Draws no more; the samples that are there are kept."
NOT_KEPT = "Cancelled before there were two samples: there is nothing to compare."


def value(shown: Shown | None) -> dict[str, Any]:
    """Describe for the viewer how sure a result is, or what to press to find out.

    Args:
        shown: with a result; None where there is no finished one.
    """
    empty = {"can": False, "why": "", "ask": ASK, "text": "", "sampled": None, "going": False}
    if shown is None:
        return empty
    why = why_not(shown.result)
    found = shown.uncertainty
    return empty | {
        "can": not why,
        "why": why or INVITE,
        "ask": ASK if found is None else AGAIN,
        "text": why if found is None else ended(found),
        "sampled": None if found is None else _sampled(shown),
    }


def going(text: str, *, stopping: bool) -> dict[str, Any]:
    """Describe the same while samples are drawn: the button stops it.

    Args:
        text: how far it is.
        stopping: whether it was pressed already.
    """
    button = {"can": not stopping, "ask": STOP, "why": STOPPED, "going": True}
    return {"text": text, "sampled": None, **button}


def places(found: Uncertainty) -> str:
    """Count the places to check."""
    count = len(found.places)
    return f"{count} place{'' if count == 1 else 's'} to check" if count else NO_PLACE


def _sampled(shown: Shown) -> dict[str, Any]:
    found = shown.uncertainty
    name, about = label(found)
    calibrated = found.calibration is not None
    return {
        "calibrated": calibrated,
        "badge": name,
        "about": about,
        "facts": _facts(shown, found),
        "help": [HELP, CALIBRATED if calibrated else UNCALIBRATED],
        "summary": places(found),
        "note": "" if found.places else NO_PROMISE,
        "places": [
            {
                "text": place.text,
                "points": [[round(col, 1), round(row, 1)] for row, col in place.outline],
            }
            for place in found.places
        ],
    }


def _facts(shown: Shown, found: Uncertainty) -> list[list[str]]:
    """Facts as in `ldsr.web.resolve.facts`: [label, value, explanation, note]."""
    widths = found.half_width(LEVEL)[:, shown.result.sr.valid]
    means = ", ".join(
        f"{band}\u00a0{width:.4f}" for band, width in zip(BANDS, np.mean(widths, 1), strict=True)
    )
    explained = (
        f"half width of the {PERCENT} interval about the samples' mean, in reflectance, mean of "
        "the picture"
    )
    name, about = label(found)
    return [
        [f"Mean half width of the {PERCENT} interval", means, explained, "\u00b1 reflectance"],
        ["Intervals", name, about, about],
    ]
