"""Both stages on the page, in Chromium, around a stand-in: what is shown, asked, refused, saved."""

import json
from pathlib import Path

import pytest
import rasterio

from tests.browser.steps import (
    at,
    beyond,
    choose,
    run,
    shown,
    source,
    status,
    type_number,
    wait_result,
    wait_status,
)

COMMON = ("preset", "base", "steps", "skip-threshold", "refine", "refine-steps")
COMMON += ("refine-strength", "detail-cap", "run")


def hold(page, stage: int) -> None:
    """Run with the seed at which the stand-in stays in a stage until it is cancelled."""
    type_number(page, "seed", 1000 + stage)
    page.click("#run:not([disabled])")


def wait_note(page, text: str) -> None:
    page.wait_for_function(
        "text => document.querySelector('.tag-note').textContent.includes(text)", arg=text
    )


def open_tags(page) -> None:
    page.click("#tag-editor summary")


def test_three_pictures_under_one_border_by_key(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    assert (at(page, "input"), at(page, "refined"), at(page, "base")) == ("left", "right", "off")
    page.locator(".v-frame").focus()
    page.keyboard.press("2")
    assert (at(page, "base"), at(page, "refined")) == ("right", "off")
    page.keyboard.press("Shift+Digit3")
    assert (at(page, "refined"), at(page, "base")) == ("left", "right")
    page.keyboard.press("3")
    assert (at(page, "refined"), at(page, "base")) == ("right", "left"), "the sides change places"
    assert page.is_checked("input[name=ldsr-left][value=base]")
    page.locator("input[name=ldsr-left][value=base]").focus()
    page.keyboard.press("ArrowLeft")
    assert at(page, "input") == "left"
    page.locator("#steps-number").focus()
    page.keyboard.press("2")
    assert at(page, "refined") == "right", "a number that is typed chooses no picture"


def test_side_by_side_moves_together(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    choose(page, "view", "three")
    page.wait_for_selector("[data-pane=base] img.is-there")
    boxes = [page.locator(f"[data-pane={name}]").bounding_box() for name in ("input", "base")]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
    page.locator(".v-frame").focus()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    images = "boxes => boxes.map((box) => box.style.transform)"
    moved = page.eval_on_selector_all("[data-pane] > img:first-child", images)
    assert len(set(moved)) == 1 and "scale(2)" in moved[0] and "translate(-5%" in moved[0]


def test_overlay_with_legend_and_opacity(open_stand_in):
    page = open_stand_in("?detail_cap=0.4&sample=ireland_pastures")
    wait_result(page)
    assert page.is_hidden(".legend")
    choose(page, "overlay", "detail")
    page.wait_for_selector("[data-pane=refined] .v-overlay.is-there[src$='overlay-detail.png']")
    assert page.inner_text(".legend-ticks").split() == ["0", "0.1", "0.2", "0.3", "0.4"]
    assert "0 is the base" in page.inner_text(".legend-text")
    page.locator("[data-opacity]").focus()
    page.keyboard.press("Home")
    assert page.eval_on_selector(".v-overlay", "image => image.style.opacity") == "0"
    choose(page, "overlay", "difference")
    page.wait_for_selector(".v-overlay.is-there[src$='overlay-difference.png']")
    assert page.is_disabled("input[name=ldsr-overlay][value=tags]")
    choose(page, "overlay", "none")
    assert page.is_hidden(".legend")


def test_chips_count_the_steps_of_each_stage(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    type_number(page, "steps", 9)
    type_number(page, "refine-steps", 5)
    type_number(page, "skip-threshold", 0.2)
    run(page)
    chips = page.inner_text(".chips")
    assert "6 computed, 3 skipped" in chips and "5 computed, 0 skipped" in chips
    assert "residual 0.00004" in chips and "Mean detail" in chips
    type_number(page, "skip-threshold", 0)
    run(page)
    assert "9 computed, 0 skipped" in page.inner_text(".chips")


def test_without_refinement_the_base_is_the_result(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    page.locator("#refine input").focus()
    page.keyboard.press("Space")
    assert page.is_disabled("#refine-steps-number") and page.is_disabled("#detail-cap-number")
    run(page)
    assert at(page, "base") == "right" and page.is_disabled("input[value=refined] >> nth=0")
    assert page.get_attribute("[data-link=detail]", "href") is None
    assert page.is_disabled("[data-measure]") and "Refine," not in page.inner_text(".chips")


def test_weights_without_stage_two_say_so(open_base_only):
    page = open_base_only()
    wait_result(page)
    assert "no second stage" in page.inner_text("#no-refiner")
    assert page.is_disabled("#refine input") and page.is_disabled("#refine-strength-number")
    run(page)
    assert at(page, "base") == "right"


def test_bad_numbers_are_one_sentence_and_keep_the_picture(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    kept = shown(page)
    for knob, value, name in (
        ("steps", 5000, "steps"),
        ("refine-strength", 3, "refine_strength"),
        ("skip-threshold", -1, "skip_threshold"),
        ("detail-cap", "", "Detail cap"),
    ):
        field = page.locator(f"#{knob}-number")
        good = field.input_value()
        type_number(page, knob, value)
        assert field.get_attribute("aria-invalid") == "true"
        page.keyboard.press("Control+Enter")
        wait_status(page, f"{name} is")
        assert status(page).endswith(".") and shown(page) == kept
        type_number(page, knob, good)
        assert field.get_attribute("aria-invalid") == "false"


@pytest.mark.parametrize(("stage", "words"), [(1, "Base: denoising"), (2, "Refinement: denoising")])
def test_cancel_works_in_either_stage(open_stand_in, stage, words):
    page = open_stand_in()
    wait_result(page)
    kept = shown(page)
    hold(page, stage)
    wait_status(page, words)
    emerging = "base" if stage == 1 else "refine"
    page.wait_for_selector(f"[data-at=right] img[src*='/{emerging}-']")
    assert "Emerging" in page.inner_text("[data-at=right] .v-tag")
    page.click("#cancel:not([disabled])")
    wait_status(page, "Cancelled")
    page.wait_for_selector(f"[data-at=right] img[src='{kept}']")


def test_presets_set_the_knobs_and_are_recognised(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    assert page.is_checked("input[name=ldsr-preset][value=balanced]")
    before = page.input_value("#steps-number")
    choose(page, "preset", "fast")
    assert page.input_value("#steps-number") != before
    assert page.is_checked("input[name=ldsr-preset][value=fast]")
    page.click("#sampling summary")
    page.select_option("#sampler select", "dpm")
    assert page.locator("input[name=ldsr-preset]:checked").count() == 0
    choose(page, "preset", "balanced")
    assert page.input_value("#steps-number") == before
    assert page.input_value("#sampler select") == "ddim"


def test_tags_are_found_edited_refused_and_reset(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    open_tags(page)
    field = page.locator(".tag-text")
    page.wait_for_function("() => document.querySelector('.tag-text').value.startsWith('forest')")
    field.fill("snow:3, sand:1")
    field.press("Tab")
    wait_note(page, "Edited by you")
    assert field.input_value() == "snow:0.75, sand:0.25"
    assert page.is_checked("input[name=ldsr-tags][value=edited]")
    page.locator("[data-tag=sand] input").focus()
    page.keyboard.press("Home")
    assert field.input_value() == "snow:0.75"
    run(page)
    chips = page.inner_text(".chips")
    assert "snow 100%" in chips and "edited by you" in chips
    field.fill("forrest")
    field.press("Enter")
    wait_note(page, "Did you mean 'forest'?")
    page.keyboard.press("Control+Enter")
    wait_status(page, "forrest")
    assert field.input_value() == "forrest"
    page.click("[data-reset]")
    page.wait_for_selector("input[name=ldsr-tags][value=spectral]:checked")
    page.wait_for_function("() => document.querySelector('.tag-text').value.startsWith('forest')")
    choose(page, "tags", "clip")
    wait_note(page, "not installed")


def test_a_new_patch_brings_its_own_tags(open_stand_in):
    page = open_stand_in("?semantics=snow")
    wait_result(page)
    open_tags(page)
    page.wait_for_function("() => document.querySelector('.tag-text').value.startsWith('snow')")
    page.locator("#samples input[type=radio]").nth(1).check(force=True)
    page.wait_for_function("() => document.querySelector('.tag-text').value.startsWith('forest')")
    assert page.is_checked("input[name=ldsr-tags][value=spectral]")


def test_how_much_the_tags_matter(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    kept = shown(page)
    page.locator("[data-measure]").focus()
    page.keyboard.press("Enter")
    wait_status(page, "Measured")
    said = page.inner_text(".v-sense-text")
    assert "forest 60%, water 40%" in said and "0.0025 reflectance" in said and "25% of" in said
    assert shown(page) == kept
    choose(page, "overlay", "tags")
    page.wait_for_selector(".v-overlay.is-there[src$='overlay-tags.png']")
    assert "other land cover" in page.inner_text(".legend-text")


def test_downloads_of_both_stages(open_stand_in, tmp_path):
    page = open_stand_in()
    wait_result(page)
    for name, bands in (("sr", 4), ("base", 4), ("detail", 1)):
        with page.expect_download() as download:
            page.click(f"[data-link={name}]")
        saved = tmp_path / f"{name}.tif"
        download.value.save_as(saved)
        assert download.value.suggested_filename.endswith(f"_{name}.tif")
        with rasterio.open(saved) as file:
            assert file.count == bands
    page.locator(".v-frame").focus()
    for key, name in (("2", "base"), ("3", "refined")):
        page.keyboard.press(key)
        assert f"_{name}_true_colour.png" in page.get_attribute("[data-link=png]", "href")
    with page.expect_download() as download:
        page.click("[data-link=json]")
    sheet = json.loads(Path(download.value.path()).read_text())
    assert set(sheet["stages"]) == {"base", "refine"} and sheet["tags"]["source"] == "spectral"


def test_link_carries_both_stages(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    type_number(page, "refine-strength", 0.35)
    type_number(page, "detail-cap", 0.6)
    page.select_option("#base select", "regression")
    run(page)
    page.click("[data-copy]")
    link = page.wait_for_selector("[data-copied]").get_attribute("data-copied")
    shared = open_stand_in("?" + link.partition("/?")[2])
    wait_result(shared)
    assert shared.input_value("#refine-strength-number") == "0.35"
    assert shared.input_value("#detail-cap-number") == "0.6"
    assert shared.input_value("#base select") == "regression"
    assert source(shared, "refined")


def test_common_controls_are_above_the_fold_and_reached_by_tab(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    for knob in COMMON:
        box = page.locator(f"#{knob}").bounding_box()
        assert box["y"] + box["height"] <= 900, knob
    page.locator("#preset input:checked").focus()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("(document.activeElement.closest('[id]') || {}).id"))
    for knob in COMMON[1:]:
        assert any(name in (knob, f"{knob}-number", f"{knob}-choice") for name in reached), knob
    assert "sampling" in reached and "refinement" in reached and "tag-editor" in reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_shows_all_of_it_without_overflow(open_stand_in, scheme):
    page = open_stand_in(width=390, height=844, scheme=scheme)
    wait_result(page)
    for summary in ("#sampling", "#refinement", "#tag-editor"):
        page.click(f"{summary} summary")
    choose(page, "overlay", "detail")
    for mode in ("divider", "three"):
        choose(page, "view", mode)
        assert beyond(page) == []
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#run").bounding_box()
    for summary in ("#sampling", "#refinement", "#tag-editor"):
        page.click(f"{summary} summary")
    assert box["y"] + box["height"] <= 844, "Run is above the fold"
