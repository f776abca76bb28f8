"""The sound files that all others are made of; small, so that what is changed matters."""

import functools
import io
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.shutil import copy as raster_copy

from tests.rasters import make_dn, write_band_files, write_safe, write_tif

TIFFS = ("strips", "tiles", "deflate", "float", "lzw", "big", "cog", "masked", "described")
BANDS = ("B02", "B03", "B04", "B08")


@functools.cache
def tiff(key: str) -> bytes:
    """A GeoTIFF: one of TIFFS."""
    dn = make_dn()
    tile = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    tags = {"PROCESSING_BASELINE": "05.09", "LICENCE": "free", "ACQUIRED": "2023-06-13T10:10:31Z"}
    reflectance = (dn / 1e4).astype(np.float32)
    options: dict[str, tuple] = {
        "strips": (dn, {}),
        "tiles": (dn, tile),
        "deflate": (dn, tile | {"compress": "deflate", "predictor": 2}),
        "float": (reflectance, {"compress": "deflate", "predictor": 3, "nodata": -9999}),
        "lzw": (dn, {"compress": "lzw", "interleave": "pixel"}),
        "big": (dn, {"BIGTIFF": "YES"}),
        "cog": (make_dn(160, 160), {}),
        "masked": (dn, {}),
        "described": (dn, {"names": ("R", "G", "B", "NIR"), "tags": tags, "scale": (1e-4, 0.0)}),
    }
    values, more = options[key]
    with tempfile.TemporaryDirectory() as folder:
        path = write_tif(Path(folder) / "a.tif", values, **more)
        if key == "masked":
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
                mask = np.full(dn.shape[1:], 255, np.uint8)
                mask[:3] = 0
                dataset.write_mask(mask)
        if key == "cog":
            whole = Path(folder) / "cog.tif"
            raster_copy(str(path), str(whole), driver="COG", compress="deflate", blocksize=128)
            return whole.read_bytes()
        return path.read_bytes()


@functools.cache
def jp2(bands: int = 4) -> bytes:
    """A lossless JPEG 2000 file."""
    with tempfile.TemporaryDirectory() as folder:
        options = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
        return write_tif(Path(folder) / "a.jp2", make_dn()[:bands], **options).read_bytes()


@functools.cache
def safe() -> dict[str, bytes]:
    """The files of a .SAFE product by name."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_safe(Path(folder), make_dn(offset_dn=1000), classes=np.ones((20, 28), "u1"))
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root.parent)): path.read_bytes() for path in files}


def zipped(files: dict[str, bytes], *, deflated: bool = False) -> bytes:
    """A zip of some files, the same each time."""
    content = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, member in files.items():
            info = zipfile.ZipInfo(name, (2023, 6, 13, 10, 10, 30))
            archive.writestr(info, member, compress_type=method)
    return content.getvalue()


@functools.cache
def npy(dtype: str = "uint16") -> bytes:
    """A NumPy array [4, H, W]."""
    content = io.BytesIO()
    values = make_dn()
    np.save(content, values / 1e4 if dtype.startswith("f") else values.astype(dtype))
    return content.getvalue()


@functools.cache
def npz(*, deflated: bool = True) -> bytes:
    """An .npz with the picture and something else."""
    other = io.BytesIO()
    np.save(other, np.zeros(3))
    return zipped({"dn.npy": npy(), "other.npy": other.getvalue()}, deflated=deflated)


@functools.cache
def band_files() -> dict[str, bytes]:
    """Four files of one band each."""
    with tempfile.TemporaryDirectory() as folder:
        paths = write_band_files(Path(folder), make_dn())
        return {path.name: path.read_bytes() for path in paths}


@functools.cache
def mosaic() -> dict[str, bytes]:
    """Two pictures side by side."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_tif(root / "a.tif", make_dn())
        there = rasterio.Affine(10, 0, 404400 + 560, 0, -10, 5342400)
        write_tif(root / "b.tif", make_dn(seed=1), transform=there)
        return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


@functools.cache
def item() -> dict:
    """A STAC item of the files of `band_files`, beside it."""
    names = {name.split("_")[-2]: name for name in band_files()}
    assets = {
        key: {"href": f"./{names[band]}", "raster:bands": [{"scale": 1e-4, "offset": 0.0}]}
        for key, band in (("red", "B04"), ("green", "B03"), ("blue", "B02"), ("nir", "B08"))
    }
    said = {
        "datetime": "2020-06-13T10:10:31Z",
        "platform": "sentinel-2a",
        "proj:epsg": 32633,
        "s2:processing_baseline": "02.14",
        "eo:cloud_cover": 3.5,
    }
    return {"type": "Feature", "id": "S2A_ITEM", "properties": said, "assets": assets}


def item_files(document: object) -> dict[str, bytes]:
    """The files of an item, and the item as item.json."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return band_files() | {"item.json": text}
