"""What catalogues say of a scene becomes the same scene, whichever style they have."""

import copy
import math
from datetime import UTC, datetime, timedelta

import pytest

from ldsr.data.places import Box
from ldsr.data.scenes import day, group, read_item

BOX = Box(crs="EPSG:32632", west=640000, south=5162000, east=641280, north=5163280)
FIRST = datetime(2026, 9, 14, 10, 15, 59, tzinfo=UTC)
GRID = {"proj:shape": [1000, 1000], "proj:transform": [10, 0, 637860, 0, -10, 5170140]}
NAMES = {"earth-search": ("red", "green", "blue", "nir"), "other": ("B04", "B03", "B02", "B08")}


def an_item(name: str = "A", *, style: str = "earth-search", west: int = 637860, **said) -> dict:
    """A STAC item; further properties by keyword, with `_` for ":" (None takes one away)."""
    grid = copy.deepcopy(GRID)
    grid["proj:transform"][2] = west
    assets = {key: {"href": f"https://a.b/{name}/{key}.tif"} | grid for key in NAMES[style]}
    if style == "earth-search":
        for asset in assets.values():
            asset["raster:bands"] = [{"scale": 0.0001, "offset": -0.1}]
    said = {key.replace("__", ":"): value for key, value in said.items()}
    own = {"datetime": "2026-09-14T10:15:59.024Z", "platform": "sentinel-2b"}
    own |= {"proj:code": "EPSG:32632", "eo:cloud_cover": 3.5, "s2:processing_baseline": "05.11"}
    properties = {key: value for key, value in (own | said).items() if value is not None}
    return {"type": "Feature", "id": name, "properties": properties, "assets": assets}


def after(seconds: float, name: str = "B", **more) -> dict:
    return an_item(name, datetime=(FIRST + timedelta(seconds=seconds)).isoformat(), **more)


def scenes(*items: dict, box: Box = BOX):
    entries = [read_item(item, original=True) for item in items]
    return group([entry for entry in entries if entry], box, catalogue="own")


def hints(item: dict, *, original: bool = True):
    return read_item(item, original=original).tile.hints


def test_both_styles_make_the_same_scene():
    first, second = scenes(an_item())[0], scenes(an_item(style="other"))[0]
    for scene in (first, second):
        assert (scene.id, scene.cloud_percent) == ("A", 3.5)
        assert scene.acquired.utcoffset() == timedelta(0) and day(scene.acquired) == "2026-09-14"
        assert scene.crs == "EPSG:32632" and scene.catalogue == "own"
        assert scene.tiles[0].bounds == (637860, 5160140, 647860, 5170140)
    assert first.tiles[0].hrefs["R"] == "https://a.b/A/red.tif"
    assert second.tiles[0].hrefs["R"] == "https://a.b/A/B04.tif"


def test_scale_and_offset_of_the_first_style_are_taken_at_their_word():
    found = hints(an_item())
    assert (found.scale, found.offset_dn, found.certain) == (1e-4, -1000, True)
    assert not hints(an_item(), original=False).certain


def test_stac_1_1_bands_and_plain_assets_say_the_same():
    item = an_item()
    for asset in item["assets"].values():
        del asset["raster:bands"]
        asset["bands"] = [{"name": "red", "raster:scale": 0.0001, "raster:offset": -0.1}]
    assert (hints(item).scale, hints(item).offset_dn) == (1e-4, -1000)
    for asset in item["assets"].values():
        del asset["bands"]
        asset |= {"raster:scale": 0.0001, "raster:offset": -0.1}
    assert (hints(item).scale, hints(item).offset_dn) == (1e-4, -1000)


def test_the_trap_of_earth_search_s_older_collection():
    """It declares -0.1 on pixels from which it has taken the offset already."""
    found = hints(an_item(earthsearch__boa_offset_applied=True), original=False)
    assert (found.offset_dn, found.certain) == (0, True)
    found = hints(an_item(earthsearch__boa_offset_applied=False), original=False)
    assert (found.offset_dn, found.certain) == (-1000, False)


@pytest.mark.parametrize(("baseline", "offset_dn"), [("05.11", -1000), ("04.00", -1000)])
@pytest.mark.parametrize("original", [True, False])
def test_a_silent_catalogue_s_baseline_decides(baseline, offset_dn, original):
    item = an_item(style="other", s2__processing_baseline=baseline)
    found = hints(item, original=original)
    assert found.baseline == baseline and found.scale is None
    assert (found.offset_dn, found.certain) == ((offset_dn, True) if original else (None, False))
    item["properties"]["s2:processing_baseline"] = "03.01"
    assert hints(item).offset_dn == 0
    del item["properties"]["s2:processing_baseline"]
    assert hints(item).offset_dn is None and not hints(item).certain


@pytest.mark.parametrize("said", [{"scale": 1}, {"scale": 0}, {"scale": "0.1"}, {"offset": None}])
def test_a_scale_that_says_nothing_is_no_scale(said):
    item = an_item(style="other")
    for asset in item["assets"].values():
        asset["raster:bands"] = [said]
    assert hints(item, original=False).scale is None


@pytest.mark.parametrize(
    ("said", "crs"),
    [
        ({"proj__code": None, "proj__epsg": 32633}, "EPSG:32633"),
        ({"proj__code": "EPSG:32701"}, "EPSG:32701"),
        ({"proj__code": None}, None),
        ({"proj__code": "EPSG:4326"}, None),
        ({"proj__code": "nonsense"}, None),
    ],
)
def test_the_zone_is_read_from_either_version(said, crs):
    assert read_item(an_item(**said), original=True).tile.crs == crs


