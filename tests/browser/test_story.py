"""Presentation mode in Chromium: keys, touch, without a network, below a path, as a file."""

import contextlib
import json

import pytest

from ldsr.web.story import ADDRESS, FOLDER, story_page
from tests.browser.conftest import HERE, PATIENCE, _serve
from tests.browser.steps import wait_result
from tests.browser.test_access import axe
from tests.reverse_proxy import proxied

STORY = json.loads((FOLDER / "story.json").read_text(encoding="utf-8"))
NAMES = [
    "Beginning",
    "What the satellite saw",
    "Base",
    "Refined",
    "Where not to believe it",
    "Scores",
    "What it is good for",
]
STEPS = [1, 2, 2, 1, 3, 3, 1]


@pytest.fixture
def open_file(browser, tmp_path):
    """Open the story from disk, without a network; it must end without an error or a request."""
    contexts, wrong = [], []
    path = tmp_path / "story.html"
    path.write_bytes(story_page())

    def open_one(place: str = "", *, width: int = 1440, height: int = 900, **more):
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, offline=True, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda sent: sent.url.startswith("http") and wrong.append(sent.url))
        page.goto(path.as_uri() + place)
        page.wait_for_selector(".slide:not([hidden])")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def below(tmp_path_factory):
    """The stand-in, told that it lives below /studio and asks for a login."""
    command = [str(HERE / "stand_in.py"), "--root-path", "/studio", "--auth", "me:word"]
    yield from _serve(command, tmp_path_factory.mktemp("below"))


def name(page) -> str:
    return page.get_attribute(".slide:not([hidden])", "data-name")


def heard(page) -> str:
    return page.inner_text("[data-live]")


def broken(page) -> list[str]:
    """Pictures on the slide that did not load."""
    return page.eval_on_selector_all(
        ".slide:not([hidden]) img",
        "images => Promise.all(images.map(x => x.decode().then(() => '', () => x.alt)))"
        ".then(bad => bad.filter(Boolean))",
    )


def walk(page, key: str, presses: int) -> list[str]:
    """Names of the slides on the way, each once."""
    seen = [name(page)]
    for _ in range(presses):
        page.keyboard.press(key)
        assert broken(page) == []
        if name(page) != seen[-1]:
            seen.append(name(page))
    return seen


@pytest.mark.parametrize("forth, back", [("ArrowRight", "ArrowLeft"), ("PageDown", "PageUp")])
def test_keys_lead_through_all_slides_and_back(open_file, forth: str, back: str) -> None:
    page = open_file()
    presses = sum(STEPS) - 1
    assert walk(page, forth, presses) == NAMES
    page.keyboard.press(forth)
    assert name(page) == NAMES[-1], "the last slide is the last"
    assert walk(page, back, presses) == NAMES[::-1]
    page.keyboard.press("End")
    assert name(page) == NAMES[-1]
    page.keyboard.press("Home")
    assert name(page) == NAMES[0]


def test_digits_choose_a_place_and_stay_on_the_slide(open_file) -> None:
    page = open_file()
    for digit, sample in enumerate(STORY["samples"], 1):
        page.keyboard.press(str(digit))
        assert name(page) == NAMES[1] and sample["name"] in page.inner_text("h1 >> visible=true")
        assert sample["key"] in page.url
    for _ in range(20):
        page.keyboard.press("PageDown")
        if name(page) == "Scores":
            break
    page.keyboard.press("PageDown")
    page.keyboard.press("1")
    first = STORY["samples"][0]
    assert name(page) == "Scores"
    row = page.inner_text("tbody tr:first-child")
    assert f"{first['scores'][0]['values']['refined']:.2f}" in row
    page.keyboard.press("9")
    assert first["name"] in page.inner_text(".brand")


def test_the_border_is_moved_by_arrows_and_by_hand(open_file) -> None:
    page = open_file(f"#{STORY['samples'][0]['key']}/3/1", reduced_motion="reduce")
    now = lambda: int(page.get_attribute(".divider", "aria-valuenow"))  # noqa: E731
    assert now() == 100
    page.keyboard.press("ArrowDown")
    assert 90 < now() < 100
    page.keyboard.press("Space")
    assert now() == 0 and name(page) == "Base"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert now() == 8
    page.focus(".divider")
    page.keyboard.press("ArrowRight")
    assert now() == 12 and name(page) == "Base"
    box = page.locator(".is-wiped").bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 100)
    page.mouse.up()
    assert abs(now() - 70) < 2 and name(page) == "Base"


