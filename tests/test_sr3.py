"""SR3: the network, its noise, the stage that samples with it, and its training."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ldsr import bases
from ldsr.bases import sr3_stage
from ldsr.consistency import degrade
from ldsr.models.geometry import SR3 as GEOMETRY
from ldsr.models.layers import ResBlock, suppress_nyquist
from ldsr.models.sr3 import SR3, ScaledBlock
from ldsr.sampling.ddim import ddim
from ldsr.sampling.noise import make_generators
from ldsr.sampling.schedule import SR3_BETAS, sr3_schedule, sr3_signal, timesteps
from ldsr.settings import Settings
from ldsr.training import sr3 as recipe
from ldsr.training.loop import Budget
from ldsr.training.pairs import Pairs
from ldsr.training.recipes import Bench
from tests.test_training import make_sources

SETTINGS = Settings(steps=3, temperature=0.5)


@pytest.fixture(scope="module")
def network() -> SR3:
    """Random weights, none of them zero, a hundred times smaller."""
    torch.manual_seed(0)
    return SR3(channels=8, mults=(1, 2, 2), head=8).eval().requires_grad_(False)


class Oracle(SR3):
    """Knows the residual, and says what velocity leads there."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__(channels=8, mults=(1, 1), head=4)
        self.answer = answer

    def forward(self, x_t: Tensor, level: Tensor, cond: Tensor, factor: Tensor) -> Tensor:
        level = level[:, None, None, None]
        sigma = (1 - level**2).sqrt()
        eps = (x_t - level * self.answer) / sigma
        return level * eps - sigma * self.answer


@torch.inference_mode()
def run(
    network: SR3, lr: Tensor, *, seed: int = 0, settings: Settings = SETTINGS, **kwargs
) -> Tensor:
    generators = make_generators(seed, len(lr))
    return sr3_stage(network, lr, settings=settings, generators=generators, **kwargs)


def test_size_of_the_shipped_geometry() -> None:
    with torch.device("meta"):
        network = SR3(**GEOMETRY)
    assert 1.5e6 < sum(p.numel() for p in network.parameters()) < 2.5e6


@pytest.mark.parametrize("size", [(16, 16), (17, 9), (3, 22)])
def test_any_size_at_once_and_as_a_cascade(network: SR3, size: tuple[int, int]) -> None:
    lr = torch.rand(1, 4, *size) * 0.3
    for cascade in (False, True):
        assert run(network, lr, cascade=cascade).shape == (1, 4, 4 * size[0], 4 * size[1])


def test_level_of_noise_is_continuous_and_heard(network: SR3) -> None:
    x, cond = torch.randn(1, 4, 16, 16), torch.rand(1, 4, 16, 16)

    def predict(level: float, factor: float = 4.0) -> Tensor:
        return network(x, torch.tensor([level]), cond, torch.tensor([factor]))

    assert torch.equal(predict(0.5), predict(0.5))
    assert not torch.allclose(predict(0.5), predict(0.51), atol=1e-6)
    small = (predict(0.5) - predict(0.5 + 1e-6)).abs().max()
    assert small < 1e-2 * (predict(0.5) - predict(0.6)).abs().max()
    assert not torch.allclose(predict(0.5), predict(0.5, factor=2.0), atol=1e-6)


def test_sums_with_a_skip_are_rescaled() -> None:
    torch.manual_seed(0)
    block = ScaledBlock(8, 8, embedding=4, norm="pixel")
    x, embedding = torch.randn(2, 8, 5, 5), torch.randn(2, 4)
    plain = ResBlock.forward(block, x, embedding)
    assert torch.allclose(block(x, embedding), plain / 2**0.5)


def test_residual_and_picture_are_inverse_but_for_the_finest(network: SR3) -> None:
    lr = torch.rand(1, 4, 8, 8) * 0.3 + 0.05
    cond = network.condition(lr, 4)
    hr = 0.2 + 0.05 * torch.sin(torch.arange(32) / 5)[None, None, None].expand(1, 4, 32, 32)
    detail = hr - network.picture(torch.zeros_like(cond), cond, 4)
    expected = hr - detail + suppress_nyquist(detail)
    assert torch.allclose(
        network.picture(network.residual(hr, cond, 4), cond, 4), expected, atol=1e-5
    )


@pytest.mark.parametrize("length", [4, 5, 20, 500, 2000])
def test_schedule_ends_in_noise_whatever_its_length(length: int) -> None:
    schedule = sr3_schedule(length)
    assert len(schedule) == length and schedule.parameterization == "v"
    assert (schedule.alphas_cumprod.diff() < 0).all()
    assert 0 < schedule.alphas_cumprod[-1] < 1e-3
    assert schedule.alphas_cumprod[-1] == sr3_signal(torch.tensor(1.0))


