"""Scale and offset: metadata first, then the numbers, then the person."""

import numpy as np
import pytest

from ldsr.data.radiometry import SCALES, Hints, decide, to_reflectance
from ldsr.errors import AmbiguousPatchError, PatchError
from tests.rasters import make_dn


def decided(dn: np.ndarray, *, answer: str | None = None, **hints: object) -> tuple[float, float]:
    valid = np.ones(dn.shape[1:], dtype=bool)
    found = decide(dn, valid, hints=Hints(**hints), answer=answer)
    assert found.sentence.endswith(".") and "\n" not in found.sentence
    return found.scale, found.offset_dn


def bright(offset_dn: int = 0) -> np.ndarray:
    """A desert: nothing below 1500."""
    return make_dn() // 2 + np.uint16(1500 + offset_dn)


def sea(offset_dn: int = 0) -> np.ndarray:
    random = np.random.default_rng(0)
    levels = np.array([180, 230, 220, 150]).reshape(4, 1, 1)
    return (levels + random.integers(-40, 300, (4, 32, 32)) + offset_dn).astype(np.uint16)


def test_dark_numbers_show_that_there_is_no_offset() -> None:
    assert decided(make_dn()) == (1e-4, 0)
    assert decided(sea()) == (1e-4, 0)


@pytest.mark.parametrize("dn", [make_dn(offset_dn=1000), bright(), sea(1000)])
def test_bright_numbers_without_metadata_are_asked_about(dn: np.ndarray) -> None:
    with pytest.raises(AmbiguousPatchError) as caught:
        decided(dn)
    assert caught.value.question == "scale"
    assert set(caught.value.choices) <= set(SCALES)
    for choice in caught.value.choices:
        decided(dn, answer=choice)


def test_answer_of_the_person_is_applied() -> None:
    dn = make_dn(offset_dn=1000)
    assert decided(dn, answer="dn/10000") == (1e-4, 0)
    assert decided(dn, answer="(dn-1000)/10000") == (1e-4, -1000)
    with pytest.raises(PatchError, match="cannot be reflectance"):
        decided(dn, answer="reflectance")
    with pytest.raises(PatchError, match="expected one of"):
        decided(dn, answer="dn/255")


@pytest.mark.parametrize("dn", [make_dn(offset_dn=1000), sea(1000), bright(1000)])
def test_baseline_04_takes_the_offset_off(dn: np.ndarray) -> None:
    assert decided(dn, baseline="04.00") == (1e-4, -1000)
    assert decided(dn, baseline="05.09") == (1e-4, -1000)


def test_baseline_before_04_has_no_offset() -> None:
    assert decided(bright(), baseline="02.14") == (1e-4, 0)


def test_offset_already_taken_off_is_not_taken_off_again() -> None:
    assert decided(make_dn(), baseline="05.09") == (1e-4, 0)
    assert decided(make_dn(), scale=1e-4, offset_dn=-1000.0) == (1e-4, 0)
    assert decided(sea(), scale=1e-4, offset_dn=-1000.0) == (1e-4, 0)


def test_offset_of_the_product_itself_needs_no_evidence() -> None:
    assert decided(make_dn(), scale=1e-4, offset_dn=-1000.0, certain=True) == (1e-4, -1000)


def test_stated_scale_without_offset_is_believed() -> None:
    assert decided(bright(), scale=1e-4, offset_dn=0.0) == (1e-4, 0)


def test_floats_are_reflectance_or_digital_numbers_by_their_size() -> None:
    assert decided((make_dn() / 1e4).astype(np.float32)) == (1, 0)
    assert decided(make_dn().astype(np.float32)) == (1e-4, 0)
    snow = np.full((4, 20, 20), 1.2, np.float32)
    assert decided(snow) == (1, 0)


@pytest.mark.parametrize(
    ("dn", "words"),
    [
        (np.full((4, 20, 20), 120, np.uint8), "8 bit"),
        (np.full((4, 20, 20), 120, np.uint16), "8-bit"),
        (np.full((4, 20, 20), 120, np.float32), "8-bit"),
        (np.full((4, 20, 20), 40000, np.uint16), "reflectance x 10000"),
        (np.full((4, 20, 20), -1.5, np.float32), "not reflectance"),
        (np.ones((4, 20, 20), np.complex64), "numbers"),
    ],
)
def test_what_is_no_reflectance_is_refused(dn: np.ndarray, words: str) -> None:
    with pytest.raises(PatchError, match=words):
        decided(dn)


def test_nothing_valid_is_refused() -> None:
    with pytest.raises(PatchError, match="no valid pixel"):
        decide(make_dn(), np.zeros((40, 56), dtype=bool), hints=Hints())


def test_reflectance_is_float32_and_zero_where_not_valid() -> None:
    dn = make_dn(offset_dn=1000)
    valid = np.ones((40, 56), dtype=bool)
    valid[:5] = False
    found = decide(dn, valid, hints=Hints(baseline="05.09"))
    reflectance = to_reflectance(dn, valid, found)
    assert reflectance.dtype == np.float32
    assert not reflectance[:, :5].any()
    np.testing.assert_allclose(reflectance[:, 5:], (dn[:, 5:] - 1000.0) / 1e4, atol=1e-6)
