"""Back-projection: D of the result equals the input, no grid appears, noise is not blown up."""

import math
import time

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ldsr.consistency import PSF_SIGMA, back_project, back_project_bounded, degrade

OPERATORS = ("psf", "box")


def fields(height: int = 32, width: int = 40, seed: int = 0) -> Tensor:
    """Smooth ground with noise of every scale, [1, 4, 4H, 4W], in 0..0.5."""
    generator = torch.Generator().manual_seed(seed)
    picture = torch.zeros(1, 4, 4 * height, 4 * width)
    for size in (4, 8, 16, 32, 64):
        coarse = torch.randn(1, 4, size, size, generator=generator) / size**0.5
        picture += F.interpolate(coarse, picture.shape[2:], mode="bicubic")
    return 0.25 + 0.05 * picture


def upsample(lr: Tensor) -> Tensor:
    return F.interpolate(lr, scale_factor=4, mode="bicubic")


def grid_power(x: Tensor) -> float:
    """Power at periods of 4 and 2 pixels against neighbouring frequencies, worst band and axis."""
    worst = 0.0
    for axis in (2, 3):
        size = x.shape[axis]
        window = torch.hann_window(size).view([-1 if i == axis else 1 for i in range(4)])
        spectrum = torch.fft.rfft((x - x.mean((2, 3), keepdim=True)) * window, dim=axis)
        power = spectrum.abs().square().mean(5 - axis)[0]
        for period in (4, 2):
            peak = size // period
            near = [
                i for i in range(peak - 12, peak + 13) if abs(i - peak) > 3 and i < power.shape[1]
            ]
            ratio = power[:, peak - 1 : peak + 2].amax(1) / power[:, near].median(1).values
            worst = max(worst, float(ratio.max()))
    return worst


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_constant_stays_what_it_is(operator: str) -> None:
    x = torch.full((2, 4, 64, 80), 0.3)
    assert float((degrade(x, operator=operator) - 0.3).abs().max()) < 1e-6


def test_box_is_the_mean_of_four_by_four() -> None:
    x = fields()
    torch.testing.assert_close(degrade(x, operator="box"), F.avg_pool2d(x, 4))


def test_psf_has_the_modulation_transfer_of_sentinel_2() -> None:
    """At the Nyquist frequency of 10 m (a period of 8 pixels of 2.5 m): .25, .28, .275, .24."""
    phase = 2 * math.pi / 8 * (torch.arange(512, dtype=torch.float64) - 1.5)
    wave = phase.cos().expand(1, 4, 64, -1)
    seen = degrade(wave)[..., 4:-4]
    expected = torch.tensor([0.25, 0.28, 0.275, 0.24], dtype=torch.float64)
    assert float((seen.abs().amax((0, 2, 3)) - expected).abs().max()) < 0.005
    for band, sigma in enumerate(PSF_SIGMA):
        gain = math.exp(-2 * (math.pi * sigma / 8) ** 2)
        assert float(seen[0, band].abs().max()) == pytest.approx(gain, abs=1e-4)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_centres_of_both_grids_agree(operator: str) -> None:
    """A ramp stays a ramp: low-resolution pixel i lies at 4 i + 1.5."""
    ramp = torch.arange(128, dtype=torch.float64).expand(1, 4, 64, -1)
    seen = degrade(ramp, operator=operator)[..., 4:-4]
    expected = 4 * torch.arange(4, 28, dtype=torch.float64) + 1.5
    assert float((seen - expected).abs().max()) < 1e-6
    turned = degrade(ramp.transpose(2, 3), operator=operator)[..., 4:-4, :]
    assert float((turned - expected[:, None]).abs().max()) < 1e-6


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("size", [(16, 16), (17, 33), (128, 128), (65, 130)])
def test_the_result_seen_again_equals_the_input(operator: str, size: tuple[int, int]) -> None:
    lr = degrade(fields(*size))
    x = torch.full((1, 4, 4 * size[0], 4 * size[1]), 0.1)
    result = back_project(x, lr, operator=operator)
    rmse = (degrade(result.x, operator=operator) - lr).square().mean().sqrt()
    assert float(rmse) <= 1.01e-4
    assert float(result.after) == pytest.approx(float(rmse), rel=1e-3)
    assert float(result.before) > 0.1
    assert result.x.shape == x.shape


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_is_consistent_is_left_alone(operator: str) -> None:
    x = fields()
    result = back_project(x, degrade(x, operator=operator), operator=operator)
    assert result.iterations == 0
    assert torch.equal(result.x, x)


