"""The About tab: what this is, what is invented, weights, licences, limits."""

import gradio as gr

from ldsr.web.theme import asset


def build_about(weights: str, sha256: str, licence: str) -> None:
    """Lay out the tab.

    Args:
        weights: name of the weights in use.
        sha256: their hash.
        licence: their licence.
    """
    text = asset("about.md").replace("WEIGHTS_NAME", weights).replace("WEIGHTS_SHA256", sha256)
    gr.Markdown(text.replace("WEIGHTS_LICENCE", licence), elem_id="about")
