"""What the Compare tab shows and serves, without a browser: layers, numbers, routes."""

import base64
import dataclasses
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import from_origin
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.data.patch import Patch, Source
from ldsr.errors import LdsrError
from ldsr.result import Calibration
from ldsr.settings import Settings
from ldsr.web.compare import layers
from ldsr.web.compare import values as numbers
from ldsr.web.compare.files import compare_routes, find_references
from ldsr.web.compare.views import EMPTY, compare_value, note
from ldsr.web.evaluate.evaluations import Evaluation
from ldsr.web.files import GONE
from ldsr.web.pictures import Shown
from ldsr.web.studio import Studio
from tests.comparisons import FACTORS, SAMPLES, drawn, sampled
from tests.fakes import FakePipeline

HEIGHT, WIDTH = 16, 20
CALIBRATION = Calibration(
    name="balanced",
    data="Fitted and measured on aerial pictures of one Californian city",
    places=("here",),
    contrast=(0.2,) * 4,
    floor=(0.01,) * 4,
    factors={8: dict.fromkeys((0.5, 0.8, 0.9), (1.0,) * 4)},
    coverage={8: {0.9: (0.9, 0.91, 0.89, 0.9)}},
)


def make_patch(values: np.ndarray | None = None, *, placed: bool = True) -> Patch:
    """16 x 20 pixels: noise, or what is given; a hole in the south-east corner."""
    if values is None:
        values = np.random.default_rng(0).uniform(0.02, 0.4, (4, HEIGHT, WIDTH))
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[-2:, -2:] = False
    place = (
        {"crs": CRS.from_epsg(32632), "transform": from_origin(500000, 5200000, 10, 10)}
        if placed
        else {}
    )
    return Patch(
        reflectance=np.where(valid, values, 0).astype(np.float32),
        valid=valid,
        source=Source(name="field.tif"),
        **place,
    )


def make_shown(*, samples: bool = True, patch: Patch | None = None, **settings) -> Shown:
    wish = Settings(**{"steps": 3, "refine_steps": 2} | settings)
    result = FakePipeline()(patch or make_patch(), wish, lambda step: None)
    if samples:
        result = dataclasses.replace(result, **sampled(result))
    shown = Shown(result.lr, result)
    shown.samples = drawn(shown) if samples else ()
    return shown


def with_mean(shown: Shown, mean: np.ndarray) -> Shown:
    """The same with another mean picture, also as base and result."""
    mean = mean.astype(np.float32)
    result = shown.result
    changed = {
        name: dataclasses.replace(getattr(result, name), reflectance=mean)
        for name in ("base", "sr")
    }
    uncertainty = dataclasses.replace(result.uncertainty, mean=mean)
    return Shown(shown.patch, dataclasses.replace(result, uncertainty=uncertainty, **changed))


def by_name(shown: Shown) -> dict[str, layers.Layer]:
    return {layer.name: layer for layer in layers.list_layers(shown)}


def test_every_layer_is_there_or_says_why():
    full = by_name(make_shown())
    assert {name for name, layer in full.items() if layer.missing} == {"reference", "fitted"}
    plain = by_name(make_shown(samples=False, refine=False))
    reasons = {name: layer.missing for name, layer in plain.items() if layer.missing}
    for name in (*layers.UNCERTAIN, "mean", "sample"):
        assert reasons.pop(name) == layers.NO_SAMPLES
    for name in ("refined", "change", "detail"):
        assert reasons.pop(name) == layers.NO_REFINED
    assert reasons.pop("residual") == layers.NO_RESIDUAL
    assert set(reasons) == {"reference", "fitted"}
    assert all(layer.top is None for layer in plain.values() if layer.missing)


