"""The result on a map, in Chromium: the swipe, opacity, no request; cloud on the page."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldsr.web.maps import basemaps
from ldsr.web.maps.result_map import result_map
from tests.browser.conftest import HERE, PATIENCE, _pages, _serve
from tests.browser.steps import choose, wait_result
from tests.test_result_map import placed, shown_of

TILES = "http://127.0.0.1:9/{z}/{x}/{y}.png"


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory):
    """The stand-in with samples that are a quarter cloud."""
    command = [str(HERE / "stand_in.py"), "--cloudy"]
    yield from _serve(command, tmp_path_factory.mktemp("cloudy"))


@pytest.fixture
def open_cloudy(browser, cloudy):
    yield from _pages(browser, cloudy)


@pytest.fixture
def open_map(browser, tmp_path, monkeypatch):
    """Open a map from disk; it must end without an error. Notes every request but the file."""
    contexts, wrong = [], []

    def open_one(tiles: str = "off", *, reply=None, scheme: str = "light", width: int = 1200):
        monkeypatch.setenv(basemaps.TILES_VARIABLE, tiles)
        monkeypatch.setenv(basemaps.ATTRIBUTION_VARIABLE, "Tiles by nobody")
        path = tmp_path / "map.html"
        path.write_bytes(result_map(shown_of(placed())))
        viewport = {"width": width, "height": 800}
        context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=width < 500)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.sent = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda sent: page.sent.append(sent.url))
        page.route("http://127.0.0.1:9/**", reply or (lambda route: route.abort()))
        page.goto(path.as_uri())
        page.locator(".handle").wait_for()
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def colours(page) -> np.ndarray:
    """The map as it is on the screen, [H, W, 3]."""
    page.wait_for_timeout(350)
    shot = page.locator(".folium-map").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(float)


def paint(page) -> None:
    """Make every picture one plain colour: red input, green base, blue refined."""
    page.evaluate(
        """async () => {
          const images = [...document.querySelectorAll(".leaflet-image-layer")].slice(0, 3);
          await Promise.all(images.map((image, at) => {
            const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
            const pen = canvas.getContext("2d");
            pen.fillStyle = ["#f00", "#0f0", "#00f"][at];
            pen.fillRect(0, 0, 8, 8);
            image.src = canvas.toDataURL();
            return image.decode();
          }));
        }"""
    )


def bands(page) -> dict[str, tuple[int, int]]:
    """First and last column of each colour in a row above the handle."""
    row = colours(page)[300]
    names = {"input": [255, 0, 0], "base": [0, 255, 0], "refined": [0, 0, 255]}
    found = {}
    for name, colour in names.items():
        (where,) = np.nonzero((row == colour).all(axis=1))
        if len(where) > 5:
            found[name] = (int(where[0]), int(where[-1]))
    return found


def border(page) -> float:
    box = page.locator(".line").bounding_box()
    return box["x"] + box["width"] / 2


def test_the_swipe_cuts_the_layer_of_its_side(open_map):
    page = open_map()
    paint(page)
    seen = bands(page)
    assert set(seen) == {"input", "refined"}
    assert abs(seen["input"][1] - border(page)) < 4 and abs(seen["refined"][0] - border(page)) < 4
    left, right = seen["input"][0], seen["refined"][1]
    box = page.locator(".handle").bounding_box()
    page.mouse.move(box["x"] + 18, box["y"] + 18)
    page.mouse.down()
    page.mouse.move(box["x"] - 182, box["y"] + 60, steps=4)
    page.mouse.up()
    moved = bands(page)
    assert abs(moved["input"][1] - (seen["input"][1] - 200)) < 5
    assert (moved["input"][0], moved["refined"][1]) == (left, right), "the map itself stays"
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute(".handle", "aria-valuenow") == str(
        round(100 * (border(page)) / page.locator(".folium-map").bounding_box()["width"])
    )
    page.keyboard.press("Home")
    assert set(bands(page)) == {"refined"}
    page.keyboard.press("End")
    assert set(bands(page)) == {"input"}


def test_the_border_stays_when_the_map_is_moved_zoomed_and_resized(open_map):
    page = open_map()
    paint(page)
    at = border(page)
    before = bands(page)
    page.mouse.move(300, 500)
    page.mouse.down()
    page.mouse.move(380, 460, steps=5)
    page.wait_for_timeout(200)
    page.mouse.up()
    page.wait_for_timeout(400)
    after = bands(page)
    assert border(page) == at and abs(after["input"][1] - at) < 4 > abs(after["refined"][0] - at)
    assert after["input"][0] > before["input"][0] + 40, "the pictures moved with the map"
    page.click(".leaflet-control-zoom-out")
    page.wait_for_timeout(600)
    zoomed = bands(page)
    assert abs(zoomed["input"][1] - at) < 4 > abs(zoomed["refined"][0] - at)
    page.set_viewport_size({"width": 1000, "height": 800})
    page.wait_for_timeout(400)
    assert abs(bands(page)["input"][1] - border(page)) < 4 and border(page) < at


def test_sides_are_chosen_and_change_places(open_map):
    page = open_map()
    paint(page)
    page.check("input[name=left][value=base]", force=True)
    assert set(bands(page)) == {"base", "refined"}
    page.check("input[name=left][value=refined]", force=True)
    seen = bands(page)
    assert seen["refined"][1] < seen["base"][0] + 8, "the sides change places"
    assert page.is_checked("input[name=right][value=base]")
    assert page.get_attribute("[data-tag=input]", "data-at") == "off"


def test_opacity_and_generated_detail(open_map):
    page = open_map()
    paint(page)
    full = colours(page)[300, 350]
    assert (full == [255, 0, 0]).all()
    page.locator("[data-opacity]").focus()
    page.keyboard.press("Home")
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    half = colours(page)[300, 350]
    assert half[1] > 100 and half[0] > 200 and page.inner_text(".row output") == "50 %"
    assert page.is_hidden(".heat")
    page.keyboard.press("End")
    blue = colours(page)[300, 700]
    page.check("[data-detail]")
    assert page.is_visible(".heat")
    seen = colours(page)
    assert np.abs(seen[300, 700] - blue).max() > 60, "the heat map lies on the refined side"
    assert (seen[300, 350] == [255, 0, 0]).all(), "and not on the input"


def test_without_tiles_nothing_is_fetched_and_there_is_a_graticule(open_map):
    page = open_map()
    assert [url for url in page.sent if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.locator(".leaflet-ldsr-grid-pane .grid-label").count() >= 4
    assert page.locator("[data-basemap] option").all_inner_texts() == ["None"]
    assert page.inner_text(".note") == ""
    page.click(".leaflet-control-zoom-in")
    page.wait_for_timeout(500)
    assert page.locator(".leaflet-ldsr-grid-pane .grid-label").count() >= 4


def test_tiles_that_fail_are_one_sentence(open_map):
    page = open_map(TILES)
    page.wait_for_function("document.querySelector('.note').textContent.includes('base map')")
    assert page.locator(".leaflet-ldsr-grid-pane .grid-label").count() >= 4
    page.select_option("[data-basemap]", "none")
    assert page.inner_text(".note") == ""


def test_tiles_lie_under_the_pictures_and_are_credited(open_map):
    buffer = io.BytesIO()
    Image.new("RGB", (256, 256), (10, 200, 90)).save(buffer, "PNG")
    page = open_map(TILES, reply=lambda route: route.fulfill(body=buffer.getvalue()))
    page.wait_for_selector(".leaflet-tile-loaded")
    page.wait_for_timeout(500)
    assert "Tiles by nobody" in page.inner_text(".leaflet-control-attribution")
    paint(page)
    assert "input" in bands(page)
    assert (np.abs(colours(page)[780, 450] - [10, 200, 90]) < 12).all()
    assert page.locator(".grid-label").count() == 0


def test_phone_and_dark(open_map):
    page = open_map(scheme="dark", width=390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.documentElement.dataset.scheme") == "dark"
    assert colours(page)[60, 4].mean() < 60
    box = page.locator(".handle").bounding_box()
    assert box["width"] >= 36 and box["y"] + box["height"] < 800 * 0.62
    assert page.locator(".panel").bounding_box()["y"] >= 800 * 0.62 - 1


def test_map_view_and_download_on_the_page(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    assert page.locator(".v-map").count() == 0, "made only when it is asked for"
    choose(page, "view", "map")
    frame = page.frame_locator(".v-map")
    frame.locator(".handle").wait_for()
    assert page.is_hidden(".v-frame") and "Fields" in frame.locator("h1").inner_text()
    assert "allow-same-origin" not in page.get_attribute(".v-map", "sandbox")
    src = page.get_attribute(".v-map", "src")
    page.click("[data-theme-toggle]")
    page.wait_for_selector(".v-map[src$='#dark']")
    frame.locator(":root[data-scheme=dark]").wait_for()
    assert page.get_attribute(".v-map", "src").split("#")[0] == src.split("#")[0]
    with page.expect_download() as waiting:
        page.click("[data-link=map]")
    saved = waiting.value
    assert saved.suggested_filename.endswith("_map.html")
    assert Path(saved.path()).stat().st_size > 2e5
    choose(page, "view", "divider")
    assert page.is_visible(".v-frame") and page.locator(".v-map").count() == 0


def test_no_map_without_a_position(open_stand_in):
    page = open_stand_in("?sample=red_soil")
    wait_result(page)
    assert page.is_disabled("input[name=ldsr-view][value=map]")
    label = page.locator("label:has(input[name=ldsr-view][value=map])")
    assert "no position" in label.get_attribute("title")
    assert page.get_attribute("[data-link=map]", "href") is None


def test_cloud_is_marked_and_warned_of(open_cloudy):
    page = open_cloudy()
    wait_result(page)
    assert "25\u00a0% of this box is cloud" in page.inner_text(".v-warn[role=status]")
    warned, tag = (page.locator(at).bounding_box() for at in (".v-warn", "[data-at=left] .v-tag"))
    assert warned["y"] > tag["y"] + tag["height"]
    choose(page, "overlay", "scl")
    page.wait_for_selector("[data-at=right] .v-overlay.is-there[src$='overlay-scl.png']")
    page.wait_for_selector("[data-at=left] .v-overlay.is-there[src$='overlay-scl.png']")
    assert page.inner_text(".legend-classes").split("\n")[0] == "Cloud 25%"
    assert page.is_hidden(".legend-bar") and page.locator(".legend-classes li").count() == 3
    choose(page, "overlay", "detail")
    page.wait_for_selector("[data-at=right] .v-overlay.is-there[src$='overlay-detail.png']")
    assert page.is_visible(".legend-bar") and page.is_hidden(".legend-classes")
    assert page.locator("[data-at=left] .v-overlay").count() == 0, "detail is of the result alone"
    page.click(".v-warn button")
    assert page.is_hidden(".v-warn")
    choose(page, "colours", "false")
    assert page.is_hidden(".v-warn"), "dismissed for this picture"
    page.check("input[name=ldsr-sample] >> nth=1", force=True)
    page.wait_for_selector(".viewer[data-mode=input]")
    assert page.is_visible(".v-warn"), "another picture, another warning"
    assert "25% cloud" in page.inner_text(".chips")
    assert page.is_enabled("input[name=ldsr-overlay][value=scl]"), "of an input, too"
    choose(page, "overlay", "scl")
    page.wait_for_selector("[data-pane=input] .v-overlay.is-there")
