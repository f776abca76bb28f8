"""The Compare tab: one component of our own, and when it is told of another result.

Its value is one JSON object; pictures and numbers are fetched by address when they are needed.
"""

from typing import Any

import gradio as gr

from ldsr.web.compare.files import find_references, find_shown
from ldsr.web.compare.views import EMPTY, compare_value
from ldsr.web.resolve.widgets import QUIET
from ldsr.web.studio import Studio
from ldsr.web.theme import asset

SCRIPTS = (
    "compare.js",
    "compare_panes.js",
    "compare_hands.js",
    "compare_values.js",
    "compare_samples.js",
    "compare_charts.js",
)
"""Joined in this order; they share one scope."""


def build_compare() -> gr.HTML:
    """Make the component; `connect_compare` keeps it in step with the visitor's result."""
    return gr.HTML(
        dict(EMPTY),
        html_template=asset("compare.html"),
        js_on_load="\n".join(asset(name) for name in SCRIPTS),
        apply_default_css=False,
        elem_id="compare",
    )


def connect_compare(studio: Studio, compare: gr.HTML, current: gr.State, judged: gr.State) -> None:
    """Show the result on the visitor's screen, and the reference they uploaded for it.

    Args:
        studio: the server's state.
        compare: the component.
        current: the visitor's state on the Super-resolve tab.
        judged: their state on the Evaluate tab; its "key" is the id of their evaluation.
    """

    def changed(state: dict[str, Any], mine: dict[str, Any]) -> dict[str, Any]:
        key, evaluation = state["shown"], mine["key"]
        shown = find_shown(studio, key)
        if shown is None:
            return dict(EMPTY)
        references = find_references(studio, shown, evaluation)
        return compare_value(key, shown, references, evaluation)

    for state in (current, judged):
        state.change(changed, [current, judged], compare, **QUIET)
