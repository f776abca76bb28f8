"""Patches to tensors and back: the border between numpy and torch."""

import numpy as np
import torch
from rasterio.transform import Affine
from torch import Tensor

from ldsr.data.fill import fill_invalid
from ldsr.data.patch import Patch
from ldsr.errors import PatchError
from ldsr.result import SCALE


def to_tensor(patch: Patch, device: str) -> Tensor:
    """Reflectance [1, 4, H, W] of a patch, its gaps filled from their neighbours.

    Raises:
        PatchError: a patch without a single valid pixel.
    """
    if not patch.valid.any():
        raise PatchError("Every pixel is marked as no-data; expected at least one valid pixel.")
    filled = np.ascontiguousarray(fill_invalid(patch.reflectance, patch.valid))
    picture = torch.from_numpy(filled)[None].to(device)
    return picture.contiguous(memory_format=torch.channels_last)


def to_patch(picture: Tensor, lr: Patch) -> Patch:
    """A result on the input's ground: a quarter of the pixel size, the same bounds."""
    valid = finer(lr.valid)
    reflectance = np.where(valid, picture[0].float().cpu().numpy(), np.float32(0))
    fine = None if lr.transform is None else lr.transform @ Affine.scale(1 / SCALE)
    return Patch(
        reflectance=np.ascontiguousarray(reflectance),
        valid=valid,
        crs=lr.crs,
        transform=fine,
        source=lr.source,
    )


def finer(valid: np.ndarray) -> np.ndarray:
    return valid.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
