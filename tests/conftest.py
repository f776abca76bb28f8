"""Fixtures: a tiny model with random weights, and a small patch with structure."""

import os
import threading
import time
from collections.abc import Iterator

# before torch: where two processes test, each takes its share of the processor
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

import numpy as np
import pytest
import torch
from rasterio.crs import CRS
from rasterio.transform import from_origin

from ldsr.data.patch import Patch, Source
from ldsr.loading import Loaded, Part, Parts
from ldsr.models.latent_sr import LatentSR
from ldsr.models.refiner import Refiner
from ldsr.models.regression import Regression
from ldsr.models.sr3 import SR3
from ldsr.pipeline import Pipeline
from ldsr.sampling.schedule import cosine_schedule

LEFT_BEHIND = ("ldsr-window", "ldsr-catalogue")
"""Names of threads that the product leaves behind when a server is late."""
TINY = {
    "value_range": "sqrt",
    "detail_scale": 0.05,
    "regression": {"channels": 8, "blocks": 1, "head": 4},
    "autoencoder": {
        "channels": 4,
        "mults": (1, 2, 2),
        "blocks": 1,
        "attention": False,
        "norm": "pixel",
        "upsample": "bilinear",
        "guided": True,
    },
    "denoiser": {
        "channels_in": 12,
        "channels": 8,
        "mults": (1, 2),
        "attention_levels": (),
        "middle_attention": False,
        "norm": "pixel",
        "upsample": "bilinear",
    },
}
"""Geometry of the mini model, a thousand times smaller."""
TINY_REFINER = {
    "denoiser": TINY["denoiser"],
    "control": {"channels_in": 12, "channels": 8, "mults": (1, 2)},
    "fusion": {"z_channels": 4, "cond_channels": 8, "channels": 4},
    "tags": 10,
}
TINY_SR3 = {"channels": 4, "mults": (1, 2), "head": 4}
TINY_REGRESSION = {"channels": 4, "blocks": 1, "head": 4}


@pytest.fixture(scope="session")
def tiny_model() -> LatentSR:
    """The mini model's classes with random weights, none of them zero."""
    torch.manual_seed(0)
    return LatentSR(**TINY).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_refiner() -> Refiner:
    """The networks of stage 2 with random weights, those that begin at zero included."""
    torch.manual_seed(1)
    refiner = Refiner(**TINY_REFINER)
    for network in (refiner.tags, *refiner.control.out, refiner.control.middle):
        torch.nn.init.normal_(network.weight, std=0.2)
    torch.nn.init.normal_(refiner.fusion.conv_out.weight, std=0.5)
    return refiner.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_parts(tiny_refiner: Refiner) -> Parts:
    """Networks beside `tiny_model`, random."""
    torch.manual_seed(2)
    networks = {
        "refiner": tiny_refiner,
        "sr3": SR3(**TINY_SR3),
        "regression": Regression(**TINY_REGRESSION),
    }
    given = {
        role: Part(
            network=network.eval().requires_grad_(False),
            temperature=0.5,
            file=f"tiny-{role}",
            sha256="1" * 64,
        )
        for role, network in networks.items()
    }
    return Parts(torch.device("cpu"), given)


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_model: LatentSR, tiny_parts: Parts) -> Pipeline:
    """A pipeline around `tiny_model`, all parts at hand."""
    loaded = Loaded(
        model=tiny_model,
        schedule=cosine_schedule(),
        spacing="trailing",
        last_alpha_cumprod=1.0,
        temperature=0.8,
        sha256="0" * 64,
    )
    return Pipeline("tiny", loaded, torch.device("cpu"), parts=tiny_parts)


def make_patch(
    height: int = 24, width: int = 32, *, seed: int = 0, georeferenced: bool = True
) -> Patch:
    """Smooth fields with sharp edges, in reflectance 0.02..0.4."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    fields = (rows // 7 + columns // 9) % 3
    picture = 0.05 + 0.08 * fields[None] * random.uniform(0.5, 1.5, (4, 1, 1))
    picture = picture + random.normal(0, 0.002, (4, height, width))
    return Patch(
        reflectance=picture.clip(0.02, 0.4).astype(np.float32),
        valid=np.ones((height, width), bool),
        crs=CRS.from_epsg(32632) if georeferenced else None,
        transform=from_origin(680000, 5152000, 10, 10) if georeferenced else None,
        source=Source(kind="upload", name="made"),
    )


@pytest.fixture
def patch() -> Patch:
    """A small georeferenced patch, not square."""
    return make_patch()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """End a test only when the threads it left waiting for a late server have ended.

    pytest and its fixtures change the environment between tests, and GDAL reads it all the time:
    in glibc before 2.41 the two at once crash the process.
    """
    try:
        return (yield)
    finally:
        if "files" in pyfuncitem.funcargs:
            pyfuncitem.funcargs["files"].faults.clear()
        end = time.monotonic() + 60
        while waiting := [t.name for t in threading.enumerate() if t.name.startswith(LEFT_BEHIND)]:
            assert time.monotonic() < end, f"Left behind after the test: {waiting}."
            time.sleep(0.02)
