"""Writes patches and results as cloud-optimised GeoTIFFs, complete or not at all."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from rasterio.io import MemoryFile
from rasterio.shutil import copy as raster_copy

from ldsr import __version__
from ldsr.data.bands import BANDS, SENTINEL2
from ldsr.data.patch import Patch
from ldsr.data.rasters import GDAL_ERRORS, quiet_gdal
from ldsr.errors import LdsrError, PatchError
from ldsr.settings import Settings

SOFTWARE = f"LDSR Studio {__version__}"
BLOCK = 256
PICTURES = ("sr", "base", "detail", "uncertainty")
"""What of a result can be written."""


class Uncertainty(Protocol):
    """What of a `ldsr.result.Uncertainty` goes into the file."""

    mean: np.ndarray
    std: np.ndarray
    edge_spread: np.ndarray
    check: np.ndarray
    factors: Mapping[float, Sequence[float]]
    calibration: object | None

    def half_width(self, level: float) -> np.ndarray:
        """Half width of an interval [4, 4H, 4W]."""


class Result(Protocol):
    """What of a `ldsr.result.SuperResolution` goes into the file."""

    lr: Patch
    base: Patch
    sr: Patch
    detail: np.ndarray | None
    settings: Settings
    weights: str
    weights_sha256: str
    residual_before: float
    residual_after: float
    uncertainty: "Uncertainty | None"

    def run_sheet(self) -> dict:
        """All that is needed to repeat the run."""


def write_geotiff(result: Result, path: str | os.PathLike[str], *, picture: str = "sr") -> Path:
    """Write a result: four bands of float32 reflectance at 2.5 m, in the bounds of the input.

    Args:
        result: a `ldsr.result.SuperResolution`.
        path: the file to write; replaced if it is there.
        picture: "sr" (the final picture), "base" (stage 1), "detail" (one band: how much of each
            pixel stage 2 was allowed to invent, 0..1) or "uncertainty" (of each band the samples'
            mean, deviation and half widths of the intervals, in reflectance; then how far edges
            move in pixels, and 1 where to check).

    Returns:
        The path written.

    Raises:
        LdsrError: another picture, "detail" of a result without a second stage, "uncertainty" of
            one without samples, or a place that cannot be written.
    """
    patch, bands, tags = _contents(result, picture)
    return _write_complete(patch, bands, path, tags=tags)


def encode_geotiff(result: Result, *, picture: str = "sr") -> bytes:
    """Give the bytes of the file that `write_geotiff` writes; nothing is left on a disk.

    Raises:
        LdsrError: as there, but for the place; or no memory for it.
    """
    patch, bands, tags = _contents(result, picture)
    try:
        with quiet_gdal(), MemoryFile() as target:
            _write_cog(patch, bands, target.name, {"software": SOFTWARE, **tags})
            return target.read()
    except GDAL_ERRORS as error:
        raise PatchError(
            f"The GeoTIFF cannot be made ({type(error).__name__}); try a smaller picture."
        ) from error


def _contents(result: Result, picture: str) -> tuple[Patch, dict[str, np.ndarray], dict[str, str]]:
    """What goes into a file: its ground, its bands by name, its tags."""
    if picture not in PICTURES:
        expected = ", ".join(PICTURES)
        raise LdsrError(f"The picture to write is {picture!r}, expected one of {expected}.")
    if picture == "detail" and result.detail is None:
        raise LdsrError("There is no generated detail to write: the run had no second stage.")
    if picture == "uncertainty" and result.uncertainty is None:
        raise LdsrError("There is no uncertainty to write: the run drew no samples.")
    sheet = result.run_sheet()
    tags = {
        "picture": picture,
        "settings": result.settings.to_json(),
        "weights": result.weights,
        "weights_sha256": result.weights_sha256,
        "source": json.dumps(sheet.get("source", {}), sort_keys=True),
        "residual_before": repr(float(result.residual_before)),
        "residual_after": repr(float(result.residual_after)),
        "run_sheet": json.dumps(sheet, sort_keys=True),
    }
    if picture == "detail":
        return result.sr, {"generated detail, 0 (base) .. 1": result.detail}, tags
    if picture == "uncertainty":
        return result.sr, _layers(result.uncertainty), tags
    patch = result.sr if picture == "sr" else result.base
    return patch, _named(patch), tags


def _layers(found: Uncertainty) -> dict[str, np.ndarray]:
    """What is written of an uncertainty, by the name of the band."""
    kind = "interval" if found.calibration is not None else "interval, uncalibrated"
    parts = {"mean of the samples": found.mean, "standard deviation": found.std}
    for level in found.factors:
        parts[f"half width of the {level:.0%} {kind}"] = found.half_width(level)
    layers = {
        f"{band}: {name}": values[i]
        for name, values in parts.items()
        for i, band in enumerate(BANDS)
    }
    layers["edge spread, pixels"] = found.edge_spread
    layers["check here, 0 or 1"] = found.check.astype(np.float32)
    return layers


def write_patch(
    patch: Patch, path: str | os.PathLike[str], *, tags: Mapping[str, str] | None = None
) -> Path:
    """Write a patch as a tiled, deflated float32 GeoTIFF with overviews (a valid COG).

    Args:
        patch: the bands become R (B04), G (B03), B (B02), NIR (B08); pixels without data NaN.
        path: the file to write; replaced if it is there, and only when the new one is complete.
        tags: text to store with it.

    Returns:
        The path written.

    Raises:
        LdsrError: the place cannot be written.
    """
    return _write_complete(patch, _named(patch), path, tags=tags)


def _named(patch: Patch) -> dict[str, np.ndarray]:
    """The bands of a patch by the names that they have in a file."""
    return {f"{band} ({SENTINEL2[band]})": patch.reflectance[i] for i, band in enumerate(BANDS)}


def _write_complete(
    patch: Patch,
    bands: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    tags: Mapping[str, str] | None,
) -> Path:
    """Write bands by name [H, W] on a patch's ground, NaN where it is not valid."""
    target = Path(path)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with quiet_gdal():
            _write_cog(patch, bands, str(unfinished), {"software": SOFTWARE, **(tags or {})})
        unfinished.replace(target)
    except GDAL_ERRORS as error:
        raise PatchError(
            f"{target.name} cannot be written into {target.parent} ({type(error).__name__}); "
            "check that the folder exists, may be written and has room."
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _write_cog(
    patch: Patch, bands: Mapping[str, np.ndarray], path: str, tags: Mapping[str, str]
) -> None:
    height, width = patch.size
    profile = {"driver": "GTiff", "dtype": "float32", "count": len(bands), "nodata": np.nan}
    place = {"crs": patch.crs}
    if patch.transform is not None:
        place["transform"] = patch.transform
    values = np.where(patch.valid, np.stack(list(bands.values())), np.float32(np.nan))
    with MemoryFile() as memory:
        with memory.open(height=height, width=width, **profile, **place) as dataset:
            dataset.write(values)
            dataset.descriptions = tuple(bands)
            dataset.update_tags(**tags)
        with rasterio.open(memory.name) as dataset:
            raster_copy(
                dataset,
                path,
                driver="COG",
                compress="deflate",
                predictor="yes",
                blocksize=BLOCK,
                overviews="auto",
                resampling="average",
            )
