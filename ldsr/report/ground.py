"""How large a picture is on the ground, where north is in it, and how long its scale bar is."""

import dataclasses
import math

from ldsr.data.mercator import outline
from ldsr.data.patch import Patch
from ldsr.data.places import is_utm_code
from ldsr.errors import LdsrError

EARTH_M = 6371008.8
"""Mean radius."""
MOST_SHARE = 0.3
"""Of a picture's width that its scale bar takes."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ground:
    """A picture's place on the ground.

    Attributes:
        width, height: through the middle, metres.
        north: direction of true north, degrees clockwise from the picture's upper edge.
    """

    width: float
    height: float
    north: float

    @property
    def size(self) -> str:
        """Width and height, to read: "1.2 km × 1.2 km"."""
        return f"{distance(self.width)} × {distance(self.height)}"

    def part(self, share: float) -> "Ground":
        """The same of a part that has a share of the width and of the height."""
        return dataclasses.replace(self, width=share * self.width, height=share * self.height)

    def bar(self) -> tuple[float, str]:
        """The scale bar: its share of the width, 0..1, and what it is: "200 m"."""
        most = MOST_SHARE * self.width
        power = 10.0 ** math.floor(math.log10(most))
        length = max(f * power for f in (1, 2, 5) if f * power <= most * (1 + 1e-9))
        return length / self.width, distance(length)


def find_ground(patch: Patch) -> Ground | None:
    """Measure a picture on the ground, None where it has no position."""
    try:
        ring = outline(patch.size, patch.crs, patch.transform)
    except LdsrError:
        return None
    side = (len(ring) - 1) // 4
    top, right, bottom, left = (ring[at * side + side // 2] for at in range(4))
    width, _ = _way(left, right)
    height, up = _way(bottom, top)
    if is_utm_code(patch.crs.to_string()):  # metres already, and without the sphere's error
        step = patch.transform
        width = patch.size[1] * math.hypot(step.a, step.d)
        height = patch.size[0] * math.hypot(step.b, step.e)
    if not (width > 0 and height > 0):
        return None
    return Ground(width=width, height=height, north=-up)


def distance(metres: float) -> str:
    """Write a length: "35 m", "1.28 km"."""
    return f"{metres:.3g} m" if metres < 999.5 else f"{metres / 1000:.4g} km"


def _way(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    """Metres from one latitude and longitude to another, near one, and the direction in degrees."""
    (south, west), (north, east) = ((math.radians(a) for a in point) for point in (start, end))
    up = north - south
    right = (east - west) * math.cos((south + north) / 2)
    return EARTH_M * math.hypot(up, right), math.degrees(math.atan2(right, up))
