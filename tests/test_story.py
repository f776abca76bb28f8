"""The prepared story: made by the shipped weights, complete, and one page that needs nothing."""

import base64
import dataclasses
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from evaluation import consistency
from evaluation.protocol import wald
from ldsr import Pipeline, Settings, render
from ldsr.calibration import FILE as CALIBRATION
from ldsr.data.samples import FOLDER as SAMPLES
from ldsr.data.samples import load_sample
from ldsr.errors import LdsrError
from ldsr.manifest import ASSETS as WEIGHTS
from ldsr.result import SCALE
from ldsr.settings import PRESETS
from ldsr.web.hosting.headers import Headers
from ldsr.web.story import FOLDER, policy, read_story, story_page, story_routes
from ldsr.web.theme import asset

ROOT = Path(__file__).resolve().parents[1]
STORY = json.loads((FOLDER / "story.json").read_text(encoding="utf-8"))
CHEAP = "austria_fields"
AGAIN = "the story is stale: run PYTHONPATH=. python assets/story/make_story.py"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def picture(key: str, name: str) -> np.ndarray:
    with Image.open(FOLDER / f"{key}-{name}.webp") as found:
        return np.asarray(found.convert("RGB"), np.float64)


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.square(first - second).mean())


def test_made_by_what_ships() -> None:
    made = STORY["made"]
    files = made["weights"]["files"]
    assert made["weights"]["name"] == "mini"
    assert made["weights"]["sha256"] == digest(WEIGHTS / "mini-v1.safetensors"), AGAIN
    assert "mini-refiner-v1.safetensors" in files
    assert files == {name: digest(WEIGHTS / name) for name in files}, AGAIN
    assert made["calibration_sha256"] == digest(WEIGHTS / CALIBRATION), AGAIN
    told = Settings.from_json(json.dumps(made["settings"]))
    free = {"samples": told.samples, "temperature": told.temperature}
    assert told == dataclasses.replace(PRESETS[made["preset"]], **free), AGAIN
    for sample in STORY["samples"]:
        assert sample["sha256"] == digest(SAMPLES / f"{sample['key']}.tif"), AGAIN


