"""The Evaluate tab without a browser: three truths, bad references, cancelling, the benchmark."""

import asyncio
import csv
import dataclasses
import io
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin
from starlette.applications import Starlette
from starlette.testclient import TestClient

from evaluation.judge import Judge
from evaluation.metrics import METRICS
from evaluation.score import unavailable
from ldsr import render
from ldsr.data.geotiff import write_patch
from ldsr.data.patch import Patch, Source
from ldsr.errors import LdsrError
from ldsr.web.evaluate import flows
from ldsr.web.evaluate.desk import Desk, _plain
from ldsr.web.evaluate.evaluations import MAPS
from ldsr.web.evaluate.files import evaluate_routes
from ldsr.web.evaluate.leaderboard import Board
from ldsr.web.evaluate.views import board_value, current_value, missing_weights, result_value
from ldsr.web.pictures import Shown
from ldsr.web.studio import Studio
from tests.fakes import BaseOnlyPipeline, BrokenPipeline, FakePipeline, collect

CHEAP = ("psnr", "ssim", "input_reflectance", "improvement", "omission", "hallucination")


@pytest.fixture
def studio() -> Studio:
    return Studio(FakePipeline())


@pytest.fixture
def desk(studio, tmp_path) -> Desk:
    return Desk(studio, Board(tmp_path / "runs"), Judge(metrics=CHEAP))


def make_patch(side: int = 64) -> Patch:
    """Blocks of fields with noise, in UTM, so that a shift can be found."""
    rng = np.random.default_rng(0)
    fields = rng.uniform(0.05, 0.4, (4, side // 8, side // 8)).repeat(8, 1).repeat(8, 2)
    noisy = fields + rng.normal(0, 0.01, fields.shape)
    return Patch(
        reflectance=noisy.clip(0.01, 1).astype(np.float32),
        valid=np.ones((side, side), bool),
        crs=CRS.from_epsg(32633),
        transform=from_origin(400000, 5300000, 10, 10),
        source=Source(name="<Fields>.tif"),
    )


def make_reference(lr: Patch, *, shift: tuple[int, int] = (0, 0)) -> Patch:
    fine = np.roll(render.upsample(lr), shift, (1, 2)) * 1.2 + 0.01
    return Patch(
        reflectance=fine.clip(0.001, 1).astype(np.float32),
        valid=np.ones(fine.shape[1:], bool),
        crs=lr.crs,
        transform=lr.transform @ Affine.scale(0.25),
    )


def keep(studio: Studio, patch: Patch, **changes) -> str:
    settings = dataclasses.replace(studio.preset(), **changes)
    result = studio.pipeline(patch, settings, lambda step: None)
    return studio.keep(Shown(patch, result))


def evaluate(desk: Desk, key: str | None, truth: str, path=None, mine=None) -> list[list]:
    wish = (truth, None if path is None else str(path))
    return collect(flows.evaluate(desk, mine or flows.EMPTY, key, wish, "me"))


def line(shot: list) -> dict:
    return shot[1]


def test_without_a_reference_all_methods_are_scored(studio, desk):
    key = keep(studio, make_patch())
    shots = evaluate(desk, key, "none")
    assert all(line(shot)["state"] == "busy" for shot in shots[:-1])
    mine, last, value, *_ = shots[-1]
    assert last["state"] == "done"
    assert value["columns"] == ["Bicubic", "Base", "Refined"]
    assert [group["title"] for group in value["groups"]] == ["Consistency with the input"]
    assert {row["name"] for row in value["folded"]} == set(CHEAP) - {"input_reflectance"}
    row = value["groups"][0]["rows"][0]
    assert [cell["best"] for cell in row["cells"][0]] == [True, False, False]
    assert row["sees"] and row["misses"] and row["arrow"] == "↓"
    assert value["maps"] is None and value["of"] == key
    assert studio.store.get(mine["key"]).truth == "none"


def test_wald_runs_in_the_line_at_a_quarter_of_the_size(studio, desk):
    key = keep(studio, make_patch(), seed=7)
    value = evaluate(desk, key, "wald")[-1][2]
    assert studio.pipeline.seen[-1] == 7
    rows = {row["name"]: row for group in value["groups"] for row in group["rows"]}
    assert rows["psnr"]["cells"][0][0]["text"].endswith(" dB")
    assert [layer["key"] for layer in value["maps"]["layers"]] == list(MAPS)
    assert "40 m" in value["remark"] and value["references"] == ["As given"]
    assert not studio.jobs


def test_reference_is_registered_and_scored_twice(studio, desk, tmp_path):
    patch = make_patch()
    key = keep(studio, patch)
    path = tmp_path / "fine.tif"
    write_patch(make_reference(patch, shift=(2, -1)), path)
    value = evaluate(desk, key, "reference", path)[-1][2]
    assert value["references"] == ["As given", "Harmonised (linear)"]
    assert "moved by +1.98, -0.98 px" in value["remark"] and "fine.tif" in value["remark"]
    rows = {row["name"]: row for group in value["groups"] for row in group["rows"]}
    given, harmonised = (float(cells[0]["text"].split()[0]) for cells in rows["psnr"]["cells"])
    assert harmonised > given + 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"transform": from_origin(400000, 5300000, 10, 10)}, "expected 2.5"),
        ({"crs": CRS.from_epsg(32634)}, "EPSG:32634"),
        ({"transform": from_origin(500000, 5300000, 2.5, 2.5)}, "does not overlap"),
        ({"reflectance": "turned"}, "in that order"),
    ],
)
def test_a_bad_reference_is_one_sentence_and_nothing_is_lost(studio, desk, tmp_path, change, words):
    patch = make_patch()
    key = keep(studio, patch)
    mine = evaluate(desk, key, "none")[-1][0]
    fine = make_reference(patch)
    if "reflectance" in change:
        change = {"reflectance": np.ascontiguousarray(fine.reflectance[::-1])}
    write_patch(dataclasses.replace(fine, **change), tmp_path / "bad.tif")
    last = evaluate(desk, key, "reference", tmp_path / "bad.tif", mine)[-1]
    assert line(last)["state"] == "error"
    assert words in line(last)["text"] and "bad.tif" in line(last)["text"]
    assert last[0] == mine and last[2]["mode"] == "done"


