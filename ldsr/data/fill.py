"""Filling of pixels without data, so that a network sees no artificial edge there."""

import numpy as np
from scipy.ndimage import distance_transform_edt


def fill_invalid(reflectance: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Give each pixel without data the value of the nearest valid one.

    Args:
        reflectance: [C, H, W].
        valid: bool [H, W], at least one pixel True.

    Returns:
        [C, H, W], a copy where something was filled.
    """
    if valid.all():
        return reflectance
    rows, columns = distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return reflectance[:, rows, columns]
