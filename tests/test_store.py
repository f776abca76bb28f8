"""What a server keeps for somebody: for how long, and that it goes from memory and from disk."""

import gc
import threading
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldsr.settings import Settings
from ldsr.web.evaluate.evaluations import Evaluation
from ldsr.web.files import GONE, routes
from ldsr.web.hosting import serving
from ldsr.web.hosting.limits import Limits
from ldsr.web.hosting.uploads import clear
from ldsr.web.pictures import Shown
from ldsr.web.resolve import flows
from ldsr.web.store import Store
from ldsr.web.studio import Asking, Studio
from tests.conftest import make_patch
from tests.fakes import FakePipeline, collect, wait_for

GRACE, MOST = 100.0, 1000.0
HASH = "0f" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(clock=clock)


def after(store: Store, clock: Clock, seconds: float) -> int:
    clock.now += seconds
    return store.expire(GRACE, MOST)


def test_what_is_on_an_open_page_stays_until_it_is_too_old(store: Store, clock: Clock) -> None:
    store.arrive("ann")
    key = store.put("hers", 1, owner="ann")
    assert after(store, clock, 999) == 0 and store.get(key) == "hers"
    assert after(store, clock, 2) == 1 and store.get(key) is None


def test_a_page_that_comes_back_finds_everything(store: Store, clock: Clock) -> None:
    store.arrive("ann")
    key = store.put("hers", 1, owner="ann")
    store.leave("ann")
    assert after(store, clock, 99) == 0
    store.arrive("ann")
    assert after(store, clock, 500) == 0
    store.leave("ann")
    assert after(store, clock, 99) == 0 and after(store, clock, 2) == 1
    assert store.get(key) is None and not store._left and not store._open


def test_the_old_connection_of_a_page_may_end_after_the_new_one_began(
    store: Store, clock: Clock
) -> None:
    store.arrive("ann")
    store.put("hers", 1, owner="ann")
    store.arrive("ann")
    store.leave("ann")
    assert after(store, clock, 500) == 0
    store.leave("ann")
    assert after(store, clock, 101) == 1


def test_what_is_nobodys_goes_when_it_is_not_used(store: Store, clock: Clock) -> None:
    used, idle = store.put("used", 1), store.put("idle", 1)
    clock.now = 60
    assert store.get(used) == "used"
    assert after(store, clock, 50) == 1 and store.get(idle) is None and store.get(used) == "used"


def test_what_is_pinned_stays(store: Store, clock: Clock) -> None:
    key = store.put("first", 1, pinned=True)
    assert after(store, clock, 10 * MOST) == 0 and store.get(key) == "first"


def test_ids_cannot_be_guessed(store: Store) -> None:
    keys = {store.put(i, 1) for i in range(1000)}
    assert len(keys) == 1000 and all(len(key) >= 22 for key in keys)


# a studio


@pytest.fixture
def studio(clock: Clock) -> Studio:
    made = Studio(FakePipeline(), Limits(grace_seconds=GRACE, keep_seconds=MOST))
    made.store = Store(clock=clock)
    made.asking = lambda: Asking("ann", "")
    return made


def run(studio: Studio) -> dict:
    state = flows.EMPTY | {"shown": studio.keep(Shown(make_patch()))}
    state = collect(flows.resolve(studio, state, Settings(steps=2, refine=False), "ann"))[-1][0]
    wait_for(lambda: not studio.ledger.running)
    return state


def test_a_result_that_has_expired_is_freed_from_memory(studio: Studio, clock: Clock) -> None:
    studio.store.arrive("ann")
    state = run(studio)
    shown = studio.store.get(state["shown"])
    shown.png("base", "true")
    arrays = [weakref.ref(shown.result.sr.reflectance), weakref.ref(shown.patch.reflectance)]
    del shown
    studio.sweep()
    assert all(array() is not None for array in arrays)
    studio.store.leave("ann")
    clock.now += 101
    studio.sweep()
    assert all(array() is None for array in arrays)