def test_no_file_a_broken_file_and_no_result_are_sentences(studio, desk, tmp_path):
    key = keep(studio, make_patch())
    assert line(evaluate(desk, key, "reference")[-1])["text"] == flows.NO_FILE
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\x00nothing")
    assert "broken.tif" in line(evaluate(desk, key, "reference", broken)[-1])["text"]
    empty = studio.keep(Shown(make_patch()))
    for gone in (None, "gone", empty):
        assert line(evaluate(desk, gone, "none")[-1])["text"] == flows.NO_RESULT
    assert line(evaluate(desk, key, "else")[-1])["state"] == "error"
    small = keep(studio, make_patch(32))
    assert "at least 64 x 64" in line(evaluate(desk, small, "wald")[-1])["text"]


def test_weights_without_stage_2_have_two_columns(desk):
    desk.studio = studio = Studio(BaseOnlyPipeline())
    value = evaluate(desk, keep(studio, make_patch()), "none")[-1][2]
    assert value["columns"] == ["Bicubic", "Base"]


def test_a_run_that_fails_says_so(studio, desk):
    key = keep(studio, make_patch())
    studio.pipeline = BrokenPipeline()
    last = line(evaluate(desk, key, "wald")[-1])
    assert last["state"] == "error" and "secret" not in last["text"]


def test_cancel_stops_the_run_and_something_newer_replaces_it(studio, desk):
    key = keep(studio, make_patch())
    studio.pipeline.gate = threading.Semaphore(0)

    async def scene() -> tuple[list, list]:
        first = [shot async for shot in watched("wald", cancel_at=3)]
        second = asyncio.create_task(all_of("wald"))
        await asyncio.sleep(0.5)
        newer = await all_of("none")
        return first, [await second, newer]

    async def all_of(truth: str) -> list:
        asked = flows.evaluate(desk, flows.EMPTY, key, (truth, None), "me")
        return [shot async for shot in asked]

    async def watched(truth: str, *, cancel_at: int):
        number = 0
        async for shot in flows.evaluate(desk, flows.EMPTY, key, (truth, None), "me"):
            number += 1
            if number == cancel_at:
                assert desk.cancel("me")
            yield shot

    first, (replaced, newer) = asyncio.run(scene())
    assert line(first[-1])["text"].startswith("Cancelled")
    assert line(replaced[-1])["state"] == "busy" and line(newer[-1])["state"] == "done"
    assert not desk.cancel("me") and not studio.jobs
    studio.pipeline.gate.release(1000)


def test_evaluating_does_not_stop_the_visitors_own_run(studio, desk):
    key = keep(studio, make_patch())
    studio.pipeline.gate = threading.Semaphore(0)
    _, job = studio.start("me", make_patch(), studio.preset())
    assert line(evaluate(desk, key, "none")[-1])["state"] == "done"
    assert not job.cancelling
    studio.pipeline.gate.release(1000)


@pytest.fixture
def two_samples(monkeypatch):
    two = flows.list_samples()[:2]
    monkeypatch.setattr(flows, "list_samples", lambda: two)
    monkeypatch.setattr(flows, "load_sample", lambda key: make_patch())
    return two


