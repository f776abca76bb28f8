"""NumPy files: .npy and .npz, whose declared shape is checked before anything is unpacked."""

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
from ldsr.errors import PatchError

KEYS = ("reflectance", "dn", "image", "data", "patch", "lr", "arr_0")
"""Names under which the picture is looked for in an .npz with several arrays, in this order."""


def read_array(path: Path, *, bands: str | Sequence[str] | None, window: Window | None) -> Raw:
    """Read [4, H, W], or [H, W, 4] where the sizes leave no doubt.

    Raises:
        PatchError: as `ldsr.data.reader.read_patch`.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open(_member(archive, path)) as file:
                return _read(file, path, bands, window)
        with path.open("rb") as file:
            return _read(file, path, bands, window)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, MemoryError, RuntimeError):
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
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise ValueError("not a version for plain arrays")


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
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size > 2**30:
        raise PatchError(
            f"{path.name} declares {size / 2**30:.1f} GiB of values, at most 1 GiB is read; "
            "save the patch alone."
        )
    stored = file.read(size)
    if len(stored) != size:
        raise PatchError(
            f"{path.name} is cut off: {len(stored)} of {size} bytes of values are there; "
            "save or copy it again."
        )
    values = np.frombuffer(stored, dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")
