"""What is known of each patch of a batch: read from its run sheet, written as a table.

A run sheet is written last of a patch's files: where it is and says so, they are complete.
"""

import csv
import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ldsr.batch.inputs import Entry
from ldsr.data.places import lonlat
from ldsr.manifest import WEIGHTS
from ldsr.settings import Settings
from ldsr.weights import hash_file
from ldsr.writing import beside, write_complete

STATES = {
    "done": "Done",
    "kept": "Kept",
    "failed": "Failed",
    "left": "Not computed",
}
"""What may have become of a patch, and how it is called."""
SHARE = "batch"
"""Where in a run sheet it is said what the patch is to a batch."""
FILES = ("sr", "base", "detail", "uncertainty")
"""What a patch may have files of: NAME_sr.tif and so on."""
PICTURES = {"input": ".png", "base": ".jpg", "refined": ".jpg", "detail": ".jpg"}
"""Small pictures in the gallery, and their format."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What became of one patch.

    Attributes:
        entry: which.
        state: a key of STATES.
        sentence: why it failed, or "".
        sheet: its run sheet, as it is on the disk; None where there is none.
    """

    entry: Entry
    state: str
    sentence: str = ""
    sheet: Mapping[str, Any] | None = None

    @property
    def files(self) -> dict[str, str]:
        """Names of its files by what they show, the run sheet last."""
        if self.sheet is None:
            return {}
        stem, there = self.entry.stem, self.sheet[SHARE]["files"]
        named = {key: f"{stem}_{key}.tif" for key in FILES if key in there}
        return {**named, "sheet": f"{stem}.json"}

    @property
    def pictures(self) -> dict[str, str]:
        """Addresses of its small pictures, from the folder of the batch, by what they show."""
        there = {} if self.sheet is None else self.sheet[SHARE]["pictures"]
        return {key: picture_name(self.entry, key) for key in PICTURES if key in there}

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns of the input."""
        return None if self.sheet is None else tuple(self.sheet["input"]["size"])


def recipe(asked: Mapping[str, Any], settings: Settings, weights: str, sha256: str) -> str:
    """Sum up what a result depends on: input, settings as asked for, weights."""
    parts = {"asked": asked, "settings": json.loads(settings.to_json())}
    parts |= {"weights": weights, "sha256": sha256}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def share(
    folder: Path, entry: Entry, made_by: str, *, files: Iterable[str], pictures: Iterable[str]
) -> dict[str, Any]:
    """What stands in a run sheet about the batch: enough to know it again and to show it."""
    sizes = {key: _size(beside(folder / entry.stem, f"_{key}.tif")) for key in files}
    shown = {key: _size(folder / picture_name(entry, key)) for key in pictures}
    own = {"name": entry.name, "recipe": made_by, "files": sizes, "pictures": shown}
    return {SHARE: own}


def picture_name(entry: Entry, key: str) -> str:
    """Address of a small picture from the folder of the batch."""
    return f"pictures/{entry.stem}_{key}{PICTURES[key]}"


def read_sheet(folder: Path, entry: Entry) -> dict[str, Any] | None:
    """Read the run sheet of a patch; None where there is none that a batch has written."""
    try:
        sheet = json.loads(beside(folder / entry.stem, ".json").read_text(encoding="utf-8"))
        figures(sheet)
        known = sheet[SHARE]["files"].keys() <= set(FILES)
        known &= sheet[SHARE]["pictures"].keys() <= PICTURES.keys()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return sheet if known else None


def kept(folder: Path, entry: Entry, made_by: str, wanted: Iterable[str]) -> dict | None:
    """Give the run sheet of a patch that need not be computed again, else None.

    Args:
        folder: of the batch.
        entry: the patch.
        made_by: its `recipe` now.
        wanted: files that must be there besides those it always has.
    """
    sheet = read_sheet(folder, entry)
    if sheet is None or sheet[SHARE].get("recipe") != made_by:
        return None
    files, pictures = sheet[SHARE]["files"], sheet[SHARE]["pictures"]
    stem = folder / entry.stem
    whole = all(_size(beside(stem, f"_{key}.tif")) == size for key, size in files.items())
    shown = all(_size(folder / picture_name(entry, key)) == size for key, size in pictures.items())
    same = all(_hash_now(name) == digest for name, digest in sheet["weights"]["files"].items())
    return sheet if whole and shown and same and set(wanted) <= set(files) else None


def figures(sheet: Mapping[str, Any]) -> dict[str, float | int | str | None]:
    """The figures of a run sheet by name, None where it has none.

    Longitude and latitude are those of the middle; all else stands in the sheet as it is.
    """
    detail, classes = sheet["detail"], sheet["scene_classification"]
    lon, lat = place(sheet["input"])
    return {
        "seconds": sheet["seconds"]["total"],
        "steps": sheet["steps_computed"],
        "steps_skipped": sheet["steps_skipped"],
        "residual_before": sheet["consistency"]["before"],
        "residual_after": sheet["consistency"]["after"],
        "mean_detail": None if detail is None else detail["mean"],
        "out_of_range": sheet["out_of_range"],
        "valid_share": sheet["input"]["valid_share"],
        "cloud_share": None if classes is None else classes["cloud"],
        "lon": lon,
        "lat": lat,
        "acquired": sheet["source"]["acquired"],
        "scene": sheet["source"]["name"],
    }


def place(said: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Longitude and latitude of the middle of an input, degrees; None without coordinates."""
    if not said["crs"] or not said["bounds"]:
        return None, None
    west, south, east, north = said["bounds"]
    found = lonlat(said["crs"], (west + east) / 2, (south + north) / 2)
    return (None, None) if found is None else (round(found[0], 6), round(found[1], 6))


NUMBERS = (
    "seconds",
    "steps",
    "steps_skipped",
    "residual_before",
    "residual_after",
    "mean_detail",
    "out_of_range",
    "valid_share",
    "cloud_share",
    "lon",
    "lat",
    "acquired",
    "scene",
)
"""Columns of the table after name, state, sentence and size: see `figures`."""


def write_table(folder: Path, records: Iterable[Record]) -> Path:
    """Write batch.csv: one row a patch; what is not known is empty.

    Raises:
        LdsrError: the place cannot be written.
    """
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow(["name", "state", "sentence", "size", *NUMBERS])
    for record in records:
        found = {} if record.sheet is None else figures(record.sheet)
        size = "" if record.size is None else f"{record.size[0]} x {record.size[1]}"
        numbers = [found.get(name) for name in NUMBERS]
        cells = [record.entry.name, record.state, record.sentence, size, *numbers]
        writer.writerow([_harmless(cell) for cell in cells])
    return write_complete(folder / "batch.csv", sink.getvalue().encode("utf-8"))


def _harmless(cell: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    risky = isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{cell}" if risky else cell


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _hash_now(file: str) -> str | None:
    """Hash of a file of weights as it is here now."""
    path = next((entry.path for entry in WEIGHTS.values() if entry.file == file), None)
    if path is None or not path.is_file():
        return None
    found = path.stat()
    return _hash_once(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache
def _hash_once(path: Path, size: int, changed: int) -> str:
    return hash_file(path)
