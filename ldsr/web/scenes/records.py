"""What is known of a scene job, on disk: one folder a job, with job.json, its input and its files.

Plain records, read anew whenever they are asked for: several servers may share the folder. Knows
nothing of processes or of Gradio.
"""

import contextlib
import dataclasses
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldsr.appearing import appearing
from ldsr.errors import SceneError

try:
    import fcntl
except ImportError:  # on Windows, where no scene job is begun
    fcntl = None

OPEN = ("waiting", "running")
"""States in which something will still happen by itself."""
ENDED = ("done", "failed", "stopped")
GONE = "This scene job is no longer kept on the server."
PHASES = ("starting", "computing", "writing")
"""What a running command says of itself."""
NUMBERS = ("done", "failed", "windows", "seconds", "rate", "left")
_ID = re.compile(r"[A-Za-z0-9_-]{22}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person asks for.

    Attributes:
        name: of the input, to show.
        scene: path below the job's folder of what the command reads, such as "input/field.tif".
        files: content of the input by name: a path, which is linked or copied, or bytes.
        size: rows and columns of the input, about.
        windows: number of windows, about.
        options: of the command besides the files.
        cost: says of two jobs whether a window takes the same time (`Figures`).
        bytes: that the result has at most.
        about: small facts to show, by name.
    """

    name: str
    scene: str
    files: Mapping[str, Path | bytes]
    size: tuple[int, int]
    windows: int
    options: Sequence[str]
    cost: str
    bytes: int
    about: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """A job, as job.json holds it.

    Attributes:
        id: names the job in addresses; cannot be guessed.
        key: whoever has it may stop, go on with and discard the job; cannot be guessed.
        state: of OPEN or ENDED.
        created, changed: seconds since 1970.
        order: place in the line, the smallest first.
        message: one sentence, or "".
        resumed: whether the command goes on with what is there.
        gaps: whether it then writes the file without the windows that fail.
        name, stem, scene, size, windows, options, cost, about: see `Wish`; the stem is that of its
            files.
    """

    id: str
    key: str
    state: str
    created: float
    changed: float
    order: float
    message: str = ""
    resumed: bool = False
    gaps: bool = False
    name: str
    stem: str
    scene: str
    size: tuple[int, int]
    windows: int
    options: tuple[str, ...]
    cost: str
    about: dict[str, str]

    @property
    def files(self) -> dict[str, str]:
        """Name of each file that can be fetched, by what it is."""
        suffixes = {"cog": ".tif", "sheet": ".json", "stac": ".stac.json"}
        return {kind: f"{self.stem}{suffix}" for kind, suffix in suffixes.items()}


class Records:
    """The records below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, job: str) -> Path:
        """Folder of a job.

        Raises:
            SceneError: nothing that could be an id.
        """
        if not isinstance(job, str) or not _ID.fullmatch(job):
            raise SceneError(GONE)
        return self.folder / job

    def read(self, job: str) -> Record:
        """Read a record.

        Raises:
            SceneError: there is no such job.
        """
        try:
            values = json.loads((self.path(job) / "job.json").read_text(encoding="utf-8"))
            lists = {name: tuple(values[name]) for name in ("size", "options")}
            return Record(**values | lists)
        except (OSError, ValueError, KeyError, TypeError):
            raise SceneError(GONE) from None

    def write(self, record: Record) -> None:
        """Write a record, whole or not at all."""
        write_whole(self.path(record.id) / "job.json", json.dumps(dataclasses.asdict(record)))

    def all(self) -> list[Record]:
        """List all records, in the order of the line."""
        found = []
        for path in self.folder.glob("*/job.json"):
            with contextlib.suppress(SceneError):
                found.append(self.read(path.parent.name))
        return sorted(found, key=lambda record: record.order)

    def make(self, wish: Wish, now: float) -> Record:
        """Make the folder of a new job, with its input."""
        record = Record(
            id=secrets.token_urlsafe(16),
            key=secrets.token_urlsafe(16),
            state="waiting",
            created=now,
            changed=now,
            order=now,
            name=wish.name,
            stem=stem_of(wish.name),
            scene=wish.scene,
            size=tuple(wish.size),
            windows=wish.windows,
            options=tuple(wish.options),
            cost=wish.cost,
            about=dict(wish.about),
        )
        place = self.path(record.id) / "input"
        place.mkdir(parents=True, mode=0o700)
        try:
            for name, content in wish.files.items():
                _keep(content, place / name)
            self.write(record)
        except OSError:
            shutil.rmtree(place.parent, ignore_errors=True)
            raise SceneError(
                f"{wish.name} could not be kept on the server, whose disk may be full; try again "
                "later."
            ) from None
        return record

    def drop(self, job: str) -> None:
        """Forget a job and all its files."""
        place = self.path(job)
        with contextlib.suppress(OSError):
            (place / "job.json").unlink()  # first: from now on it is gone for everybody
        shutil.rmtree(place, ignore_errors=True)

    def progress(self, record: Record) -> dict[str, Any]:
        """What the command says of itself; {} where it says nothing yet."""
        try:
            text = (self.path(record.id) / "progress.json").read_text(encoding="utf-8")
            said = json.loads(text)
        except (OSError, ValueError):
            return {}
        return said if isinstance(said, dict) else {}

    def bytes(self, job: str) -> int:
        """Size of all files of a job."""
        total = 0
        for path in self.path(job).rglob("*"):
            with contextlib.suppress(OSError):
                total += path.lstat().st_size
        return total

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Keep all others, in this process or another, from changing records meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with held(self.folder / "records.lock", wait=True):
            yield


def can_run() -> bool:
    """Whether scene jobs can be run on this system at all."""
    return fcntl is not None


@contextlib.contextmanager
def held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock that no other process or thread can hold meanwhile; gives whether it is held."""
    with path.open("w") as lock:
        try:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            if wait:
                raise
            yield False
        else:
            yield True


def most_bytes() -> float:
    """Disk that jobs may fill: $LDSR_JOBS_GB (20) gigabytes."""
    return 1e9 * setting("LDSR_JOBS_GB", 20)


def setting(name: str, default: float) -> float:
    """A number from the environment; the default where it is none."""
    try:
        return max(0.0, float(os.environ.get(name, default)))
    except ValueError:
        return default


def number(value: Any) -> float | None:
    """A number that a command said, None where it is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def stem_of(name: str) -> str:
    """Make the first part of a job's file names from its input's name."""
    stem = Path(name).name
    for ending in (".zip", ".SAFE", ".tiff", ".tif", ".jp2"):
        stem = stem.removesuffix(ending)
    return (re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_")[:80] or "scene") + "_sr"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old text or the new one, never a part."""
    with appearing(path) as part:
        part.write_text(text, encoding="utf-8")


def _keep(content: Path | bytes, place: Path) -> None:
    if isinstance(content, bytes):
        place.write_bytes(content)
        return
    try:
        os.link(content, place)
    except OSError:
        shutil.copyfile(content, place)