def test_schedule_is_the_published_one_in_2000_steps() -> None:
    published = (1 - torch.linspace(*SR3_BETAS, 2000, dtype=torch.float64)).cumprod(0)
    schedule = sr3_schedule()
    assert torch.allclose(schedule.alphas_cumprod.sqrt(), published.sqrt(), atol=1e-3)


@pytest.mark.parametrize("sampler", ["ddim", "dpm"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_an_oracle_returns_its_answer(sampler: str, eta: float) -> None:
    answer = 0.5 * torch.randn(1, 4, 16, 16)
    oracle, lr = Oracle(answer), torch.rand(1, 4, 4, 4) * 0.3 + 0.1
    settings = dataclasses.replace(SETTINGS, sampler=sampler, eta=eta, steps=6)
    expected = oracle.picture(answer, oracle.condition(lr, 4), 4)
    assert torch.allclose(run(oracle, lr, settings=settings), expected, atol=1e-4)


def test_network_is_told_the_level_it_is_given() -> None:
    """The amplitude told equals the amplitude in x_t, at every step of any number of steps."""
    schedule, answer, told = sr3_schedule(), torch.full((1, 1, 64, 64), 3.0), []

    def denoise(x_t: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha(t).float(), schedule.sigma(t).float()
        told.append((float(alpha) * 3.0, float(x_t.mean())))
        eps = (x_t - alpha * answer) / sigma
        return alpha * eps - sigma * answer

    noise = torch.randn(1, 1, 64, 64, generator=make_generators(0)[0])
    ddim(denoise, noise, schedule=schedule, timesteps=timesteps(schedule, 5))
    assert len(told) == 5
    assert all(abs(given - mean) < 0.1 for given, mean in told)


def test_equal_seeds_give_equal_pictures_and_others_do_not(network: SR3) -> None:
    lr = torch.rand(1, 4, 8, 8) * 0.3
    for settings in (SETTINGS, dataclasses.replace(SETTINGS, eta=1.0)):
        first = run(network, lr, settings=settings)
        assert torch.equal(first, run(network, lr, settings=settings))
        assert not torch.allclose(first, run(network, lr, seed=1, settings=settings), atol=1e-5)


@pytest.mark.parametrize("cascade", [False, True])
def test_batch_equals_singles(network: SR3, cascade: bool) -> None:
    lr = torch.rand(3, 4, 8, 8) * 0.3
    settings = dataclasses.replace(SETTINGS, eta=0.5)
    batch = run(network, lr, settings=settings, cascade=cascade)
    for i in range(3):
        single = run(network, lr[i : i + 1], seed=i, settings=settings, cascade=cascade)
        assert torch.allclose(batch[i : i + 1], single, atol=1e-5)


def test_blocks_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = SR3(channels=8, mults=(1, 2, 4), head=8).eval()  # reaches as far as the shipped one
    lr = torch.rand(1, 4, 16, 88) * 0.3
    settings = dataclasses.replace(SETTINGS, steps=2)
    whole = run(network, lr, settings=settings)
    monkeypatch.setattr(bases, "SR3_TILE", 64)
    assert torch.allclose(run(network, lr, settings=settings), whole, atol=1e-5)


def test_every_step_is_reported(network: SR3) -> None:
    seen: list[tuple[int, int]] = []

    def on_step(done: int, steps: int, x0: Tensor) -> None:
        seen.append((done, steps))

    run(network, torch.rand(1, 4, 4, 4), cascade=True, on_step=on_step)
    assert seen == [(i, 6) for i in range(1, 7)]


def test_halving_twice_is_the_input_and_roughening_keeps_the_mean() -> None:
    hr = Pairs(make_sources(), seed=1).batch(4)
    middle = recipe.halve(hr)
    assert middle.shape == (4, 4, 32, 32)
    assert torch.allclose(recipe.halve(torch.ones(1, 4, 8, 8)), torch.ones(1, 4, 4, 4))
    assert torch.allclose(
        recipe.halve(middle)[..., 3:-3, 3:-3], degrade(hr)[..., 3:-3, 3:-3], atol=0.01
    )
    rough = recipe.roughen(middle, torch.Generator().manual_seed(0))
    assert not torch.equal(rough, middle)
    assert torch.allclose(rough.mean((1, 2, 3)), middle.mean((1, 2, 3)), rtol=0.03)


def test_two_steps_of_training_change_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {**GEOMETRY, "channels": 8, "mults": (1, 2), "head": 4}
    monkeypatch.setattr(recipe, "GEOMETRY", small)
    bench = Bench(
        model=None,
        pairs=Pairs(make_sources(), seed=0),
        device="cpu",
        batch=4,
        folder=tmp_path,
        perceptual=False,
    )
    torch.manual_seed(0)
    before = SR3(**small).state_dict()
    torch.manual_seed(0)
    trained = recipe.train_sr3(bench, Budget(minutes=1e6, max_steps=2)).state_dict()
    assert all(torch.isfinite(value).all() for value in trained.values())
    assert all(not torch.equal(value, before[name]) for name, value in trained.items())