def test_maps_are_the_numbers_of_the_result():
    shown = make_shown()
    samples = shown.result.uncertainty
    wide = samples.half_width(0.9)
    expected = {
        "interval": wide.mean(axis=0),
        "relative": 100 * wide.mean(axis=0) / (np.abs(samples.mean).mean(axis=0) + 0.02),
        "interval-NIR": wide[3],
        "std": samples.std.mean(axis=0),
        "edges": 2.5 * samples.edge_spread,
        "detail": shown.result.detail,
        "change": np.full(shown.result.sr.size, 0.01),
        "residual": shown.result.residual,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(layers.heat_values(shown, name), values, rtol=1e-5, atol=1e-7)
    found = by_name(shown)
    assert (found["edges"].unit, found["interval"].unit, found["detail"].unit) == (
        "m",
        "reflectance",
        "",
    )
    unplaced = make_shown(patch=make_patch(placed=False))
    assert by_name(unplaced)["edges"].unit == "pixels"
    np.testing.assert_array_equal(
        layers.heat_values(unplaced, "edges"), unplaced.result.uncertainty.edge_spread
    )


def test_values_at_a_pixel_are_those_of_the_arrays():
    shown = make_shown()
    found = numbers.values_at(shown, 13, 30)
    result, samples = shown.result, shown.result.uncertainty
    pictures = {
        "input": shown.patch.reflectance[:, 3, 7],
        "base": result.base.reflectance[:, 13, 30],
        "refined": result.sr.reflectance[:, 13, 30],
        "mean": samples.mean[:, 13, 30],
    }
    assert set(found["pictures"]) == set(pictures)
    for name, values in pictures.items():
        np.testing.assert_allclose(found["pictures"][name], values, atol=1e-6)
    for level in FACTORS:
        np.testing.assert_allclose(
            found["half"][str(level)], samples.half_width(level)[:, 13, 30], atol=1e-6
        )
    assert found["place"] == [500000 + 30.5 * 2.5, 5200000 - 13.5 * 2.5]
    assert found["maps"]["edges"] == pytest.approx(2.5 * samples.edge_spread[13, 30], abs=1e-6)
    assert found["maps"]["residual"] == pytest.approx(3e-5, abs=1e-6)
    hole = numbers.values_at(shown, 63, 79)
    assert hole["pictures"]["refined"] == [None] * 4
    assert set(hole["maps"].values()) == {None}
    json.dumps(hole, allow_nan=False)
    for row, col in ((-1, 0), (64, 0), (0, 80)):
        with pytest.raises(LdsrError, match="outside"):
            numbers.values_at(shown, row, col)


def test_a_profile_of_a_constant_picture_is_constant():
    flat = make_patch(np.full((4, HEIGHT, WIDTH), 0.2))
    shown = make_shown(patch=flat)
    shown = with_mean(shown, np.full((4, 64, 80), 0.3))
    found = numbers.profile(shown, (3.3, 2.2, 40.7, 31.9), band=1, level=0.8)
    np.testing.assert_allclose(found["lines"]["input"], 0.2, atol=1e-6)
    for name in ("base", "refined", "mean"):
        np.testing.assert_allclose(found["lines"][name], 0.3, atol=1e-6)
    length = np.hypot(40.7 - 3.3, 31.9 - 2.2)
    assert len(found["distance"]) == int(np.ceil(length)) + 1
    assert found["unit"] == "m"
    assert found["distance"][-1] == pytest.approx(2.5 * length, abs=1e-2)


def test_a_profile_of_a_ramp_is_the_ramp_and_its_band_mean_and_half_width():
    rows, cols = np.mgrid[:64, :80]
    ramp = np.broadcast_to(0.1 + 0.001 * rows + 0.002 * cols, (4, 64, 80))
    shown = with_mean(make_shown(), ramp)
    ends = (4.5, 2.5, 30.5, 60.5)
    found = numbers.profile(shown, ends, band=2, level=0.9)
    t = np.linspace(0, 1, len(found["distance"]))
    row, col = 4 + 26 * t, 2 + 58 * t  # indices of pixel centres
    mean = 0.1 + 0.001 * row + 0.002 * col
    np.testing.assert_allclose(found["lines"]["mean"], mean, atol=2e-6)
    # the stand-in's deviation is linear in the column, three times as wide in blue
    half = 2.2 * 3 * (0.001 + 0.019 * col / 79)
    np.testing.assert_allclose(found["lines"]["low"], mean - half, atol=2e-6)
    np.testing.assert_allclose(found["lines"]["high"], mean + half, atol=2e-6)
    squares = shown.patch.reflectance[2][(row + 0.5).astype(int) // 4, (col + 0.5).astype(int) // 4]
    np.testing.assert_allclose(found["lines"]["input"], squares, atol=1e-6)
    np.testing.assert_allclose(found["rows"], row + 0.5, atol=5e-3)


def test_a_profile_stops_where_there_is_no_data_and_is_never_long():
    shown = make_shown()
    found = numbers.profile(shown, (50, 79.5, 64, 79.5), band=0, level=0.9)
    there = [value is not None for value in found["lines"]["refined"]]
    assert there[0] and not there[-1] and None in found["lines"]["low"]
    assert found["lines"]["input"][-1] is None
    json.dumps(found, allow_nan=False)
    plain = numbers.profile(make_shown(samples=False), (0, 0, 64, 80), band=0, level=0.9)
    assert set(plain["lines"]) == {"input", "base", "refined"}
    large = make_patch()
    wide = np.tile(large.reflectance, (1, 10, 10))
    big = Patch(reflectance=wide, valid=np.ones(wide.shape[1:], bool))
    long = numbers.profile(make_shown(patch=big), (0, 0, 640, 800), band=0, level=0.5)
    assert (len(long["distance"]), long["unit"]) == (numbers.MOST_POINTS, "pixels")
    for ends in ((0, 0, 65, 0), (-1, 0, 3, 3), (5, 5, 5, 5)):
        with pytest.raises(LdsrError):
            numbers.profile(shown, ends, band=0, level=0.9)


def test_a_map_is_sent_small_and_right():
    shown = make_shown()
    found = numbers.heat_data(shown, "interval")
    about = found["map"]
    whole = np.frombuffer(base64.b64decode(about["values"]), "<i2").reshape(
        about["rows"], about["cols"]
    )
    values, valid = layers.heat_values(shown, "interval"), shown.result.sr.valid
    assert whole.shape == valid.shape and about["block"] == 1
    assert (whole[~valid] == -1).all() and (whole[valid] >= 0).all()
    np.testing.assert_allclose(whole[valid] * about["step"], values[valid], atol=about["step"])
    json.dumps(found, allow_nan=False)
    coarse = numbers.heat_data(shown, "residual")["map"]
    assert (coarse["rows"], coarse["cols"], coarse["pixel"]) == (HEIGHT, WIDTH, 4)
    with pytest.raises(LdsrError, match="no such map"):
        numbers.heat_data(shown, "input")
    with pytest.raises(LdsrError, match="No samples"):
        numbers.heat_data(make_shown(samples=False), "interval")


def test_blocks_average_what_is_valid():
    values = np.arange(30, dtype=np.float32).reshape(5, 6)
    valid = np.ones((5, 6), bool)
    valid[4, 4:] = valid[0, 0] = False
    small = numbers.block_mean(values, valid, 2)
    assert small.shape == (3, 3)
    assert small[0, 0] == pytest.approx((1 + 6 + 7) / 3)
    assert small[2, 0] == pytest.approx((24 + 25) / 2)
    assert np.isnan(small[2, 2])


def test_a_histogram_counts_every_pixel():
    values = np.random.default_rng(3).gamma(2.0, 0.01, 40000)
    found = numbers.histogram(values)
    assert len(found["edges"]) == numbers.BINS + 1
    assert sum(found["share"]) + found["beyond"] == pytest.approx(100, abs=0.02)
    assert found["beyond"] == pytest.approx(0.1, abs=0.01)
    assert found["median"] == pytest.approx(np.median(values))
    assert found["p95"] == pytest.approx(np.percentile(values, 95))
    assert found["largest"] == values.max()
    assert sum(numbers.histogram(np.zeros(10))["share"]) == 100


def test_intervals_say_what_they_hold():
    result = make_shown().result
    assert note(make_shown(samples=False).result) == layers.NO_SAMPLES
    text = note(result)
    assert text.startswith("There is no calibration") and "says nothing about the ground" in text
    samples = dataclasses.replace(result.uncertainty, calibration=CALIBRATION, uncalibrated="")
    text = note(dataclasses.replace(result, uncertainty=samples))
    assert "'balanced'" in text and "one Californian city" in text
    assert "89 to 91" in text and "8 samples" in text


def test_the_value_is_small_json_and_complete():
    shown = make_shown()
    value = compare_value("k", shown)
    text = json.dumps(value, allow_nan=False)
    assert len(text) < 20_000 and "base64" not in text
    assert value["panes"] == ["input", "base", "refined", "relative"]
    assert (value["width"], value["height"], value["pixel"], value["unit"]) == (80, 64, 2.5, "m")
    assert value["samples"] == SAMPLES and value["drawn"].startswith("Settled after 5 of 8")
    assert not value["calibrated"]
    (place,) = value["places"]
    assert place["points"].startswith("8,8 24,8 24,20") and place["box"] == [8, 8, 20, 24]
    for layer in value["layers"]:
        if layer["kind"] == "heat":
            low, high = layer["ends"]
            assert low == "0" and float(high) > 0
    plain = compare_value("k", make_shown(samples=False))
    assert plain["panes"] == ["input", "base", "refined", "change"]
    assert (plain["samples"], plain["levels"], plain["places"]) == (0, [], [])
    assert compare_value(None, None) == EMPTY


@pytest.fixture
def studio(monkeypatch) -> Studio:
    samples = (SimpleNamespace(key="field", name="Field, somewhere"),)
    monkeypatch.setattr("ldsr.web.studio.list_samples", lambda: samples)
    monkeypatch.setattr("ldsr.web.studio.load_sample", lambda key: make_patch())
    return Studio(FakePipeline())


@pytest.fixture
def client(studio) -> TestClient:
    return TestClient(Starlette(routes=compare_routes(studio)))


def test_every_layer_is_served_as_a_picture(studio, client):
    shown = make_shown()
    key = studio.keep(shown)
    for layer in compare_value(key, shown)["layers"]:
        if layer["name"] == "sample":
            continue
        for url in layer["urls"].values() if layer["kind"] == "picture" else [layer["url"]]:
            if url.startswith("ldsr/r/"):
                continue
            answer = client.get("/" + url)
            assert answer.status_code == (404 if layer["missing"] else 200), url
            if layer["missing"]:
                continue
            assert "immutable" in answer.headers["cache-control"]
            size = (WIDTH, HEIGHT) if layer["coarse"] else (4 * WIDTH, 4 * HEIGHT)
            assert Image.open(io.BytesIO(answer.content)).size == size
    for k in range(SAMPLES):
        found = client.get(f"/ldsr/compare/{key}/sample-{k}-true.png")
        assert found.content == shown.samples[k]["true"]
    for wrong in (f"sample-{SAMPLES}-true.png", "sample--1-true.png", "sample-0-pink.png", "x.png"):
        assert client.get(f"/ldsr/compare/{key}/{wrong}").status_code == 404


def test_questions_are_answered_or_refused_in_one_sentence(studio, client):
    key = studio.keep(make_shown())
    stem = f"/ldsr/compare/{key}"
    assert client.get(f"{stem}/values?row=3&col=4").json()["row"] == 3
    line = client.get(f"{stem}/profile?r0=1&c0=2&r1=30.5&c1=60&band=NIR&level=0.5").json()
    assert (line["band"], line["level"]) == ("NIR", 0.5)
    assert client.get(f"{stem}/heat/interval").json()["map"]["rows"] == 64
    wrong = (
        "values",
        "values?row=1",
        "values?row=1.5&col=2",
        "values?row=nan&col=2",
        "values?row=64&col=2",
        "profile?r0=1&c0=2&r1=30",
        "profile?r0=1&c0=2&r1=inf&c1=4",
        "profile?r0=1&c0=2&r1=1&c1=2",
        "profile?r0=1&c0=2&r1=3&c1=4&band=X",
        "profile?r0=1&c0=2&r1=3&c1=4&level=0.7",
        "profile?r0=1&c0=2&r1=3&c1=4&level=nan",
        "heat/nothing",
    )
    for path in wrong:
        answer = client.get(f"{stem}/{path}")
        assert answer.status_code == 400, path
        assert answer.text.endswith(".") and "Traceback" not in answer.text
    plain = studio.keep(make_shown(samples=False))
    assert client.get(f"/ldsr/compare/{plain}/heat/std").text == layers.NO_SAMPLES


def test_what_is_gone_or_not_a_result_is_not_served(studio, client):
    keys = ["", "guess", studio.keep(Shown(make_patch())), studio.keep_small("something else")]
    for key in keys[1:]:
        for path in ("values?row=1&col=1", "heat/detail", "input-true.png"):
            answer = client.get(f"/ldsr/compare/{key}/{path}")
            assert (answer.status_code, answer.text) == (404, GONE)
    assert len(studio.keep(make_shown())) >= 20  # 128 random bits: nobody guesses an address


def test_plotly_is_served_from_the_installed_package(client):
    answer = client.get("/ldsr/plotly.min.js")
    assert answer.status_code == 200 and b"plotly.js" in answer.content[:200]


def test_a_reference_of_this_very_input_can_be_compared(studio, client):
    shown = make_shown()
    fine = shown.result.sr
    given = dataclasses.replace(fine, reflectance=fine.reflectance + np.float32(0.05))
    judged = Evaluation(
        truth="reference",
        shown="another run",
        name="field.tif",
        stem="field",
        lr=shown.patch,
        methods={},
        references={"as given": given, "fitted to it": fine},
        remark="",
        sheet={},
        line="",
    )
    key, evaluation = studio.keep(shown), studio.store.put(judged, 1)
    found = find_references(studio, shown, evaluation)
    assert set(found) == {"reference", "fitted"}
    value = compare_value(key, shown, found, evaluation)
    there = {layer["name"] for layer in value["layers"] if not layer["missing"]}
    assert {"reference", "fitted"} <= there
    assert ["reference", "Reference"] in value["columns"]
    address = next(layer for layer in value["layers"] if layer["name"] == "reference")["urls"]
    assert client.get("/" + address["true"]).status_code == 200
    assert client.get(f"/ldsr/compare/{key}/reference-true.png").status_code == 404
    at = f"/ldsr/compare/{key}/values?row=1&col=1&{value['ask']['query']}"
    np.testing.assert_allclose(
        client.get(at).json()["pictures"]["reference"], given.reflectance[:, 1, 1], atol=1e-6
    )
    assert find_references(studio, make_shown(), evaluation) == {}
    assert find_references(studio, shown, None) == {}
