"""The components of our own: header, sample gallery, status line, viewer.

Each is a constant template with a script; all that changes is one JSON value.
"""

import html
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from ldsr.data.references import Reference
from ldsr.data.samples import Sample
from ldsr.semantics.vocabulary import VOCABULARY
from ldsr.web.resolve import tags
from ldsr.web.resolve.views import status
from ldsr.web.theme import asset

VIEWER = ("viewer.js", "trust.js", "times.js", "facts.js")
"""Scripts of the viewer, joined in this order; they share one scope."""


def header(weights: str, device: str) -> gr.HTML:
    """Name of the product, what it does, the weights in use, light / dark."""
    page = (
        asset("header.html")
        .replace("WEIGHTS", _text(weights))
        .replace("DEVICE", _text(device.upper()))
    )
    return gr.HTML(page, js_on_load=None, apply_default_css=False, elem_id="brand")


def gallery(samples: Sequence[Sample], chosen: str | None) -> gr.HTML:
    """The bundled samples as radio buttons with a thumbnail; the value is {"key": ...}."""
    cards = "".join(_card(sample) for sample in samples)
    return gr.HTML(
        {"key": chosen},
        html_template=f'<div class="gallery" role="radiogroup" aria-label="Samples">{cards}</div>',
        js_on_load=asset("gallery.js"),
        apply_default_css=False,
        elem_id="samples",
    )


def references(places: Sequence[Reference]) -> gr.HTML:
    """Samples that are fetched on request; the value is {"key": ..., "closed": {key: reason}}."""
    buttons = "".join(
        f'<button type="button" class="reference" data-key="{place.key}">'
        f"<small>{_text(place.kind)}</small>{_text(place.name)}</button>"
        for place in places
    )
    return gr.HTML(
        {"key": None, "closed": {}},
        html_template=asset("references.html").replace("BUTTONS", buttons),
        js_on_load=asset("references.js"),
        apply_default_css=False,
        elem_id="references",
    )


def status_line() -> gr.HTML:
    """One sentence about what is going on; the value is made by `views.status`."""
    return gr.HTML(
        status("idle", "Choose a sample or upload a patch, then press Super-resolve."),
        html_template=asset("status.html"),
        js_on_load=asset("status.js"),
        apply_default_css=False,
        elem_id="status",
    )


def panel(page: str, values: dict[str, Any], elem_id: str) -> gr.HTML:
    """A panel of controls made by `ldsr.web.resolve.knobs`; its value is {field: value}."""
    return gr.HTML(
        values,
        html_template=page,
        js_on_load=asset("knobs.js"),
        apply_default_css=False,
        elem_id=elem_id,
    )


def tag_editor(source: str) -> gr.HTML:
    """Land cover of the patch, to look at and to change; its value: `tags.tags_value`."""
    sources = "".join(
        f'<label><input type="radio" name="ldsr-tags" value="{key}"><span>{name}</span></label>'
        for key, name in tags.SOURCE_NAMES.items()
    )
    rows = "".join(
        f'<label class="tag-row" data-tag="{tag}"><span>{tag}</span><input type="range" min="0" '
        'max="1" step="0.01" value="0"><output></output></label>'
        for tag in VOCABULARY
    )
    page = asset("tags.html").replace("SOURCES", sources).replace("ROWS", rows)
    return gr.HTML(
        tags.tags_value(source, None),
        html_template=page,
        js_on_load=asset("tags.js"),
        apply_default_css=False,
        elem_id="land-cover",
    )


def viewer(timed: Callable[[Any], dict[str, Any]]) -> gr.HTML:
    """Input, base and refined, overlays, facts, downloads; its value: `views.viewer_value`.

    Args:
        timed: what the browser tells its times to, and asks for those of the server; its name is
            that of the function in the page's script.
    """
    return gr.HTML(
        {"mode": "empty"},
        html_template=asset("viewer.html"),
        js_on_load="\n".join(asset(name) for name in VIEWER),
        apply_default_css=False,
        elem_id="viewer",
        server_functions=[timed],
    )


def same_value(value: dict[str, Any] | None, key: str) -> Any:
    """Take one entry of a component's JSON value, None where there is none."""
    return value.get(key) if isinstance(value, dict) else None


def _card(sample: Sample) -> str:
    key, title, short = (
        _text(sample.key),
        _text(f"{sample.name}. {sample.description}"),
        _text(sample.name.partition(",")[0].partition(" (")[0]),
    )
    return (
        f'<label class="card" title="{title}"><input type="radio" name="ldsr-sample" value="{key}">'
        f'<img src="ldsr/sample/{key}.png" alt="" draggable="false" width="96" height="96">'
        f"<span>{short}</span></label>"
    )


def _text(text: str) -> str:
    escaped = html.escape(text, quote=True)
    return escaped.replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;")
