"""Stand-ins for the model: same door as `Pipeline`, no networks, tests set the pace."""

import asyncio
import dataclasses
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rasterio.transform import Affine

from ldsr.data.patch import Patch, Source
from ldsr.errors import LdsrError
from ldsr.render import difference, upsample
from ldsr.result import LEVELS, Calibration, Place, StageFigures, SuperResolution, Uncertainty
from ldsr.semantics.vocabulary import contrast, parse_tags
from ldsr.steps import Enough, Step
from ldsr.web.studio import Studio

PATIENCE = 120.0
FOUND = "forest:0.6, water:0.4"
"""What the stand-in finds in every patch."""
PLACE = Place(
    reason="structure",
    text="The samples put edges in different places, 3.1 m apart on average.",
    severity=1.5,
    area=240,
    outline=((20.0, 12.0), (20.0, 32.0), (32.0, 32.0), (32.0, 12.0), (20.0, 12.0)),
)
"""What is to be checked in every patch that was sampled."""


class FakePipeline:
    """Enlarges; waits at a gate before each step, so that a test decides how far a run goes.

    Of every three steps of stage 1 one is said to be skipped where there is a threshold. Stage 1
    makes everything 0.02 brighter, stage 2 another 0.01.
    """

    name, sha256, device = "mini", "ab" * 32, "cpu"
    temperature, can_refine, bases = 0.8, True, ("ldsr", "regression", "bicubic")

    def __init__(self) -> None:
        self.gate = threading.Semaphore(10**6)
        self.busy = 0
        self.most_busy = 0
        self.seen: list[int] = []
        self.asked: list[str] = []

    def find_tags(self, patch, semantics):
        self.asked.append(semantics)
        if semantics in ("clip", "llava"):
            raise LdsrError(f"{semantics} is not installed; choose spectral.")
        if semantics == "none":
            return None, "none"
        own = semantics == "spectral"
        return parse_tags(FOUND if own else semantics), "spectral" if own else "person"

    def __call__(self, patch, settings, on_step) -> SuperResolution:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        self.seen.append(settings.seed)
        try:
            result = self._run(patch, settings, on_step)
            return self.sample(result, settings.samples, on_step) if settings.samples else result
        finally:
            self.busy -= 1

    def _run(self, patch, settings, on_step) -> SuperResolution:
        fine = upsample(patch) + np.float32(0.02)
        self._steps("denoise", settings.steps, on_step, fine)
        skipped = settings.steps // 3 if settings.skip_threshold else 0
        figures = {"base": _stage(settings.steps - skipped, skipped)}
        base = sr = _fine_patch(patch, fine)
        extra = {}
        if settings.refine:
            tags, source = self.find_tags(patch, settings.semantics)
            self._steps("refine denoise", settings.refine_steps, on_step, fine + 0.01)
            figures["refine"] = _stage(settings.refine_steps, 0)
            sr = _fine_patch(patch, fine + 0.01)
            detail = np.full(sr.size, 0.5 * settings.detail_cap, np.float32)
            extra = {"detail": detail, "tags": tags, "tags_source": source}
        warm = self.temperature if settings.temperature is None else settings.temperature
        return SuperResolution(
            lr=patch,
            base=base,
            sr=sr,
            settings=dataclasses.replace(settings, temperature=warm),
            weights=self.name,
            weights_sha256=self.sha256,
            seconds={"denoise": 1.0, "refine denoise": 0.4, "total": 1.5},
            figures=figures,
            out_of_range=0.002,
            **extra,
        )

    def sample(self, result, samples=8, on_step=None) -> SuperResolution:
        """Each sample 0.002 brighter than the one before; settled by a change below 1 / n."""
        settings = dataclasses.replace(result.settings, samples=samples)
        count, ended = 1, "all"
        try:
            while count < samples and ended == "all":
                on_step(Step("sample", count, samples))
                assert self.gate.acquire(timeout=PATIENCE)
                on_step(Step("sample", count, samples))
                count += 1
                picture = result.sr.reflectance + np.float32(0.002 * (count - 1))
                spread = np.full(result.sr.size, 0.002, np.float32)
                shown = (lambda picture=picture: picture, lambda spread=spread: spread)
                on_step(Step("sample", count, samples, *shown))
                if count >= 4 and 1 / count < settings.settle:
                    ended = "settled"
        except Enough:
            ended = "cancelled"
        found = None if count < 2 else make_uncertainty(result, count, samples, ended)
        return dataclasses.replace(result, settings=settings, uncertainty=found)

    def prompt_sensitivity(self, result, on_step=None):
        self._steps("refine denoise", result.settings.refine_steps, on_step, None)
        change = difference(result.sr.reflectance, result.base.reflectance) / 4
        mean = float(change.mean())
        return SimpleNamespace(
            other_tags=contrast(result.tags), mean=mean, difference=change, refinement=4 * mean
        )

    def _steps(self, part, steps, on_step, fine) -> None:
        preview = None if fine is None else lambda: fine
        for step in range(1, steps + 1):
            on_step(SimpleNamespace(part=part, step=step, steps=steps, preview=preview))
            assert self.gate.acquire(timeout=PATIENCE)


