"""What a worker does with a window: one model per process, one window at a time.

Everything here travels: to other processes, perhaps on other machines, which know no scene.
"""

import dataclasses
import functools
import threading
import time

import numpy as np
import torch

from ldsr.data.bands import BANDS, SENTINEL2
from ldsr.data.patch import Patch
from ldsr.equipment import Tags
from ldsr.errors import LdsrError
from ldsr.machine import limit_threads
from ldsr.pipeline import Pipeline
from ldsr.result import SCALE, SuperResolution
from ldsr.scene.noise import NoiseField
from ldsr.scene.windows import Window
from ldsr.settings import Settings
from ldsr.within import Within

LEVEL = 0.9
"""Of the interval whose half width is written."""
LOCK = threading.Lock()
"""Whoever computes with `pipeline_for` holds it: a model does one thing at a time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """With what a worker computes: see `Pipeline.load`."""

    weights: str = "mini"
    device: str = "auto"
    half: bool | None = None
    compiled: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Introduction:
    """What a worker says of its model.

    Attributes:
        sha256: of the weights.
        local: a pixel depends on its neighbourhood alone, so that windows can equal the whole.
        temperature: that the weights recommend.
        device: such as "cpu".
    """

    sha256: str
    local: bool
    temperature: float
    device: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What all windows of a scene share.

    Attributes:
        machine: weights and how they are computed.
        sha256: of the weights, the same on every worker.
        settings: of every window.
        tags: land cover of the scene.
        exact: whether the windows are such that they equal the whole.
        detail: whether generated detail is given too.
        uncertainty: whether the half widths of the intervals are given too.
        origin: row and column of the scene's first pixel on the grid that noise is drawn on.
    """

    machine: Machine
    sha256: str
    settings: Settings
    tags: Tags
    exact: bool
    detail: bool
    uncertainty: bool
    origin: tuple[int, int]

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the bands a window gives, in order."""
        bands = [f"{band} ({SENTINEL2[band]})" for band in BANDS]
        detail = ["generated detail, 0 (base) .. 1"] if self.detail else []
        widths = [f"{band}: half width of the {LEVEL:.0%} interval" for band in BANDS]
        return (*bands, *detail, *(widths if self.uncertainty else ()))


def introduce(machine: Machine) -> Introduction:
    """Load the model and say what it is.

    Raises:
        LdsrError: weights that are not here, or a device that is not there.
    """
    pipeline = pipeline_for(machine)
    return Introduction(
        sha256=pipeline.sha256,
        local=pipeline.loaded.model.regression is not None,
        temperature=pipeline.temperature,
        device=pipeline.device,
    )


def resolve_window(job: Job, window: Window, patch: Patch) -> tuple[np.ndarray, dict]:
    """Super-resolve a window.

    Args:
        job: what all windows share.
        window: which.
        patch: the pixels of `window.seen`.

    Returns:
        Of `window.given` float32 [len(job.layers), 4 rows, 4 columns], NaN where there is no data;
        and its figures, ready for JSON.

    Raises:
        LdsrError: other weights here than those the job began with.
    """
    pipeline = pipeline_for(job.machine)
    if pipeline.sha256 != job.sha256:
        raise LdsrError(
            f"The weights {job.machine.weights!r} of a worker are others than those the scene was "
            "begun with; install the same version everywhere."
        )
    row, column = (span.start + start for span, start in zip(window.seen, job.origin, strict=True))

    def noise(seed: int) -> NoiseField:
        return NoiseField(seed, row=row, column=column, size=patch.size)

    within = Within(noise=noise, tags=job.tags)
    with LOCK:
        start = time.perf_counter()
        result = pipeline(patch, job.settings, within=within)
        seconds = time.perf_counter() - start
    rows, columns = (
        given.slice(of=seen, times=SCALE)
        for given, seen in zip(window.given, window.seen, strict=True)
    )
    picture = np.where(result.sr.valid, _stack(job, result), np.float32(np.nan))
    return np.ascontiguousarray(picture[:, rows, columns]), _figures(result, seconds)


@functools.lru_cache(maxsize=1)
def _load(machine: Machine) -> Pipeline:
    limit_threads()
    choices = {"half": machine.half, "compiled": machine.compiled}
    return Pipeline.load(machine.weights, device=_device(machine.device), **choices)


def pipeline_for(machine: Machine) -> Pipeline:
    """Give the model of this process; the last one asked for is kept.

    Raises:
        LdsrError: see `Pipeline.load`.
    """
    with LOCK:
        return _load(machine)


def _device(asked: str) -> str:
    """Of several GPUs each local worker takes its own: they are numbered from 0."""
    count = torch.cuda.device_count()
    if asked not in ("auto", "cuda") or count < 2:
        return asked
    from distributed import get_worker

    try:
        name = get_worker().name
    except ValueError:  # not in a worker
        return asked
    return f"cuda:{name % count}" if isinstance(name, int) else asked


def _stack(job: Job, result: SuperResolution) -> np.ndarray:
    """The layers of a result [C, 4H, 4W]."""
    layers = [result.sr.reflectance]
    if job.detail:
        layers.append(result.detail[None])
    if job.uncertainty:
        layers.append(result.uncertainty.half_width(LEVEL))
    return np.concatenate(layers).astype(np.float32)


def _figures(result: SuperResolution, seconds: float) -> dict:
    detail, uncertainty = result.detail_figures(), result.uncertainty
    return {
        "pixels": int(result.lr.valid.size),
        "seconds": round(seconds, 3),
        "steps_computed": result.steps_computed,
        "steps_skipped": result.steps_skipped,
        "residual_before": result.residual_before,
        "residual_after": result.residual_after,
        "out_of_range": result.out_of_range,
        "detail": detail and detail["mean"],
        "precision": result.last.precision,
        "files": dict(result.weights_files),
        "calibrated": None if uncertainty is None else uncertainty.calibration is not None,
        "calibration": uncertainty and uncertainty.sheet(result.sr.valid)["calibration"],
        "calibration_data": uncertainty and uncertainty.sheet(result.sr.valid)["calibration_data"],
    }
