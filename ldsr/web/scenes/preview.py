"""A small picture of a finished scene job, from the file's own overviews.

Reads no more than it draws; knows nothing of jobs.
"""

from pathlib import Path

import numpy as np

from ldsr import render
from ldsr.data.patch import Patch
from ldsr.data.rasters import open_raster

LARGEST = 1024
"""Longer side of the picture in pixels."""


def draw_preview(path: Path) -> bytes:
    """Draw a file in true colour, with its no-data transparent.

    Args:
        path: GeoTIFF with R, G, B and NIR as its first bands, as `python -m ldsr scene` writes.

    Returns:
        PNG.

    Raises:
        PatchError: it cannot be read.
    """
    with open_raster(str(path), path.name) as dataset:
        every = max(dataset.height, dataset.width) / LARGEST
        size = tuple(
            max(1, round(length / max(every, 1.0))) for length in (dataset.height, dataset.width)
        )
        numbers = dataset.read([1, 2, 3, 4], out_shape=(4, *size)).astype(np.float32)
        valid = dataset.read_masks(1, out_shape=size) > 0
        scales = np.array(dataset.scales[:4], np.float32)[:, None, None]
        offsets = np.array(dataset.offsets[:4], np.float32)[:, None, None]
    reflectance = np.where(valid, np.nan_to_num(numbers * scales + offsets), 0).astype(np.float32)
    stretch = render.stretch_of(Patch(reflectance=reflectance, valid=valid))
    return render.encode_png(render.true_colour(reflectance, stretch, valid=valid))
