"""Where the time of a result goes: what the server draws, what the browser says, what is shown."""

import math
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from evaluation.judge import Judge
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web import page_times
from ldsr.web.evaluate import flows as evaluate_flows
from ldsr.web.evaluate.desk import Desk
from ldsr.web.evaluate.leaderboard import Board
from ldsr.web.files import routes
from ldsr.web.page_times import Drawing, PageTimes
from ldsr.web.pictures import Shown
from ldsr.web.resolve import flows, opening, time_views
from ldsr.web.studio import Studio
from tests.fakes import collect, make_named_patch, one_sample_studio

SHORT = Settings(steps=2, refine_steps=2)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time

    def draw(self, drawing: Drawing, name: str, seconds: float) -> None:
        with drawing(name):
            self.time += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(page_times, "now", clock)
    return clock


@pytest.fixture
def patch() -> Patch:
    return make_named_patch()


@pytest.fixture
def studio(monkeypatch, patch) -> Studio:
    return one_sample_studio(monkeypatch, patch)


@pytest.fixture
def state(studio, patch) -> dict:
    """Of a visitor after one run."""
    first = flows.took(studio, patch, "field")[0]
    return collect(flows.resolve(studio, first, SHORT, "me"))[-1][0]


def handed(clock: Clock, drawing: Drawing | None = None) -> PageTimes:
    """A result that was prepared in a quarter of a second and handed over."""
    times = PageTimes("ID", drawing or Drawing())
    with times.preparing():
        clock.time += 0.25
    return times


def sheet(studio: Studio, value: dict) -> dict:
    client = TestClient(Starlette(routes=routes(studio)))
    answer = client.get(f"/{value['links']['json']}")
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


# what is measured


def test_two_pictures_drawn_at_once_count_once(clock):
    drawing = Drawing()
    with drawing("input-true"):
        clock.time += 1
        clock.draw(drawing, "refined-true", 2)
        clock.time += 1
    clock.time += 5
    clock.draw(drawing, "base-true", 3)
    assert drawing.seconds() == 7 and drawing.seconds({"refined-true", "no such"}) == 2
    assert drawing.seconds(since=101.5) == 5.5 and drawing.seconds(since=clock()) == 0


def test_a_picture_that_could_not_be_drawn_took_no_time(clock):
    drawing = Drawing()
    with pytest.raises(ValueError), drawing("input-true"):
        raise ValueError
    assert not drawing.begun and drawing.seconds() == 0


def test_transfer_is_what_the_browser_waited_less_the_drawing(clock):
    drawing = Drawing()
    clock.draw(drawing, "input-true", 2)  # before: for somebody else who looks at the same
    times = handed(clock, drawing)
    clock.draw(drawing, "refined-true", 1)
    clock.draw(drawing, "refined-false", 4)
    clock.time += 2
    times.arrived(6.5, ["input-true", "refined-true"])
    assert times.seconds() == {"drawing": 3.25, "transfer": 5.5}
    clock.draw(drawing, "overlay-detail", 9)
    assert times.seconds()["drawing"] == 3.25, "what is drawn later was not waited for"


def test_nothing_is_there_that_was_not_measured(clock):
    drawing = Drawing()
    times = PageTimes("ID", drawing)
    assert times.seconds() == {}
    times = handed(clock, drawing)
    assert times.seconds() == {}
    clock.draw(drawing, "input-true", 1)
    assert times.seconds() == {"drawing": 1.25}
    times.metrics = 0.5
    assert times.seconds() == {"drawing": 1.25, "metrics": 0.5}


@pytest.mark.parametrize(
    "seconds",
    [-1, -0.001, math.nan, math.inf, 3601, 11, True, None, "2", [2], {"seconds": 2}, 10**400],
)
def test_nonsense_from_the_browser_is_refused(clock, seconds):
    times = handed(clock)
    clock.time += 4000 if seconds == 3601 else 10
    with pytest.raises(LdsrError, match="so long"):
        times.arrived(seconds, ["input-true"])
    assert times.transfer is None
    times.arrived(9, "input-true")
    assert times.transfer == 9


