"""The page without a browser: the line, runs, what is kept, what is shown, what is refused."""

import asyncio
import io
import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.data.patch import Patch, Source
from ldsr.errors import AmbiguousPatchError, LdsrError, PatchError
from ldsr.render import upsample
from ldsr.result import SuperResolution
from ldsr.settings import PRESETS, Settings
from ldsr.web import flows, session, views
from ldsr.web.files import GONE, routes
from ldsr.web.resolve_tab import apply_preset, to_settings
from ldsr.web.session import Job, Line, Store
from ldsr.web.studio import Studio

PATIENCE = 30.0


class FakePipeline:
    """Enlarges; waits at a gate before each step, so that a test decides how far a run goes."""

    name, sha256, device = "mini", "ab" * 32, "cpu"

    def __init__(self) -> None:
        self.gate = threading.Semaphore(10**6)
        self.busy = 0
        self.most_busy = 0
        self.seen: list[int] = []

    def __call__(self, patch, settings, on_step) -> SuperResolution:
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        self.seen.append(settings.seed)
        try:
            fine = upsample(patch)
            for step in range(1, settings.steps + 1):
                on_step(
                    SimpleNamespace(
                        part="denoise", step=step, steps=settings.steps, preview=lambda: fine
                    )
                )
                assert self.gate.acquire(timeout=PATIENCE)
        finally:
            self.busy -= 1
        valid = patch.valid.repeat(4, 0).repeat(4, 1)
        sr = Patch(reflectance=fine.astype(np.float32), valid=valid, source=patch.source)
        return SuperResolution(
            lr=patch,
            base=sr,
            sr=sr,
            settings=settings,
            weights=self.name,
            weights_sha256=self.sha256,
            seconds={"denoise": 1.0, "total": 1.5},
            steps_computed=settings.steps,
            residual_before=0.0123,
            residual_after=0.00004,
            out_of_range=0.002,
        )


class BrokenPipeline(FakePipeline):
    def __call__(self, patch, settings, on_step) -> SuperResolution:
        raise RuntimeError("a secret path")


def closed_gate() -> FakePipeline:
    pipeline = FakePipeline()
    pipeline.gate = threading.Semaphore(0)
    return pipeline


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def collect(generator) -> list:
    async def drain() -> list:
        return [item async for item in generator]

    return asyncio.run(drain())


@pytest.fixture
def patch() -> Patch:
    values = np.random.default_rng(0).uniform(0.02, 0.4, (4, 16, 20)).astype(np.float32)
    return Patch(
        reflectance=values, valid=np.ones((16, 20), bool), source=Source(name="a b/c<d>.tif")
    )


@pytest.fixture
def studio(monkeypatch, patch) -> Studio:
    """A studio with one sample and no first run."""
    samples = (SimpleNamespace(key="field", name="Field, somewhere"),)
    for module in ("ldsr.web.studio", "ldsr.web.files", "ldsr.web.flows"):
        monkeypatch.setattr(f"{module}.list_samples", lambda: samples)
        monkeypatch.setattr(f"{module}.load_sample", lambda key: patch)
    return Studio(FakePipeline())


# the line


def test_line_serves_in_order_and_tells_the_place():
    line = Line()
    first, second, third = line.join(), line.join(), line.join()
    assert [line.place(ticket) for ticket in (first, second, third)] == [0, 1, 2]
    assert line.wait(first, 0) and not line.wait(second, 0.01)
    line.leave(second)
    assert line.place(third) == 1
    line.leave(first)
    line.leave(first)
    assert line.wait(third, 0)


def test_full_line_turns_away_with_a_sentence(monkeypatch):
    monkeypatch.setattr(session, "MAX_WAITING", 1)
    line = Line()
    line.join(), line.join()
    with pytest.raises(LdsrError, match="already waiting"):
        line.join()


def test_one_run_at_a_time_and_none_lost(patch):
    pipeline, line = FakePipeline(), Line()
    jobs = [Job(pipeline, line, patch, Settings(steps=2, seed=seed)) for seed in range(6)]
    wait_for(lambda: all(job.ended for job in jobs))
    assert [job.state for job in jobs] == ["done"] * 6
    assert pipeline.most_busy == 1 and pipeline.seen == list(range(6))


def test_cancel_frees_the_line_for_the_next(patch):
    pipeline, line = closed_gate(), Line()
    running = Job(pipeline, line, patch, Settings(steps=5))
    wait_for(lambda: running.step is not None)
    waiting, last = (
        Job(pipeline, line, patch, Settings(steps=1)),
        Job(pipeline, line, patch, Settings(steps=1)),
    )
    assert (waiting.place, last.place) == (1, 2)
    waiting.cancel()
    wait_for(lambda: waiting.ended)
    assert last.place == 1
    running.cancel()
    pipeline.gate.release(100)
    wait_for(lambda: running.ended and last.ended)
    assert (running.state, waiting.state, last.state) == ("cancelled", "cancelled", "done")


