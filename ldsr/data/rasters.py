"""GeoTIFF and JPEG 2000, through rasterio: headers are checked before pixels are read.

Knows nothing of reflectance; hands on digital numbers and what the tags say of them.
"""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from ldsr.data.directories import check_directories
from ldsr.data.grid import Window, check_grid, check_window, window_transform
from ldsr.data.naming import WANTED, band_named, choose_bands, stated_order
from ldsr.data.radiometry import Hints, refuse_8bit
from ldsr.data.raw import Raw, plain_baseline, product_facts, utc
from ldsr.errors import PatchError, one_line, shortened

JP2_MAGIC = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError, ValueError, MemoryError)
"""All that rasterio and GDAL raise on damaged or unreachable files."""
MAX_BANDS = 64
MAX_BLOCK = 4096 * 4096
"""Largest block of a file, in pixels: a block is unpacked as a whole."""
MAX_BLOCK_BYTES = 2**28
"""And in bytes: a block may hold all bands."""
LONGEST_TAG = 200
"""Characters that are taken of what a file says of itself."""

_TIMES = ("ACQUIRED", "PRODUCT_START_TIME", "SENSING_TIME", "DATATAKE_1_DATATAKE_SENSING_START")
_BASELINES = ("PROCESSING_BASELINE", "S2:PROCESSING_BASELINE")
_TEN_THOUSANDTH = re.compile(r"^\s*(1\s*/\s*10000|0\.0001|1e-0?4)\b.*reflectance", re.IGNORECASE)


@contextlib.contextmanager
def quiet_gdal() -> Iterator[None]:
    """Keep GDAL's complaints off standard error, and GDAL at the file that it is given.

    A file beside it (.ovr, .msk, .aux.xml) may be a VRT, which can point anywhere; that a file
    here leads to one on the web is never right. Who reads on the web says so (`web_settings`).
    """
    logger = logging.getLogger("rasterio")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.CRITICAL)
    options = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_PAM_ENABLED": "NO",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    }
    with warnings.catch_warnings(), rasterio.Env(**options):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def read_raster(path: Path, *, bands: str | Sequence[str] | None, window: Window | None) -> Raw:
    """Read the four bands of one file.

    Raises:
        PatchError: as `ldsr.data.reader.read_patch`.
    """
    what = path.name
    with open_raster(str(path), what) as dataset:
        check_header(dataset, what)
        colours = [colour.name for colour in dataset.colorinterp]
        chosen = choose_bands(dataset.descriptions, colours, stated=bands, what=what)
        col, row, wide, high = check_window(dataset.width, dataset.height, window, what=what)
        crs, transform = check_grid(
            dataset.crs, dataset.transform, dataset.width, dataset.height, what=what
        )
        part = RasterWindow(col, row, wide, high)
        indexes = [index + 1 for index in chosen]
        dn, valid = read_pixels(dataset, indexes, part, what)
        hints, acquired, licence = file_facts(dataset, indexes, path.name)
    return Raw(
        dn=dn,
        valid=valid,
        crs=crs,
        transform=window_transform(transform, col, row),
        hints=hints,
        acquired=acquired,
        licence=licence,
    )


def read_band_files(
    files: Sequence[tuple[str, str]],
    *,
    bands: str | Sequence[str] | None = None,
    window: Window | None = None,
    what: str = "The set of band files",
) -> Raw:
    """Read one file per band; all must lie on one grid.

    Args:
        files: address for GDAL and plain name of each.
        bands: the band of each file, or None to find it in the names.
        window: the part to read, or None for all.
        what: the set, as a message names it.

    Raises:
        PatchError: as `ldsr.data.reader.read_patch`.
    """
    order = bands_of_files(files, bands, what)
    layers, masks, first, facts = [], [], None, None
    for index in order:
        address, name = files[index]
        with open_raster(address, name) as dataset:
            check_header(dataset, name)
            if dataset.count != 1:
                raise PatchError(
                    f"{name} has {dataset.count} bands, expected one; hand in either one file "
                    "with all bands or one file per band."
                )
            grid = (dataset.width, dataset.height, dataset.crs, dataset.transform)
            first = first or (name, grid)
            if grid != first[1]:
                raise PatchError(
                    f"{name} ({grid[0]} x {grid[1]} pixels) does not lie on the grid of "
                    f"{first[0]} ({first[1][0]} x {first[1][1]}); use the four bands at 10 m "
                    "of one scene."
                )
            col, row, wide, high = check_window(grid[0], grid[1], window, what=what)
            crs, transform = check_grid(grid[2], grid[3], grid[0], grid[1], what=what)
            part = RasterWindow(col, row, wide, high)
            dn, valid = read_pixels(dataset, [1], part, name)
            layers.append(dn[0])
            masks.append(valid)
            found = file_facts(dataset, [1], name)
        if facts is not None and found[0] != facts[0]:
            raise PatchError(
                f"{name} states another scale, offset or baseline than {first[0]}; use the four "
                "bands of one product."
            )
        facts = facts or found
    hints, acquired, licence = facts
    return Raw(
        dn=np.stack(layers),
        valid=np.logical_and.reduce(masks),
        crs=crs,
        transform=window_transform(transform, col, row),
        hints=hints,
        acquired=acquired,
        licence=licence,
    )


