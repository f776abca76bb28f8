"""Synthetic rasters for the tests: small, deterministic, written into a given folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

UTM = "EPSG:32633"
PLACE = from_origin(404400, 5342400, 10, 10)


def make_dn(height: int = 40, width: int = 56, *, offset_dn: int = 0, seed: int = 0) -> np.ndarray:
    """Digital numbers uint16 [4, H, W] as of a summer landscape: R, G, B, NIR."""
    random = np.random.default_rng(seed)
    levels = np.array([600, 700, 450, 3000]).reshape(4, 1, 1)
    gain = random.uniform(0.4, 1.8, (1, height, width))
    return (levels * gain + offset_dn).astype(np.uint16)


def write_tif(
    path: Path,
    values: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    tags: dict[str, str] | None = None,
    scale: tuple[float, float] | None = None,
    crs: str | None = UTM,
    transform: rasterio.Affine | None = PLACE,
    driver: str = "GTiff",
    **options: object,
) -> Path:
    """Write [C, H, W] with GDAL; `scale` is GDAL's (scale, offset) for every band."""
    count, height, width = values.shape
    shape = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(
        path, "w", driver=driver, crs=crs, transform=transform, **shape, **options
    ) as dataset:
        dataset.write(values)
        if names:
            dataset.descriptions = tuple(names)
        if tags:
            dataset.update_tags(**tags)
        if scale:
            dataset.scales, dataset.offsets = (scale[0],) * count, (scale[1],) * count
    return path


def write_band_files(folder: Path, values: np.ndarray, *, ending: str = "tif") -> list[Path]:
    """Write R, G, B, NIR as four files named by Sentinel-2 band, in the order B02 .. B08."""
    names = ("B04", "B03", "B02", "B08")
    files = [
        write_tif(folder / f"T33UUP_20200613T101031_{name}_10m.{ending}", values[index, None])
        for index, name in enumerate(names)
    ]
    return sorted(files)


def write_safe(
    folder: Path,
    values: np.ndarray,
    *,
    level: str = "2A",
    baseline: str = "05.09",
    offset_dn: int | None = -1000,
    classes: np.ndarray | None = None,
) -> Path:
    """Write a .SAFE folder with the four 10 m bands as lossless JPEG 2000 and its metadata.

    `classes` is the scene classification at 20 m, uint8 [H, W], if there is to be one.
    """
    safe = folder / f"S2A_MSIL{level}_20230613T101031_N0509_R022_T33UUP_20230613T160000.SAFE"
    images = safe / "GRANULE" / "L2A_T33UUP" / "IMG_DATA"
    images = images / "R10m" if level == "2A" else images
    images.mkdir(parents=True)
    ending = "_10m" if level == "2A" else ""
    for index, name in enumerate(("B04", "B03", "B02", "B08")):
        write_tif(
            images / f"T33UUP_20230613T101031_{name}{ending}.jp2",
            values[index, None],
            driver="JP2OpenJPEG",
            QUALITY="100",
            REVERSIBLE="YES",
        )
    if classes is not None:
        (images.parent / "R20m").mkdir()
        write_tif(
            images.parent / "R20m" / "T33UUP_20230613T101031_SCL_20m.jp2",
            classes[None],
            transform=PLACE @ rasterio.Affine.scale(2),
            driver="JP2OpenJPEG",
            QUALITY="100",
            REVERSIBLE="YES",
        )
    kind = "BOA" if level == "2A" else "RADIO"
    scale = "BOA_QUANTIFICATION_VALUE" if level == "2A" else "QUANTIFICATION_VALUE"
    offsets = (
        ""
        if offset_dn is None
        else "".join(
            f'<{kind}_ADD_OFFSET band_id="{band}">{offset_dn}</{kind}_ADD_OFFSET>'
            for band in range(13)
        )
    )
    (safe / f"MTD_MSIL{level}.xml").write_text(
        f'<n1:Product xmlns:n1="https://psd.example/"><n1:General_Info><Product_Info>'
        f"<PRODUCT_START_TIME>2023-06-13T10:10:31.024Z</PRODUCT_START_TIME>"
        f"<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>"
        f"<PRODUCT_TYPE>S2MSI{level}</PRODUCT_TYPE></Product_Info>"
        f'<{scale} unit="none">10000</{scale}>{offsets}</n1:General_Info></n1:Product>',
        encoding="utf-8",
    )
    return safe
