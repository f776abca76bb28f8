"""The map's questions without a browser: boxes, places, scenes, reading one; nothing is lost."""

import asyncio
import threading
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from ldsr.data.places import box_at
from ldsr.data.radiometry import Hints
from ldsr.data.scenes import Scene, Tile
from ldsr.errors import AmbiguousPatchError, SceneError
from ldsr.web.maps import flows as map_flows
from ldsr.web.maps.picker import picker_value
from ldsr.web.resolve import flows, opening
from ldsr.web.resolve.input_tabs import answer_question
from ldsr.web.studio import Studio
from tests.conftest import make_patch
from tests.fakes import FakePipeline, collect, wait_for

PLACE = {"lon": 11.3, "lat": 46.5}
BOX = box_at(11.3, 46.5)


def make_scene(days: int = 0, *, cloud: float = 5.0) -> Scene:
    """A scene some days before 14 September 2026."""
    hrefs = {band: f"http://127.0.0.1:9/{band}.tif" for band in ("R", "G", "B", "NIR", "SCL")}
    tile = Tile(id=f"S2B_{days}", crs=BOX.crs, bounds=None, hrefs=hrefs, hints=Hints())
    return Scene(
        id=tile.id,
        acquired=datetime(2026, 9, 14, 10, 15, tzinfo=UTC) - timedelta(days=days),
        cloud_percent=cloud,
        tiles=(tile,),
        catalogue="earth-search",
    )


def answers(studio: Studio, ask: str, **value: object) -> list[dict]:
    asked = picker_value(**value) | {"ask": ask, "turn": 7}
    return collect(map_flows.answer(studio, asked, "me"))


def reads(studio: Studio, find, state=None, **more) -> list[tuple]:
    state = dict(flows.EMPTY) if state is None else state
    return collect(map_flows.read(studio, state, "me", find, **more))


@pytest.fixture
def studio() -> Studio:
    return Studio(FakePipeline())


@pytest.fixture
def catalogue(monkeypatch) -> dict:
    """A catalogue in memory: what it holds, what was asked of it."""
    said = {"scenes": [make_scene(), make_scene(5, cloud=30.0)], "asked": [], "patch": make_patch()}
    half = np.full((128, 128), 4, np.uint8)
    half[:64] = 9

    def find_scenes(box, **asked):
        said["asked"].append((box, asked))
        return said["scenes"]

    def read_scene(scene, box, *, scale=None):
        said["asked"].append((scene.id, scale))
        if isinstance(said["patch"], Exception):
            raise said["patch"]
        return said["patch"]

    monkeypatch.setattr(map_flows, "find_scenes", find_scenes)
    monkeypatch.setattr(map_flows, "read_classes", lambda scene, box: half)
    monkeypatch.setattr(map_flows, "read_scene", read_scene)
    return said


def test_a_box_is_drawn_back_as_it_will_be_read(studio):
    (last,) = answers(studio, "box", **PLACE, side=2560)
    assert last["ring"][0] == last["ring"][-1] and last["turn"] == 7
    box = box_at(11.3, 46.5, 2560)
    assert last["ring"] == [list(point) for point in box.ring()]
    assert str(box.west) in last["footprint"] and box.crs in last["footprint"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"lon": None, "lat": 46.5}, "No place is chosen"),
        ({"lon": "11", "lat": 46.5}, "No place is chosen"),
        ({"lon": 11.3, "lat": 88.0}, "beyond the UTM grid"),
        ({"lon": 11.3, "lat": float("nan")}, "no place"),
        (PLACE | {"side": 4000}, "expected one of"),
        (PLACE | {"side": None}, "expected one of"),
    ],
)
def test_a_wrong_box_is_one_sentence_beside_the_map(studio, value, words):
    for ask in ("box", "scenes"):
        last = answers(studio, ask, **value)[-1]
        assert last["state"] == "error" and words in last["message"]
        assert last["lon"] is value["lon"], "what was typed stays"


