"""Compiled networks give the plain ones' pictures, or are plain; half precision is asked for."""

import copy
import dataclasses
import logging
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ldsr import compiling, device
from ldsr.compiling import Compiler, make_compiler
from ldsr.device import bfloat16_where_fast, choose_half, convolutions, keep_half
from ldsr.errors import WeightsError
from ldsr.loading import Loaded, Parts
from ldsr.models.geometry import PUBLISHED
from ldsr.models.latent_sr import LatentSR
from ldsr.pipeline import Pipeline
from ldsr.settings import BASES, Settings
from tests.conftest import TINY, make_patch

CPU = torch.device("cpu")
NARROW = PUBLISHED | {"autoencoder": {"channels": 32}, "denoiser": {"channels": 32}}
QUICK = Settings(steps=2, refine_steps=2)

Backend = str | Callable[..., Any]
Make = Callable[..., Pipeline]


@pytest.fixture
def make(tiny_pipeline: Pipeline, tiny_parts: Parts) -> Make:
    """Makes pipelines with networks of their own, equal to those of `tiny_pipeline`."""

    def build(backend: Backend | None = None, *, half: bool | None = False) -> Pipeline:
        roles = ("refiner", "sr3", "regression")
        given = {role: copy.deepcopy(tiny_parts[role]) for role in roles}
        loaded = dataclasses.replace(
            tiny_pipeline.loaded, model=copy.deepcopy(tiny_pipeline.loaded.model)
        )
        return Pipeline(
            "tiny",
            loaded,
            CPU,
            parts=Parts(CPU, given),
            half=half,
            compiler=Compiler(backend=backend),
        )

    return build


@pytest.fixture
def published(tiny_pipeline: Pipeline) -> Callable[..., Pipeline]:
    """Makes pipelines around the published geometry, narrow, random."""
    torch.manual_seed(0)
    model = LatentSR(**NARROW).eval().requires_grad_(False)

    def build(half: bool | None) -> Pipeline:
        loaded: Loaded = dataclasses.replace(tiny_pipeline.loaded, model=copy.deepcopy(model))
        return Pipeline("narrow", loaded, CPU, half=half)

    return build


