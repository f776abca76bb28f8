"""What comes out of one run: everything the screen, the file and the scores need. Plain data."""

import dataclasses
import json
from collections.abc import Mapping

import numpy as np

from ldsr.data import scl
from ldsr.data.patch import Patch
from ldsr.settings import Settings

SCALE = 4
"""Super-resolution factor: 10 m in, 2.5 m out."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageFigures:
    """What one stage did.

    Attributes:
        steps_computed: denoiser evaluations made in full.
        steps_skipped: those that used deep features of an earlier one again.
        residual_before: RMSE in reflectance between the input and D(result) before back-projection.
        residual_after: the same afterwards.
        precision: of its networks, "float32" or "bfloat16".
        compiled: whether all of its networks ran compiled.
    """

    steps_computed: int
    steps_skipped: int
    residual_before: float
    residual_after: float
    precision: str = "float32"
    compiled: bool = False


DARK = 0.02
"""Reflectance added to the brightness that something is a share of: dark water is no division."""
LEVELS = (0.5, 0.8, 0.9)
"""Shares of the true values that intervals shall hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """What turns the spread of samples into intervals that hold as much as they say.

    Attributes:
        name: of the preset it was fitted for.
        data: one sentence on the pictures it was fitted and measured on.
        places: names of the places it was fitted on; whoever judges it takes others.
        contrast: of each band, share of the local contrast that counts as deviation.
        floor: of each band, share of the brightness that is the least deviation assumed.
        factors: half width of the interval in units of the scale (see `Uncertainty.scale`), by
            number of samples and level, of each band.
        coverage: share of the true values that the intervals held on pictures they were not
            fitted on, by number of samples and level, of each band.
    """

    name: str
    data: str
    places: tuple[str, ...]
    contrast: tuple[float, ...]
    floor: tuple[float, ...]
    factors: Mapping[int, Mapping[float, tuple[float, ...]]]
    coverage: Mapping[int, Mapping[float, tuple[float, ...]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """A part of a picture that should not be believed as it is drawn.

    Attributes:
        reason: "structure" (samples put edges elsewhere), "brightness" (a wide interval),
            "generated" (stage 2 changed much) or "input" (seen at 10 m it is not the input).
        text: one sentence with the number behind it.
        severity: how far beyond what is unremarkable, 1 or more.
        area: pixels of 2.5 m.
        outline: corners (row, column) of its border in pixels of 2.5 m, 0 at the edge of the first
            pixel; closed.
    """

    reason: str
    text: str
    severity: float
    area: int
    outline: tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Uncertainty:
    """How far several samples of one run differ.

    Attributes:
        mean: of the samples, reflectance float32 [4, 4H, 4W].
        std: their standard deviation (n - 1), reflectance float32 [4, 4H, 4W].
        scale: what the intervals are multiples of, reflectance float32 [4, 4H, 4W]: of `std`, the
            local contrast and a floor, see `ldsr.calibration.to_scale`; without a calibration
            `std` itself.
        edge_spread: how far edges move between samples: the deviation of their places in pixels
            of 2.5 m, float32 [4H, 4W]; 0 where there are none.
        samples: drawn.
        asked: at most.
        ended: why there are no more: "all", "settled" or "cancelled".
        change: of the map with the last sample, relative, 0..
        factors: half width of an interval in units of `scale`, by level, of each band.
        calibration: what the factors come from; None: they hold the model's own next sample so
            often, which says nothing about the ground.
        uncalibrated: why there is none, one sentence, or "".
        places: the few places to check, worst first.
        check: bool [4H, 4W], True within `places`.
    """

    mean: np.ndarray
    std: np.ndarray
    scale: np.ndarray
    edge_spread: np.ndarray
    samples: int
    asked: int
    ended: str
    change: float
    factors: Mapping[float, tuple[float, ...]]
    calibration: Calibration | None
    uncalibrated: str
    places: tuple[Place, ...]
    check: np.ndarray

    def half_width(self, level: float) -> np.ndarray:
        """Half width of the interval about `mean` of one of LEVELS: float32 [4, 4H, 4W]."""
        return self.scale * np.array(self.factors[level], np.float32)[:, None, None]

    def relative_width(self, level: float) -> np.ndarray:
        """The same, mean of the bands, as a share of the brightness: float32 [4H, 4W], 0.."""
        brightness = np.abs(self.mean).mean(0) + np.float32(DARK)
        return self.half_width(level).mean(0) / brightness

    def sheet(self, valid: np.ndarray) -> dict:
        """What the run sheet says of it, over the valid pixels [4H, 4W]."""
        widths = {f"{level:.0%}": self.half_width(level) for level in self.factors}
        return {
            "samples": self.samples,
            "asked": self.asked,
            "ended": self.ended,
            "change": None if np.isinf(self.change) else round(self.change, 4),
            "calibrated": self.calibration is not None,
            "calibration": self.calibration.name if self.calibration else self.uncalibrated,
            "calibration_data": self.calibration.data if self.calibration else None,
            "mean_std": _per_band(self.std, valid),
            "mean_half_width": {name: _per_band(width, valid) for name, width in widths.items()},
            "check_here": [
                {"reason": place.reason, "text": place.text, "area": place.area}
                for place in self.places
            ],
        }


def _per_band(values: np.ndarray, valid: np.ndarray) -> list[float]:
    return [round(float(band[valid].mean()), 6) for band in values]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SuperResolution:
    """One super-resolved patch.

    Attributes:
        lr: the input, [4, H, W].
        base: the result of stage 1, [4, 4H, 4W].
        sr: the final picture, [4, 4H, 4W]; equals `base` when there is no second stage.
        settings: what was asked for.
        weights: name of the weights.
        weights_sha256: hash of their main file.
        weights_files: hash of every file of weights that took part, by file name.
        seconds: time of each part, by name ("regress", "denoise", "decode", "consistency",
            "refine encode", "refine denoise", "refine decode", "refine consistency", "sample",
            "total").
        figures: of each stage that ran, "base" and, where there was one, "refine".
        out_of_range: share of valid result values outside [0, 1], 0..1.
        detail: how much of each pixel the generator of stage 2 was allowed to invent, float32
            [4H, 4W], 0 (the base) .. 1 (all generated), at most `settings.detail_cap`; None
            without a second stage.
        tags: land-cover tags that guided stage 2 with their probabilities, or None.
        tags_source: where they came from, "spectral", "clip", "llava", "person" or "none".
        residual: what is left of the input's difference to the final picture seen again at 10 m,
            RMS over the bands, reflectance float32 [H, W]; None where nobody looked.
        uncertainty: how far further samples differ; None where none were drawn.
        base_given: whether the base was made elsewhere.
    """

    lr: Patch
    base: Patch
    sr: Patch
    settings: Settings
    weights: str
    weights_sha256: str
    seconds: Mapping[str, float]
    figures: Mapping[str, StageFigures]
    out_of_range: float
    detail: np.ndarray | None = None
    tags: Mapping[str, float] | None = None
    tags_source: str = "none"
    weights_files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    residual: np.ndarray | None = None
    uncertainty: Uncertainty | None = None
    base_given: bool = False

    def detail_figures(self) -> dict[str, float] | None:
        """Mean and largest generated detail over the valid pixels, or None."""
        if self.detail is None:
            return None
        values = self.detail[self.sr.valid]
        return {"mean": float(values.mean()), "largest": float(values.max())}

    @property
    def last(self) -> StageFigures:
        """Figures of the stage that made the final picture."""
        return self.figures["refine" if "refine" in self.figures else "base"]

    @property
    def steps_computed(self) -> int:
        """Denoiser evaluations made in full, all stages."""
        return sum(stage.steps_computed for stage in self.figures.values())

    @property
    def steps_skipped(self) -> int:
        """Denoiser evaluations that used deep features again, all stages."""
        return sum(stage.steps_skipped for stage in self.figures.values())

    @property
    def residual_before(self) -> float:
        """Of the final picture, before its back-projection."""
        return self.last.residual_before

    @property
    def residual_after(self) -> float:
        """Of the final picture, after its back-projection."""
        return self.last.residual_after

    def run_sheet(self) -> dict:
        """All that is needed to repeat and to cite the run, ready for `json.dumps`."""
        source = dataclasses.asdict(self.lr.source)
        source["acquired"] = source["acquired"].isoformat() if source["acquired"] else None
        return {
            "settings": json.loads(self.settings.to_json()),
            "weights": {
                "name": self.weights,
                "sha256": self.weights_sha256,
                "files": dict(self.weights_files),
            },
            "source": source,
            "input": {
                "size": list(self.lr.size),
                "crs": self.lr.crs.to_string() if self.lr.crs else None,
                "bounds": list(self.lr.bounds) if self.lr.bounds else None,
                "valid_share": float(self.lr.valid.mean()),
            },
            "scene_classification": _rounded(
                None if self.lr.scl is None else scl.shares(self.lr.scl)
            ),
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
            "base_given": self.base_given,
            "steps_computed": self.steps_computed,
            "steps_skipped": self.steps_skipped,
            "stages": {name: dataclasses.asdict(stage) for name, stage in self.figures.items()},
            "consistency": {"before": self.residual_before, "after": self.residual_after},
            "out_of_range": self.out_of_range,
            "tags": {"source": self.tags_source, "probabilities": _rounded(self.tags)},
            "detail": _rounded(self.detail_figures()),
            "uncertainty": self.uncertainty and self.uncertainty.sheet(self.sr.valid),
        }


def out_of_range(patch: Patch) -> float:
    """Share of a patch's valid values outside [0, 1], 0..1."""
    values = patch.reflectance[:, patch.valid]
    return float(((values < 0) | (values > 1)).mean())


def _rounded(values: Mapping[str, float] | None) -> dict[str, float] | None:
    return None if values is None else {name: round(value, 4) for name, value in values.items()}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PromptSensitivity:
    """How much a picture depends on its land-cover tags.

    Attributes:
        other_tags: the contrasting tags.
        difference: |SR(tags) - SR(other tags)|, mean of the bands, reflectance float32 [4H, 4W].
        mean: of it over the valid pixels.
        refinement: mean |SR(tags) - base| over the same, to compare with.
    """

    other_tags: Mapping[str, float]
    difference: np.ndarray
    mean: float
    refinement: float