def test_scenes_come_first_and_their_cloud_over_the_box_after(studio, catalogue):
    shots = answers(studio, "scenes", **PLACE, start="2026-06-01", end="2026-09-30", cloud=40)
    listed = [shot for shot in shots if shot["scenes"]]
    assert [card["date"] for card in listed[0]["scenes"]] == ["2026-09-14", "2026-09-09"]
    assert [card["box_cloud"] for card in listed[0]["scenes"]] == [None, None]
    assert listed[-1]["state"] == "done" and "2 scenes" in listed[-1]["message"]
    assert [card["box_cloud"] for card in listed[-1]["scenes"]] == [0.5, 0.5]
    assert [card["covers"] for card in listed[-1]["scenes"]] == [1.0, 1.0]
    box, asked = catalogue["asked"][0]
    assert box == BOX and asked["start"] == date(2026, 6, 1) and asked["cloud_percent"] == 40


def test_a_classification_that_cannot_be_read_is_a_note_at_its_scene(
    studio, catalogue, monkeypatch
):
    def fail(scene, box):
        raise SceneError("SCL is missing.")

    monkeypatch.setattr(map_flows, "read_classes", fail)
    last = answers(studio, "scenes", **PLACE)[-1]
    assert last["state"] == "done"
    assert {card["note"] for card in last["scenes"]} == {"SCL is missing."}


def test_many_scenes_are_cut_to_the_newest_and_it_is_said(studio, catalogue):
    catalogue["scenes"] = [make_scene(days) for days in range(70)]
    last = answers(studio, "scenes", **PLACE)[-1]
    assert len(last["scenes"]) == map_flows.MOST_SHOWN and "newest of 70" in last["message"]


def test_a_missing_date_and_a_silent_catalogue_are_sentences(studio, catalogue, monkeypatch):
    assert "date is missing" in answers(studio, "scenes", **PLACE, start="")[-1]["message"]

    def silent(box, **asked):
        raise SceneError("Earth Search does not answer within 20 s.")

    monkeypatch.setattr(map_flows, "find_scenes", silent)
    last = answers(studio, "scenes", **PLACE)[-1]
    assert (last["state"], last["message"]) == (
        "error",
        "Earth Search does not answer within 20 s.",
    )


def test_a_fault_is_a_sentence_without_its_innards(studio, catalogue, monkeypatch):
    monkeypatch.setattr(map_flows, "find_scenes", lambda box, **asked: 1 / 0)
    last = answers(studio, "scenes", **PLACE)[-1]
    assert last["state"] == "error" and "division" not in last["message"]


def test_a_newer_question_ends_the_older_one(studio, catalogue, monkeypatch):
    gate = threading.Event()
    classes = map_flows.read_classes
    monkeypatch.setattr(map_flows, "read_classes", lambda *given: gate.wait(30) and classes(*given))

    async def both() -> list[dict]:
        asked = picker_value(**PLACE) | {"ask": "scenes"}
        older = []
        async for shot in map_flows.answer(studio, asked, "me"):
            older.append(shot)
            if shot["scenes"] and not gate.is_set():
                newer = [
                    one async for one in map_flows.answer(studio, asked | {"ask": "box"}, "me")
                ]
                assert newer[-1]["ring"]
                gate.set()
        return older

    older = asyncio.run(both())
    assert gate.is_set() and all(shot["state"] == "busy" for shot in older)


def test_the_scene_that_is_chosen_becomes_the_input(studio, catalogue):
    cards = answers(studio, "scenes", **PLACE)[-1]["scenes"]
    shots = reads(studio, map_flows.listed(studio, cards[1]["key"]))
    changes, shot = shots[-1]
    assert changes["state"] == "done" and "2026-09-09" in changes["message"]
    assert shot[1]["mode"] == "input" and studio.patch(shot[0]["shown"]) is catalogue["patch"]
    assert catalogue["asked"][-1] == ("S2B_5", None)


@pytest.mark.parametrize("fault", [SceneError("B04 is missing."), RuntimeError("a secret path")])
def test_a_scene_that_cannot_be_read_leaves_what_was_there(studio, catalogue, fault):
    state = flows.took(studio, make_patch(), None)[0]
    catalogue["patch"] = fault
    key = studio.keep_small(map_flows.Found(make_scene(), BOX))
    changes, shot = reads(studio, map_flows.listed(studio, key), state)[-1]
    assert shot[1] == state["viewer"] and shot[2]["state"] == changes["state"] == "error"
    assert "secret" not in shot[2]["text"] and shot[2]["text"] == changes["message"]


