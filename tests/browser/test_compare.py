"""The Compare tab in a real browser: linked panes, values, profile, maps, samples, phones."""

from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import expect

from ldsr.data.bands import BANDS
from ldsr.data.samples import list_samples, load_sample
from ldsr.settings import PRESETS
from tests.browser import steps
from tests.browser.conftest import HERE, _pages, _serve
from tests.fakes import FakePipeline

STAGE = ".cmp-stage"
WHERE = ".cmp-where"


@pytest.fixture(scope="module")
def compare_page(tmp_path_factory) -> Iterator[str]:
    yield from _serve([str(HERE / "stand_in.py")], tmp_path_factory.mktemp("compare"))


@pytest.fixture
def open_compare(browser, compare_page) -> Iterator:
    """Open pages; they must end without an error or a foreign request."""
    yield from _pages(browser, compare_page)


@pytest.fixture(scope="module")
def result():
    """What the stand-in makes of the first sample."""
    patch = load_sample(list_samples()[0].key)
    return FakePipeline()(patch, PRESETS["balanced"], lambda step: None)


def go(page, name: str) -> None:
    page.locator("#tabs").get_by_role("tab", name=name, exact=True).click()


def show_tab(page, *, sampled: bool = False) -> None:
    steps.wait_result(page)
    if sampled:
        page.get_by_role("button", name="How sure is this?").click()
        page.wait_for_selector(".status[data-state=done]:has-text('of 8 samples')")
        steps.wait_result(page)
    go(page, "Compare")
    page.wait_for_selector(".cmp[data-mode=done] .cmp-world img.is-there")
    if sampled:
        expect(page.locator(".cmp-table thead")).to_contain_text("Mean ±")


def layers(page) -> list[str]:
    return page.eval_on_selector_all(".cmp-pane", "panes => panes.map((one) => one.dataset.layer)")


def transforms(page) -> list[list[float]]:
    """Scale and shift in CSS pixels of every pane, each pane as wide as the first."""
    texts = page.eval_on_selector_all(
        ".cmp-world", "worlds => worlds.map((one) => getComputedStyle(one).transform)"
    )
    found = []
    for text in texts:
        numbers = [float(number) for number in text.partition("(")[2].strip(")").split(",")]
        found.append([numbers[0], numbers[4], numbers[5]])
    return found


def linked(page) -> tuple[float, float, float]:
    """The one transform of all panes."""
    first, *others = transforms(page)
    for other in others:
        np.testing.assert_allclose(other, first, atol=0.02)
    return tuple(first)


def point(page, across: float, down: float, pane: int = 0) -> tuple[float, float]:
    box = page.locator(STAGE).nth(pane).bounding_box()
    return box["x"] + across * box["width"], box["y"] + down * box["height"]


def drag(page, start: tuple[float, float], end: tuple[float, float], pane: int = 0) -> None:
    page.mouse.move(*point(page, *start, pane))
    page.mouse.down()
    page.mouse.move(*point(page, *end, pane), steps=4)
    page.mouse.up()


def shown_values(page) -> dict[str, list[str]]:
    """Columns of the table by name."""
    return page.eval_on_selector_all(
        ".cmp-table td",
        """cells => cells.reduce((all, cell) => {
            (all[cell.dataset.of] ||= []).push(cell.textContent);
            return all;
        }, {})""",
    )


def at(page, row: int, col: int) -> None:
    expect(page.locator(WHERE)).to_contain_text(f"Row {row}, column {col} ")


def four(values: np.ndarray) -> list[str]:
    return [f"{value:.4f}" for value in values]


def figure(page, name: str):
    """Data and layout of a plotly figure once it is drawn."""
    page.wait_for_function(
        "name => (document.querySelector(`[data-plot=${name}]`).data || []).length", arg=name
    )
    return page.evaluate(
        """name => {
            const { data, layout } = document.querySelector(`[data-plot=${name}]`);
            return JSON.parse(JSON.stringify({ data, ink: layout.font.color }));
        }""",
        name,
    )


