"""Protocols: a shift is found, brightness comes back, Wald's reference is the patch itself."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from evaluation.consistency import see
from evaluation.pairs import AS_GIVEN, Case
from evaluation.protocol import harmonise, load_wald, prepare, register, wald
from ldsr.data.geotiff import write_patch
from ldsr.data.patch import Patch
from ldsr.errors import MetricError
from tests.conftest import make_patch


def make_pair(size: int = 160, seed: int = 0) -> tuple[Patch, Patch]:
    """Fine ground with structure at all scales and what the satellite sees of it: hr, lr."""
    random = np.random.default_rng(seed)
    ground = sum(
        gaussian_filter(random.normal(0, 1, (size, size)), sigma) * sigma for sigma in (1, 3, 8)
    )
    hr = (0.2 + 0.03 * ground)[None] * np.array([1, 0.9, 0.8, 1.6])[:, None, None]
    hr = patch(hr.clip(0.01).astype(np.float32))
    return hr, patch(see(hr.reflectance, hr.valid)[0].astype(np.float32))


def patch(reflectance: np.ndarray) -> Patch:
    return Patch(reflectance=reflectance, valid=np.ones(reflectance.shape[1:], bool))


def moved(hr: Patch, rows: float, columns: float) -> Patch:
    bands = [shift(band, (rows, columns), order=3, mode="nearest") for band in hr.reflectance]
    return patch(np.stack(bands).astype(np.float32))


@pytest.mark.parametrize("made", [(0.0, 0.0), (2.0, -3.0), (-4.6, 1.3), (7.0, 5.0)])
def test_a_shift_that_was_made_is_found_and_mended(made: tuple[float, float]) -> None:
    hr, lr = make_pair()
    found = register(moved(hr, *made), lr)
    assert found.shift == pytest.approx(made, abs=0.3), "0.75 m"
    inner = np.s_[:, 16:-16, 16:-16]
    left = np.abs(found.hr.reflectance - hr.reflectance)[inner].mean()
    wrong = np.abs(moved(hr, *made).reflectance - hr.reflectance)[inner].mean()
    assert left < 0.25 * wrong or made == (0.0, 0.0)


def test_what_cannot_be_believed_is_left_alone() -> None:
    hr, lr = make_pair()
    flat = patch(np.full_like(hr.reflectance, 0.2))
    found = register(flat, patch(np.full_like(lr.reflectance, 0.2)))
    assert found.shift is None and found.hr is flat and "plain" in found.remark
    other, _ = make_pair(seed=9)
    far = register(moved(hr, 30, 0), lr)
    assert far.shift is None and "not believed" in far.remark
    nowhere = Patch(reflectance=other.reflectance, valid=np.zeros(other.size, bool))
    with pytest.raises(MetricError, match="no valid pixel in common"):
        register(nowhere, lr)


@pytest.mark.parametrize("how", ["linear", "histogram"])
def test_another_sensors_brightness_is_undone(how: str) -> None:
    hr, lr = make_pair()
    gain = np.array([1.3, 0.8, 1.1, 0.6], np.float32)[:, None, None]
    other = patch(hr.reflectance * gain + np.float32(0.02))
    again = harmonise(other, lr, how=how)
    before = np.abs(other.reflectance - hr.reflectance).mean()
    after = np.abs(again.reflectance - hr.reflectance).mean()
    assert after < (0.02 if how == "linear" else 0.3) * before
    pictures = (again.reflectance, hr.reflectance)
    detail = [np.std(x - gaussian_filter(x, (0, 4, 4))) for x in pictures]
    assert detail[0] == pytest.approx(detail[1], rel=0.1), "detail is not flattened"


def test_harmonising_what_fits_changes_nothing() -> None:
    hr, lr = make_pair()
    again = harmonise(hr, lr, how="linear")
    assert np.allclose(again.reflectance, hr.reflectance, atol=1e-5)
    with pytest.raises(MetricError, match="no harmonisation 'magic'"):
        harmonise(hr, lr, how="magic")


def test_both_numbers_are_prepared() -> None:
    hr, lr = make_pair()
    case = Case(name="x", lr=lr, references={AS_GIVEN: moved(hr, 2, 0)}, group="x")
    ready = prepare(case, harmonise_by=["linear", "histogram"])
    assert list(ready.references) == [
        "as given", "harmonised (linear)", "harmonised (histogram)",
    ]  # fmt: skip
    assert ready.shift == pytest.approx((2, 0), abs=0.3)
    assert not ready.hr.valid.all(), "what was moved in from outside is not known"
    assert prepare(case, register_it=False).shift is None


def test_wald_compares_a_patch_with_itself() -> None:
    given = make_patch(70, 66)
    case = wald(given)
    assert case.lr.size == (17, 16) and case.hr.size == (68, 64)
    assert np.array_equal(case.hr.reflectance, given.reflectance[:, :68, :64])
    assert case.lr.gsd == 40 and case.hr.gsd == 10
    assert case.lr.bounds == pytest.approx(case.hr.bounds)
    means = [x.reflectance.mean((1, 2)) for x in (case.lr, case.hr)]
    assert np.allclose(*means, rtol=0.03)
    assert "40 m" in case.lr.source.radiometry
    with pytest.raises(MetricError, match="at least 64 x 64"):
        wald(make_patch(60, 80))


def test_wald_keeps_no_data_out() -> None:
    given = make_patch(64, 64)
    valid = given.valid.copy()
    valid[:8, :4] = False
    case = wald(Patch(reflectance=given.reflectance * valid, valid=valid, source=given.source))
    assert not case.lr.valid[:2, 0].any() and case.lr.valid[2:].all()
    full = wald(Patch(reflectance=given.reflectance, valid=given.valid, source=given.source))
    assert np.allclose(case.lr.reflectance[:, 8:], full.lr.reflectance[:, 8:], atol=1e-6)


def test_wald_reads_files_and_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_patch(make_patch(64, 64), tmp_path / f"{name}.tif")
    dataset = load_wald([tmp_path])
    assert [case.name for case in dataset.cases] == ["a", "b"]
    assert "40 m to 10 m" in dataset.title and "not what it measures" in dataset.description
    (tmp_path / "empty").mkdir()
    with pytest.raises(MetricError, match="no GeoTIFF"):
        load_wald([tmp_path / "empty"])
    with pytest.raises(MetricError, match="Several files are named a"):
        load_wald([tmp_path, tmp_path / "a.tif"])
