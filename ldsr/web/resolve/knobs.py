"""The controls of a run as data and as HTML: one table, two panels, and Settings made of them.

Knows Settings and how its fields are called on the screen; knows nothing of Gradio. The panels are
brought to life by knobs.js; the value of a panel is {field: value}.
"""

import dataclasses
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ldsr.errors import LdsrError
from ldsr.settings import (
    BASES,
    CONSISTENCIES,
    DEFAULT_SAMPLES,
    MAX_SAMPLES,
    PRESETS,
    SAMPLERS,
    SKIP_FORMS,
    Settings,
)

DEFAULT = "balanced"
PRESET_NAMES = {"fast": "Fast", "balanced": "Balanced", "best": "Best"}
SAMPLING_NOTE = (
    f"0 samples: only when you ask, then {DEFAULT_SAMPLES}. They end early once a further one "
    "changes the map by less than the share under Settle."
)
NO_REFINER = "These weights have no second stage: the result is the base."
FIELDS = tuple(field.name for field in dataclasses.fields(Settings) if field.name != "semantics")
"""Settings in the panels; `semantics` belongs to the land-cover editor."""
MAIN_FIELDS = (
    "base",
    "steps",
    "skip_threshold",
    "refine",
    "refine_steps",
    "refine_strength",
    "detail_cap",
    "seed",
)
"""Those in the first panel, always to be seen."""
WHOLE = ("steps", "seed", "samples")
"""How the names of fields end that hold whole numbers."""
PRESET_FIELDS = tuple(
    name
    for name in FIELDS
    if name in ("sampler", "steps", "eta")
    or len({getattr(preset, name) for preset in PRESETS.values()}) > 1
)
"""What a preset sets: everything in which presets differ, and how to sample."""


@dataclasses.dataclass(frozen=True)
class Knob:
    """One control.

    Attributes:
        label: on the screen.
        hint: one sentence, shown on hovering and read out.
        low, high: ends of the slider; the number beside it takes what Settings takes.
        most: largest number that may be typed.
        step: of the slider.
        options: names by value; then it is a choice, not a number.
        empty: what stands in an empty field, where it may be empty.
    """

    label: str
    hint: str
    low: float = 0.0
    high: float = 1.0
    most: float = 1.0
    step: float = 0.05
    options: Mapping[str, str] | None = None
    empty: str = ""


KNOBS = {
    "base": Knob(
        "Base",
        "How stage 1 makes the picture that stage 2 refines.",
        options={
            "ldsr": "Latent diffusion",
            "sr3": "SR3, pixel diffusion",
            "regression": "Regression, one pass",
            "bicubic": "Bicubic",
        },
    ),
    "steps": Knob("Steps", "Denoiser steps of stage 1, 1 to 1000.", 1, 50, 1000, 1),
    "skip_threshold": Knob(
        "Skip threshold",
        "A step whose first block changed less than this reuses the deep part of the network; "
        "0 computes every step. Both stages.",
        step=0.01,
    ),
    "refine_steps": Knob("Steps", "Denoiser steps of stage 2, 1 to 1000.", 1, 50, 1000, 1),
    "refine_strength": Knob(
        "Strength", "How much noise stage 2 starts from: 0 keeps the base, 1 redraws it."
    ),
    "detail_cap": Knob("Detail cap", "Most that stage 2 may invent of any pixel; 0 is the base."),
    "sampler": Knob("Sampler", "Of both stages.", options={"ddim": "DDIM", "dpm": "DPM-Solver++"}),
    "eta": Knob("Eta", "Noise added at each DDIM step; 0 is deterministic."),
    "temperature": Knob(
        "Temperature",
        "Noise that sampling starts from: 0 cautious, 1 varied; empty takes what the weights "
        "recommend.",
        empty="auto",
    ),
    "cascade": Knob("SR3 as a cascade", "With the base SR3: twice 2x instead of once 4x."),
    "consistency": Knob(
        "Consistency with the 10 m input",
        "How the result, seen again at 10 m, is made equal to the input.",
        options={"psf": "Point spread function", "box": "4 × 4 mean", "none": "Off"},
    ),
    "control_scale": Knob(
        "Control scale", "How closely stage 2 follows the structure of the base.", high=2, most=2
    ),
    "tag_weight": Knob(
        "Tag weight", "How strongly stage 2 follows the land-cover tags.", high=4, most=4, step=0.1
    ),
    "skip_form": Knob(
        "What a skipped step reuses",
        "Residual: all but the first block; shallow: the lower levels, and beyond 50 steps all but "
        "the first and the last block; literal: the first block alone, the paper's rule, as an "
        "ablation.",
        options={"residual": "Residual", "shallow": "Shallow", "literal": "Literal (ablation)"},
    ),
    "samples": Knob(
        "Samples",
        f"Pictures drawn to see how far they differ, 2 to {MAX_SAMPLES}, after every run; 0: only "
        f"when you ask how sure the result is, then {DEFAULT_SAMPLES}.",
        high=MAX_SAMPLES,
        most=MAX_SAMPLES,
        step=1,
    ),
    "settle": Knob(
        "Settle",
        "Stop early when the map has settled: once a further sample changes it by less than this "
        "share; 0 draws all.",
        high=0.2,
        step=0.01,
    ),
}
IDS = {"samples": "draws"}
"""Of controls that are not called as their field; the gallery is called samples."""
ORDERS = {
    "base": BASES,
    "sampler": SAMPLERS,
    "consistency": CONSISTENCIES,
    "skip_form": SKIP_FORMS,
}


