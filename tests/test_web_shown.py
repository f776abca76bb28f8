"""What the page shows of a run, without a browser: facts, overlays, pictures, downloads."""

import dataclasses
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rasterio.warp import transform as warp
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.data.patch import Patch, Source
from ldsr.settings import Settings
from ldsr.web.files import GONE, routes
from ldsr.web.pictures import Shown
from ldsr.web.resolve import facts, views
from ldsr.web.studio import Studio
from tests.conftest import make_patch
from tests.fakes import FakePipeline, make_named_patch


@pytest.fixture
def patch() -> Patch:
    return make_named_patch()


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def studio(monkeypatch, pipeline, patch) -> Studio:
    samples = (SimpleNamespace(key="field", name="Field, somewhere"),)
    for module in ("ldsr.web.studio", "ldsr.web.files"):
        monkeypatch.setattr(f"{module}.list_samples", lambda: samples)
        monkeypatch.setattr(f"{module}.load_sample", lambda key: patch)
    return Studio(pipeline)


def run(pipeline: FakePipeline, patch: Patch, **settings):
    return pipeline(
        patch, Settings(**{"steps": 3, "refine_steps": 2} | settings), lambda step: None
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (112, "112th")],
)
def test_ordinal(number, text):
    assert views.ordinal(number) == text


def test_values_for_the_page_are_json_and_say_what_matters(pipeline, patch):
    settings = {"steps": 8, "refine_steps": 4, "skip_threshold": 0.1, "detail_cap": 0.5}
    result = run(pipeline, patch, **settings)
    value = views.viewer_value("ID", Shown(patch, result, "field"))
    text = json.dumps(value, ensure_ascii=False)
    for fact in (
        "1.5 s",
        "6 computed, 2 skipped",
        "4 computed, 0 skipped",
        "Base, latent diffusion, DDIM",
        "1.0 s, residual 0.00004",
        "0.0123 → 0.00004",
        "0.20%",
        "20 × 16 → 80 × 64 px",
        "forest 60%, water 40%",
        "Land cover, spectral rules",
    ):
        assert fact in text
    assert ["Mean detail", "0.25"] in [chip[:2] for chip in value["chips"]]
    assert value["links"]["sr"] == "ldsr/r/ID/c_d__sr.tif"
    assert (value["width"], value["height"]) == (80, 64)
    assert list(value["pictures"]) == ["input", "base", "refined"]
    assert views.viewer_value("ID", Shown(patch))["links"] is None


def test_overlays_have_a_legend_from_zero_to_the_cap(pipeline, patch):
    shown = Shown(patch, run(pipeline, patch, detail_cap=0.4))
    overlays = views.viewer_value("ID", shown)["overlays"]
    assert overlays["detail"]["ticks"] == ["0", "0.1", "0.2", "0.3", "0.4"]
    assert "0 is the base" in overlays["detail"]["text"]
    assert "does not rank" not in overlays["detail"]["text"]
    assert overlays["difference"]["ticks"][-1] == "0.01" and "tags" not in overlays


def test_a_map_that_does_not_tell_places_apart_says_so(pipeline, patch):
    shown = Shown(patch, run(pipeline, patch, base="regression"))
    text = views.viewer_value("ID", shown)["overlays"]["detail"]["text"]
    assert "does not rank where refining helps" in text


def test_without_stage_two_nothing_of_it_is_shown(pipeline, patch):
    result = run(pipeline, patch, refine=False, base="bicubic")
    value = views.viewer_value("ID", Shown(patch, result))
    assert list(value["pictures"]) == ["input", "base"] and value["overlays"] == {}
    assert "detail" not in value["links"] and not value["sensitivity"]["can"]
    chips = {chip[0]: chip[1] for chip in value["chips"]}
    assert chips["Base, bicubic"] == "no steps" and "Mean detail" not in chips


def test_progress_goes_from_stage_to_stage_without_turning_back():
    def share(settings, part, step, steps, **more):
        step = SimpleNamespace(part=part, step=step, steps=steps)
        return views.progress(settings, step, **more)

    settings = Settings(steps=8, refine_steps=4)
    parts = [(part, step, 4) for part in views.PARTS for step in (1, 2, 4)]
    shares = [share(settings, *part) for part in parts]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert share(Settings(refine=False), "consistency", 1, 1) == 1.0
    assert share(settings, "refine consistency", 1, 1, measuring=True) == 1.0
    assert share(settings, "refine encode", 1, 1, measuring=True) < 0.2
    assert share(Settings(base="bicubic"), "decode", 1, 1) <= share(settings, "decode", 1, 1)


def test_sentence_about_tags_survives_a_refinement_that_changed_nothing(pipeline, patch):
    result = run(pipeline, patch)
    shown = Shown(patch, result)
    shown.sensitivity = pipeline.prompt_sensitivity(result, on_step=lambda step: None)
    shown.sensitivity.refinement = 0.0
    assert facts.sensitivity_text(shown).endswith("on average.")


