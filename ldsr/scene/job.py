"""A whole scene, from its file to one Cloud-optimised GeoTIFF. The table of contents of this room.

`choices` says what may be asked for, `windows` cuts and mixes, `noise` belongs to places, `worker`
computes a window, `crew` is who does the work, `folder` keeps what is done, `cog` writes the file,
`sheet` and `stac` describe it.
"""

import dataclasses
import errno
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldsr.data import scl
from ldsr.data.grid import GSD
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.result import SCALE
from ldsr.scene import cog, stac
from ldsr.scene.choices import Choices, agreed, make_plan
from ldsr.scene.crew import RETRIES, Crew, Task
from ldsr.scene.folder import JobFolder, bytes_there, open_folder
from ldsr.scene.progress import Progress
from ldsr.scene.scene import Scene
from ldsr.scene.sheet import run_sheet
from ldsr.scene.windows import Key, Plan, Window
from ldsr.scene.worker import Introduction, Job, Machine, introduce, resolve_window
from ldsr.semantics.sources import find_tags
from ldsr.weights import size_text

MOST_NAMED = 3
HOPELESS = 6
"""So many windows that fail one after the other are enough."""


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
    try:
        return _resolve(scene, out, crew, choices, progress or Progress())
    except OSError as error:
        # numpy says no number where it could not write all
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)
        mend = "make room on the disk and go on" if full else "go on"
        raise LdsrError(
            f"{out.name} cannot be made ({error.strerror or type(error).__name__}); {mend} with "
            "--resume."
        ) from error


def _resolve(scene: Scene, out: Path, crew: Crew, choices: Choices, progress: Progress) -> dict:
    choices = agreed(scene, choices)
    model = _introduced(crew, choices.machine)
    plan = make_plan(scene.size, choices, local=model.local)
    sample = scene.sample()
    job = _job(scene, sample, choices, model)
    _check_room(out, plan, job, choices)
    asked = _asked(scene, sample, plan, job, choices)
    with open_folder(out, plan, asked=asked, resume=choices.resume) as folder:
        progress.file = progress.file or folder.path / "progress.json"
        failed = _compute(scene, folder, crew, job, choices, progress)
        if failed and (not choices.gaps or progress.done == 0):
            raise LdsrError(_say_failed(scene, plan, failed, out))
        progress.enter("writing")
        for key in failed:
            folder.keep_gap(key)
        _mix(folder, plan, [window.key for window in plan.windows], choices.dtype)
        said = {"failed": failed, "dtype": choices.dtype, "mask": choices.mask}
        sheet = run_sheet(scene, plan, job, model, folder.figures(), **said)
        _write(folder, out, scene, plan, job, choices, sheet)
        if progress.file.parent == folder.path:
            progress.file = None
        folder.remove()
    return sheet


def _introduced(crew: Crew, machine: Machine) -> Introduction:
    """Ask one of the crew for its model."""
    (outcome,) = crew.run(introduce, [("model", (machine,))])
    if outcome.error:
        raise LdsrError(outcome.error)
    return outcome.value


def _job(scene: Scene, sample: Patch, choices: Choices, model: Introduction) -> Job:
    settings = choices.settings
    tags = find_tags(settings.semantics, sample) if settings.refine else (None, "none")
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
    needed = cog.needed_bytes(plan, len(job.layers), choices.dtype) - bytes_there(out)
    try:
        free = shutil.disk_usage(out.parent).free
    except OSError as error:
        raise LdsrError(
            f"Cannot write into {out.parent} ({error.strerror}); choose another --out."
        ) from None
    if free < needed:
        raise LdsrError(
            f"The scene may need {size_text(needed)} on the disk while it is made, but "
            f"{size_text(free)} are free; make room, choose another --out, or a smaller part."
        )


def _asked(scene: Scene, sample: Patch, plan: Plan, job: Job, choices: Choices) -> dict:
    """All that the pixels of the file depend on."""
    pixels = hashlib.sha256(sample.reflectance.tobytes() + sample.valid.tobytes()).hexdigest()
    place = [*scene.size, list(scene.transform or ()), str(scene.source.acquired)]
    return {
        "scene": [scene.name, *place, scene.source.radiometry, pixels],
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
    in_a_row = 0
    todo = [window for window in folder.plan.windows if not folder.is_computed(window.key)]
    progress.begin(len(folder.plan.windows), done=len(folder.plan.windows) - len(todo))

    def done(key: Key, error: str = "", *, free: bool = False) -> None:
        nonlocal in_a_row
        if error:
            failed[key] = error
        in_a_row = in_a_row + 1 if error else 0
        _mix_around(folder, key, choices.dtype)
        progress.step(failed=bool(error), free=free)

    def hopeless() -> bool:
        """Where so many fail in a row, the next will, too; for gaps each has to be known."""
        return in_a_row >= HOPELESS and not (choices.gaps and progress.done)

    def tasks() -> Iterator[Task]:
        for window in todo:
            if hopeless():
                return
            try:
                patch = _read(scene, window, choices.mask)
            except LdsrError as error:
                done(window.key, str(error))
                continue
            if not _has_data(window, patch):
                folder.keep_empty(window.key)
                done(window.key, free=True)
                continue
            yield window.key, (job, window, patch)

    for outcome in crew.run(resolve_window, tasks()):
        if not outcome.error:
            folder.keep(outcome.key, *outcome.value)
        done(outcome.key, outcome.error)
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
            raise LdsrError(
                f"The unfinished job lacks window {key[0]}, {key[1]}; go on with --resume."
            )
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
