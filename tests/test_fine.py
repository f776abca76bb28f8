"""Pictures at 2.5 m come back as they were written, and bad files are refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import from_origin

from ldsr.data.fine import read_fine
from ldsr.data.geotiff import write_patch
from ldsr.errors import PatchError
from tests.pictures import make_hr, place
from tests.rasters import UTM, make_dn, write_tif

FINE = from_origin(404400, 5342400, 2.5, 2.5)


def test_a_result_comes_back(tmp_path: Path) -> None:
    valid = np.ones((128, 128), bool)
    valid[10:20, 30:50] = False
    hr = place(make_hr().reflectance, 2.5, valid=valid)
    found = read_fine(write_patch(hr, tmp_path / "sr.tif"))
    assert np.array_equal(found.reflectance, hr.reflectance)
    assert np.array_equal(found.valid, valid)
    assert (found.crs, found.transform, found.gsd) == (hr.crs, hr.transform, 2.5)
    assert found.source.name == "sr.tif"


def test_band_order_and_digital_numbers(tmp_path: Path) -> None:
    dn = make_dn(64, 80)
    names = ("B08 NIR", "B02 blue", "B03 green", "B04 red")
    path = write_tif(tmp_path / "a.tif", dn[[3, 2, 1, 0]], names=names, transform=FINE)
    assert read_fine(path).reflectance == pytest.approx(dn / 10000)
    scaled = write_tif(tmp_path / "b.tif", dn, transform=FINE, scale=(2e-4, 0.0))
    assert read_fine(scaled).reflectance == pytest.approx(dn * 2e-4)
    plain = write_tif(tmp_path / "c.tif", (dn / 1e4).astype(np.float32), crs=None, transform=None)
    assert read_fine(plain).crs is None and read_fine(plain).transform is None


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("three.tif", make_dn(64, 64)[:3], "three bands"),
        ("bytes.tif", (make_dn(64, 64) >> 8).astype(np.uint8), "8 bit"),
        ("tiny.tif", make_dn(32, 64), "64 x 32 pixels, expected 64 to 4096"),
        ("empty.tif", np.zeros((4, 64, 64), np.uint16), "no valid pixel"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, values: np.ndarray, words: str) -> None:
    path = write_tif(tmp_path / name, values, crs=UTM, transform=FINE)
    with pytest.raises(PatchError, match=words) as error:
        read_fine(path)
    assert "\n" not in str(error.value)


def test_no_picture_at_all(tmp_path: Path) -> None:
    with pytest.raises(PatchError, match="no file"):
        read_fine(tmp_path / "none.tif")
    with pytest.raises(PatchError, match="no file"):
        read_fine(tmp_path)
    (tmp_path / "zero.tif").touch()
    with pytest.raises(PatchError, match="0 bytes"):
        read_fine(tmp_path / "zero.tif")
    (tmp_path / "text.tif").write_text("no picture, whatever it is called")
    with pytest.raises(PatchError, match="cannot be opened"):
        read_fine(tmp_path / "text.tif")
    sound = write_tif(tmp_path / "cut.tif", make_dn(256, 256), transform=FINE).read_bytes()
    (tmp_path / "cut.tif").write_bytes(sound[: len(sound) // 2])
    with pytest.raises(PatchError):
        read_fine(tmp_path / "cut.tif")
