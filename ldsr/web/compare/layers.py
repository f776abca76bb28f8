"""What the Compare tab lays side by side: pictures of one result, and maps of numbers.

Knows results and how they are drawn; knows nothing of Gradio or of addresses.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from ldsr import render
from ldsr.data.bands import BANDS
from ldsr.data.patch import Patch
from ldsr.result import Uncertainty
from ldsr.web.pictures import COMPOSITES, Shown
from ldsr.words import why_not

LEVEL = 0.9
"""Of the interval that is drawn as a map."""
_PERCENT = f"{100 * LEVEL:.0f}\u00a0%"
NO_SAMPLES = "No samples were drawn; press 'How sure is this?' on the Super-resolve tab."
NO_REFINED = "This run had no second stage."
NO_RESIDUAL = "The consistency with the input was not measured in this run."
NO_REFERENCE = "There is no reference of this place; upload one on the Evaluate tab."
NO_FITTED = "The reference was not fitted to the input's brightness."
BAND_NAMES = {"R": "red", "G": "green", "B": "blue", "NIR": "near infrared"}
REFLECTANCE = "reflectance"
"""Unit of all that is not a share or a distance."""
UNITS = {"detail": "", "relative": "% of the brightness"}

PICTURES = {
    "input": ("Input", "The 10 m input as it is, one square for each pixel."),
    "smooth": ("Input, bicubic", "The 10 m input, enlarged by bicubic interpolation."),
    "base": ("Base", "The picture of stage 1."),
    "refined": ("Refined", "The picture of stage 2."),
    "mean": ("Mean of the samples", "The mean of all samples; what they disagree on is blurred."),
    "sample": ("Samples, one by one", "One sample at a time: use the player."),
    "reference": ("Reference", "The true picture that was uploaded, registered, as given."),
    "fitted": ("Reference, fitted", "The same with its brightness fitted to the input's."),
}
"""Of each picture: its title and one sentence."""
HEATS = {
    "relative": (
        "Uncertainty, relative",
        f"Half width of the {_PERCENT} interval about the samples' mean, mean of the bands, in "
        "percent of the brightness there.",
    ),
    "interval": (
        "Uncertainty, in reflectance",
        f"Half width of the {_PERCENT} interval about the samples' mean, mean of the bands.",
    ),
    **{
        f"interval-{band}": (
            f"Uncertainty, {name}",
            f"Half width of the {_PERCENT} interval about the samples' mean, {name} alone.",
        )
        for band, name in BAND_NAMES.items()
    },
    "std": ("Standard deviation", "Of the samples, mean of the bands; not calibrated."),
    "edges": ("Edge spread", "How far edges move from sample to sample."),
    "detail": (
        "Generated detail",
        "How much of each pixel stage 2 was allowed to invent; 0 is the base.",
    ),
    "change": ("Base to refined", "How much stage 2 changed each pixel, mean of the bands."),
    "residual": (
        "Consistency residual",
        "What is left of the input's difference to the result seen again at 10 m.",
    ),
}
"""Of each map of numbers: its title and one sentence."""
UNCERTAIN = ("relative", "interval", *(f"interval-{band}" for band in BANDS), "std", "edges")
"""Those of HEATS that need samples."""
COARSE = ("input", "residual")
"""Layers on the 10 m grid."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """Something that can be laid beside something else.

    Attributes:
        name: of PICTURES or HEATS.
        title, text: to show; the text is one sentence.
        kind: "picture" (true or false colour) or "heat" (one number a pixel).
        coarse: whether it is on the 10 m grid.
        unit: of a heat map's numbers, "" where they are shares.
        top: the value of a heat map's last colour; 0 is the first.
        missing: why it is not there, one sentence, or "".
    """

    name: str
    title: str
    text: str
    kind: str
    coarse: bool
    unit: str = ""
    top: float | None = None
    missing: str = ""


def list_layers(shown: Shown, references: Mapping[str, Patch] | None = None) -> tuple[Layer, ...]:
    """List every layer of a result, also those that are not there, with the reason.

    Args:
        shown: with a result.
        references: the true picture [4, 4H, 4W] as "reference" and "fitted", where there is one.
    """
    found = [
        Layer(
            name=name,
            title=title,
            text=text,
            kind="picture",
            coarse=name in COARSE,
            missing=missing(shown, name, references),
        )
        for name, (title, text) in PICTURES.items()
    ]
    return (*found, *(_heat_layer(shown, name) for name in HEATS))


def missing(shown: Shown, name: str, references: Mapping[str, Patch] | None = None) -> str:
    """Say why a layer is not there in one sentence, or ""."""
    unsampled = why_not(shown.result) or NO_SAMPLES
    needs = {
        "refined": (shown.refined, NO_REFINED),
        "change": (shown.refined, NO_REFINED),
        "detail": ("detail" in shown.overlays, NO_REFINED),
        "residual": (shown.result.residual is not None, NO_RESIDUAL),
        "sample": (len(shown.samples) > 0, unsampled),
        "mean": (shown.uncertainty is not None, unsampled),
        "reference": ("reference" in (references or {}), NO_REFERENCE),
        "fitted": (
            "fitted" in (references or {}),
            NO_FITTED if references else NO_REFERENCE,
        ),
    } | dict.fromkeys(UNCERTAIN, (shown.uncertainty is not None, unsampled))
    there, reason = needs.get(name, (True, ""))
    return "" if there else reason


def heat_values(shown: Shown, name: str) -> np.ndarray:
    """Give the numbers of a heat map that is there.

    Returns:
        float32 [4H, 4W], or [H, W] where the layer is coarse, in the layer's unit.
    """
    samples = shown.uncertainty
    if name == "detail":
        return shown.result.detail
    if name == "change":
        return shown.change
    if name == "residual":
        return shown.result.residual
    if name == "edges":
        return samples.edge_spread * np.float32(pixel_metres(shown) or 1.0)
    if name == "std":
        return samples.std.mean(axis=0)
    if name == "relative":
        return 100 * samples.relative_width(LEVEL)
    if name == "interval":
        return samples.half_width(LEVEL).mean(axis=0)
    return half_width(samples, LEVEL, BANDS.index(name.removeprefix("interval-")))


def heat_top(shown: Shown, name: str) -> float:
    """Choose the value of a heat map's last colour."""
    if name in ("detail", "change", "residual"):  # as on the Super-resolve tab
        return shown.heat_values({"change": "difference"}.get(name, name))[1]
    return render.heat_top(heat_values(shown, name), heat_valid(shown, name))


