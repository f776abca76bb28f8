"""How sure a result is, without a browser: samples drawn, stopped, kept, shown, downloaded."""

import asyncio
import dataclasses
import io
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.data.patch import Patch
from ldsr.settings import Settings
from ldsr.steps import Step
from ldsr.web.files import routes
from ldsr.web.pictures import Frames, Shown
from ldsr.web.resolve import flows, trust, views
from ldsr.web.resolve.links import from_query, share_query
from ldsr.web.session import Job, Line
from ldsr.web.studio import Studio
from tests.fakes import (
    PLACE,
    FakePipeline,
    closed_gate,
    collect,
    make_named_patch,
    make_uncertainty,
    one_sample_studio,
    wait_for,
)

ASKED = (8, 0.0)
"""As many samples as are drawn where nobody says a number, and none left out."""


@pytest.fixture
def patch() -> Patch:
    return make_named_patch()


@pytest.fixture
def studio(monkeypatch, patch) -> Studio:
    return one_sample_studio(monkeypatch, patch)


def finished(studio, patch, **settings) -> dict:
    """The state of a visitor after one run."""
    state = flows.took(studio, patch, "field")[0]
    settings = Settings(**{"steps": 1, "refine_steps": 1} | settings)
    return collect(flows.resolve(studio, state, settings, "me"))[-1][0]


def sample_until(studio, state, drawn: int) -> list:
    """Draw samples, and cancel while the one after `drawn` is being drawn."""
    studio.pipeline = closed_gate()
    for _ in range(drawn - 1):
        studio.pipeline.gate.release()

    async def sample() -> list:
        shots = []
        async for shot in flows.sample(studio, state, ASKED, "me"):
            shots.append(shot)
            if shot[2]["text"] == f"Sample {drawn + 1} of 8":
                assert studio.cancel("me")
                studio.pipeline.gate.release(100)
        return shots

    return asyncio.run(sample())


# what happens


def test_samples_are_drawn_and_the_result_gets_a_new_id(studio, patch):
    state = finished(studio, patch)
    measured = studio.store.get(state["shown"])
    measured.sensitivity = studio.pipeline.prompt_sensitivity(measured.result, lambda step: None)
    shots = collect(flows.sample(studio, state, ASKED, "me"))
    assert not shots[0][3]["interactive"] and shots[0][4]["interactive"], "Cancel can be pressed"
    last = shots[-1]
    assert last[2]["text"] == "8 of 8 samples drawn." and last[2]["state"] == "done"
    assert last[0]["shown"] != state["shown"] and not studio.jobs
    before, shown = measured, studio.store.get(last[0]["shown"])
    assert before.uncertainty is None and before.samples == (), "what an id gives never changes"
    assert shown.result.sr is before.result.sr and shown.sensitivity is before.sensitivity
    assert len(shown.samples) == shown.uncertainty.samples == 8
    value = last[1]
    assert value["mode"] == "result" and value["sensitivity"]["text"]
    assert list(value["overlays"])[:2] == ["uncertainty", "edges"]
    assert value["links"]["uncertainty"].endswith("_uncertainty.tif")


def test_each_sample_is_kept_as_it_was_the_result_first(studio, patch):
    state = collect(flows.sample(studio, finished(studio, patch), (4, 0.0), "me"))[-1][0]
    shown = studio.store.get(state["shown"])
    for count, kept in enumerate(shown.samples):
        picture = shown.result.sr.reflectance + np.float32(0.002 * count)
        for name in ("true", "false"):
            drawn = Image.open(io.BytesIO(kept[name]))
            assert np.array_equal(drawn, shown.colour(picture, name)), (count, name)


def test_samples_end_early_once_the_map_has_settled(studio, patch):
    state = finished(studio, patch)
    last = collect(flows.sample(studio, state, (32, 0.2), "me"))[-1]
    assert last[2]["text"] == (
        "Settled after 6 of 32 samples: a further one changed the map by 16.7\u00a0%."
    )
    assert studio.store.get(last[0]["shown"]).result.settings.settle == 0.2


