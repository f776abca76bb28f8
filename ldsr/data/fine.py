"""Results and references at 2.5 m, from GeoTIFF: four bands, any pixel size, or one sentence.

`read_patch` is for what a pipeline takes and refuses all but 10 m.
"""

import math
from pathlib import Path

import numpy as np
from rasterio.transform import Affine
from rasterio.windows import Window

from ldsr.data.grid import check_place
from ldsr.data.naming import choose_bands
from ldsr.data.patch import MAX_SIDE, MIN_SIDE, Patch, Source
from ldsr.data.radiometry import decide, to_reflectance
from ldsr.data.rasters import GDAL_ERRORS, check_header, file_facts, open_raster, read_pixels
from ldsr.data.reader import PathLike, mark_no_data
from ldsr.errors import PatchError

FACTOR = 4


def read_fine(path: PathLike) -> Patch:
    """Read a super-resolved picture or its reference.

    Args:
        path: GeoTIFF or JPEG 2000 with R, G, B and NIR (B04, B03, B02, B08) of any pixel size.

    Returns:
        Reflectance [4, H, W], no-data marked, CRS and transform kept.

    Raises:
        PatchError: anything that is wrong with the file, in one sentence.
    """
    file = Path(path)
    if not file.is_file():
        raise PatchError(f"There is no file {file.name}; check its name and folder.")
    if file.stat().st_size == 0:
        raise PatchError(f"{file.name} is empty (0 bytes); download or export it again.")
    try:
        return _read(file)
    except GDAL_ERRORS as error:
        raise PatchError(
            f"{file.name} cannot be read ({type(error).__name__}); check that the file is "
            "complete and export it again as a four-band GeoTIFF."
        ) from error


def _read(file: Path) -> Patch:
    with open_raster(str(file.resolve()), file.name) as dataset:
        check_header(dataset, file.name)
        colours = [colour.name for colour in dataset.colorinterp]
        chosen = choose_bands(dataset.descriptions, colours, stated=None, what=file.name)
        width, height = dataset.width, dataset.height
        _check_size(width, height, file.name)
        indexes = [index + 1 for index in chosen]
        dn, valid = read_pixels(dataset, indexes, Window(0, 0, width, height), file.name)
        hints, acquired, licence = file_facts(dataset, indexes, file.name)
        crs, transform = dataset.crs, dataset.transform
        check_place(transform, what=file.name)
    valid = mark_no_data(dn, valid)
    dn = np.where(valid, dn, 0)
    radiometry = decide(*_thinned(dn, valid), hints=hints)
    placed = transform is not None and transform != Affine.identity()
    return Patch(
        reflectance=to_reflectance(dn, valid, radiometry),
        valid=valid,
        crs=crs if placed and crs else None,
        transform=transform if placed else None,
        source=Source(
            kind="upload",
            name=file.name,
            acquired=acquired,
            baseline=hints.baseline,
            licence=licence,
            scale=radiometry.scale,
            offset_dn=radiometry.offset_dn,
            radiometry=radiometry.sentence,
        ),
    )


def _thinned(dn: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave out rows and columns of a picture larger than a patch: a decision needs no more."""
    every = math.ceil(max(valid.shape) / MAX_SIDE)
    few = valid[::every, ::every]
    return (dn[:, ::every, ::every], few) if few.any() else (dn, valid)


def _check_size(width: int, height: int, what: str) -> None:
    low, high = FACTOR * MIN_SIDE, FACTOR * MAX_SIDE
    if low <= min(width, height) and max(width, height) <= high:
        return
    raise PatchError(
        f"{what} is {width} x {height} pixels, expected {low} to {high} a side: four times the "
        "input; cut it to the input's bounds, for example with gdalwarp -te -tr 2.5 2.5."
    )
