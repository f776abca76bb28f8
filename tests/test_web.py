"""The page without a browser: the line, runs, what is kept, what is shown, what is refused."""

import asyncio

import pytest

from ldsr.data.patch import Patch
from ldsr.errors import AmbiguousPatchError, LdsrError, PatchError
from ldsr.settings import Settings
from ldsr.web import session
from ldsr.web.pictures import Shown
from ldsr.web.resolve import flows, opening, views
from ldsr.web.session import Job, Line
from ldsr.web.store import Store
from ldsr.web.studio import Studio
from tests.fakes import (
    BaseOnlyPipeline,
    BrokenPipeline,
    FakePipeline,
    closed_gate,
    collect,
    make_named_patch,
    one_sample_studio,
    wait_for,
)

PLAIN = Settings(refine=False)


@pytest.fixture
def patch() -> Patch:
    return make_named_patch()


@pytest.fixture
def studio(monkeypatch, patch) -> Studio:
    return one_sample_studio(monkeypatch, patch)


def finished(studio, patch, settings=None) -> dict:
    """The state of a visitor after one run."""
    state = flows.took(studio, patch, "field")[0]
    settings = settings or Settings(steps=3, refine_steps=2)
    return collect(flows.resolve(studio, state, settings, "me"))[-1][0]


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


@pytest.mark.parametrize("part", ["denoise", "refine denoise"])
def test_cancel_in_either_stage_frees_the_line_for_the_next(patch, part):
    pipeline, line = closed_gate(), Line()
    first = Job(pipeline, line, patch, Settings(steps=2, refine_steps=50))
    if part == "refine denoise":
        pipeline.gate.release(2)
    wait_for(lambda: first.step is not None and first.step.part == part)
    waiting, last = (Job(pipeline, line, patch, PLAIN), Job(pipeline, line, patch, PLAIN))
    assert (waiting.place, last.place) == (1, 2)
    waiting.cancel()
    wait_for(lambda: waiting.ended)
    assert last.place == 1
    first.cancel()
    pipeline.gate.release(100)
    wait_for(lambda: first.ended and last.ended)
    assert (first.state, waiting.state, last.state) == ("cancelled", "cancelled", "done")


def test_a_fault_is_a_sentence_and_frees_the_line(patch):
    line = Line()
    job = Job(BrokenPipeline(), line, patch, Settings())
    wait_for(lambda: job.ended)
    assert job.state == "failed" and "secret" not in job.message and job.message.endswith(".")
    after = Job(FakePipeline(), line, patch, Settings(steps=1))
    wait_for(lambda: after.state == "done")


def test_both_stages_are_previewed(patch, monkeypatch):
    monkeypatch.setattr(session, "PREVIEW_EVERY", 0.0)
    monkeypatch.setattr(session, "PREVIEW_SHARE", 1.0)
    pipeline = closed_gate()
    job = Job(pipeline, Line(), patch, Settings(steps=3, refine_steps=3))
    pipeline.gate.release(4)
    wait_for(lambda: job.step is not None and job.step.part == "refine denoise")
    wait_for(lambda: "refine" in job.previews)
    value = views.busy_value(views.viewer_value("ID", Shown(patch)), "JOB", job)
    assert value["pictures"]["base"]["title"] == "Emerging base"
    assert value["pictures"]["refined"]["urls"]["true"].startswith("ldsr/p/JOB/refine-")
    pipeline.gate.release(100)
    wait_for(lambda: job.ended)


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


# what happens


def test_a_run_ends_with_a_result_and_shows_steps(studio, patch):
    state = flows.took(studio, patch, "field")[0]
    shots = collect(flows.resolve(studio, state, Settings(steps=2), "me"))
    assert shots[0][1]["mode"] == "busy" and shots[-1][1]["mode"] == "result"
    assert shots[-1][2]["state"] == "done" and not studio.jobs
    assert shots[-1][3]["interactive"] and not shots[-1][4]["interactive"]