class BrokenPipeline(FakePipeline):
    def __call__(self, patch, settings, on_step) -> SuperResolution:
        raise RuntimeError("a secret path")


class BaseOnlyPipeline(FakePipeline):
    """Weights without a second stage."""

    can_refine = False


def closed_gate() -> FakePipeline:
    """A pipeline that waits in its first step until the test opens the gate."""
    pipeline = FakePipeline()
    pipeline.gate = threading.Semaphore(0)
    return pipeline


def wait_for(condition) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _stage(computed: int, skipped: int) -> StageFigures:
    figures = {"steps_computed": computed, "steps_skipped": skipped}
    return StageFigures(**figures, residual_before=0.0123, residual_after=0.00004)


def make_uncertainty(result: SuperResolution, samples: int, asked: int, ended: str) -> Uncertainty:
    """Half widths of 0.004 at 90 % and one place; calibrated with the base "ldsr" alone."""
    calibrated = result.settings.base == "ldsr"
    factors = {level: (2 * level / 0.9,) * 4 for level in LEVELS}
    std = np.full(result.sr.reflectance.shape, 0.002, np.float32)
    check = np.zeros(result.sr.size, bool)
    check[20:32, 12:32] = True
    calibration = Calibration(
        name="balanced",
        data="Fitted on aerial pictures of one city.",
        places=("here",),
        contrast=(0.2,) * 4,
        floor=(0.01,) * 4,
        factors={samples: factors},
        coverage={samples: factors},
    )
    return Uncertainty(
        mean=result.sr.reflectance,
        std=std,
        scale=std,
        edge_spread=np.full(result.sr.size, 0.4, np.float32),
        samples=samples,
        asked=asked,
        ended=ended,
        change=1 / samples,
        factors=factors,
        calibration=calibration if calibrated else None,
        uncalibrated="" if calibrated else "there is no calibration for these settings",
        places=(PLACE,),
        check=check,
    )


def _fine_patch(patch: Patch, fine: np.ndarray) -> Patch:
    return Patch(
        reflectance=fine.astype(np.float32),
        valid=patch.valid.repeat(4, 0).repeat(4, 1),
        crs=patch.crs,
        transform=None if patch.transform is None else patch.transform * Affine.scale(0.25),
        source=patch.source,
    )


def collect(generator) -> list:
    """Everything an asynchronous generator yields."""

    async def drain() -> list:
        return [item async for item in generator]

    return asyncio.run(drain())


def make_named_patch() -> Patch:
    """16 x 20 pixels of noise without a place; its name needs care in a file name."""
    values = np.random.default_rng(0).uniform(0.02, 0.4, (4, 16, 20)).astype(np.float32)
    source = Source(name="a b/c<d>.tif")
    return Patch(reflectance=values, valid=np.ones((16, 20), bool), source=source)


def one_sample_studio(monkeypatch: pytest.MonkeyPatch, patch: Patch) -> Studio:
    """A studio with one sample, `patch`, and no first run."""
    samples = (SimpleNamespace(key="field", name="Field, somewhere"),)
    for module in ("ldsr.web.studio", "ldsr.web.files", "ldsr.web.resolve.opening"):
        monkeypatch.setattr(f"{module}.list_samples", lambda: samples)
        monkeypatch.setattr(f"{module}.load_sample", lambda key: patch)
    return Studio(FakePipeline())
