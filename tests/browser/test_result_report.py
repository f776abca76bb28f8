"""The report of a result as a person gets it: a click, then screen, phone and paper."""

import re

import pytest

from tests.browser.conftest import PATIENCE
from tests.browser.steps import wait_result
from tests.browser.test_access import axe

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def report(browser, stand_in, tmp_path_factory):
    """The file that one click on the page gives, with samples."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(stand_in)
    wait_result(page)
    page.click("[data-sample]:not([disabled])")
    page.wait_for_selector(".v-list li")
    page.wait_for_selector("#run:not([disabled])")
    link = page.locator("[data-link=report]")
    assert link.inner_text() == "Report" and "prints to PDF" in link.get_attribute("title")
    with page.expect_download() as begun:
        link.click()
    path = tmp_path_factory.mktemp("report") / begun.value.suggested_filename
    begun.value.save_as(path)
    context.close()
    return path


@pytest.fixture
def open_file(browser, report):
    """Open the file from disk; it must end without an error and ask for nothing but itself."""
    contexts, wrong = [], []

    def open_one(viewport, scheme: str = "light", **more):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, **more)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        own = (report.as_uri(), "data:")
        page.on("request", lambda sent: sent.url.startswith(own) or wrong.append(sent.url))
        page.goto(report.as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def test_one_click_gives_one_file_named_after_place_and_date(report):
    assert re.fullmatch(r"Fields_and_farms.*_2017-06-13_report\.html", report.name)
    assert 50_000 < report.stat().st_size < 4_000_000


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["screen", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_reads_well_without_a_script(open_file, viewport, scheme):
    page = open_file(viewport, scheme, java_script_enabled=False)
    assert page.inner_text("h1") == "Fields and farms, Upper Austria"
    session = page.context.new_cdp_session(page)
    width = session.send("Page.getLayoutMetrics")["cssContentSize"]["width"]
    assert width <= viewport["width"], "nothing to scroll sideways"
    light = page.screenshot(clip={"x": 0, "y": 0, "width": 4, "height": 4})
    other = open_file(viewport, "dark" if scheme == "light" else "light")
    assert other.screenshot(clip={"x": 0, "y": 0, "width": 4, "height": 4}) != light


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["screen", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_file, viewport, scheme):
    page = open_file(viewport, scheme, bypass_csp=True)
    assert axe(page) == []


def test_every_picture_is_there_with_its_scale(open_file):
    page = open_file(WIDE)
    drawn = page.evaluate("[...document.images].map(one => one.complete && one.naturalWidth)")
    assert len(drawn) == 11 and min(drawn) >= 256
    sides = page.evaluate(
        "[...document.querySelectorAll('.first .frame')].map(one => one.clientWidth)"
    )
    assert len(sides) == 4 and len(set(sides)) == 1, "equal size"
    share = page.evaluate(
        "(bar => bar.offsetWidth / bar.parentElement.clientWidth)(document.querySelector('.bar'))"
    )
    assert page.inner_text(".bar >> nth=0") == "200 m" and abs(share - 200 / 1200) < 0.01
    pin, frame = (page.locator(one).first.bounding_box() for one in (".pin", ".frame:has(.pin)"))
    assert frame["x"] < pin["x"] < frame["x"] + frame["width"]


def test_it_prints_to_a4_light_even_where_the_screen_is_dark(open_file, tmp_path):
    page = open_file(WIDE, "dark")
    content = page.pdf(prefer_css_page_size=True)
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert content.startswith(b"%PDF") and 4 <= pages <= 9
    boxes = {
        tuple(map(float, box))
        for box in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", content)
    }
    assert boxes and all(abs(w - 595) < 2 and abs(h - 842) < 2 for w, h in boxes), "A4"
    page.emulate_media(media="print")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert colour == "rgb(255, 255, 255)"
    page.set_viewport_size({"width": 680, "height": 960})  # as wide as A4 between its margins
    over = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert over <= 0
