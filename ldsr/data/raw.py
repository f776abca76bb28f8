"""A picture as stored: digital numbers, no-data, place, and what its metadata says."""

import dataclasses
import re
from datetime import UTC, datetime

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from ldsr.data.radiometry import Hints

_BASELINE = re.compile(r"\d{1,2}\.\d{1,2}")
_PRODUCT = re.compile(r"S2[A-D]_MSIL(1C|2A)_(\d{8}T\d{6})(?:_N(\d{2})(\d{2})_)?")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Raw:
    """Four bands as a file holds them.

    Attributes:
        dn: [4, H, W] in the order R, G, B, NIR, any numeric type.
        valid: bool [H, W], as the file's own masks say.
        crs: or None.
        transform: or None.
        hints: what the metadata says of scale and offset.
        acquired: time of acquisition (UTC), if known.
        licence: if known.
    """

    dn: np.ndarray
    valid: np.ndarray
    crs: CRS | None = None
    transform: Affine | None = None
    hints: Hints = dataclasses.field(default_factory=Hints)
    acquired: datetime | None = None
    licence: str | None = None


def product_facts(name: str) -> tuple[datetime | None, str | None]:
    """Read time and processing baseline from a Sentinel-2 product name inside a file name."""
    found = _PRODUCT.search(name)
    if not found:
        return None, None
    baseline = f"{found[3]}.{found[4]}" if found[3] else None
    return utc(found[2]), baseline


def plain_baseline(text: str | None) -> str | None:
    """Take what a file says of its processing baseline; None when it is no such number."""
    stated = (text or "").strip()
    return stated if _BASELINE.fullmatch(stated) else None


def utc(text: str | None) -> datetime | None:
    """Read a time such as 20170613T101031 or 2017-06-13T10:10:31Z; None when it is no time."""
    try:
        time = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if time is None:
        return None
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError:
        return None
