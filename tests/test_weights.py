"""Weights: the shipped file, the round trip, damaged and missing files."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from ldsr.errors import WeightsError
from ldsr.loading import load_mini, load_weights, save_mini
from ldsr.models.latent_sr import LatentSR
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings
from ldsr.weights import ASSETS, WEIGHTS, hash_file
from tests.conftest import TINY, make_patch

CPU = torch.device("cpu")


def test_shipped_weights_are_what_the_registry_says() -> None:
    embedded = [entry for entry in WEIGHTS.values() if entry.embedded]
    assert {entry.role for entry in embedded} == {"model", "refiner", "sr3", "regression"}
    for entry in embedded:
        assert hash_file(entry.path) == entry.sha256
        with safe_open(entry.path, framework="pt") as file:
            assert all(file.get_tensor(key).dtype == torch.float16 for key in file.keys())
            assert json.loads(file.metadata()["geometry"])
    assert WEIGHTS["mini"].path.stat().st_size <= 25e6
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) <= 60e6


def test_shipped_weights_beat_bicubic_at_their_own_ground() -> None:
    """Through the point spread function a sharp edge comes back sharper than bicubic leaves it."""
    from ldsr.consistency import degrade

    hr = torch.full((1, 4, 128, 128), 0.08)
    hr[..., 40:90, 30:70] = 0.25
    hr[..., 60:, 96:] = 0.15
    patch = make_patch(32, 32)
    object.__setattr__(patch, "reflectance", degrade(hr, operator="psf")[0].numpy())
    pipeline = Pipeline.load("mini", device="cpu")

    def error(base: str) -> float:
        settings = Settings(base=base, steps=4, refine=False, consistency="none")
        result = pipeline(patch, settings)
        return float(((torch.from_numpy(result.sr.reflectance) - hr[0]) ** 2).mean())

    assert error("ldsr") < 0.8 * error("bicubic")
    assert error("regression") < 0.8 * error("bicubic")


def test_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LatentSR(**TINY)
    path = tmp_path / "tiny.safetensors"
    schedule = {"length": 1000, "parameterization": "v"}
    digest = save_mini(model, path, geometry=TINY, schedule=schedule, temperature=0.6)
    loaded = load_mini(path, digest, CPU)
    assert loaded.sha256 == hash_file(path)
    assert loaded.temperature == 0.6
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value.half().float())


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"not weights", b"\x08\0\0\0\0\0\0\0{}      "):
        path = tmp_path / "wrong.safetensors"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="wrong.safetensors"):
            load_mini(path, "0" * 64, CPU)


def test_missing_published_weights_say_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as error:
        load_weights("ldsr-s2", CPU)
    assert "huggingface.co" in str(error.value) and str(tmp_path) in str(error.value)


def test_a_file_that_is_no_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    path = WEIGHTS["ldsr-s2"].path
    path.parent.mkdir(parents=True)
    for content in (b"text", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="checkpoint"):
            load_weights("ldsr-s2", CPU)
