"""The triad agrees with opensr-test, and says what happened to detail."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as move

from evaluation import correctness
from evaluation.correctness import NAMES, judge
from evaluation.score import Unfit
from ldsr.data.patch import Patch
from tests.pictures import make_hr, make_lr, make_sr


def results(hr: Patch, lr: Patch) -> dict[str, np.ndarray]:
    """Several results of one input."""
    random = np.random.default_rng(1)
    bicubic = make_sr(lr).reflectance
    fine = random.normal(0, 0.03, bicubic.shape).astype(np.float32)
    return {
        "bicubic": bicubic,
        "true": hr.reflectance,
        "half": (bicubic + hr.reflectance) / 2,
        "invented": (bicubic + gaussian_filter(fine, (0, 1, 1)) * 3).clip(0.01, 1),
        "brighter": bicubic * 1.3 + 0.02,
        "moved": np.stack(
            [move(band, (1.3, -2.4), order=1, mode="nearest") for band in hr.reflectance]
        ),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_opensr_test(seed: int) -> None:
    """opensr-test 1.3.3 on the same pictures, to 1e-3 in every share and nearly every pixel."""
    opensr_test = pytest.importorskip("opensr_test", exc_type=ImportError)
    hr = make_hr(160, seed=seed)
    lr = make_lr(hr)
    for name, sr in results(hr, lr).items():
        oracle = opensr_test.Metrics()
        tensors = [torch.from_numpy(np.array(x)) for x in (lr.reflectance, sr, hr.reflectance)]
        expected = oracle.compute(*tensors)
        found = judge(sr, lr.reflectance, hr.reflectance)
        for key, share in zip(("im", "om", "ha"), NAMES, strict=True):
            assert getattr(found, share) == pytest.approx(expected[f"{key}_metric"], abs=1e-3), name
            theirs = getattr(oracle, share).numpy()
            ours = found.maps[share][16:-16, 16:-16]
            both = np.isfinite(theirs) & np.isfinite(ours)
            assert (np.isfinite(theirs) == np.isfinite(ours)).mean() > 0.999
            assert np.abs(theirs - ours)[both].mean() < 1e-3
        if not any(found.shift):
            inner = (x[:, 16:-16, 16:-16] for x in (sr, hr.reflectance))
            harmonised = correctness.harmonise(*inner, np.ones((128, 128), bool))[0]
            assert oracle.sr_harm.numpy() == pytest.approx(harmonised, abs=1e-5)


def test_shares_say_what_happened() -> None:
    hr = make_hr(160)
    lr = make_lr(hr)
    found = {
        name: judge(sr, lr.reflectance, hr.reflectance) for name, sr in results(hr, lr).items()
    }
    assert found["true"].improvement > found["half"].improvement > found["bicubic"].improvement
    assert found["bicubic"].omission == max(one.omission for one in found.values())
    assert found["invented"].hallucination > 2 * found["bicubic"].hallucination
    for one in found.values():
        assert one.improvement + one.omission + one.hallucination == pytest.approx(1)
        assert 0.25 <= one.counted <= 1
    assert found["moved"].shift == pytest.approx((1.3, -2.4), abs=0.25), "found and mended"
    assert found["moved"].improvement > found["bicubic"].improvement


def test_brightness_and_colour_take_no_part() -> None:
    hr = make_hr(160)
    lr = make_lr(hr)
    sr = results(hr, lr)["half"]
    plain = judge(sr, lr.reflectance, hr.reflectance)
    gain = np.array([0.8, 1.1, 1.3, 0.9], np.float32)[:, None, None]
    tinted = judge(sr * gain + 0.01, lr.reflectance, hr.reflectance)
    for name in NAMES:
        assert getattr(tinted, name) == pytest.approx(getattr(plain, name), abs=1e-3)


def test_invalid_pixels_and_border_are_not_judged() -> None:
    hr = make_hr(160)
    lr = make_lr(hr)
    sr = results(hr, lr)["half"]
    valid = np.ones(hr.size, bool)
    valid[40:80, 40:90] = False
    found = judge(sr, lr.reflectance, hr.reflectance, valid=valid)
    wrecked = judge(np.where(valid, sr, 7), lr.reflectance, hr.reflectance, valid=valid)
    for name in NAMES:
        assert np.isnan(found.maps[name][~valid]).all()
        assert np.isnan(found.maps[name][:, :16]).all() and np.isnan(found.maps[name][-16:]).all()
        assert getattr(found, name) == getattr(wrecked, name)


def test_nothing_to_judge_is_said() -> None:
    flat = np.full((4, 160, 160), 0.2, np.float32)
    with pytest.raises(Unfit, match="no detail"):
        judge(flat, flat[:, :40, :40], flat)
    with pytest.raises(Unfit, match="smaller"):
        judge(flat[:, :32, :32], flat[:, :8, :8], flat[:, :32, :32])
    with pytest.raises(Unfit, match="valid"):
        judge(flat, flat[:, :40, :40], flat, valid=np.zeros((160, 160), bool))
