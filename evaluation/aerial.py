"""Pairs with a true reference: aerial tiles, and what Sentinel-2 would have seen of them.

The reference is the 2 x 2 mean of a 1.2 m tile (2.4 m). The input is the tile through Sentinel-2's
point spread function at every 8th pixel, centre-aligned (9.6 m), without noise. One fixed gain per
band brings 8 bits to reflectance.
"""

import dataclasses
from pathlib import Path

import numpy as np

from ldsr.data.patch import Patch, Source
from ldsr.errors import MetricError

PSF_SIGMA = (2.12, 2.03, 2.05, 2.15)
"""Sentinel-2's point spread function: sigma of R, G, B, NIR in pixels of a quarter of 10 m."""
GAIN = (0.2174, 0.2273, 0.1905, 0.4898)
"""Reflectance of the brightest 8-bit value, R, G, B, NIR: brings the medians of Californian cities
(0.46, 0.44, 0.42, 0.49 of 255) to those of built-up land in L2A (0.10, 0.10, 0.08, 0.24)."""
TILE = 128
FACTOR = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """An input and its true reference.

    Attributes:
        lr: the input, [4, H, W].
        hr: reflectance float32 [4, 4H, 4W].
    """

    lr: Patch
    hr: np.ndarray


def load_pairs(path: Path) -> list[Pair]:
    """Make pairs of the tiles in a file.

    Args:
        path: .npz with `image`, uint8 [n, 4, 128, 128], R, G, B, NIR at 1.2 m.

    Raises:
        MetricError: no such file, or no such tiles in it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            tiles = file["image"]
    except (OSError, KeyError, ValueError) as error:
        raise MetricError(f"{path} has no array 'image' ({error}).") from error
    if tiles.dtype != np.uint8 or tiles.shape[1:] != (4, TILE, TILE):
        raise MetricError(
            f"{path} holds {tiles.dtype} {tiles.shape}; expected uint8 [n, 4, {TILE}, {TILE}]."
        )
    return [make_pair(tile, name=f"{path.stem} {i}") for i, tile in enumerate(tiles)]


def make_pair(tile: np.ndarray, *, name: str) -> Pair:
    """Turn one tile, uint8 [4, 128, 128], into a pair of 16 x 16 and 64 x 64 pixels."""
    fine = tile.astype(np.float64) / 255 * np.array(GAIN)[:, None, None]
    hr = fine.reshape(4, TILE // 2, 2, TILE // 2, 2).mean((2, 4))
    rows = np.stack([_decimation(2 * sigma) for sigma in PSF_SIGMA])
    lr = np.einsum("cih,chw,cjw->cij", rows, fine, rows)
    patch = Patch(
        reflectance=lr.astype(np.float32),
        valid=np.ones(lr.shape[1:], bool),
        source=Source(kind="scene", name=name, radiometry="aerial tile, one fixed gain per band"),
    )
    return Pair(patch, hr.astype(np.float32))


def _decimation(sigma: float) -> np.ndarray:
    """Rows that blur with a Gaussian and take every 8th position: [16, 128], each sums to 1."""
    centres = (np.arange(TILE // FACTOR) + 0.5) * FACTOR
    offsets = np.arange(TILE) + 0.5 - centres[:, None]
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return weights / weights.sum(1, keepdims=True)
