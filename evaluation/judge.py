"""All scores of one result, each a number or the reason why there is none; and maps of where.

Networks are loaded once, when first needed, onto the given device.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluation import consistency, correctness, structure
from evaluation.fidelity import (
    border_of,
    by_band,
    crop,
    displayed_range,
    squared_error,
    ssim,
    to_psnr,
)
from evaluation.metrics import METRICS
from evaluation.perceptual import SMALLEST, ClipIqa, Lpips, stretch
from evaluation.sam import find_sam
from evaluation.score import Metric, Missing, Score, Unfit, not_applicable, unavailable
from evaluation.spectral import ergas, ndvi_error, spectral_angle
from ldsr.data.patch import Patch
from ldsr.errors import MetricError, WeightsError

if TYPE_CHECKING:
    import torch

FACTOR = 4
Found = tuple[float, Mapping[str, float], Mapping[str, str]]
"""Value, parts and provenance of a score."""

RANGE = {"data range": "1 (reflectance)"}


class Pictures:
    """What is compared, all on the grid of the result; what several scores need is made once.

    Attributes:
        sr, lr, hr: reflectance [4, ., .], or None.
        sr_valid, lr_valid: bool.
        valid: bool [4H, 4W], valid in all that is given.
        border: pixels left out along each edge.
        edge: the same as provenance.
        inner_sr, inner_hr, inner: the same of result, reference and `valid` without the border.

    Raises:
        MetricError: sizes that do not belong together.
    """

    def __init__(self, sr: Patch, lr: Patch | None, hr: Patch | None) -> None:
        self.sr, self.sr_valid, self.valid = sr.reflectance, sr.valid, sr.valid
        self.border = border_of(sr.size)
        self.edge = {"border": f"{self.border} pixels left out along each edge"}
        self.lr = self.lr_valid = self.hr = self.inner_hr = None
        if lr is not None:
            expected = tuple(FACTOR * side for side in lr.size)
            if sr.size != expected:
                raise MetricError(
                    f"The result has {_size(sr.size)} pixels, expected {_size(expected)}: four "
                    "times the input."
                )
            self.lr, self.lr_valid = lr.reflectance, lr.valid
            self.valid = self.valid & lr.valid.repeat(FACTOR, 0).repeat(FACTOR, 1)
        if hr is not None:
            if hr.size != sr.size:
                raise MetricError(
                    f"The reference has {_size(hr.size)} pixels and the result "
                    f"{_size(sr.size)}; they must lie on one grid."
                )
            self.hr = hr.reflectance
            self.valid = self.valid & hr.valid
            self.inner_hr = crop(self.hr, self.border)
        self.inner, self.inner_sr = crop(self.valid, self.border), crop(self.sr, self.border)

    @functools.cached_property
    def errors(self) -> np.ndarray:
        """Mean squared error of each band, clipped to 0..1."""
        return squared_error(self.inner_sr, self.inner_hr, valid=self.inner)

    @functools.cached_property
    def plain_errors(self) -> np.ndarray:
        """Mean squared error of each band, nothing clipped."""
        return squared_error(self.inner_sr, self.inner_hr, data_range=None, valid=self.inner)

    @functools.cached_property
    def triad(self) -> correctness.Triad:
        """Improvement, omission, hallucination."""
        return correctness.judge(self.sr, self.lr, self.hr, valid=self.valid, border=self.border)

    @functools.cached_property
    def consistency(self) -> consistency.Consistency:
        """Against the input."""
        return consistency.judge(self.sr, self.lr, sr_valid=self.sr_valid, lr_valid=self.lr_valid)


class Judge:
    """Scores results.

    Args:
        device: of the networks: "cpu", "cuda", "auto" or a torch device.
        metrics: names of METRICS to compute, in any order; all by default.
        sms_grid: points a side for Segment Anything; fewer are faster and do not compare.

    Raises:
        MetricError: a metric that does not exist.
    """

    def __init__(
        self,
        *,
        device: "str | torch.device" = "cpu",
        metrics: Sequence[str] | None = None,
        sms_grid: int = structure.GRID,
    ) -> None:
        unknown = [name for name in metrics or () if name not in METRICS]
        if unknown:
            raise MetricError(f"There is no metric {unknown[0]!r}; known are {', '.join(METRICS)}.")
        self._device = device
        self.sms_grid = sms_grid
        self.metrics = [
            metric for name, metric in METRICS.items() if metrics is None or name in metrics
        ]
        self._loaded: dict[str, Any] = {}
        self._failed: dict[str, MetricError | WeightsError] = {}

    def scores(self, sr: Patch, *, lr: Patch | None = None, hr: Patch | None = None) -> list[Score]:
        """Score a result; pixels not valid in any of the pictures are left out.

        Args:
            sr: the result.
            lr: its input, a quarter of its size.
            hr: the true picture on the result's grid.

        Returns:
            A score for each metric, in the order of METRICS.

        Raises:
            MetricError: pictures whose sizes do not belong together.
        """
        pictures = Pictures(sr, lr, hr)
        shared: dict[str, Any] = {}
        return [self._score(metric, pictures, shared) for metric in self.metrics]

    def maps(self, sr: Patch, *, lr: Patch, hr: Patch) -> dict[str, np.ndarray]:
        """Draw where a result is wrong.

        Returns:
            "error" (mean over the bands of |result - reference|, reflectance) and "improvement",
            "omission", "hallucination" (shares, 0..1; absent where there is no detail to judge):
            float32 [4H, 4W], NaN where not counted.

        Raises:
            MetricError: pictures whose sizes do not belong together.
        """
        pictures = Pictures(sr, lr, hr)
        error = np.abs(pictures.sr - pictures.hr).mean(0)
        maps = {"error": np.where(pictures.valid, error, np.float32(np.nan))}
        try:
            return maps | pictures.triad.maps
        except Unfit:
            empty = np.full(sr.size, np.nan, np.float32)
            return maps | {name: empty.copy() for name in correctness.NAMES}

    def _score(self, metric: Metric, pictures: Pictures, shared: dict[str, Any]) -> Score:
        """One score; whatever is missing becomes its reason."""
        if metric.needs in ("reference", "both") and pictures.hr is None:
            return not_applicable(
                metric, "There is no reference.", "Give the true picture at 2.5 m."
            )
        if metric.needs in ("input", "both") and pictures.lr is None:
            return not_applicable(metric, "The input is not given.", "Give the 10 m picture.")
        if not pictures.inner.any():
            return not_applicable(
                metric,
                f"No pixel beyond the border of {pictures.border} pixels is valid in all pictures.",
                "Choose a larger piece, or one that has data.",
            )
        try:
            value, parts, provenance = COMPUTE[metric.name](self, pictures, shared)
        except Missing as error:
            return unavailable(metric, error.reason, error.fix)
        except WeightsError as error:
            found = Missing.of(error)
            return unavailable(metric, found.reason, found.fix)
        except Unfit as error:
            return not_applicable(metric, str(error))
        if math.isnan(value):
            return not_applicable(metric, "The pictures are too plain or too small to tell.")
        parts = {name: number for name, number in parts.items() if not math.isnan(number)}
        return Score(metric=metric, value=value, parts=parts, provenance=provenance)

    @property
    def device(self) -> "torch.device":
        """Where networks run."""
        from ldsr.device import choose_device

        return choose_device(str(self._device))

    def _load(self, name: str, load: Callable[[], Any]) -> Any:
        """What was loaded before, else load it; what failed is not tried again."""
        if name in self._failed:
            raise self._failed[name].with_traceback(None)  # else it would keep every picture
        if name not in self._loaded:
            try:
                self._loaded[name] = load()
            except (MetricError, WeightsError) as error:
                self._failed[name] = error
                raise
        return self._loaded[name]

    def retry(self) -> None:
        """Try again what could not be loaded: its weights may have come since."""
        self._failed.clear()

    def lpips(self) -> Lpips:
        """LPIPS, loaded once.

        Raises:
            Missing: its weights are not there.
        """
        return self._load("lpips", lambda: Lpips(device=self.device))

    def clip_iqa(self) -> ClipIqa:
        """CLIP-IQA, loaded once.

        Raises:
            Missing: its package or weights are not there.
        """
        return self._load("clip_iqa", lambda: ClipIqa(device=self.device))

    def sam(self) -> structure.Segmenter:
        """Segment Anything, loaded once.

        Raises:
            Missing: no weights are there.
        """
        return self._load("sam", lambda: find_sam(self.device))


def _psnr(judge: Judge, of: Pictures, shared: dict) -> Found:
    parts = {band: to_psnr(error) for band, error in by_band(of.errors).items()}
    shown = displayed_range(of.inner_hr, of.inner)
    parts["over the displayed range"] = to_psnr(of.errors.mean(), shown)
    settings = RANGE | of.edge | {"displayed range": f"{shown:.4f} (reference, 0.1 % to 99.9 %)"}
    return to_psnr(of.errors.mean()), parts, settings | _numpy()


def _ssim(judge: Judge, of: Pictures, shared: dict) -> Found:
    bands = ssim(of.inner_sr, of.inner_hr, valid=of.inner)
    settings = {
        "package": f"scikit-image {version('scikit-image')}",
        "window": "Gaussian 11 x 11, sigma 1.5, K 0.01 and 0.03, valid region",
    }
    return float(bands.mean()), by_band(bands), settings | RANGE | of.edge


def _rmse(judge: Judge, of: Pictures, shared: dict) -> Found:
    bands = by_band(np.sqrt(of.plain_errors))
    return float(np.sqrt(of.plain_errors.mean())), bands, of.edge | _numpy()


def _ergas(judge: Judge, of: Pictures, shared: dict) -> Found:
    mean = of.inner_hr[:, of.inner].mean(1, dtype=np.float64)
    if (mean <= 0).any():
        raise Unfit("A band of the reference is black on average.")
    return ergas(of.plain_errors, mean), {}, {"factor": "1/4"} | of.edge | _numpy()


def _angle(judge: Judge, of: Pictures, shared: dict) -> Found:
    return spectral_angle(of.inner_sr, of.inner_hr, valid=of.inner), {}, of.edge | _numpy()


def _ndvi(judge: Judge, of: Pictures, shared: dict) -> Found:
    return ndvi_error(of.inner_sr, of.inner_hr, valid=of.inner), {}, of.edge | _numpy()


def _lpips(judge: Judge, of: Pictures, shared: dict, *, which: int) -> Found:
    network = judge.lpips()
    if min(of.inner.shape) < SMALLEST:
        raise Unfit(f"Without its border the picture is smaller than {SMALLEST} pixels.")
    if "lpips" not in shared:
        shared["lpips"] = network.composites(of.inner_sr, of.inner_hr, valid=of.inner)
    settings = {"stretch": "the reference's 1st to 99th percentile, near infrared by itself"}
    return shared["lpips"][which], {}, network.provenance | settings | of.edge


def _clip_iqa(judge: Judge, of: Pictures, shared: dict) -> Found:
    network = judge.clip_iqa()
    given = of.sr[:, of.sr_valid] if of.lr is None else of.lr[:, of.lr_valid]
    if not given.size:
        raise Unfit("No pixel of the input is valid.")
    shown = (stretch(of.inner_sr[:3], given[:3]) + 1) / 2 * crop(of.sr_valid, of.border)
    name = "result" if of.lr is None else "input"
    settings = {"stretch": f"the {name}'s 1st to 99th percentile"}
    return network([shown])[0], {}, network.provenance | settings | of.edge


def _structure(judge: Judge, of: Pictures, shared: dict, *, which: str) -> Found:
    segmenter = judge.sam()
    if "structure" not in shared:
        high = structure.brightest(of.inner_hr, of.inner)
        sr, hr = (structure.draw(x, high, of.inner) for x in (of.inner_sr, of.inner_hr))
        try:
            shared["structure"] = structure.compare(
                segmenter,
                sr,
                hr,
                valid=of.inner,
                points=structure.make_grid(judge.sms_grid),
                batch=structure.GPU_BATCH if judge.device.type == "cuda" else structure.BATCH,
            )
        except Unfit as error:
            shared["structure"] = error
        shared["high"] = high
    found = shared["structure"]
    if isinstance(found, Unfit):
        raise found
    settings = {
        "grid": f"{judge.sms_grid} x {judge.sms_grid} points, both directions averaged",
        "stretch": f"0 to {shared['high']:.4f} (reference's 98th percentile)",
        "objects": f"rated at least {structure.MIN_IOU}, {structure.MIN_AREA} pixels to "
        f"{structure.MAX_SHARE:.0%} of the picture",
    }
    parts = {"points": float(found.points[0])}
    return getattr(found, which), parts, segmenter.provenance | settings | of.edge


def _input(judge: Judge, of: Pictures, shared: dict, *, which: str) -> Found:
    found = of.consistency
    parts: dict[str, float] = {}
    settings = {"seen through": consistency.PSF}
    if which == "reflectance":
        parts = {consistency.BOX: found.box_reflectance}
    elif which == "shift":
        parts = {"rows": found.rows, "columns": found.columns}
        settings["package"] = f"scikit-image {version('scikit-image')}, windowed cross-correlation"
    return getattr(found, which), parts, settings | _numpy()


def _triad(judge: Judge, of: Pictures, shared: dict, *, which: str) -> Found:
    found = of.triad
    settings = {
        "method": "opensr-test 1.3.3's formulas: normalised difference, 75 % threshold, "
        f"weights {correctness.LAMBDA}, temperature {correctness.TEMPERATURE}",
        "harmonised": "histogram and shift of the result matched to the reference",
    }
    parts = {
        "share of pixels judged": found.counted,
        "shift, rows": found.shift[0],
        "shift, columns": found.shift[1],
    }
    return getattr(found, which), parts, settings | of.edge | _numpy()


def _numpy() -> dict[str, str]:
    return {"computed with": f"NumPy {np.__version__}"}


def _size(size: Sequence[int]) -> str:
    return f"{size[1]} x {size[0]}"


COMPUTE: Mapping[str, Callable[[Judge, Pictures, dict], Found]] = {
    "psnr": _psnr,
    "ssim": _ssim,
    "rmse": _rmse,
    "ergas": _ergas,
    "spectral_angle": _angle,
    "ndvi": _ndvi,
    "lpips": functools.partial(_lpips, which=0),
    "lpips_nir": functools.partial(_lpips, which=1),
    "clip_iqa": _clip_iqa,
    "sms": functools.partial(_structure, which="squared_difference"),
    "sms_iou": functools.partial(_structure, which="iou_loss"),
    "boundary_f": functools.partial(_structure, which="boundary_f"),
    "input_reflectance": functools.partial(_input, which="reflectance"),
    "input_angle": functools.partial(_input, which="angle"),
    "input_shift": functools.partial(_input, which="shift"),
    **{name: functools.partial(_triad, which=name) for name in correctness.NAMES},
}
"""How each metric is computed."""
