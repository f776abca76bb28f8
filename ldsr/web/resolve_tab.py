"""The Super-resolve tab: layout, and which click leads where.

The state of one visitor is one small JSON object; pictures stay in the studio's store.
"""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr

from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.settings import CONSISTENCIES, PRESETS, SAMPLERS, Settings
from ldsr.web import parts
from ldsr.web.flows import EMPTY, open_page, preset_of, read_upload, refused, resolve, screen, took
from ldsr.web.studio import Studio
from ldsr.web.views import status

PRESET_NAMES = {"fast": "Fast", "balanced": "Balanced", "best": "Best"}
SAMPLER_NAMES = {"ddim": "DDIM", "dpm": "DPM-Solver++"}
CONSISTENCY_NAMES = {"psf": "Point spread function", "box": "4 × 4 mean", "none": "Off"}
DICE = "() => Math.floor(Math.random() * 4294967296)"


@dataclasses.dataclass(frozen=True)
class Widgets:
    """The components that events read and write."""

    state: gr.State
    samples: gr.HTML
    upload: gr.File
    ask: gr.Group
    choice: gr.Radio
    preset: gr.Radio
    steps: gr.Slider
    seed: gr.Number
    dice: gr.Button
    sampler: gr.Radio
    eta: gr.Slider
    temperature: gr.Slider
    consistency: gr.Radio
    run: gr.Button
    cancel: gr.Button
    status: gr.HTML
    viewer: gr.HTML

    @property
    def settings(self) -> list[gr.components.Component]:
        """In the order of `to_settings`."""
        return [
            self.steps,
            self.sampler,
            self.eta,
            self.temperature,
            self.consistency,
            self.seed,
        ]

    @property
    def screen(self) -> list[gr.components.Component]:
        """In the order of `flows.screen`."""
        return [self.state, self.viewer, self.status, self.run, self.cancel]


def build_resolve(studio: Studio, page: gr.Blocks) -> None:
    """Lay out the tab and connect it.

    Args:
        studio: the server's state.
        page: the whole page, for what happens when it opens and closes.
    """
    with gr.Row(elem_id="resolve", equal_height=False):
        with gr.Column(scale=0, min_width=300, elem_id="controls"):
            controls = _controls(studio)
        with gr.Column(scale=1, min_width=300, elem_id="output"):
            line, viewer = parts.status_line(), parts.viewer()
    widgets = Widgets(state=gr.State(dict(EMPTY)), status=line, viewer=viewer, **controls)
    _connect_settings(widgets)
    _connect_input(studio, widgets)
    _connect_run(studio, widgets, page)


def _controls(studio: Studio) -> dict[str, Any]:
    default = PRESETS["balanced"]
    gr.HTML("<h2>Input</h2>", js_on_load=None, apply_default_css=False)
    samples = parts.gallery(list_samples(), studio.first_sample)
    upload = gr.File(
        file_count="multiple",
        label="Upload a patch",
        height=74,
        show_label=False,
        elem_id="upload",
        interactive=True,
    )
    with gr.Group(visible=False, elem_id="ask") as ask:
        choice = gr.Radio([], label="Please choose", interactive=True, elem_id="choice")
    gr.HTML("<h2>Settings</h2>", js_on_load=None, apply_default_css=False)
    preset = gr.Radio(
        [(name, key) for key, name in PRESET_NAMES.items()],
        value="balanced",
        label="Preset",
        elem_id="preset",
        show_label=False,
        interactive=True,
    )
    steps = gr.Slider(
        1, 100, default.steps, step=1, label="Steps", elem_id="steps", interactive=True
    )
    with gr.Row(elem_id="seed-row"):
        seed = gr.Number(
            default.seed,
            label="Seed",
            precision=0,
            minimum=0,
            elem_id="seed",
            min_width=120,
            interactive=True,
        )
        dice = gr.Button("Roll", size="sm", elem_id="dice", scale=0, min_width=64)
    with gr.Row(elem_id="actions"):
        run = gr.Button("Super-resolve", variant="primary", elem_id="run", scale=3, min_width=140)
        cancel = gr.Button("Cancel", elem_id="cancel", scale=1, min_width=80, interactive=False)
    return {
        "samples": samples,
        "upload": upload,
        "ask": ask,
        "choice": choice,
        "preset": preset,
        "steps": steps,
        "seed": seed,
        "dice": dice,
        "run": run,
        "cancel": cancel,
        **_sampling(studio),
    }