def test_a_fault_is_a_sentence_and_frees_the_line(patch):
    line = Line()
    job = Job(BrokenPipeline(), line, patch, Settings())
    wait_for(lambda: job.ended)
    assert job.state == "failed" and "secret" not in job.message and job.message.endswith(".")
    after = Job(FakePipeline(), line, patch, Settings(steps=1))
    wait_for(lambda: after.state == "done")


# the store


def test_store_drops_the_least_recently_used_but_never_the_newest_or_pinned():
    store = Store(budget=10)
    pinned = store.put("pinned", 4, pinned=True)
    old, used = store.put("old", 3), store.put("used", 3)
    assert store.get(old) == "old" and store.get(used) == "used" and store.get(old) == "old"
    big = store.put("big", 5)
    assert store.get(used) is None and store.get(pinned) == "pinned" and store.get(big) == "big"
    huge = store.put("huge", 99)
    assert store.get(huge) == "huge" and store.get(pinned) == "pinned" and store.get(None) is None


# what is shown


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd"), (112, "112th")],
)
def test_ordinal(number, text):
    assert views.ordinal(number) == text


def test_values_for_the_page_are_json_and_say_what_matters(studio, patch):
    result = studio.pipeline(patch, Settings(steps=3, seed=7), lambda step: None)
    value = views.viewer_value("ID", views.Shown(patch, result, "field"))
    text = json.dumps(value, ensure_ascii=False)
    for fact in ("1.5 s", "3 DDIM", "mini", "0.0123 → 0.00004", "0.20%", "20 × 16 → 80 × 64 px"):
        assert fact in text
    assert value["links"]["tif"] == "ldsr/r/ID/c_d__sr.tif"
    assert (value["width"], value["height"]) == (80, 64)
    assert views.viewer_value("ID", views.Shown(patch))["links"] is None


def test_link_restores_the_settings():
    settings = Settings(
        steps=13, sampler="dpm", eta=0.25, temperature=0.3, consistency="box", seed=4294967295
    )
    query = views.share_query(settings, "field")
    pairs = dict(pair.split("=") for pair in query[1:].split("&"))
    assert pairs["sample"] == "field" and views.from_query(pairs) == settings
    assert views.from_query({}) == PRESETS["balanced"]
    for bad in ({"steps": "many"}, {"eta": "nan"}, {"sampler": "<script>"}, {"seed": "-1"}):
        with pytest.raises(LdsrError):
            views.from_query(bad)


def test_presets_and_controls():
    assert to_settings(8.0, "ddim", 0, None, "psf", None) == PRESETS["balanced"]
    for name in PRESETS:
        assert flows.preset_of(*apply_preset(name)) == name
    assert flows.preset_of(9, "ddim", 0) is None
    with pytest.raises(LdsrError, match="seed"):
        to_settings(8, "ddim", 0, 0.5, "psf", 2**32)


# what happens


def test_a_run_ends_with_a_result_and_shows_steps(studio, patch):
    state = flows.took(studio, patch, "field")[0]
    shots = collect(flows.resolve(studio, state, Settings(steps=2), "me"))
    assert shots[0][1]["mode"] == "busy" and shots[-1][1]["mode"] == "result"
    assert shots[-1][2]["state"] == "done" and not studio.jobs
    assert shots[-1][3]["interactive"] and not shots[-1][4]["interactive"]


def test_cancel_keeps_the_previous_result(studio, patch):
    state = collect(
        flows.resolve(studio, flows.took(studio, patch, "field")[0], Settings(steps=1), "me")
    )[-1][0]
    studio.pipeline = closed_gate()

    async def run_and_cancel() -> list:
        shots = []
        async for shot in flows.resolve(studio, state, Settings(steps=50), "me"):
            shots.append(shot)
            if len(shots) == 3:
                assert studio.cancel("me")
                studio.pipeline.gate.release(100)
        return shots

    last = asyncio.run(run_and_cancel())[-1]
    assert (
        "Cancelled" in last[2]["text"]
        and last[1] == state["viewer"]
        and last[1]["mode"] == "result"
    )


def test_leaving_the_page_frees_the_model(studio, patch):
    state = flows.took(studio, patch, "field")[0]
    studio.pipeline = closed_gate()

    async def leave() -> None:
        generator = flows.resolve(studio, state, Settings(steps=50), "me")
        await anext(generator)
        await generator.aclose()

    asyncio.run(leave())
    studio.pipeline.gate.release(100)
    after = collect(flows.resolve(studio, state, Settings(steps=1), "you"))
    assert after[-1][2]["state"] == "done" and not studio.jobs


