"""What comes out of one run: everything the screen, the file and the scores need. Plain data."""

import dataclasses
import json
from collections.abc import Mapping

from ldsr.data.patch import Patch
from ldsr.settings import Settings

SCALE = 4
"""Super-resolution factor: 10 m in, 2.5 m out."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SuperResolution:
    """One super-resolved patch.

    Attributes:
        lr: the input, [4, H, W].
        base: the result of stage 1, [4, 4H, 4W].
        sr: the final picture, [4, 4H, 4W]; equals `base` when there is no second stage.
        settings: what was asked for.
        weights: name of the weights.
        weights_sha256: their hash.
        seconds: time of each part, by name ("regress", "denoise", "decode", "consistency",
            "total").
        steps_computed: denoiser evaluations really made.
        residual_before: RMSE in reflectance between the input and D(result) before back-projection.
        residual_after: the same afterwards.
        out_of_range: share of valid result values outside [0, 1], 0..1.
    """

    lr: Patch
    base: Patch
    sr: Patch
    settings: Settings
    weights: str
    weights_sha256: str
    seconds: Mapping[str, float]
    steps_computed: int
    residual_before: float
    residual_after: float
    out_of_range: float

    def run_sheet(self) -> dict:
        """All that is needed to repeat and to cite the run, ready for `json.dumps`."""
        source = dataclasses.asdict(self.lr.source)
        source["acquired"] = source["acquired"].isoformat() if source["acquired"] else None
        return {
            "settings": json.loads(self.settings.to_json()),
            "weights": {"name": self.weights, "sha256": self.weights_sha256},
            "source": source,
            "input": {
                "size": list(self.lr.size),
                "crs": self.lr.crs.to_string() if self.lr.crs else None,
                "bounds": list(self.lr.bounds) if self.lr.bounds else None,
                "valid_share": float(self.lr.valid.mean()),
            },
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "steps_computed": self.steps_computed,
            "consistency": {"before": self.residual_before, "after": self.residual_after},
            "out_of_range": self.out_of_range,
        }
