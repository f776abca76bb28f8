"""NumPy files: .npy and .npz, whose declared shape is checked before anything is unpacked."""

import io
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from ldsr.data.grid import Window, check_window
from ldsr.data.naming import choose_bands
from ldsr.data.radiometry import Hints, refuse_8bit
from ldsr.data.rasters import MAX_BANDS
from ldsr.data.raw import Raw, product_facts
from ldsr.data.zips import ZIP_ERRORS, open_zip
from ldsr.errors import PatchError

KEYS = ("reflectance", "dn", "image", "data", "patch", "lr", "arr_0")
"""Names under which the picture is looked for in an .npz with several arrays, in this order."""
MAX_HEADER = 10_000
"""Bytes of a header: numpy's own limit."""
MAX_BYTES = 2**29
"""Bytes of an array: of MAX_BANDS bands of the largest patch, as float64."""


def read_array(path: Path, *, bands: str | Sequence[str] | None, window: Window | None) -> Raw:
    """Read [4, H, W], or [H, W, 4] where the sizes leave no doubt.

    Raises:
        PatchError: as `ldsr.data.reader.read_patch`.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(npy.MAGIC_PREFIX)) == npy.MAGIC_PREFIX:
                file.seek(0)
                return _read(file, path, bands, window)
        with open_zip(path) as archive, archive.open(_member(archive, path)) as file:
            return _read(file, path, bands, window)
    except (*ZIP_ERRORS, MemoryError):
        raise PatchError(
            f"{path.name} is damaged or is no plain NumPy array; save it with "
            "numpy.save('patch.npy', array), array [4, H, W] in the order R, G, B, NIR."
        ) from None


def _member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Find the picture in an .npz."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(members) == 1:
        return next(iter(members.values()))
    found = next((members[key] for key in KEYS if key in members), None)
    if found is None:
        names = ", ".join(sorted(members)[:6]) or "nothing"
        raise PatchError(
            f"{path.name} holds {names}, so which array is the picture cannot be known; save the "
            "picture alone or under the name 'reflectance' or 'dn'."
        )
    return found


def _read(
    file: BinaryIO, path: Path, bands: str | Sequence[str] | None, window: Window | None
) -> Raw:
    shape, fortran, dtype = _header(file)
    if dtype.hasobject:
        raise PatchError(
            f"{path.name} holds Python objects, which are never loaded; save a plain array of "
            "numbers [4, H, W] in the order R, G, B, NIR."
        )
    refuse_8bit(dtype)
    last = _bands_last(shape, path.name)
    count, height, width = (shape[2], shape[0], shape[1]) if last else shape
    chosen = choose_bands([None] * count, ["undefined"] * count, stated=bands, what=path.name)
    col, row, wide, high = check_window(width, height, window, what=path.name)
    values = _values(file, shape, fortran, dtype, path)
    values = np.moveaxis(values, -1, 0) if last else values
    dn = np.ascontiguousarray(values[list(chosen), row : row + high, col : col + wide])
    acquired, baseline = product_facts(path.name)
    return Raw(
        dn=dn.astype(dn.dtype.newbyteorder("=")),
        valid=np.isfinite(dn).all(axis=0),
        hints=Hints(baseline=baseline, authority="the file name"),
        acquired=acquired,
    )


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, order and type; the length of a header is a claim, and is not believed."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError("not a version for plain arrays")
    stated = file.read(2 * version[0])
    length = int.from_bytes(stated, "little")
    if length > MAX_HEADER:
        raise ValueError("a header too long for a plain array")
    header = io.BytesIO(stated + file.read(length))
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        return read(header)
    except Exception as error:  # numpy reads it as Python, and lets all that this raises out
        raise ValueError("a damaged header") from error


def _bands_last(shape: tuple[int, ...], what: str) -> bool:
    """Tell [C, H, W] from [H, W, C]."""
    if len(shape) != 3:
        raise PatchError(
            f"{what} holds an array of shape {list(shape)}, expected [4, H, W] in the order "
            "R, G, B, NIR; save one picture with its four bands."
        )
    first, last = shape[0] <= MAX_BANDS, shape[2] <= MAX_BANDS
    if 4 in (shape[0], shape[2]) and shape[0] != shape[2]:
        return shape[2] == 4
    if first == last:
        raise PatchError(
            f"{what} has shape {list(shape)}, in which the bands cannot be told from the rows; "
            "save it as [4, H, W] in the order R, G, B, NIR."
        )
    return last


def _values(
    file: BinaryIO, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, path: Path
) -> np.ndarray:
    """Read exactly what the header declares, after it was found to be small enough."""
    size = math.prod(shape) * dtype.itemsize
    if not 0 <= size <= MAX_BYTES:
        raise PatchError(
            f"{path.name} declares {size // 2**20} MiB of values, at most "
            f"{MAX_BYTES // 2**20} MiB are read; save the patch alone."
        )
    stored = file.read(size)
    if len(stored) != size:
        raise PatchError(
            f"{path.name} is cut off: {len(stored)} of {size} bytes of values are there; "
            "save or copy it again."
        )
    values = np.frombuffer(stored, dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")