class Counting:
    """A backend that compiles nothing and counts the graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.graphs += 1
        return graph.forward


@pytest.mark.parametrize("base", BASES)
def test_compiled_pictures_are_the_plain_ones(make: Make, base: str) -> None:
    """Every network of both stages is traced, one graph a piece; bicubic has none."""
    settings, patch = dataclasses.replace(QUICK, base=base), make_patch(17, 24)
    plain, compiled = (make(backend)(patch, settings) for backend in (None, "eager"))
    assert np.abs(plain.sr.reflectance - compiled.sr.reflectance).max() <= 1e-5
    assert compiled.figures["base"].compiled == (base != "bicubic")
    assert compiled.figures["refine"].compiled
    assert not any(stage.compiled for stage in plain.figures.values())
    sheet = compiled.run_sheet()["stages"]["refine"]
    assert sheet["compiled"] is True and sheet["precision"] == "float32"


def test_functional_graphs_and_samples_in_batches(make: Make) -> None:
    """In-place sums, cache rows and expanded inputs survive what compilers make of them."""
    settings = Settings(steps=3, refine=False, skip_threshold=0.3, samples=3, settle=0.0)
    plain, compiled = (make(b)(make_patch(16, 20), settings) for b in (None, "aot_eager"))
    assert compiled.figures["base"].compiled
    assert np.abs(plain.sr.reflectance - compiled.sr.reflectance).max() <= 1e-5
    assert np.abs(plain.uncertainty.mean - compiled.uncertainty.mean).max() <= 1e-5


def test_sizes_do_not_make_graphs_without_end(make: Make) -> None:
    """The first size as it is, then graphs that serve all sizes."""
    backend = Counting()
    pipeline, counts = make(backend), []
    settings = dataclasses.replace(QUICK, refine=False)
    for size in ((16, 16), (16, 20), (20, 24), (16, 16), (18, 24), (24, 20), (20, 22)):
        assert pipeline(make_patch(*size), settings).figures["base"].compiled
        counts.append(backend.graphs)
    assert counts[3] == counts[2], "what is there is used again"
    assert counts[-1] <= 4 * counts[0]
    assert counts[-1] == counts[-2]


def test_preparing_twice_changes_nothing(make: Make) -> None:
    pipeline = make("eager")
    before = pipeline.loaded.model.denoiser._deep
    assert pipeline.mini() is pipeline.loaded
    pipeline.compiler.prepare(pipeline.loaded.model)
    assert pipeline.loaded.model.denoiser._deep is before


def fail(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    raise RuntimeError("No working C++ compiler found in the configuration.\nAnd more.")


def lie(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
    def run(*arguments: Any) -> Any:
        return [x * 1.01 if isinstance(x, Tensor) else x for x in graph(*arguments)]

    return run


@pytest.mark.parametrize(("backend", "why"), [(fail, "install g++"), (lie, "off by 1.0%")])
def test_where_it_fails_the_networks_run_plain_and_it_is_said_once(
    make: Make, caplog: pytest.LogCaptureFixture, backend: Backend, why: str
) -> None:
    patch, pipeline = make_patch(16, 16), make(backend)
    with caplog.at_level(logging.WARNING, logger=compiling.__name__):
        results = [pipeline(patch, QUICK) for _ in range(2)]
    said = [record.getMessage() for record in caplog.records if record.name == compiling.__name__]
    assert len(said) == 1 and why in said[0] and "\n" not in said[0]
    expected = make()(patch, QUICK)
    for result in results:
        assert np.array_equal(result.sr.reflectance, expected.sr.reflectance)
        assert not any(stage.compiled for stage in result.figures.values())


def test_what_the_person_cancels_is_no_failure(make: Make) -> None:
    class Stop(Exception):
        pass

    def stop(step: object) -> None:
        raise Stop

    pipeline = make("eager")
    with pytest.raises(Stop):
        pipeline(make_patch(16, 16), QUICK, stop)
    assert pipeline.compiler.failed is None


def test_memory_that_runs_out_is_no_failure_of_the_compiler(make: Make) -> None:
    def greedy(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            raise torch.OutOfMemoryError("out of memory")

        return run

    pipeline = make(greedy)
    with pytest.raises(torch.OutOfMemoryError):
        pipeline(make_patch(16, 16), QUICK)
    assert pipeline.compiler.failed is None


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_the_real_compiler_keeps_its_work_where_ours_lies(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # so that it is taken back afterwards
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    network = make().part("regression", "").network
    lr = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, _ = network(lr)
        compiler = make_compiler()
        compiler.prepare(network)
        with compiler.watch() as compiled:
            picture, _ = network(lr)
    assert compiled() and compiler.failed is None
    assert torch.allclose(picture, expected, atol=1e-5)
    assert any((tmp_path / "compiled").rglob("*"))


def test_half_precision_is_refused_where_it_would_be_emulated(monkeypatch) -> None:
    monkeypatch.setattr(device, "_has_bfloat16", lambda place: False)
    assert choose_half(None, CPU) is None and choose_half(False, CPU) is False
    with pytest.raises(WeightsError, match="AVX512-BF16.*leave --half"):
        Pipeline.load("mini", device="cpu", half=True)
    with pytest.raises(WeightsError, match="Ampere"):
        choose_half(True, torch.device("cuda"))


@pytest.mark.parametrize("geometry", [TINY, NARROW], ids=["ours", "published"])
def test_weights_kept_in_half_are_what_autocast_makes(geometry: dict) -> None:
    """To the bit; those that are summed before they are used stay as they are."""
    torch.manual_seed(5)
    model = LatentSR(**geometry).eval().requires_grad_(False)
    kept = keep_half(copy.deepcopy(model))
    kinds = {
        type(module): module.weight.dtype
        for module in kept.modules()
        if isinstance(module, nn.Linear | nn.GroupNorm)
    }
    assert kinds[nn.Linear] == torch.bfloat16
    assert kinds.get(nn.GroupNorm, torch.float32) == torch.float32
    lr, z = torch.rand(1, 4, 16, 24), torch.randn(1, 4, 16, 24)
    found = []
    for network in (model, kept):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            prepared = network.prepare(lr)
            eps = network.denoise(z, torch.tensor([700]), prepared)
            found.append((prepared.cond, eps, network.decode(z, prepared)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_the_published_model_is_computed_as_published_unless_asked(
    published: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "_has_bfloat16", lambda place: True)
    settings, patch = Settings(steps=2, refine=False, temperature=1.0), make_patch(16, 16)
    default, half, exact = (published(half)(patch, settings) for half in (None, True, False))
    assert np.array_equal(default.sr.reflectance, exact.sr.reflectance)
    precisions = [result.figures["base"].precision for result in (default, half, exact)]
    assert precisions == ["float32", "bfloat16", "float32"]
    error = half.sr.reflectance - default.sr.reflectance
    assert -20 * math.log10(np.sqrt(np.mean(error**2)) / np.ptp(default.sr.reflectance)) >= 45


def test_ours_are_computed_in_half_where_it_is_fast(make: Make, monkeypatch) -> None:
    patch = make_patch(16, 16)
    for has, half, expected in (
        (True, None, "bfloat16"),
        (True, False, "float32"),
        (False, None, "float32"),
    ):
        monkeypatch.setattr(device, "_has_bfloat16", lambda place, has=has: has)
        result = make(half=half)(patch, QUICK)
        assert {stage.precision for stage in result.figures.values()} == {expected}


def test_float32_on_a_gpu_is_float32() -> None:
    """cuDNN's own choice comes back afterwards; on a CPU nothing is touched."""
    flags = torch.backends.cudnn
    before = (flags.allow_tf32, flags.benchmark, flags.enabled)
    with convolutions(torch.device("cuda")):
        assert (flags.allow_tf32, flags.benchmark, flags.enabled) == (False, True, True)
    with convolutions(CPU):
        assert (flags.allow_tf32, flags.benchmark, flags.enabled) == before
    assert (flags.allow_tf32, flags.benchmark, flags.enabled) == before
    assert not bfloat16_where_fast(CPU, wanted=False)._enabled


@pytest.mark.parametrize("geometry", [TINY, NARROW], ids=["ours", "published"])
def test_on_a_pretended_gpu_all_of_it_stays_there(geometry: dict) -> None:
    """No GPU is needed: tensors without values, whose devices may not be mixed."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        with torch.device("cuda"):
            model = LatentSR(**geometry).eval().requires_grad_(False)
        lr = torch.empty(2, 4, 18, 24, device="cuda")
        z, t = torch.empty(2, 4, 18, 24, device="cuda"), torch.full((1,), 9, device="cuda")
        prepared = model.prepare(lr)
        eps = model.denoise(z, t, prepared)
        picture = model.decode(eps, prepared)
        assert {x.device.type for x in (prepared.cond, eps, picture)} == {"cuda"}
        assert picture.shape == (2, 4, 72, 96)
