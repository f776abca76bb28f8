"""A whole scene, from its file to one Cloud-optimised GeoTIFF. The table of contents of this room.

`windows` cuts and mixes, `noise` belongs to places, `worker` computes a window, `crew` is who does
the work, `folder` keeps what is done, `cog` writes the file, `sheet` and `stac` describe it.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from ldsr.data import scl
from ldsr.data.grid import GSD
from ldsr.data.patch import Patch, Source
from ldsr.errors import LdsrError
from ldsr.result import SCALE
from ldsr.scene import cog, stac
from ldsr.scene.crew import RETRIES, Crew, Task
from ldsr.scene.folder import JobFolder, open_folder
from ldsr.scene.progress import Progress
from ldsr.scene.sheet import run_sheet
from ldsr.scene.windows import Key, Plan, Window
from ldsr.scene.worker import Introduction, Job, Machine, introduce, resolve_window
from ldsr.semantics.sources import find_tags
from ldsr.settings import Settings

SIDE = 384
"""Side of a window's own block, in pixels of 10 m: with its margin it takes less than 3 GB."""
MARGIN, EXACT_MARGIN = 32, 56
"""Seen around it. Measured (`python -m tests.benchmarks.scene`): what lies beyond 48 pixels changes
a picture by less than 1e-5, what lies beyond 24 by less than bfloat16 does."""
RAMP = 16
PUBLISHED_SIDE, PUBLISHED_MARGIN = 96, 16
"""LDSR-S2 looks at all of its picture at once: it gets the 128 pixels it was trained with."""
MOST_NAMED = 3
HOPELESS = 6
"""So many windows that failed, and none that did not, are enough."""


class Scene(Protocol):
    """What of a `ldsr.data.whole.WholeScene` is needed."""

    name: str
    size: tuple[int, int]
    crs: CRS | None
    transform: Affine | None
    source: Source
    has_classes: bool

    def read(self, window: tuple[int, int, int, int]) -> Patch:
        """Read column, row, width, height."""

    def sample(self) -> Patch:
        """Pixels from all over the scene."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person may choose for a scene.

    Attributes:
        machine: weights and how they are computed.
        settings: of every window; with `samples` the half widths of the intervals are written.
        dtype: of the file, one of `ldsr.scene.cog.DTYPES`.
        detail: whether generated detail is written, too.
        mask: kinds of `ldsr.data.scl.MARKED` that become no-data.
        exact: windows equal the whole picture within 1e-4: float32, no skipped steps, wide margins.
        side: most pixels of a window's own block, or None.
        resume: go on with an unfinished job.
        gaps: write the file even if windows failed; they are no-data in it.
    """

    machine: Machine = dataclasses.field(default_factory=Machine)
    settings: Settings = dataclasses.field(default_factory=Settings)
    dtype: str = "uint16"
    detail: bool = False
    mask: tuple[str, ...] = ()
    exact: bool = False
    side: int | None = None
    resume: bool = False
    gaps: bool = False


def resolve_scene(
    scene: Scene, out: Path, crew: Crew, choices: Choices, progress: Progress | None = None
) -> dict:
    """Super-resolve a scene into a GeoTIFF, with a run sheet and a STAC item beside it.

    Args:
        scene: open.
        out: the GeoTIFF; .json and .stac.json appear beside it, and all three only when complete.
        crew: who does the work.
        choices: see there.
        progress: told of every window.

    Returns:
        The run sheet.

    Raises:
        LdsrError: choices that do not go together, weights that are not here, no room, windows
            that failed, nobody left to work. What was done is kept for `choices.resume`.
    """
    progress = progress or Progress()
    choices = _agreed(scene, choices)
    model = _introduced(crew, choices.machine)
    plan = make_plan(scene.size, choices, local=model.local)
    job = _job(scene, choices, model)
    _check_room(out, plan, job, choices)
    asked = _asked(scene, plan, job, choices)
    with open_folder(out, plan, asked=asked, resume=choices.resume) as folder:
        progress.file = progress.file or folder.path / "progress.json"
        failed = _compute(scene, folder, crew, job, choices, progress)
        if failed and (not choices.gaps or progress.done == 0):
            raise LdsrError(_say_failed(scene, plan, failed, out))
        progress.enter("writing")
        for key in failed:
            folder.keep_empty(key)
        _mix(folder, plan, [window.key for window in plan.windows], choices.dtype)
        said = {"failed": failed, "dtype": choices.dtype, "mask": choices.mask}
        sheet = run_sheet(scene, plan, job, model, folder.figures(), **said)
        _write(folder, out, scene, plan, job, choices, sheet)
        if progress.file.parent == folder.path:
            progress.file = None
        folder.remove()
    return sheet


