"""Training: the operators, the losses, and that every recipe runs, resumes and learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ldsr.errors import WeightsError
from ldsr.models.latent_sr import LatentSR
from ldsr.models.regression import Regression
from ldsr.training import losses, pairs
from ldsr.training.__main__ import FURTHER, RECIPES, SHIPPED, main
from ldsr.training.bases import grow
from ldsr.training.degradation import decimation_matrix, degrade_randomly
from ldsr.training.loop import Budget, fit
from ldsr.training.pairs import Pairs, Sources
from ldsr.training.pool import gaussian_blur


def make_sources() -> Sources:
    """Small pictures of each kind with structure in them."""
    random = np.random.default_rng(0)

    def blocks(bands: int, height: int, width: int) -> np.ndarray:
        coarse = random.integers(20, 230, (bands, height // 8, width // 8), dtype=np.uint8)
        return coarse.repeat(8, axis=1).repeat(8, axis=2)

    return Sources(
        aerial=np.stack([blocks(4, 128, 128) for _ in range(3)]),
        rural=(blocks(4, 160, 136),),
        sentinel2=((blocks(4, 120, 144) / 1000).astype(np.float32),),
    )


def save_sources(path: Path) -> None:
    sources = make_sources()
    np.savez(
        path,
        aerial=sources.aerial,
        rural_0=sources.rural[0],
        sentinel2_made=(sources.sentinel2[0] * 10000).astype(np.uint16),
    )


def test_decimation_keeps_a_constant_and_the_centre() -> None:
    rows = decimation_matrix(64, 4, torch.tensor([2.0]), torch.tensor([0.0]))[0]
    assert torch.allclose(rows.sum(1), torch.ones(16))
    positions = torch.arange(64) + 0.5
    centres = rows @ positions
    assert torch.allclose(centres[3:-3], (torch.arange(16)[3:-3] + 0.5) * 4, atol=1e-3)


def test_batches_are_reflectance_and_repeatable() -> None:
    first = Pairs(make_sources(), seed=3).batch(12)
    again = Pairs(make_sources(), seed=3).batch(12)
    assert torch.equal(first, again)
    assert first.shape == (12, 4, 64, 64) and first.min() >= 0 and first.max() < 3
    lr = degrade_randomly(first, torch.Generator().manual_seed(0))
    assert lr.shape == (12, 4, 16, 16)
    assert torch.allclose(lr.mean((2, 3)), first.mean((2, 3)), rtol=0.1, atol=0.01)


def test_validation_city_is_never_trained_on() -> None:
    assert pairs.VALIDATION_CITY not in pairs.TRAINING_CITIES


def test_grid_loss_sees_a_grid_and_nothing_else() -> None:
    torch.manual_seed(0)
    hr = torch.rand(2, 4, 64, 64)
    pattern = torch.tensor([1.0, 0, 0, 0]).repeat(16)
    assert losses.grid_loss(hr, hr) == 0
    assert losses.grid_loss(hr + 0.1, hr) < 1e-6
    assert losses.grid_loss(hr + 0.1 * pattern, hr) > 0.02


def test_wasserstein_compares_values_not_places() -> None:
    x = torch.rand(2, 4, 8, 8)
    assert losses.wasserstein(x.flip(2, 3), x) == 0
    assert losses.wasserstein(x + 0.5, x) == pytest.approx(0.5, abs=1e-6)


def test_loop_learns_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    def run(steps: list[int], checkpoint: Path) -> torch.nn.Linear:
        for count in steps:
            torch.manual_seed(0)
            network = torch.nn.Linear(4, 1)
            generator = torch.Generator().manual_seed(1)

            def loss(step: int, progress: float) -> tuple[torch.Tensor, dict[str, float]]:
                x = torch.randn(16, 4, generator=generator)
                value = ((network(x) - x.sum(1, keepdim=True)) ** 2).mean()
                return value, {"loss": value.item()}

            # a budget of ages: the rate does not depend on the clock
            budget = Budget(minutes=1e9, max_steps=count, learning_rate=0.05, ema=0.5)
            fit(network, loss, budget=budget, checkpoint=checkpoint, extra={"x": generator})
        return network

    at_once = run([200], tmp_path / "once.pt")
    in_two = run([120, 200], tmp_path / "two.pt")
    assert torch.allclose(at_once.weight, in_two.weight, atol=1e-6)
    assert torch.allclose(at_once.weight, torch.ones(1, 4), atol=0.1)


def test_every_recipe_runs_and_the_result_is_loaded_by_the_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--smoke`: two steps of each recipe, one after the other, then the file that ships."""
    from ldsr.loading import load_mini
    from ldsr.weights import hash_file

    pictures, run, out = tmp_path / "pictures.npz", tmp_path / "run", tmp_path / "mini.safetensors"
    save_sources(pictures)
    for recipe in RECIPES:
        assert main([recipe, str(pictures), str(run), "--smoke"]) == 0
    assert main(["export", str(run), str(out)]) == 0
    loaded = load_mini(out, hash_file(out), torch.device("cpu"))
    model: LatentSR = loaded.model
    assert model.latent_std.min() > 0 and not torch.equal(
        model.latent_std, torch.ones_like(model.latent_std)
    )
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


def test_networks_beside_the_model_train_and_are_loaded_by_the_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--smoke` again, for every network that has a file of its own."""
    from ldsr.loading import load_part
    from ldsr.weights import hash_file

    pictures, run = tmp_path / "pictures.npz", tmp_path / "run"
    save_sources(pictures)
    for recipe in FURTHER:
        assert main([recipe, str(pictures), str(run), "--smoke"]) == 0
    cpu = torch.device("cpu")
    for role in SHIPPED:
        out = tmp_path / f"{role}.safetensors"
        assert main(["export-part", role, str(run), str(out)]) == 0
        part = load_part(out, role, hash_file(out), cpu)
        assert all(torch.isfinite(tensor).all() for tensor in part.network.state_dict().values())
        with pytest.raises(WeightsError, match=out.name):
            load_part(out, "sr3" if role != "sr3" else "refiner", "", cpu)


def test_a_deeper_regression_begins_as_the_one_it_grew_from() -> None:
    torch.manual_seed(0)
    small, large = (
        Regression(channels=8, blocks=1, head=4),
        Regression(channels=8, blocks=3, head=4),
    )
    grow(small, large)
    lr = torch.rand(1, 4, 9, 9)
    assert torch.allclose(small(lr)[0], large(lr)[0], atol=1e-6)


def test_blur_of_the_bases_keeps_a_constant_and_widens_an_edge() -> None:
    flat = torch.full((2, 4, 16, 16), 0.3)
    sigma = torch.tensor([0.2, 1.3])
    assert torch.allclose(gaussian_blur(flat, sigma), flat, atol=1e-6)
    edge = flat.clone()
    edge[..., 8:] = 0.6
    blurred = gaussian_blur(edge, sigma)
    assert (blurred[1] - edge[1]).abs().max() > 5 * (blurred[0] - edge[0]).abs().max()