def test_a_new_input_stops_the_old_run_from_writing(studio, patch):
    state = flows.took(studio, patch, "field")[0]
    studio.pipeline = closed_gate()

    async def interrupt() -> int:
        count = 0
        async for _ in flows.resolve(studio, state, Settings(steps=50), "me"):
            count += 1
            studio.take_turn("me")
            studio.pipeline.gate.release(100)
        return count

    assert asyncio.run(interrupt()) == 1


def test_bad_upload_is_one_sentence_and_keeps_what_was_there(studio, patch, tmp_path, monkeypatch):
    state = collect(
        flows.resolve(studio, flows.took(studio, patch, "field")[0], Settings(steps=1), "me")
    )[-1][0]
    for error in (PatchError("It has 3 bands."), RuntimeError("a secret path")):
        monkeypatch.setattr(
            flows, "read_patch", lambda *a, error=error, **k: (_ for _ in ()).throw(error)
        )
        shot = flows.read_upload(studio, state, {"paths": [str(tmp_path / "x.tif")], "answers": {}})
        assert shot[1] == state["viewer"] and shot[2]["state"] == "error"
        assert "secret" not in shot[2]["text"] and shot[2]["text"].endswith(".")


def test_ambiguous_upload_is_asked_and_read_again_with_the_answers(studio, patch, monkeypatch):
    seen = []

    def read(path, **answers):
        seen.append(answers)
        for question, choices in (("bands", ("R,G", "G,R")), ("scale", ("a", "b"))):
            if question not in answers:
                raise AmbiguousPatchError("Which?", question=question, choices=choices)
        return patch

    monkeypatch.setattr(flows, "read_patch", read)
    asked = flows.read_upload(studio, flows.EMPTY, {"paths": ["x.tif"], "answers": {}})
    assert asked[0]["pending"]["question"] == "bands" and asked[2]["state"] == "ask"
    assert [value for _, value in asked[8].choices] == ["R,G", "G,R"]
    again = flows.read_upload(studio, asked[0], {"paths": ["x.tif"], "answers": {"bands": "R,G"}})
    assert again[0]["pending"]["question"] == "scale"
    done = flows.read_upload(
        studio, again[0], {"paths": ["x.tif"], "answers": {"bands": "R,G", "scale": "b"}}
    )
    assert done[0]["pending"] is None and done[1]["mode"] == "input"
    assert seen[-1] == {"bands": "R,G", "scale": "b"}


def test_first_sample_is_computed_once_and_shown_to_all(studio):
    studio.open_first()
    for visitor in ("me", "you"):
        last = collect(flows.open_page(studio, dict(flows.EMPTY), {}, visitor))[-1]
        assert last[1]["mode"] == "result"
    assert len(studio.pipeline.seen) == 1


def test_link_runs_its_settings_and_a_wrong_link_says_so(studio):
    last = collect(
        flows.open_page(studio, dict(flows.EMPTY), {"sample": "field", "seed": "5"}, "me")
    )
    assert last[-1][1]["mode"] == "result" and studio.pipeline.seen == [5]
    assert last[0][5:] == [{"key": "field"}, "balanced", 8, "ddim", 0.0, 1.0, "psf", 5]
    wrong = collect(flows.open_page(studio, dict(flows.EMPTY), {"steps": "0"}, "you"))
    assert "link" in wrong[0][2]["text"] and wrong[0][2]["state"] == "error"


# pictures and downloads


def test_routes(studio, patch):
    result = studio.pipeline(patch, Settings(steps=1), lambda step: None)
    key = studio.keep(views.Shown(patch, result, "field"))
    value = views.viewer_value(key, studio.store.get(key))
    client = TestClient(Starlette(routes=routes(studio)))
    for urls in (value["before"], value["after"], value["links"]["png"]):
        pictures = [client.get(f"/{urls[name]}") for name in ("true", "false")]
        assert [Image.open(io.BytesIO(picture.content)).size for picture in pictures] == [
            (80, 64)
        ] * 2
        assert pictures[0].content != pictures[1].content
    sheet = client.get(f"/{value['links']['json']}")
    assert (
        sheet.json()["settings"]["steps"] == 1
        and "attachment" in sheet.headers["content-disposition"]
    )
    tif = client.get(f"/{value['links']['tif']}")
    assert tif.content[:2] in (b"II", b"MM") and "attachment" in tif.headers["content-disposition"]
    assert client.get("/ldsr/sample/field.png").content[:4] == b"\x89PNG"
    for path in (f"/ldsr/r/{key}/../../app.py", f"/ldsr/r/{key}/x.tif", "/ldsr/sample/nothing.png"):
        assert client.get(path).status_code == 404
    assert client.get("/ldsr/r/unknown/after-true.png").text == GONE
