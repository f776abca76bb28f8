"""Scenes that are arrays: what `ldsr.scene` reads, without files."""

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from ldsr.data.patch import Patch, Source
from ldsr.errors import SceneError


def ground(size: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """Fields with edges, a slope and some noise: reflectance float32 [4, H, W]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    fields = 0.06 * ((rows // 11 + columns // 17) % 3) + 0.0002 * columns
    bands = [fields * (1 + 0.3 * band) + 0.05 for band in range(4)]
    return (np.stack(bands) + 0.01 * rng.standard_normal((4, *size))).clip(0.01).astype(np.float32)


class ArrayScene:
    """A scene in memory; windows whose corner is among `broken` cannot be read."""

    name = "a scene"

    def __init__(
        self,
        reflectance: np.ndarray,
        *,
        valid: np.ndarray | None = None,
        classes: np.ndarray | None = None,
        crs: str | None = "EPSG:32633",
    ) -> None:
        self.reflectance, self.classes = reflectance, classes
        self.size = reflectance.shape[1:]
        self.valid = np.ones(self.size, bool) if valid is None else valid
        self.crs = crs and CRS.from_string(crs)
        self.transform = from_origin(399960, 5800020, 10, 10) if crs else None
        self.source = Source(kind="scene", name=self.name)
        self.has_classes = classes is not None
        self.broken: set[tuple[int, int]] = set()
        self.reads: list[tuple[int, int, int, int]] = []

    def read(self, window: tuple[int, int, int, int]) -> Patch:
        self.reads.append(window)
        if (window[1], window[0]) in self.broken:
            raise SceneError("The block is damaged; download the file again.")
        return self._cut(window)

    def sample(self) -> Patch:
        return self._cut((0, 0, self.size[1], self.size[0]))

    def _cut(self, window: tuple[int, int, int, int]) -> Patch:
        column, row, width, height = window
        here = slice(row, row + height), slice(column, column + width)
        place = self.transform and self.transform @ Affine.translation(column, row)
        return Patch(
            reflectance=np.where(self.valid[here], self.reflectance[:, *here], np.float32(0)),
            valid=self.valid[here].copy(),
            crs=self.crs,
            transform=place,
            source=self.source,
            scl=None if self.classes is None else self.classes[here].copy(),
        )
