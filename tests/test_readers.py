"""Every supported kind of file gives the same patch, in the same place."""

import shutil
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
from rasterio.transform import from_origin

from ldsr.data.grid import ground_size
from ldsr.data.naming import ORDERS, band_named
from ldsr.data.reader import read_patch
from ldsr.errors import AmbiguousPatchError, PatchError
from tests.rasters import PLACE, UTM, make_dn, write_band_files, write_safe, write_tif

BOUNDS = (404400, 5342000, 404960, 5342400)
TWELVE = ORDERS[12][0].split(",")


def same(patch, dn: np.ndarray, *, offset_dn: float = 0) -> None:
    np.testing.assert_allclose(patch.reflectance, (dn.astype(float) + offset_dn) / 1e4, atol=1e-6)


def twelve(dn: np.ndarray) -> np.ndarray:
    """A twelve-band file with the four 10 m bands in their places."""
    values = np.full((12, *dn.shape[1:]), 1234, np.uint16)
    for layer, name in zip(dn, ("B04", "B03", "B02", "B08"), strict=True):
        values[TWELVE.index(name)] = layer
    return values


def test_four_bands_are_r_g_b_nir_in_their_place(tmp_path) -> None:
    dn = make_dn()
    patch = read_patch(str(write_tif(tmp_path / "a.tif", dn)))
    same(patch, dn)
    assert patch.bounds == BOUNDS and patch.crs.to_epsg() == 32633 and patch.gsd == 10
    assert patch.valid.all() and patch.source.name == "a.tif" and patch.source.kind == "upload"


@pytest.mark.parametrize(
    "names",
    [
        ("B02", "B03", "B04", "B08"),
        ("Band 2", "Band 3", "Band 4", "Band 8"),
        ("blue", "green", "red", "nir"),
        ("B2 - Blue", "B3 - Green", "B4 - Red", "B8 - NIR"),
    ],
)
def test_described_bands_are_reordered(tmp_path, names: tuple[str, ...]) -> None:
    dn = make_dn()
    same(read_patch(write_tif(tmp_path / "a.tif", dn[[2, 1, 0, 3]], names=names)), dn)


def test_stated_order_is_followed(tmp_path) -> None:
    dn = make_dn()
    path = write_tif(tmp_path / "a.tif", dn[[3, 2, 1, 0]])
    same(read_patch(path, bands=("B08", "B02", "B03", "B04")), dn)
    same(read_patch(path, bands="NIR,B,G,R"), dn)


def test_many_bands_are_chosen_by_description_or_answer(tmp_path) -> None:
    dn = make_dn()
    same(read_patch(write_tif(tmp_path / "a.tif", twelve(dn), names=TWELVE)), dn)
    path = write_tif(tmp_path / "b.tif", twelve(dn))
    with pytest.raises(AmbiguousPatchError) as caught:
        read_patch(path)
    assert caught.value.question == "bands"
    same(read_patch(path, bands=caught.value.choices[0]), dn)


def test_one_file_per_band_in_any_order(tmp_path) -> None:
    dn = make_dn()
    patch = read_patch(write_band_files(tmp_path, dn)[::-1])
    same(patch, dn)
    assert patch.bounds == BOUNDS


def test_jpeg_2000_files_read(tmp_path) -> None:
    safe = write_safe(tmp_path, make_dn())
    patch = read_patch(sorted(safe.rglob("*.jp2")))
    same(patch, make_dn())


@pytest.mark.parametrize(
    ("level", "baseline", "stated", "applied"),
    [("2A", "05.09", -1000, -1000), ("1C", "04.00", -1000, -1000), ("2A", "02.14", None, 0)],
)
def test_safe_folder_applies_its_own_offset(
    tmp_path, level: str, baseline: str, stated: int | None, applied: int
) -> None:
    dn = make_dn(offset_dn=-applied)
    safe = write_safe(tmp_path, dn, level=level, baseline=baseline, offset_dn=stated)
    patch = read_patch(safe)
    same(patch, dn, offset_dn=applied)
    assert patch.bounds == BOUNDS
    assert (patch.source.baseline, patch.source.offset_dn) == (baseline, applied)
    assert patch.source.acquired == datetime(2023, 6, 13, 10, 10, 31, 24000, tzinfo=UTC)


def test_zipped_safe_equals_the_folder(tmp_path) -> None:
    dn = make_dn(offset_dn=1000)
    safe = write_safe(tmp_path / "in", dn)
    path = shutil.make_archive(str(tmp_path / "product"), "zip", safe.parent, safe.name)
    patch = read_patch(path)
    np.testing.assert_array_equal(patch.reflectance, read_patch(safe).reflectance)
    assert patch.bounds == BOUNDS and patch.source.offset_dn == -1000


def test_arrays_read_in_both_orders_without_a_place(tmp_path) -> None:
    dn = make_dn()
    np.save(tmp_path / "first.npy", dn)
    np.save(tmp_path / "last.npy", np.moveaxis(dn, 0, -1))
    np.savez_compressed(tmp_path / "one.npz", dn=dn, other=np.zeros(3))
    for name in ("first.npy", "last.npy", "one.npz"):
        patch = read_patch(tmp_path / name)
        same(patch, dn)
        assert patch.crs is None and patch.transform is None
    np.save(tmp_path / "float.npy", np.asfortranarray(dn / 1e4).astype(">f8"))
    same(read_patch(tmp_path / "float.npy"), dn)