def test_psf_makes_the_least_change() -> None:
    """The change is orthogonal to everything that D does not see."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, 64, 64, generator=generator, dtype=torch.float64)
    lr = torch.randn(1, 4, 16, 16, generator=generator, dtype=torch.float64)
    change = back_project(x, lr, tol=1e-12, max_iterations=300).x - x
    other = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    unseen = (
        other + back_project(other, torch.zeros_like(lr), tol=1e-12, max_iterations=300).x - other
    )
    assert float(degrade(unseen).abs().max()) < 1e-10
    cosine = (change * unseen).sum() / change.norm() / unseen.norm()
    assert abs(float(cosine)) < 1e-9


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_brings_a_blurred_picture_closer_to_the_truth(operator: str) -> None:
    truth = fields()
    lr = degrade(truth, operator=operator)
    x = upsample(lr)
    result = back_project(x, lr, operator=operator)
    assert (result.x - truth).square().mean() < 0.9 * (x - truth).square().mean()


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_leaves_no_grid(operator: str) -> None:
    lr = degrade(fields(64, 64))
    sharp = upsample(lr)
    sharp = sharp + 1.5 * (sharp - F.avg_pool2d(sharp, 5, 1, 2, count_include_pad=False))
    for x in (upsample(lr), sharp):
        result = back_project(x, lr, operator=operator)
        assert grid_power(result.x) < max(2.0, 1.5 * grid_power(x))


@pytest.mark.parametrize(("operator", "gain"), [("psf", 3.0), ("box", 1.2)])
def test_noise_is_amplified_no_more_than_it_must(operator: str, gain: float) -> None:
    """Of white noise in the input the least-change solution holds 2.8 (psf) and 1.1 (box) times."""
    flat = torch.full((1, 4, 256, 256), 0.2)
    noise = 1e-3 * torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    result = back_project(flat, 0.2 + noise, operator=operator)
    assert float((result.x - flat).std()) < gain * 1e-3


def test_a_wider_tolerance_takes_up_less_noise() -> None:
    flat = torch.full((1, 4, 256, 256), 0.2)
    noise = 1e-3 * torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    fine, coarse = (back_project(flat, 0.2 + noise, tol=tol) for tol in (1e-4, 9e-4))
    assert float((coarse.x - flat).std()) < 0.7 * float((fine.x - flat).std())


@pytest.mark.parametrize("operator", OPERATORS)
def test_invalid_pixels_are_ignored(operator: str) -> None:
    lr = degrade(fields(), operator=operator)
    valid = torch.ones(1, 1, 32, 40, dtype=torch.bool)
    valid[..., 10:20, 5:15] = False
    broken = torch.where(valid, lr, torch.nan)
    x = torch.full((1, 4, 128, 160), 0.2)
    result = back_project(x, broken, operator=operator, valid=valid)
    again = back_project(x, torch.where(valid, lr, 99.0), operator=operator, valid=valid)
    assert bool(result.x.isfinite().all())
    assert torch.equal(result.x, again.x)
    seen = degrade(result.x, operator=operator) - lr
    assert float(seen[valid.expand_as(lr)].square().mean().sqrt()) <= 1.01e-4
    # far inside nothing changes
    assert float((result.x[..., 60:64, 38:42] - 0.2).abs().max()) < 1e-6


def test_without_a_valid_pixel_nothing_changes() -> None:
    x = fields()
    lr = torch.zeros(1, 4, 32, 40)
    result = back_project(x, lr, valid=torch.zeros(1, 1, 32, 40, dtype=torch.bool))
    assert torch.equal(result.x, x)
    assert float(result.before) == float(result.after) == 0


@pytest.mark.parametrize("operator", OPERATORS)
def test_a_batch_equals_single_runs(operator: str) -> None:
    pictures = torch.cat([fields(seed=seed) for seed in range(3)])
    lr = degrade(pictures)
    x = torch.cat([upsample(lr[:1]), pictures[1:2], torch.zeros_like(pictures[:1])])
    together = back_project(x, lr, operator=operator)
    for i in range(3):
        single = back_project(x[i : i + 1], lr[i : i + 1], operator=operator)
        torch.testing.assert_close(together.x[i : i + 1], single.x, rtol=0, atol=1e-6)
        torch.testing.assert_close(together.after[i : i + 1], single.after, rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_turned_picture_gives_the_turned_result(operator: str, turn: int) -> None:
    lr = degrade(fields(32, 32))
    x = upsample(lr)
    plain = back_project(x, lr, operator=operator).x.rot90(turn, (2, 3))
    turned = back_project(x.rot90(turn, (2, 3)), lr.rot90(turn, (2, 3)), operator=operator).x
    torch.testing.assert_close(turned, plain, rtol=0, atol=1e-5)


def test_a_part_of_a_picture_gives_that_part_of_the_result() -> None:
    """Far from the edge, up to the tolerance: no seams between tiles."""
    lr = degrade(fields(96, 96))
    whole = back_project(upsample(lr), lr).x
    part = back_project(upsample(lr)[..., :256, :256], lr[..., :64, :64]).x
    difference = (part - whole[..., :256, :256])[..., :192, :192]
    assert float(difference.square().mean().sqrt()) < 5e-4


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="psf"):
        degrade(fields(), operator="nearest")
    with pytest.raises(ValueError, match="4 widths for 3 bands"):
        degrade(fields()[:, :3])


def test_it_is_quick() -> None:
    lr = degrade(fields(128, 128))
    x = upsample(lr)
    started = time.perf_counter()
    back_project(x, lr)
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize("operator", OPERATORS)
def test_with_rounds_a_window_gets_what_the_picture_gets(operator: str) -> None:
    """With a tolerance it does not: where it stops depends on the whole picture."""
    x, lr = upsample(degrade(fields(96, 96))), degrade(fields(96, 96))
    lr[..., :20, :20] += 0.3  # far away, and far from what is seen there
    freedom = (fields(96, 96)[:, :1] > 0.2).float()
    window, core = slice(24, 96), slice(32, 72)

    def cut(picture: torch.Tensor) -> torch.Tensor:
        times = picture.shape[-1] // 96
        here = slice(times * window.start, times * window.stop)
        return picture[..., here, here]

    def apart(**how: object) -> float:
        inner = slice(4 * core.start, 4 * core.stop)
        found = []
        for bound in ({}, {"freedom": freedom}):
            cut_bound = {name: cut(value) for name, value in bound.items()}
            whole = back_project(x, lr, operator=operator, **bound, **how).x
            part = back_project(cut(x), cut(lr), operator=operator, **cut_bound, **how).x
            found.append((cut(whole) - part)[..., inner, inner].abs().max().item())
        whole = back_project_bounded(x, x, lr, freedom=freedom, operator=operator, **how).x
        bound = {"freedom": cut(freedom), "operator": operator, **how}
        part = back_project_bounded(cut(x), cut(x), cut(lr), **bound).x
        return max(*found, (cut(whole) - part)[..., inner, inner].abs().max().item())

    near, far = apart(rounds=20), apart()
    assert near < 1e-5 and far > 5 * near, (near, far)


@pytest.mark.parametrize("operator", OPERATORS)
def test_rounds_bring_it_as_near_as_a_tolerance(operator: str) -> None:
    truth = fields(64, 64)
    lr = degrade(truth, operator=operator)
    x = upsample(lr)
    far = back_project(x, lr, operator=operator, tol=0, max_iterations=0)
    near = back_project(x, lr, operator=operator, rounds=20)
    assert float(near.after) < 0.05 * float(far.before) and near.iterations == 20
    free = torch.ones(1, 1, 256, 256)
    bounded = back_project_bounded(x, x, lr, freedom=0 * free, operator=operator, rounds=20)
    assert float(bounded.after) < 0.05 * float(far.before), "the last of it is for all pixels"


def test_rounds_leave_what_may_not_change() -> None:
    x, lr = upsample(degrade(fields())), degrade(fields())
    side = x.shape[-1]
    freedom = torch.zeros_like(x[:, :1])
    freedom[..., : side // 2] = 1
    result = back_project(x, lr, freedom=freedom, rounds=20)
    assert torch.equal(result.x[..., side // 2 :], x[..., side // 2 :])
    assert not torch.equal(result.x[..., : side // 2], x[..., : side // 2])
