"""A patch checks itself once, and derives its place from its transform."""

import numpy as np
import pytest
from rasterio.crs import CRS

from ldsr.data.patch import Patch
from ldsr.errors import PatchError
from tests.rasters import PLACE


def make(**changes: object) -> Patch:
    fields = {
        "reflectance": np.zeros((4, 20, 30), np.float32),
        "valid": np.ones((20, 30), dtype=bool),
        "crs": CRS.from_epsg(32633),
        "transform": PLACE,
    }
    return Patch(**{**fields, **changes})


def test_place_is_derived_from_the_transform() -> None:
    patch = make()
    assert patch.size == (20, 30)
    assert patch.gsd == 10
    assert patch.bounds == (404400, 5342200, 404700, 5342400)
    assert patch.centre == (404550, 5342300)


def test_plain_picture_has_no_place() -> None:
    patch = make(crs=None, transform=None)
    assert patch.gsd is patch.bounds is patch.centre is None


@pytest.mark.parametrize(
    "changes",
    [
        {"reflectance": np.zeros((3, 20, 30), np.float32)},
        {"reflectance": np.zeros((20, 30), np.float32)},
        {"reflectance": np.zeros((4, 20, 30), np.float64)},
        {"reflectance": np.full((4, 20, 30), np.nan, np.float32)},
        {"valid": np.ones((30, 20), dtype=bool)},
        {"valid": np.ones((20, 30), np.uint8)},
    ],
)
def test_wrong_pictures_are_refused(changes: dict) -> None:
    with pytest.raises(PatchError):
        make(**changes)
