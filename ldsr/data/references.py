"""Samples by reference: good places with the id of a good scene, fetched when somebody asks."""

import dataclasses
import json
from datetime import date

from ldsr.data.catalog import find_scene, find_scenes, is_kept
from ldsr.data.endpoints import catalogues
from ldsr.data.places import Box, box_at
from ldsr.data.samples import FOLDER
from ldsr.data.scenes import Scene
from ldsr.errors import SceneError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reference:
    """One place.

    Attributes:
        key: short name.
        kind, name: what it is and where, to show: "Harbour", "Rotterdam".
        lon, lat: degrees.
        catalogue: key of the catalogue that has the scene.
        scene: its id there.
        start, end: where it is gone, the clearest scene between these days is taken.
    """

    key: str
    kind: str
    name: str
    lon: float
    lat: float
    catalogue: str
    scene: str
    start: date
    end: date

    @property
    def box(self) -> Box:
        """The 1.28 km around it."""
        return box_at(self.lon, self.lat)


def list_references() -> tuple[Reference, ...]:
    """List the places of assets/samples/places.json.

    Raises:
        SceneError: the file is missing or damaged.
    """
    try:
        entries = json.loads((FOLDER / "places.json").read_text(encoding="utf-8"))["places"]
        return tuple(_reference(entry) for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):
        raise SceneError(
            "The places to fetch cannot be listed (assets/samples/places.json is missing or "
            "damaged); get the product again, complete."
        ) from None


def find_reference(reference: Reference) -> Scene:
    """Find the scene of a place; where the catalogue has it no longer, the clearest one near.

    Raises:
        SceneError: the catalogue does not answer, or has nothing there.
    """
    catalogue = serving(reference)
    scene = find_scene(reference.scene, reference.box, catalogue=catalogue)
    if scene is not None:
        return scene
    days = {"start": reference.start, "end": reference.end}
    scenes = find_scenes(reference.box, catalogue=catalogue, **days)
    return min(
        scenes, key=lambda scene: 100 if scene.cloud_percent is None else scene.cloud_percent
    )


def is_fetched(reference: Reference) -> bool:
    """Whether a place was fetched before and is still on disk, so that it needs no network."""
    return is_kept(reference.scene, reference.box, catalogue=serving(reference))


def serving(reference: Reference) -> str:
    """Key of the catalogue that has it, or of the default one where that is not in use here."""
    known = [catalogue.key for catalogue in catalogues()]
    return reference.catalogue if reference.catalogue in known else known[0]


def _reference(entry: dict) -> Reference:
    days = {name: date.fromisoformat(entry[name]) for name in ("start", "end")}
    return Reference(**(entry | days))
