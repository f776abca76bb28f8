"""What the Compare tab shows, as plain data: layers, places to check, what the intervals mean.

Knows results; knows nothing of Gradio.
"""

from collections.abc import Mapping
from typing import Any

from ldsr import render
from ldsr.data.bands import BANDS
from ldsr.data.patch import Patch
from ldsr.result import Calibration, Place, SuperResolution, Uncertainty
from ldsr.web.compare.layers import HEATS, NO_SAMPLES, Layer, list_layers, pixel_metres
from ldsr.web.pictures import COMPOSITES, Shown
from ldsr.words import NO_PLACE, NO_PROMISE, ended, settings_line, why_not

REASONS = {
    "structure": "Edges differ",
    "brightness": "Wide interval",
    "generated": "Much generated",
    "input": "Not the input",
}
"""Short names of the reasons of `ldsr.result.Place`."""
MEANING = "they hold the model's own next sample, which says nothing about the ground"
COLUMNS = {
    "input": "Input",
    "base": "Base",
    "refined": "Refined",
    "mean": "Mean",
    "reference": "Reference",
    "fitted": "Fitted",
}
"""Pictures whose numbers are shown, with short titles."""
MAPS = {"detail": "Generated", "change": "Change", "edges": "Edge spread", "residual": "Residual"}
"""Maps whose number is shown under the cursor."""
EMPTY = {"mode": "empty"}


def compare_value(
    key: str | None,
    shown: Shown | None,
    references: Mapping[str, Patch] | None = None,
    evaluation: str | None = None,
) -> dict[str, Any]:
    """Describe a result for the Compare tab.

    Args:
        key: the id under which it is kept.
        shown: the result; None where there is none.
        references: the true picture by name, where there is one.
        evaluation: the id under which the reference is kept.
    """
    if key is None or shown is None:
        return EMPTY
    height, width = shown.result.sr.size
    layers = list_layers(shown, references)
    there = {layer.name for layer in layers if not layer.missing}
    metres = pixel_metres(shown)
    query = _query(shown.uncertainty, evaluation if references else None)
    return {
        "mode": "done",
        "id": key,
        "name": shown.patch.source.name or shown.stem,
        "line": settings_line(shown.result),
        "width": width,
        "height": height,
        "pixel": metres or 1,
        "unit": "m" if metres else "pixels",
        "crs": shown.patch.crs.to_string() if shown.patch.crs else "",
        "bands": list(BANDS),
        "colours": list(render.HEAT),
        "layers": [_layer(key, shown, layer, query) for layer in layers],
        "panes": _first_panes(there),
        "columns": [[name, title] for name, title in COLUMNS.items() if name in there],
        "maps": [[name, title, _unit(layers, name)] for name, title in MAPS.items()],
        "ask": {"stem": f"ldsr/compare/{key}", "query": query},
    } | _samples(key, shown)


def note(result: SuperResolution) -> str:
    """Say what the intervals of a result mean, in a sentence or two."""
    samples = result.uncertainty
    if samples is None:
        return why_not(result) or NO_SAMPLES
    found = samples.calibration
    if found is None:
        reason = samples.uncalibrated.rstrip(".") or "they are not calibrated"
        return f"{reason[:1].upper()}{reason[1:]}: {MEANING}."
    data = found.data.rstrip(".")
    measured = _measured(found, samples.samples)
    return f"Calibrated for the preset {found.name!r}. {data}.{measured}"


def _samples(key: str, shown: Shown) -> dict[str, Any]:
    """What there is only with samples, and what says that there are none."""
    samples = shown.uncertainty
    about = {"calibrated": False, "note": note(shown.result), "levels": [], "places": []}
    count = len(shown.samples) if samples is not None else 0
    about |= {"samples": count, "sample": f"ldsr/compare/{key}/sample-", "drawn": ""}
    about |= {"nowhere": "Samples show where to look."}
    if samples is None:
        return about
    return about | {
        "calibrated": samples.calibration is not None,
        "drawn": ended(samples),
        "nowhere": f"{NO_PLACE}. {NO_PROMISE}",
        "levels": [[str(level), f"{100 * level:.0f}\u00a0%"] for level in sorted(samples.factors)],
        "places": [_place(place) for place in samples.places],
    }


def _measured(calibration: Calibration, samples: int) -> str:
    """The coverage that was measured with about so many samples, or ""."""
    if not calibration.coverage:
        return ""
    count = min(calibration.coverage, key=lambda fitted: abs(1 / fitted - 1 / samples))
    told = []
    for level, shares in sorted(calibration.coverage[count].items()):
        low, high = (f"{100 * share:.0f}" for share in (min(shares), max(shares)))
        held = low if low == high else f"{low} to {high}"
        told.append(f"{100 * level:.0f}\u00a0% held {held}\u00a0%")
    return f" Measured there with {count} samples, by band: {', '.join(told)}."


def _place(place: Place) -> dict[str, Any]:
    rows, cols = zip(*place.outline, strict=True)
    return {
        "reason": place.reason,
        "title": REASONS.get(place.reason, place.reason.capitalize()),
        "text": place.text,
        "points": " ".join(f"{col:g},{row:g}" for row, col in place.outline),
        "box": [min(rows), min(cols), max(rows), max(cols)],
    }


def _layer(key: str, shown: Shown, layer: Layer, query: str) -> dict[str, Any]:
    about = {
        "name": layer.name,
        "title": layer.title,
        "text": layer.text,
        "kind": layer.kind,
        "coarse": layer.coarse,
        "missing": layer.missing,
    }
    if layer.kind == "heat":
        ends = [] if layer.top is None else ["0", f"{layer.top:g}"]
        url = f"ldsr/compare/{key}/{layer.name}.png{query and '?' + query}"
        return about | {"url": url, "ends": ends, "unit": layer.unit}
    return about | {"urls": _addresses(key, layer.name, query)}


def _addresses(key: str, name: str, query: str) -> dict[str, str]:
    """Address of a picture by composite; those of the Super-resolve tab are the same files."""
    old = {"smooth": "input", "base": "base", "refined": "refined"}.get(name)
    if old is not None:
        return {composite: f"ldsr/r/{key}/{old}-{composite}.png" for composite in COMPOSITES}
    tail = query and "?" + query
    return {one: f"ldsr/compare/{key}/{name}-{one}.png{tail}" for one in COMPOSITES}


def _query(samples: Uncertainty | None, evaluation: str | None) -> str:
    """What addresses end with: which samples they are of, and where the reference is."""
    parts = [] if samples is None else [f"n={samples.samples}"]
    return "&".join(parts + ([] if evaluation is None else [f"evaluation={evaluation}"]))


def _first_panes(there: set[str]) -> list[str]:
    """The layers that are shown until a person chooses: four at most."""
    last = next((name for name in ("relative", "change") if name in there), "relative")
    return [name for name in ("input", "base", "refined") if name in there] + [last]


def _unit(layers: tuple[Layer, ...], name: str) -> str:
    assert name in HEATS
    return next(layer.unit for layer in layers if layer.name == name)