def test_the_zone_and_the_frame_may_be_said_elsewhere():
    item = an_item(proj__code=None)
    item["assets"]["red"]["proj:epsg"] = 32632
    item["assets"]["red"]["proj:bbox"] = [1, 2, 3, 4]
    tile = read_item(item, original=True).tile
    assert tile.crs == "EPSG:32632" and tile.bounds == (1, 2, 3, 4)
    for asset in item["assets"].values():
        for key in ("proj:shape", "proj:bbox"):
            asset.pop(key, None)
    tile = read_item(item, original=True).tile
    assert tile.bounds is None and tile.covers(BOX) == 1


@pytest.mark.parametrize("href", ["s3://bucket/B04.tif", "https://a.b/B04.jp2", "B04.tif", 7, None])
def test_items_whose_files_we_cannot_read_are_skipped(href):
    item = an_item()
    item["assets"]["green"]["href"] = href
    assert read_item(item, original=True) is None and scenes(item) == []


def test_a_readable_file_beside_an_unreadable_one_is_taken():
    item = an_item()
    item["assets"]["B04"] = item["assets"]["red"]
    item["assets"]["red"] = {"href": "s3://bucket/red.jp2"}
    assert read_item(item, original=True).tile.hrefs["R"] == "https://a.b/A/red.tif"


@pytest.mark.parametrize(
    "change",
    [
        {"assets": None},
        {"assets": []},
        {"assets": {"red": "x"}},
        {"properties": None},
        {"properties": {"datetime": 5}},
        {"properties": {"datetime": "yesterday"}},
        {"id": None},
    ],
)
def test_what_is_no_item_is_skipped(change):
    assert read_item(an_item() | change, original=True) is None


@pytest.mark.parametrize("bands", [{}, [], [3], "x", {"scale": 1}])
def test_odd_bands_are_skipped_or_silent(bands):
    item = an_item()
    for asset in item["assets"].values():
        asset["raster:bands"] = bands
    entry = read_item(item, original=True)
    assert entry is None or entry.tile.hints.scale is None


@pytest.mark.parametrize("cloud", [None, "5", math.nan])
def test_a_cloud_share_that_is_no_number_is_unknown(cloud):
    assert read_item(an_item(eo__cloud_cover=cloud), original=True).cloud_percent is None


def test_scenes_are_newest_first_whatever_the_order():
    found = scenes(after(-86400 * 5, "old"), an_item("new"), after(-86400, "middle"))
    assert [scene.id for scene in found] == ["new", "middle", "old"]


def test_tiles_of_one_pass_are_one_scene_the_fullest_first():
    found = scenes(an_item("A", west=631000), after(14, "B", west=637860))
    assert [scene.id for scene in found] == ["B"]
    assert [tile.id for tile in found[0].tiles] == ["B", "A"]


def test_a_tile_beyond_the_box_is_left_out():
    (found,) = scenes(an_item(), after(14, west=700000))
    assert [tile.id for tile in found.tiles] == ["A"]


def test_of_a_tile_processed_twice_the_newer_counts():
    for one, two in (("02.14", "05.00"), ("05.00", "02.14")):
        items = [an_item(one, s2__processing_baseline=one), after(0, two)]
        items[1]["properties"]["s2:processing_baseline"] = two
        (found,) = scenes(*items)
        assert found.id == "05.00" and len(found.tiles) == 1


def test_of_two_zones_in_one_pass_the_fuller_is_taken_and_else_the_box_s_own():
    other = after(5, "other", west=150000, proj__code="EPSG:32633")
    (found,) = scenes(other, an_item())
    assert found.id == "A" and [tile.crs for tile in found.tiles] == ["EPSG:32632"]
    for asset in (item := copy.deepcopy(other))["assets"].values():
        moved = BOX.moved_to("EPSG:32633")
        asset["proj:transform"] = [10, 0, moved.west - 1000, 0, -10, moved.north + 1000]
    (found,) = scenes(item, an_item())
    assert found.id == "A"
    (found,) = scenes(item, an_item(west=640500))
    assert found.id == "other" and len(found.tiles) == 1


def test_a_tile_at_the_other_end_of_the_world_does_no_harm():
    (found,) = scenes(an_item(), after(5, "far", proj__code="EPSG:32660"))
    assert found.id == "A" and len(found.tiles) == 1


def test_passes_are_told_apart_by_time_and_by_satellite():
    assert len(scenes(an_item(), after(599, west=631000))) == 1
    assert len(scenes(an_item(), after(601, west=631000))) == 2
    assert len(scenes(an_item(), after(30, platform="sentinel-2c"))) == 2


def test_two_satellites_flying_together_are_two_passes_not_four():
    """In 2025 Sentinel-2A and 2C flew half a minute apart."""
    found = scenes(
        an_item("A1", platform="sentinel-2a"),
        after(10, "C1", platform="sentinel-2c"),
        after(20, "A2", platform="sentinel-2a", west=631000),
        after(30, "C2", platform="sentinel-2c", west=631000),
    )
    tiles = [{tile.id for tile in scene.tiles} for scene in found]
    assert sorted(tiles, key=min) == [{"A1", "A2"}, {"C1", "C2"}]
