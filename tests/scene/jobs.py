"""Small jobs: done, or stopped on the way."""

from pathlib import Path

import numpy as np
import rasterio

from ldsr.scene.crew import Here
from ldsr.scene.job import Choices, resolve_scene
from ldsr.scene.progress import Progress
from ldsr.settings import Settings
from tests.scene.arrays import ArrayScene

CHEAP = Settings(base="bicubic", refine=False)
SMALL = Choices(settings=CHEAP, side=64)
"""Nine windows of the scene that most tests use."""


def made(scene: ArrayScene, out: Path, crew: Here, choices: Choices) -> tuple[np.ndarray, dict]:
    """Values of the file [C, H, W], NaN where there are none, and the run sheet."""
    sheet = resolve_scene(scene, out, crew, choices)
    with rasterio.open(out) as file:
        values = file.read(masked=True).astype(np.float64)
        scales, offsets = (np.array(x)[:, None, None] for x in (file.scales, file.offsets))
        return (values * scales + offsets).filled(np.nan), sheet


class Stopping(Progress):
    """Stops the work after so many windows, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def step(self, **how: bool) -> None:
        super().step(**how)
        if self.done == self.after:
            raise KeyboardInterrupt
