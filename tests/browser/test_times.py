"""Where the time of a run went, on the page: measured in the browser, told to the server."""

import json
import re
from pathlib import Path

from tests.browser.steps import run, type_number, wait_result, wait_status


def test_times_of_a_run_are_on_the_page_and_in_its_sheet(open_stand_in):
    page = open_stand_in()
    wait_result(page)
    type_number(page, "steps", 4)
    run(page)
    wait_part(page, "transfer")
    summary = page.locator(".times summary")
    assert page.is_hidden(".times-groups")
    summary.focus()
    page.keyboard.press("Enter")
    parts = dict(row.split("\n") for row in page.locator(".times-groups div").all_inner_texts())
    assert set(parts) == {"denoise", "drawing", "transfer"} and page.is_visible(".times-help")
    assert page.locator(".times-groups h3").all_inner_texts()[0].split() == ["Base", "1.00", "s"]
    assert all(re.fullmatch(r"\d+\.\d\d s|< 0.01 s", text) for text in parts.values())
    before = sheet(page)
    assert before["seconds"] == {"denoise": 1.0, "refine denoise": 0.4, "total": 1.5}
    assert set(before["page_seconds"]) == {"drawing", "transfer"}
    assert 0 < before["page_seconds"]["drawing"] < 3600
    assert 0 <= before["page_seconds"]["transfer"] < 3600
    page.get_by_role("tab", name="Evaluate").click()
    page.click("#ev-run")
    page.wait_for_selector("#ev-status .status[data-state=done]")
    page.get_by_role("tab", name="Super-resolve").click()
    wait_part(page, "metrics")
    assert page.evaluate("document.querySelector('.times').open"), "it stays as it was left"
    after = sheet(page)["page_seconds"]
    assert after["metrics"] > 0 and after | {"metrics": 0} == before["page_seconds"] | {
        "metrics": 0
    }


def test_without_a_word_from_the_browser_the_part_is_not_there(open_stand_in):
    page = open_stand_in(expected="Failed to load resource")
    page.route(re.compile("component_server"), lambda route: route.abort())
    wait_result(page)
    run(page)
    assert page.inner_text(".times-note") == "Model\u00a01.5\u00a0s"
    assert set(sheet(page)["page_seconds"]) == {"drawing"}
    wait_status(page, "Done")


def wait_part(page, name: str) -> None:
    page.wait_for_function(
        "name => document.querySelector('.times-note').textContent.includes(name)", arg=name
    )


def sheet(page) -> dict:
    with page.expect_download() as download:
        page.click("[data-link=json]")
    return json.loads(Path(download.value.path()).read_text())
