"""What a scene is to this room: `ldsr.data.whole.WholeScene`, or whatever reads as it does."""

from typing import Protocol

from rasterio.crs import CRS
from rasterio.transform import Affine

from ldsr.data.patch import Patch, Source


class Scene(Protocol):
    """A picture of any size that is read by windows.

    Attributes:
        name: as messages say it.
        size: rows and columns.
        crs, transform: where it lies; None for a plain picture.
        source: where it came from, and what was done to its numbers.
        has_classes: whether a scene classification belongs to it.
    """

    name: str
    size: tuple[int, int]
    crs: CRS | None
    transform: Affine | None
    source: Source
    has_classes: bool

    def read(self, window: tuple[int, int, int, int]) -> Patch:
        """Read column, row, width, height."""

    def sample(self) -> Patch:
        """Pixels from all over the scene."""