def test_the_browser_is_heard_once_and_only_of_what_is_on_the_screen(clock):
    times, early = handed(clock), PageTimes("ID", Drawing())
    with pytest.raises(LdsrError):
        early.arrived(0, [])
    times.arrived(0, [None, ["x"], 3])
    with pytest.raises(LdsrError):
        times.arrived(0, [])
    again = handed(clock)
    again.over = True
    with pytest.raises(LdsrError):
        again.arrived(0, [])


# from the page to the run sheet


def test_the_browser_tells_and_the_sheet_has_it(clock, studio, state):
    sent = state["viewer"]["times"]
    assert sent["id"] == state["page"] and sent["note"] == "Model\u00a01.5\u00a0s"
    assert "page_seconds" not in sheet(studio, state["viewer"])
    drawing = studio.store.get(state["shown"]).drawing
    clock.draw(drawing, "refined-true", 0.5)
    clock.time += 2
    told = {"id": state["page"], "seconds": 2.25, "pictures": ["input-true", "refined-true"]}
    value = time_views.answer(studio, told)
    assert value["id"] == state["page"] and value["total"] == "3.8 s"
    assert value["label"] == "Time" and value["note"].endswith("transfer\u00a01.8\u00a0s")
    found = sheet(studio, state["viewer"])
    assert found["page_seconds"] == {"drawing": 0.5, "transfer": 1.75}
    assert found["seconds"] == {"denoise": 1.0, "refine denoise": 0.4, "total": 1.5}
    assert time_views.answer(studio, {"id": state["page"]}) == value
    assert "refused" in time_views.answer(studio, told)


@pytest.mark.parametrize("ask", [None, [], {}, {"id": None}, {"id": ["x"]}, {"id": "unknown"}])
def test_an_ask_about_nothing_is_refused(studio, state, ask):
    assert set(time_views.answer(studio, ask)) == {"refused"}


def test_the_id_of_a_result_or_of_another_is_no_id_of_its_times(studio, state, patch):
    told = {"id": state["shown"], "seconds": 0.0, "pictures": []}
    assert "refused" in time_views.answer(studio, told)
    other = flows.put(studio, *keep_result(studio, patch), None)
    time_views.answer(studio, told | {"id": other["page"]})
    mixed = {"links": {"json": state["viewer"]["links"]["json"].split("?")[0]}}
    mixed["links"]["json"] += f"?page={other['page']}"
    assert "page_seconds" not in sheet(studio, mixed)


def keep_result(studio: Studio, patch: Patch) -> tuple[str, Shown]:
    shown = Shown(patch, studio.pipeline(patch, SHORT, lambda step: None))
    return studio.keep(shown), shown


def test_a_newer_result_ends_the_measuring_of_the_one_before(studio, state):
    after = collect(flows.resolve(studio, state, SHORT, "me"))[-1][0]
    assert after["page"] != state["page"]
    told = {"seconds": 0.0, "pictures": []}
    assert "refused" in time_views.answer(studio, told | {"id": state["page"]})
    assert "groups" in time_views.answer(studio, told | {"id": after["page"]})


def test_two_people_with_the_same_first_sample_are_measured_apart(studio, clock):
    studio.open_first()
    mine, yours = (
        collect(opening.open_page(studio, dict(flows.EMPTY), {}, visitor))[-1][0]
        for visitor in ("me", "you")
    )
    assert mine["shown"] == yours["shown"] and mine["page"] != yours["page"]
    clock.time += 1
    told = {"id": mine["page"], "seconds": 0.5, "pictures": []}
    assert "transfer" in time_views.answer(studio, told)["note"]
    assert "transfer" not in time_views.answer(studio, {"id": yours["page"]})["note"]
    assert "page_seconds" not in sheet(studio, yours["viewer"])


def test_measuring_the_tags_keeps_what_was_measured(studio, state):
    told = {"id": state["page"], "seconds": 0.0, "pictures": []}
    time_views.answer(studio, told)
    last = collect(flows.measure(studio, state, "me"))[-1]
    assert last[0]["page"] == state["page"] and "transfer" in last[1]["times"]["note"]
    assert last[1]["links"]["json"] == state["viewer"]["links"]["json"]


