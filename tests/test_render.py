"""Pictures: aligned, one stretch for all, honest about what is not valid."""

import io

import numpy as np
import pytest
from PIL import Image

from ldsr import render
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError


def make_patch(reflectance: np.ndarray, valid: np.ndarray | None = None) -> Patch:
    valid = np.ones(reflectance.shape[1:], bool) if valid is None else valid
    return Patch(reflectance=reflectance.astype(np.float32), valid=valid)


@pytest.fixture
def patch() -> Patch:
    generator = np.random.default_rng(0)
    return make_patch(generator.uniform(0.02, 0.4, (4, 20, 28)))


def test_upsample_keeps_constants_and_size(patch):
    flat = make_patch(np.full((4, 16, 20), 0.25))
    assert np.allclose(render.upsample(flat), 0.25, atol=1e-6)
    assert render.upsample(patch).shape == (4, 80, 112)
    assert render.upsample(patch).dtype == np.float32


def test_upsample_is_pixel_aligned():
    """A ramp stays a ramp at the places where the fine pixels really lie."""
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32) / 32, (4, 32, 32))
    fine = render.upsample(make_patch(ramp))
    where = (np.arange(128) + 0.5) / 4 - 0.5
    assert np.allclose(fine[0, 64, 12:-12], where[12:-12] / 32, atol=1e-4)


def test_upsample_averages_back_to_the_input_on_smooth_ground():
    y, x = np.mgrid[:32, :32] / 32
    smooth = np.broadcast_to(0.2 + 0.1 * np.sin(3 * x + 2 * y), (4, 32, 32))
    fine = render.upsample(make_patch(smooth))
    coarse = fine.reshape(4, 32, 4, 32, 4).mean((2, 4))
    assert np.abs(coarse - smooth)[:, 2:-2, 2:-2].max() < 1e-3


def test_invalid_pixels_do_not_darken_their_neighbours():
    valid = np.ones((16, 16), bool)
    valid[:, :5] = False
    patch = make_patch(np.where(valid, 0.3, 0.0) * np.ones((4, 1, 1)), valid)
    fine, known = render.upsample(patch), render.enlarge_mask(valid)
    assert np.allclose(fine[:, known], 0.3, atol=1e-5)
    assert (fine[:, ~known] == 0).all()


def test_stretch_ignores_invalid_pixels_and_outliers(patch):
    bright = patch.reflectance.copy()
    bright[:, 0, 0] = 50.0
    valid = np.ones(patch.size, bool)
    valid[0, 0] = False
    plain, masked = render.stretch_of(patch), render.stretch_of(make_patch(bright, valid))
    assert np.allclose(plain.high, masked.high, atol=0.02)
    assert np.allclose(render.stretch_of(make_patch(bright)).high, plain.high, atol=0.05)


def test_stretch_of_flat_water_does_not_blow_up_noise():
    water = np.random.default_rng(1).normal(0.03, 0.001, (4, 32, 32))
    stretch = render.stretch_of(make_patch(water))
    assert (stretch.high - stretch.low >= 0.079).all()


def test_stretch_of_nothing_valid():
    patch = make_patch(np.zeros((4, 16, 16)), np.zeros((16, 16), bool))
    stretch = render.stretch_of(patch)
    assert np.isfinite(stretch.high).all() and (stretch.high > stretch.low).all()


def test_composites_take_the_right_bands(patch):
    stretch = render.Stretch(np.zeros(4, np.float32), np.ones(4, np.float32))
    pure = np.zeros((4, 2, 2), np.float32)
    pure[3] = 1.0
    assert render.true_colour(pure, stretch)[0, 0].tolist() == [0, 0, 0, 255]
    assert render.false_colour(pure, stretch)[0, 0].tolist() == [255, 0, 0, 255]


def test_invalid_is_transparent(patch):
    valid = np.ones(patch.size, bool)
    valid[3, 4] = False
    picture = render.true_colour(patch.reflectance, render.stretch_of(patch), valid=valid)
    assert picture[3, 4, 3] == 0 and picture[0, 0, 3] == 255


def test_the_same_reflectance_has_the_same_colour_in_every_picture(patch):
    """Input and result are drawn with one stretch: enlarging by repetition changes no colour."""
    stretch = render.stretch_of(patch)
    coarse = render.true_colour(patch.reflectance, stretch)
    fine = render.true_colour(patch.reflectance.repeat(4, 1).repeat(4, 2), stretch)
    assert (fine == coarse.repeat(4, 0).repeat(4, 1)).all()


def test_png_round_trip_and_refusal(patch):
    picture = render.true_colour(patch.reflectance, render.stretch_of(patch))
    assert (np.asarray(Image.open(io.BytesIO(render.encode_png(picture)))) == picture).all()
    with pytest.raises(LdsrError, match="expected uint8"):
        render.encode_png(patch.reflectance)


def test_thumbnail_is_square_without_alpha(patch):
    assert render.thumbnail(patch, 64).shape == (64, 64, 3)


def test_difference_is_the_mean_over_bands():
    first = np.zeros((4, 2, 3), np.float32)
    second = first.copy()
    second[0, 0, 0], second[1, 0, 0] = 0.4, -0.4
    found = render.difference(first, second)
    assert found.shape == (2, 3) and np.isclose(found[0, 0], 0.2) and found.sum() == found[0, 0]


def test_heat_map_goes_from_the_first_colour_to_the_last():
    values = np.array([[0.0, 0.5, 1.0, 9.0]])
    valid = np.array([[True, True, True, False]])
    picture = render.heat(values, 1.0, valid=valid)
    assert picture.dtype == np.uint8 and picture[0, :, 3].tolist() == [255, 255, 255, 0]
    colours = ["#" + "".join(f"{c:02x}" for c in picture[0, i, :3]) for i in range(3)]
    assert colours[0] == render.HEAT[0] and colours[2] == render.HEAT[-1]
    brightness = render.heat(np.linspace(0, 1, 256)[None], 1.0)[0, :, :3].sum(1, dtype=int)
    assert (np.diff(brightness) >= -6).all(), "more is never darker"


@pytest.mark.parametrize(
    ("high", "top"), [(0.0, 1e-4), (0.013, 0.02), (0.02, 0.02), (0.031, 0.05), (0.07, 0.1)]
)
def test_heat_map_ends_at_a_round_number(high, top):
    values = np.full((4, 4), high)
    assert np.isclose(render.heat_top(values, np.ones((4, 4), bool)), top)
    assert render.heat_top(values, np.zeros((4, 4), bool)) == 1e-4


def test_classes_are_squares_in_their_own_colours_and_nothing_else():
    scl = np.full((16, 20), 4, np.uint8)
    scl[2, 3], scl[4, 5], scl[6, 7], scl[8, 9] = 9, 3, 11, 10
    drawn = render.classes(scl)
    assert drawn.shape == (64, 80, 4) and drawn.dtype == np.uint8
    assert (drawn[..., 3] > 0).sum() == 4 * 16 and set(np.unique(drawn[..., 3])) == {0, 255}
    seen = [tuple(drawn[4 * row, 4 * col]) for row, col in ((2, 3), (4, 5), (6, 7), (8, 9))]
    colours = [tuple(bytes.fromhex(colour[1:])) for colour in render.CLASSES.values()]
    assert [colour[:3] for colour in seen] == [*colours, colours[0]] and len(set(colours)) == 3
    assert (drawn[8:12, 12:16] == drawn[8, 12]).all(), "a 10 m pixel is a square of 4 x 4"
