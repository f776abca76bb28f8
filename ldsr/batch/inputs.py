"""The patches of a batch: which there are, in a folder or in a table, and how each is read.

Knows files, places and catalogues; knows nothing of what is made of the patches.
"""

import csv
import dataclasses
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from ldsr.data import scl
from ldsr.data.catalog import find_scenes
from ldsr.data.endpoints import choose
from ldsr.data.patch import MAX_SIDE, Patch
from ldsr.data.places import PIXEL, Box, box_at
from ldsr.data.rasters import GDAL_ERRORS, open_raster
from ldsr.data.reader import read_patch
from ldsr.data.scene_reader import read_classes, read_scene
from ldsr.data.scenes import Scene, day
from ldsr.errors import LdsrError, PatchError, SceneError

ENDINGS = (".tif", ".tiff", ".jp2", ".npy", ".npz", ".zip", ".safe")
"""Of files and folders that are taken for pictures; what they are is known when they are read."""
RASTERS = (".tif", ".tiff", ".jp2")
COLUMNS = ("lon", "lat", "date")
OPTIONAL = ("name", "side", "days", "cloud")
SIDE, DAYS, CLOUD = 1280, 10, 20.0
"""Metres, days before and after, largest cloud share in percent: where a table does not say."""
FIRST_DAY = date(2015, 6, 23)
"""Sentinel-2A was launched."""
MOST_DAYS = 366
WHOLE = 0.99
"""A scene that shows so much of a box shows it all."""
MOST_BYTES = 180
"""Of a name in UTF-8: an ending and what a file is called while it is written must fit besides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """A place and a day whose picture a catalogue is asked for.

    Attributes:
        lon, lat: degrees.
        day: the day wanted most.
        days: how many days before or after will do.
        side: of the box, metres.
        cloud: largest cloud share of the box, percent.
    """

    lon: float
    lat: float
    day: date
    days: int = DAYS
    side: int = SIDE
    cloud: float = CLOUD

    @property
    def box(self) -> Box:
        """What is read, where the scene has the grid of the place's own zone."""
        return box_at(self.lon, self.lat, self.side)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One patch of a batch.

    Attributes:
        name: to show, as the file or the table has it.
        stem: what its files are called; no other entry has it.
        origin: a file, or a place and a day.
    """

    name: str
    stem: str
    origin: Path | Wanted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What is told to whoever reads: see `ldsr.data.reader.read_patch` and `find_scenes`."""

    bands: str | None = None
    scale: str | None = None
    catalogue: str = ""


def list_entries(source: Path) -> list[Entry]:
    """List the patches of a folder or of a table, in the order of names or rows.

    Raises:
        LdsrError: nothing there, no pictures in it, or a table with something wrong in it.
    """
    if source.is_dir():
        return _of_folder(source)
    if not source.exists():
        raise LdsrError(
            f"There is no {source.name!r}; expected a folder of pictures, or a CSV file with the "
            f"columns {', '.join(COLUMNS)}."
        )
    return _of_table(source)


def read_entry(entry: Entry, reading: Reading) -> Patch:
    """Read a patch: a file, or the scene of a catalogue that comes nearest to what is wanted.

    Raises:
        LdsrError: in one sentence, why there is none.
    """
    if isinstance(entry.origin, Path):
        return read_patch(entry.origin, bands=reading.bands, scale=reading.scale)
    scene = nearest_scene(entry.origin, catalogue=reading.catalogue)
    return read_scene(scene, entry.origin.box, scale=reading.scale)


