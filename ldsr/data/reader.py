"""The one door for pictures: whatever file the person has, a `Patch` comes out, or one sentence.

Looks at what a file is, not at what it is called, and hands it to the reader of that format.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ldsr.data.arrays import read_array
from ldsr.data.grid import Window, check_grid
from ldsr.data.patch import Patch, Source
from ldsr.data.radiometry import decide, to_reflectance
from ldsr.data.rasters import GDAL_ERRORS, quiet_gdal, read_band_files, read_raster
from ldsr.data.raw import Raw
from ldsr.data.safe import is_safe_folder, read_safe
from ldsr.data.zips import ZIP_ERRORS, open_zip
from ldsr.errors import PatchError, one_line

PathLike = str | os.PathLike[str]
NO_DATA = (-32768, -9999, 65535)
"""Whole numbers that mean no-data where all four bands hold them, besides 0."""
FAR = 1e6
"""No reflectance and no digital number is as far from zero as this, in any band."""

_MAGIC = (
    (b"II*\0", "raster"),
    (b"MM\0*", "raster"),
    (b"II+\0", "raster"),
    (b"MM\0+", "raster"),
    (b"\0\0\0\x0cjP  ", "raster"),
    (b"\xff\x4f\xff\x51", "raster"),
    (b"\x93NUMPY", "array"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
)


def read_patch(
    path: PathLike | Sequence[PathLike],
    *,
    bands: str | Sequence[str] | None = None,
    scale: str | None = None,
    kind: str = "upload",
    name: str | None = None,
    window: Window | None = None,
) -> Patch:
    """Read a Sentinel-2 picture from one file, a .SAFE product, or one file per band.

    Args:
        path: GeoTIFF, JPEG 2000, .SAFE folder or zip of one, .npy or .npz; or several files,
            one per band, told apart by B02, B03, B04, B08 in their names.
        bands: the band of each layer (or file) in order, such as "B02,B03,B04,B08", where the
            file does not say.
        scale: how numbers become reflectance, one of `ldsr.data.radiometry.SCALES`, where
            neither metadata nor numbers tell.
        kind: for `Source`: "scene", "upload" or "sample".
        name: for `Source`; the file's name by default.
        window: column, row, width, height of the part to read, in pixels; all by default.

    Returns:
        Reflectance [4, H, W] in the order R, G, B, NIR, H and W from MIN_SIDE to MAX_SIDE, with
        no-data marked and CRS and transform kept.

    Raises:
        AmbiguousPatchError: band order or scale cannot be known; ask the person.
        PatchError: anything else that is wrong with the file, in one sentence.
    """
    paths = existing(path)
    label = name or one_line(
        paths[0].name
        if len(paths) == 1
        else os.path.commonprefix([file.name for file in paths]).rstrip("_-. B0") or paths[0].name
    )
    try:
        with quiet_gdal():
            raw = _read_raw(paths, bands, window)
        return _to_patch(raw, scale=scale, kind=kind, name=label)
    except GDAL_ERRORS as error:
        raise PatchError(
            f"{label} cannot be read ({type(error).__name__}); check that the file is complete "
            "and export it again as a four-band GeoTIFF."
        ) from error


def existing(path: PathLike | Sequence[PathLike]) -> list[Path]:
    """List the files; all must exist and hold something.

    Raises:
        PatchError: none was given, one is missing or empty.
    """
    given = [path] if isinstance(path, str | os.PathLike) else list(path)
    paths = [Path(item) for item in given]
    if not paths:
        raise PatchError("No file was given; choose a Sentinel-2 picture, for example a GeoTIFF.")
    for item in paths:
        try:
            present = item.exists()
        except (OSError, ValueError):
            present = False
        if not present:
            raise PatchError(f"There is no file {item.name}; check its name and folder.")
        if item.is_file() and item.stat().st_size == 0:
            raise PatchError(f"{item.name} is empty (0 bytes); download or export it again.")
    return paths


def _read_raw(paths: list[Path], bands: str | Sequence[str] | None, window: Window | None) -> Raw:
    """Hand the files to the reader of their format."""
    if len(paths) > 1:
        for item in paths:
            if item.is_dir() or file_format(item) != "raster":
                raise PatchError(
                    f"{item.name} is no GeoTIFF or JPEG 2000 file; several files together are "
                    "taken as one band each, B02, B03, B04 and B08."
                )
        files = [(str(item.resolve()), item.name) for item in paths]
        return read_band_files(files, bands=bands, window=window)
    path = paths[0].resolve()
    if path.is_dir():
        if not is_safe_folder(path):
            raise PatchError(
                f"{path.name} is a folder but no .SAFE product (it has no MTD_MSIL2A.xml or "
                "MTD_MSIL1C.xml); choose the file itself, or the four band files together."
            )
        return read_safe(path, window=window)
    readers = {"raster": read_raster, "array": read_array}
    found = file_format(path)
    if found in readers:
        return readers[found](path, bands=bands, window=window)
    if found == "safe":
        return read_safe(path, window=window)
    raise refusal(path, found)


def file_format(path: Path) -> str | None:
    """Tell what a file is from its first bytes, and a zip from the names in it; None if unknown."""
    with path.open("rb") as file:
        start = file.read(16)
    found = next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)
    if found != "zip":
        return found
    try:
        with open_zip(path) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return "damaged zip"
    if names and all(name.endswith(".npy") for name in names):
        return "array"
    return "safe" if any("MTD_MSIL" in name for name in names) else "zip"


def refusal(path: Path, found: str | None) -> PatchError:
    """Say why a file of another format is not taken."""
    if found in ("PNG", "JPEG", "GIF", "BMP"):
        return PatchError(
            f"{path.name} is a {found} picture: stretched for the eye and without near infrared "
            "(B08), which cannot be made up; use a GeoTIFF with reflectance in B04, B03, B02, B08."
        )
    if found in ("zip", "damaged zip"):
        state = "is a damaged zip" if found != "zip" else "is a zip without a .SAFE product in it"
        return PatchError(
            f"{path.name} {state}; unpack it and hand in the GeoTIFF, or zip a complete .SAFE."
        )
    return PatchError(
        f"{path.name} is not a picture of a known format, whatever its name says; expected a "
        "GeoTIFF, JPEG 2000, .SAFE product, .npy or .npz."
    )


def mark_no_data(dn: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Where a picture [4, H, W] holds data: valid, not FAR, not NO_DATA or 0 in all bands."""
    if dn.dtype.itemsize > 2:
        valid = valid & ((dn > -FAR) & (dn < FAR)).all(axis=0)
    return valid & ~np.logical_or.reduce([(dn == number).all(axis=0) for number in (0, *NO_DATA)])


def _to_patch(raw: Raw, *, scale: str | None, kind: str, name: str) -> Patch:
    """Mark no-data, decide the radiometry and build the patch."""
    height, width = raw.valid.shape
    crs, transform = check_grid(raw.crs, raw.transform, width, height, what=name)
    valid = mark_no_data(raw.dn, raw.valid)
    dn = np.where(valid, raw.dn, 0)
    radiometry = decide(dn, valid, hints=raw.hints, answer=scale)
    source = Source(
        kind=kind,
        name=name,
        acquired=raw.acquired,
        baseline=raw.hints.baseline,
        scale=radiometry.scale,
        offset_dn=radiometry.offset_dn,
        radiometry=radiometry.sentence,
        licence=raw.licence,
    )
    return Patch(
        reflectance=to_reflectance(dn, valid, radiometry),
        valid=valid,
        crs=crs,
        transform=transform,
        source=source,
    )
