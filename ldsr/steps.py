"""What a run tells of itself while it goes on."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Step:
    """Progress of a run.

    Attributes:
        part: "regress", "denoise", "decode", "consistency", and the same of stage 2: "refine
            encode", "refine denoise", "refine decode", "refine consistency"; then "sample".
        step: within the part, from 1; of "sample" the samples there are.
        steps: of the part.
        preview: decodes the emerging picture on request: reflectance float32 [4, 4H, 4W]; of
            "sample" the newest sample, None between two.
        spread: of "sample", the standard deviation so far on request, mean of the bands [4H, 4W].
    """

    part: str
    step: int
    steps: int
    preview: Callable[[], np.ndarray] | None = None
    spread: Callable[[], np.ndarray] | None = None


OnStep = Callable[[Step], None]
"""Is told each step once. Where it has a method `look_up`, that is called now and then within long
steps; what either raises ends the run."""


class Enough(Exception):
    """Raised by `on_step` while samples are drawn: no more, but keep what there is."""
