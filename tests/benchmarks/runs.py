"""The runs that are measured: ours in LDSR-S2's geometry, and the weights that ship.

Each function loads the product itself, in the process it is measured in; first the product, then
torch, so that torch allocates as it does for users.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any
from unittest import mock

from tests.benchmarks.measure import Run
from tests.benchmarks.work import CHECKPOINT, SEED, Work


def ours(
    work: Work,
    *,
    half: bool = False,
    off: Sequence[str] = (),
    channels_last: bool = True,
    compiled: bool = False,
) -> Run:
    """The peer's networks in ours: condition, DDIM, decoder; noise as the peer draws it.

    Args:
        work: size, steps, batch, device.
        half: compute in bfloat16, as `Pipeline.load(half=True)` does.
        off: fast paths to do without, of `paths.PATHS`.
        channels_last: keep the product's layout of weights and pictures.
        compiled: compile the networks, as `Pipeline.load(compiled=True)` does.
    """
    loaded = load(work)
    import torch

    from ldsr import compiling, stages
    from ldsr.device import convolutions, keep_half
    from ldsr.sampling.ddim import ddim
    from ldsr.sampling.schedule import timesteps
    from tests.benchmarks.paths import without

    device = torch.device(work.device)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    lr = torch.from_numpy(work.input()).to(device).contiguous(memory_format=layout)
    model = loaded.model.to(memory_format=layout)
    if half:
        keep_half(model)
    compiler = compiling.make_compiler() if compiled else compiling.Compiler(backend=None)
    compiler.prepare(model)

    def draw() -> Any:
        prepared = stages.prepare(model, lr)
        z = ddim(
            lambda z, t: model.denoise(z, t[:1], prepared).float(),
            torch.randn(prepared.cond.shape, device=device),
            schedule=loaded.schedule,
            timesteps=timesteps(loaded.schedule, work.steps, spacing=loaded.spacing),
            last_alpha_cumprod=loaded.last_alpha_cumprod,
        )
        return stages.decode(model, z, prepared).clamp(min=0).cpu().numpy()

    @torch.inference_mode()
    def run() -> Any:
        torch.manual_seed(SEED)
        precision = torch.autocast(device.type, torch.bfloat16, enabled=half)
        with convolutions(device), precision, without(off):
            picture = draw()
        if compiler.failed:
            raise RuntimeError(f"not available: {compiler.failed}")
        return picture

    if compiled:
        run()  # it is compiled when it is first called
    return run


def load(work: Work) -> Any:
    """LDSR-S2's geometry with the random weights, as the product loads a checkpoint."""
    from ldsr import loading
    from ldsr.device import choose_device
    from tests.benchmarks.ceiling import geometry

    with mock.patch.object(loading, "PUBLISHED", geometry(work)):
        return loading.load_published(work.folder / CHECKPOINT, "", choose_device(work.device))


def published(work: Work, **knobs: Any) -> Run:
    """Whole runs of LDSR-S2's geometry through the pipeline, stage 1 alone."""
    from ldsr.device import choose_device
    from ldsr.pipeline import Pipeline
    from ldsr.settings import Settings

    pipeline = Pipeline("ldsr-s2", load(work), choose_device(work.device))
    return _through(pipeline, work, Settings(refine=False, settle=0.0, **knobs))


def mini(work: Work, *, half: bool | None = None, off: Sequence[str] = (), **knobs: Any) -> Run:
    """The balanced preset with the weights that ship, both stages; `half` as in `Pipeline.load`."""
    from ldsr.pipeline import Pipeline
    from ldsr.settings import PRESETS

    pipeline = Pipeline.load("mini", device=work.device, half=half)
    settings = dataclasses.replace(PRESETS["balanced"], settle=0.0, **knobs)
    return _through(pipeline, work, settings, off)


def _through(pipeline: Any, work: Work, settings: Any, off: Sequence[str] = ()) -> Run:
    """A run of a pipeline on a shipped sample; tells its parts and the steps of stage 1."""
    from evaluation.benchmark import make_patch
    from tests.benchmarks.paths import without

    patch = make_patch(work.size)

    def run() -> tuple[Any, dict]:
        with without(off):
            result = pipeline(patch, settings)
        steps = result.figures["base"]
        return result.sr.reflectance, {
            "parts": dict(result.seconds),
            "computed": steps.steps_computed,
            "skipped": steps.steps_skipped,
        }

    return run