def test_a_list_that_is_gone_says_search_again(studio, catalogue):
    for key in ("nothing", None, studio.keep(flows.Shown(make_patch()))):
        assert "search again" in reads(studio, map_flows.listed(studio, key))[-1][1][2]["text"]


def test_a_scene_that_needs_a_scale_asks_and_takes_the_answer(studio, catalogue):
    catalogue["patch"] = AmbiguousPatchError("Which?", question="scale", choices=("a", "b"))
    key = studio.keep_small(map_flows.Found(make_scene(), BOX))
    shot = reads(studio, map_flows.listed(studio, key))[-1][1]
    assert shot[2]["state"] == "ask" and shot[0]["pending"]["question"] == "scale"
    catalogue["patch"] = make_patch()
    shot = collect(answer_question(studio, shot[0], "dn/10000", "me"))[-1]
    assert shot[1]["mode"] == "input" and catalogue["asked"][-1] == ("S2B_0", "dn/10000")


def test_cancelling_a_reading_leaves_what_was_there(studio, catalogue, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(
        map_flows, "read_scene", lambda *given, **more: gate.wait(30) and make_patch()
    )
    key = studio.keep_small(map_flows.Found(make_scene(), BOX))
    state = flows.took(studio, make_patch(), None)[0]
    done: list = []
    thread = threading.Thread(
        target=lambda: done.extend(reads(studio, map_flows.listed(studio, key), state))
    )
    thread.start()
    wait_for(lambda: studio.cancel("me"))
    gate.set()
    thread.join(30)
    assert "Cancelled" in done[-1][1][2]["text"] and done[-1][1][1] == state["viewer"]
    assert done[0][1][3]["interactive"] is False and done[-1][1][3]["interactive"] is True


def test_something_newer_ends_a_reading_without_a_word(studio, catalogue, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(
        map_flows, "read_scene", lambda *given, **more: gate.wait(30) and make_patch()
    )
    key = studio.keep_small(map_flows.Found(make_scene(), BOX))
    done: list = []
    thread = threading.Thread(
        target=lambda: done.extend(reads(studio, map_flows.listed(studio, key)))
    )
    thread.start()
    wait_for(lambda: studio.turn("me") == 1)
    studio.take_turn("me")
    gate.set()
    thread.join(30)
    assert {shot[2]["state"] for _, shot in done} == {"busy"}


def test_a_link_to_a_scene_reads_it_and_runs(studio, catalogue, monkeypatch):
    asked = []
    monkeypatch.setattr(
        map_flows, "find_scene", lambda *given, **more: asked.append((given, more)) or make_scene()
    )
    query = {"scene": "S2B_0", "zone": "32632", "side": "640", "seed": "3", "catalogue": ""}
    query |= {"lon": "11.3", "lat": "46.5"}
    shots = collect(opening.open_page(studio, dict(flows.EMPTY), query, "me"))
    assert shots[-1][1]["mode"] == "result" and studio.pipeline.seen == [3]
    assert asked[0][0] == ("S2B_0", box_at(11.3, 46.5, 640))
    assert {len(shot) for shot in shots} == {11}


def test_a_link_to_a_scene_that_is_gone_shows_the_first_sample_and_says_why(
    studio, catalogue, monkeypatch
):
    monkeypatch.setattr(map_flows, "find_scene", lambda *given, **more: None)
    query = {"scene": "S2B_0", "lon": "11.3", "lat": "46.5"}
    shots = collect(opening.open_page(studio, dict(flows.EMPTY), query, "me"))
    assert shots[-1][1]["mode"] == "input" and "no scene S2B_0" in shots[-1][2]["text"]
    assert shots[-1][5] == {"key": studio.first_sample} and not studio.pipeline.seen


@pytest.mark.parametrize(
    "bad", [{}, {"lon": "east", "lat": "1"}, {"lon": "1", "lat": "1", "zone": "4326"}]
)
def test_a_wrong_link_to_a_scene_is_one_sentence(studio, bad):
    shots = collect(opening.open_page(studio, dict(flows.EMPTY), {"scene": "S"} | bad, "me"))
    assert "The link could not be used" in shots[0][2]["text"]