def test_cancelling_keeps_what_is_there(studio, patch):
    state = finished(studio, patch)
    shots = sample_until(studio, state, 5)
    last = shots[-1]
    assert last[2] | {"clock": None} == views.status("done", "Cancelled: kept 5 of 8 samples.")
    shown = studio.store.get(last[0]["shown"])
    assert len(shown.samples) == shown.uncertainty.samples == 5
    assert last[1]["trust"]["ask"] == trust.AGAIN and last[1]["trust"]["can"]


def test_cancelling_at_once_keeps_nothing(studio, patch):
    state = finished(studio, patch)
    last = sample_until(studio, state, 1)[-1]
    assert last[2]["text"] == trust.NOT_KEPT and last[2]["state"] == "idle"
    assert last[0] == state and last[1] == state["viewer"]
    assert studio.store.get(state["shown"]).samples == ()


def test_a_run_that_asks_for_samples_shows_its_picture_first(studio, patch):
    state = flows.took(studio, patch, "field")[0]
    settings = Settings(steps=1, refine_steps=1, samples=3)
    shots = collect(flows.resolve(studio, state, settings, "me"))
    modes = [shot[1]["mode"] for shot in shots]
    assert modes == sorted(modes), "busy, then the result, of which samples are drawn"
    assert all(shot[4]["interactive"] for shot in shots[:-1])
    assert shots[-1][2]["text"] == "3 of 3 samples drawn."
    assert from_query(pairs(shots[-1][1]["share"])).samples == 3


def pairs(query: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in query.removeprefix("?").split("&"))


def test_the_link_says_how_many_samples(patch):
    query = share_query(Settings(samples=6, settle=0.1), "field")
    assert from_query(pairs(query)).samples == 6 and from_query(pairs(query)).settle == 0.1


def test_a_plain_run_of_the_studio_draws_no_samples(studio, patch):
    _, job = studio.start("me", patch, Settings(steps=1, samples=8))
    wait_for(lambda: job.ended)
    assert job.state == "done" and job.result.uncertainty is None


def test_samples_stand_in_the_same_line_and_need_a_result(studio, patch):
    state = flows.took(studio, make_named_patch(), None)[0]
    only = collect(flows.sample(studio, state, ASKED, "me"))
    assert only[-1][2]["text"] == flows.NO_PICTURE
    done = finished(studio, patch)
    ticket = studio._line.join()

    async def wait_in_line() -> list:
        generator = flows.sample(studio, done, ASKED, "me")
        first = await anext(generator)
        studio.cancel("me")
        return [first, *[shot async for shot in generator]]

    shots = asyncio.run(wait_in_line())
    studio._line.leave(ticket)
    assert "2nd in line" in shots[0][2]["text"]
    assert shots[-1][2]["text"] == trust.NOT_KEPT and shots[-1][0] == done


def test_where_nothing_is_drawn_it_cannot_be_asked(studio, patch):
    state = finished(studio, patch, base="bicubic", refine=False)
    asked = state["viewer"]["trust"]
    assert not asked["can"] and "with base bicubic" in asked["why"]
    assert asked["text"] == asked["why"]
    last = collect(flows.sample(studio, state, ASKED, "me"))[-1]
    assert "draws nothing" in last[2]["text"] and last[2]["state"] == "error"


# the job


@pytest.mark.parametrize(("released", "ends"), [(0, "cancelled"), (3, "done")])
def test_enough_while_sampling_but_cancelled_before(patch, released, ends):
    pipeline = closed_gate()
    job = Job(pipeline, Line(), patch, Settings(steps=1, refine_steps=1, samples=8))
    for _ in range(released):
        pipeline.gate.release()
    part, step = ("sample", 2) if released else ("denoise", 1)
    wait_for(lambda: job.step is not None and (job.step.part, job.step.step) == (part, step))
    assert job.sampling == (part == "sample")
    job.cancel()
    pipeline.gate.release(100)
    wait_for(lambda: job.ended)
    assert job.state == ends
    if released:
        assert job.result.uncertainty.ended == "cancelled"


