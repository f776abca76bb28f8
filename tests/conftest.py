"""Fixtures: a tiny model with random weights, and a small patch with structure."""

import numpy as np
import pytest
import torch
from rasterio.crs import CRS
from rasterio.transform import from_origin

from ldsr.data.patch import Patch, Source
from ldsr.models.latent_sr import LatentSR
from ldsr.pipeline import Pipeline
from ldsr.sampling.schedule import cosine_schedule
from ldsr.weights import Loaded

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


@pytest.fixture(scope="session")
def tiny_model() -> LatentSR:
    """The mini model's classes with random weights, none of them zero."""
    torch.manual_seed(0)
    return LatentSR(**TINY).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def tiny_pipeline(tiny_model: LatentSR) -> Pipeline:
    """A pipeline around `tiny_model`."""
    loaded = Loaded(
        model=tiny_model,
        schedule=cosine_schedule(),
        spacing="trailing",
        last_alpha_cumprod=1.0,
        temperature=0.8,
        sha256="0" * 64,
    )
    return Pipeline("tiny", loaded, torch.device("cpu"))


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
