"""What the page shows, as plain data: the viewer's JSON, status lines, pictures of one run.

Knows patches and results; knows nothing of Gradio.
"""

import contextlib
import functools
import json
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np

from ldsr import render
from ldsr.data.geotiff import write_geotiff
from ldsr.data.patch import Patch
from ldsr.result import SCALE, SuperResolution
from ldsr.settings import PRESETS, Settings
from ldsr.web.session import Job

SHARED = ("sampler", "steps", "eta", "temperature", "consistency", "seed")
"""The settings a link carries."""
COMPOSITES = {"true": render.true_colour, "false": render.false_colour}
PARTS = {
    "regress": ("First estimate", 0.05, 0.05),
    "denoise": ("Denoising", 0.10, 0.70),
    "decode": ("Decoding", 0.80, 0.12),
    "consistency": ("Consistency with the 10 m input", 0.92, 0.08),
}
"""Of each part of a run: its name on the screen, where it starts, how much it is of the whole."""


class Shown:
    """One picture on the screen: an input, and its result once there is one.

    Attributes:
        patch: the input.
        result: the result, or None.
        sample: key of the bundled sample, or None for an upload.
    """

    def __init__(
        self, patch: Patch, result: SuperResolution | None = None, sample: str | None = None
    ) -> None:
        self.patch, self.result, self.sample = patch, result, sample
        self.stretch = render.stretch_of(patch)
        self.png = functools.cache(self._png)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, with room for the drawn pictures."""
        fine = self.patch.reflectance.nbytes * SCALE**2
        arrays = 0 if self.result is None else fine * (2 - (self.result.base is self.result.sr))
        return self.patch.reflectance.nbytes + arrays + fine // 2

    @property
    def stem(self) -> str:
        """A file name made from the source, without suffix: letters, digits, - and _."""
        raw = Path(self.patch.source.name or self.sample or "patch").stem
        return (
            "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in raw)[:60]
            or "patch"
        )

    def draw(self, reflectance: np.ndarray, composite: str, *, level: int = 4) -> bytes:
        """Draw a 2.5 m picture of this place as PNG, with this input's stretch."""
        valid = render.enlarge_mask(self.patch.valid, SCALE)
        picture = COMPOSITES[composite](
            reflectance, self.stretch, valid=None if valid.all() else valid
        )
        return render.encode_png(picture[..., :3] if valid.all() else picture, level=level)

    def _png(self, which: str, composite: str) -> bytes:
        if which == "before" or self.result is None:
            return self.draw(render.upsample(self.patch, SCALE), composite)
        return self.draw(self.result.sr.reflectance, composite)

    def geotiff(self) -> bytes:
        """Write the result as a GeoTIFF and give its bytes."""
        with tempfile.TemporaryDirectory() as folder:
            return write_geotiff(self.result, Path(folder) / "sr.tif").read_bytes()

    def sheet(self) -> bytes:
        """The run sheet as indented JSON."""
        return json.dumps(self.result.run_sheet(), indent=2).encode()


def viewer_value(key: str, shown: Shown, *, input_only: bool = False) -> dict[str, Any]:
    """Describe an input, or a finished run, for the viewer on the page.

    Args:
        key: the id under which `shown` is kept.
        shown: what to show.
        input_only: leave the result out.
    """
    height, width = shown.patch.size
    input_only = input_only or shown.result is None
    value = {
        "mode": "input" if input_only else "result",
        "width": width * SCALE,
        "height": height * SCALE,
        "before": _urls(key, "before"),
        "after": None,
        "labels": labels(shown.patch, None),
        "chips": input_chips(shown.patch),
        "provenance": provenance(shown.patch),
        "links": None,
        "share": None,
    }
    if input_only:
        return value
    return value | {
        "after": _urls(key, "after"),
        "labels": labels(shown.patch, shown.result.weights),
        "chips": result_chips(shown.result),
        "links": {
            "tif": f"ldsr/r/{key}/{shown.stem}_sr.tif",
            "json": f"ldsr/r/{key}/{shown.stem}_run.json",
            "png": {name: f"ldsr/r/{key}/{shown.stem}_{name}_colour.png" for name in COMPOSITES},
        },
        "share": share_query(shown.result.settings, shown.sample),
    }


def busy_value(value: dict[str, Any], key: str, previews: int) -> dict[str, Any]:
    """Describe a run in progress: the input's viewer value with the newest preview on top."""
    after = (
        {name: f"ldsr/p/{key}/{previews}-{name}.png" for name in COMPOSITES} if previews else None
    )
    emerging = {"title": "Emerging", "text": "not finished yet"}
    return value | {"mode": "busy", "after": after, "labels": [value["labels"][0], emerging]}


def status(
    state: str, text: str, *, share: float | None = None, clock: float | None = None
) -> dict[str, Any]:
    """Describe the status line.

    Args:
        state: "idle", "busy", "done", "error" or "ask"; chooses the colour.
        text: one sentence.
        share: progress, 0..1, or None.
        clock: seconds since the run began, or None.
    """
    return {
        "state": state,
        "text": text,
        "share": share,
        "clock": None if clock is None else f"{clock:.1f} s",
    }