def test_routes(studio, pipeline, patch):
    shown = Shown(patch, run(pipeline, patch), "field")
    shown.sensitivity = pipeline.prompt_sensitivity(shown.result, lambda step: None)
    key = studio.keep(shown)
    value = views.viewer_value(key, shown)
    client = TestClient(Starlette(routes=routes(studio)))
    seen = set()
    for name in ("input", "base", "refined"):
        for urls in (value["pictures"][name]["urls"], value["links"]["png"][name]):
            for colours in ("true", "false"):
                content = client.get(f"/{urls[colours]}").content
                assert Image.open(io.BytesIO(content)).size == (80, 64)
                seen.add(content)
    assert len(seen) == 6, "three pictures in two colours, the download as on the screen"
    for name in ("detail", "difference", "tags"):
        picture = client.get(f"/ldsr/r/{key}/overlay-{name}.png").content
        assert Image.open(io.BytesIO(picture)).size == (80, 64)
    sheet = client.get(f"/{value['links']['json']}")
    assert (
        sheet.json()["settings"]["steps"] == 3
        and "attachment" in sheet.headers["content-disposition"]
    )
    for name in ("sr", "base", "detail"):
        tif = client.get(f"/{value['links'][name]}")
        assert tif.content[:2] in (b"II", b"MM")
        assert f"_{name}.tif" in tif.headers["content-disposition"]
    assert client.get("/ldsr/sample/field.png").content[:4] == b"\x89PNG"
    for path in (f"/ldsr/r/{key}/../../app.py", f"/ldsr/r/{key}/x.tif", "/ldsr/sample/nothing.png"):
        assert client.get(path).status_code == 404
    assert client.get("/ldsr/r/unknown/refined-true.png").text == GONE


def test_preview_route_draws_the_stage_that_is_asked_for(studio, patch):
    job = SimpleNamespace(patch=patch, preview={"base": np.zeros((4, 64, 80), np.float32)})
    key = studio.watch(job)
    client = TestClient(Starlette(routes=routes(studio)))
    found = client.get(f"/ldsr/p/{key}/base-1-true.png")
    assert Image.open(io.BytesIO(found.content)).size == (80, 64)
    assert client.get(f"/ldsr/p/{key}/refine-1-true.png").status_code == 204
    assert client.get("/ldsr/p/unknown/base-1-true.png").status_code == 204


def cloudy(patch: Patch, rows: int) -> Patch:
    scl = np.full(patch.size, 4, np.uint8)
    scl[:rows] = 8
    scl[-1, :4], scl[-1, 4:6] = 3, 11
    return dataclasses.replace(patch, scl=scl)


def test_a_cloudy_input_is_marked_and_warned_of(patch, pipeline):
    shown = Shown(cloudy(patch, 8))
    value = views.viewer_value("ID", shown)
    assert (
        value["warning"].startswith("50\u00a0% of this box is cloud") and value["mode"] == "input"
    )
    assert list(value["overlays"]) == ["scl"]
    classes = value["overlays"]["scl"]["classes"]
    assert [(name, share) for name, _, share in classes] == [
        ("Cloud", "50%"),
        ("Shadow", "1%"),
        ("Snow", "1%"),
    ]
    assert ["Cloud", "50% cloud, 1% shadow, 1% snow"] in [chip[:2] for chip in value["chips"]]
    done = Shown(shown.patch, run(pipeline, shown.patch))
    value = views.viewer_value("ID", done)
    assert list(value["overlays"]) == ["detail", "difference", "scl"] and value["warning"]
    assert list(views.viewer_value("ID", done, input_only=True)["overlays"]) == ["scl"]
    assert done.result.run_sheet()["scene_classification"] == {
        "cloud": 0.5,
        "shadow": 0.0125,
        "snow": 0.0063,
    }


def test_a_clear_input_and_one_that_nobody_classified(patch, pipeline):
    few = views.viewer_value("ID", Shown(cloudy(patch, 1)))
    assert few["warning"] == "" and list(few["overlays"]) == ["scl"]
    clear = dataclasses.replace(patch, scl=np.full(patch.size, 4, np.uint8))
    value = views.viewer_value("ID", Shown(clear))
    assert value["overlays"] == {} and "0% cloud" in str(value["chips"])
    value = views.viewer_value("ID", Shown(patch))
    assert value["overlays"] == {} and value["warning"] == "" and "cloud" not in str(value["chips"])
    assert run(pipeline, patch).run_sheet()["scene_classification"] is None


def test_the_classification_is_served_for_an_input(studio, patch):
    key = studio.keep(Shown(cloudy(patch, 8)))
    client = TestClient(Starlette(routes=routes(studio)))
    drawn = np.asarray(Image.open(io.BytesIO(client.get(f"/ldsr/r/{key}/overlay-scl.png").content)))
    assert drawn.shape == (64, 80, 4) and (drawn[:32, :, 3] == 255).all()
    assert (drawn[32:60, :, 3] == 0).all()
    assert client.get(f"/ldsr/r/{key}/overlay-detail.png").status_code == 404


def test_where_and_how_a_scene_was_taken_stands_beside_it():
    source = Source(kind="scene", name="S2B", baseline="05.11", catalogue="https://a.example c1")
    lines = dict(facts.provenance(dataclasses.replace(make_patch(), source=source)))
    assert lines["Processing baseline"] == "05.11" and lines["Catalogue"] == "https://a.example c1"
    (lon,), (lat,) = warp("EPSG:32632", "EPSG:4326", [680160], [5151880])
    assert lines["Position"] == f"{lat:.4f}° N, {lon:.4f}° E; EPSG:32632"
    plain = dict(facts.provenance(make_patch(georeferenced=False)))
    assert "no" in plain["Position"] and "Catalogue" not in plain