def test_scores_count_once_they_are_computed(studio, state, tmp_path):
    desk = Desk(studio, Board(tmp_path / "runs"), Judge(metrics=("input_reflectance",)))
    wish, page = ("none", None), state["page"]
    ask = evaluate_flows.evaluate(desk, evaluate_flows.EMPTY, state["shown"], wish, "me", page=page)
    mine = collect(ask)[-1][0]
    took = studio.store.get(mine["key"]).seconds
    assert took > 0 and studio.page_times(page).seconds()["metrics"] == took
    value = time_views.answer(studio, {"id": page})
    assert [part["name"] for part in value["groups"][-1]["parts"]] == ["metrics"]
    assert sheet(studio, state["viewer"])["page_seconds"] == {"metrics": round(took, 3)}
    other = flows.put(studio, *keep_result(studio, studio.patch(state["shown"])), None)["page"]
    ask = evaluate_flows.evaluate(
        desk, evaluate_flows.EMPTY, state["shown"], wish, "me", page=other
    )
    collect(ask)
    assert studio.page_times(other).metrics is None, "the scores of another result"


# what is shown


def result_with(seconds: dict[str, float], base: str = "ldsr") -> SimpleNamespace:
    return SimpleNamespace(seconds=seconds, settings=Settings(base=base))


def test_parts_are_named_for_people_and_add_up(clock):
    seconds = {
        "regress": 0.25,
        "denoise": 2.0,
        "decode": 0.5,
        "consistency": 0.125,
        "refine encode": 0.5,
        "refine denoise": 1.0,
        "refine decode": 0.25,
        "refine consistency": 0.125,
        "sample": 8.0,
        "total": 13.0,
    }
    drawing, stage = Drawing(), ["encode", "denoise", "decode", "consistency"]
    times = handed(clock, drawing)
    clock.draw(drawing, "input-true", 0.25)
    clock.time += 1
    times.arrived(1.25, ["input-true"])
    times.metrics = 0.5
    value = time_views.times_value(result_with(seconds), times, "PAGE")
    parts = {group["name"]: [p["name"] for p in group["parts"]] for group in value["groups"]}
    assert parts == {
        "Base": stage,
        "Refinement": stage,
        "Samples": ["samples"],
        "Other": ["other"],
        "Page": ["drawing", "transfer", "metrics"],
    }
    total = sum(part["seconds"] for group in value["groups"] for part in group["parts"])
    assert total == 13.0 + 0.5 + 1.0 + 0.5 and value["total"] == "15.0 s"
    assert value["groups"][3]["text"] == "0.25 s" and value["id"] == "PAGE"
    note = value["note"].replace("\u00a0", " ")
    assert note == "Model 13.0 s, drawing 0.50 s, transfer 1.0 s, metrics 0.50 s"
    assert len(value["help"]) == 4


def test_a_run_without_stages_of_its_own_shows_what_there_is():
    value = time_views.times_value(result_with({"regress": 0.5, "total": 0.5}, "regression"))
    assert [group["name"] for group in value["groups"]] == ["Base"]
    assert value["groups"][0]["parts"][0]["name"] == "estimate" and value["help"] == []
    assert time_views.times_value(result_with({"denoise": 1.0}))["total"] == "1.0 s"
    assert time_views.times_value(result_with({"total": 0.125}))["groups"][0]["name"] == "Other"


def test_a_slow_line_is_named(clock):
    times = handed(clock)
    clock.time += 60
    times.arrived(40, [])
    value = time_views.times_value(result_with({"denoise": 3.0, "total": 3.0}), times)
    assert value["label"] == "Time, mostly your connection" and value["total"] == "43.2 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.00 s"), (0.001, "< 0.01 s"), (0.07, "0.07 s"), (0.999, "1.0 s"), (12.34, "12.3 s")],
)
def test_times_have_the_digits_that_matter(seconds, text):
    assert time_views.brief(seconds) == text