def _sampling(studio: Studio) -> dict[str, Any]:
    """What most people leave as it is, folded away below the buttons."""
    default = PRESETS["balanced"]
    with gr.Accordion("Sampler and consistency", open=False, elem_id="more"):
        sampler = gr.Radio(
            [(SAMPLER_NAMES[key], key) for key in SAMPLERS],
            value=default.sampler,
            label="Sampler",
            elem_id="sampler",
            interactive=True,
        )
        eta = gr.Slider(
            0,
            1,
            default.eta,
            step=0.05,
            label="Eta (DDIM noise)",
            elem_id="eta",
            interactive=True,
        )
        temperature = gr.Slider(
            0,
            1,
            studio.temperature,
            step=0.05,
            label="Temperature (0 cautious, 1 varied)",
            elem_id="temperature",
            interactive=True,
        )
        consistency = gr.Radio(
            [(CONSISTENCY_NAMES[key], key) for key in CONSISTENCIES],
            value=default.consistency,
            label="Consistency with the 10 m input",
            elem_id="consistency",
            interactive=True,
        )
    return {
        "sampler": sampler,
        "eta": eta,
        "temperature": temperature,
        "consistency": consistency,
    }


def _connect_settings(widgets: Widgets) -> None:
    knobs = [widgets.steps, widgets.sampler, widgets.eta]
    quiet = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
    widgets.preset.input(apply_preset, widgets.preset, knobs, **quiet)
    for knob in knobs:
        knob.input(preset_of, knobs, widgets.preset, **quiet)
    widgets.dice.click(None, None, widgets.seed, js=DICE)


def _connect_input(studio: Studio, widgets: Widgets) -> None:
    quiet = {"show_progress": "hidden", "concurrency_limit": 4, "api_visibility": "private"}
    outputs = [*widgets.screen, widgets.samples, widgets.upload, widgets.ask, widgets.choice]

    def pick(value: dict[str, Any], state: dict[str, Any], request: gr.Request) -> list[Any]:
        studio.take_turn(request.session_hash)
        key = parts.same_value(value, "key")
        try:
            return took(studio, load_sample(key), key)
        except LdsrError as error:
            return refused(state, str(error))

    def take(files: Sequence[str] | None, state: dict[str, Any], request: gr.Request) -> list[Any]:
        studio.take_turn(request.session_hash)
        return read_upload(studio, state, {"paths": list(files or []), "answers": {}})

    def answer(value: str, state: dict[str, Any]) -> list[Any]:
        pending = state["pending"]
        if pending is None:
            return refused(state, "The upload is no longer open; please upload it again.")
        answers = pending["answers"] | {pending["question"]: value}
        return read_upload(studio, state, {"paths": pending["paths"], "answers": answers})

    widgets.samples.input(pick, [widgets.samples, widgets.state], outputs, **quiet)
    widgets.upload.upload(take, [widgets.upload, widgets.state], outputs, **quiet)
    widgets.choice.input(answer, [widgets.choice, widgets.state], outputs, **quiet)


def _connect_run(studio: Studio, widgets: Widgets, page: gr.Blocks) -> None:
    live = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}

    async def run(
        state: dict[str, Any],
        steps: Any,
        sampler: str,
        eta: Any,
        temperature: Any,
        consistency: str,
        seed: Any,
        request: gr.Request,
    ) -> AsyncIterator[list[Any]]:
        try:
            settings = to_settings(steps, sampler, eta, temperature, consistency, seed)
        except LdsrError as error:
            yield screen(state, status("error", str(error)))
            return
        async for shot in resolve(studio, state, settings, request.session_hash):
            yield shot

    async def opened(state: dict[str, Any], request: gr.Request) -> AsyncIterator[list[Any]]:
        async for shot in open_page(
            studio, state, dict(request.query_params), request.session_hash
        ):
            yield shot

    def cancel(state: dict[str, Any], request: gr.Request) -> dict[str, Any]:
        stopped = studio.cancel(request.session_hash)
        return status("busy", "Cancelling") if stopped else status("idle", "Nothing is running.")

    def closed(request: gr.Request) -> None:
        studio.forget(request.session_hash)

    widgets.run.click(run, [widgets.state, *widgets.settings], widgets.screen, **live)
    widgets.cancel.click(
        cancel,
        widgets.state,
        widgets.status,
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )
    page.load(
        opened,
        widgets.state,
        [*widgets.screen, widgets.samples, widgets.preset, *widgets.settings],
        **live,
    )
    page.unload(closed)


def to_settings(
    steps: Any, sampler: str, eta: Any, temperature: Any, consistency: str, seed: Any
) -> Settings:
    """Make Settings of what stands in the controls.

    Raises:
        LdsrError: a value out of its range.
    """
    whole = [
        int(value) if isinstance(value, float) and value.is_integer() else value
        for value in (steps, seed)
    ]
    return Settings(
        steps=whole[0],
        sampler=sampler,
        eta=0.0 if eta is None else float(eta),
        temperature=None if temperature is None else float(temperature),
        consistency=consistency,
        seed=0 if whole[1] is None else whole[1],
    )


def apply_preset(name: str | None) -> list[Any]:
    """Give steps, sampler and eta of a preset."""
    preset = PRESETS.get(name or "balanced", PRESETS["balanced"])
    return [preset.steps, preset.sampler, preset.eta]