def panel_values(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what the two panels show for some settings, each its own fields."""
    values = {name: getattr(settings, name) for name in FIELDS}
    main = {name: value for name, value in values.items() if name in MAIN_FIELDS}
    return main, {name: value for name, value in values.items() if name not in MAIN_FIELDS}


def to_settings(values: Mapping[str, Any], semantics: str) -> Settings:
    """Make Settings of what stands in the panels.

    Args:
        values: of both panels; what is not there is as in the default preset.
        semantics: from the land-cover editor.

    Raises:
        LdsrError: a value that is missing or out of its range.
    """
    chosen = dataclasses.asdict(PRESETS[DEFAULT])
    for name in FIELDS:
        value = values.get(name, chosen[name])
        if value is None and not (name in KNOBS and KNOBS[name].empty):
            label = KNOBS[name].label if name in KNOBS else name.capitalize()
            raise LdsrError(f"{label} is empty; please give a number.")
        if isinstance(value, float) and value.is_integer() and name.endswith(WHOLE):
            value = int(value)
        chosen[name] = value
    return Settings(**chosen | {"semantics": semantics})


def to_sampling(values: Mapping[str, Any]) -> tuple[int, float]:
    """Read from a panel how many samples to draw when asked, and when to stop early.

    Raises:
        LdsrError: a value that is missing or out of its range.
    """
    wanted = {name: values[name] for name in ("samples", "settle") if name in values}
    settings = to_settings(wanted, PRESETS[DEFAULT].semantics)
    return settings.samples or DEFAULT_SAMPLES, settings.settle


def main_panel(bases: Sequence[str], can_refine: bool) -> str:
    """HTML of the common controls.

    Args:
        bases: those that the weights can make.
        can_refine: whether they have a second stage.
    """
    presets = {
        name: {field: getattr(preset, field) for field in PRESET_FIELDS}
        for name, preset in PRESETS.items()
    }
    names = "".join(
        f'<label><input type="radio" name="ldsr-preset" value="{key}"><span>{name}</span></label>'
        for key, name in PRESET_NAMES.items()
    )
    note = "" if can_refine else f'<p class="knob-note" id="no-refiner">{NO_REFINER}</p>'
    off = "" if can_refine else " disabled"
    stage2 = "".join(_number(name) for name in ("refine_steps", "refine_strength", "detail_cap"))
    return (
        f'<div class="knobs" data-presets="{_safe(json.dumps(presets))}">'
        f'<fieldset class="segmented" id="preset" aria-label="Preset">{names}</fieldset>'
        f'<div class="knob-head"><h2>Base</h2>{_choice("base", bases)}</div>'
        f'<div class="knob-grid">{_number("steps")}{_number("skip_threshold")}</div>'
        '<div class="knob-head"><h2 id="refine-name">Refinement</h2>'
        '<label class="switch" id="refine" data-knob="refine" data-kind="switch">'
        f'<input type="checkbox" role="switch" aria-labelledby="refine-name"{off}><i></i></label>'
        f"</div>{note}"
        f'<div class="knob-grid"><fieldset class="knob-group" data-needs="refine">{stage2}'
        f"</fieldset>{_seed()}</div></div>"
    )


def more_panel() -> str:
    """HTML of what most people leave as it is, folded away."""
    sampling = _choice("sampler") + _number("eta") + _number("temperature") + _choice("consistency")
    sampling += _switch("cascade")
    refinement = _number("control_scale") + _number("tag_weight") + _choice("skip_form")
    uncertainty = _number("samples") + _number("settle")
    return (
        f'<div class="knobs"><details id="sampling"><summary>Sampling</summary>'
        f'<div class="knob-grid">{sampling}</div></details>'
        f'<details id="refinement"><summary>Refinement</summary>'
        f'<div class="knob-grid">{refinement}</div></details>'
        f'<details id="uncertainty"><summary>Uncertainty</summary>'
        f'<div class="knob-grid">{uncertainty}</div>'
        f'<p class="knob-note is-plain">{SAMPLING_NOTE}</p></details></div>'
    )


def _number(name: str) -> str:
    knob, key = KNOBS[name], IDS.get(name, name.replace("_", "-"))
    ends = f'min="{knob.low:g}" step="{knob.step:g}"'
    empty = f'placeholder="{knob.empty}" ' if knob.empty else ""
    return (
        f'<div class="knob" id="{key}" data-knob="{name}" data-kind="number" '
        f'title="{_safe(knob.hint)}"><label for="{key}-number">{knob.label}</label>'
        f'<input type="number" id="{key}-number" {ends} max="{knob.most:g}" {empty}'
        f'aria-description="{_safe(knob.hint)}">'
        f'<input type="range" {ends} max="{knob.high:g}" tabindex="-1" aria-hidden="true"></div>'
    )


def _choice(name: str, available: Sequence[str] | None = None) -> str:
    knob, key = KNOBS[name], name.replace("_", "-")
    options = "".join(
        f'<option value="{value}"{_missing(value, available)}>{_safe(knob.options[value])}</option>'
        for value in ORDERS[name]
    )
    return (
        f'<div class="knob is-choice" id="{key}" data-knob="{name}" data-kind="choice" '
        f'title="{_safe(knob.hint)}"><label for="{key}-choice">{knob.label}</label>'
        f'<select id="{key}-choice" aria-description="{_safe(knob.hint)}">{options}</select></div>'
    )


def _switch(name: str) -> str:
    knob = KNOBS[name]
    return (
        f'<label class="knob is-switch" id="{name}" data-knob="{name}" data-kind="switch" '
        f'title="{_safe(knob.hint)}"><span>{knob.label}</span><span class="switch">'
        f'<input type="checkbox" role="switch" aria-description="{_safe(knob.hint)}"><i></i>'
        "</span></label>"
    )


def _missing(value: str, available: Sequence[str] | None) -> str:
    known = available is None or value in available
    return "" if known else ' disabled title="not in these weights"'


def _seed() -> str:
    hint = "Of the noise; equal settings and seed give equal pictures."
    return (
        f'<div class="knob is-seed" id="seed" data-knob="seed" data-kind="number" title="{hint}">'
        '<label for="seed-number">Seed</label>'
        f'<input type="number" id="seed-number" min="0" max="4294967295" step="1" '
        f'aria-description="{hint}">'
        '<button type="button" class="dice" id="dice" data-dice>Roll</button></div>'
    )


def _safe(text: str) -> str:
    """Escape for an attribute of a gr.HTML template, in which { } and $ mean something."""
    escaped = html.escape(text, quote=True)
    return escaped.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;")