def nearest_scene(wanted: Wanted, *, catalogue: str = "") -> Scene:
    """Find the scene nearest in time whose box is clear enough.

    Cloud is that of the box by the scene classification; of the whole tile where a scene has none.
    One that shows the whole box is better than one that does not.

    Raises:
        SceneError: none is clear enough, there is none, or the catalogue does not answer.
    """
    margin = timedelta(days=wanted.days)
    start, end = wanted.day - margin, wanted.day + margin
    scenes = find_scenes(wanted.box, start=start, end=end, catalogue=catalogue)
    scenes.sort(key=lambda scene: (_apart(scene, wanted.day), scene.cloud_percent or 0, scene.id))
    clouds, clear, why = [], [], None
    for scene in scenes:
        try:
            cloud, covered = _measure(scene, wanted.box)
        except SceneError as error:
            why = error
            continue
        if covered == 0:
            continue
        clouds.append(cloud)
        if cloud <= wanted.cloud:
            if covered >= WHOLE:
                return scene
            clear.append((covered, scene))
    if clear:
        return max(clear, key=lambda found: found[0])[1]
    if clouds:
        count = f"{len(clouds)} scenes show" if len(clouds) > 1 else "One scene shows"
        raise SceneError(
            f"{count} this box from {start} to {end}, but with more than {wanted.cloud:g} % cloud "
            f"over it (the clearest {min(clouds):.0f} %); allow more cloud or more days."
        )
    raise why or SceneError(
        f"No scene from {start} to {end} has data in this box; allow more days."
    )


def identity(entry: Entry, reading: Reading) -> dict[str, Any]:
    """Say what a patch is read from, so that the same is known again: ready for JSON."""
    how = {"bands": reading.bands, "scale": reading.scale}
    if isinstance(entry.origin, Path):
        return {"sha256": _hash(entry.origin), **how}
    asked = choose(reading.catalogue)
    wanted = dataclasses.asdict(entry.origin) | {"day": entry.origin.day.isoformat()}
    return {"wanted": wanted, "catalogue": f"{asked.public_url} {asked.collection}", **how}