def test_what_is_shown_is_said_and_remembered(open_file) -> None:
    page = open_file(color_scheme="dark")
    assert "dark" in page.get_attribute("body", "class")
    page.keyboard.press("d")
    assert "dark" not in (page.get_attribute("body", "class") or "")
    page.keyboard.press("ArrowRight")
    assert "Slide 2 of 7: What the satellite saw" in heard(page)
    page.keyboard.press("?")
    assert page.is_visible("dialog.help") and page.is_hidden("[data-save]")
    page.keyboard.press("Escape")
    assert page.is_hidden("dialog.help") and name(page) == NAMES[1]
    page.keyboard.press("b")
    assert page.is_visible("[data-dark]")
    page.keyboard.press("ArrowRight")
    assert page.is_hidden("[data-dark]") and name(page) == NAMES[1]
    page.reload()
    assert name(page) == NAMES[1], "a reload (F5 on some clickers) stays where it was"
    page.keyboard.press("Escape")
    assert name(page) == NAMES[0], "a file has no page to go back to"
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement !== null")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(open_file, scheme: str) -> None:
    page = open_file(width=390, height=844, has_touch=True, color_scheme=scheme)
    page.tap(".place >> nth=1")
    assert name(page) == NAMES[1]
    for _ in range(sum(STEPS) - 2):
        wide = page.evaluate(
            "[document.documentElement, document.querySelector('#story')]"
            ".map(x => x.scrollWidth - x.clientWidth)"
        )
        assert wide == [0, 0], name(page)
        page.touchscreen.tap(300, 700)
    assert name(page) == NAMES[-1]
    page.tap("[data-do=back]")
    assert name(page) == NAMES[-2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_slide(open_file, scheme: str) -> None:
    page = open_file(color_scheme=scheme, reduced_motion="reduce", bypass_csp=True)
    for _ in range(sum(STEPS)):
        assert axe(page) == [], name(page)
        page.keyboard.press("ArrowRight")
    page.keyboard.press("?")
    assert axe(page) == []


def test_present_button_and_saved_file(open_stand_in, tmp_path, browser) -> None:
    # what the page below asks its server while there is no network goes unanswered
    page = open_stand_in("", width=390, height=844, expected="ERR_INTERNET_DISCONNECTED")
    with page.context.expect_page() as opened:
        page.click(".present")
    story = opened.value
    story.wait_for_selector(".slide:not([hidden])")
    assert story.url.split("#")[0].endswith(ADDRESS)
    wrong = []
    story.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    story.on("request", lambda sent: wrong.append(sent.url))
    story.set_viewport_size({"width": 1440, "height": 900})
    story.context.set_offline(True)
    assert walk(story, "PageDown", sum(STEPS) - 1) == NAMES
    assert wrong == []
    story.context.set_offline(False)
    story.keyboard.press("?")
    with story.expect_download() as saved:
        story.click("[data-save]")
    path = tmp_path / saved.value.suggested_filename
    saved.value.save_as(path)
    assert path.name == "ldsr-studio-story.html"
    context = browser.new_context(offline=True)
    again = context.new_page()
    again.set_default_timeout(PATIENCE)
    again.goto(path.as_uri())
    assert walk(again, "PageDown", sum(STEPS) - 1) == NAMES
    context.close()
    from playwright.sync_api import Error

    story.keyboard.press("Escape")
    with story.expect_event("close"), contextlib.suppress(Error):  # gone before the key is up
        story.keyboard.press("Escape")
    assert page.is_visible("#viewer .viewer"), "the page it was opened from is as it was"


def test_below_a_path_and_behind_a_login(browser, below: str) -> None:
    with proxied(below) as proxy:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        assert context.request.get(proxy.url + ADDRESS).status == 401
        page.goto(proxy.url)
        page.locator("input").first.fill("me")
        page.locator("input[type=password]").fill("word")
        page.click("button:has-text('Login')")
        page.wait_for_selector("#viewer .viewer")
        wait_result(page)  # a page that is still logging in goes elsewhere by itself
        assert page.locator(".present").evaluate("x => x.href") == proxy.url + ADDRESS
        page.goto(proxy.url + ADDRESS)
        page.wait_for_selector(".slide:not([hidden])")
        assert walk(page, "ArrowRight", sum(STEPS) - 1) == NAMES
        page.keyboard.press("Escape")
        page.wait_for_selector("#viewer .viewer")
        assert proxy.strays == []
        context.close()
