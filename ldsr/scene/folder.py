"""The folder of a scene that is not finished: what is there need not be computed again.

A window gives a part (float32, with half a ramp towards its neighbours). Once the parts of a
window and of its neighbours are there, they are mixed into its block, as the file will hold it; a
part that no block waits for any more is deleted. Files appear whole or not at all: a kill at any
moment costs the windows under way and nothing else.
"""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ldsr.appearing import appearing
from ldsr.errors import LdsrError
from ldsr.scene.windows import Key, Plan

try:
    import fcntl
except ImportError:  # not on Windows: there nobody is kept from working twice
    fcntl = None


@dataclasses.dataclass
class JobFolder:
    """What is there of a scene.

    Args:
        path: of the folder.
        plan: the windows.
    """

    path: Path
    plan: Plan

    def is_computed(self, key: Key) -> bool:
        """Whether a window need not be computed: its part is there, or no block needs it."""
        return self._part(key).exists() or self._empty(key).exists() or self._is_spent(key)

    def has_block(self, key: Key) -> bool:
        """Whether the block of a window is there."""
        return any(path(key).exists() for path in (self.block, self._empty, self._gap))

    def block(self, key: Key) -> Path:
        """Where the block of a window is, or will be; a window without data has none."""
        return self.path / "blocks" / _name(key, "tif")

    def blocks(self) -> dict[Key, Path]:
        """All blocks that hold data."""
        there = {window.key: self.block(window.key) for window in self.plan.windows}
        return {key: path for key, path in there.items() if path.exists()}

    def keep(self, key: Key, part: np.ndarray, figures: dict) -> None:
        """Keep what a window gave, its figures first: of those written twice the last count."""
        with (self.path / "figures.jsonl").open("a", encoding="utf-8") as file:
            # a line of its own, also after one that a kill has torn
            file.write("\n" + json.dumps({"window": list(key), **figures}) + "\n")
        with appearing(self._part(key)) as path, path.open("wb") as file:
            np.save(file, part, allow_pickle=False)

    def keep_empty(self, key: Key) -> None:
        """Note that a window has no data."""
        self._empty(key).touch()
        self.forget_parts(key)

    def keep_gap(self, key: Key) -> None:
        """Note that a window is left out of the file; the next time it is tried again."""
        self._gap(key).touch()

    def forget_gaps(self) -> None:
        """Take up again what was left out: neighbours that were mixed without it are forgotten."""
        for key in [window.key for window in self.plan.windows if self._gap(window.key).exists()]:
            for other in self.plan.around(key):
                self.block(other).unlink(missing_ok=True)
            self._gap(key).unlink()

    def parts_around(self, key: Key) -> dict[Key, np.ndarray]:
        """What a window and its neighbours gave, those that have data; on disk, not in memory."""
        paths = {other: self._part(other) for other in self.plan.around(key)}
        return {
            other: np.load(path, mmap_mode="r", allow_pickle=False)
            for other, path in paths.items()
            if path.exists()
        }

    @contextlib.contextmanager
    def new_block(self, key: Key) -> Iterator[Path]:
        """Give a path to write the block of a window to; with the block it is there."""
        with appearing(self.block(key)) as path:
            yield path
        self.forget_parts(key)

    def forget_parts(self, key: Key) -> None:
        """Delete the parts that only the block of this window was still waiting for."""
        for other in self.plan.around(key):
            if self._is_spent(other):
                self._part(other).unlink(missing_ok=True)

    def figures(self) -> list[dict]:
        """The figures of each window, the last ones of those that were computed twice."""
        path, found = self.path / "figures.jsonl", {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # a torn last line
                figures = json.loads(line)
                found[tuple(figures.pop("window"))] = figures
        return [found[key] for key in sorted(found)]

    def remove(self) -> None:
        """Delete the folder: the scene is finished. Killed meanwhile, nobody takes it for a job."""
        gone = self.path.with_name(f".{self.path.name}.{os.getpid()}.gone")
        self.path.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _is_spent(self, key: Key) -> bool:
        return all(self.has_block(other) for other in self.plan.around(key))

    def _part(self, key: Key) -> Path:
        return self.path / "parts" / _name(key, "npy")

    def _empty(self, key: Key) -> Path:
        return self.path / "blocks" / _name(key, "empty")

    def _gap(self, key: Key) -> Path:
        return self.path / "blocks" / _name(key, "gap")


def job_folder(out: Path) -> Path:
    """Where the unfinished job of a file lies: beside it."""
    return out.with_name(f"{out.name}.job")


def bytes_there(out: Path) -> int:
    """How much room the unfinished job of a file takes already."""
    found = 0
    for path in job_folder(out).rglob("*"):
        with contextlib.suppress(OSError):  # gone meanwhile: somebody is at work
            found += path.stat().st_size
    return found


@contextlib.contextmanager
def open_folder(out: Path, plan: Plan, *, asked: dict, resume: bool) -> Iterator[JobFolder]:
    """Take up the folder of a job, or begin one; nobody else may work in it meanwhile.

    Args:
        out: the file that shall come of it.
        plan: its windows.
        asked: all that the pixels depend on, ready for JSON; a job goes on only where it is equal.
        resume: go on with what is there.

    Raises:
        LdsrError: a job that was begun otherwise, is at work already, or was not to be resumed; a
            place that cannot be written.
    """
    path = job_folder(out)
    try:
        for folder in (path, path / "parts", path / "blocks"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
    except OSError as error:
        raise LdsrError(
            f"Cannot write into {out.parent} ({error.strerror}); choose another --out."
        ) from None
    with lock:
        _lock(lock, out)
        _check(path, out, asked, resume)
        folder = JobFolder(path, plan)
        folder.forget_gaps()
        yield folder


def _lock(file: object, out: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise LdsrError(
            f"Another process is at work on {out.name}; wait for it, or choose another --out."
        ) from None


def _check(path: Path, out: Path, asked: dict, resume: bool) -> None:
    """Compare with what the folder was begun with, or note it.

    Raises:
        LdsrError: see `open_folder`.
    """
    note = path / "job.json"
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # nobody knows what these are of
        for left in [*(path / "parts").iterdir(), *(path / "blocks").iterdir()]:
            left.unlink()
        (path / "figures.jsonl").unlink(missing_ok=True)
        unfinished = path / ".job.json.part"
        unfinished.write_text(json.dumps(asked, indent=2), encoding="utf-8")
        unfinished.replace(note)
        return
    differing = [name for name in asked if before.get(name) != asked[name]]
    if differing:
        raise LdsrError(
            f"The unfinished job {path.name} was begun with other {' and '.join(differing)}; ask "
            "for the same again, or delete that folder and start anew."
        )
    if not resume:
        raise LdsrError(
            f"There is an unfinished job of {out.name}; go on with --resume, or delete the folder "
            f"{path.name} and start anew."
        )


def _name(key: Key, kind: str) -> str:
    return f"{key[0]:05}_{key[1]:05}.{kind}"
