"""The short form: a server is killed once, and once under an open page.

The long form is `tests.reliability.kill`.
"""

import re

import pytest

from tests.browser.conftest import PATIENCE, chromium
from tests.browser.steps import wait_result, wait_status
from tests.reliability.kill import kill
from tests.reliability.server import STAND_IN, serving


def test_killed_in_the_middle_of_everything_it_starts_clean(tmp_path) -> None:
    """No vote is lost, no broken file is served, nothing half-written stays."""
    counts, findings = kill(tmp_path, rounds=1, seed=0)
    assert not findings, "\n".join(findings)
    assert counts["votes counted"] >= 4 and counts["files fetched whole"] >= 1


@pytest.fixture(scope="module")
def browser():
    yield from chromium()


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    yield page
    context.close()


def test_an_open_page_says_so_and_goes_on_after_the_restart(page, tmp_path) -> None:
    """The page is told that the server has gone; back again, it works without a hand."""
    with serving(tmp_path, STAND_IN) as server:
        page.goto(server.url)
        wait_result(page)
        page.fill("#seed input", "1001")
        page.click("#run:not([disabled])")
        wait_status(page, "step 2")
        server.kill()
        said = page.wait_for_selector("text=/connection to the server was lost/i").inner_text()
        assert re.search("reconnect", said, re.IGNORECASE)
        server.start()
        page.wait_for_selector(".status-text:has-text('Super-resolved when the server started')")
        wait_result(page)
        page.click("#run:not([disabled])")
        wait_status(page, "Done")
        assert not server.faults()