def test_every_picture_is_there_and_shown() -> None:
    page = asset("story.html")
    listed, total = set(), 0
    for sample in STORY["samples"]:
        for name, told in sample["pictures"].items():
            content = (FOLDER / told["file"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == told["sha256"]
            assert f'data-picture="{name}"' in page
            with Image.open(io.BytesIO(content)) as found:
                assert found.format == "WEBP" and list(found.size[::-1]) == told["size"]
            listed.add(told["file"])
            total += len(content)
        assert set(re.findall(r'data-picture="(\w+)"', page)) == set(sample["pictures"])
    assert listed == {path.name for path in FOLDER.glob("*.webp")}
    assert total < 4_000_000


def test_story_tells_of_several_kinds_and_of_failure() -> None:
    assert 3 <= len(STORY["samples"]) <= 5
    words = json.loads((FOLDER / "words.json").read_text(encoding="utf-8"))
    assert list(words) == [sample["key"] for sample in STORY["samples"]]
    for of in words.values():
        assert of["look"] and of["doubt"]
        assert not re.search(r"\d", of["look"] + of["doubt"]), "numbers come from the computation"
    assert any("does not do well" in of["doubt"] for of in words.values())
    for sample in STORY["samples"]:
        assert {score["name"] for score in sample["scores"]} == {"psnr", "ssim", "lpips"}
        for score in sample["scores"]:
            assert set(score["values"]) == {"bicubic", "base", "refined"}
            assert score["sees"] and score["misses"] and score["provenance"]
        assert 0 < sample["consistency"]["after"] < 1e-3
        assert sample["uncertainty"]["samples"] >= 4 and sample["seconds"]["total"] > 0


def test_numbers_are_those_of_the_weights() -> None:
    """One place again; another processor rounds otherwise (bfloat16 or not), hence the margins."""
    told = next(sample for sample in STORY["samples"] if sample["key"] == CHEAP)
    pipeline, patch = Pipeline.load("mini", device="cpu"), load_sample(CHEAP)
    settings = PRESETS[STORY["made"]["preset"]]
    result = pipeline(patch, settings)
    found = {"before": result.residual_before, "after": result.residual_after}
    assert found == pytest.approx({name: told["consistency"][name] for name in found}, rel=0.25)
    assert result.detail_figures()["mean"] == pytest.approx(told["detail"]["mean"], abs=0.03)
    for name, steps in told["steps"].items():
        figures = result.figures[name]
        assert (figures.steps_computed, figures.steps_skipped) == (
            steps["computed"],
            steps["skipped"],
        )
    stretch = render.stretch_of(patch)
    for name, of in {"base": result.base, "refined": result.sr}.items():
        drawn = render.true_colour(of.reflectance, stretch)[..., :3]
        assert psnr(picture(CHEAP, name), drawn) > 34, AGAIN
    exact = render.true_colour(patch.reflectance, stretch)[..., :3]
    assert np.array_equal(picture(CHEAP, "input"), exact)
    seen = consistency.judge(
        render.upsample(patch, SCALE),
        patch.reflectance,
        sr_valid=result.sr.valid,
        lr_valid=patch.valid,
    )
    assert seen.reflectance == pytest.approx(told["seen_again"]["bicubic"], rel=1e-4)


def test_scores_are_those_of_the_protocol() -> None:
    from evaluation.judge import Judge
    from evaluation.methods import bicubic

    told = next(sample for sample in STORY["samples"] if sample["key"] == CHEAP)
    pipeline, case = Pipeline.load("mini", device="cpu"), wald(load_sample(CHEAP))
    run = pipeline(case.lr, PRESETS[STORY["made"]["preset"]])
    pictures = {"bicubic": bicubic(pipeline).run(case.lr), "base": run.base, "refined": run.sr}
    judge = Judge(metrics=("psnr", "ssim"))
    for name, of in pictures.items():
        for score in judge.scores(of, lr=case.lr, hr=case.hr):
            expected = next(x for x in told["scores"] if x["name"] == score.metric.name)
            margin = 0.1 if score.metric.name == "psnr" else 0.005
            assert score.value == pytest.approx(expected["values"][name], abs=margin), AGAIN


def test_page_holds_all_it_needs() -> None:
    page = story_page().decode()
    fetched = re.findall(r'(?:src|href)="([^"]*)"', page) + re.findall(r"url\(([^)]*)\)", page)
    assert [x for x in fetched if not x.startswith("data:")] == ["present?download=1"]
    assert "http://www.w3.org/2000/svg" in page
    assert not re.findall(r'https?://(?!www\.w3\.org)[^\s"<]+', page)
    assert f'content="{policy(page.encode())}"' in page
    assert "default-src 'none'" in page and "unsafe-eval" not in page
    story = read_story()
    source = story["samples"][0]["pictures"]["input"]["src"]
    assert base64.b64decode(source.partition(",")[2]) == (
        (FOLDER / story["samples"][0]["pictures"]["input"]["file"]).read_bytes()
    )
    assert not re.search(
        r"\b(STYLE|SCRIPT|STORY|ICON|FILE|POLICY)\b", re.sub(r'"data:[^"]*"', "", page)
    )


def test_served_under_the_strict_headers() -> None:
    guards = [Middleware(Headers)]
    client = TestClient(Starlette(routes=story_routes(), middleware=guards))
    answer = client.get("/ldsr/present")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    said = answer.headers["content-security-policy"]
    assert "default-src 'none'" in said and "img-src data:" in said
    assert "frame-ancestors 'self'" in said and "unsafe-eval" not in said
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = client.get("/ldsr/present", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content
    saved = client.get("/ldsr/present?download=1")
    assert saved.content == answer.content
    assert "ldsr-studio-story.html" in saved.headers["content-disposition"]


def test_a_missing_story_is_said_in_a_sentence(tmp_path, monkeypatch) -> None:
    with pytest.raises(LdsrError, match="make_story"):
        read_story(tmp_path)
    (tmp_path / "story.json").write_text("{")
    with pytest.raises(LdsrError, match="make_story"):
        story_page(tmp_path)


def test_needs_no_model() -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from ldsr.web.story import story_page\n"
        "assert story_page().startswith(b'<!doctype html>')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