def pixels(entry: Entry, reading: Reading) -> int:
    """Count the pixels of the patch that will be read; 0 where it cannot be."""
    if isinstance(entry.origin, Wanted):
        return (entry.origin.side // PIXEL) ** 2
    try:
        if entry.origin.suffix.lower() in RASTERS and entry.origin.is_file():
            with open_raster(str(entry.origin), entry.origin.name) as raster:
                count = raster.height * raster.width
        else:
            count = read_entry(entry, reading).valid.size
    except (LdsrError, OSError, *GDAL_ERRORS):
        return 0
    return count if count <= MAX_SIDE**2 else 0


def _of_folder(folder: Path) -> list[Entry]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise PatchError(f"{folder.name} cannot be listed ({error.strerror}).") from error
    pictures = [path for path in found if path.suffix.lower() in ENDINGS]
    if not pictures:
        lie = f"{len(found)} other files" if len(found) > 1 else "one other file"
        raise PatchError(
            f"There are no pictures in {folder.name or folder} "
            f"({lie if found else 'it is empty'}); expected files ending in {', '.join(ENDINGS)}."
        )
    pictures.sort(key=lambda path: (path.name.casefold(), path.name))
    return _named((path.stem, path) for path in pictures)


def _of_table(path: Path) -> list[Entry]:
    rows = _rows(path)
    head = [cell.strip().casefold() for cell in rows[0]] if rows else []
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        there = ", ".join(filter(None, head))[:200] or "none"
        raise LdsrError(
            f"{path.name} has no column {_and(missing)} (its first row has: {there}); expected a "
            f"CSV file with {_and(COLUMNS)}, and where wanted {_and(OPTIONAL)}."
        )
    named, wrong = [], []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        said = dict(zip(head, (cell.strip() for cell in cells), strict=False))
        try:
            wanted = _wanted(said)
            named.append((said.get("name") or _place_name(wanted), wanted))
        except LdsrError as error:
            wrong.append(f"Row {number} of {path.name}: {error}")
    if wrong:
        more = f" (and {len(wrong) - 1} more rows)" if len(wrong) > 1 else ""
        raise LdsrError(wrong[0].removesuffix(".") + f"{more}.")
    if not named:
        raise LdsrError(f"{path.name} has no rows below its first; give one a patch.")
    return _named(named)


def _rows(path: Path) -> list[list[str]]:
    """The cells of a table; between them commas, or what its first row has instead."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        between = next((mark for mark in ",;\t" if mark in first), ",")
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=between))
    except (UnicodeDecodeError, csv.Error, OSError):
        raise LdsrError(
            f"{path.name} is no CSV file in UTF-8; expected one with the columns "
            f"{_and(COLUMNS)}, or a folder of pictures (for single files: python -m ldsr run)."
        ) from None


def _wanted(said: dict[str, str]) -> Wanted:
    try:
        when = date.fromisoformat(said.get("date", ""))
    except ValueError:
        when = date.min
    if not FIRST_DAY <= when < date.max.replace(month=1):
        raise LdsrError(
            f"date is {said.get('date', '')!r}, expected a day such as 2026-09-14, not before "
            f"{FIRST_DAY}."
        )
    wanted = Wanted(
        lon=_number(said, "lon", low=-360, high=360),
        lat=_number(said, "lat", low=-90, high=90),
        day=when,
        days=_whole(said, "days", low=0, high=MOST_DAYS, otherwise=DAYS),
        side=_whole(said, "side", low=PIXEL, high=10**6, otherwise=SIDE),
        cloud=_number(said, "cloud", low=0, high=100, otherwise=CLOUD),
    )
    _ = wanted.box  # raises where there is none
    return wanted


def _number(
    said: dict[str, str], name: str, *, low: float, high: float, otherwise: float | None = None
) -> float:
    text = said.get(name, "")
    if not text and otherwise is not None:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise LdsrError(f"{name} is {text!r}, expected a number from {low:g} to {high:g}.")
    return value


def _whole(said: dict[str, str], name: str, *, low: int, high: int, otherwise: int) -> int:
    value = _number(said, name, low=low, high=high, otherwise=otherwise)
    if value != int(value):
        raise LdsrError(f"{name} is {said[name]!r}, expected a whole number.")
    return int(value)


def _place_name(wanted: Wanted) -> str:
    north, east = "N" if wanted.lat >= 0 else "S", "E" if wanted.lon >= 0 else "W"
    return f"{abs(wanted.lat):.4f}{north}_{abs(wanted.lon):.4f}{east}_{wanted.day}"


def _named(found: Iterable[tuple[str, Path | Wanted]]) -> list[Entry]:
    """Give each a name for files that no other has, on disks that know no capitals too."""
    entries, taken = [], set()
    for said, origin in found:
        name = one_printed_line(said)
        bare = stem = file_stem(name)
        number = 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{bare}_{number}"
        taken.add(stem.casefold())
        entries.append(Entry(name=name, stem=stem, origin=origin))
    return entries


def file_stem(name: str) -> str:
    """Make a name that files of every system may have; an ordinary one stays as it is."""
    stem = re.sub(r"[^\w .,()+=@~-]", "_", name)
    while len(stem.encode()) > MOST_BYTES:
        stem = stem[:-1]
    return stem.strip(" .") or "patch"


def one_printed_line(text: str) -> str:
    """The same without line breaks, and without the undecodable bytes of file names."""
    return " ".join(text.encode("utf-8", "replace").decode().split())


def _measure(scene: Scene, box: Box) -> tuple[float, float]:
    """Percent of cloud over a box, and the share of it that the scene shows."""
    classes = read_classes(scene, box)
    if classes is None:
        return scene.cloud_percent or 0.0, max(tile.covers(box) for tile in scene.tiles)
    return 100 * scl.shares(classes)["cloud"], scl.covered(classes)


def _apart(scene: Scene, wanted: date) -> int:
    return abs((date.fromisoformat(day(scene.acquired)) - wanted).days)


def _hash(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for item in files:
        digest.update(f"{item.relative_to(path)}\0".encode())
        with item.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
