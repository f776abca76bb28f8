"""Can everybody use the page? axe-core on every tab and state, help on every control, keys, phone.

One visitor goes through all states once (`journey`); what is found on the way is asserted below,
kind by kind.
"""

from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.browser import steps
from tests.browser.conftest import HERE, PATIENCE, _pages, _serve
from tests.browser.test_scene_jobs import large  # noqa: F401

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PALE = ["color-contrast"]
"""The rule that light and dark decide."""
SMALL = [*PALE, "target-size", "scrollable-region-focusable", "label", "button-name"]
"""Those that the width decides as well."""
RUN = """rules => axe.run(document, rules ? {runOnly: rules} :
  {rules: {'target-size': {enabled: true}}}).then(found => found.violations.flatMap(one =>
  one.nodes.map(node => `${one.impact} ${one.id}: ${node.html.slice(0, 120)} | ` +
  (node.any[0] || node.all[0] || node.none[0] || {}).message)))"""
RESTING = """() => document.getAnimations().every(one => one.playState !== 'running' ||
  one.effect.getComputedTiming().endTime === Infinity)"""
"""Nothing is on its way in or out: half faded, a text has not the contrast it comes to have."""
CONTROLS = (
    *("button", "link", "textbox", "searchbox", "spinbutton", "slider", "checkbox", "radio"),
    *("switch", "combobox", "listbox", "tab", "DisclosureTriangle", "Date"),
)
RING = """() => { const at = document.activeElement
  const near = [at, at.nextElementSibling, at.closest('label'), at.parentElement]
  return near.some(one => one && getComputedStyle(one).outlineStyle !== 'none' &&
    parseFloat(getComputedStyle(one).outlineWidth) >= 2) }"""
STOP = """() => { const at = document.activeElement, box = (at.closest('label') || at)
    .getBoundingClientRect()
  const column = ['.brand', '#tabs > .tab-wrapper', '#controls', '.v-main', '.v-facts'].findIndex(
    one => at.closest(one))
  return [column, box.top + scrollY, box.left, at.outerHTML.slice(0, 90)] }"""


