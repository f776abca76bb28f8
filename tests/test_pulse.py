"""A run is told of within a long step, and can be ended there."""

import pytest
import torch
from torch import nn

from ldsr import pulse as pulse_module
from ldsr.data.patch import Patch
from ldsr.pipeline import Pipeline
from ldsr.pulse import Pulse
from ldsr.settings import Settings
from ldsr.steps import Step

SETTINGS = Settings(steps=2, refine_steps=2)


class Stop(Exception):
    pass


@pytest.fixture
def at_once(monkeypatch) -> None:
    """Look up before every layer."""
    monkeypatch.setattr(pulse_module, "EVERY", 0.0)


class Watch:
    """Notes the steps it is told and, at each look, the part that was told last."""

    def __init__(self, stop_in: str = "") -> None:
        self.told: list[Step] = []
        self.looks: list[str] = []
        self.stop_in = stop_in

    def __call__(self, step: Step) -> None:
        self.told.append(step)

    def look_up(self) -> None:
        part = self.told[-1].part if self.told else ""
        self.looks.append(part)
        if self.stop_in and part == self.stop_in:
            raise Stop


def test_a_run_looks_up_in_every_part(tiny_pipeline: Pipeline, patch: Patch, at_once) -> None:
    watch = Watch()
    tiny_pipeline(patch, SETTINGS, watch)
    for part in ("regress", "denoise", "decode", "refine encode", "refine denoise"):
        assert watch.looks.count(part) > 5, part


def test_steps_are_told_once(tiny_pipeline: Pipeline, patch: Patch, at_once) -> None:
    plain: list[Step] = []
    tiny_pipeline(patch, SETTINGS, plain.append)
    watch = Watch()
    tiny_pipeline(patch, SETTINGS, watch)
    assert [(step.part, step.step) for step in watch.told] == [(s.part, s.step) for s in plain]
    assert len(plain) == len({(step.part, step.step) for step in plain})


def test_a_run_ends_within_a_step(tiny_pipeline: Pipeline, patch: Patch, at_once) -> None:
    watch = Watch(stop_in="decode")
    with pytest.raises(Stop):
        tiny_pipeline(patch, SETTINGS, watch)
    assert watch.told[-1].part == "decode"


def test_it_changes_no_number(tiny_pipeline: Pipeline, patch: Patch, monkeypatch) -> None:
    plain = tiny_pipeline(patch, SETTINGS)
    monkeypatch.setattr(pulse_module, "EVERY", 0.0)
    assert (tiny_pipeline(patch, SETTINGS).sr.reflectance == plain.sr.reflectance).all()


def test_it_looks_up_now_and_then_only(tiny_pipeline, patch, monkeypatch) -> None:
    monkeypatch.setattr(pulse_module, "EVERY", 1e9)
    watch = Watch()
    tiny_pipeline(patch, SETTINGS, watch)
    assert watch.looks == []


def test_a_run_that_is_over_looks_up_no_more(at_once) -> None:
    network, pulse, watch = nn.Linear(2, 2), Pulse(), Watch()
    pulse.attach(network)
    pulse.attach(network)
    teller = pulse.follow(watch)
    network(torch.zeros(1, 2))
    assert len(watch.looks) == 1
    del teller
    network(torch.zeros(1, 2))
    assert len(watch.looks) == 1
