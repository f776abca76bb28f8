"""What is written is a valid COG in exactly the bounds of the input, complete or not there."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine
from rio_cogeo.cogeo import cog_validate

from ldsr.data.geotiff import encode_geotiff, write_geotiff, write_patch
from ldsr.data.patch import Patch
from ldsr.data.reader import read_patch
from ldsr.errors import LdsrError
from ldsr.result import StageFigures, SuperResolution
from ldsr.settings import Settings
from tests.rasters import make_dn, write_tif


def finer(grid: Affine | None) -> Affine | None:
    return grid and Affine(grid.a / 4, grid.b / 4, grid.c, grid.d / 4, grid.e / 4, grid.f)


def larger(patch: Patch) -> Patch:
    """The same picture on a grid four times as fine."""
    return Patch(
        reflectance=patch.reflectance.repeat(4, axis=1).repeat(4, axis=2),
        valid=patch.valid.repeat(4, axis=0).repeat(4, axis=1),
        crs=patch.crs,
        transform=finer(patch.transform),
        source=patch.source,
    )


def make_result(lr: Patch, *, detail: np.ndarray | None = None) -> SuperResolution:
    sr = larger(lr)
    base = Patch(reflectance=sr.reflectance / 2, valid=sr.valid, crs=sr.crs, transform=sr.transform)
    return SuperResolution(
        lr=lr,
        base=base,
        sr=sr,
        settings=Settings(seed=7),
        weights="mini",
        weights_sha256="ab" * 32,
        seconds={"total": 1.5},
        figures={
            "base": StageFigures(
                steps_computed=8, steps_skipped=0, residual_before=0.01, residual_after=1e-5
            )
        },
        out_of_range=0.0,
        detail=detail,
    )


@pytest.fixture
def lr(tmp_path) -> Patch:
    dn = make_dn(100, 150)
    dn[:, :3, :5] = 0
    return read_patch(write_tif(tmp_path / "lr.tif", dn))


def test_result_keeps_bounds_crs_values_and_no_data(lr: Patch, tmp_path) -> None:
    result = make_result(lr)
    path = write_geotiff(result, tmp_path / "sr.tif")
    with rasterio.open(path) as dataset:
        assert tuple(dataset.bounds) == tuple(lr.bounds)
        assert dataset.crs == lr.crs
        assert dataset.res == (2.5, 2.5)
        assert dataset.dtypes == ("float32",) * 4
        assert dataset.descriptions == ("R (B04)", "G (B03)", "B (B02)", "NIR (B08)")
        assert np.isnan(dataset.nodata)
        stored = dataset.read()
    assert np.isnan(stored[:, :12, :20]).all()
    np.testing.assert_array_equal(np.isnan(stored[0]), ~result.sr.valid)
    np.testing.assert_array_equal(np.nan_to_num(stored), result.sr.reflectance)


def test_file_is_a_cloud_optimised_geotiff(lr: Patch, tmp_path) -> None:
    path = write_geotiff(make_result(lr), tmp_path / "sr.tif")
    with rasterio.open(path) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.compression.name == "deflate"
        assert dataset.block_shapes == [(256, 256)] * 4
        assert dataset.overviews(1) == [2, 4]
    assert cog_validate(path, strict=True, quiet=True)[0]


def test_bytes_are_those_of_the_file_and_leave_nothing_behind(lr: Patch, tmp_path, monkeypatch):
    result = make_result(lr)
    written = write_geotiff(result, tmp_path / "sr.tif").read_bytes()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    assert encode_geotiff(result) == written
    assert {path.name for path in tmp_path.iterdir()} == {"lr.tif", "sr.tif"}
    with pytest.raises(LdsrError, match="expected one of"):
        encode_geotiff(result, picture="lr")


def test_tags_say_how_it_was_made(lr: Patch, tmp_path) -> None:
    result = make_result(lr)
    with rasterio.open(write_geotiff(result, tmp_path / "sr.tif")) as dataset:
        tags = dataset.tags()
    assert Settings.from_json(tags["settings"]) == result.settings
    assert (tags["weights"], tags["weights_sha256"]) == ("mini", "ab" * 32)
    assert json.loads(tags["source"])["name"] == "lr.tif"
    assert float(tags["residual_after"]) == 1e-5
    assert json.loads(tags["run_sheet"]) == json.loads(json.dumps(result.run_sheet()))
    assert tags["software"]


def test_base_is_written_on_request(lr: Patch, tmp_path) -> None:
    result = make_result(lr)
    path = write_geotiff(result, tmp_path / "base.tif", picture="base")
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(np.nan_to_num(dataset.read()), result.base.reflectance)
    with pytest.raises(LdsrError, match="expected one of sr, base, detail, uncertainty"):
        write_geotiff(result, path, picture="moon")


def test_picture_without_place_is_written_without(tmp_path) -> None:
    np.save(tmp_path / "plain.npy", make_dn())
    patch = read_patch(tmp_path / "plain.npy")
    again = read_patch(write_patch(patch, tmp_path / "plain.tif"))
    assert again.crs is None and again.transform is None
    np.testing.assert_array_equal(again.reflectance, patch.reflectance)


def test_written_patch_reads_back_the_same(lr: Patch, tmp_path) -> None:
    again = read_patch(write_patch(lr, tmp_path / "again.tif", tags={"note": "x"}))
    assert again.bounds == lr.bounds and again.crs == lr.crs
    np.testing.assert_array_equal(again.valid, lr.valid)
    np.testing.assert_array_equal(again.reflectance, lr.reflectance)


def test_failed_write_leaves_nothing_and_keeps_what_was_there(lr: Patch, tmp_path) -> None:
    with pytest.raises(LdsrError, match="cannot be written"):
        write_patch(lr, tmp_path / "nowhere" / "sr.tif")
    folder = tmp_path / "taken.tif"
    folder.mkdir()
    with pytest.raises(LdsrError, match="cannot be written"):
        write_patch(lr, folder)
    assert not list(tmp_path.glob(".*.part"))


def test_detail_is_a_companion_of_one_band_on_the_same_ground(lr: Patch, tmp_path: Path) -> None:
    detail = np.random.default_rng(0).random((4 * lr.size[0], 4 * lr.size[1])).astype(np.float32)
    path = write_geotiff(make_result(lr, detail=detail), tmp_path / "d.tif", picture="detail")
    with rasterio.open(path) as raster:
        assert raster.count == 1 and raster.bounds == lr.bounds and raster.crs == lr.crs
        assert "generated detail" in raster.descriptions[0]
        written = raster.read(1)
    valid = np.isfinite(written)
    assert np.array_equal(written[valid], detail[valid])
    assert not valid[:12, :20].any() and valid[12:].all(), "no data stays no data"
    with pytest.raises(LdsrError, match="no second stage"):
        write_geotiff(make_result(lr), tmp_path / "d.tif", picture="detail")
