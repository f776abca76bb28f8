"""A crew of one, in this process, with a tiny model instead of the one that ships."""

import copy

import pytest

from ldsr.pipeline import Pipeline
from ldsr.scene import worker
from ldsr.scene.crew import Here
from tests.scene.arrays import ArrayScene, ground


@pytest.fixture
def tiny_crew(tiny_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Works at once, with `tiny_pipeline`."""

    def load(machine: worker.Machine) -> Pipeline:
        pipeline = copy.copy(tiny_pipeline)
        pipeline.half = machine.half
        return pipeline

    monkeypatch.setattr(worker, "_load", load)
    return Here()


@pytest.fixture
def scene() -> ArrayScene:
    """Nine windows of 64."""
    return ArrayScene(ground((180, 190)))


@pytest.fixture
def strip() -> ArrayScene:
    """Three windows of 64 side by side, for what a network computes: a fifth of the work."""
    return ArrayScene(ground((64, 190)))