def heat_valid(shown: Shown, name: str) -> np.ndarray:
    """The valid pixels of a heat map's grid: bool [4H, 4W] or [H, W]."""
    return shown.patch.valid if name in COARSE else shown.result.sr.valid


def heat_png(shown: Shown, name: str) -> bytes:
    """Draw a heat map as PNG in the colours of `render.HEAT`."""
    values, valid = heat_values(shown, name), heat_valid(shown, name)
    return render.encode_png(render.heat(values, heat_top(shown, name), valid=valid))


def picture_png(
    shown: Shown, name: str, composite: str, references: Mapping[str, Patch] | None = None
) -> bytes:
    """Draw a picture that is there as PNG; the input keeps its 10 m pixels.

    Args:
        shown: with a result.
        name: of PICTURES, not "sample".
        composite: "true" or "false" colour.
        references: see `list_layers`.
    """
    if name in (references or {}):
        return _draw(references[name], shown.stretch, composite)
    if name == "input":
        return _draw(shown.patch, shown.stretch, composite)
    if name == "mean":
        return shown.draw(shown.uncertainty.mean, composite)
    return shown.png({"smooth": "input"}.get(name, name), composite)


def half_width(samples: Uncertainty, level: float, band: int) -> np.ndarray:
    """Half width of one band's interval, float32 [4H, 4W]; as `Uncertainty.half_width`."""
    return samples.scale[band] * np.float32(samples.factors[level][band])


def pixel_metres(shown: Shown) -> float | None:
    """Side of a result's pixel in metres; None where the picture has no CRS in metres."""
    sr: Any = shown.result.sr
    if sr.crs is None or sr.transform is None or not sr.crs.is_projected:
        return None
    return sr.gsd if sr.crs.linear_units_factor[1] == 1.0 else None


def _heat_layer(shown: Shown, name: str) -> Layer:
    title, text = HEATS[name]
    lacking = missing(shown, name)
    distance = "m" if pixel_metres(shown) else "pixels"
    return Layer(
        name=name,
        title=title,
        text=text,
        kind="heat",
        coarse=name in COARSE,
        unit=UNITS.get(name, distance if name == "edges" else REFLECTANCE),
        top=None if lacking else heat_top(shown, name),
        missing=lacking,
    )


def _draw(patch: Patch, stretch: render.Stretch, composite: str) -> bytes:
    valid = None if patch.valid.all() else patch.valid
    return render.encode_png(COMPOSITES[composite](patch.reflectance, stretch, valid=valid))
