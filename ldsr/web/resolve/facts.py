"""The words beside a picture: chips, captions, where the input came from. Plain text."""

from collections.abc import Mapping

import numpy as np

from ldsr.data import scl
from ldsr.data.mercator import outline
from ldsr.data.patch import Patch
from ldsr.data.places import wrap
from ldsr.errors import LdsrError
from ldsr.result import SCALE, StageFigures, SuperResolution
from ldsr.semantics.vocabulary import format_tags
from ldsr.web.pictures import Shown

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
STAGE_PARTS = {
    "base": ("regress", "denoise", "decode", "consistency"),
    "refine": ("refine encode", "refine denoise", "refine decode", "refine consistency"),
}


def captions(patch: Patch, weights: str | None) -> dict[str, tuple[str, str]]:
    """Title and text over each picture."""
    fine = f"{pixel(patch, SCALE)}, {weights or 'super-resolved'}"
    return {
        "input": ("Input", f"{pixel(patch, 1)}, bicubic"),
        "base": ("Base", fine),
        "refined": ("Refined", fine),
    }


def input_chips(patch: Patch) -> list[list[str]]:
    """Facts of an input: [label, value, explanation, note]."""
    height, width = patch.size
    chips = [["Size", f"{width} × {height} px", "of the 10 m input", ""]]
    chips.append(["Pixel", pixel(patch, 1), "ground distance between two pixels", ""])
    if not patch.valid.all():
        chips.append(["Valid", f"{patch.valid.mean():.1%}", "share of pixels that hold data", ""])
    if patch.scl is not None:
        text = ", ".join(f"{share:.0%} {name}" for name, share in scl.shares(patch.scl).items())
        told = "shares of the box, as Sentinel-2's scene classification has them (20 m)"
        chips.append(["Cloud", text, told, ""])
    return chips


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
    if patch.source.kind not in ("scene", "sample"):
        return ""
    year = f" {patch.source.acquired:%Y}" if patch.source.acquired else ""
    return f"Contains modified Copernicus Sentinel data{year}"


def result_chips(result: SuperResolution) -> list[list[str]]:
    """Facts of a run: [label, value, explanation, note]."""
    height, width = result.lr.size
    settings, part_of = result.settings, _percent(result.out_of_range)
    files = ", ".join(f"{name} {sha}" for name, sha in result.weights_files.items())
    kept = f"{small(result.residual_before)} → {small(result.residual_after)}"
    chips = [
        ["Weights", result.weights, files or f"SHA-256 {result.weights_sha256}", ""],
        *(_stage_chip(result, name, stage) for name, stage in result.figures.items()),
        [
            "Consistency",
            kept,
            "RMSE in reflectance between the input and the result seen again at 10 m, "
            "before → after back-projection",
            "",
        ],
        ["Outside 0–1", part_of, "share of result values outside the range of reflectance", ""],
        *_detail_chips(result),
    ]
    size = f"{width} × {height} → {width * SCALE} × {height * SCALE} px"
    seeds = f"seed {settings.seed}, eta {settings.eta:g}, temperature {settings.temperature}"
    return [*chips, ["Size", size, f"input and result; {seeds}", ""]]


def _stage_chip(result: SuperResolution, name: str, stage: StageFigures) -> list[str]:
    settings = result.settings
    how = BASES[settings.base]
    label = f"Base, {how}" if name == "base" else "Refine"
    if name == "refine" or settings.base in ("ldsr", "sr3"):
        label += f", {SAMPLERS.get(settings.sampler, settings.sampler)}"
        value = f"{stage.steps_computed} computed, {stage.steps_skipped} skipped"
    else:
        value = "no steps"
    seconds = sum(result.seconds.get(part, 0.0) for part in STAGE_PARTS[name])
    note = f"{seconds:.1f} s, residual {small(stage.residual_after)}"
    explained = (
        f"denoiser steps computed in full, and steps that reused the deep part of the network "
        f"(skip threshold {settings.skip_threshold:g}, {settings.skip_form}); residual against "
        f"the 10 m input {small(stage.residual_before)} → {small(stage.residual_after)}"
    )
    return [label, value, explained, note]


def _detail_chips(result: SuperResolution) -> list[list[str]]:
    figures = result.detail_figures()
    if figures is None:
        return []
    cap = f"largest {figures['largest']:.2f}, cap {result.settings.detail_cap:g}"
    chips = [["Mean detail", f"{figures['mean']:.2f}", f"generated by stage 2, 0 to 1; {cap}", ""]]
    if result.tags is not None:
        source = SOURCES.get(result.tags_source, result.tags_source)
        text = top_tags(result.tags)
        chips.append([f"Land cover, {source}", text, format_tags(result.tags), ""])
    return chips


def top_tags(tags: Mapping[str, float], most: int = 3) -> str:
    """Write the most probable tags: "forest 60 %, water 30 %"."""
    ranked = sorted(tags.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{tag} {share:.0%}" for tag, share in ranked if share >= 0.005)


def sensitivity_text(shown: Shown) -> str:
    """Say in two sentences how much the tags matter, or "" where that was not measured."""
    if shown.sensitivity is None:
        return ""
    found, moved = shown.sensitivity, shown.sensitivity.refinement
    share = ""
    if moved > 0:
        share = f" That is {found.mean / moved:.0%} of what refinement changed ({small(moved)})."
    return (
        f"With {top_tags(found.other_tags)} in place of {top_tags(shown.result.tags or {})}, "
        f"the refined picture changes by {small(found.mean)} reflectance on average."
        f"{share}"
    )


def provenance(patch: Patch) -> list[list[str]]:
    """Where the input came from and what was done to its numbers: [label, text]."""
    source = patch.source
    lines = [["Input", source.name or source.kind]]
    lines.append(["Radiometry", source.radiometry])
    if source.acquired:
        lines.append(["Acquired", source.acquired.strftime("%Y-%m-%d %H:%M UTC")])
    if source.baseline:
        lines.append(["Processing baseline", source.baseline])
    lines.append(["Position", position(patch)])
    if source.catalogue:
        lines.append(["Catalogue", source.catalogue])
    if source.licence:
        lines.append(["Licence", source.licence])
    return lines


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


def _percent(share: float) -> str:
    return f"{share:.2%}" if share < 0.1 else f"{share:.1%}"