def test_benchmark_saves_one_run_and_replaces_it(studio, desk, two_samples):
    key = keep(studio, make_patch(), semantics="forest:1")
    shots = collect(flows.benchmark(desk, flows.EMPTY, key, "me"))
    texts = {line(shot)["text"] for shot in shots}
    assert any(text.startswith("2 of 2, ") for text in texts)
    assert line(shots[-1])["state"] == "done"
    collect(flows.benchmark(desk, flows.EMPTY, key, "me"))
    (run,) = desk.board.runs()
    assert run["methods"] == ["bicubic", "regression", "base", "refined"]
    assert run["patches"] == 2 and run["weights"]["sha256"] == "ab" * 32
    assert run["settings"]["semantics"] == studio.preset().semantics
    board = shots[-1][3]
    assert [row["method"] for row in board["runs"][0]["rows"]][0] == "Bicubic"
    assert board["runs"][0]["rows"][0]["scores"]["psnr"]["text"].endswith("dB")
    assert board_value(Board(desk.board._folder).runs())["runs"]


def test_benchmark_can_be_cancelled_and_saves_nothing(studio, desk, two_samples):
    async def scene() -> list:
        shots = []
        async for shot in flows.benchmark(desk, flows.EMPTY, None, "me"):
            shots.append(shot)
            if len(shots) == 2:
                desk.cancel("me")
        return shots

    assert "no run was saved" in line(asyncio.run(scene())[-1])["text"]
    assert desk.board.runs() == []


def test_files_come_under_unguessable_ids(studio, desk, two_samples, tmp_path, monkeypatch):
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "home"))
    desk.board = Board(tmp_path / "home" / "evaluations")
    key = keep(studio, make_patch())
    value = evaluate(desk, key, "wald")[-1][2]
    run = collect(flows.benchmark(desk, flows.EMPTY, key, "me"))[-1][3]["runs"][0]
    client = TestClient(Starlette(routes=evaluate_routes(studio)))
    table = client.get(value["links"]["csv"])
    assert "attachment" in table.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(table.text.lstrip("\ufeff"))))
    assert {row["metric"] for row in rows} == set(CHEAP)
    assert {row["method"] for row in rows} == {"bicubic", "base", "refined"}
    assert all(row["provenance"] for row in rows if row["value"])
    sheet = client.get(value["links"]["json"]).json()
    assert sheet["run"]["weights"]["name"] == "mini" and sheet["truth"] == "wald"
    maps = value["maps"]
    urls = [*maps["pictures"].values(), *maps["truths"], *maps["layers"][0]["urls"][0].values()]
    for url in [*urls, maps["layers"][3]["urls"][0]["refined"]]:
        assert client.get(url).content.startswith(b"\x89PNG"), url
    stem = maps["truths"][0].rpartition("/")[0]
    for wrong in ("error-refined-9.png", "truth-9.png", "x.png", "error-sr-0.png", "error.png"):
        assert client.get(f"{stem}/{wrong}").status_code == 404
    assert client.get(f"ldsr/e/{key}/refined.png").status_code == 404
    assert len(csv.reader(io.StringIO(client.get(run["links"]["csv"]).text)).__next__()) > 8
    assert json.loads(client.get(run["links"]["json"]).text)["patches"] == 2
    assert client.get("ldsr/b/none.csv").status_code == 404


def test_missing_weights_have_a_button_and_no_folder_of_the_server():
    fix = "Fetch one: python -m ldsr weights fetch mobile-sam (40 MB) or sam-vit-b (375 MB)."
    score = _plain(unavailable(METRICS["sms"], "Not at /root/secret.", fix))
    assert missing_weights(score) == ["mobile-sam", "sam-vit-b"]
    assert "/root" not in score.reason and "not on this server" in score.reason
    score = _plain(unavailable(METRICS["clip_iqa"], "At /root.", "Install it: pip install pyiqa."))
    assert missing_weights(score) == [] and "/root" not in score.reason


def test_the_current_result_is_described(studio):
    assert current_value(None, None)["key"] is None
    patch = make_patch()
    assert current_value("x", Shown(patch))["line"] == "No result yet"
    key = keep(studio, patch)
    assert current_value(key, studio.store.get(key))["picture"].endswith("/refined-true.png")
    assert result_value() == {"mode": "empty"}


def test_a_full_line_is_a_sentence(studio, desk, monkeypatch):
    key = keep(studio, make_patch())

    def full(*args, **options):
        raise LdsrError("20 runs are already waiting; please try again in a few minutes.")

    monkeypatch.setattr(studio, "start", full)
    assert "already waiting" in line(evaluate(desk, key, "wald")[-1])["text"]


def test_nothing_heavy_is_imported_before_the_button():
    code = (
        "import sys, ldsr.web.evaluate.tab, ldsr.web.evaluate.files\n"
        "heavy = {'pyiqa', 'torchmetrics', 'skimage', 'torch', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
