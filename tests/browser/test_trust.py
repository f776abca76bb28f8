"""How sure a result is, in Chromium around a stand-in: the button, its map, the places to check."""

import pytest
import rasterio

from tests.browser.steps import beyond, choose, run, shown, type_number, wait_result, wait_status
from tests.fakes import PLACE

ASK = "[data-sample]:not([disabled])"


def sample(page) -> None:
    """Press the button and wait for what it says."""
    page.click(ASK)
    page.wait_for_selector(".is-sampled")
    page.wait_for_selector("#run:not([disabled])")


def hold_samples(page) -> None:
    """Make a result of which the stand-in stops drawing at the third sample."""
    type_number(page, "seed", 1003)
    run(page)


def overlay(page) -> str:
    return page.get_attribute(".v-pane .v-overlay.is-there", "src") or ""


def test_the_button_draws_samples_and_shows_map_and_place(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    assert page.is_disabled("input[name=ldsr-overlay][value=uncertainty]")
    assert page.is_hidden(".v-marks") and page.is_hidden(".v-trust")
    page.locator("[data-sample]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".is-sampled")
    wait_status(page, "8 of 8 samples drawn.")
    page.wait_for_selector(".v-pane .v-overlay.is-there[src$='overlay-uncertainty.png']")
    assert page.is_checked("input[name=ldsr-overlay][value=uncertainty]")
    assert page.inner_text(".legend-ticks").split()[::4] == ["0", "5"]
    assert page.inner_text(".legend-unit") == "% of the brightness"
    assert page.inner_text(".v-summary") == "1 place to check"
    assert page.inner_text(".v-badge") == "calibrated for balanced"
    assert "one city" in page.get_attribute(".v-badge", "title")
    assert "R 0.0040" in page.inner_text(".v-widths").replace("\u00a0", " ")
    assert page.is_visible(".v-marks .v-place") and page.locator(".v-check").count() == 1
    assert PLACE.text in page.inner_text(".v-list")
    choose(page, "overlay", "edges")
    page.wait_for_selector(".v-pane .v-overlay.is-there[src$='overlay-edges.png']")
    assert page.inner_text(".legend-unit") == "metres"
    page.click(".v-help summary")
    assert "not the same as being right" in page.inner_text(".v-help p")


def test_a_place_is_told_by_keyboard_mouse_and_list(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    sample(page)
    said = page.locator(".v-said")
    assert said.is_hidden()
    page.locator(".v-pin").focus()
    assert PLACE.text in said.inner_text() and page.locator(".v-pin.is-told").count() == 1
    page.locator("[data-outlines]").focus()
    assert said.is_hidden()
    page.hover(".v-pin")
    assert said.is_visible()
    page.locator(".v-check").click()
    page.mouse.move(5, 5)
    page.locator("[data-outlines]").focus()
    assert said.is_visible(), "what was pressed stays told"
    page.keyboard.press("Escape")
    assert said.is_hidden()
    page.keyboard.press("Space")
    assert page.is_hidden(".v-marks") and not page.is_checked("[data-outlines]")
    page.keyboard.press("Space")
    assert page.is_visible(".v-marks .v-place")


def test_outlines_lie_on_the_picture_zoomed_and_side_by_side(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    sample(page)
    page.click("[data-zoom='1']")
    page.locator(".v-check").click()

    def middle(selector: str) -> tuple[float, float]:
        box = page.locator(selector).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    image = page.locator("[data-at=right] > img:first-child").bounding_box()
    width = page.eval_on_selector("[data-at=right] > img:first-child", "box => box.naturalWidth")
    x, y = middle(".v-marks:not(.is-copy) .v-place")
    assert abs((x - image["x"]) / image["width"] * width - 22) < 1
    assert abs((y - image["y"]) / image["height"] * width - 26) < 1
    choose(page, "view", "three")
    assert page.locator(".v-marks").count() == 3 and page.locator(".v-pin").count() == 1
    assert page.locator("[data-pane=input] .v-place").is_visible()


def test_the_map_emerges_and_stopping_keeps_it(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    hold_samples(page)
    kept = shown(page)
    page.click(ASK)
    wait_status(page, "Sample 4 of 8")
    page.wait_for_selector(".v-pane .v-overlay.is-there[src*='/spread-2.png']")
    assert "so far" in page.inner_text(".legend-text") and shown(page) == kept
    assert "left" in page.inner_text(".status-clock")
    assert page.inner_text("[data-sample]") == "Stop and keep"
    page.click("#cancel:not([disabled])")
    wait_status(page, "Cancelled: kept 3 of 8 samples.")
    page.wait_for_selector(".v-pane .v-overlay.is-there[src$='overlay-uncertainty.png']")
    assert page.inner_text(".v-ended") == "Cancelled: kept 3 of 8 samples."
    page.dblclick(ASK)
    page.wait_for_selector("[data-sample]:text('Stop and keep')")
    wait_status(page, "Sample 4 of 8")
    page.wait_for_timeout(800)  # a click right after the first one is taken for a double click
    page.click(ASK)
    wait_status(page, "Cancelled: kept 3 of 8 samples.")


def test_a_run_with_samples_and_its_link(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    page.click("#uncertainty summary")
    type_number(page, "draws", 4)
    page.click("#run:not([disabled])")
    wait_status(page, "4 of 4 samples drawn.")
    page.click("[data-copy]")
    link = page.wait_for_selector("[data-copied]").get_attribute("data-copied")
    shared = open_stand_in("?" + link.partition("/?")[2])
    wait_status(shared, "4 of 4 samples drawn.")
    assert shared.input_value("#draws input[type=number]") == "4"
    type_number(page, "draws", 40)
    page.click(ASK)
    wait_status(page, "samples is 40")
    assert page.locator(".is-sampled").count() == 1
    run_plain(page)


def run_plain(page) -> None:
    """A new result has no map and no places of the one before."""
    type_number(page, "draws", 0)
    run(page)
    assert page.locator(".is-sampled").count() == 0 and page.is_hidden(".v-marks")
    assert page.is_checked("input[name=ldsr-overlay][value=none]")


def test_uncertainty_can_be_downloaded(open_stand_in, tmp_path):
    page = open_stand_in()
    wait_result(page)
    assert page.get_attribute("[data-link=uncertainty]", "href") is None
    sample(page)
    with page.expect_download() as download:
        page.click("[data-link=uncertainty]")
    saved = tmp_path / "uncertainty.tif"
    download.value.save_as(saved)
    assert download.value.suggested_filename.endswith("_uncertainty.tif")
    with rasterio.open(saved) as file:
        assert file.count > 4 and file.res == (2.5, 2.5)


def test_where_nothing_is_drawn_the_button_says_why(open_stand_in):
    page = open_stand_in("?base=bicubic&refine=0")
    wait_result(page)
    button = page.locator("[data-sample]")
    assert button.is_disabled() and "all samples would be the same" in button.get_attribute("title")
    assert "all samples would be the same" in page.inner_text(".v-trust")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_shows_map_list_and_place_without_overflow(open_stand_in, scheme):
    page = open_stand_in(width=390, height=844, scheme=scheme)
    wait_result(page)
    page.click("#uncertainty summary")
    sample(page)
    page.click(".v-help summary")
    page.locator(".v-check").click()
    said = page.locator(".v-said").bounding_box()
    assert said["x"] >= 0 and said["x"] + said["width"] <= 390
    for mode in ("divider", "three"):
        choose(page, "view", mode)
        assert beyond(page) == []