@pytest.mark.parametrize("passed", [3, 60], ids=["in the base", "in the refinement"])
def test_cancel_keeps_the_previous_result(studio, patch, passed):
    state = finished(studio, patch)
    studio.pipeline = closed_gate()
    studio.pipeline.gate.release(passed)

    async def run_and_cancel() -> list:
        shots = []
        async for shot in flows.resolve(studio, state, Settings(steps=50, refine_steps=50), "me"):
            shots.append(shot)
            if len(shots) == 3:
                assert studio.cancel("me")
                studio.pipeline.gate.release(200)
        return shots

    last = asyncio.run(run_and_cancel())[-1]
    assert (
        "Cancelled" in last[2]["text"]
        and last[1] == state["viewer"]
        and last[1]["mode"] == "result"
    )


def test_a_run_that_was_asked_to_stop_says_so_until_it_has(patch):
    pipeline = closed_gate()
    job = Job(pipeline, Line(), patch, PLAIN)
    wait_for(lambda: job.step is not None)
    assert views.job_status(job, job.started)["text"] == "Base: denoising, step 1 of 8"
    job.cancel()
    assert views.job_status(job, job.started)["text"] == "Cancelling"
    pipeline.gate.release(100)
    wait_for(lambda: job.ended)


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


def test_a_new_input_waits_for_the_last_word_of_the_old_run(studio, patch):
    """What a run wrote later would stay on the page: busy for ever, and no way to run."""
    state = flows.took(studio, patch, "field")[0]
    studio.pipeline = closed_gate()

    async def interrupt() -> None:
        old = flows.resolve(studio, state, Settings(steps=50), "me")
        await anext(old)
        studio.take_turn("me")
        hushed = asyncio.create_task(asyncio.to_thread(studio.hush, "me"))
        await asyncio.sleep(0.1)
        assert not hushed.done()
        studio.pipeline.gate.release(100)
        assert [shot async for shot in old] == []
        await hushed

    asyncio.run(interrupt())
    studio.hush("me")
    assert not studio.jobs


def test_prompt_sensitivity_is_a_number_and_a_picture(studio, patch):
    state = finished(studio, patch)
    assert state["viewer"]["sensitivity"]["can"]
    shots = collect(flows.measure(studio, state, "me"))
    last = shots[-1][1]
    assert last["mode"] == "result" and not last["sensitivity"]["can"]
    for fact in ("forest 60%, water 40%", "0.0025 reflectance", "25% of", "(0.0100)"):
        assert fact in last["sensitivity"]["text"]
    assert last["overlays"]["tags"]["url"].endswith("overlay-tags.png")
    assert shots[-1][2]["state"] == "done" and last["pictures"] == state["viewer"]["pictures"]


def test_prompt_sensitivity_can_be_cancelled_and_needs_a_refined_result(studio, patch):
    state = finished(studio, patch)
    studio.pipeline = closed_gate()

    async def measure_and_cancel() -> list:
        shots = []
        async for shot in flows.measure(studio, state, "me"):
            shots.append(shot)
            studio.cancel("me")
            studio.pipeline.gate.release(100)
        return shots

    shots = asyncio.run(measure_and_cancel())
    assert shots[0][4]["interactive"], "Cancel can be pressed"
    assert "Cancelled" in shots[-1][2]["text"] and shots[-1][1] == state["viewer"]
    studio.pipeline = FakePipeline()
    plain = finished(studio, patch, Settings(steps=1, refine=False))
    assert "no refined result" in collect(flows.measure(studio, plain, "me"))[-1][2]["text"]


def test_bad_upload_is_one_sentence_and_keeps_what_was_there(studio, patch, tmp_path, monkeypatch):
    state = finished(studio, patch)
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
        last = collect(opening.open_page(studio, dict(flows.EMPTY), {}, visitor))[-1]
        assert last[1]["mode"] == "result"
    assert len(studio.pipeline.seen) == 1


def test_first_sample_is_computed_without_stage_two_where_there_is_none(studio):
    studio = Studio(BaseOnlyPipeline())
    studio.open_first()
    last = collect(opening.open_page(studio, dict(flows.EMPTY), {}, "me"))[-1]
    assert list(last[1]["pictures"]) == ["input", "base"]