def test_there_is_nothing_to_compare_before_a_run(open_compare):
    page = open_compare()
    steps.wait_result(page)
    page.locator("#samples input[type=radio]").nth(1).check(force=True)
    page.wait_for_selector(".viewer[data-mode=input]")
    go(page, "Compare")
    expect(page.locator(".cmp-empty")).to_contain_text("Run something first")
    assert page.locator(".cmp-all").is_hidden()
    go(page, "Super-resolve")
    steps.run(page)
    go(page, "Compare")
    page.wait_for_selector(".cmp[data-mode=done] img.is-there")
    assert page.inner_text(".cmp-name") == list_samples()[1].name
    assert layers(page) == ["input", "base", "refined", "change"]
    expect(page.locator(".cmp-note")).to_contain_text("press 'How sure is this?'")
    reasons = page.eval_on_selector_all(
        ".cmp-pane:first-child option:disabled", "all => all.map((one) => one.title)"
    )
    assert reasons and sum("No samples were drawn" in reason for reason in reasons) == 10


def test_all_panes_move_as_one(open_compare):
    page = open_compare()
    show_tab(page)
    assert linked(page) == (1, 0, 0)
    width = page.locator(STAGE).first.bounding_box()["width"]
    page.mouse.move(*point(page, 0.25, 0.75, pane=2))
    page.mouse.wheel(0, -200)
    page.wait_for_selector(".cmp.is-zoomed")
    scale, left, top = linked(page)
    assert scale == pytest.approx(np.exp(0.5), rel=1e-3)
    # what lay under the pointer still does
    assert left == pytest.approx(0.25 * width * (1 - scale), abs=1.5)
    assert top == pytest.approx(0.75 * width * (1 - scale), abs=1.5)
    drag(page, (0.5, 0.5), (0.45, 0.6), pane=1)
    _, moved_left, moved_top = linked(page)
    assert moved_left == pytest.approx(left - 0.05 * width, abs=1.5)
    assert moved_top == pytest.approx(top + 0.1 * width, abs=1.5)
    page.keyboard.press("ArrowRight")
    assert linked(page)[1] == pytest.approx(moved_left - 0.1 * width, abs=1.5)
    page.keyboard.press("+")
    assert linked(page)[0] == pytest.approx(1.5 * scale, rel=1e-3)
    assert page.inner_text(".cmp-factor") == "2.5×"
    page.keyboard.press("-")
    assert linked(page)[0] == pytest.approx(scale, rel=1e-3)
    page.keyboard.press("0")
    assert linked(page) == (1, 0, 0)
    page.mouse.wheel(0, -3000)
    page.click("[data-by='1']")
    page.mouse.dblclick(*point(page, 0.5, 0.5))
    assert linked(page) == (1, 0, 0)
    assert page.locator(".cmp.is-near").count() == 0
    for _ in range(8):
        page.click("[data-by='1']")
    assert page.locator(".cmp.is-near").count() == 1