@contextlib.contextmanager
def open_raster(address: str, what: str) -> Iterator[DatasetReader]:
    """Open a GeoTIFF or JPEG 2000 file, and no other format.

    Raises:
        PatchError: GDAL cannot open or read it.
    """
    with quiet_gdal(), opened_raster(address, what) as dataset:
        yield dataset


def opened_raster(address: str, what: str) -> DatasetReader:
    """Open a GeoTIFF or JPEG 2000 file, to be closed by the caller.

    Raises:
        PatchError: as `open_raster`, or a file that has its mask in another one.
    """
    if Path(f"{address}.msk").exists():
        raise PatchError(
            f"{what} has its mask in another file ({what}.msk), which is not read; put the mask "
            "into the file, for example with gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES."
        )
    try:
        driver = _driver(address)
        if driver == "GTiff":
            limits = {"most_pixels": MAX_BLOCK, "most_bytes": MAX_BLOCK_BYTES}
            check_directories(Path(address), what, **limits)
        return rasterio.open(address, driver=driver)
    except FileNotFoundError:
        raise PatchError(
            f"{what} is missing; check that all files of the picture are in their place."
        ) from None
    except GDAL_ERRORS:
        raise PatchError(
            f"{what} cannot be opened: it is damaged or incomplete, or not a GeoTIFF or "
            "JPEG 2000 file; download or export it again."
        ) from None


def _driver(address: str) -> str:
    """Name the one driver to open with: others (VRT, WMS, ...) can point to foreign files."""
    if address.startswith("/vsizip/"):
        return "JP2OpenJPEG"
    with Path(address).open("rb") as file:
        start = file.read(12)
    return "JP2OpenJPEG" if start.startswith(JP2_MAGIC) else "GTiff"


def check_header(dataset: DatasetReader, what: str) -> None:
    """Refuse what must not be read at all.

    Raises:
        PatchError: 8 bit, no numbers, too many bands, blocks too large, no bands.
    """
    if not 1 <= dataset.count <= MAX_BANDS:
        raise PatchError(
            f"{what} has {dataset.count} bands, expected four (R, G, B, NIR) or one Sentinel-2 "
            "product's; keep only B04, B03, B02, B08."
        )
    for name in set(dataset.dtypes):
        refuse_8bit(np.dtype(name if "complex" not in name else "complex64"))
    check_blocks(dataset, what)


def check_blocks(dataset: DatasetReader, what: str) -> None:
    """Refuse blocks that are not safe to unpack.

    Raises:
        PatchError: larger than MAX_BLOCK or MAX_BLOCK_BYTES.
    """
    pixels = max((high * wide for high, wide in dataset.block_shapes), default=0)
    each = max(map(_bytes, dataset.dtypes), default=1)
    if dataset.driver == "GTiff":  # asked this, JPEG 2000 goes through its boxes, damaged or not
        together = dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL"
        each *= dataset.count if together else 1
    if pixels > MAX_BLOCK or pixels * each > MAX_BLOCK_BYTES:
        raise PatchError(
            f"{what} is stored in blocks of {pixels} pixels and {pixels * each / 2**20:.0f} MB, "
            "which is not safe to unpack; save it again with ordinary tiles, for example with "
            "gdal_translate -co TILED=YES."
        )