def make_plan(size: tuple[int, int], choices: Choices, *, local: bool) -> Plan:
    """Cut a scene into windows.

    Args:
        size: rows and columns.
        choices: `exact` and `side` count.
        local: whether the model's pixels depend on their neighbourhood alone.

    Raises:
        LdsrError: a side that windows cannot have, exactness of a model that is not local.
    """
    if choices.exact and not local:
        raise LdsrError(
            f"The weights {choices.machine.weights!r} look at a whole picture at once, so that no "
            "window can equal it; leave out --exact, or use mini."
        )
    side = choices.side or (SIDE if local else PUBLISHED_SIDE)
    margin = (EXACT_MARGIN if choices.exact else MARGIN) if local else PUBLISHED_MARGIN
    if side % 8 or not 4 * RAMP <= side <= 1024:
        raise LdsrError(
            f"--side is {side}; expected a multiple of 8 from {4 * RAMP} to 1024, such as {SIDE}."
        )
    return Plan(size, side=side, margin=margin, ramp=RAMP)


def _agreed(scene: Scene, choices: Choices) -> Choices:
    """Check that the choices go together, and put in what follows from them."""
    settings, machine = choices.settings, choices.machine
    if choices.dtype not in cog.DTYPES:
        raise LdsrError(f"The type is {choices.dtype!r}; expected {' or '.join(cog.DTYPES)}.")
    if choices.detail and not settings.refine:
        raise LdsrError("Without stage 2 nothing is generated; leave out --detail, or --no-refine.")
    if settings.semantics in ("clip", "llava"):
        raise LdsrError(
            f"Tags by {settings.semantics} are of one picture and cost minutes; for a scene choose "
            "--semantics spectral, none, or tags of your own."
        )
    unknown = [kind for kind in choices.mask if kind not in scl.MARKED]
    if unknown:
        raise LdsrError(
            f"--mask names {', '.join(unknown)}; expected some of {', '.join(scl.MARKED)}."
        )
    if choices.mask and not scene.has_classes:
        raise LdsrError(
            f"{scene.name} comes without a scene classification (SCL), so that nobody knows its "
            f"{' and '.join(choices.mask)}; leave out --mask."
        )
    if settings.samples:  # every pixel from as many samples as any other
        settings = dataclasses.replace(settings, settle=0.0)
    if choices.exact:
        if machine.half:
            raise LdsrError("--exact needs float32; leave out --half.")
        machine = dataclasses.replace(machine, half=False)
        settings = dataclasses.replace(settings, skip_threshold=0.0)
    return dataclasses.replace(choices, settings=settings, machine=machine)


def _introduced(crew: Crew, machine: Machine) -> Introduction:
    """Ask one of the crew for its model."""
    (outcome,) = crew.run(introduce, [("model", (machine,))])
    if outcome.error:
        raise LdsrError(outcome.error)
    return outcome.value


def _job(scene: Scene, choices: Choices, model: Introduction) -> Job:
    settings = choices.settings
    tags = find_tags(settings.semantics, scene.sample()) if settings.refine else (None, "none")
    return Job(
        machine=choices.machine,
        sha256=model.sha256,
        settings=settings,
        tags=tags,
        exact=choices.exact,
        detail=choices.detail,
        uncertainty=settings.samples > 0,
        origin=_origin(scene),
    )


def _origin(scene: Scene) -> tuple[int, int]:
    """Where a scene begins on the 10 m grid of its zone: neighbouring scenes share their noise."""
    if scene.crs is None or scene.transform is None or not scene.crs.is_projected:
        return 0, 0
    return round(-scene.transform.f / GSD), round(scene.transform.c / GSD)


def _check_room(out: Path, plan: Plan, job: Job, choices: Choices) -> None:
    needed = cog.needed_bytes(plan, len(job.layers), choices.dtype)
    try:
        free = shutil.disk_usage(out.parent).free
    except OSError as error:
        raise LdsrError(
            f"Cannot write into {out.parent} ({error.strerror}); choose another --out."
        ) from None
    if free < needed:
        raise LdsrError(
            f"The scene may need {needed / 1e9:.1f} GB in {out.parent} while it is made, but "
            f"{free / 1e9:.1f} GB are free; make room, choose another --out, or a smaller part."
        )


def _asked(scene: Scene, plan: Plan, job: Job, choices: Choices) -> dict:
    """All that the pixels of the file depend on."""
    return {
        "scene": [scene.name, *scene.size, list(scene.transform or ()), scene.source.radiometry],
        "settings": json.loads(job.settings.to_json()),
        "weights": job.sha256,
        "precision": job.machine.half,
        "bands": list(job.layers),
        "type": choices.dtype,
        "mask": list(choices.mask),
        "windows": [plan.side, plan.margin, plan.ramp, choices.exact],
    }


