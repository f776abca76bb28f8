"""What one person may have at a time, how long a run may take, and who a person is."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import app
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web.evaluate.desk import Desk
from ldsr.web.evaluate.leaderboard import Board
from ldsr.web.hosting.limits import Limits, read_limits
from ldsr.web.hosting.visitors import Callers, Visits, asking, person_of, session_of
from ldsr.web.maps import flows as map_flows
from ldsr.web.pictures import Shown
from ldsr.web.resolve import flows
from ldsr.web.session import Job, Line
from ldsr.web.store import Store
from ldsr.web.studio import Asking, Studio
from tests.conftest import make_patch
from tests.fakes import FakePipeline, closed_gate, collect, wait_for

PLAIN = Settings(base="ldsr", steps=8, refine=False)


def ask_as(studio: Studio, person: str, session: str = "") -> None:
    studio.asking = lambda: Asking(session, person)


# how many


def test_one_person_holds_so_many_places_and_others_still_come_in() -> None:
    line = Line()
    tickets = [line.join("ann", each=2) for _ in range(2)]
    with pytest.raises(LdsrError, match="^2 runs of yours, or from your network, are already"):
        line.join("ann", each=2)
    line.join("bob", each=2)
    line.leave(tickets[0])
    line.join("ann", each=2)
    for _ in range(4):
        line.join("", each=2)
        line.join("cid")


def test_every_kind_of_run_counts_for_who_asks(tmp_path) -> None:
    pipeline = closed_gate()
    studio = Studio(pipeline, Limits(each=2))
    ask_as(studio, "ann")
    jobs = [studio.start(f"call {i}", make_patch(), PLAIN)[1] for i in range(2)]
    for more in ({}, {"sample": SimpleNamespace(result=SimpleNamespace(settings=PLAIN))}):
        with pytest.raises(LdsrError, match="this server takes 2 at a time"):
            studio.start("call 3", make_patch(), PLAIN, **more)
    desk = Desk(studio, Board(tmp_path))
    with pytest.raises(LdsrError, match="takes 2 at a time"):
        desk.run(desk.begin("ann's page"), make_patch(), PLAIN)
    ask_as(studio, "bob")
    jobs.append(studio.start("bob's page", make_patch(), PLAIN)[1])
    pipeline.gate.release(1000)
    wait_for(lambda: all(job.ended for job in jobs))
    ask_as(studio, "ann")
    wait_for(lambda: not studio.ledger.running)
    assert studio.start("later", make_patch(), PLAIN)[1]


def test_the_page_says_so_in_one_sentence() -> None:
    pipeline = closed_gate()
    studio = Studio(pipeline, Limits(each=1))
    ask_as(studio, "ann")
    _, job = studio.start("another page", make_patch(), PLAIN)
    state = flows.EMPTY | {"shown": studio.keep(Shown(make_patch()))}
    shot = collect(flows.resolve(studio, state, PLAIN, "this page"))[-1]
    assert shot[2]["state"] == "error" and shot[2]["text"].startswith("1 run of yours, or from")
    pipeline.gate.release(100)
    wait_for(lambda: job.ended)


# how long


def test_a_run_that_takes_too_long_ends_at_its_next_step_and_the_line_goes_on() -> None:
    line = Line()
    late = Job(FakePipeline(), line, make_patch(), PLAIN, limits=Limits(run_seconds=0.0))
    wait_for(lambda: late.ended)
    assert late.state == "failed" and late.result is None
    assert late.message.startswith("This run was stopped after the 0 minutes that one may take")
    after = Job(FakePipeline(), line, make_patch(), PLAIN)
    wait_for(lambda: after.state == "done")


def test_samples_that_were_drawn_in_time_are_kept() -> None:
    studio = Studio(FakePipeline())
    _, job = studio.start("a", make_patch(), PLAIN)
    wait_for(lambda: job.ended)
    pipeline = studio.pipeline = closed_gate()
    shown = SimpleNamespace(result=job.result)
    wanted = Settings(base="ldsr", samples=8, settle=0.0)
    _, drawn = studio.start("a", make_patch(), wanted, sample=shown)
    pipeline.gate.release(2)
    wait_for(lambda: drawn.step is not None and drawn.step.step == 3)
    drawn._limits = Limits(run_seconds=0.0)
    pipeline.gate.release(100)
    wait_for(lambda: drawn.ended)
    assert drawn.state == "done" and drawn.result.uncertainty.samples >= 3


def test_reading_from_a_server_that_never_answers_ends(monkeypatch) -> None:
    monkeypatch.setattr(map_flows, "LONGEST", 0.0)
    monkeypatch.setattr(flows, "POLL", 0.01)
    studio, answer = Studio(FakePipeline()), threading.Event()

    def find() -> None:
        answer.wait(30)
        raise LdsrError("too late to be heard")

    async def ask() -> list:
        told = []
        async for one in map_flows.read(studio, dict(flows.EMPTY), "me", find):
            told.append(one)
            if one[0]["state"] == "error":
                answer.set()  # the loop does not end before its thread
        return told

    changes, shot = asyncio.run(ask())[-1]
    assert changes["state"] == "error" and changes["message"].startswith("The scene's server did")
    assert shot[2]["text"] == changes["message"] and not studio.cancel("me")


# the environment


def test_limits_come_from_the_environment() -> None:
    assert read_limits({}) == Limits()
    told = {"LDSR_RUNS_EACH": "0", "LDSR_RUN_MINUTES": "2.5", "LDSR_GRACE_MINUTES": " 1 ",
            "LDSR_KEEP_HOURS": "2"}  # fmt: skip
    found = Limits(each=0, run_seconds=150.0, grace_seconds=60.0, keep_seconds=7200.0)
    assert read_limits(told) == found


@pytest.mark.parametrize("text", ["many", "-1", "nan", "inf"])
@pytest.mark.parametrize("name", ["LDSR_RUNS_EACH", "LDSR_GRACE_MINUTES"])
def test_a_limit_that_is_no_number_is_one_sentence(name, text, capsys, monkeypatch) -> None:
    with pytest.raises(LdsrError, match=f"{name} is '{text}'; expected a number, 0 or more"):
        read_limits({name: text})
    monkeypatch.setenv(name, text)
    assert app.main(["--port", "8199"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


# who


@pytest.mark.parametrize(
    ("peer", "headers", "person"),
    [
        ("127.0.0.1", {}, ""),
        ("::1", {}, ""),
        ("::ffff:127.0.0.1", {}, ""),
        ("203.0.113.5", {}, "203.0.113.5"),
        ("192.168.1.7", {}, "192.168.1.7"),
        ("127.0.0.1", {"x-forwarded-for": "8.8.4.4"}, "8.8.4.4"),
        ("127.0.0.1", {"x-forwarded-for": "127.0.0.1"}, "127.0.0.1"),
        ("10.0.3.4", {"x-forwarded-for": "8.8.4.4:4711, 10.9.9.9"}, "8.8.4.4"),
        ("172.17.0.1", {"x-forwarded-for": "192.168.1.7"}, "192.168.1.7"),
        ("1.1.1.1", {"x-forwarded-for": "8.8.4.4"}, "1.1.1.1"),
        ("127.0.0.1", {"x-forwarded-for": "9.9.9.9, 8.8.4.4"}, "8.8.4.4"),
        ("127.0.0.1", {"x-forwarded-for": "<script>"}, "127.0.0.1"),
        ("127.0.0.1", {"via": "1.1 somebody"}, "127.0.0.1"),
        ("2a00:1450:4001:82a::200e", {}, "2a00:1450:4001:82a::/64"),
        ("127.0.0.1", {"x-forwarded-for": "[2a00:1450::1]:99"}, "2a00:1450::/64"),
        ("testclient", {}, "unknown"),
    ],
)
def test_a_person_is_an_address(peer: str, headers: dict, person: str) -> None:
    assert person_of(peer, headers) == person
    with_login = person_of(peer, headers, "me")
    assert with_login == (f"{person} me" if person else "")


def test_nobody_asks_outside_of_an_event() -> None:
    assert asking() == Asking()


def test_who_asks_is_known_in_an_event_and_in_its_threads() -> None:
    import gradio as gr

    seen = []

    async def look() -> None:
        seen.append(asking())
        seen.append(await asyncio.to_thread(asking))

    with gr.Blocks() as page:
        gr.Button().click(look, None, None, api_name="look")
    # Gradio itself sets it around each event; here as its `call_function` does
    from gradio.utils import get_function_with_locals

    client = SimpleNamespace(host="8.8.4.4")
    request = SimpleNamespace(client=client, headers={}, username=None, session_hash="s1")
    asyncio.run(get_function_with_locals(look, page, None, False, request, None)())
    assert seen == [Asking("s1", "8.8.4.4")] * 2


def test_an_open_page_is_a_visit() -> None:
    clock = [0.0]
    store = Store(clock=lambda: clock[0])
    key = store.put("mine", 1, owner="abc")
    seen = []

    async def alive(request) -> PlainTextResponse:
        clock[0] = 1000.0
        seen.append(store.expire(10.0, 1e9))
        return PlainTextResponse("ALIVE")

    site = Starlette(routes=[Route("/gradio_api/heartbeat/{session}", alive)])
    client = TestClient(Visits(site, store=store))
    assert client.get("/gradio_api/heartbeat/abc").text == "ALIVE" and seen == [0]
    clock[0] = 1009.0
    assert store.expire(10.0, 1e9) == 0, "it may come back"
    clock[0] = 1011.0
    assert store.expire(10.0, 1e9) == 1 and store.get(key) is None


@pytest.mark.parametrize(
    ("path", "root", "session"),
    [
        ("/gradio_api/heartbeat/abc", "", "abc"),
        ("/studio/gradio_api/heartbeat/abc", "/studio", "abc"),
        ("/gradio_api/heartbeat/abc", "/studio", "abc"),
        ("/gradio_api/queue/join", "", ""),
        ("/", "", ""),
    ],
)
def test_which_connection_is_a_page(path: str, root: str, session: str) -> None:
    assert session_of({"type": "http", "path": path, "root_path": root}) == session


@pytest.mark.parametrize(
    ("path", "peer", "before", "after"),
    [
        ("/gradio_api/mcp/", "8.8.4.4", None, "8.8.4.4"),
        ("/gradio_api/mcp/", "8.8.4.4", "9.9.9.9", "9.9.9.9, 8.8.4.4"),
        ("/studio/gradio_api/mcp", "10.0.0.2", "9.9.9.9", "9.9.9.9, 10.0.0.2"),
        ("/gradio_api/mcp/", "127.0.0.1", None, None),
        ("/gradio_api/mcp/", "127.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("/gradio_api/queue/join", "8.8.4.4", None, None),
    ],
)
def test_a_call_over_mcp_says_where_it_comes_from(path, peer, before, after) -> None:
    async def tell(request) -> PlainTextResponse:
        return PlainTextResponse(request.headers.get("x-forwarded-for") or "nothing")

    site = Starlette(routes=[Route("/{path:path}", tell)])
    client = TestClient(Callers(site), client=(peer, 5), root_path=path.partition("/gradio")[0])
    headers = {} if before is None else {"x-forwarded-for": before}
    assert client.get(path, headers=headers).text == (after or "nothing")
