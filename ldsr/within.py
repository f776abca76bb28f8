"""What a patch shares with the larger picture that it is a window of."""

import dataclasses
from collections.abc import Callable

from ldsr.equipment import Tags
from ldsr.sampling.noise import Field

ROUNDS = 20
"""Steps of the back-projection in a window; a solver that looks when to stop, or how far to go,
looks at the whole picture. They bring a residual of 0.006 below 1e-4."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Within:
    """Of the larger picture.

    Attributes:
        noise: gives the noise of a sample by its seed, cut out of the picture's.
        tags: land cover of the picture.
    """

    noise: Callable[[int], Field]
    tags: Tags
