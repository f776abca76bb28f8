"""The Study tab in a real browser: prepare, answer by keys, reload, two raters, results, CSV."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import steps
from tests.browser.conftest import HERE, PATIENCE, _pages, _serve

SERVER = re.compile("component_server")
PHASE = ".study[data-phase={}]"


@pytest.fixture(scope="module")
def study_home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def study_page(study_home) -> Iterator[str]:
    yield from _serve([str(HERE / "stand_in.py")], study_home)


@pytest.fixture
def open_study(browser, study_page) -> Iterator:
    """Open pages on the Study tab; they must end without an error or a foreign request."""
    for open_one in _pages(browser, study_page):

        def open_tab(**how):
            page = open_one(**how)
            show_tab(page)
            return page

        yield open_tab


def show_tab(page) -> None:
    page.get_by_role("tab", name="Study").click()
    page.wait_for_selector(".study:not([data-phase=loading])")


def prepare(page, *, kind: str, methods: tuple[str, ...], exposure: float = 2.0) -> None:
    if not page.locator(".st-form").is_visible():
        page.click(".st-new summary")
    page.check(f"input[name=ldsr-study-kind][value={kind}]", force=True)
    for box in page.locator(".st-methods input").all():
        box.set_checked(box.get_attribute("value") in methods)
    page.fill(".st-exposure", str(exposure))
    page.click(".st-prepare")
    page.wait_for_selector(".st-progress[data-state=done]", state="attached")
    page.wait_for_selector(PHASE.format("ready"))


def answer(page, key: str) -> None:
    """Answer the pair by a key, once it has been shown and hidden."""
    page.wait_for_selector(PHASE.format("answer"))
    assert page.locator(".st-pane img[src]").count() == 0
    count = page.inner_text(".st-count")
    page.keyboard.press(key)
    page.wait_for_function(
        "count => document.querySelector('.st-count').textContent !== count || "
        "document.querySelector('.study').dataset.phase === 'done'",
        arg=count,
    )


def results(page) -> str:
    """Ask for the results and read their summary, once it has been written anew."""
    page.evaluate("document.querySelector('.st-summary').textContent = ''")
    if page.get_attribute(".st-results", "open") is None:
        page.click(".st-results summary")
    else:
        page.click(".st-refresh")
    page.wait_for_function("document.querySelector('.st-summary').textContent !== ''")
    return page.inner_text(".st-summary")


def test_camera_study_survives_a_reload_and_two_raters(open_study):
    page = open_study()
    assert "no study" in page.inner_text(".st-none")
    prepare(page, kind="camera", methods=("bicubic", "refined"))
    assert "from 40 m" in page.inner_text(".st-note")
    page.fill(".st-name", "Ada <b>")
    page.click(".st-begin")
    page.wait_for_selector(PHASE.format("look"))
    assert page.eval_on_selector("[data-pane=left] img", "image => image.naturalWidth") > 0
    page.keyboard.press("1")  # too early: does nothing
    for _ in range(3):
        answer(page, "1")
    page.wait_for_selector(PHASE.format("look"))
    assert page.inner_text(".st-count").startswith("Pair 4 of")
    page.reload()
    show_tab(page)
    assert page.inner_text(".st-begin").startswith("Continue with pair 4 of")
    other = open_study()
    page.click(".st-begin")
    page.wait_for_selector(PHASE.format("answer"))
    assert page.is_visible(".st-skip")  # it was on the screen: not shown a second time
    assert "This pair was sent before" in page.inner_text(".st-say")
    other.check("input[name=ldsr-study-task][value='2']", force=True)
    other.click(".st-begin")
    answer(other, "2")
    assert not other.is_visible("[data-pane=input]")
    answer(page, "2")
    answer(page, "ArrowLeft")
    answer(other, "2")
    summary = results(page)
    assert "from 2 raters" in summary
    counted = [int(word) for word in summary.replace(";", "").split() if word.isdigit()]
    assert counted[0] + counted[2] == 7
    assert "intervals are wide" in page.inner_text(".st-notes")
    assert "Fool rate. Task 1" in page.inner_text(".st-tables")
    raters = page.locator(".st-raters tbody tr")
    assert raters.count() == 2 and "Ada <b>" in raters.first.inner_text()
    with page.expect_download() as download:
        page.click(".st-csv")
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 7 and {row["task"] for row in rows} == {"1", "2"}
    assert [row["answer"] for row in rows if row["task"] == "1"] == ["left"] * 3 + ["right", "left"]


def test_models_on_a_phone_and_nothing_tells_the_sides(open_study):
    asked = []
    page = open_study(width=390, height=844, scheme="dark", expected="404")
    page.on("request", lambda sent: "ldsr/study/" in sent.url and asked.append(sent.url))
    prepare(page, kind="models", methods=("bicubic", "regression"))
    page.click(".st-begin")
    page.wait_for_selector(PHASE.format("look"))
    boxes = [page.locator(f"[data-pane={pane}]").bounding_box() for pane in ("left", "right")]
    assert boxes[0]["width"] == boxes[1]["width"] >= 200
    assert page.locator("[data-choice=right]").bounding_box()["y"] < 844
    assert steps.beyond(page) == []
    html = page.locator(".st-stage").inner_html().lower()
    assert "bicubic" not in html and "regression" not in html
    assert {url.rpartition("/")[2] for url in asked} == {"left.png", "right.png", "input.png"}
    page.wait_for_selector(PHASE.format("answer"))
    page.keyboard.press("Escape")
    page.click("[data-choice=left]")
    page.wait_for_selector(PHASE.format("paused"))
    gone = page.evaluate("url => fetch(url).then(reply => reply.status)", asked[0])
    assert gone == 404
    assert "1 rater" in results(page)


def test_the_whole_round_ends_and_can_be_cancelled_while_prepared(open_study):
    page = open_study()
    if not page.locator(".st-form").is_visible():
        page.click(".st-new summary")
    for box in page.locator(".st-methods input").all():
        box.set_checked(False)
    page.click(".st-prepare")
    page.wait_for_selector(".st-progress[data-state=error]")
    assert "at least one method" in page.inner_text(".st-progress")
    prepare(page, kind="camera", methods=("bicubic",), exposure=0.5)
    page.click(".st-begin")
    page.wait_for_selector(f"{PHASE.format('look')}, {PHASE.format('answer')}")
    number = int(page.inner_text(".st-count").split()[-1])
    for i in range(number):
        answer(page, "12"[i % 2])
    page.wait_for_selector(PHASE.format("done"))
    assert "All pairs were shown" in page.inner_text(".st-card")
    assert page.inner_text(".st-begin") == "Once more"


def test_an_answer_waits_for_the_server(open_study):
    page = open_study(expected="ERR_FAILED")
    prepare(page, kind="camera", methods=("bicubic",))
    page.click(".st-begin")
    page.wait_for_selector(PHASE.format("answer"))
    page.route(SERVER, lambda route: route.abort())
    page.keyboard.press("1")
    page.wait_for_function(
        "document.querySelector('.st-say').textContent.includes('not saved yet')", timeout=PATIENCE
    )
    page.unroute(SERVER)
    page.wait_for_selector(PHASE.format("look"))
    assert "1 answer from 1 rater" in results(page) or "1 catch trial" in results(page)
