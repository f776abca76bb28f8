"""Blocks and the file they become: one Cloud-optimised BigTIFF, written by GDAL block by block."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader, MemoryFile
from rasterio.shutil import copy as raster_copy
from rasterio.transform import Affine

from ldsr.data.geotiff import BLOCK, SOFTWARE
from ldsr.data.rasters import GDAL_ERRORS, quiet_gdal
from ldsr.errors import LdsrError
from ldsr.result import SCALE
from ldsr.scene.windows import Key, Plan

DTYPES = ("uint16", "float32")
STEP, OFFSET = 1e-4, -0.1
"""uint16: value = number x STEP + OFFSET, as Sentinel-2 since baseline 04.00; 0 is no data."""
CACHE = 256
"""Megabytes that GDAL may hold of blocks while it writes; by default it takes 5 % of the memory."""
_GDAL_NAME = {"uint16": "UInt16", "float32": "Float32"}


def encode(values: np.ndarray, dtype: str) -> np.ndarray:
    """Turn values (NaN: no data) into what the file holds."""
    if dtype == "float32":
        return values.astype(np.float32)
    numbers = np.rint((values.astype(np.float64) - OFFSET) / STEP)
    return np.where(np.isnan(values), 0, np.clip(numbers, 1, 65535)).astype(np.uint16)


def needed_bytes(plan: Plan, bands: int, dtype: str) -> int:
    """Room that a scene may need beside its file while it is made, and for the file.

    Blocks and the file at most as large as they are unpacked, a third for overviews, and the parts
    of three rows of windows.
    """
    pixels = SCALE**2 * plan.size[0] * plan.size[1]
    row = max(len(window.given[0]) for window in plan.windows) * plan.size[1] * SCALE**2
    packed = pixels * bands * np.dtype(dtype).itemsize
    return round(packed * (1 + 4 / 3)) + 3 * row * bands * 4


def write_block(path: Path, values: np.ndarray, dtype: str) -> None:
    """Write a block [C, H, W]; its place is known by its name alone."""
    encoded = encode(values, dtype)
    count, height, width = encoded.shape
    profile = {"driver": "GTiff", "dtype": dtype, "count": count, "height": height, "width": width}
    layout = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "interleave": "band"}
    packing = {"compress": "zstd", "zstd_level": 1, "predictor": 2 if dtype == "uint16" else 3}
    with quiet_gdal(), MemoryFile() as memory:
        with memory.open(**profile, **layout, **packing) as file:
            file.write(encoded)
        # not by GDAL: on a full disk it may say nothing
        path.write_bytes(memory.getbuffer())


def write_cog(
    path: Path,
    *,
    blocks: Mapping[Key, Path],
    plan: Plan,
    bands: Sequence[str],
    dtype: str,
    crs: CRS | None,
    transform: Affine | None,
    tags: Mapping[str, str],
) -> None:
    """Write the file of a scene; memory does not grow with its size.

    Args:
        path: the file to write; what fails leaves a part of it.
        blocks: files of the blocks that hold data.
        plan: where they lie.
        bands: names of the bands.
        dtype: one of DTYPES.
        crs: of the scene, or None.
        transform: of the scene (10 m), or None.
        tags: text to store.

    Raises:
        LdsrError: it cannot be written.
    """
    mosaic = path.with_name("mosaic.vrt")
    mosaic.write_text(_vrt(blocks, plan, bands, dtype, crs, transform, tags), encoding="utf-8")
    # the temporary overviews, too, belong beside the file, where there is room
    settings = {
        "CPL_TMPDIR": str(path.parent),
        "GDAL_CACHEMAX": CACHE,
        "GDAL_NUM_THREADS": "ALL_CPUS",
    }
    try:
        with quiet_gdal(), rasterio.Env(**settings), rasterio.open(mosaic, driver="VRT") as dataset:
            raster_copy(
                dataset,
                str(path),
                driver="COG",
                compress="deflate",
                predictor="yes",
                blocksize=2 * BLOCK,
                overviews="auto",
                resampling="average",
                bigtiff="yes",
            )
            _check(path, dataset)
    except GDAL_ERRORS as error:
        raise LdsrError(
            f"The file cannot be written ({type(error).__name__}); make room on the disk and go on "
            "with --resume."
        ) from error


def _check(path: Path, mosaic: DatasetReader) -> None:
    """Read a file back, overviews and all: on a full disk GDAL may say nothing while it writes.

    Raises:
        RasterioError, OSError: it is not whole.
    """
    with rasterio.open(path, driver="GTiff") as file:
        for band in file.indexes:
            if file.checksum(band) != mosaic.checksum(band):
                raise OSError("the file is not what was written")
        levels = len(file.overviews(1))
    for level in range(levels):
        with rasterio.open(path, driver="GTiff", overview_level=level) as file:
            for band in file.indexes:
                file.checksum(band)


def _vrt(
    blocks: Mapping[Key, Path],
    plan: Plan,
    bands: Sequence[str],
    dtype: str,
    crs: CRS | None,
    transform: Affine | None,
    tags: Mapping[str, str],
) -> str:
    """All blocks as one raster: GDAL's own format for mosaics."""
    height, width = (SCALE * length for length in plan.size)
    lines = [f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">']
    if crs is not None:
        lines.append(f"<SRS>{escape(crs.to_wkt())}</SRS>")
    if transform is not None:
        fine = (transform @ Affine.scale(1 / SCALE)).to_gdal()
        lines.append(f"<GeoTransform>{', '.join(map(repr, fine))}</GeoTransform>")
    items = {"software": SOFTWARE, **tags}.items()
    texts = [f"<MDI key={quoteattr(key)}>{escape(text)}</MDI>" for key, text in items]
    lines += ["<Metadata>", *texts, "</Metadata>"]
    for index, name in enumerate(bands, start=1):
        lines += _vrt_band(index, name, blocks, plan, dtype)
    return "\n".join([*lines, "</VRTDataset>"])


def _vrt_band(
    index: int, name: str, blocks: Mapping[Key, Path], plan: Plan, dtype: str
) -> list[str]:
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    colour = colours[index - 1].name.capitalize() if index <= len(colours) else "Undefined"
    lines = [
        f'<VRTRasterBand dataType="{_GDAL_NAME[dtype]}" band="{index}">',
        f"<Description>{escape(name)}</Description>",
        f"<NoDataValue>{0 if dtype == 'uint16' else 'nan'}</NoDataValue>",
        f"<ColorInterp>{colour}</ColorInterp>",
    ]
    if dtype == "uint16":
        lines += [f"<Offset>{OFFSET!r}</Offset>", f"<Scale>{STEP!r}</Scale>"]
    for key, path in blocks.items():
        rows, columns = plan[key].block
        size = f'xSize="{SCALE * len(columns)}" ySize="{SCALE * len(rows)}"'
        lines += [
            "<SimpleSource>",
            f'<SourceFilename relativeToVRT="1">{escape(f"blocks/{path.name}")}</SourceFilename>',
            f"<SourceBand>{index}</SourceBand>",
            f'<SrcRect xOff="0" yOff="0" {size}/>',
            f'<DstRect xOff="{SCALE * columns.start}" yOff="{SCALE * rows.start}" {size}/>',
            "</SimpleSource>",
        ]
    return [*lines, "</VRTRasterBand>"]
