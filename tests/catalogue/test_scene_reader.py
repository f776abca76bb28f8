"""What is read of a scene is the ground, on its own grid, with the right numbers."""

import math

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform as warp

from ldsr.data.places import box_at
from ldsr.data.scene_reader import read_classes, read_scene, read_thumbnail
from ldsr.data.scl import shares
from ldsr.errors import AmbiguousPatchError, SceneError
from tests.catalogue import conftest as at
from tests.catalogue.scenes import make_scene, truth_grid

HALF_DN = 0.501e-4


def equal(patch, box, seed=0) -> bool:
    """Whether all of a patch is the ground of a box, to half a digital number."""
    assert patch.crs.to_string() == box.crs and patch.transform == box.transform
    assert patch.valid.all()
    return np.abs(patch.reflectance - at.ground(box, seed)).max() <= HALF_DN


@pytest.mark.parametrize("side", [640, 1280, 2560])
def test_a_box_inside_a_tile_is_the_ground(land, side):
    box = at.middle(side=side)
    patch = read_scene(land.scene(at.PLAIN, box=box), box)
    assert patch.size == (side // 10, side // 10) and equal(patch, box)
    assert set(np.unique(patch.scl)) <= {4, 5, 6}


def test_where_a_patch_is_from_is_recorded(land):
    box = at.middle()
    source = read_scene(land.scene(at.PLAIN, box=box), box).source
    assert (source.kind, source.name, source.baseline) == ("scene", at.PLAIN, "05.11")
    assert (source.scale, source.offset_dn) == (1e-4, -1000)
    assert source.radiometry == "(dn-1000) x 0.0001: stated by the catalogue."
    assert source.catalogue == "http://127.0.0.1:9/stac sentinel-2-c1-l2a"
    assert source.acquired.isoformat() == "2026-09-14T10:15:59+00:00"
    assert source.licence.endswith("contains modified Copernicus Sentinel data 2026")


def test_the_next_tile_of_the_pass_fills_in(land):
    box = at.box_in(450, 100)
    scene = land.scene(at.NEXT_TILE, at.PLAIN, box=box)
    assert scene.id == at.NEXT_TILE and len(scene.tiles) == 1 + 1
    assert equal(read_scene(scene, box), box)
    box = at.box_in(330, 100)
    scene = land.scene(at.NEXT_TILE, at.PLAIN, box=box)
    patch = read_scene(scene, box)
    assert scene.id == patch.source.name == at.PLAIN and equal(patch, box)


def test_a_box_over_both_tiles_needs_both(land):
    side = 2560
    box = at.box_in(380, 100, side)
    alone = read_scene(land.scene(at.PLAIN, box=box), box)
    assert alone.valid[:, :132].all() and not alone.valid[:, 132:].any()
    assert not alone.reflectance[:, ~alone.valid].any() and not alone.scl[~alone.valid].any()
    both = read_scene(land.scene(at.PLAIN, at.NEXT_TILE, box=box), box)
    assert equal(both, box) and both.scl.all()


@pytest.mark.parametrize(("col", "row"), [(200, 200), (201, 200), (200, 201), (201, 201)])
def test_the_classification_lies_where_its_pixels_lie(land, col, row):
    box = at.box_in(col, row)
    patch = read_scene(land.scene(at.CLOUDY, box=box), box)
    with rasterio.open(land.folder / at.CLOUDY / "SCL.tif") as dataset:
        whole = dataset.read(1).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(patch.scl, whole[row : row + 128, col : col + 128])
    assert (patch.scl == 9).any() and equal(patch, box, seed=1)


@pytest.mark.parametrize(("col", "row"), [(-7, -3), (-100, 450), (431, 455)])
def test_beyond_a_tile_there_is_nothing(land, col, row):
    box = at.box_in(col, row)
    patch = read_scene(land.scene(at.PLAIN, box=box), box)
    inside = np.zeros((128, 128), bool)
    inside[max(0, -row) : at.PIXELS - row, max(0, -col) : at.PIXELS - col] = True
    assert np.array_equal(patch.valid, inside) and not inside.all()
    assert np.abs(patch.reflectance - at.ground(box))[:, inside].max() <= HALF_DN


def test_a_scene_of_the_neighbouring_zone_is_read_on_its_own_grid(land):
    asked = box_at(12.004, 46.6)
    assert asked.crs == "EPSG:32633"
    patch = read_scene(land.scene(at.OTHER_ZONE, box=asked), asked)
    box = asked.moved_to("EPSG:32632")
    assert equal(patch, box) and patch.size == (128, 128)
    (x,), (y,) = warp(asked.crs, box.crs, [(asked.west + asked.east) / 2], [asked.south + 640])
    assert math.dist((x, y), patch.centre) <= 5 * math.sqrt(2) + 0.01


@pytest.mark.parametrize(("lon", "crs"), [(179.999, "EPSG:32760"), (-179.999, "EPSG:32701")])
def test_both_sides_of_the_antimeridian(land, lon, crs):
    asked = box_at(lon, at.FIJI[1])
    assert asked.crs == crs
    patch = read_scene(land.scene(at.ACROSS, box=asked), asked)
    assert equal(patch, asked.moved_to("EPSG:32701"))


@pytest.mark.parametrize(
    ("id", "place", "crs"),
    [(at.SOUTHERN, at.SOUTH, "EPSG:32720"), (at.HIGH, at.NORTH_CAPE, "EPSG:32633")],
)
def test_the_south_and_the_far_north(land, id, place, crs):
    box = at.middle(place, 2560)
    assert box.crs == crs
    assert equal(read_scene(land.scene(id, box=box), box), box)


def test_a_catalogue_silent_about_the_grid_is_no_obstacle(land):
    item = land.item(at.OTHER_ZONE)
    del item["properties"]["proj:code"]
    for asset in item["assets"].values():
        asset.pop("proj:shape", None), asset.pop("proj:transform", None)
    asked = box_at(12.004, 46.6)
    scene = at.scene_of([item], asked)
    assert scene.crs is None
    assert equal(read_scene(scene, asked), asked.moved_to("EPSG:32632"))


def test_half_a_box_beyond_the_swath(land):
    box = at.box_in(200, 100)
    patch = read_scene(land.scene(at.HALF, box=box), box)
    assert patch.valid[:, :50].all() and not patch.valid[:, 50:].any()
    assert np.array_equal(patch.valid, patch.scl > 0)
    assert not patch.reflectance[:, :, 50:].any()
    box = at.box_in(300, 100)
    scene = land.scene(at.HALF, box=box)
    with pytest.raises(SceneError, match="no data in this box.*another scene"):
        read_scene(scene, box)
    assert not read_classes(scene, box).any()


def test_shares_of_cloud_shadow_and_snow(land):
    box = at.box_in(200, 200, 1280)
    found = read_classes(land.scene(at.CLOUDY, box=box), box)
    expected = (found == 9).mean()
    assert shares(found) == {"cloud": expected, "shadow": 0, "snow": 0} and expected > 0.5
    corner = read_classes(land.scene(at.CLOUDY, box=box), at.box_in(0, 0, 640))
    assert shares(corner)["shadow"] == pytest.approx(50 / 64)
    assert shares(np.zeros((4, 4), np.uint8)) == dict.fromkeys(("cloud", "shadow", "snow"), 0)
    assert shares(np.array([[0, 0, 9, 4]], np.uint8))["cloud"] == 0.5


def test_classes_are_joined_from_the_tiles_of_a_pass(land):
    box = at.box_in(380, 100, 2560)
    scene = land.scene(at.PLAIN, at.NEXT_TILE, box=box)
    assert np.array_equal(read_classes(scene, box), read_scene(scene, box).scl)


def test_a_scene_without_classification_has_none(land):
    item, box = land.item(at.PLAIN), at.middle()
    del item["assets"]["scl"]
    scene = at.scene_of([item], box)
    assert read_classes(scene, box) is None
    patch = read_scene(scene, box)
    assert patch.scl is None and equal(patch, box)


def test_the_thumbnail_is_a_small_picture(land):
    box = at.middle(side=2560)
    seen = read_thumbnail(land.scene(at.PLAIN, box=box), box)
    assert seen.dtype == np.uint8 and max(seen.shape) <= 130 and seen.std() > 3
    item = land.item(at.PLAIN)
    del item["assets"]["visual"]
    with pytest.raises(SceneError, match="no true-colour picture"):
        read_thumbnail(at.scene_of([item], box), box)


def small_scene(
    tmp_path, files, *, offset_dn: int, style: str = "earth-search", tile: str = "32TPS", **more
) -> dict:
    """A small scene of its own in the served folder."""
    name = f"S2B_T{tile}_20260101T101559_L2A"
    if style != "earth-search":
        name = "S2B_MSIL2A_20260101T101559_R022_T32TPS_20260101T143012"
    folder = files.folder / tmp_path.name
    here = {"west": at.WEST, "north": at.NORTH, "pixels": 256}
    item = make_scene(folder, name, base_url="", offset_dn=offset_dn, style=style, **here | more)
    for asset in item["assets"].values():
        asset["href"] = f"{files.url}/{tmp_path.name}{asset['href']}"
    return item


def small_ground(box):
    return truth_grid(box.crs, box.west, box.north, 64, 64)


SMALL = at.box_in(20, 20, 640)


def repaint(files, item, change) -> None:
    """Change the digital numbers of a scene's bands."""
    for asset in item["assets"].values():
        path = files.folder / asset["href"].removeprefix(files.url + "/")
        if path.suffix == ".tif" and "SCL" not in path.name and "TCI" not in path.name:
            with rasterio.open(path) as dataset:
                profile, dn = dataset.profile, dataset.read()
            with rasterio.open(path, "w", **profile | {"driver": "GTiff"}) as dataset:
                dataset.write(change(dn).astype(np.uint16))


def darker(dn):
    """Water and shadow, whose reflectance falls below 0: 40 % of digital numbers below 950."""
    dn = dn.copy()
    dn[:, :, : dn.shape[2] * 2 // 5] = 900
    return dn


def brighter(dn):
    """Cloud or snow all over."""
    return dn + 4000


def test_esa_s_own_offset_is_taken_off_a_dark_scene_too(tmp_path, files):
    item = small_scene(tmp_path, files, offset_dn=-1000)
    repaint(files, item, darker)
    patch = read_scene(at.scene_of([item], SMALL), SMALL)
    assert patch.source.offset_dn == -1000
    assert patch.reflectance.min() == pytest.approx(-0.01)


@pytest.mark.parametrize(("baseline", "offset_dn"), [("05.11", -1000), ("02.14", 0)])
def test_planetary_computer_s_baseline_decides(tmp_path, files, baseline, offset_dn):
    item = small_scene(
        tmp_path, files, offset_dn=offset_dn, style="planetary-computer", baseline=baseline
    )
    patch = read_scene(at.scene_of([item], SMALL), SMALL)
    assert patch.source.offset_dn == offset_dn and baseline in patch.source.radiometry
    assert np.abs(patch.reflectance - small_ground(SMALL)).max() <= HALF_DN


def test_a_declared_offset_that_is_already_off_is_not_taken_off_twice(tmp_path, files):
    item = small_scene(tmp_path, files, offset_dn=0)
    for asset in item["assets"].values():
        for band in asset.get("raster:bands", ()):
            band["offset"] = -0.1
    patch = read_scene(at.scene_of([item], SMALL, original=False), SMALL)
    assert patch.source.offset_dn == 0 and "already taken off" in patch.source.radiometry
    assert np.abs(patch.reflectance - small_ground(SMALL)).max() <= HALF_DN


def silent(item):
    """Remove all that an item says of scale and offset."""
    del item["properties"]["s2:processing_baseline"]
    for asset in item["assets"].values():
        asset.pop("raster:bands", None)
    return item


def test_a_bright_scene_of_a_silent_catalogue_is_a_question(tmp_path, files):
    item = silent(small_scene(tmp_path, files, offset_dn=-1000))
    repaint(files, item, brighter)
    scene = at.scene_of([item], SMALL, original=False)
    with pytest.raises(AmbiguousPatchError) as asked:
        read_scene(scene, SMALL)
    assert asked.value.question == "scale" and len(asked.value.choices) == 2
    for answer, offset_dn in zip(asked.value.choices, (0, -1000), strict=True):
        patch = read_scene(scene, SMALL, scale=answer)
        assert patch.source.offset_dn == offset_dn
        more = 0.4 if offset_dn else 0.5
        assert np.abs(patch.reflectance - more - small_ground(SMALL)).max() <= HALF_DN


def test_one_decision_holds_for_all_tiles_of_a_pass(tmp_path, files):
    """A few bright pixels of the second tile must not change what the first has shown."""
    first = small_scene(tmp_path, files, offset_dn=0)
    second = small_scene(tmp_path, files, offset_dn=0, tile="32TQS", west=at.WEST + 2000)
    repaint(files, second, brighter)
    for asset in [*first["assets"].values(), *second["assets"].values()]:
        for band in asset.get("raster:bands", ()):
            band["offset"] = -0.1
    box = at.box_in(252 - 56, 20, 640)
    scene = at.scene_of([first, second], box, original=False)
    assert len(scene.tiles) == 2
    patch = read_scene(scene, box)
    expected = small_ground(box)
    expected[:, :, 60:] += 0.4
    assert patch.valid.all() and patch.source.offset_dn == 0
    assert np.abs(patch.reflectance - expected).max() <= HALF_DN


def test_values_that_are_no_numbers_are_no_data(tmp_path, files):
    item = small_scene(tmp_path, files, offset_dn=0)
    item["properties"]["earthsearch:boa_offset_applied"] = True
    red = files.folder / item["assets"]["red"]["href"].removeprefix(files.url + "/")
    with rasterio.open(red) as dataset:
        profile, dn = dataset.profile, dataset.read().astype(np.float32)
    dn[:, 30:40, 30:40] = np.nan
    with rasterio.open(red, "w", **profile | {"driver": "GTiff", "dtype": "float32"}) as dataset:
        dataset.write(dn)
    patch = read_scene(at.scene_of([item], SMALL), SMALL)
    assert np.array_equal(~patch.valid[10:20, 10:20], np.ones((10, 10), bool))
    assert patch.valid.sum() == 64 * 64 - 100