def test_a_result_is_freed_without_waiting_for_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        shown = Shown(make_patch())
        shown.png("input", "true")
        gone = weakref.ref(shown)
        del shown
        assert gone() is None
    finally:
        gc.enable()


def test_the_page_says_what_has_become_of_it(studio: Studio, clock: Clock) -> None:
    state = run(studio)
    clock.now += 2 * MOST
    studio.sweep()
    shot = collect(flows.resolve(studio, state, Settings(), "ann"))[-1]
    assert shot[2]["state"] == "error" and "choose a sample, or upload the patch" in shot[2]["text"]
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    client = TestClient(Starlette(routes=routes(studio)))
    answer = client.get(f"/ldsr/r/{state['shown']}/input-true.png")
    assert answer.status_code == 404 and answer.text == GONE


def test_an_evaluation_belongs_to_its_page(studio: Studio, clock: Clock) -> None:
    studio.store.arrive("ann")
    patch = make_patch()
    key = studio.keep(
        Evaluation(
            truth="none", shown="x", name="x", stem="x", lr=patch, methods={"base": patch},
            references={}, remark="", sheet={}, line="",
        )
    )  # fmt: skip
    clock.now += 500
    studio.sweep()
    assert isinstance(studio.store.get(key), Evaluation)


def test_sweeping_goes_on_when_it_fails_once(studio: Studio, monkeypatch, caplog) -> None:
    calls, asked = [], threading.Event()

    def sweep() -> None:
        calls.append(1)
        if len(calls) == 2:
            asked.set()
        raise OSError("a secret path")

    monkeypatch.setattr(studio, "sweep", sweep)
    serving.watch(asked, studio, every=0.001)
    assert len(calls) == 2 and "could not be cleared" in caplog.text


# uploads


def put_file(folder: Path, name: str, *, place: str = HASH) -> Path:
    (folder / place).mkdir(parents=True, exist_ok=True)
    path = folder / place / name
    path.write_text("x")
    return path


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had come an hour ago: the time of its arrival cannot be set."""
    now = time.time() + 3600
    monkeypatch.setattr("ldsr.web.hosting.uploads.time", SimpleNamespace(time=lambda: now))


def test_old_uploads_are_deleted_with_their_folders(tmp_path: Path, long_ago: None) -> None:
    old = put_file(tmp_path, "old.tif")
    held = put_file(tmp_path, "held.tif", place="ab" * 32)
    other = put_file(tmp_path, "settings.txt", place="somebody elses")
    loose = tmp_path / "loose.txt"
    loose.write_text("x")
    assert clear(tmp_path, held={held}, seconds=1800) == 1
    assert not old.exists() and not old.parent.exists()
    assert held.exists() and other.exists() and loose.exists()
    assert clear(tmp_path / "nowhere", held=(), seconds=1800) == 0


def test_fresh_uploads_stay_and_links_are_never_followed(tmp_path: Path) -> None:
    fresh = put_file(tmp_path / "up", "fresh.tif")
    assert clear(tmp_path / "up", held=(), seconds=1800) == 0 and fresh.exists()
    secret = put_file(tmp_path / "elsewhere", "secret.tif", place="plain")
    (tmp_path / "up" / ("cd" * 32)).symlink_to(secret.parent)
    fresh.unlink()
    fresh.symlink_to(secret)
    assert clear(tmp_path / "up", held=(), seconds=-1) == 1
    assert secret.exists() and not fresh.is_symlink()


def test_the_upload_of_a_page_stays_with_it(
    studio: Studio, clock: Clock, tmp_path: Path, long_ago: None
) -> None:
    studio.uploads = tmp_path
    path = put_file(tmp_path, "patch.tif")
    studio.store.arrive("ann")
    studio.keep_files([str(path)])
    studio.sweep()
    assert path.exists()
    studio.store.leave("ann")
    clock.now += 101
    studio.sweep()
    assert not path.exists()
