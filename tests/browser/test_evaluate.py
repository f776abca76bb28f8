"""The Evaluate tab in a real browser: three truths, maps, downloads, benchmark, leaderboard."""

import csv
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine, from_origin

from ldsr import render
from ldsr.data.geotiff import write_patch
from ldsr.data.samples import list_samples, load_sample
from tests.browser import steps
from tests.browser.conftest import HERE, _pages, _serve

DONE = "#ev-status .status[data-state=done]"
UPLOAD = re.compile(r"/upload(\?|$)")
"""Address to which Gradio sends a file."""
ERROR = "#ev-status .status[data-state=error]"
BUSY = "#ev-status .status[data-state=busy]"


@pytest.fixture(scope="module")
def evaluate_page(tmp_path_factory) -> Iterator[str]:
    yield from _serve([str(HERE / "stand_in.py")], tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def open_evaluate(browser, evaluate_page) -> Iterator:
    """Open pages; they must end without an error or a foreign request."""
    yield from _pages(browser, evaluate_page)


def show_tab(page) -> None:
    steps.wait_result(page)
    page.get_by_role("tab", name="Evaluate").click()
    page.wait_for_selector(".ev-thumb:not([hidden])")


def evaluate(page, truth: str) -> None:
    steps.choose(page, "ev-truth", truth)
    page.click("#ev-run:not([disabled])")
    settle(page)


def settle(page) -> None:
    """Wait until the buttons rest again and the line says how it went."""
    page.wait_for_selector("#ev-run:not([disabled])")
    page.wait_for_selector(f"{DONE}, {ERROR}")


def said(page) -> str:
    return page.inner_text("#ev-status .status-text")


def metric(page, name: str):
    return page.locator(f".ev-row[data-metric={name}]")


def reference(folder: Path, **changes) -> Path:
    """A 2.5 m picture of the first sample's ground, or what `changes` make of it."""
    lr = load_sample(list_samples()[0].key)
    fine = render.upsample(lr)
    noise = np.random.default_rng(0).normal(1, 0.05, fine.shape[1:])
    patch = dataclasses.replace(
        lr,
        reflectance=(fine * noise * 1.1).clip(0.001, 1).astype(np.float32),
        valid=np.ones(fine.shape[1:], bool),
        transform=lr.transform @ Affine.scale(0.25),
        scl=None,
    )
    path = folder / ("fine.tif" if not changes else "wrong.tif")
    write_patch(dataclasses.replace(patch, **changes), path)
    return path


def test_scores_without_a_reference(open_evaluate):
    page = open_evaluate()
    show_tab(page)
    assert page.inner_text(".ev-empty h2") == "No scores yet"
    evaluate(page, "none")
    assert said(page) == "Scored without a true picture."
    row = metric(page, "input_reflectance")
    assert row.locator(".ev-cell").count() == 3
    assert row.locator(".is-best .ev-best").count() >= 1
    assert not row.locator(".ev-inside").is_visible()
    row.locator("summary").focus()
    page.keyboard.press("Enter")
    inside = row.locator(".ev-inside")
    assert "Sees." in inside.inner_text() and "Misses." in inside.inner_text()
    assert not page.locator(".ev-maps").is_visible()
    assert "need a true picture" in page.inner_text(".ev-folded summary >> nth=0")


def test_missing_weights_are_a_button_not_a_download(open_evaluate):
    page = open_evaluate()
    show_tab(page)
    evaluate(page, "none")
    row = metric(page, "clip_iqa")
    if row.locator(".ev-fetch").count() == 0:
        pytest.skip("the weights of CLIP-IQA, or its package, decide otherwise here")
    assert row.locator(".ev-cell").first.inner_text().strip().startswith("Bicubic")
    row.locator(".ev-fetch").click()
    panel = page.locator(".ev-weights")
    assert panel.is_visible() and row.locator("details").get_attribute("open") is None
    text = panel.inner_text()
    assert "256 MB" in text and "MIT" in text
    assert "python -m ldsr weights fetch clip-rn50" in text
    page.keyboard.press("Escape")
    assert not panel.is_visible()


def test_wald_maps_and_downloads(open_evaluate):
    page = open_evaluate()
    show_tab(page)
    evaluate(page, "wald")
    assert "Wald" in page.inner_text(".ev-title")
    assert "dB" in metric(page, "psnr").inner_text()
    for layer in ("error", "hallucination"):
        steps.choose(page, "ev-layer", layer)
        page.wait_for_function(
            "name => { const i = document.querySelector('[data-pane=map]');"
            " return i.src.includes(name) && i.complete && i.naturalWidth > 0 }",
            arg=layer,
        )
    steps.choose(page, "ev-method", "base")
    assert "-base-" in page.get_attribute("[data-pane=map]", "src")
    assert page.locator(".ev-maps .legend-ticks span").count() == 5
    with page.expect_download() as download:
        page.click(".ev-get [data-link=csv]")
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["method"] for row in rows} == {"bicubic", "base", "refined"}
    assert any(row["metric"] == "psnr" and float(row["value"]) > 10 for row in rows)
    with page.expect_download() as download:
        page.click(".ev-get [data-link=json]")
    assert json.loads(Path(download.value.path()).read_text())["truth"] == "wald"


