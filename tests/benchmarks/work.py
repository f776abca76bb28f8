"""What a case is given. Knows neither torch nor the product."""

import dataclasses
import json
from pathlib import Path

import numpy as np

SEED = 0
CHECKPOINT = "published.ckpt"
"""File of the random weights, in a work's folder."""
WIDTHS = (128, 160)
"""Channels of LDSR-S2's autoencoder and denoiser at their first level."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What a case is given.

    Attributes:
        folder: of checkpoint and results.
        size: side of the input in pixels.
        steps: of DDIM.
        samples: of the uncertainty.
        skip_steps: of DDIM where skipping is measured.
        repeat: runs, of which the fastest counts.
        batch: pictures at once.
        device: "cpu" or "cuda".
        widths: of LDSR-S2's networks; narrower ones are for tests.
        begun: when the process was started, `time.time()`.
    """

    folder: Path
    size: int = 128
    steps: int = 4
    samples: int = 15
    skip_steps: int = 100
    repeat: int = 1
    batch: int = 1
    device: str = "cpu"
    widths: tuple[int, int] = WIDTHS
    begun: float = 0.0

    def input(self) -> np.ndarray:
        """Reflectance [batch, 4, H, W], float32; noise, as the weights are."""
        shape = (self.batch, 4, self.size, self.size)
        return np.random.default_rng(SEED).uniform(0.02, 0.4, shape).astype(np.float32)

    def to_json(self) -> str:
        """Write it for another process."""
        return json.dumps(dataclasses.asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> "Work":
        """Read what `to_json` wrote."""
        said = json.loads(text)
        said |= {"folder": Path(said["folder"]), "widths": tuple(said["widths"])}
        return cls(**said)
