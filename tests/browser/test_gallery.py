"""The gallery of a batch in Chromium, opened from disk: filter, order, pictures on demand."""

from pathlib import Path

import pytest

from tests.batches import do, make_pictures, sheet, use_tiny
from tests.browser.conftest import PATIENCE

NAMES = ("b10.tif", "a2.tif", "<i>c1.tif", "d.tif")
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_pipeline) -> Path:
    """A batch of four that went well and one that failed."""
    folder = tmp_path_factory.mktemp("batch")
    make_pictures(folder / "in", *NAMES)
    make_pictures(folder / "in", "d.tif", size=(40, 24))
    (folder / "in" / ("broken" * 20 + ".tif")).write_text("no picture")
    with pytest.MonkeyPatch.context() as patched:
        use_tiny(patched, tiny_pipeline)
        assert do(folder / "in", folder / "out") == 2
    return folder / "out"


@pytest.fixture
def open_gallery(browser, made):
    """Open it; it must end without a word on the console and ask for nothing but its pictures."""
    contexts, wrong = [], []

    def open_one(size: dict = WIDE, scheme: str = "light"):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda line: wrong.append(line.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("requestfailed", lambda sent: wrong.append(sent.url))
        page.on("request", lambda sent: sent.url.startswith(inside) or wrong.append(sent.url))
        page.goto((made / "index.html").as_uri())
        page.wait_for_function("document.getElementById('count').textContent !== ''")
        return page

    inside = ("data:", made.as_uri())
    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def names(page) -> list[str]:
    """Of the cards that are shown, in their order."""
    return page.eval_on_selector_all(
        ".card", "all => all.filter(one => !one.hidden).map(one => one.dataset.name)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["desktop", "phone"])
def test_nothing_is_wider_than_the_screen_and_all_pictures_come(open_gallery, size, scheme):
    page = open_gallery(size, scheme)
    for _ in range(3):
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"]
        page.mouse.wheel(0, 2000)
        page.wait_for_timeout(50)
    for card in page.locator(".card[data-state=done]").all():
        card.scroll_into_view_if_needed()
        for image in card.locator("img").all():
            image.evaluate("one => one.decode()")
    page.click(".settings summary")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(246, 248, 250)" if scheme == "light" else "rgb(13, 20, 32)")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground


def test_states_and_names_choose_the_cards(open_gallery):
    page = open_gallery()
    broken = "broken" * 20
    assert names(page) == ["<i>c1", "a2", "b10", broken, "d"]
    assert page.inner_text("#count") == "5 of 5 shown"
    page.get_by_label("Failed 1", exact=True).check()
    assert names(page) == [broken]
    assert "not a picture of a known format" in page.inner_text(".card:not([hidden]) .sentence")
    page.get_by_label("Done 4", exact=True).check()
    page.fill("#find", "A2")
    assert names(page) == ["a2"] and page.inner_text("#count") == "1 of 5 shown"
    page.fill("#find", "nowhere")
    assert names(page) == [] and page.is_visible("#nothing")
    page.fill("#find", "")
    assert not page.is_visible("#nothing") and len(names(page)) == 4


def test_every_figure_sorts_both_ways(open_gallery, made):
    page = open_gallery()
    broken = "broken" * 20
    stems = {"<i>c1": "_i_c1", "a2": "a2", "b10": "b10", "d": "d"}
    detail = {name: sheet(made, stem)["detail"]["mean"] for name, stem in stems.items()}
    sorted_up = sorted(stems, key=lambda name: (detail[name], list(stems).index(name)))
    page.select_option("#sort", "mean_detail")
    assert names(page) == [*sorted_up, broken], "what has no figure comes last"
    page.click("#turn")
    assert page.inner_text("#turn") == "Descending"
    assert names(page)[-1] == broken
    found = [detail[name] for name in names(page)[:-1]]
    assert found == sorted(found, reverse=True)
    page.click("#turn")
    page.select_option("#sort", "name")
    assert names(page) == ["<i>c1", "a2", "b10", broken, "d"]
    for option in page.eval_on_selector_all("#sort option", "all => all.map(one => one.value)"):
        page.select_option("#sort", option)
        assert len(names(page)) == 5
    page.select_option("#sort", "seconds")
    seconds = [sheet(made, stems[name])["seconds"]["total"] for name in names(page)[:-1]]
    assert seconds == sorted(seconds)


def test_base_and_detail_come_when_they_are_asked_for(open_gallery):
    page = open_gallery()
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    card = page.locator(".card[data-name=a2]")
    card.get_by_label("Base", exact=True).check()
    image = card.locator(".output img")
    assert image.get_attribute("src") == "pictures/a2_base.jpg"
    image.evaluate("one => one.decode()")
    assert [url.rpartition("/")[2] for url in sent] == ["a2_base.jpg"]
    assert not page.is_visible("#legend")
    page.locator("#tools").get_by_label("Generated detail").check()
    shown = page.eval_on_selector_all(".card .output img", "all => all.map(one => one.src)")
    assert len(shown) == 4 and all(address.endswith("_detail.jpg") for address in shown)
    assert page.is_visible("#legend")
    assert card.locator(".views input:checked").get_attribute("value") == "detail"


def test_one_pair_is_enlarged_and_the_keyboard_leads_on(open_gallery):
    page = open_gallery()
    page.locator(".card[data-name=a2] .enlarge").first.focus()
    page.keyboard.press("Enter")
    title = page.locator("#large-name")
    assert title.inner_text() == "a2" and page.is_visible("#large")
    page.keyboard.press("2")
    assert page.get_attribute("#large .output img", "src") == "pictures/a2_base.jpg"
    page.keyboard.press("ArrowRight")
    assert title.inner_text() == "b10"
    page.locator("#close").focus()
    page.keyboard.press("ArrowRight")
    assert title.inner_text() == "d", "a failed one has no pictures"
    assert page.is_disabled("#after")
    assert page.get_attribute("#large .output img", "src") == "pictures/d_base.jpg"
    page.keyboard.press("Escape")
    assert not page.is_visible("#large")
    page.wait_for_function("document.activeElement.closest('.card')?.dataset.name === 'd'")