def test_frames_hold_pictures_and_no_arrays(patch):
    frames, fine = Frames(patch), np.full((4, 64, 80), 0.1, np.float32)
    for _ in range(3):
        frames.add(fine, fine[0] / 10)
    assert len(frames.samples) == 3 and frames.top == 0.01
    for png in (frames.spread, *frames.samples[0].values()):
        assert Image.open(io.BytesIO(png)).size == (80, 64)
    assert {type(png) for one in frames.samples for png in one.values()} == {bytes}
    kept = [value for value in vars(frames).values() if isinstance(value, np.ndarray)]
    assert [array.dtype for array in kept] == [bool], "no picture is kept as numbers"


# what is shown


def going(drawn: int, asked: int = 8, *, settle: float = 0.0, cancelling: bool = False):
    """A run with some samples, one in two seconds, the newest a second ago at time 100."""
    return SimpleNamespace(
        step=Step("sample", drawn, asked),
        settings=Settings(settle=settle),
        sampling=True,
        cancelling=cancelling,
        state="running",
        started=99.0 - 2 * (drawn - 1),
        sampled=99.0,
        frames=SimpleNamespace(samples=[{}] * (drawn - 1), top=0.02, spread=b""),
    )


def test_status_says_which_sample_and_how_long_the_rest_takes():
    line = views.job_status(going(3), 100.0)
    assert line["text"] == "Sample 4 of 8" and line["clock"] == "5.0 s, about 9 s left"
    assert line["share"] == pytest.approx(2.5 / 7)
    assert "up to 9 s left" in views.job_status(going(3, settle=0.02), 100.0)["clock"]
    assert views.job_status(going(1), 99.5)["clock"] == "0.5 s"
    assert views.job_status(going(8), 100.0)["text"] == "Comparing the samples"
    assert "Keeping" in views.job_status(going(3, cancelling=True), 100.0)["text"]


def test_the_map_emerges_over_the_picture(patch):
    shown = Shown(patch, FakePipeline()(patch, Settings(steps=1), lambda step: None))
    value = views.viewer_value("ID", shown)
    job = going(1)
    early = views.sampling_value(value, "JOB", job, views.job_status(job, 100.0))
    assert "uncertainty" not in early["overlays"] and early["trust"]["ask"] == trust.STOP
    job = going(4)
    later = views.sampling_value(value, "JOB", job, views.job_status(job, 100.0))
    emerging = later["overlays"]["uncertainty"]
    assert emerging["url"] == "ldsr/p/JOB/spread-3.png" and emerging["live"]
    assert emerging["ticks"][-1] == "0.02" and emerging["unit"] == "reflectance"
    assert later["trust"]["text"] == "Sample 5 of 8, about 7 s left" and later["mode"] == "result"
    assert "uncertainty" not in value["overlays"], "the value before stays as it was"


def test_emerging_map_is_served(studio, patch):
    client = TestClient(Starlette(routes=routes(studio)))
    frames = Frames(patch)
    key = studio.watch(SimpleNamespace(patch=patch, preview={}, frames=frames))
    assert client.get(f"/ldsr/p/{key}/spread-1.png").status_code == 204
    frames.add(np.full((4, 64, 80), 0.1, np.float32), np.full((64, 80), 0.01, np.float32))
    found = client.get(f"/ldsr/p/{key}/spread-1.png")
    assert Image.open(io.BytesIO(found.content)).size == (80, 64)
    assert client.get("/ldsr/p/unknown/spread-1.png").status_code == 204