def test_uploaded_reference_and_a_wrong_one(open_evaluate, tmp_path):
    page = open_evaluate()
    show_tab(page)
    assert not page.locator("#ev-upload").is_visible()
    evaluate(page, "reference")
    assert "Choose a reference first" in said(page)
    page.set_input_files("#ev-upload input[type=file]", str(reference(tmp_path)))
    page.wait_for_selector(DONE)
    assert "phase correlation" in page.inner_text(".ev-remark")
    given = metric(page, "psnr").inner_text()
    page.check("input[name=ldsr-ev-reference][value='1']", force=True)
    assert metric(page, "psnr").inner_text() != given
    page.wait_for_function("document.querySelector('[data-pane=truth]').src.includes('truth-1')")
    far = reference(tmp_path, transform=from_origin(100000, 5300000, 2.5, 2.5))
    page.click("#ev-upload [aria-label='Remove this file'], #ev-upload [aria-label*='lear']")
    page.set_input_files("#ev-upload input[type=file]", str(far))
    page.wait_for_selector(ERROR)
    assert "does not overlap" in said(page) and said(page).count(". ") == 0
    assert "Your reference" in page.inner_text(".ev-title")


def test_a_file_that_is_too_large_is_not_sent(open_evaluate, tmp_path):
    page = open_evaluate()
    show_tab(page)
    steps.choose(page, "ev-truth", "reference")
    sent = []
    page.on("request", lambda asked: UPLOAD.search(asked.url) and sent.append(asked.url))
    limit = page.evaluate("window.ldsrMaxUpload")
    page.evaluate("window.ldsrMaxUpload = 1000")
    page.set_input_files("#ev-upload input[type=file]", str(reference(tmp_path)))
    page.wait_for_selector(ERROR)
    assert "can be uploaded" in said(page)
    assert "can be uploaded" not in page.inner_text("#status .status-text")
    page.evaluate("limit => (window.ldsrMaxUpload = limit)", limit)
    page.set_input_files("#ev-upload input[type=file]", str(reference(tmp_path)))
    page.wait_for_selector(DONE)
    assert len(sent) == 1, "the second time alone"


def test_benchmark_leaderboard_and_reload(open_evaluate):
    page = open_evaluate()
    show_tab(page)
    assert page.is_visible(".ev-none")
    page.click("#ev-bench")
    page.wait_for_function(
        "/[2-9] of \\d+, /.test(document.querySelector('#ev-status .status-text').textContent)"
    )
    page.wait_for_selector(DONE)
    page.wait_for_selector(".ev-runs tbody tr")
    count = page.locator(".ev-runs tbody tr").count()
    methods = page.locator(".ev-method b").all_inner_texts()
    assert methods == ["Bicubic", "Regression", "Base", "Refined"]
    page.locator(".ev-by", has_text="PSNR").click()
    shown = page.locator(".ev-score.is-sorted").all_inner_texts()
    assert any("95 % interval" in text for text in shown), "not in a title alone"
    numbers = [float(re.match(r"[\d.]+", text)[0]) for text in shown]
    assert numbers == sorted(numbers, reverse=True)
    with page.expect_download() as download:
        page.locator(".ev-file", has_text="CSV").first.click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    assert {row["method"] for row in csv.DictReader(text.splitlines())} >= {"bicubic", "refined"}
    page.reload()
    page.wait_for_selector("#viewer .viewer")
    show_tab(page)
    page.wait_for_selector(".ev-runs tbody tr")
    assert page.locator(".ev-runs tbody tr").count() == count


def test_cancel_and_another_result(open_evaluate):
    page = open_evaluate()
    show_tab(page)
    evaluate(page, "none")
    assert not page.is_visible(".ev-stale")
    page.get_by_role("tab", name="Super-resolve").click()
    page.click("#more-knobs summary")
    steps.type_number(page, "seed", 3)
    steps.run(page)
    page.get_by_role("tab", name="Evaluate").click()
    page.wait_for_selector(".ev-stale:not([hidden])")
    assert "seed 3" in page.inner_text(".ev-line")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".ev-stale", state="hidden")


def test_a_held_run_is_cancelled(open_evaluate):
    page = open_evaluate("?seed=1001")
    page.wait_for_selector(".viewer[data-mode=busy]")
    page.get_by_role("tab", name="Evaluate").click()
    page.click("#ev-run")
    page.wait_for_selector(ERROR)
    assert "There is no result yet" in said(page)
    page.click("#ev-bench")
    page.wait_for_selector(BUSY)
    page.wait_for_function(
        "document.querySelector('#ev-status .status-text').textContent.includes('in line')"
    )
    page.click("#ev-cancel")
    page.wait_for_function(
        "document.querySelector('#ev-status .status-text').textContent.startsWith('Cancelled')"
    )
    page.get_by_role("tab", name="Super-resolve").click()
    page.click("#cancel")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(open_evaluate, scheme):
    page = open_evaluate(width=390, height=844, scheme=scheme)
    show_tab(page)
    evaluate(page, "wald")
    metric(page, "psnr").locator("summary").click()
    page.wait_for_selector(".ev-numbers:visible")
    assert steps.beyond(page) == []
    box = page.locator(".ev-table").bounding_box()
    for cell in page.locator(".ev-cell:visible").all():
        place = cell.bounding_box()
        assert place["x"] + place["width"] <= box["x"] + box["width"] + 1
