"""Scene jobs in a real browser: the offer, a reload in the middle, files, an area of the map."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tests.browser.conftest import HERE, _pages, _serve
from tests.browser.steps import beyond, tab, upload, wait_result
from tests.browser.test_map import CLEAR, choose_scene, find_scenes, go_to, say, world  # noqa: F401
from tests.scene_stand_in import WINDOWS

CARD = ".sc-job[data-state={}]"


class Server:
    """A page with scene jobs by a stand-in, which goes as far as `gate` says."""

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.gate(0)
        self._served = _serve(
            [str(HERE / "stand_in.py")], folder, env={**(env or {}), "LDSR_HOME": str(self.home)}
        )
        self.address = next(self._served)

    def gate(self, value: object) -> None:
        part = self.home / "gate.part"
        part.write_text(str(value))
        part.replace(self.home / "gate")

    def stop(self) -> None:
        next(self._served, None)


@pytest.fixture
def server(tmp_path):
    served = Server(tmp_path)
    yield served
    served.stop()


@pytest.fixture
def open_jobs(browser, server):
    yield from _pages(browser, server.address)


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A file of 1100 x 1040 pixels."""
    path = tmp_path_factory.mktemp("large") / "large.tif"
    shape = {"height": 1040, "width": 1100, "count": 4, "dtype": "uint16"}
    place = {"crs": "EPSG:32632", "transform": from_origin(680000, 5152000, 10, 10)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(np.random.default_rng(0).integers(300, 4000, (4, 1040, 1100), np.uint16))
        file.descriptions = ("B04", "B03", "B02", "B08")
        file.scales = (1e-4,) * 4
    return path


def begin(page, large: Path) -> None:
    """Upload a large file and run it as a scene job."""
    wait_result(page)
    upload(page, large)
    page.wait_for_selector(".sc-offer:not([hidden])")
    page.click("[data-run]")
    page.wait_for_selector(CARD.format("computing"))


def wait_numbers(page, text: str) -> None:
    page.wait_for_function(
        "text => [...document.querySelectorAll('.sc-numbers')].some(one => "
        "one.textContent.includes(text))",
        arg=text,
    )


def wait_status(page, text: str) -> None:
    page.wait_for_function(
        "text => document.querySelector('.status-text').textContent.includes(text)", arg=text
    )


def memory(page) -> list[dict[str, str]]:
    return json.loads(page.evaluate("localStorage.getItem('ldsr-jobs')") or "[]")


def test_a_large_upload_becomes_a_job_that_a_reload_does_not_lose(open_jobs, server, large):
    page = open_jobs()
    wait_result(page)
    assert not page.is_visible("#scenes")
    upload(page, large)
    page.wait_for_selector(".sc-offer:not([hidden])")
    assert "1100 x 1040 px, more than the 1024 px" in page.inner_text(".sc-text")
    assert "About 9 windows, result 4400 x 4160 px" in page.inner_text(".sc-price")
    assert page.evaluate("document.activeElement.id") == "sc-offer-title"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.is_checked(".sc-layers input[value=detail]")
    page.click("[data-run]")
    page.wait_for_selector(CARD.format("computing"))
    assert page.is_hidden(".sc-offer") and "generated detail" in page.inner_text(".sc-about")
    server.gate(2)
    wait_numbers(page, "2 of 4 windows")
    assert "30 windows a minute" in page.inner_text(".sc-numbers")
    page.reload()
    wait_numbers(page, "2 of 4 windows")
    assert page.get_attribute(".sc-bar", "aria-valuenow") == "2"
    (mine,) = memory(page)
    other = open_jobs()
    wait_result(other)
    assert not other.is_visible("#scenes"), "nobody sees another's"
    guest = open_jobs(f"?job={mine['id']}")
    wait_numbers(guest, "2 of 4 windows")
    assert guest.locator(".sc-buttons > :visible").all_inner_texts() == ["Copy link"]
    server.gate(WINDOWS)
    page.wait_for_selector(CARD.format("done"))
    guest.wait_for_selector(CARD.format("done"))
    page.wait_for_function("document.querySelector('.sc-picture img').naturalWidth > 0")
    for kind, name in (("cog", "large_sr.tif"), ("stac", "large_sr.stac.json")):
        with page.expect_download() as download:
            page.click(f"[data-file={kind}]")
        assert download.value.suggested_filename == name
    with guest.expect_download() as download:
        guest.click("[data-file=cog]")
    with rasterio.open(download.value.path()) as file:
        assert file.count == 4
    page.click("[data-act=discard]")
    page.wait_for_selector("#scenes", state="hidden")
    assert memory(page) == []
    page.reload()
    wait_result(page)
    assert not page.is_visible("#scenes")


def test_on_a_phone_a_job_is_cancelled_and_gone_on_with(open_jobs, server, large):
    page = open_jobs(width=390, height=844, scheme="dark")
    begin(page, large)
    server.gate(1)
    wait_numbers(page, "1 of 4 windows")
    wait_status(page, "The scene job is in the line")
    page.focus("[data-act=cancel]")
    page.keyboard.press("Enter")
    page.wait_for_selector(CARD.format("stopped"))
    wait_status(page, "The scene job was stopped")
    assert "what was computed is kept" in page.inner_text(".sc-message")
    assert beyond(page) == []
    page.click("[data-act=go_on]")
    wait_status(page, "The scene job is in the line")
    server.gate(WINDOWS)
    page.wait_for_selector(CARD.format("done"))
    wait_status(page, "The scene job is done")
    assert "at the latest" in page.inner_text(".sc-numbers")
    assert beyond(page) == []
    page.wait_for_function("document.querySelector('.sc-picture img').naturalWidth > 0")


def test_a_job_with_failed_windows_is_finished_with_gaps(open_jobs, server, large):
    page = open_jobs()
    begin(page, large)
    assert page.is_hidden("[data-act=finish]")
    server.gate("gap")
    page.wait_for_selector(CARD.format("failed"))
    wait_status(page, "The scene job has failed")
    said = page.inner_text(".sc-message")
    assert "1 window of 4 failed" in said and "--" not in said
    wait_numbers(page, "3 of 4 windows · 1 failed")
    page.click("[data-act=finish]")
    page.wait_for_selector(CARD.format("done"))
    assert "empty in the file" in page.inner_text(".sc-message")
    wait_status(page, "The scene job is done")


def test_a_restarted_server_shows_its_job_as_stopped(browser, tmp_path, large):
    first = Server(tmp_path)
    try:
        for open_one in _pages(browser, first.address):
            page = open_one()
            begin(page, large)
            first.gate(2)
            wait_numbers(page, "2 of 4 windows")
            kept = memory(page)
            page.goto("about:blank")  # else it asks a server that is gone
    finally:
        first.stop()
    second = Server(tmp_path)
    try:
        for open_one in _pages(browser, second.address):
            page = open_one()
            page.evaluate("kept => localStorage.setItem('ldsr-jobs', JSON.stringify(kept))", kept)
            page.reload()
            page.wait_for_selector(CARD.format("stopped"))
            assert "server was stopped" in page.inner_text(".sc-message")
            assert "2 of 4 windows" in page.inner_text(".sc-numbers")
            page.click("[data-act=go_on]")
            second.gate(WINDOWS)
            page.wait_for_selector(CARD.format("done"))
    finally:
        second.stop()


def test_an_area_is_drawn_typed_and_run(browser, tmp_path, world):  # noqa: F811
    served = Server(tmp_path, env=world.env)
    try:
        for open_one in _pages(browser, served.address):
            page = open_one()
            wait_result(page)
            go_to(page, "46.6, 10.9")
            page.wait_for_selector(".picker-handle")
            page.check("input[name=ldsr-box-side][value='5000']", force=True)
            page.wait_for_function(
                "document.querySelector('.picker-footprint').textContent.includes('scene job')"
            )
            assert page.input_value("[data-across]") == "5"
            chart = page.locator(".picker-chart").bounding_box()
            page.click("[data-draw]")
            page.mouse.move(chart["x"] + 100, chart["y"] + 60)
            page.mouse.down()
            page.mouse.move(chart["x"] + 220, chart["y"] + 160, steps=4)
            page.mouse.up()
            page.wait_for_selector("[data-draw][aria-pressed=false]")
            assert page.locator("input[name=ldsr-box-side]:checked").count() == 0
            wide, high = (float(page.input_value(f"[data-{one}]")) for one in ("across", "up"))
            assert wide > high > 1 and abs(wide / high - 1.2) < 0.02
            typed = {"across": "3.2", "up": "3.2", "lat": "46.6", "lon": "10.9"}
            for field, value in typed.items():
                page.fill(f"[data-{field}]", value)
                page.press(f"[data-{field}]", "Tab")
            page.wait_for_function(
                "document.querySelector('.picker-footprint').textContent.startsWith('3.')"
            )
            find_scenes(page)
            say(page, "3 scenes.")
            choose_scene(page, CLEAR)
            page.wait_for_selector(".sc-offer:not([hidden])")
            assert "more than the 2.56 km a side" in page.inner_text(".sc-text")
            page.click("[data-run]")
            page.wait_for_selector(CARD.format("computing"))
            served.gate(WINDOWS)
            page.wait_for_selector(CARD.format("done"))
            (mine,) = memory(page)
            job = json.loads((served.home / "jobs" / mine["id"] / "job.json").read_text())
            assert any(option.startswith("--bounds=10.") for option in job["options"])
            assert "--catalogue=own" in job["options"]
            tab(page, "Samples")
    finally:
        served.stop()