def test_what_the_samples_say_stands_beside_the_picture(studio, patch):
    state = collect(flows.sample(studio, finished(studio, patch), ASKED, "me"))[-1][0]
    value = state["viewer"]
    found = value["trust"]["sampled"]
    assert found["badge"] == "calibrated for balanced" and found["calibrated"]
    assert found["about"] == "Fitted on aerial pictures of one city."
    assert found["summary"] == "1 place to check" and found["note"] == ""
    assert found["places"] == [
        {"text": PLACE.text, "points": [[12, 20], [32, 20], [32, 32], [12, 32], [12, 20]]}
    ]
    width, intervals = found["facts"]
    assert width[1] == "R\u00a00.0040, G\u00a00.0040, B\u00a00.0040, NIR\u00a00.0040"
    assert intervals[3] == found["about"] and "one city" in found["help"][1]
    overlay = value["overlays"]["uncertainty"]
    assert overlay["unit"] == "% of the brightness"
    level = studio.store.get(state["shown"]).uncertainty.mean.mean(0) + 0.02
    assert 100 * 0.004 / level.max() < float(overlay["ticks"][-1])
    edges = value["overlays"]["edges"]
    assert edges["ticks"][-1] == "1" and edges["unit"] == "metres"


def test_an_uncalibrated_map_says_so_and_why(studio, patch):
    state = finished(studio, patch, base="regression")
    value = collect(flows.sample(studio, state, ASKED, "me"))[-1][1]
    found = value["trust"]["sampled"]
    assert found["badge"] == "uncalibrated" and not found["calibrated"]
    assert found["about"] == "There is no calibration for these settings."
    assert "nothing about the ground" in found["help"][1]


def test_no_place_is_no_promise(patch):
    result = FakePipeline()(patch, Settings(steps=1), lambda step: None)
    found = dataclasses.replace(make_uncertainty(result, 8, 8, "all"), places=())
    shown = Shown(patch, dataclasses.replace(result, uncertainty=found))
    said = trust.value(shown)["sampled"]
    assert said["summary"] == "No place stands out" and "no promise" in said["note"]


def test_what_differs_from_the_input_can_be_laid_over(patch):
    result = FakePipeline()(patch, Settings(steps=1), lambda step: None)
    nothing = np.full(patch.size, 4e-5, np.float32)
    shown = Shown(patch, dataclasses.replace(result, residual=nothing))
    assert "residual" not in shown.overlays
    some = nothing.copy()
    some[2, 3] = 0.001
    shown = Shown(patch, dataclasses.replace(result, residual=some))
    values, top = shown.heat_values("residual")
    assert values.shape == (64, 80) and top == 0.005 and values[8:12, 12:16].min() == values.max()
    assert views.viewer_value("ID", shown)["overlays"]["residual"]["unit"] == "reflectance"


def test_overlays_and_the_file_are_served(studio, patch, tmp_path):
    state = collect(flows.sample(studio, finished(studio, patch), (3, 0.0), "me"))[-1][0]
    client = TestClient(Starlette(routes=routes(studio)))
    key, value = state["shown"], state["viewer"]
    for name in ("uncertainty", "edges"):
        picture = client.get(f"/{value['overlays'][name]['url']}").content
        assert Image.open(io.BytesIO(picture)).size == (80, 64)
    saved = tmp_path / "uncertainty.tif"
    saved.write_bytes(client.get(f"/{value['links']['uncertainty']}").content)
    with rasterio.open(saved) as file:
        assert (file.width, file.height) == (80, 64) and file.count > 4
    sheet = client.get(f"/{value['links']['json']}").json()
    assert sheet["uncertainty"]["samples"] == 3 and sheet["uncertainty"]["check_here"]
    plain = studio.keep(Shown(patch, FakePipeline()(patch, Settings(steps=1), lambda step: None)))
    assert client.get(f"/ldsr/r/{plain}/overlay-uncertainty.png").status_code == 404
    assert client.get(f"/ldsr/r/{key}/c_d__mean.tif").status_code == 404