def test_window_is_cut_in_its_place(tmp_path) -> None:
    dn = make_dn(60, 80)
    cut = dn[:, 10:40, 20:60]
    patch = read_patch(write_tif(tmp_path / "a.tif", dn), window=(20, 10, 40, 30))
    same(patch, cut)
    assert patch.bounds == (404600, 5342000, 405000, 5342300)
    same(read_patch(write_band_files(tmp_path, dn), window=(20, 10, 40, 30)), cut)
    np.save(tmp_path / "a.npy", dn)
    same(read_patch(tmp_path / "a.npy", window=(20, 10, 40, 30)), cut)


def test_large_scene_reads_by_window_only(tmp_path) -> None:
    scene = np.tile(make_dn(64, 64), (1, 1, 20))
    path = write_tif(tmp_path / "a.tif", scene)
    with pytest.raises(PatchError, match="whole scenes are done by python -m ldsr scene"):
        read_patch(path)
    same(read_patch(path, window=(64, 0, 64, 64)), make_dn(64, 64))


def test_no_data_is_marked_and_zero(tmp_path) -> None:
    dn = make_dn().astype(np.float32)
    dn[:, :2] = 0
    dn[1, 5, 5] = np.nan
    dn[2, 6, 6] = np.inf
    dn[0, 7, 7] = -9999
    patch = read_patch(write_tif(tmp_path / "a.tif", dn, nodata=-9999))
    expected = np.ones((40, 56), dtype=bool)
    expected[:2] = expected[5, 5] = expected[6, 6] = expected[7, 7] = False
    np.testing.assert_array_equal(patch.valid, expected)
    assert not patch.reflectance[:, ~expected].any()


def test_zero_in_one_band_alone_is_a_value(tmp_path) -> None:
    dn = make_dn()
    dn[3, 4, 4] = 0
    assert read_patch(write_tif(tmp_path / "a.tif", dn)).valid.all()


def test_metadata_of_a_geotiff_is_used(tmp_path) -> None:
    dn = make_dn(offset_dn=1000)
    tags = {"PROCESSING_BASELINE": "05.09", "ACQUIRED": "2023-06-13T10:10:31Z", "LICENCE": "x"}
    by_tag = read_patch(write_tif(tmp_path / "a.tif", dn, tags=tags))
    by_scale = read_patch(write_tif(tmp_path / "b.tif", dn, scale=(1e-4, -0.1)))
    product = "S2A_MSIL2A_20230613T101031_N0509_R022_T33UUP_20230613T160000.tif"
    by_name = read_patch(write_tif(tmp_path / product, dn))
    for patch in (by_tag, by_scale, by_name):
        same(patch, dn, offset_dn=-1000)
        assert patch.source.offset_dn == -1000
    assert by_tag.source.acquired == by_name.source.acquired
    assert by_tag.source.licence == "x" and by_tag.source.baseline == "05.09"


def test_unknown_offset_is_asked_and_answered(tmp_path) -> None:
    dn = make_dn(offset_dn=1000)
    path = write_tif(tmp_path / "a.tif", dn)
    with pytest.raises(AmbiguousPatchError) as caught:
        read_patch(path)
    assert caught.value.question == "scale"
    same(read_patch(path, scale="(dn-1000)/10000"), dn, offset_dn=-1000)
    same(read_patch(path, scale="dn/10000"), dn)


def test_degrees_pass_where_pixels_are_ten_metres(tmp_path) -> None:
    grid = from_origin(116.5, -21.9, 9.69e-5, 9.03e-5)
    patch = read_patch(write_tif(tmp_path / "a.tif", make_dn(), crs="EPSG:4326", transform=grid))
    assert patch.crs.to_epsg() == 4326 and patch.transform == grid


def test_without_crs_the_picture_is_plain(tmp_path) -> None:
    patch = read_patch(write_tif(tmp_path / "a.tif", make_dn(), crs=None, transform=None))
    assert patch.crs is None and patch.bounds is None


def test_ground_size_is_measured() -> None:
    from rasterio.crs import CRS

    across, down, zone = ground_size(CRS.from_string(UTM), PLACE, 40, 40)
    assert abs(across - 10) < 0.02 and abs(down - 10) < 0.02 and zone == "EPSG:32633"
    for west in (190, -170):
        grid = from_origin(west, 10, 1e-4, 1e-4)
        assert ground_size(CRS.from_epsg(4326), grid, 40, 40)[2] == "EPSG:32602"


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B8A", "B8A"),
        ("B08", "B08"),
        ("T33UUP_20200601T101031_B02_10m", "B02"),
        ("Band 11", "B11"),
        ("R (B04)", "B04"),
        ("NIR", "B08"),
        ("rededge1", None),
        ("nir08", None),
        ("scene", None),
        (None, None),
    ],
)
def test_band_names(text: str | None, band: str | None) -> None:
    assert band_named(text) == band


def test_other_zip_members_do_not_matter(tmp_path) -> None:
    safe = write_safe(tmp_path / "in", make_dn(offset_dn=1000))
    path = tmp_path / "product.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(safe.rglob("*.*")):
            archive.write(file, file.relative_to(safe.parent))
        archive.writestr("readme.txt", "hello")
    assert read_patch(path).size == (40, 56)
