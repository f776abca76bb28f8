"""Human studies without a browser: the store, the pictures, and what the page is answered."""

import itertools
import multiprocessing
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from evaluation.study import store as study_module
from evaluation.study.pictures import cut_pieces, make_ground
from evaluation.study.records import CATCH_EVERY, Catches, Place
from evaluation.study.store import StudyStore
from ldsr import render
from ldsr.consistency import PSF_SIGMA
from ldsr.errors import LdsrError
from ldsr.web.studio import Studio
from ldsr.web.study import calls as study_calls
from ldsr.web.study import prepare as study_prepare
from tests.conftest import make_patch
from tests.fakes import FakePipeline, closed_gate, wait_for

METHODS = ("bicubic", "base", "refined")


class Clock:
    """Time that a test moves: no trial waits for its exposure."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(study_module.time, "time", clock)
    return clock


def make_study(store: StudyStore, *, kind="camera", methods=METHODS, places=2, exposure=0.5):
    draft = store.begin()
    names = ("input", "degraded", "camera", *methods)
    made = []
    for i in range(places):
        for name in names:
            (draft / f"{i}-{name}.png").write_bytes(f"{i} {name}".encode())
        made.append(Place(f"place {i}", {name: f"{i}-{name}.png" for name in names}))
    good = "camera" if kind == "camera" else methods[-1]
    how = {"kind": kind, "methods": methods, "exposure": exposure, "good": good}
    return store.add(draft, made, title="A study", **how)


def look(store: StudyStore, trial) -> dict[str, str]:
    """See what a rater sees: the words in both pictures."""
    return {side: store.picture(trial.id, side).read_text() for side in ("left", "right")}


def answer(store: StudyStore, study, rater: str, *, task=1, choice="left", clock=None) -> dict:
    trial = store.next(study.id, task, rater)
    seen = look(store, trial)
    if clock is None:
        time.sleep(study.exposure)
    else:
        clock.now += study.exposure + 1
    store.vote(trial.id, rater, choice, answer_ms=400)
    return seen


# the store


def test_all_pairs_are_shown_before_one_is_shown_again(tmp_path, clock):
    store = StudyStore(tmp_path)
    study = make_study(store)
    rater = store.join()
    assert study.pairs == 6 and store.progress(study.id, 1, rater)[0] == 0
    end = store.next(study.id, 1, rater).of
    for number in range(1, 2 * end + 1):
        trial = store.next(study.id, 1, rater)
        assert trial.number == number and trial == store.next(study.id, 1, rater)
        answer(store, study, rater, clock=clock)
        if number == end:
            shown = Counter((v.place, v.a, v.b) for v in store.votes(study.id) if not v.is_catch)
            assert set(shown.values()) == {1} and len(shown) == 6
            assert store.progress(study.id, 1, rater) == (end, end)
    shown = Counter((v.place, v.a, v.b) for v in store.votes(study.id) if not v.is_catch)
    assert min(shown.values()) >= max(shown.values()) - 1


def test_one_trial_in_eight_is_a_catch_trial_and_the_round_ends_with_the_last_pair():
    for salt, pairs in itertools.product("abcde", (1, 7, 20, 36)):
        catches = Catches(salt, "study", 1)
        flags = [catches.at(number) for number in range(1, 8 * 40 + 1)]
        blocks = np.reshape(flags, (40, CATCH_EVERY))
        assert (blocks.sum(1) == 1).all()
        end = catches.end_of_round(1, pairs)
        assert flags[:end].count(False) == pairs and not flags[end - 1]
        after = catches.end_of_round(end + 1, pairs)
        assert flags[:after].count(False) == 2 * pairs


def test_sides_are_random_and_pictures_are_what_the_votes_say(tmp_path, clock):
    store = StudyStore(tmp_path)
    study = make_study(store, places=10)
    rater = store.join(None, " Ada\n<b>  ")
    seen = [answer(store, study, rater, clock=clock) for _ in range(60)]
    votes = store.votes(study.id)
    for pictures, vote in zip(seen, votes, strict=True):
        place = vote.place.split()[1]
        assert pictures == {"left": f"{place} {vote.left}", "right": f"{place} {vote.right}"}
        assert vote.chosen == vote.left and vote.name == "Ada <b>" and rater not in repr(vote)
    left = sum(vote.left == vote.a for vote in votes)
    assert 12 <= left <= 48
    assert all((vote.b == "degraded") == vote.is_catch for vote in votes)


def test_a_pair_is_seen_once_and_answered_after_that(tmp_path, clock):
    store = StudyStore(tmp_path)
    study = make_study(store, exposure=3.5)
    rater, other = store.join(), store.join()
    trial = store.next(study.id, 2, rater)
    with pytest.raises(LdsrError, match="not been shown"):
        store.vote(trial.id, rater, "left", answer_ms=1)
    with pytest.raises(LdsrError, match="no such picture"):
        store.picture(trial.id, "input")  # task 2
    look(store, trial)
    clock.now += 3
    with pytest.raises(LdsrError, match="not been shown to the end"):
        store.vote(trial.id, rater, "left", answer_ms=1)
    clock.now += 1
    assert store.next(study.id, 2, rater) == study_module.Trial(trial.id, 1, trial.of, True)
    for wrong in (other, "nobody", ""):
        with pytest.raises(LdsrError, match="not shown to you"):
            store.vote(trial.id, wrong, "left", answer_ms=1)
    with pytest.raises(LdsrError, match="not shown to you"):
        store.vote("unknown", rater, "left", answer_ms=1)
    with pytest.raises(LdsrError, match="left or right"):
        store.vote(trial.id, rater, "both", answer_ms=1)
    for choice in ("left", "left", "right"):
        store.vote(trial.id, rater, choice, answer_ms=10**9)
    (vote,) = store.votes(study.id)
    assert vote.choice == "left" and vote.answer_ms < 1000
    with pytest.raises(LdsrError, match="shown already"):
        store.picture(trial.id, "left")
    late = store.next(study.id, 1, rater)
    look(store, late)
    clock.now += 61
    with pytest.raises(LdsrError, match="shown already"):
        look(store, late)


def test_a_pair_that_was_not_seen_is_withdrawn_and_comes_back(tmp_path, clock):
    store = StudyStore(tmp_path)
    study = make_study(store, methods=("bicubic",), places=1)
    rater, other = store.join(), store.join()
    trial = store.next(study.id, 1, rater)
    with pytest.raises(LdsrError, match="not shown to you"):
        store.skip(trial.id, other)
    store.skip(trial.id, rater)
    with pytest.raises(LdsrError, match="not shown to you"):
        store.vote(trial.id, rater, "left", answer_ms=1)
    again = store.next(study.id, 1, rater)
    assert again.id != trial.id and again.number == 1
    answer(store, study, rater, clock=clock)
    with pytest.raises(LdsrError, match="not shown to you"):
        store.skip(again.id, rater)


def _rate(folder: str, study_id: str, times: int) -> None:
    store = StudyStore(Path(folder))
    study = store.study(study_id)
    rater = store.join()
    for _ in range(times):
        answer(store, study, rater)


def test_processes_and_threads_at_once_lose_nothing(tmp_path):
    study = make_study(StudyStore(tmp_path))
    spawn = multiprocessing.get_context("spawn")
    work = [
        spawn.Process(target=_rate, args=(str(tmp_path), study.id, 4)),
        spawn.Process(target=_rate, args=(str(tmp_path), study.id, 4)),
        *(threading.Thread(target=_rate, args=(str(tmp_path), study.id, 4)) for _ in range(3)),
    ]
    for one in work:
        one.start()
    for one in work:
        one.join(120)
    votes = StudyStore(tmp_path).votes(study.id)
    assert Counter(Counter(vote.rater for vote in votes).values()) == {4: 5}


def test_one_trial_is_opened_and_one_answer_counted_however_often_they_are_sent(tmp_path):
    store = StudyStore(tmp_path)
    study, rater = make_study(store), store.join()
    trials: list = []
    both = [
        threading.Thread(target=lambda: trials.append(store.next(study.id, 1, rater)))
        for _ in range(6)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len({trial.id for trial in trials}) == 1
    look(store, trials[0])
    time.sleep(study.exposure)
    both = [
        threading.Thread(
            target=store.vote, args=(trials[0].id, rater, side), kwargs={"answer_ms": 1}
        )
        for side in ("left", "right") * 3
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(store.votes(study.id)) == 1


def test_killed_in_the_middle_leaves_a_readable_file(tmp_path):
    study = make_study(StudyStore(tmp_path))
    spawn = multiprocessing.get_context("spawn")
    worker = spawn.Process(target=_rate, args=(str(tmp_path), study.id, 1000))
    worker.start()
    wait_for(lambda: len(StudyStore(tmp_path).votes(study.id)) >= 2)
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    store = StudyStore(tmp_path)
    before = len(store.votes(study.id))
    answer(store, study, store.join())
    assert len(store.votes(study.id)) == before + 1
    with sqlite3.connect(tmp_path / "study.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_nothing_is_written_before_it_must_be_and_refusals_are_sentences(tmp_path):
    store = StudyStore(tmp_path / "study")
    assert store.studies() == () and not (tmp_path / "study").exists()
    with pytest.raises(LdsrError, match="no longer on the server"):
        store.study("x")
    study = make_study(store)
    assert store.progress(study.id, 1, "nobody") == (0, 6)
    with pytest.raises(LdsrError, match="does not know you"):
        store.next(study.id, 1, "nobody")
    with pytest.raises(LdsrError, match="tasks 1 and 2"):
        store.next(study.id, 3, store.join())
    for wrong in ({"methods": ("base",), "kind": "models"}, {"exposure": 99.0}):
        with pytest.raises(LdsrError):
            make_study(store, **wrong)
    assert len(store.studies()) == 1
    (tmp_path / "file").write_text("")
    with pytest.raises(LdsrError, match="cannot be written"):
        StudyStore(tmp_path / "file" / "study").join()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(LdsrError, match="cannot be reached"):
        StudyStore(tmp_path / "bad").studies()


# pictures


def test_the_input_of_a_camera_study_is_what_sentinel_would_see_from_four_times_as_far():
    patch = make_patch(96, 128)
    ground = make_ground(patch, "camera", name="x")
    assert ground.lr.size == (24, 32) and ground.camera.shape == (4, 96, 128)
    offsets = np.arange(128) - 4 * 16 - 1.5
    weights = [np.exp(-0.5 * (offsets / sigma) ** 2) for sigma in PSF_SIGMA]
    for band, columns in enumerate(weights):
        rows = np.exp(-0.5 * ((np.arange(96) - 4 * 12 - 1.5) / PSF_SIGMA[band]) ** 2)
        value = rows @ patch.reflectance[band].astype(float) @ columns
        expected = value / rows.sum() / columns.sum()
        assert ground.lr.reflectance[band, 12, 16] == pytest.approx(expected, abs=2e-5)
    with pytest.raises(LdsrError, match="at least 64"):
        make_ground(make_patch(40, 40), "camera", name="x")


def test_pieces_are_of_one_size_and_wholly_valid():
    patch = make_patch(120, 120)
    patch.valid[:10, :10] = False
    patch.reflectance[:, ~patch.valid] = 0
    ground = make_ground(patch, "models", name="Field")
    made = {"bicubic": render.upsample(ground.lr)}
    pieces = list(cut_pieces(ground, "models", made, good="bicubic"))
    assert [name for name, _ in pieces] == [f"Field, piece {i}" for i in (2, 3, 4)]
    for _, pictures in pieces:
        assert set(pictures) == {"bicubic", "input", "degraded"}
        sizes = {picture[16:24] for picture in pictures.values()}  # of the PNG header
        assert sizes == {(240).to_bytes(4) * 2}


# preparing and asking


@pytest.fixture
def studio(monkeypatch) -> Studio:
    patch = make_patch(64, 64)
    samples = study_prepare.list_samples()[:2]
    for module in ("ldsr.web.studio", "ldsr.web.study.prepare"):
        monkeypatch.setattr(f"{module}.list_samples", lambda: samples)
        monkeypatch.setattr(f"{module}.load_sample", lambda key: patch)
    return Studio(FakePipeline())


WISH = {"ask": "prepare", "kind": "camera", "exposure": 0.5, "seed": 3}


def test_prepare_then_rate_and_read_the_results(studio, tmp_path):
    calls = study_calls.StudyCalls(studio, StudyStore(tmp_path))
    assert [one["key"] for one in calls.answer({"ask": "hello"})["methods"]] == [
        "bicubic",
        "regression",
        "base",
        "refined",
    ]
    assert "ticket" in calls.answer(WISH | {"methods": ["refined", "bicubic", "regression"]})
    wait_for(lambda: calls.answer({"ask": "look"})["state"] != "busy")
    assert calls.answer({"ask": "look"})["state"] == "done"
    assert studio.pipeline.seen == [3] * 4  # refined and regression of two samples
    (study,) = calls.answer({"ask": "hello"})["studies"]
    assert study["pairs"] == 6 and "10 m picture" in study["note"]
    assert not list(tmp_path.glob("pictures/.new-*"))
    rater = calls.answer({"ask": "join", "name": "Ada"})["rater"]
    mine = {"study": study["id"], "task": 1, "rater": rater}
    trial = calls.answer({"ask": "next", **mine})
    assert set(trial) == {"trial", "number", "of", "seen"}
    store = StudyStore(tmp_path)
    assert store.picture(trial["trial"], "input").read_bytes()[:4] == b"\x89PNG"
    time.sleep(0.5)
    vote = {"ask": "vote", "trial": trial["trial"], "rater": rater, "choice": "left", "ms": 12.3}
    assert calls.answer(vote) == calls.answer(vote) == {"counted": True}
    shown = calls.answer({"ask": "results", "study": study["id"]})
    assert "1 rater;" in shown["summary"] and shown["raters"][0]["who"].startswith("Ada (r-")
    assert rater not in str(shown) and rater not in str(calls.answer({"ask": "csv", **mine}))
    assert calls.answer({"ask": "where", **mine})["answered"] == 1


def test_preparing_is_cancelled_by_who_began_and_holds_nobody_up(studio, tmp_path):
    studio.pipeline = closed_gate()
    calls = study_calls.StudyCalls(studio, StudyStore(tmp_path))
    ticket = calls.answer(WISH | {"methods": ["base"]})["ticket"]
    assert "Another study" in calls.answer(WISH | {"methods": ["base"]})["refused"]
    wait_for(lambda: studio.pipeline.busy == 1)
    _, other = studio.start("somebody", make_patch(16, 16), studio.preset())
    assert "Only who began" in calls.answer({"ask": "cancel", "ticket": "x"})["refused"]
    assert calls.answer({"ask": "cancel", "ticket": ticket}) == {}
    wait_for(lambda: calls.answer({"ask": "look"})["state"] == "idle")
    studio.pipeline.gate.release(10**6)
    wait_for(lambda: other.ended)
    assert other.state == "done" and calls.answer({"ask": "hello"})["studies"] == []
    assert list((tmp_path / "pictures").iterdir()) == []


def test_wrong_asks_are_answered_with_a_sentence(studio, tmp_path, monkeypatch):
    calls = study_calls.StudyCalls(studio, StudyStore(tmp_path))
    for ask in (
        None,
        {"ask": "drop"},
        {"ask": "next", "task": [1]},
        {"ask": "next", "task": 1, "study": 7, "rater": None},
        {"ask": "vote", "ms": "soon"},
        {"ask": "vote", "ms": float("nan")},
        WISH | {"methods": []},
        WISH | {"methods": ["secret"]},
        WISH | {"methods": ["base"], "kind": "models"},
        WISH | {"methods": ["base"], "exposure": 0},
        WISH | {"methods": ["base"], "seed": -1},
        {"ask": "results", "study": "x"},
    ):
        assert calls.answer(ask)["refused"].endswith("."), ask
    monkeypatch.setattr(StudyStore, "studies", lambda self: 1 / 0)
    assert "fault in the program" in calls.answer({"ask": "hello"})["refused"]


def test_results_rank_only_with_enough_answers(tmp_path, clock):
    store = StudyStore(tmp_path)
    study = make_study(store, kind="models", methods=("bicubic", "refined"), places=3)
    rater = store.join()
    for times, title in ((6, "Strengths"), (40, "Ranking")):
        for _ in range(times):
            trial = store.next(study.id, 1, rater)
            best = [side for side, words in look(store, trial).items() if "refined" in words]
            clock.now += 2
            store.vote(trial.id, rater, (best or ["left"])[0], answer_ms=500)
        shown = study_calls.results(study, store.votes(study.id), leave_out=False)
        assert shown["tables"][0]["title"].startswith(title)
        assert ("wide" in " ".join(shown["notes"])) == (title == "Strengths")
    assert shown["tables"][0]["rows"][0]["name"] == "1. Refined"
