"""Pictures on a web map: every pixel where it lies on the ground, across the antimeridian too."""

import math

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform as warp

from ldsr.data.mercator import RADIUS, outline, to_mercator
from ldsr.data.places import box_at
from ldsr.errors import LdsrError

SIDE = 128
PIXEL = 2.5


def grid(x: float, y: float) -> Affine:
    return Affine(PIXEL, 0, x, 0, -PIXEL, y)


def mercator_y(lat: float) -> float:
    return math.asinh(math.tan(math.radians(lat)))


def pixel_at(bounds, size, lon: float, lat: float) -> tuple[float, float]:
    """Row and column at which Leaflet draws a place: linear in longitude and Mercator's y."""
    (south, west), (north, east) = bounds
    row = (mercator_y(north) - mercator_y(lat)) / (mercator_y(north) - mercator_y(south)) * size[0]
    return row, (lon - west) / (east - west) * size[1]


@pytest.mark.parametrize("row", [0, SIDE - 1])
@pytest.mark.parametrize("col", [0, SIDE - 1])
def test_a_marked_corner_lies_where_it_lies_on_the_ground(row, col):
    crs, transform = CRS.from_epsg(32635), grid(300000, 6655000)
    picture = np.full((SIDE, SIDE, 3), 40, np.uint8)
    picture[row, col] = 255
    warped, bounds = to_mercator(picture, crs, transform)
    x, y = transform * (col + 0.5, row + 0.5)
    (lon,), (lat,) = warp(crs, "EPSG:4326", [x], [y])
    assert 59.9 < lat < 60.1
    expected = pixel_at(bounds, warped.shape[:2], lon, lat)
    light = (warped[..., 0].astype(float) - 40).clip(0) * (warped[..., 3] > 0)
    found = [(light * (axis + 0.5)).sum() / light.sum() for axis in np.indices(light.shape)]
    assert math.dist(found, expected) < 1
    unwarped = pixel_at(bounds, (SIDE, SIDE), lon, lat)
    assert math.dist(unwarped, (row + 0.5, col + 0.5)) > 4, "drawn as it is, it would be misplaced"


def test_resolution_is_kept_and_what_is_outside_is_transparent():
    picture = np.full((SIDE, SIDE, 3), 200, np.uint8)
    warped, bounds = to_mercator(picture, CRS.from_epsg(32635), grid(300000, 6655000))
    assert warped.dtype == np.uint8 and warped.shape[2] == 4
    assert warped.shape[0] >= SIDE and warped.shape[1] >= SIDE
    alpha = warped[..., 3]
    assert set(np.unique(alpha)) == {0, 255} and alpha[0, 0] == alpha[-1, -1] == 0
    assert (warped[alpha == 255][:, :3] == 200).all(), "no dark seam along the edge"
    (south, west), (north, east) = bounds
    ground = (east - west) / warped.shape[1] * math.radians(1) * RADIUS * math.cos(math.radians(60))
    assert 2.3 < ground <= PIXEL + 0.01


def test_bounds_are_those_of_epsg_3857():
    crs, transform = CRS.from_epsg(32633), grid(500000, 5300000)
    (south, west), (north, east) = to_mercator(np.zeros((SIDE, SIDE, 3), np.uint8), crs, transform)[
        1
    ]
    ring = [
        transform * (a, b)
        for t in range(SIDE + 1)
        for a, b in ((t, 0), (t, SIDE), (0, t), (SIDE, t))
    ]
    xs, ys = warp(crs, "EPSG:3857", [x for x, _ in ring], [y for _, y in ring])
    (w, e), (s, n) = warp("EPSG:3857", "EPSG:4326", [min(xs), max(xs)], [min(ys), max(ys)])
    assert np.allclose([west, east, south, north], [w, e, s, n], atol=PIXEL / 10 / 111e3)


@pytest.mark.parametrize("lon", [179.9999, -179.9999, 180.0])
@pytest.mark.parametrize("crs", ["EPSG:32601", "EPSG:32660"])
def test_bounds_and_outline_run_on_across_the_antimeridian(lon, crs):
    box = box_at(lon, 65.0, 1280, crs=crs)
    picture = np.zeros((*box.size, 3), np.uint8)
    picture[:, : box.size[1] // 2] = 250
    warped, ((south, west), (north, east)) = to_mercator(
        picture, CRS.from_string(crs), box.transform
    )
    assert 179.9 < west < 180 < east < 180.1 and 64.9 < south < 65 < north < 65.1
    middle = warped[warped.shape[0] // 2, :, 0]
    assert middle[10] == 250 and middle[-10] == 0, "west is left"
    assert (warped[..., 3] == 255).mean() > 0.9
    ring = outline(box.size, CRS.from_string(crs), box.transform)
    lats, lons = zip(*ring, strict=True)
    assert ring[0] == ring[-1] and (min(lons), max(lons)) == pytest.approx((west, east), abs=1e-5)
    assert (min(lats), max(lats)) == pytest.approx((south, north), abs=1e-5)


def test_what_is_transparent_stays_so_and_lends_no_colour():
    picture = np.full((SIDE, SIDE, 4), 255, np.uint8)
    picture[40:80, 40:80] = 0
    warped, _ = to_mercator(picture, CRS.from_epsg(32633), grid(500000, 5300000))
    alpha = warped[..., 3]
    hole = alpha[50:70, 50:70]
    assert (hole == 0).all()
    assert (warped[alpha > 8][:, :3] > 250).all(), "the hole has no dark edge"


def test_without_a_position_it_is_one_sentence():
    with pytest.raises(LdsrError, match="no position"):
        to_mercator(np.zeros((16, 16, 3), np.uint8), None, None)
    with pytest.raises(LdsrError, match="no position"):
        outline((16, 16), None, grid(0, 0))
    with pytest.raises(LdsrError, match="no web map"):
        to_mercator(np.zeros((16, 16, 3), np.uint8), CRS.from_epsg(32633), grid(500000, 9.9e6))