def axe(page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds wrong, of any impact; the rules are all of them unless given."""
    if not page.evaluate("'axe' in window"):
        page.evaluate((resources.files("axe_playwright_python") / "axe.min.js").read_text())
        # what lies under the bar that stays at the bottom comes out when one scrolls
        page.add_style_tag(content="#actions { position: relative !important; bottom: 0 }")
    page.wait_for_function(RESTING)
    return page.evaluate(RUN, rules)


def unhelped(page) -> list[str]:
    """Controls without a name, or without a line of help of their own or of a group around them."""
    session = page.context.new_cdp_session(page)
    nodes = {node["nodeId"]: node for node in session.send("Accessibility.getFullAXTree")["nodes"]}
    session.detach()
    missing = []
    for node in nodes.values():
        role, traits = node.get("role", {}).get("value"), node.get("properties", [])
        if node.get("ignored") or role not in CONTROLS:
            continue
        if not any(one["name"] == "focusable" and one["value"]["value"] for one in traits):
            continue
        name = node.get("name", {}).get("value", "")
        if not name or not _line(nodes, node):
            missing.append(f"{role} {name!r}")
    return missing


def _line(nodes: dict[str, Any], node: dict[str, Any]) -> str:
    while node is not None and node.get("role", {}).get("value") not in ("region", "main"):
        if not node.get("ignored") and node.get("description", {}).get("value"):
            return node["description"]["value"]
        node = nodes.get(node.get("parentId"))
    return ""


def show_tab(name: str) -> Callable:
    return lambda page: page.get_by_role("tab", name=name, exact=True).click()


def unfold(page) -> None:
    page.eval_on_selector_all("details", "all => all.forEach(one => (one.open = true))")


def fold(page) -> None:
    page.eval_on_selector_all("details", "all => all.forEach(one => (one.open = false))")


def refuse(page) -> None:
    bad = {"name": "notes.tif", "mimeType": "image/tiff", "buffer": b"not a picture"}
    steps.tab(page, "Upload")
    page.set_input_files("#upload input[type=file]", bad)
    page.wait_for_selector("#status .status[data-state=error]")


def doubt(page) -> None:
    page.click("[data-sample]:not([disabled])")
    page.wait_for_selector(".is-sampled")
    page.wait_for_selector("#run:not([disabled])")
    steps.choose(page, "overlay", "uncertainty")


def compare(page) -> None:
    steps.choose(page, "view", "divider")
    show_tab("Compare")(page)
    page.wait_for_selector(".cmp-plot .main-svg, .cmp-plot svg", state="attached")


def score(page) -> None:
    steps.choose(page, "ev-truth", "wald")
    page.click("#ev-run:not([disabled])")
    page.wait_for_selector("#ev-status .status[data-state=done]")
    page.locator(".ev-line-of").first.click()


def weights(page) -> None:
    if page.locator(".ev-fetch").count():
        page.locator(".ev-fetch").first.click()


def study(page) -> None:
    page.keyboard.press("Escape")
    show_tab("Study")(page)
    page.wait_for_selector(".study:not([data-phase=loading])")
    unfold(page)


def pair(page) -> None:
    page.locator(".st-methods input").first.check()
    page.fill(".st-exposure", "30")
    page.click(".st-prepare")
    page.wait_for_selector(".study[data-phase=ready]")
    page.click(".st-begin")
    page.wait_for_selector(".study[data-phase=look]")


def about(page) -> None:
    show_tab("About")(page)
    unfold(page)
    # a table's fourth row is no other than its third, and axe takes its time for each
    later = "#about tbody tr:nth-child(n + 4)"
    page.eval_on_selector_all(later, "rows => rows.forEach(row => row.remove())")


def chart(page) -> None:
    fold(page)
    steps.tab(page, "Map")


STATES: dict[str, Callable] = {
    "result": steps.wait_result,
    "everything unfolded": unfold,
    "map": chart,
    "error": refuse,
    "how sure": doubt,
    "side by side": lambda page: steps.choose(page, "view", "three"),
    "compare": compare,
    "evaluate": show_tab("Evaluate"),
    "scores": score,
    "weights": weights,
    "study": study,
    "a pair": pair,
    "about": about,
}


@pytest.fixture(scope="module")
def access(tmp_path_factory) -> Iterator[str]:
    """A page around the stand-in, of this file alone."""
    folder = tmp_path_factory.mktemp("access")
    yield from _serve([str(HERE / "stand_in.py")], folder)


@pytest.fixture
def open_access(browser, access) -> Iterator:
    yield from _pages(browser, access)


def look(page, state: str, found: dict[str, list[str]]) -> None:
    """Look at one state wide and narrow, light and dark."""
    page.wait_for_timeout(200)
    say = {
        "axe": lambda rules=None: axe(page, rules),
        "help": lambda: unhelped(page),
        "phone": lambda: steps.beyond(page),
    }

    def note(kind: str, *given: Any) -> None:
        found[kind] += [f"{state}: {one}" for one in say[kind](*given)]

    note("axe")
    note("help")
    page.emulate_media(color_scheme="dark")
    note("axe", PALE)
    page.set_viewport_size(PHONE)
    note("axe", SMALL)
    note("phone")
    page.emulate_media(color_scheme="light")
    note("axe", PALE)
    page.set_viewport_size({**PHONE, "width": 360})
    page.wait_for_timeout(500)  # charts follow the window
    found["phone"] += [f"{state}, 360: {one}" for one in steps.beyond(page, width=360)]
    page.set_viewport_size(WIDE)


@pytest.fixture(scope="module")
def journey(browser, access, large: Path) -> dict[str, list[str]]:  # noqa: F811
    """What is wrong in any state, by kind: axe, help, phone."""
    found: dict[str, list[str]] = {"axe": [], "help": [], "phone": []}
    for open_one in _pages(browser, access):
        page = open_one()
        page.emulate_media(reduced_motion="reduce")
        for state, reach in STATES.items():
            reach(page)
            look(page, state, found)
        busy = open_one("?seed=1001")
        busy.emulate_media(reduced_motion="reduce")
        busy.wait_for_selector(".viewer[data-mode=busy]")
        look(busy, "busy", found)
        busy.click("#cancel:not([disabled])")
        steps.upload(busy, large)
        busy.wait_for_selector(".sc-offer:not([hidden])")
        look(busy, "scene offered", found)
        busy.click(".sc [data-run]")
        busy.wait_for_selector(".sc-job[data-state=computing]")
        look(busy, "scene job", found)
        busy.click("[data-act=cancel]")
    return found


def test_axe_finds_nothing_in_any_state(journey):
    assert journey["axe"] == []


def test_every_control_has_a_name_and_a_line_of_help(journey):
    assert journey["help"] == []


def test_nothing_is_wider_than_a_phone(journey):
    assert journey["phone"] == []


def test_axe_finds_nothing_on_the_real_page(open_page):
    page = open_page()
    steps.wait_result(page)
    assert axe(page) == []
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("main").count() == 1
    assert page.locator("h1:visible").all_inner_texts() == ["LDSR Studio"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_presentation_mode(open_access, access, scheme):
    page = open_access(scheme=scheme)
    steps.wait_result(page)  # nothing of it is still on its way
    page.goto(access + page.get_attribute(".present", "href"))
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert axe(page) == []


def test_keys_go_through_everything_in_order_and_are_never_caught(open_access):
    page = open_access(height=1700)
    steps.wait_result(page)
    stops, rings = [], []
    for _ in range(120):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        stops.append(page.evaluate(STOP))
        if not page.evaluate(RING):
            rings.append(stops[-1][-1])
    else:
        pytest.fail(f"the keys are caught by {stops[-1][-1]}")
    assert rings == [], "each stop is to be seen"
    assert len(stops) > 25 and {stop[0] for stop in stops} == {0, 1, 2, 3, 4}
    assert [stop[0] for stop in stops] == sorted(stop[0] for stop in stops), "column by column"
    for (column, top, left, _), (then, below, right, what) in zip(stops, stops[1:], strict=False):
        onwards = below > top - 40 and (abs(below - top) > 12 or right > left)
        assert column != then or onwards, f"{what} comes too late"


def test_help_comes_by_mouse_and_by_keys_and_goes(open_access):
    page = open_access()
    steps.wait_result(page)
    bubble = page.locator("#ldsr-help")
    page.hover("#steps label")
    bubble.wait_for()
    assert bubble.inner_text() == "Denoiser steps of stage 1, 1 to 1000."
    page.mouse.move(700, 880)
    bubble.wait_for(state="hidden")
    assert page.get_attribute("#steps", "title") == "Denoiser steps of stage 1, 1 to 1000."
    page.focus("#dice")
    page.keyboard.press("Tab")
    bubble.wait_for()
    assert "Ctrl + Enter" in bubble.inner_text()
    page.keyboard.press("Escape")
    bubble.wait_for(state="hidden")


def test_on_a_phone_a_tap_says_what_a_control_does(browser, access):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(access)
    steps.wait_result(page)
    page.tap("[data-explain]")
    assert page.get_attribute("[data-explain]", "aria-pressed") == "true"
    for control, words in {
        "#run": "Runs both stages",
        "[data-zoom='1']": "Zoom in",
        "label:has(> [name=ldsr-right][value=base])": "The base on the right",
    }.items():
        page.tap(control)
        page.locator("#ldsr-help", has_text=words).wait_for()
    assert steps.at(page, "refined") == "right", "nothing was chosen"
    assert page.get_attribute(".viewer", "data-mode") == "result", "and nothing ran"
    page.tap("[data-explain]")
    page.tap("label:has(> [name=ldsr-right][value=base])")
    assert steps.at(page, "base") == "right"
    context.close()


def test_nothing_moves_for_who_wants_it_still(open_access):
    page = open_access("?seed=1001")
    page.emulate_media(reduced_motion="reduce")
    page.wait_for_selector(".viewer[data-mode=busy]")
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate("window.ldsrGlide()") == "instant"
    page.click("#cancel:not([disabled])")


def test_an_entry_of_the_bibliography_is_copied(open_access):
    page = open_access()
    show_tab("About")(page)
    page.click("#about-how-to-cite > summary")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[aria-label='Copy the entry donike2025trustworthy']")
    page.wait_for_selector(".about-copy:has-text('Copied')")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("@article{donike2025trustworthy,") and "10.1109/JSTARS" in copied
