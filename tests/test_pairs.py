"""Pairs from files and folders; what does not match is refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine, from_origin

from evaluation.__main__ import _parser, choose_data
from evaluation.opensr_test import load_opensr
from evaluation.pairs import (
    AERIAL,
    AS_GIVEN,
    PAIRS,
    check_bands,
    digest,
    export,
    load_dataset,
    match,
)
from evaluation.protocol import HARMONISATIONS
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError, MetricError
from tests.rasters import PLACE, UTM, write_tif
from tests.test_evaluation import make_tiles

FINE = PLACE @ Affine.scale(1 / 4)
LINEAR = HARMONISATIONS["linear"]


def make_fine(height: int = 80, width: int = 96, seed: int = 0) -> np.ndarray:
    """Reflectance of fields, float32 [4, H, W], each band with its own pattern."""
    random = np.random.default_rng(seed)
    blocks = random.uniform(0.05, 0.4, (4, height // 8, width // 8))
    return blocks.repeat(8, axis=1).repeat(8, axis=2).astype(np.float32)


def coarse(fine: np.ndarray) -> np.ndarray:
    count, height, width = fine.shape
    return fine.reshape(count, height // 4, 4, width // 4, 4).mean((2, 4))


def write_pair(folder: Path, name: str, fine: np.ndarray, **place: object) -> None:
    for part in ("lr", "hr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    bands = ("B04", "B03", "B02", "B08")
    write_tif(folder / "lr" / f"{name}.tif", coarse(fine), names=bands)
    write_tif(folder / "hr" / f"{name}.tif", fine, names=bands, **({"transform": FINE} | place))


def patch(reflectance: np.ndarray, **place: object) -> Patch:
    return Patch(reflectance=reflectance, valid=np.ones(reflectance.shape[1:], bool), **place)


def test_a_folder_of_pairs(tmp_path: Path) -> None:
    for seed, name in enumerate(("b", "a")):
        write_pair(tmp_path, name, make_fine(seed=seed))
    dataset = load_dataset(tmp_path)
    assert [case.name for case in dataset.cases] == ["a", "b"]
    case = dataset.cases[1]
    assert case.lr.source.name == "b" and case.hr.size == (80, 96)
    assert np.allclose(case.hr.reflectance, make_fine(), atol=1e-6)
    assert list(case.references) == [AS_GIVEN] and case.hr.valid.all()


def test_the_other_names_and_archives(tmp_path: Path) -> None:
    fine = make_fine()
    write_tif(tmp_path / "x_lr.tif", coarse(fine), names=("B04", "B03", "B02", "B08"))
    write_tif(tmp_path / "x_hr.tif", fine, names=("B04", "B03", "B02", "B08"), transform=FINE)
    assert [case.name for case in load_dataset(tmp_path).cases] == ["x"]
    path = tmp_path / "y.npz"
    np.savez(path, lr=np.stack([coarse(fine)] * 2), hr=np.stack([fine] * 2), place=[7, 7])
    cases = load_dataset(path).cases
    assert [case.name for case in cases] == ["y_000", "y_001"]
    assert cases[0].group == cases[1].group, "the same ground"
    np.savez(path, lr=coarse(fine)[None], hr=fine[None, :, :40])
    with pytest.raises(MetricError, match="expected \\[n, 4, H, W\\]"):
        load_dataset(path)


def test_aerial_tiles_know_their_place(tmp_path: Path) -> None:
    path = tmp_path / "city.npz"
    np.savez(path, image=make_tiles(3), place=[4, 4, 9])
    cases = load_dataset(path).cases
    assert [case.name for case in cases] == ["city_000", "city_001", "city_002"]
    assert [case.group for case in cases] == ["city 4", "city 4", "city 9"]
    assert cases[0].lr.size == (16, 16) and cases[0].hr.size == (64, 64)


def test_what_was_made_of_its_reference_is_left_as_it_is(tmp_path: Path) -> None:
    """Aerial tiles alone, one file or a folder of them, are neither moved nor harmonised."""

    def chosen(path: Path, *more: str) -> tuple[str, set[str]]:
        dataset = choose_data(_parser().parse_args(["--pairs", str(path), *more]))
        return dataset.description, {name for case in dataset.cases for name in case.references}

    fine, folder = make_fine(), tmp_path / "towns"
    folder.mkdir()
    for name in ("city", "town"):
        np.savez(folder / f"{name}.npz", image=make_tiles(1))
    for path in (folder / "city.npz", folder):
        assert chosen(path) == (AERIAL, {AS_GIVEN})
    assert chosen(folder, "--harmonise", "linear") == (AERIAL, {AS_GIVEN, LINEAR})
    pairs = tmp_path / "pairs.npz"
    np.savez(pairs, lr=coarse(fine)[None], hr=fine[None])
    assert chosen(pairs) == (PAIRS, {AS_GIVEN, LINEAR})
    pairs.rename(folder / "pairs.npz")
    assert chosen(folder) == (PAIRS, {AS_GIVEN, LINEAR})


def test_what_is_exported_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "city.npz"
    np.savez(path, image=make_tiles(2))
    dataset = load_dataset(path)
    assert export(dataset, tmp_path / "out") == 2
    again = load_dataset(tmp_path / "out")
    for first, second in zip(dataset.cases, again.cases, strict=True):
        assert first.name == second.name
        assert np.array_equal(first.lr.reflectance, second.lr.reflectance)
        assert np.array_equal(first.hr.reflectance, second.hr.reflectance)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ({"crs": "EPSG:32632"}, "is in EPSG:32632, the input in EPSG:32633"),
        ({"transform": PLACE @ Affine.scale(1 / 2)}, "pixels of 5 x 5, expected 2.5, a quarter"),
        ({"transform": from_origin(504400, 5342400, 2.5, 2.5)}, "does not overlap"),
    ],
)
def test_another_place_is_refused(tmp_path: Path, place: dict, said: str) -> None:
    write_pair(tmp_path, "x", make_fine(), **place)
    with pytest.raises(MetricError, match=said) as raised:
        load_dataset(tmp_path)
    assert "\n" not in str(raised.value) and str(raised.value).startswith("x: ")


def test_another_size_is_refused_without_a_place() -> None:
    fine = make_fine()
    with pytest.raises(MetricError, match="88 x 80 pixels, expected 96 x 80"):
        match(patch(coarse(fine)), patch(fine[:, :, :88]), name="x")


def test_a_larger_reference_is_cut_and_a_smaller_one_padded() -> None:
    fine = make_fine(96, 96)
    where = {"crs": UTM, "transform": PLACE}
    inner = patch(coarse(fine)[:, 2:22, 1:21], crs=UTM, transform=PLACE @ Affine.translation(1, 2))
    hr = match(inner, patch(fine, crs=UTM, transform=FINE), name="x")
    assert np.array_equal(hr.reflectance, fine[:, 8:88, 4:84]) and hr.valid.all()
    assert hr.transform.almost_equals(inner.transform @ Affine.scale(1 / 4))
    smaller = patch(fine[:, :40], crs=UTM, transform=FINE)
    hr = match(patch(coarse(fine), **where), smaller, name="x")
    assert hr.size == (96, 96) and hr.valid[:40].all() and not hr.valid[40:].any()


def test_bands_out_of_order_are_seen() -> None:
    fine = make_fine()
    check_bands(patch(coarse(fine)), patch(fine), name="x")
    with pytest.raises(MetricError, match="look like B, G, R, NIR, expected R, G, B, NIR"):
        check_bands(patch(coarse(fine)), patch(fine[[2, 1, 0, 3]]), name="x")
    with pytest.raises(MetricError, match="look like NIR, R, G, B"):
        check_bands(patch(coarse(fine)), patch(fine[[3, 0, 1, 2]]), name="x")
    flat = np.full_like(fine, 0.2)
    check_bands(patch(coarse(flat)), patch(flat[[3, 0, 1, 2]]), name="nothing to see")


def test_one_without_the_other_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetricError, match="has no pairs"):
        load_dataset(tmp_path)
    write_pair(tmp_path, "x", make_fine())
    (tmp_path / "hr" / "x.tif").unlink()
    with pytest.raises(MetricError, match="x has an input but no reference"):
        load_dataset(tmp_path)
    with pytest.raises(MetricError, match="expected a file with `image`"):
        load_dataset(tmp_path / "none.npz")


def test_damaged_files_are_said(tmp_path: Path) -> None:
    write_pair(tmp_path, "x", make_fine())
    (tmp_path / "hr" / "x.tif").write_bytes(b"II*\0 no picture")
    with pytest.raises(LdsrError):
        load_dataset(tmp_path)


def test_a_digest_knows_pixels_and_validity() -> None:
    fine = make_fine()
    first = patch(fine)
    other = Patch(reflectance=fine, valid=np.zeros(fine.shape[1:], bool))
    assert digest(first) == digest(patch(fine.copy())) != digest(other)
    assert digest(first) != digest(patch(fine[::-1].copy()))


class _Bad:
    """Would run code when it is unpickled in the ordinary way."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path(self.path),))

    def __init__(self, path: Path) -> None:
        self.path = str(path)