def _compute(
    scene: Scene, folder: JobFolder, crew: Crew, job: Job, choices: Choices, progress: Progress
) -> dict[Key, str]:
    """Have all windows computed that are not there yet; give those that failed, and why."""
    failed: dict[Key, str] = {}
    todo = [window for window in folder.plan.windows if not folder.is_computed(window.key)]
    progress.begin(len(folder.plan.windows), done=len(folder.plan.windows) - len(todo))

    def done(key: Key, error: str = "") -> None:
        if error:
            failed[key] = error
        _mix_around(folder, key, choices.dtype)
        progress.step(failed=bool(error))

    def tasks() -> Iterator[Task]:
        for window in todo:
            try:
                patch = _read(scene, window, choices.mask)
            except LdsrError as error:
                done(window.key, str(error))
                continue
            if not _has_data(window, patch):
                folder.keep_empty(window.key)
                done(window.key)
                continue
            yield window.key, (job, window, patch)

    for outcome in crew.run(resolve_window, tasks()):
        if not outcome.error:
            folder.keep(outcome.key, *outcome.value)
        done(outcome.key, outcome.error)
        if len(failed) >= HOPELESS and progress.rate is None:
            break
    return failed


def _read(scene: Scene, window: Window, mask: tuple[str, ...]) -> Patch:
    """Read what a window sees, with another try where a server hesitates."""
    rows, columns = window.seen
    for attempt in range(RETRIES + 1):
        try:
            patch = scene.read((columns.start, rows.start, len(columns), len(rows)))
            break
        except LdsrError:
            if attempt == RETRIES:
                raise
    valid = patch.valid
    if mask and patch.scl is not None:
        valid = valid & ~np.isin(patch.scl, [value for kind in mask for value in scl.MARKED[kind]])
    reflectance = np.where(valid, patch.reflectance, np.float32(0))
    return dataclasses.replace(patch, reflectance=reflectance, valid=valid, scl=None)


def _has_data(window: Window, patch: Patch) -> bool:
    rows, columns = (
        given.slice(of=seen) for given, seen in zip(window.given, window.seen, strict=True)
    )
    return bool(patch.valid[rows, columns].any())


def _mix_around(folder: JobFolder, key: Key, dtype: str) -> None:
    """Mix what has become ready now that a window is done: its own block, or a neighbour's."""
    plan = folder.plan
    ready = [
        other
        for other in plan.around(key)
        if not folder.has_block(other) and all(map(folder.is_computed, plan.around(other)))
    ]
    _mix(folder, plan, ready, dtype)


def _mix(folder: JobFolder, plan: Plan, keys: list[Key], dtype: str) -> None:
    for key in keys:
        if folder.has_block(key):
            continue
        parts = folder.parts_around(key)
        if key not in parts:
            folder.keep_empty(key)
            continue
        with folder.new_block(key) as path:
            cog.write_block(path, plan.mix(key, parts, times=SCALE), dtype)


def _say_failed(scene: Scene, plan: Plan, failed: dict[Key, str], out: Path) -> str:
    """Which windows failed, where they lie, and why."""
    said = []
    for key in list(failed)[:MOST_NAMED]:
        rows, columns = plan[key].block
        where = f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}"
        place = stac.lonlat(scene, (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2)
        if place is not None:
            where += f" (longitude {place[0]:.4f}, latitude {place[1]:.4f})"
        said.append(f"{where}: {failed[key].rstrip('.')}")
    more = f"; and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    count = "1 window" if len(failed) == 1 else f"{len(failed)} windows"
    return (
        f"{count} of {len(plan.windows)} failed, the others of {out.name} are kept: "
        f"{'; '.join(said)}{more}; try those again with --resume, or write the file without them "
        "with --resume --with-gaps."
    )


def _write(
    folder: JobFolder,
    out: Path,
    scene: Scene,
    plan: Plan,
    job: Job,
    choices: Choices,
    sheet: dict,
) -> None:
    """Write the file, its run sheet and its STAC item, and only then give them their names."""
    unfinished = folder.path / "scene.tif"
    cog.write_cog(
        unfinished,
        blocks=folder.blocks(),
        plan=plan,
        bands=job.layers,
        dtype=choices.dtype,
        crs=scene.crs,
        transform=scene.transform,
        # nothing that differs from run to run: the same scene gives the same file
        tags={
            "settings": job.settings.to_json(),
            "weights": job.machine.weights,
            "weights_sha256": job.sha256,
            "source": json.dumps(sheet["source"], sort_keys=True),
        },
    )
    texts = {".json": sheet, ".stac.json": stac.describe(scene, out, job, sheet)}
    for suffix, content in texts.items():
        beside = folder.path / f"scene{suffix}"
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for suffix in texts:
        (folder.path / f"scene{suffix}").replace(out.with_suffix(suffix))
    unfinished.replace(out)
