"""From a place to a file: the map, a real STAC API and files over HTTP, the model, a GeoTIFF."""

import contextlib
import json
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform as warp

from tests.browser.conftest import APP, HERE, _pages, _serve
from tests.browser.steps import run, shown, status, tab, wait_result, wait_status
from tests.catalogue.scenes import truth_grid
from tests.catalogue.servers import (
    DEMO_PLACES,
    make_demo,
    serve_files,
    serve_geocoder,
    serve_stac,
)

CLEAR, CLOUDY = "14 Sept 2026", "9 Sept 2026"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A catalogue, its files, a geocoder, and the environment that leads to them."""
    folder = tmp_path_factory.mktemp("world")
    with contextlib.ExitStack() as stack:
        files = stack.enter_context(serve_files(folder / "scenes"))
        items = make_demo(folder / "scenes", files.url, 768)
        stac = stack.enter_context(serve_stac(items, items[0]["collection"], folder / "stac"))
        geocoder = stack.enter_context(serve_geocoder(DEMO_PLACES))
        env = {
            "LDSR_STAC_URL": stac,
            "LDSR_STAC_COLLECTION": items[0]["collection"],
            "LDSR_STAC_TITLE": "Demo",
            "LDSR_GEOCODER_URL": f"{geocoder}/search",
            "LDSR_HOME": str(folder / "home"),
            "LDSR_HTTP_TIMEOUT": "20",
        }
        yield SimpleNamespace(env=env, files=files)


@pytest.fixture(scope="module")
def real(world, tmp_path_factory):
    yield from _serve([APP], tmp_path_factory.mktemp("real"), env=world.env)


@pytest.fixture(scope="module")
def quick(world, tmp_path_factory):
    """The page around the stand-in for the model."""
    folder = tmp_path_factory.mktemp("quick")
    yield from _serve([str(HERE / "stand_in.py")], folder, env=world.env)


@pytest.fixture
def open_real(browser, real):
    yield from _pages(browser, real)


@pytest.fixture
def open_quick(browser, quick, world):
    yield from _pages(browser, quick)
    world.files.faults.clear()


def go_to(page, text: str) -> None:
    """Open the map at a place that is typed."""
    tab(page, "Map")
    page.fill("[data-query]", text)
    page.press("[data-query]", "Enter")


def find_scenes(page, start: str = "2026-09-01", end: str = "2026-09-30", cloud: int = 100) -> None:
    page.fill("[data-start]", start)
    page.fill("[data-end]", end)
    page.locator("[data-cloud]").evaluate(
        "(field, value) => { field.value = value; field.dispatchEvent(new Event('input')); "
        "field.dispatchEvent(new Event('change')); }",
        cloud,
    )
    page.click("[data-find]")


def say(page, text: str) -> None:
    """Wait for a sentence below the map."""
    page.wait_for_function(
        "text => document.querySelector('.picker-message').textContent.includes(text)", arg=text
    )


def choose_scene(page, date: str) -> None:
    page.click(f".picker-list label:has-text('{date}')")


def place(page) -> tuple[float, float]:
    """Longitude and latitude in the fields."""
    return float(page.input_value("[data-lon]")), float(page.input_value("[data-lat]"))


def test_click_choose_run_and_the_file_lies_at_the_place(open_real, tmp_path):
    page = open_real()
    wait_result(page)
    go_to(page, "46.6, 10.9")
    page.wait_for_function("document.querySelector('.picker-footprint').textContent !== ''")
    assert place(page) == (10.9, 46.6)
    chart = page.locator(".picker-chart").bounding_box()
    page.mouse.click(chart["x"] + 0.6 * chart["width"], chart["y"] + 0.42 * chart["height"])
    page.wait_for_function("document.querySelector('[data-lon]').value !== '10.90000'")
    asked = place(page)
    assert asked[0] > 10.9 and asked[1] > 46.6
    find_scenes(page)
    say(page, "3 scenes.")
    choose_scene(page, CLEAR)
    page.wait_for_selector(".viewer[data-mode=input]")
    say(page, "is the input now")
    assert "2026-09-14 10:15 UTC" in page.inner_text(".provenance")
    assert "(dn-1000) x 0.0001" in page.inner_text(".provenance")
    run(page)
    with page.expect_download() as download:
        page.click("[data-link=sr]")
    path = tmp_path / "sr.tif"
    download.value.save_as(path)
    with rasterio.open(path) as file:
        values, bounds, crs = file.read(), file.bounds, file.crs.to_string()
        assert file.res == (2.5, 2.5) and file.shape == (512, 512)
        sheet = json.loads(file.tags()["run_sheet"])
    (x,), (y,) = warp("EPSG:4326", crs, [asked[0]], [asked[1]])
    assert abs((bounds.left + bounds.right) / 2 - x) <= 10
    assert abs((bounds.bottom + bounds.top) / 2 - y) <= 10
    truth = truth_grid(crs, round(bounds.left), round(bounds.top), 128, 128)
    seen = values.reshape(4, 128, 4, 128, 4).mean((2, 4))
    assert np.corrcoef(seen.ravel(), truth.ravel())[0, 1] > 0.98
    assert np.corrcoef(np.roll(seen, 3, 2).ravel(), truth.ravel())[0, 1] < 0.98
    assert sheet["source"]["offset_dn"] == -1000 and sheet["source"]["kind"] == "scene"
    assert sheet["source"]["baseline"] == "05.11" and "scene_classification" in sheet


def test_a_place_by_its_name_and_a_cloudy_scene_is_marked(open_quick):
    page = open_quick()
    wait_result(page)
    go_to(page, "Latsch")
    page.click(".picker-found button:has-text('Latsch')")
    page.wait_for_function("document.querySelector('[data-lat]').value === '46.60000'")
    find_scenes(page)
    say(page, "3 scenes.")
    first = page.locator(".picker-list label").first
    assert "0 % cloud over the box" in first.inner_text()
    page.wait_for_function(
        "[...document.querySelectorAll('.picker-list img')].every(one => one.naturalWidth > 0)"
    )
    choose_scene(page, CLOUDY)
    page.wait_for_selector(".v-warn:not([hidden])")
    assert "of this box is cloud" in page.inner_text(".v-warn")
    page.check("input[name=ldsr-overlay][value=scl]", force=True)
    page.wait_for_selector(".v-overlay.is-there[src*='overlay-scl.png']", state="attached")
    run(page)
    assert "of this box is cloud" in page.inner_text(".v-warn")


def test_nothing_found_and_nothing_known_are_sentences(open_quick):
    page = open_quick()
    wait_result(page)
    go_to(page, "Atlantis")
    say(page, "knows no place")
    page.fill("[data-query]", "0, -30")
    page.press("[data-query]", "Enter")
    page.wait_for_function("document.querySelector('[data-lat]').value === '0.00000'")
    find_scenes(page)
    say(page, "the open sea is not imaged")
    assert page.is_enabled("#run")
    run(page)


def test_a_missing_file_is_a_sentence_and_another_scene_works(open_quick, world):
    page = open_quick()
    wait_result(page)
    go_to(page, "46.61, 10.9")
    page.wait_for_function("document.querySelector('.picker-footprint').textContent !== ''")
    find_scenes(page)
    say(page, "3 scenes.")
    before = shown(page)
    world.files.faults["20260914T101559_L2A/B08.tif"] = "missing"
    choose_scene(page, CLEAR)
    wait_status(page, "HTTP 404")
    say(page, "choose another scene")
    assert shown(page) == before, "what was there stays"
    choose_scene(page, CLOUDY)
    page.wait_for_selector(".viewer[data-mode=input]")
    assert "2026-09-09" in page.inner_text(".provenance")


def test_reading_can_be_cancelled(open_quick, world):
    page = open_quick()
    wait_result(page)
    go_to(page, "46.6, 12")
    page.wait_for_function("document.querySelector('.picker-footprint').textContent !== ''")
    find_scenes(page)
    say(page, "1 scene.")
    world.files.faults["B04.tif"] = ("slow", 15.0)
    choose_scene(page, "11 Sept 2026")
    wait_status(page, "Reading the box")
    page.click("#cancel:not([disabled])")
    wait_status(page, "Cancelled")
    page.wait_for_selector("#run:not([disabled])")
    run(page)


def test_without_a_catalogue_the_page_says_so_and_goes_on(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    page.wait_for_function("document.querySelector('.reference-note').textContent !== ''")
    assert "cannot be reached" in page.inner_text(".reference-note")
    buttons = page.locator(".reference")
    assert buttons.count() == 6 and all(one.is_disabled() for one in buttons.all())
    go_to(page, "46.6, 10.9")
    page.wait_for_function("document.querySelector('.picker-footprint').textContent !== ''")
    find_scenes(page)
    say(page, "does not answer")
    run(page)
    assert status(page) == "Done."


def test_a_link_to_a_scene_opens_it_at_its_place(browser, open_quick, world):
    page = open_quick()
    wait_result(page)
    go_to(page, "46.6, 10.9")
    page.wait_for_function("document.querySelector('.picker-footprint').textContent !== ''")
    find_scenes(page)
    say(page, "3 scenes.")
    choose_scene(page, CLEAR)
    page.wait_for_selector(".viewer[data-mode=input]")
    run(page)
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.click("[data-copy]")
    page.wait_for_function("window.copied")
    query = page.evaluate("window.copied").partition("?")[2]
    assert "scene=S2B_T32TPS_20260914T101559_L2A" in query and "zone=32632" in query
    with page.expect_download() as download:
        page.click("[data-link=base]")
    again = open_quick("?" + query)
    wait_result(again)
    assert "2026-09-14 10:15 UTC" in again.inner_text(".provenance")
    with again.expect_download() as other:
        again.click("[data-link=base]")
    with rasterio.open(download.value.path()) as one, rasterio.open(other.value.path()) as two:
        assert one.bounds == two.bounds
        np.testing.assert_array_equal(one.read(), two.read())
