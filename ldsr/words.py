"""What a picture and a result are, in words: for the page, the map and the report. Plain text."""

from collections.abc import Mapping

import numpy as np

from ldsr.data import scl
from ldsr.data.mercator import outline
from ldsr.data.patch import Patch
from ldsr.data.places import wrap
from ldsr.errors import LdsrError
from ldsr.result import PromptSensitivity, SuperResolution, Uncertainty

SAMPLERS = {"ddim": "DDIM", "dpm": "DPM++"}
BASES = {
    "ldsr": "latent diffusion",
    "sr3": "SR3",
    "regression": "regression",
    "bicubic": "bicubic",
}
SOURCES = {
    "spectral": "spectral rules",
    "clip": "CLIP",
    "llava": "LLaVA",
    "person": "edited by you",
}
NO_PLACE = "No place stands out"
NO_PROMISE = "That is no promise: what all samples get wrong alike cannot be seen here."
HELP = (
    "Each sample answers the same input with other noise; with consistency on, each is that input "
    "seen at 10 m. "
    "Where they differ, the picture is one guess among several; where they agree, the model is "
    "sure of itself, which is not the same as being right: an error that all samples share does "
    "not show."
)
CALIBRATED = (
    "The widths are scaled so that the intervals held the truth as often as they say on pictures "
    "kept aside for that. Those are aerial pictures of one city; other landscapes, seasons and "
    "sensors may differ."
)
UNCALIBRATED = (
    "The widths are not scaled to any truth: they hold the model's own next sample so often, "
    "which says nothing about the ground."
)


def warning(patch: Patch) -> str:
    """Say that much of a box is cloud, or "" where it is not."""
    share = 0.0 if patch.scl is None else scl.shares(patch.scl)["cloud"]
    if share <= scl.CLOUDY:
        return ""
    return (
        f"{100 * share:.0f}\u00a0% of this box is cloud: what lies under it is unknown, and detail "
        "drawn there means nothing."
    )


def settings_line(result: SuperResolution) -> str:
    """Write what a result was made with: both stages and the seed."""
    settings = result.settings
    text = BASES[settings.base]
    if settings.base in ("ldsr", "sr3"):
        sampler = SAMPLERS.get(settings.sampler, settings.sampler)
        text += f", {sampler}, {_steps(settings.steps)}"
    if "refine" in result.figures:
        strength = f"strength {settings.refine_strength:g}"
        text += f"; refined in {_steps(settings.refine_steps)}, {strength}"
        text += f", detail at most {settings.detail_cap:g}"
    return f"{text}; seed {settings.seed}"


def credit(patch: Patch) -> str:
    """Whose data a Sentinel-2 picture is, or "" where that is not known."""
    says = "copernicus" in (patch.source.licence or "").lower()
    if patch.source.kind not in ("scene", "sample") and not says:
        return ""
    year = f" {patch.source.acquired:%Y}" if patch.source.acquired else ""
    return f"Contains modified Copernicus Sentinel data{year}"


def top_tags(tags: Mapping[str, float], most: int = 3) -> str:
    """Write the most probable tags: "forest 60 %, water 30 %"."""
    ranked = sorted(tags.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{tag} {share:.0%}" for tag, share in ranked if share >= 0.005)


def tags_matter(tags: Mapping[str, float], found: PromptSensitivity) -> str:
    """Say in two sentences how much the tags of a result matter."""
    share = ""
    if found.refinement > 0:
        share = f" That is {found.mean / found.refinement:.0%} of what refinement changed "
        share += f"({small(found.refinement)})."
    return (
        f"With {top_tags(found.other_tags)} in place of {top_tags(tags)}, "
        f"the refined picture changes by {small(found.mean)} reflectance on average."
        f"{share}"
    )


def why_not(result: SuperResolution) -> str:
    """Say why further samples of a result would all be the same, or ""."""
    if result.settings.draws:
        return ""
    return (
        f"Nothing is drawn at random with base {result.settings.base}, these settings and no "
        "refinement: all samples would be the same."
    )


def ended(found: Uncertainty) -> str:
    """Say in one sentence why there are no more samples."""
    if found.ended == "settled":
        return (
            f"Settled after {found.samples} of {found.asked} samples: a further one changed the "
            f"map by {100 * found.change:.1f}\u00a0%."
        )
    if found.ended == "cancelled":
        return f"Cancelled: kept {found.samples} of {found.asked} samples."
    return f"{found.samples} of {found.asked} samples drawn."


def label(found: Uncertainty) -> tuple[str, str]:
    """Name the calibration, and say in one sentence what it rests on."""
    if found.calibration is not None:
        return f"calibrated for {found.calibration.name}", found.calibration.data
    reason = found.uncalibrated
    return "uncalibrated", f"{reason[:1].upper()}{reason[1:]}." if reason else ""


def position(patch: Patch) -> str:
    """Write where the middle of a picture lies: "46.6000° N, 10.9000° E; EPSG:32632"."""
    if patch.crs is None or patch.transform is None:
        return "none: a plain picture without coordinates"
    crs = patch.crs.to_string()
    try:
        lat, lon = np.mean(outline(patch.size, patch.crs, patch.transform)[:-1], axis=0)
    except LdsrError:
        return crs
    lon = wrap(lon)
    north, east = "N" if lat >= 0 else "S", "E" if lon >= 0 else "W"
    return f"{abs(lat):.4f}° {north}, {abs(lon):.4f}° {east}; {crs}"


def duration(seconds: float) -> str:
    """Write a time span in the words of a person: 40 s, 12 min, 3 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 24 else f"{hours} h"


def small(value: float) -> str:
    """Write an error with four decimals; a smaller one with one digit (0.00004)."""
    if value >= 0.001 or value == 0:
        return f"{value:.4f}"
    return f"{float(f'{value:.1g}'):.8f}".rstrip("0").rstrip(".") or "0"


def pixel(patch: Patch, factor: int) -> str:
    """Write the size of a pixel `factor` times finer than the input's."""
    if patch.gsd is None or (patch.crs is not None and not patch.crs.is_projected):
        return "original" if factor == 1 else f"{factor} times finer"
    return f"{patch.gsd / factor:.3g} m"


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"
