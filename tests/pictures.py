"""Made pictures for the scores: a reference with objects and detail, its input, and results."""

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import from_origin
from scipy.ndimage import gaussian_filter

from evaluation.consistency import see
from ldsr.data.patch import Patch
from ldsr.render import upsample


def make_hr(side: int = 128, *, seed: int = 0) -> Patch:
    """Fields, roofs and texture in reflectance, at 2.5 m."""
    random = np.random.default_rng(seed)
    picture = np.full((4, side, side), 0.1)
    picture += gaussian_filter(random.normal(0, 0.2, (4, side, side)), (0, 8, 8))
    for _ in range(40):
        row, column = random.integers(0, side - 12, 2)
        high, wide = random.integers(4, 24, 2)
        picture[:, row : row + high, column : column + wide] = random.uniform(0.03, 0.35, (4, 1, 1))
    picture += random.normal(0, 0.004, picture.shape)
    return place(picture.clip(0.01, 0.6), 2.5)


def make_lr(hr: Patch) -> Patch:
    """What the sensor sees of it."""
    return place(see(hr.reflectance, hr.valid)[0], 10)


def make_sr(lr: Patch) -> Patch:
    """The input, enlarged by bicubic interpolation."""
    return place(upsample(lr), 2.5)


def place(picture: np.ndarray, gsd: float, *, valid: np.ndarray | None = None) -> Patch:
    """A patch on the ground of all the others."""
    counted = np.ones(picture.shape[1:], bool) if valid is None else valid
    return Patch(
        reflectance=np.where(counted, picture, 0).astype(np.float32),
        valid=counted,
        crs=CRS.from_epsg(32633),
        transform=from_origin(404400, 5342400, gsd, gsd),
    )
