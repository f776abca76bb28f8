"""The map picker in a real browser, around a handler that answers from nothing (`map_page.py`)."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import HERE, PATIENCE, _is_foreign, _serve

CHART = ".picker-chart"
RING = "path.picker-box:not(.is-rough)"
EXPECTED_ERRORS = re.compile(r"Failed to load resource.*404")
"""Tiles and a thumbnail that are not there, on purpose."""


@pytest.fixture(scope="module")
def map_page(tmp_path_factory) -> Iterator[str]:
    yield from _serve([str(HERE / "map_page.py")], tmp_path_factory.mktemp("map_page"))


@pytest.fixture
def open_map(browser, map_page) -> Iterator:
    """Open the picker; it must end without an error and without a request to another host."""
    contexts, wrong = [], []

    def note(message) -> None:
        if message.type == "error" and not EXPECTED_ERRORS.search(message.text):
            wrong.append(message.text)

    def open_one(*, tiles="none", width=1440, height=1100, scheme="light", touch=False, shown=True):
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=touch)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", note)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda sent: _is_foreign(sent.url, map_page) and wrong.append(sent.url))
        page.goto(f"{map_page}?tiles={tiles}")
        page.wait_for_selector("#tabs")
        if shown:
            page.get_by_role("tab", name="Map").click()
            page.wait_for_selector(".picker-grid", state="attached")
            page.wait_for_selector(".picker-land", state="attached")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def go(page, text: str) -> None:
    page.fill("[data-query]", text)
    page.press("[data-query]", "Enter")


def place(page) -> tuple[float, float]:
    """Latitude and longitude in the fields."""
    return tuple(float(page.input_value(f"[data-{name}]")) for name in ("lat", "lon"))


def wait_ring(page, zone: str = "EPSG:32632") -> None:
    page.wait_for_selector(RING)
    expect(page.locator(".picker-footprint")).to_contain_text(zone)


def middle(page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def find(page) -> None:
    page.click("[data-find]")
    expect(page.locator(".picker-message")).to_have_text("3 scenes found.")


def dates(page) -> list[str]:
    return page.locator(".picker-facts b").all_inner_texts()


def test_leaflet_is_fetched_only_when_the_map_is_seen(open_map):
    page = open_map(shown=False)
    assert page.evaluate("typeof window.L") == "undefined"
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector(".picker-land", state="attached")
    assert page.locator(".picker-grid").count() > 4
    assert "0°" in page.locator(".picker-degree").all_inner_texts()
    assert page.is_disabled("[data-find]") and page.locator(".picker-handle").count() == 0


def test_tiles_that_fail_leave_the_grid_and_one_sentence(open_map):
    page = open_map(tiles="gone")
    expect(page.locator(".picker-note")).to_contain_text("The background map does not answer")
    expect(page.locator(".leaflet-tile-pane img")).to_have_count(0)
    assert page.locator(".picker-grid").count() > 4
    go(page, "46.5, 11.35")
    wait_ring(page)
    assert page.evaluate("document.title") == "Map picker"


def test_tiles_follow_the_theme_until_one_is_chosen(open_map):
    page = open_map(tiles="there", scheme="dark")
    page.wait_for_selector("img.leaflet-tile-loaded[src*='/Dark/']")
    page.evaluate("document.body.classList.remove('dark')")
    page.wait_for_selector("img.leaflet-tile-loaded[src*='/Streets/']")
    assert page.inner_text(".leaflet-control-attribution") == "© Example"
    assert page.locator(".leaflet-control-attribution img").count() == 0
    page.hover(".leaflet-control-layers")
    page.get_by_label("Dark", exact=True).check()
    page.wait_for_selector("img.leaflet-tile-loaded[src*='/Dark/']")
    page.reload()
    page.get_by_role("tab", name="Map").click()
    page.wait_for_selector("img.leaflet-tile-loaded[src*='/Dark/']")


def test_a_click_places_the_box_and_zooms_in_only_from_far(open_map):
    page = open_map()
    box = page.locator(CHART).bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 60)
    page.wait_for_selector(RING)
    lat, lon = place(page)
    assert 35 < lat < 75 and -20 < lon < 40
    assert page.locator(RING).bounding_box()["width"] > 40
    before = page.locator(RING).bounding_box()["width"]
    page.mouse.click(box["x"] + box["width"] / 2 + 70, box["y"] + 60)
    page.wait_for_function(
        "lon => Number(document.querySelector('[data-lon]').value) > lon", arg=lon
    )
    page.wait_for_selector(RING)
    assert abs(page.locator(RING).bounding_box()["width"] - before) < 3
    assert page.locator(RING).get_attribute("stroke-dasharray")


def test_the_handle_drags_the_box(open_map):
    page = open_map()
    go(page, "46.5, 11.35")
    wait_ring(page)
    footprint = page.inner_text(".picker-footprint")
    x, y = middle(page, ".picker-handle")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20, steps=5)
    page.wait_for_selector(".picker-box.is-rough")
    page.mouse.move(x + 60, y + 30, steps=5)
    page.mouse.up()
    wait_ring(page)
    lat, lon = place(page)
    assert 46.45 < lat < 46.5 and 11.35 < lon < 11.37
    assert page.inner_text(".picker-footprint") != footprint


def test_the_keyboard_places_and_moves_the_box(open_map):
    page = open_map()
    page.focus(CHART)
    page.keyboard.press("Enter")
    wait_ring(page)
    lat, lon = place(page)
    assert abs(lat - 30) < 0.01 and abs(lon - 10) < 0.01
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    wait_ring(page)
    moved = place(page)
    assert moved[1] - lon == pytest.approx(0.3 * 1280 / 111320 / 0.866, rel=0.02)
    assert moved[0] - lat == pytest.approx(0.1 * 1280 / 111320, rel=0.02)


def test_a_touch_places_the_box_and_the_phone_does_not_scroll_sideways(open_map):
    page = open_map(width=390, height=844, touch=True)
    x, y = middle(page, CHART)
    page.touchscreen.tap(x, y)
    page.wait_for_selector(RING)
    lat, lon = place(page)
    assert abs(lat - 30) < 2 and abs(lon - 10) < 2
    find(page)
    handle = page.locator(".picker-handle").bounding_box()
    assert handle["width"] >= 32 and handle["height"] >= 32
    wide = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
    assert page.evaluate(wide) <= 390
    page.click("[data-larger]")
    assert page.evaluate("document.querySelector('.picker').scrollWidth") <= 390
    inside = """() => [...document.querySelectorAll('.picker *')].filter((one) =>
        !one.closest('.picker-chart') && one.getClientRects().length
        && one.getBoundingClientRect().right > 391).map((one) => one.className)"""
    assert page.evaluate(inside) == []


@pytest.mark.parametrize(
    ("text", "lat", "lon"),
    [
        ("46.5, 11.35", 46.5, 11.35),
        ("46.5 N 11.35 E", 46.5, 11.35),
        ("46.5S, 11W", -46.5, -11),
        ("46,5; 11,35", 46.5, 11.35),
        ("E 11.35 N 46.5", 46.5, 11.35),
        ("-12.25 190", -12.25, -170),
        ("46.5° N, 11.35° E", 46.5, 11.35),
    ],
)
def test_coordinates_are_understood_without_a_geocoder(open_map, text, lat, lon):
    page = open_map()
    go(page, text)
    page.wait_for_selector(RING)
    assert place(page) == (lat, lon)
    assert page.locator(RING).bounding_box()["width"] > 60


def test_places_are_listed_as_text_and_chosen(open_map):
    page = open_map()
    go(page, "Bolzano")
    expect(page.locator(".picker-found button")).to_have_text(
        ["Bolzano, Italy", "Bolzano <b>Novarese</b>"]
    )
    page.click("text=Bolzano, Italy")
    wait_ring(page)
    assert place(page) == (46.4983, 11.3548)
    assert page.locator(".picker-found button").count() == 0
    go(page, "nowhere")
    expect(page.locator(".picker-message")).to_have_text("No such place was found.")
    go(page, "95, 10")
    expect(page.locator(".picker-message")).to_contain_text("Latitude runs from -90 to 90")
    go(page, "89, 10")
    expect(page.locator(".picker-message")).to_contain_text("beyond the UTM grid")


def test_fields_and_sides_are_in_step_with_the_box(open_map):
    page = open_map()
    page.fill("[data-lat]", "47.25")
    page.fill("[data-lon]", "13.5")
    page.press("[data-lon]", "Enter")
    wait_ring(page, "EPSG:32633")
    small = page.inner_text(".picker-footprint")
    page.check("input[name=ldsr-box-side][value='2560']", force=True)
    expect(page.locator(".picker-footprint")).not_to_contain_text(small)
    wait_ring(page, "EPSG:32633")
    west, east = re.search(r"(\d+)-(\d+) E", page.inner_text(".picker-footprint")).groups()
    assert int(east) - int(west) == 2560


def test_a_box_across_the_antimeridian_is_drawn_whole(open_map):
    page = open_map()
    go(page, "-16.8, 179.9999")
    wait_ring(page, "EPSG:32760")
    ring = page.locator(RING).bounding_box()
    assert 60 < ring["width"] < 200
    assert abs(ring["x"] + ring["width"] / 2 - middle(page, ".picker-handle")[0]) < 4


def test_scenes_are_sorted_and_chosen_by_key_and_by_slider(open_map):
    page = open_map()
    go(page, "46.5, 11.35")
    wait_ring(page)
    find(page)
    first, second, third = (page.locator(".picker-card").nth(i) for i in range(3))
    expect(first).to_contain_text("under 1 % cloud over the box")
    expect(first).to_contain_text("covers 61 %")
    expect(second).to_contain_text("25 % cloud over the box")
    expect(second).to_contain_text("snow <i>on</i> the ground")
    expect(third).to_contain_text("12 % cloud over the tile")
    page.check("input[name=ldsr-order][value=new]", force=True)
    assert [text[:6] for text in dates(page)] == ["11 Nov", "2 Oct ", "4 Sept"]
    page.locator(".picker-card input").nth(0).focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".picker-message")).to_have_text("Scene a is chosen.")
    page.wait_for_selector(".leaflet-photo-pane img[src$='/a.png']")
    slider = page.locator("[data-time]")
    assert slider.get_attribute("aria-valuetext") == "2 October 2026"
    slider.press("ArrowLeft")
    assert slider.get_attribute("aria-valuetext") == "4 September 2026"
    expect(page.locator(".picker-message")).to_have_text("Scene c is chosen.")
    assert page.locator(".picker-card input[value=c]").is_checked()


def test_another_box_or_filter_marks_the_list_as_out_of_date(open_map):
    page = open_map()
    go(page, "46.5, 11.35")
    wait_ring(page)
    find(page)
    button = page.locator("[data-find]")
    assert "strong" not in button.get_attribute("class")
    page.fill("[data-start]", "2026-07-01")
    page.press("[data-start]", "Tab")
    expect(button).to_have_text("Find scenes again")
    assert page.locator(".picker.is-stale").count() == 1
    find(page)
    expect(button).to_have_text("Find scenes")
    assert page.input_value("[data-start]") == "2026-07-01"


def test_the_larger_map_opens_and_closes(open_map):
    page = open_map(height=900)
    go(page, "46.5, 11.35")
    wait_ring(page)
    page.click("[data-larger]")
    assert page.get_attribute("[data-larger]", "aria-pressed") == "true"
    assert page.locator(".picker").bounding_box() == {"x": 0, "y": 0, "width": 1440, "height": 900}
    assert page.locator(CHART).bounding_box()["width"] > 900
    top = "document.elementFromPoint(20, 20).closest('.picker') !== null"
    assert page.evaluate(top)
    for _ in range(30):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('.picker') !== null")
    page.keyboard.press("Escape")
    assert page.locator(".picker.is-large").count() == 0
    assert page.evaluate("document.activeElement.matches('[data-larger]')")
    assert page.locator(CHART).bounding_box()["height"] < 240
    x, y = middle(page, ".picker-handle")
    assert page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('.picker-handle') !== null", [x, y]
    )
    page.click("[data-larger]")
    page.click("[data-close]")
    assert page.get_attribute("[data-larger]", "aria-pressed") == "false"


def test_an_answer_to_an_older_question_is_ignored(open_map):
    page = open_map()
    go(page, "0, 15")  # answered slowly
    page.wait_for_timeout(200)
    go(page, "46.5, 11.35")
    wait_ring(page)
    page.wait_for_timeout(2000)
    assert "EPSG:32632" in page.inner_text(".picker-footprint")
    assert place(page) == (46.5, 11.35)
    find(page)
    assert place(page) == (46.5, 11.35)


def test_a_choice_made_early_loses_none_of_the_numbers_that_follow(open_map):
    page = open_map(tiles="none&slow=1")
    go(page, "46.5, 11.35")
    wait_ring(page)
    page.click("[data-find]")
    expect(page.locator(".picker-card.is-pending")).to_have_count(3)
    expect(page.locator(".picker-card").nth(0)).to_contain_text("4 % cloud over the tile")
    page.check(".picker-card input[value=b]", force=True)
    expect(page.locator(".picker-message")).to_have_text("Scene b is chosen.")
    expect(page.locator(".picker-card").nth(0)).to_contain_text("under 1 % cloud over the box")
    expect(page.locator(".picker-card").nth(1)).to_contain_text("25 % cloud over the box")
    assert page.locator(".picker-card input[value=b]").is_checked()
    assert page.inner_text(".picker-message") == "Scene b is chosen."
