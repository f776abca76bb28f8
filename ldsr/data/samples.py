"""The Sentinel-2 patches that ship with the product, and where they come from."""

import dataclasses
import json
from datetime import datetime
from pathlib import Path

from ldsr.data.patch import Patch
from ldsr.data.raw import utc
from ldsr.data.reader import read_patch
from ldsr.errors import PatchError

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "samples"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One bundled patch.

    Attributes:
        key: short name for `load_sample`.
        name: to show.
        place: in words.
        date: of acquisition (UTC), None where the source does not say.
        level: processing level, "L2A".
        licence: of the pixels.
        source: where they were taken from.
        attribution: to show with the picture.
        description: one sentence.
        size: height and width in pixels.
        path: the GeoTIFF.
    """

    key: str
    name: str
    place: str
    date: datetime | None
    level: str
    licence: str
    source: str
    attribution: str
    description: str
    size: tuple[int, int]
    path: Path


def list_samples() -> tuple[Sample, ...]:
    """List the bundled samples, the default one first.

    Raises:
        PatchError: the folder assets/samples is missing or damaged.
    """
    try:
        entries = json.loads((FOLDER / "samples.json").read_text(encoding="utf-8"))["samples"]
        return tuple(_sample(entry) for entry in entries)
    except (OSError, ValueError, KeyError) as error:
        raise PatchError(
            "The bundled samples cannot be listed (assets/samples/samples.json is missing or "
            "damaged); get the product again, complete."
        ) from error


def load_sample(key: str) -> Patch:
    """Read one bundled sample.

    Args:
        key: of a `Sample`.

    Raises:
        PatchError: no sample has this key, or its file is damaged.
    """
    samples = {sample.key: sample for sample in list_samples()}
    if key not in samples:
        raise PatchError(f"There is no sample '{key}'; known are {', '.join(samples)}.")
    sample = samples[key]
    return read_patch(sample.path, kind="sample", name=sample.name)


def _sample(entry: dict) -> Sample:
    plain = ("key", "name", "place", "level", "licence", "source", "attribution", "description")
    return Sample(
        **{field: entry[field] for field in plain},
        date=utc(entry["date"]),
        size=tuple(entry["size"]),
        path=FOLDER / entry["file"],
    )
