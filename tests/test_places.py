"""A box lies on Sentinel-2's grid, around the place that was asked for."""

import math

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.warp import transform as warp

from ldsr.data.places import SIDES, Box, box_at, is_utm, utm
from ldsr.errors import SceneError

RANDOM = np.random.default_rng(3)
ANYWHERE = [
    (float(lon), float(lat))
    for lon, lat in zip(RANDOM.uniform(-180, 180, 40), RANDOM.uniform(-79.9, 83.9, 40), strict=True)
]


@pytest.mark.parametrize("side", SIDES)
def test_boxes_are_whole_pixels_around_the_place(side):
    for lon, lat in ANYWHERE:
        box = box_at(lon, lat, side)
        assert not any(edge % 10 for edge in (box.west, box.south, box.east, box.north))
        assert box.side == side == box.north - box.south and box.size == (side // 10, side // 10)
        (x,), (y,) = warp("EPSG:4326", box.crs, [lon], [lat])
        assert abs((box.west + box.east) / 2 - x) <= 5.001
        assert abs((box.south + box.north) / 2 - y) <= 5.001
        assert tuple(box.transform)[:6] == (10, 0, box.west, 0, -10, box.north)


@pytest.mark.parametrize(
    ("lon", "lat", "code"),
    [
        (10.9, 46.6, 32632),
        (11.9999, 46.6, 32632),
        (12.0, 46.6, 32633),
        (-180, 5, 32601),
        (179.999, -17.8, 32760),
        (-179.999, -17.8, 32701),
        (-62.9, -9.7, 32720),
        (0, 0, 32631),
        (0, -0.001, 32731),
        (5, 61, 32632),
        (2.9, 61, 32631),
        (5, 64, 32631),
        (5, 72.5, 32631),
        (10, 78, 32633),
        (20.5, 75, 32633),
        (21.5, 75, 32635),
        (41, 75, 32637),
        (43, 75, 32638),
    ],
)
def test_zones_are_those_of_the_military_grid(lon, lat, code):
    assert utm(lon, lat) == f"EPSG:{code}"


def test_longitudes_turn_round():
    for turned in (10.9 + 360, 10.9 - 360, 10.9 + 720):
        assert box_at(turned, 46.6) == box_at(10.9, 46.6)
    assert box_at(180, -17.8) == box_at(-180, -17.8)


@pytest.mark.parametrize(
    ("lon", "lat", "said"),
    [
        (math.nan, 0, "no place"),
        (0, math.inf, "no place"),
        (0, 91, "no place at latitude 91.*-90 to 90"),
        (0, 84.5, "beyond the UTM grid"),
        (0, -85, "beyond the UTM grid"),
    ],
)
def test_places_off_the_grid_are_refused(lon, lat, said):
    with pytest.raises(SceneError, match=said):
        box_at(lon, lat)


@pytest.mark.parametrize("side", [0, -1280, 1000, 10**9])
def test_other_sides_are_refused(side):
    with pytest.raises(SceneError, match="expected one of 640, 1280 or 2560 m"):
        box_at(10.9, 46.6, side)


def test_a_place_at_the_other_end_of_the_world_cannot_be_moved_here():
    with pytest.raises(SceneError, match="cannot be placed in EPSG:32632"):
        box_at(10.9 + 90, 0).moved_to("EPSG:32632")


@pytest.mark.parametrize(
    ("place", "code"),
    [((12.004, 46.6), 32632), ((11.996, 46.6), 32633), ((12, -30), 32732), ((180, 60), 32660)],
)
def test_a_box_moved_to_the_next_zone_stays_where_it_is(place, code):
    box, other = box_at(*place), f"EPSG:{code}"
    assert box.crs != other
    moved = box.moved_to(other)
    assert moved.crs == other and moved.side == box.side and moved.moved_to(other) is moved
    lon, lat = box.centre
    (x,), (y,) = warp("EPSG:4326", other, [lon], [lat])
    assert abs((moved.west + moved.east) / 2 - x) <= 5.001
    assert abs((moved.south + moved.north) / 2 - y) <= 5.001


def test_the_centre_is_that_of_the_box():
    lon, lat = box_at(10.9, 46.6).centre
    assert abs(lon - 10.9) < 1e-4 and abs(lat - 46.6) < 1e-4


@pytest.mark.parametrize("lon", [10.9, 179.9999, -179.9999, 180.0, 0.0])
def test_outlines_are_closed_and_do_not_jump(lon):
    box = box_at(lon, 60.0, 2560)
    ring = np.array(box.ring())
    assert ring.shape == (33, 2) and (ring[0] == ring[-1]).all()
    assert np.abs(np.diff(ring, axis=0)).max() < 0.02
    area = 0.5 * (ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum()
    assert area > 0, "counter-clockwise, as GeoJSON asks"
    metres = area * 111_320 * 111_320 * math.cos(math.radians(60))
    assert metres == pytest.approx(2560**2, rel=0.02)


def test_geojson_is_one_part_or_two_across_the_antimeridian():
    assert box_at(10.9, 46.6).geojson()["type"] == "Polygon"
    for lon in (179.9999, -179.9999, 180.0):
        shape = box_at(lon, -17.8).geojson()
        assert shape["type"] == "MultiPolygon"
        (first,), (second,) = shape["coordinates"]
        for ring, edge in ((first, 180.0), (second, -180.0)):
            assert ring[0] == ring[-1] and edge in [x for x, _ in ring]
            assert all(-180 <= x <= 180 and abs(abs(x) - 180) < 0.02 for x, _ in ring)
    assert box_at(179.95, -17.8).geojson()["type"] == "Polygon"


def test_only_zones_of_utm_on_wgs_84_are_utm():
    assert is_utm(CRS.from_epsg(32601)) and is_utm(CRS.from_epsg(32760))
    for code in (4326, 3857, 32600, 32661, 32761, 25832, 3035):
        try:
            crs = CRS.from_epsg(code)
        except ValueError:
            continue
        assert not is_utm(crs)


def test_a_box_is_a_plain_value():
    box = box_at(10.9, 46.6)
    assert box == Box(
        crs=box.crs, west=box.west, south=box.south, east=box.east, north=box.north
    ) and {box: 1}
