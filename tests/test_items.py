"""A STAC item here with its files beside it is a scene; several are the tiles of one pass."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from ldsr.data.whole import open_scene
from ldsr.errors import PatchError, SceneError
from tests.catalogue.scenes import make_scene, truth_grid

ZONE, WEST, NORTH, PIXELS = "EPSG:32632", 399960, 5300040, 128
FIRST, SECOND = "S2B_T32TPS_20260914T101559_L2A", "S2B_T32TQS_20260914T101613_L2A"
HALF_DN = 0.501e-4


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[dict]]:
    """Two tiles that overlap, the first without data in its right half."""
    folder = tmp_path_factory.mktemp("tiles")
    size = {"pixels": PIXELS, "north": NORTH}
    left = (WEST, NORTH - 10 * PIXELS, WEST + 640, NORTH)
    cloud = {"cloud": (WEST + 200, NORTH - 400, WEST + 420, NORTH - 200)}
    when = "2026-09-14T10:15:59Z"
    items = [
        make_scene(folder, FIRST, west=WEST, acquired=when, valid=left, **cloud, **size),
        make_scene(folder, SECOND, west=WEST + 620, acquired="2026-09-14T10:16:13Z", **size),
    ]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].lstrip("/")
    return folder, items


@pytest.fixture
def write(made, tmp_path):
    """Write JSON beside the files: `write(document)`."""

    def to_json(document: object) -> Path:
        for item in made[1]:
            shutil.copytree(made[0] / item["id"], tmp_path / item["id"])
        (tmp_path / "item.json").write_text(json.dumps(document))
        return tmp_path / "item.json"

    return to_json


def several(*items: dict) -> dict:
    return {"type": "FeatureCollection", "features": list(items)}


def fails(path: Path, words: str) -> None:
    with pytest.raises(SceneError, match=words) as caught, open_scene(path):
        pass
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and str(path.parent) not in message


@pytest.mark.parametrize("style", ["relative", "./", "absolute", "file"])
def test_an_item_with_its_files_beside_it(made, write, tmp_path, style) -> None:
    item = copy.deepcopy(made[1][1])
    before = {"relative": "", "./": "./", "absolute": f"{tmp_path}/", "file": f"file://{tmp_path}/"}
    for asset in item["assets"].values():
        asset["href"] = before[style] + asset["href"]
    with open_scene(write(item)) as scene:
        assert scene.name == SECOND and scene.size == (PIXELS, PIXELS) and scene.has_classes
        assert scene.crs.to_string() == ZONE and scene.transform.c == WEST + 620
        found = scene.read((11, 20, 60, 50))
        source = scene.source
    expected = truth_grid(ZONE, WEST + 620 + 110, NORTH - 200, 60, 50)
    assert np.abs(found.reflectance - expected).max() <= HALF_DN and found.valid.all()
    assert (source.kind, source.name, source.baseline) == ("scene", SECOND, "05.11")
    assert (source.scale, source.offset_dn, source.catalogue) == (1e-4, -1000, None)
    assert source.radiometry == "(dn-1000) x 0.0001: stated by the catalogue."
    assert source.acquired.isoformat() == "2026-09-14T10:16:13+00:00"
    assert source.licence.endswith("contains modified Copernicus Sentinel data 2026")


def test_the_tiles_of_a_pass_have_no_seam(made, write) -> None:
    with open_scene(write(several(*made[1]))) as scene:
        assert scene.size == (PIXELS, PIXELS + 62) and scene.name == f"{FIRST} and 1 more"
        whole = scene.read((0, 0, PIXELS + 62, PIXELS))
        part = scene.read((51, 33, 29, 31))
    expected = truth_grid(ZONE, WEST, NORTH, PIXELS + 62, PIXELS)
    assert whole.valid.all() and np.abs(whole.reflectance - expected).max() <= HALF_DN
    np.testing.assert_array_equal(part.reflectance, whole.reflectance[:, 33:64, 51:80])
    np.testing.assert_array_equal(part.scl, whole.scl[33:64, 51:80])
    classes = np.zeros((PIXELS, PIXELS + 62), np.uint8)
    for item, left in zip(made[1][::-1], (62, 0), strict=True):
        with rasterio.open(made[0] / item["id"] / "SCL.tif") as dataset:
            fine = dataset.read(1).repeat(2, 0).repeat(2, 1)
        there = classes[:, left : left + PIXELS]
        there[fine > 0] = fine[fine > 0]
    np.testing.assert_array_equal(whole.scl, classes)
    assert (whole.scl == 9).sum() == 22 * 20


def test_a_tile_processed_twice_counts_once_as_the_newer_one(made, write) -> None:
    older = copy.deepcopy(made[1][1])
    older["properties"]["s2:processing_baseline"] = "02.14"
    older["id"] = "older"
    with open_scene(write(several(older, made[1][1]))) as scene:
        assert scene.name == SECOND and scene.source.baseline == "05.11"


def test_a_tile_without_classification_leaves_none(made, write) -> None:
    plain = copy.deepcopy(made[1][1])
    del plain["assets"]["scl"]
    with open_scene(write(several(made[1][0], plain))) as scene:
        assert not scene.has_classes and scene.read((0, 0, 90, 20)).scl is None


def test_bounds_may_leave_tiles_away(made, write) -> None:
    box = made[1][1]["bbox"]
    bounds = (box[0] + 0.009, box[1] + 0.004, box[2] - 0.002, box[3] - 0.004)
    with open_scene(write(several(*made[1])), bounds=bounds) as scene:
        assert scene.transform.c > WEST + 640 and scene.sample().valid.all()
        north, west = round(scene.transform.f), round(scene.transform.c)
        expected = truth_grid(ZONE, west, north, *scene.size[::-1])
        found = scene.read((0, 0, *scene.size[::-1])).reflectance
    assert np.abs(found - expected).max() <= HALF_DN


def test_items_of_two_passes_are_no_scene(made, write) -> None:
    later = copy.deepcopy(made[1][1])
    later["properties"]["datetime"] = "2026-09-19T10:15:59Z"
    words = f"lists {FIRST} of 2026-09-14 and {SECOND} of 2026-09-19, which are not of one pass"
    fails(write(several(made[1][0], later)), words)


def test_tiles_of_two_zones_are_no_scene(made, write, tmp_path) -> None:
    path = write(several(*made[1]))
    for file in (tmp_path / SECOND).glob("*.tif"):
        with rasterio.open(file, "r+", IGNORE_COG_LAYOUT_BREAK=True) as dataset:
            dataset.crs = "EPSG:32633"
    fails(path, f"holds {FIRST} in EPSG:32632 and {SECOND} in EPSG:32633, expected one CRS")


@pytest.mark.parametrize("href", ["../outside.tif", "/etc/hostname", "s3://bucket/B04.tif"])
def test_files_elsewhere_are_not_read(made, write, href) -> None:
    item = copy.deepcopy(made[1][1])
    item["assets"]["red"]["href"] = href
    fails(write(item), f"^The item {SECOND} of item.json lacks .* in its own folder")


def test_a_link_to_elsewhere_is_not_followed(made, write, tmp_path) -> None:
    path = write(made[1][1])
    red = tmp_path / SECOND / "B04.tif"
    red.unlink()
    red.symlink_to(made[0] / SECOND / "B04.tif")
    fails(path, "lacks .* in its own folder")


def test_a_file_that_is_missing_is_named(made, write, tmp_path) -> None:
    path = write(made[1][1])
    (tmp_path / SECOND / "B08.tif").unlink()
    with pytest.raises(PatchError, match=f"^B08 of {SECOND} is missing"), open_scene(path):
        pass