def test_opensr_test_is_read_without_running_it(tmp_path: Path) -> None:
    import pickle

    dn = (make_fine() * 10_000).astype(np.uint16)
    low = np.zeros((1, 12, 20, 24), np.uint16)
    low[0, [3, 2, 1, 7]] = coarse(dn.astype(np.float32)).astype(np.uint16)
    data = {"L2A": low, "HR": dn[None], "HRharm": dn[None], "metadata": _Bad(tmp_path / "ran")}
    (tmp_path / "spot.pkl").write_bytes(pickle.dumps(data))
    dataset = load_opensr("spot", folder=tmp_path)
    assert not (tmp_path / "ran").exists()
    case = dataset.cases[0]
    assert np.allclose(case.hr.reflectance, make_fine(), atol=1e-4)
    assert np.allclose(case.lr.reflectance, coarse(make_fine()), atol=2e-4)
    assert list(case.references) == [AS_GIVEN, "harmonised (opensr-test)"]


def test_opensr_test_is_not_fetched_unasked(tmp_path: Path) -> None:
    import pickle

    with pytest.raises(MetricError, match="add --fetch"):
        load_opensr("naip", folder=tmp_path)
    with pytest.raises(MetricError, match="no data set"):
        load_opensr("magic", folder=tmp_path)
    (tmp_path / "naip.pkl").write_bytes(b"<html>")
    with pytest.raises(MetricError, match="damaged"):
        load_opensr("naip", folder=tmp_path)
    (tmp_path / "naip.pkl").write_bytes(pickle.dumps({"L2A": np.zeros((1, 12, 8, 8))}))
    with pytest.raises(MetricError, match="not laid out"):
        load_opensr("naip", folder=tmp_path)
