"""What a picture is: reflectance, validity, place, and where it came from.

Plain data. Knows nothing of files, networks or torch.
"""

import dataclasses
from datetime import datetime

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine, array_bounds

from ldsr.data.bands import BANDS
from ldsr.errors import PatchError

MIN_SIDE = 16
"""Smallest side of a low-resolution patch, in pixels."""
MAX_SIDE = 1024
"""Largest side of a low-resolution patch, in pixels; larger is work for whole scenes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """Where a patch came from and what was done to its digital numbers.

    Attributes:
        kind: "scene", "upload" or "sample".
        name: file name or scene id.
        acquired: time of acquisition (UTC), if known.
        baseline: Sentinel-2 processing baseline such as "04.00", if known.
        scale: reflectance = (dn + offset_dn) * scale; the scale really applied.
        offset_dn: the offset really applied, in digital numbers (0 or -1000).
        radiometry: one sentence: how scale and offset were decided.
        licence: of the pixels, if known.
        catalogue: address and collection of the catalogue it was read from, if it was.
    """

    kind: str = "upload"
    name: str = ""
    acquired: datetime | None = None
    baseline: str | None = None
    scale: float = 1.0
    offset_dn: float = 0.0
    radiometry: str = "already reflectance"
    licence: str | None = None
    catalogue: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Patch:
    """A four-band picture in reflectance.

    Attributes:
        reflectance: float32 [4, H, W] in the order R, G, B, NIR; nominally 0..1, clouds and snow
            may exceed 1; 0 where not valid.
        valid: bool [H, W], False where there is no data.
        crs: coordinate reference system, or None for a plain picture.
        transform: pixel to CRS coordinates, or None for a plain picture.
        source: where it came from.
        scl: Sentinel-2's scene classification, uint8 [H, W] (`ldsr.data.scl`), or None.

    Raises:
        PatchError: wrong shape or type, values that are not finite.
    """

    reflectance: np.ndarray
    valid: np.ndarray
    crs: CRS | None = None
    transform: Affine | None = None
    source: Source = dataclasses.field(default_factory=Source)
    scl: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = self.reflectance.shape
        if self.reflectance.ndim != 3 or shape[0] != len(BANDS):
            raise PatchError(
                f"The picture has shape {shape}; expected [4, H, W] in the order R, G, B, NIR."
            )
        if self.reflectance.dtype != np.float32:
            raise PatchError(
                f"The picture is {self.reflectance.dtype}; expected float32 reflectance."
            )
        if self.valid.shape != shape[1:] or self.valid.dtype != np.bool_:
            raise PatchError(
                f"The valid mask is {self.valid.dtype} {self.valid.shape}; "
                f"expected bool {shape[1:]}."
            )
        if self.scl is not None and (self.scl.shape, self.scl.dtype) != (shape[1:], np.uint8):
            raise PatchError(
                f"The scene classification is {self.scl.dtype} {self.scl.shape}; "
                f"expected uint8 {shape[1:]}."
            )
        if not np.isfinite(self.reflectance).all():
            raise PatchError(
                "The picture has values that are not finite; mark them as no-data first."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.valid.shape

    @property
    def gsd(self) -> float | None:
        """Pixel width in CRS units (metres for UTM), None without a transform."""
        return None if self.transform is None else abs(self.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north in CRS units, None without a transform."""
        return None if self.transform is None else array_bounds(*self.size, self.transform)

    @property
    def centre(self) -> tuple[float, float] | None:
        """x, y of the centre in CRS units, None without a transform."""
        if self.bounds is None:
            return None
        west, south, east, north = self.bounds
        return (west + east) / 2, (south + north) / 2
