"""A whole scene read by windows is the scene, whatever it is stored as."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform as warp

from ldsr.data.addresses import MOST_OPEN
from ldsr.data.patch import MAX_SIDE
from ldsr.data.reader import read_patch
from ldsr.data.spots import rounds
from ldsr.data.whole import open_scene
from ldsr.errors import AmbiguousPatchError, PatchError, SceneError
from tests.rasters import PLACE, UTM, make_dn, write_band_files, write_safe, write_tif

WINDOWS = [(0, 0, 56, 40), (20, 10, 33, 17), (39, 3, 17, 37)]
BOTTOM_UP = ("B08", "B04", "B03", "B02")


def at(col: int, row: int, size: float = 10) -> Affine:
    """The grid of PLACE, begun elsewhere."""
    return from_origin(PLACE.c + 10 * col, PLACE.f - 10 * row, size, size)


def no_data(dn: np.ndarray) -> np.ndarray:
    dn[:, 5:9, 20:30] = 0
    dn[2, 30, 30] = 0
    return dn


def _four(folder: Path) -> Path:
    return write_tif(folder / "a.tif", no_data(make_dn())[[3, 0, 1, 2]], names=BOTTOM_UP)


def _masked(folder: Path) -> Path:
    return write_tif(folder / "a.tif", no_data(make_dn()), nodata=0)


def _floats(folder: Path) -> Path:
    reflectance = (make_dn() / 1e4).astype(np.float32)
    reflectance[1, 3:6, 40:50] = np.nan
    return write_tif(folder / "a.tif", reflectance, tiled=True, blockxsize=16, blockysize=16)


def _jp2(folder: Path) -> Path:
    options = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
    return write_tif(folder / "a.jp2", make_dn(), **options)


def _safe(folder: Path) -> Path:
    return write_safe(folder, no_data(make_dn(offset_dn=1000)))


def _zip(folder: Path) -> Path:
    safe = _safe(folder / "in")
    return Path(shutil.make_archive(str(folder / "product"), "zip", safe.parent, safe.name))


@pytest.mark.parametrize("make", [_four, _masked, _floats, _jp2, _safe, _zip])
def test_a_window_is_what_read_patch_reads(tmp_path, make) -> None:
    path = make(tmp_path)
    with open_scene(path) as scene:
        assert scene.size == (40, 56) and scene.name == path.name and not scene.has_classes
        assert scene.transform == PLACE and scene.crs.to_string() == UTM
        for window in WINDOWS:
            found, expected = scene.read(window), read_patch(path, window=window, kind="scene")
            np.testing.assert_array_equal(found.reflectance, expected.reflectance)
            np.testing.assert_array_equal(found.valid, expected.valid)
            assert (found.crs, found.transform) == (expected.crs, expected.transform)
            assert found.scl is None and found.source is scene.source
        assert scene.source == read_patch(path, kind="scene").source


def test_any_size_from_one_pixel_and_only_inside(tmp_path) -> None:
    dn = no_data(make_dn())
    with open_scene(write_tif(tmp_path / "a.tif", dn)) as scene:
        assert scene.read((55, 39, 1, 1)).reflectance[0, 0, 0] == np.float32(dn[0, 39, 55] / 1e4)
        empty = scene.read((20, 5, 10, 4))
        assert not empty.valid.any() and not empty.reflectance.any()
        for window in ((-1, 0, 9, 9), (0, 0, 57, 9), (0, 0, 0, 4), (9, 39, 2, 2), (1, 2), "all"):
            with pytest.raises(PatchError, match="^The window .*(within a.tif|expected column)"):
                scene.read(window)


def test_stated_bands_and_a_stated_scale_are_followed(tmp_path) -> None:
    dn = make_dn(offset_dn=1000)
    path = write_tif(tmp_path / "a.tif", dn[[3, 0, 1, 2]])
    with pytest.raises(AmbiguousPatchError) as caught, open_scene(path, bands=BOTTOM_UP):
        pass
    with open_scene(path, bands=BOTTOM_UP, scale=caught.value.choices[1]) as scene:
        found = scene.read((0, 0, 56, 40)).reflectance
    np.testing.assert_allclose(found, (dn - 1000.0) / 1e4, atol=1e-7)


def test_a_plain_picture_has_no_place(tmp_path) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn(), crs=None, transform=None)
    with open_scene(path) as scene:
        assert scene.crs is scene.transform is scene.read((3, 3, 9, 9)).transform is None
    with pytest.raises(SceneError, match="no CRS"), open_scene(path, bounds=(0, 0, 1, 1)):
        pass


def test_one_radiometry_for_dark_and_bright_windows(tmp_path) -> None:
    """Alone, the bright part would be a question; the dark one answers it for the scene."""
    dn = np.tile(make_dn(60, 60), (1, 20, 20))
    dn[:, :, 500:] += 3000
    path = write_tif(tmp_path / "a.tif", dn, compress="deflate")
    dark, bright = (10, 700, 64, 64), (1100, 700, 64, 64)
    with pytest.raises(AmbiguousPatchError):
        read_patch(path, window=bright)
    with open_scene(path) as scene:
        for col, row, wide, high in (dark, bright):
            found = scene.read((col, row, wide, high)).reflectance
            expected = dn[:, row : row + high, col : col + wide] / 1e4
            np.testing.assert_allclose(found, expected, atol=1e-7)
        assert (scene.source.scale, scene.source.offset_dn) == (1e-4, 0)
        sample = scene.sample()
    assert sample.size == (1024, 1024) and sample.valid.all() and sample.transform is None
    share = (sample.reflectance[3] > 0.45).mean()
    assert 0.4 < share < 0.8, "from both parts"


def test_a_small_scene_is_its_own_sample(tmp_path) -> None:
    path = _masked(tmp_path)
    with open_scene(path) as scene:
        np.testing.assert_array_equal(scene.sample().valid, read_patch(path).valid)


@pytest.mark.parametrize("island", [(1500, 1420), (0, 0), (2180, 1580)])
def test_data_are_found_wherever_they_are(tmp_path, island) -> None:
    row, col = island
    dn = np.zeros((4, 2200, 1600), np.uint16)
    dn[:, row : row + 20, col : col + 20] = make_dn(20, 20)
    path = write_tif(tmp_path / "a.tif", dn, compress="deflate", tiled=True)
    with open_scene(path) as scene:
        sample = scene.sample()
        assert 0 < sample.valid.sum() <= 4 * 400 and max(sample.size) <= MAX_SIDE
        assert scene.read((col, row, 20, 20)).valid.all()


@pytest.mark.parametrize("size", [(1025, 16), (16, 5000), (3000, 1700), (1024, 1030)])
def test_the_last_round_leaves_no_pixel_out(size) -> None:
    width, height = size
    *_, last = rounds(width, height)
    seen = np.zeros((height, width), bool)
    for col, row, wide, high in last:
        assert min(col, row) >= 0 and col + wide <= width and row + high <= height
        seen[row : row + high, col : col + wide] = True
    assert seen.all() and len(next(rounds(width, height))) <= 16
    assert next(rounds(1024, 700)) == [(0, 0, 1024, 700)]


def tiles(folder: Path, dn: np.ndarray, **cuts: tuple[int, int, int, int]) -> Path:
    """Write parts (column, row, width, height) of a picture, by file name."""
    folder.mkdir()
    for name, (col, row, wide, high) in cuts.items():
        part = dn[:, row : row + high, col : col + wide]
        write_tif(folder / f"{name}.tif", part, transform=at(col, row))
    return folder


def test_a_folder_is_one_picture_without_seams(tmp_path) -> None:
    dn = make_dn(70, 90)
    cuts = {"d": (0, 0, 40, 30), "b": (40, 0, 50, 44), "a": (0, 30, 40, 40), "c": (30, 44, 60, 26)}
    folder = tiles(tmp_path / "pass", dn, **cuts)
    with open_scene(folder) as scene:
        assert scene.size == (70, 90) and scene.transform == PLACE and scene.name == "pass"
        whole = scene.read((0, 0, 90, 70))
        assert whole.valid.all()
        np.testing.assert_allclose(whole.reflectance, dn / 1e4, atol=1e-7)
        part = scene.read((33, 25, 20, 30))
    np.testing.assert_array_equal(part.reflectance, whole.reflectance[:, 25:55, 33:53])
    assert part.transform == at(33, 25)


def test_the_first_with_data_counts_and_gaps_stay(tmp_path) -> None:
    first, second = make_dn(40, 40, seed=1), make_dn(40, 40, seed=2)
    first[:, 10:20] = 0
    tiles(tmp_path / "pass", first, a=(0, 0, 40, 40))
    write_tif(tmp_path / "pass" / "b.tif", second, transform=at(-20, 5))
    with open_scene(tmp_path / "pass") as scene:
        assert scene.size == (45, 60) and scene.transform == at(-20, 0)
        found = scene.read((0, 0, 60, 45))
    expected = np.zeros((4, 45, 60))
    expected[:, 5:, :40] = second
    expected[:, :40, 20:] = np.where(first.any(axis=0), first, expected[:, :40, 20:])
    np.testing.assert_allclose(found.reflectance, expected / 1e4, atol=1e-7)
    np.testing.assert_array_equal(found.valid, expected.any(axis=0))


def test_files_that_say_different_things_are_decided_apart(tmp_path) -> None:
    dn = make_dn(40, 80)
    tiles(tmp_path / "pass", dn, b=(40, 0, 40, 40))
    tags = {"PROCESSING_BASELINE": "05.09", "ACQUIRED": "2023-06-13T10:10:31Z"}
    write_tif(tmp_path / "pass" / "a.tif", dn[:, :, :40] + np.uint16(1000), tags=tags)
    with open_scene(tmp_path / "pass") as scene:
        np.testing.assert_allclose(scene.read((0, 0, 80, 40)).reflectance, dn / 1e4, atol=1e-7)
        source = scene.source
    assert "a.tif: (dn-1000)" in source.radiometry and "b.tif: dn x" in source.radiometry
    assert source.acquired is None and source.baseline is None


def test_a_folder_of_band_files_is_their_picture(tmp_path) -> None:
    dn = make_dn()
    files = write_band_files(tmp_path, dn)
    stem, coarse = tmp_path / "T33UUP_20200613T101031_", at(0, 0, 20)
    write_tif(Path(f"{stem}B05_20m.tif"), dn[:1, ::2, ::2], transform=coarse)
    classes = np.full((1, 20, 28), 4, np.uint8)
    write_tif(Path(f"{stem}SCL_20m.tif"), classes, transform=coarse)
    with open_scene(tmp_path) as scene:
        found = scene.read((0, 0, 56, 40))
    np.testing.assert_array_equal(found.reflectance, read_patch(files).reflectance)
    assert (found.scl == 4).all()


def test_more_files_than_are_kept_open(tmp_path) -> None:
    dn = make_dn(16, 16 * (MOST_OPEN + 5))
    cuts = {f"t{i:02}": (16 * i, 0, 16, 16) for i in range(MOST_OPEN + 5)}
    with open_scene(tiles(tmp_path / "pass", dn, **cuts)) as scene:
        found = scene.read((0, 0, dn.shape[2], 16))
        still = [file for each in scene._placed for file in each.piece.files if file._dataset]
        assert len(still) == MOST_OPEN
    np.testing.assert_allclose(found.reflectance, dn / 1e4, atol=1e-7)
    assert not any(file._dataset for each in scene._placed for file in each.piece.files)


@pytest.mark.parametrize("zipped", [False, True])
def test_the_classification_of_a_product_lies_where_its_pixels_lie(tmp_path, zipped) -> None:
    classes = np.random.default_rng(0).integers(0, 12, (20, 28), np.uint8)
    path = write_safe(tmp_path / "in", make_dn(offset_dn=1000), classes=classes)
    if zipped:
        path = shutil.make_archive(str(tmp_path / "product"), "zip", path.parent, path.name)
    fine = classes.repeat(2, 0).repeat(2, 1)
    with open_scene(path) as scene:
        assert scene.has_classes
        for col, row, wide, high in [*WINDOWS, (7, 9, 1, 1), (8, 9, 2, 3)]:
            found = scene.read((col, row, wide, high))
            expected = fine[row : row + high, col : col + wide]
            np.testing.assert_array_equal(found.scl, expected)
            np.testing.assert_array_equal(found.valid, expected > 0)
        assert scene.source.offset_dn == -1000 and scene.sample().scl is not None
        assert scene.source.acquired.isoformat() == "2023-06-13T10:10:31.024000+00:00"


def lonlat(col: float, row: float) -> tuple[float, float]:
    (lon,), (lat,) = warp(UTM, "EPSG:4326", [PLACE.c + 10 * col], [PLACE.f - 10 * row])
    return lon, lat


def test_bounds_are_snapped_outwards_to_pixels(tmp_path) -> None:
    dn = make_dn(100, 120)
    path = write_tif(tmp_path / "a.tif", dn)
    (west, north), (east, south) = lonlat(30.5, 20.5), lonlat(70.5, 60.5)
    with open_scene(path, bounds=(west, south, east, north)) as scene:
        left = round((scene.transform.c - PLACE.c) / 10)
        top = round((PLACE.f - scene.transform.f) / 10)
        assert scene.transform == at(left, top)
        right, bottom = left + scene.size[1], top + scene.size[0]
        found = scene.read((0, 0, *scene.size[::-1])).reflectance
    # In UTM meridians lean: the box reaches out to all four corners of the bounds.
    corners = [warp("EPSG:4326", UTM, [x], [y]) for x in (west, east) for y in (south, north)]
    cols = [((x[0] - PLACE.c) / 10) for x, _ in corners]
    rows = [((PLACE.f - y[0]) / 10) for _, y in corners]
    assert left == np.floor(min(cols)) and right == np.ceil(max(cols))
    assert top == np.floor(min(rows)) and bottom == np.ceil(max(rows))
    np.testing.assert_allclose(found, dn[:, top:bottom, left:right] / 1e4, atol=1e-7)


def test_bounds_beyond_the_edge_are_cut(tmp_path) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn(100, 120))
    (west, north), (east, south) = lonlat(-50, -50), lonlat(50.5, 40.5)
    with open_scene(path, bounds=(west, south, east, north)) as scene:
        assert scene.transform == PLACE
        assert scene.size[0] in (41, 42) and scene.size[1] in (51, 52)
    degrees = from_origin(116.5, -21.9, 1e-4, 9e-5)
    write_tif(tmp_path / "b.tif", make_dn(100, 120), crs="EPSG:4326", transform=degrees)
    bounds = (116.502, -21.907, 116.506, -21.9045)
    with open_scene(tmp_path / "b.tif", bounds=bounds) as scene:
        assert scene.size == (28, 40) and scene.transform.c == pytest.approx(116.502)


BOUNDS = {
    (0, 0, 1, 1): "^The bounds lie outside of a.tif, which reaches from 13.71",
    (1, 2, 3): "expected four numbers",
    ("a", 1, 2, 3): "expected four numbers",
    (13.7, 48.3, 13.8, 48.2): "south below north",
    (13.7, 48, np.nan, 49): "south below north",
    (*lonlat(50, 55), *lonlat(55, 50)): "within the bounds, expected at least 16 x 16",
    (-30, 10, -29, 11): "outside of a.tif|cannot be placed",
}


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_bounds_that_are_none_of_the_scene(tmp_path, bounds) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn(100, 120))
    with pytest.raises(SceneError, match=BOUNDS[bounds]), open_scene(path, bounds=bounds):
        pass


def test_a_damaged_block_fails_alone_and_works_once_mended(tmp_path) -> None:
    dn = np.tile(make_dn(60, 60), (1, 20, 20))
    tiling = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate"}
    path = write_tif(tmp_path / "a.tif", dn, **tiling)
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_32_32", "TIFF", bidx=1))
    sound = path.read_bytes()
    path.write_bytes(sound[:start] + bytes(40) + sound[start + 40 :])
    with open_scene(path) as scene:
        for _ in range(2):
            with pytest.raises(PatchError, match="^a.tif is damaged or cut off.*again.$"):
                scene.read((512, 512, 8, 8))
            assert scene.read((0, 700, 64, 64)).valid.all()
        path.write_bytes(sound)
        np.testing.assert_allclose(
            scene.read((512, 512, 8, 8)).reflectance, dn[:, 512:520, 512:520] / 1e4, atol=1e-7
        )
        write_tif(path, dn[:, :1100])
        scene._placed[0].piece.close()
        with pytest.raises(PatchError, match="not the file any more"):
            scene.read((0, 0, 8, 8))