def test_values_under_the_cursor_are_those_of_the_result(open_compare, result):
    page = open_compare()
    show_tab(page)
    height, width = result.sr.size
    row, col = 3 * height // 4, width // 4
    page.mouse.move(*point(page, (col + 0.5) / width, (row + 0.5) / height, pane=1))
    at(page, row, col)
    found = shown_values(page)
    assert found["input"] == four(result.lr.reflectance[:, row // 4, col // 4])
    assert found["base"] == four(result.base.reflectance[:, row, col])
    assert found["refined"] == four(result.sr.reflectance[:, row, col])
    x, y = result.sr.transform @ (col + 0.5, row + 0.5)
    assert f"E {x:.2f}, N {y:.2f}" in page.inner_text(WHERE)
    crosses = page.eval_on_selector_all(
        ".cmp-cross.is-col",
        "all => all.map((one) => one.offsetLeft / one.parentElement.clientWidth)",
    )
    np.testing.assert_allclose(crosses, (col + 0.5) / width, atol=0.004)


def test_the_cursor_is_pinned_by_a_click_and_moved_by_keys(open_compare, result):
    page = open_compare()
    show_tab(page)
    height, width = result.sr.size
    middle = (height // 2, width // 2)
    page.mouse.click(*point(page, 0.5 + 0.5 / width, 0.5 + 0.5 / height))
    at(page, *middle)
    page.mouse.move(*point(page, 0.9, 0.2))
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    at(page, middle[0] + 1, middle[1] + 1)
    found = four(result.sr.reflectance[:, middle[0] + 1, middle[1] + 1])
    assert shown_values(page)["refined"] == found
    expect(page.locator(".cmp-say")).to_contain_text(f"Red {found[0]}")
    page.keyboard.press("Escape")
    page.mouse.move(*point(page, 0.25 + 0.5 / width, 0.25 + 0.5 / height))
    at(page, height // 4, width // 4)


def test_panes_are_chosen_added_and_removed(open_compare):
    page = open_compare()
    show_tab(page)
    page.locator(".cmp-pane select").nth(1).select_option("detail")
    page.wait_for_selector("[data-layer=detail] img.is-there[src*='/detail.png']")
    expect(page.locator("[data-layer=detail] .cmp-bar")).to_contain_text("0.9")
    page.click("[data-add]")
    page.click("[data-add]")
    assert len(layers(page)) == 6 and page.is_disabled("[data-add]")
    page.check("[name=ldsr-cmp-colours][value=false]", force=True)
    page.wait_for_selector("[data-layer=input] img[src*='input-false']")
    small = page.locator("[data-layer=input] img")
    assert small.evaluate("one => getComputedStyle(one).imageRendering") == "pixelated"
    assert small.evaluate("one => one.naturalWidth") * 4 == page.locator(
        "[data-layer=refined] img"
    ).evaluate("one => one.naturalWidth")
    for left in range(5, 0, -1):
        page.locator(".cmp-pane").first.hover()
        page.locator(".cmp-close").first.click()
        assert len(layers(page)) == left
    assert page.locator(".cmp-close").first.is_hidden()


def test_samples_are_flipped_through_and_intervals_follow_the_level(open_compare, result):
    page = open_compare()
    show_tab(page, sampled=True)
    assert layers(page)[3] == "relative"
    page.mouse.click(*point(page, 0.5, 0.5))
    at(page, result.sr.size[0] // 2, result.sr.size[1] // 2)
    mean = four(result.sr.reflectance[:, result.sr.size[0] // 2, result.sr.size[1] // 2])
    assert shown_values(page)["mean"] == [f"{value} ± 0.0040" for value in mean]
    page.check("[name=ldsr-cmp-level][value='0.5']", force=True)
    assert shown_values(page)["mean"] == [f"{value} ± {0.004 * 5 / 9:.4f}" for value in mean]
    expect(page.locator(".cmp-note")).to_contain_text("aerial pictures of one city")
    page.locator(".cmp-grid").focus()
    page.keyboard.press(".")
    page.wait_for_selector("[data-layer=sample] img.is-there[src*='sample-1-true']")
    count = int(page.inner_text(".cmp-of").rpartition(" ")[2])
    assert page.inner_text(".cmp-of") == f"sample 2 of {count}"
    page.keyboard.press(",")
    page.keyboard.press(",")
    page.wait_for_selector(f"[data-layer=sample] img[src*='sample-{count - 1}-true']")
    page.locator(".cmp-slide").fill("3")
    page.wait_for_selector("[data-layer=sample] img[src*='sample-2-true']")
    assert page.get_attribute("[data-play]", "aria-pressed") == "false"
    page.click("[data-play]")
    page.wait_for_selector("[data-layer=sample] img[src*='sample-3-true']")
    page.click("[data-play]")
    assert page.get_attribute("[data-play]", "aria-pressed") == "false"


def test_places_to_check_are_outlined_and_found(open_compare):
    page = open_compare()
    show_tab(page, sampled=True)
    outlines = page.locator(".cmp-outline")
    expect(outlines).to_have_count(4)
    assert outlines.first.get_attribute("points").startswith("12,20 32,20 32,32")
    page.locator(".cmp-place").first.click()
    assert linked(page)[0] > 2
    stage = page.locator(STAGE).first.bounding_box()
    seen = outlines.first.bounding_box()
    assert stage["x"] <= seen["x"] and seen["x"] + seen["width"] <= stage["x"] + stage["width"]
    page.uncheck("[data-marks]", force=True)
    expect(outlines).to_have_count(0)


def test_a_profile_is_drawn_along_a_line(open_compare, result):
    page = open_compare()
    show_tab(page, sampled=True)
    page.click("[data-draw]")
    drag(page, (0.1, 0.5), (0.9, 0.5), pane=2)
    found = figure(page, "line")
    lines = {one["name"]: one for one in found["data"] if one.get("name")}
    assert {"Input", "Base", "Refined", "Mean", "90\u00a0% interval"} <= set(lines)
    height, width = result.sr.size
    distance = np.array(lines["Refined"]["x"])
    assert distance[-1] == pytest.approx(2.5 * 0.8 * width, rel=0.02)
    first = page.eval_on_selector(".cmp-drawn-line", "one => one.getAttribute('points')")
    (c0, r0), _ = (tuple(map(float, end.split(","))) for end in first.split(" "))
    cols = c0 + distance / 2.5 - 0.5
    band = result.sr.reflectance[0]
    rows = r0 - 0.5
    weight = rows - int(rows)
    expected = [
        (1 - weight) * np.interp(cols, np.arange(width), band[int(rows)])
        + weight * np.interp(cols, np.arange(width), band[int(rows) + 1])
    ]
    np.testing.assert_allclose(lines["Refined"]["y"], expected[0], atol=2e-3)
    low, high = (np.array(one["y"]) for one in found["data"][:2])
    np.testing.assert_allclose(high - low, 0.008, atol=1e-5)
    page.check("[name=ldsr-cmp-band][value=NIR]", force=True)
    expect(page.locator(".cmp-caption")).to_contain_text(f"{BANDS[3]} from A to B")


def test_the_map_and_its_histogram_follow_the_theme(open_compare, result):
    page = open_compare()
    show_tab(page)
    page.locator(".cmp-heat").select_option("change")
    page.wait_for_function(
        "document.querySelector('.cmp-caption').textContent.startsWith('Base to refined')"
    )
    (heat,) = figure(page, "map")["data"]
    rows = np.array(heat["z"], float)
    block = -(-max(result.sr.size) // 256)
    assert rows.shape == tuple(side // block for side in result.sr.size)
    np.testing.assert_allclose(rows, 0.01, atol=1e-4)
    bars = figure(page, "histogram")
    assert sum(bars["data"][0]["y"]) == pytest.approx(100, abs=0.5)
    page.click("[data-theme-toggle]")
    page.wait_for_function(
        "ink => document.querySelector('[data-plot=histogram]').layout.font.color !== ink",
        arg=bars["ink"],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(open_compare, scheme):
    page = open_compare(width=390, height=844, scheme=scheme)
    show_tab(page, sampled=True)
    figure(page, "histogram")
    assert steps.beyond(page) == []
    lefts = {round(page.locator(STAGE).nth(i).bounding_box()["x"]) for i in range(4)}
    assert len(lefts) == 2
    page.locator(STAGE).first.scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})

    def fingers(kind: str, *shares: tuple[float, float]) -> None:
        points = [dict(zip("xy", point(page, *share), strict=True)) for share in shares]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", (0.4, 0.5), (0.6, 0.5))
    for spread in (0.15, 0.2, 0.3):
        fingers("touchMove", (0.5 - spread, 0.5), (0.5 + spread, 0.5))
    fingers("touchEnd")
    assert linked(page)[0] > 1.5
    fingers("touchStart", (0.5, 0.5))
    fingers("touchEnd")
    page.wait_for_selector(".cmp-grid.is-pinned")
    assert steps.beyond(page) == []