def job_status(job: Job, now: float) -> dict[str, Any]:
    """Describe where a run is: its place in line, or the part and step it is at."""
    if job.state == "waiting" and job.place > 0:
        text = f"{ordinal(job.place + 1)} in line; your run starts when those before it are done"
        return status("busy", text, clock=now - job.created)
    if job.step is None:
        return status("busy", "Starting", share=0.02, clock=now - job.started)
    name, start, width = PARTS.get(job.step.part, (job.step.part.capitalize(), 0.0, 0.0))
    many = f", step {job.step.step} of {job.step.steps}" if job.step.steps > 1 else ""
    share = start + width * job.step.step / max(job.step.steps, 1)
    return status("busy", name + many, share=share, clock=now - job.started)


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th ..., 11th ..., 21st."""
    teen = 10 <= number % 100 <= 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def labels(patch: Patch, weights: str | None) -> list[dict[str, str]]:
    """Captions over the two halves: [before, after]."""
    before = {"title": "Before", "text": f"{_pixel(patch, 1)} input, bicubic"}
    text = f"{_pixel(patch, SCALE)}, {weights or 'super-resolved'}"
    return [before, {"title": "After", "text": text}]


def input_chips(patch: Patch) -> list[list[str]]:
    """Facts of an input: [label, value, explanation]."""
    height, width = patch.size
    chips = [["Size", f"{width} × {height} px", "of the 10 m input"]]
    chips.append(["Pixel", _pixel(patch, 1), "ground distance between two pixels"])
    if not patch.valid.all():
        chips.append(["Valid", f"{patch.valid.mean():.1%}", "share of pixels that hold data"])
    return chips


def result_chips(result: SuperResolution) -> list[list[str]]:
    """Facts of a run: [label, value, explanation]."""
    height, width = result.lr.size
    parts = ", ".join(f"{name} {value:.2f} s" for name, value in result.seconds.items())
    total = result.seconds.get("total", sum(result.seconds.values()))
    sampler = {"ddim": "DDIM", "dpm": "DPM++"}.get(result.settings.sampler, result.settings.sampler)
    kept = f"{_small(result.residual_before)} → {_small(result.residual_after)}"
    share = (
        f"{result.out_of_range:.2%}" if result.out_of_range < 0.1 else f"{result.out_of_range:.1%}"
    )
    return [
        ["Time", f"{total:.1f} s", parts],
        [
            "Steps",
            f"{result.steps_computed} {sampler}",
            f"seed {result.settings.seed}, eta {result.settings.eta:g}, "
            f"temperature {result.settings.temperature}",
        ],
        ["Weights", result.weights, f"SHA-256 {result.weights_sha256}"],
        ["Outside 0–1", share, "share of result values outside the range of reflectance"],
        [
            "Consistency",
            kept,
            "RMSE in reflectance between the input and the result seen again at 10 m, "
            "before → after back-projection",
        ],
        ["Size", f"{width} × {height} → {width * SCALE} × {height * SCALE} px", "input and result"],
    ]


def provenance(patch: Patch) -> list[list[str]]:
    """Where the input came from and what was done to its numbers: [label, text]."""
    source = patch.source
    lines = [["Input", source.name or source.kind]]
    lines.append(["Radiometry", source.radiometry])
    if source.acquired:
        lines.append(["Acquired", source.acquired.strftime("%Y-%m-%d %H:%M UTC")])
    place = patch.crs.to_string() if patch.crs else "none: a plain picture without coordinates"
    lines.append(["Position", place])
    if source.licence:
        lines.append(["Licence", source.licence])
    return lines


def share_query(settings: Settings, sample: str | None) -> str:
    """Write settings (and the sample) as a URL query that `from_query` reads."""
    pairs = {} if sample is None else {"sample": sample}
    values = {name: getattr(settings, name) for name in SHARED}
    pairs |= {name: value for name, value in values.items() if value is not None}
    return "?" + urllib.parse.urlencode(pairs)


def from_query(query: dict[str, str]) -> Settings:
    """Read settings from a URL query; what it does not name is as in "balanced".

    Raises:
        LdsrError: a value out of its range.
    """
    values: dict[str, Any] = {name: query[name] for name in SHARED if name in query}
    kinds = {"steps": int, "seed": int, "eta": float, "temperature": float}
    for name, kind in kinds.items():
        with contextlib.suppress(KeyError, ValueError):
            values[name] = kind(values[name])
    defaults = PRESETS["balanced"]
    chosen = {name: getattr(defaults, name) for name in SHARED}
    return Settings(**(chosen | values))


def _urls(key: str, which: str) -> dict[str, str]:
    return {name: f"ldsr/r/{key}/{which}-{name}.png" for name in COMPOSITES}


def _small(value: float) -> str:
    """Write an error with four decimals; a smaller one with one digit (0.00004)."""
    if value >= 0.001 or value == 0:
        return f"{value:.4f}"
    return f"{float(f'{value:.1g}'):.8f}".rstrip("0").rstrip(".") or "0"


def _pixel(patch: Patch, factor: int) -> str:
    if patch.gsd is None or (patch.crs is not None and not patch.crs.is_projected):
        return "original" if factor == 1 else f"{factor} times finer"
    return f"{patch.gsd / factor:.3g} m"
