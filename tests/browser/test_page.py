"""The page in a real browser: `python app.py` as a person starts it, Chromium as they use it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

ROOT = Path(__file__).resolve().parents[2]
APP = os.environ.get("LDSR_APP", str(ROOT / "app.py"))
PATIENCE = int(os.environ.get("LDSR_PATIENCE", "120")) * 1000
"""Milliseconds: a slow machine is not a fault."""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
BOUNDS = (500000.0, 5200000.0 - 480.0, 500640.0, 5200000.0)


def _missing(what: str) -> None:
    if os.environ.get("LDSR_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{what} is missing, but LDSR_REQUIRE_BROWSER=1")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _missing("playwright")
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    with sync_playwright() as play:
        try:
            chromium = play.chromium.launch(executable_path=found, args=FLAGS)
        except Error:
            _missing("Chromium")
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """Start the page on a free port; stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("page") / "server.log"
    with log.open("w") as sink:
        command = [sys.executable, APP, "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, stdout=sink, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for_server(server, url, log)
        yield url
        assert "Traceback" not in log.read_text()
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for_server(server: subprocess.Popen, url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the page did not start:\n" + log.read_text())


@pytest.fixture
def open_page(browser, address) -> Iterator:
    """Open pages that must end without an error and without a request to another host."""
    contexts, wrong = [], []

    def open_one(query: str = "", *, width: int = 1440, height: int = 900, scheme: str = "light"):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda note: note.type == "error" and wrong.append(note.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda sent: _is_foreign(sent.url, address) and wrong.append(sent.url))
        page.goto(address + query)
        page.wait_for_selector("#viewer .viewer")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert wrong == []


def _is_foreign(url: str, address: str) -> bool:
    return url.startswith(("http", "ws")) and not url.startswith(
        (address, address.replace("http", "ws"))
    )


@pytest.fixture
def geotiff(tmp_path) -> Path:
    """64 x 48 pixels of fields and a road, as digital numbers, in UTM 32N."""
    y, x = np.mgrid[:48, :64]
    fields = (
        400 + 250 * ((x // 9 + y // 7) % 4) + np.random.default_rng(0).integers(0, 40, (48, 64))
    )
    fields[22:24] = 1800
    dn = np.stack([fields, fields + 60, fields - 40, fields * 2 + 900]).astype(np.uint16)
    path = tmp_path / "my field.tif"
    profile = {"driver": "GTiff", "count": 4, "height": 48, "width": 64, "dtype": "uint16"}
    place = {"crs": "EPSG:32632", "transform": from_origin(BOUNDS[0], BOUNDS[3], 10, 10)}
    with rasterio.open(path, "w", **profile, **place) as file:
        file.write(dn)
        for band, name in enumerate(("B04", "B03", "B02", "B08"), start=1):
            file.set_band_description(band, name)
    return path


def wait_result(page) -> None:
    """Wait until a run has ended well and its picture is on the screen."""
    page.wait_for_selector(".viewer[data-mode=result] .v-after img.is-there[src*='ldsr/r/']")
    page.wait_for_selector("#run:not([disabled])")


def run(page) -> None:
    page.click("#run:not([disabled])")
    page.wait_for_selector(".viewer[data-mode=busy]")
    wait_result(page)


def set_steps(page, steps: int) -> None:
    field = page.locator("#steps input[type=number]")
    field.fill(str(steps))
    field.press("Tab")


def status(page) -> str:
    return page.inner_text(".status-text")


def wait_status(page, text: str) -> None:
    page.wait_for_function(
        "text => document.querySelector('.status-text').textContent.includes(text)", arg=text
    )


def upload(page, *paths: Path) -> None:
    page.set_input_files("#upload input[type=file]", [str(path) for path in paths])


def source(page, which: str) -> str:
    return page.get_attribute(f".v-{which} img", "src")


def test_first_sample_is_there_then_slider_and_false_colour(open_page):
    page = open_page()
    wait_result(page)
    assert "generated by a model, not measured" in page.inner_text(".v-honest")
    handle = page.locator(".v-handle")
    assert handle.get_attribute("aria-valuenow") == "50"
    handle.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert handle.get_attribute("aria-valuenow") == "60"
    box, frame = handle.bounding_box(), page.locator(".v-frame").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] * 0.25, frame["y"] + 50, steps=4)
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "25"
    assert "inset(0px 0px 0px 25" in page.eval_on_selector(
        ".v-after", "box => getComputedStyle(box).clipPath"
    )
    page.check("input[name=ldsr-colours][value=false]", force=True)
    for which in ("before", "after"):
        page.wait_for_selector(f".v-{which} img[src$='{which}-false.png']")
    assert page.eval_on_selector(".v-after img", "image => image.naturalWidth") > 0
    assert "false" in page.get_attribute("[data-link=png]", "href")


def test_run_a_sample_with_its_own_settings(open_page):
    page = open_page()
    wait_result(page)
    before = source(page, "after")
    page.locator("#samples input[type=radio]").nth(1).check(force=True)
    page.wait_for_selector(".viewer[data-mode=input]")
    set_steps(page, 3)
    page.fill("#seed input", "42")
    page.keyboard.press("Control+Enter")
    wait_result(page)
    assert source(page, "after") != before
    chips = page.inner_text(".chips")
    for fact in ("3 DDIM", "Weights", "Consistency", "→", "Time"):
        assert fact in chips
    with page.expect_download() as download:
        page.click("[data-link=json]")
    sheet = json.loads(Path(download.value.path()).read_text())
    assert (sheet["settings"]["steps"], sheet["settings"]["seed"]) == (3, 42)
    page.click("[data-copy]")
    link = page.wait_for_selector("[data-copied]").get_attribute("data-copied")
    shared = open_page(link.partition("/?")[2] and "?" + link.partition("/?")[2])
    wait_result(shared)
    assert "3 DDIM" in shared.inner_text(".chips")
    assert shared.input_value("#seed input") == "42"


def test_upload_bad_files_then_a_good_one_and_download_it(open_page, geotiff, tmp_path):
    page = open_page()
    wait_result(page)
    kept = source(page, "after")
    text, tiny = tmp_path / "notes.tif", tmp_path / "tiny.tif"
    text.write_text("this is not a picture\n" * 50)
    with (
        rasterio.open(geotiff) as file,
        rasterio.open(tiny, "w", **file.profile | {"width": 5, "height": 5}) as small,
    ):
        small.write(file.read()[:, :5, :5])
    large = tmp_path / "large.tif"
    with large.open("wb") as file:
        file.truncate(201 * 2**20)
    seen = set()
    for bad in (text, tiny, large):
        upload(page, bad)
        page.wait_for_function(
            "seen => document.querySelector('.status').dataset.state === 'error' && "
            "!seen.includes(document.querySelector('.status-text').textContent)",
            arg=list(seen),
        )
        seen.add(status(page))
        assert "Traceback" not in status(page) and status(page).endswith(".")
        assert source(page, "after") == kept
    upload(page, geotiff)
    page.wait_for_selector(".viewer[data-mode=input]")
    assert "my field" in page.inner_text(".provenance") and "EPSG:32632" in page.inner_text(
        ".provenance"
    )
    set_steps(page, 2)
    run(page)
    with page.expect_download() as download:
        page.click("[data-link=tif]")
    saved = tmp_path / "result.tif"
    download.value.save_as(saved)
    with rasterio.open(saved) as file:
        assert (file.count, file.width, file.height) == (4, 256, 192)
        assert (
            tuple(file.bounds) == BOUNDS and file.crs.to_epsg() == 32632 and file.res == (2.5, 2.5)
        )
        assert file.dtypes == ("float32",) * 4
        assert 0.02 < float(file.read().mean()) < 0.5
    with page.expect_download() as download:
        page.click("[data-link=png]")
    assert Path(download.value.path()).read_bytes()[:4] == b"\x89PNG"


def test_cancel_keeps_the_picture_and_the_next_in_line_is_served(open_page):
    first, second = open_page(), open_page()
    wait_result(first)
    wait_result(second)
    kept = source(first, "after")
    set_steps(first, 100)
    first.click("#run:not([disabled])")
    wait_status(first, "step")
    set_steps(second, 2)
    second.click("#run:not([disabled])")
    wait_status(second, "2nd in line")
    first.click("#cancel:not([disabled])")
    wait_status(first, "Cancelled")
    first.wait_for_selector(".viewer[data-mode=result]")
    first.wait_for_function(
        "kept => document.querySelector('.v-after img').getAttribute('src') === kept", arg=kept
    )
    wait_status(second, "Done")
    assert "2 DDIM" in second.inner_text(".chips")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_has_no_horizontal_overflow(open_page, scheme):
    page = open_page(width=390, height=844, scheme=scheme)
    wait_result(page)
    beyond = page.evaluate(
        """() => [...document.querySelectorAll('#viewer *, #controls *, .brand, .status')]
        .filter((box) => !box.closest('.gallery, .v-frame, .sr-only'))
        .filter((box) => box.getBoundingClientRect().right > 391)
        .map((box) => box.className)"""
    )
    assert beyond == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme == "dark")
    page.click("[data-theme-toggle]")
    assert page.evaluate("document.body.classList.contains('dark')") == (scheme != "dark")


def test_about_says_what_is_invented(open_page):
    page = open_page()
    page.get_by_role("tab", name="About").click()
    assert "Not evidence" in page.wait_for_selector("#about >> text=Not evidence").inner_text()
