"""What is measured, in the order it is run: the peer, ours, ours without its fast paths, samples,
skipping, mini, the page.

A case's modules are imported in its own process alone.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

from tests.benchmarks.measure import Case, Run
from tests.benchmarks.work import Work

SAMPLE_STEPS = 3
"""Of DPM-Solver++, where samples are measured."""
PATHS = ("attention in rows", "oneDNN products", "doubling by phases", "in place")
"""Fast paths of both geometries, as in `paths.PATHS`; pages and layout are switched apart."""
LARGE = 4
"""Times the side of the other cases: 512 where they have 128."""

BOTH, GPU, ASKED = ("cpu", "cuda"), ("cuda",), ()
"""Devices that cases are run on unasked."""


def _from(module: str, function: str, **knobs: Any) -> Callable[[Work], Run]:
    """What a module of the benchmark makes of the work, imported when it is called."""

    def make(work: Work) -> Run:
        found = importlib.import_module(f"tests.benchmarks.{module}")
        return getattr(found, function)(work, **knobs)

    return make


def _ours(**knobs: Any) -> dict[str, Any]:
    return {
        "make": _from("runs", "ours", **knobs),
        "references": ("ours plain", "ours", "peer"),
    }


def _peer() -> dict[str, Any]:
    return {"make": _from("peer", "make_run"), "alone": True, "huge_pages": False}


def _change(**changes: Any) -> Callable[[Work], Work]:
    return lambda work: dataclasses.replace(work, **changes)


def _times(factor: float) -> Callable[[Work], Work]:
    return lambda work: dataclasses.replace(work, size=int(factor * work.size))


def _skip(**knobs: Any) -> Callable[[Work], Run]:
    return lambda work: _from("runs", "published", steps=work.skip_steps, **knobs)(work)


def _mini_skip(**knobs: Any) -> Callable[[Work], Run]:
    return lambda work: _from("runs", "mini", steps=work.skip_steps, refine=False, **knobs)(work)


def _beside_the_peer() -> dict[str, Case]:
    """LDSR-S2's geometry, the same random weights, a few DDIM steps."""
    make_checkpoint = _from("peer", "make_checkpoint")
    plain = _ours(off=PATHS, channels_last=False) | {"references": ("peer",)}
    return {
        "checkpoint": Case(
            make=make_checkpoint, devices=ASKED, alone=True, huge_pages=False, most=1
        ),
        "peer": Case(**_peer(), devices=BOTH),
        "peer huge pages": Case(**_peer() | {"huge_pages": True}, references=("peer",)),
        "ours": Case(**_ours(), devices=BOTH),
        "ours bf16": Case(**_ours(half=True), devices=BOTH),
        "ours plain": Case(**plain, devices=BOTH, huge_pages=False),
        "without huge pages": Case(**_ours(), huge_pages=False),
        "without channels_last": Case(**_ours(channels_last=False)),
        **{f"without {path}": Case(**_ours(off=(path,))) for path in PATHS},
    }


def _on_a_gpu() -> dict[str, Case]:
    """The same in batches, and compiled."""
    eight = {"devices": GPU, "adapt": _change(batch=8)}
    to_peer = {"references": ("peer batch 8",)}
    return {
        "compiled": Case(**_ours(half=True, compiled=True), devices=GPU),
        "peer batch 8": Case(**_peer(), **eight),
        "bf16 batch 8": Case(**_ours(half=True) | to_peer, **eight),
        "compiled batch 8": Case(**_ours(half=True, compiled=True) | to_peer, **eight),
        "ceiling": Case(make=_from("ceiling", "make_run"), devices=BOTH, most=1),
    }


def _samples_and_skipping() -> dict[str, Case]:
    """Uncertainty beside as many runs of the peer; a hundred steps with and without skipping."""
    few = {"adapt": _change(steps=SAMPLE_STEPS)}
    half = {"adapt": _times(0.5), "most": 1}

    def samples(work: Work) -> Run:
        drawn = {"sampler": "dpm", "steps": SAMPLE_STEPS, "samples": work.samples}
        return _from("runs", "published", **drawn)(work)

    residual = _skip(skip_form="residual")
    return {
        "peer 3 steps": Case(**_peer(), **few),
        "peer 3 steps huge pages": Case(**_peer() | {"huge_pages": True}, **few),
        "ours samples": Case(make=samples, most=1),
        "skip off": Case(make=_skip(skip_threshold=0.0), **half),
        "skip": Case(make=_skip(), references=("skip off",), **half),
        "skip residual": Case(make=residual, references=("skip off",), **half),
        "mini skip off": Case(make=_mini_skip(skip_threshold=0.0), most=1),
        "mini skip": Case(make=_mini_skip(), references=("mini skip off",), most=1),
    }


def _as_it_ships() -> dict[str, Case]:
    """The weights that ship, and the page; last what only the figures ask for."""
    mini, plain = _from("runs", "mini"), _from("runs", "mini", off=PATHS, half=False)

    def steps(**knobs: Any) -> Callable[[Work], Run]:
        return lambda work: _from("runs", "mini", steps=work.steps, **knobs)(work)

    def samples(work: Work) -> Run:
        return _from("runs", "mini", samples=work.samples)(work)

    return {
        "mini": Case(make=mini, references=("mini plain",)),
        "mini plain": Case(make=plain, huge_pages=False),
        "mini large": Case(make=mini, adapt=_times(LARGE), most=1),
        "page": Case(make=_from("page", "make_run"), huge_pages=None),
        "mini steps": Case(make=steps(), devices=ASKED),
        "mini steps computed": Case(make=steps(skip_threshold=0.0), devices=ASKED),
        "mini samples": Case(make=samples, devices=ASKED),
    }


CASES = _beside_the_peer() | _on_a_gpu() | _samples_and_skipping() | _as_it_ships()
"""Every case by its name."""


def default_cases(device: str) -> list[str]:
    """Names of the cases that are run where none are named."""
    return [name for name, case in CASES.items() if device in case.devices]
