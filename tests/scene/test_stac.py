"""The STAC item of a scene: where it is, what it holds, when it was taken."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import pystac
import pytest

from ldsr.scene.crew import Here
from ldsr.scene.job import Choices, resolve_scene
from ldsr.settings import Settings
from tests.scene.arrays import ArrayScene, ground

CHEAP = Choices(settings=Settings(base="bicubic", refine=False))


def item_of(scene: ArrayScene, out: Path, crew: Here, choices: Choices = CHEAP) -> pystac.Item:
    resolve_scene(scene, out, crew, choices)
    return pystac.Item.from_dict(json.loads(out.with_suffix(".stac.json").read_text()))


def test_it_says_where_what_and_when(tmp_path: Path, tiny_crew: Here) -> None:
    scene = ArrayScene(ground((64, 70)))
    taken = datetime(2024, 5, 3, 10, 20, tzinfo=UTC)
    scene.source = dataclasses.replace(scene.source, acquired=taken)
    item = item_of(scene, tmp_path / "sr.tif", tiny_crew)
    assert item.id == "sr" and item.datetime == taken and item.properties["gsd"] == 2.5
    west, south, east, north = item.bbox
    assert 13.52 < west < east < 13.55 and 52.33 < south < north < 52.35
    assert item.properties["proj:code"] == "EPSG:32633"
    assert item.properties["proj:shape"] == [256, 280]
    assert item.properties["proj:transform"] == [2.5, 0.0, 399960.0, 0.0, -2.5, 5800020.0]
    assert item.properties["proj:bbox"] == [399960.0, 5799380.0, 400660.0, 5800020.0]
    ring = item.geometry["coordinates"][0]
    assert ring[0] == ring[-1] and len(ring) == 33
    data = item.assets["data"]
    assert data.href == "./sr.tif" and data.media_type == pystac.MediaType.COG
    assert data.extra_fields["raster:scale"] == 1e-4 and data.extra_fields["nodata"] == 0
    assert [band["name"] for band in data.extra_fields["bands"]][3] == "NIR (B08)"
    assert item.assets["run-sheet"].href == "./sr.json"
    assert "not seen" in item.properties["processing:lineage"]


def test_an_unknown_time_is_said_to_be_unknown(tmp_path: Path, tiny_crew: Here) -> None:
    floats = dataclasses.replace(CHEAP, dtype="float32")
    item = item_of(ArrayScene(ground((64, 70))), tmp_path / "sr.tif", tiny_crew, floats)
    assert "time of acquisition" in item.properties["description"]
    assert item.assets["data"].extra_fields["nodata"] == "nan"


def test_a_scene_across_the_antimeridian(tmp_path: Path, tiny_crew: Here) -> None:
    scene = ArrayScene(ground((64, 70)), crs="EPSG:32601")
    from rasterio.transform import from_origin

    scene.transform = from_origin(166000, 100, 10, 10)  # where zone 1 begins
    item = item_of(scene, tmp_path / "sr.tif", tiny_crew)
    assert item.geometry["type"] in ("Polygon", "MultiPolygon")
    assert all(-180 <= item.bbox[i] <= 180 for i in (0, 2))


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32733"])
def test_other_grids_have_a_place_too(tmp_path: Path, tiny_crew: Here, crs: str) -> None:
    item = item_of(ArrayScene(ground((64, 70)), crs=crs), tmp_path / "sr.tif", tiny_crew)
    assert item.properties["proj:code"] == crs and item.bbox[0] < item.bbox[2]
