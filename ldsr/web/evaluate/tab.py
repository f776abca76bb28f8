"""The Evaluate tab: layout, and which click leads where.

The state of one visitor is the id of their evaluation; scores and pictures stay in the studio.
"""

import html
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from ldsr.web.evaluate import flows
from ldsr.web.evaluate.desk import Desk
from ldsr.web.evaluate.views import (
    NO_RESULT,
    TRUTH_WORDS,
    board_value,
    current_value,
    result_value,
)
from ldsr.web.resolve.parts import same_value
from ldsr.web.resolve.views import status
from ldsr.web.resolve.widgets import LIVE, NOW, QUIET
from ldsr.web.theme import asset

SHORT = {"none": "None", "wald": "Wald", "reference": "Reference"}
"""Ways to a truth, as the buttons name them."""
READY = "Ready. Press Evaluate to score the current result."


def build_evaluate(desk: Desk, current: gr.State, page: gr.Blocks) -> gr.State:
    """Lay out the tab and connect it.

    Args:
        desk: what all visitors share.
        current: the visitor's state on the Super-resolve tab; its "shown" is what is evaluated.
        page: the whole page, for what happens when it opens and closes.

    Returns:
        The visitor's state; its "key" is the id of their evaluation.
    """
    mine = gr.State(dict(flows.EMPTY))
    with gr.Row(elem_id="evaluate", equal_height=False):
        with gr.Column(scale=0, min_width=300, elem_id="ev-side"):
            truth = _component(_controls(), "ev-truth", {"truth": "none", "current": {}})
            upload = gr.File(
                label="Upload a reference",
                height=150,
                show_label=False,
                elem_id="ev-upload",
                interactive=True,
            )
            with gr.Row(elem_id="ev-actions"):
                run = gr.Button(
                    "Evaluate", variant="primary", elem_id="ev-run", scale=3, min_width=140
                )
                cancel = gr.Button(
                    "Cancel", elem_id="ev-cancel", scale=1, min_width=80, interactive=False
                )
            bench = _bench()
        with gr.Column(scale=1, min_width=300, elem_id="ev-main"):
            line = _component(asset("status.html"), "ev-status", status("idle", READY))
            scores = _component(asset("evaluate.html"), "ev-scores", result_value())
            board = _component(asset("evaluate_board.html"), "ev-board", board_value([]))
    screen = [mine, line, scores, board, run, bench, cancel]
    _connect_run(desk, [mine, current, truth, upload], screen, (run, upload))
    _connect_rest(desk, [mine, current], screen, (bench, cancel, line))
    _connect_page(desk, page, (current, truth, board))
    return mine


def _controls() -> str:
    """What is evaluated, and the ways to a truth."""
    choices = "".join(
        f'<label><input type="radio" name="ldsr-ev-truth" value="{key}"><span>{name}</span></label>'
        for key, name in SHORT.items()
    )
    words = "".join(
        f'<p class="ev-quiet" data-truth="{key}" hidden>{html.escape(text)}</p>'
        for key, text in TRUTH_WORDS.items()
    )
    page = asset("evaluate_controls.html").replace("CHOICES", choices).replace("WORDS", words)
    return page.replace("NO_RESULT", NO_RESULT)


def _bench() -> gr.Button:
    with gr.Column(elem_id="ev-bench-box"):
        gr.HTML(
            asset("evaluate_bench.html"),
            js_on_load=None,
            apply_default_css=False,
            elem_id="ev-bench-words",
        )
        return gr.Button("Run the benchmark", elem_id="ev-bench")


def _component(page: str, elem_id: str, value: dict[str, Any]) -> gr.HTML:
    """A constant template with its part of the script; all that changes is one JSON value."""
    scripts = {
        "ev-truth": "evaluate_controls.js",
        "ev-status": "evaluate_status.js",
        "ev-scores": "evaluate.js",
        "ev-board": "evaluate_board.js",
    }
    return gr.HTML(
        value,
        html_template=page,
        js_on_load=asset(scripts[elem_id]),
        apply_default_css=False,
        elem_id=elem_id,
    )


def _connect_run(desk: Desk, inputs: list[Any], screen: list[Any], events: tuple[Any, Any]) -> None:
    async def evaluate(
        mine: dict[str, Any],
        state: dict[str, Any],
        truth: Any,
        path: str | None,
        request: gr.Request,
    ) -> AsyncIterator[list[Any]]:
        wish = (str(same_value(truth, "truth")), path)
        visitor = request.session_hash
        judged = flows.evaluate(desk, mine, state["shown"], wish, visitor, page=state["page"])
        async for shot in judged:
            yield shot

    run, upload = events
    run.click(evaluate, inputs, screen, **LIVE)
    upload.upload(evaluate, inputs, screen, **LIVE)


def _connect_rest(
    desk: Desk, inputs: list[Any], screen: list[Any], parts: tuple[Any, Any, Any]
) -> None:
    async def benchmark(
        mine: dict[str, Any], state: dict[str, Any], request: gr.Request
    ) -> AsyncIterator[list[Any]]:
        visitor = request.session_hash
        async for shot in flows.benchmark(desk, mine, state["shown"], visitor):
            yield shot

    def stop(request: gr.Request) -> Any:
        # what stops says so itself: this answer could come after its last word
        stopped = desk.cancel(request.session_hash)
        return gr.skip() if stopped else status("idle", flows.NOTHING)

    bench, cancel, line = parts
    bench.click(benchmark, inputs, screen, **LIVE)
    cancel.click(stop, None, line, **NOW)


def _connect_page(desk: Desk, page: gr.Blocks, parts: tuple[Any, Any, Any]) -> None:
    def changed(state: dict[str, Any], truth: Any) -> dict[str, Any]:
        chosen = same_value(truth, "truth") or "none"
        shown = desk.studio.store.get(state["shown"])
        return {"truth": chosen, "current": current_value(state["shown"], shown)}

    def opened() -> dict[str, Any]:
        return board_value(desk.board.runs())

    def closed(request: gr.Request) -> None:
        desk.cancel(request.session_hash)

    current, truth, board = parts
    current.change(changed, [current, truth], truth, **QUIET)
    page.load(opened, None, board, **QUIET)
    page.unload(closed)