def _bytes(name: str) -> int:
    """Size of a value of one of GDAL's types, which are not all numpy's."""
    try:
        return np.dtype(name).itemsize
    except TypeError:
        return 16


def read_pixels(
    dataset: DatasetReader, indexes: list[int], part: RasterWindow, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Read bands [n, H, W] and where all of them are valid [H, W].

    Raises:
        PatchError: the pixels are damaged or cut off.
    """
    try:
        return read_masked(dataset, indexes, part)
    except GDAL_ERRORS:
        raise damaged(what) from None


def read_masked(
    dataset: DatasetReader, indexes: list[int], part: RasterWindow
) -> tuple[np.ndarray, np.ndarray]:
    """Read bands [n, H, W] and where all of them are valid [H, W]; errors are GDAL's own."""
    dn = dataset.read(indexes, window=part)
    valid = np.ones(dn.shape[1:], dtype=bool)
    for layer, index in zip(dn, indexes, strict=True):
        if MaskFlags.all_valid not in dataset.mask_flag_enums[index - 1]:
            valid &= dataset.read_masks(index, window=part) > 0
        if np.issubdtype(layer.dtype, np.floating):
            valid &= np.isfinite(layer)
    return dn, valid


def damaged(what: str) -> PatchError:
    """Say that the pixels of a file cannot be read."""
    return PatchError(
        f"{what} is damaged or cut off: its header is sound but its pixels cannot be read; "
        "download or export it again."
    )


def bands_of_files(
    files: Sequence[tuple[str, str]], bands: str | Sequence[str] | None, what: str
) -> tuple[int, ...]:
    """Find which file is B04, B03, B02, B08, in this order.

    Args:
        files: address for GDAL and plain name of each.
        bands: the band of each file, or None to find it in the names.
        what: the set, as a message names it.

    Raises:
        PatchError: bands are missing, doubled, or cannot be told apart.
    """
    names = [Path(name).stem for _, name in files]
    if bands is not None:
        order: Sequence[str | None] = stated_order(bands)
        if len(order) != len(files):
            raise PatchError(
                f"{what} holds {len(files)} files but the stated order names {len(order)} "
                "bands; name the band of every file."
            )
    else:
        order = [band_named(name) for name in names]
    if not any(order):
        raise PatchError(
            f"{what} has no band in its file names, expected {', '.join(sorted(WANTED))}; rename "
            "the files, such as scene_B02.tif, or state the order of the bands."
        )
    return choose_bands(order, ["undefined"] * len(files), stated=None, what=what)


def file_facts(dataset: DatasetReader, indexes: list[int], name: str) -> tuple:
    """Read hints, time and licence from tags, GDAL scales and the file name."""
    tags = {key.upper(): value for key, value in dataset.tags().items()}
    acquired, baseline = product_facts(name)
    acquired = acquired or next((t for t in (utc(tags.get(key)) for key in _TIMES) if t), None)
    said = (plain_baseline(tags[key]) for key in _BASELINES if key in tags)
    baseline = next(filter(None, said), baseline)
    scales = {dataset.scales[index - 1] for index in indexes}
    offsets = {dataset.offsets[index - 1] for index in indexes}
    if len(scales) > 1 or len(offsets) > 1:
        raise PatchError(
            f"{name} states different scales or offsets for its bands, expected one for all; "
            "use bands of one Sentinel-2 product."
        )
    (scale,), (offset,) = scales, offsets
    added = next((value for key, value in tags.items() if "ADD_OFFSET" in key), None)
    hints = Hints(baseline=baseline)
    if scale > 0 and (scale, offset) != (1.0, 0.0):
        hints = Hints(
            scale=scale,
            offset_dn=round(offset / scale, 6),
            baseline=baseline,
            authority="the file's scale and offset",
        )
    elif added is not None:
        hints = Hints(offset_dn=_number(added), baseline=baseline, authority="the file's tags")
    elif _TEN_THOUSANDTH.match(tags.get("SCALE", "")):
        hints = Hints(
            scale=1e-4, offset_dn=0.0, baseline=baseline, authority="the file's tag 'scale'"
        )
    licence = one_line(tags.get("LICENCE") or tags.get("LICENSE") or "")
    return hints, acquired, shortened(licence, LONGEST_TAG) or None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
