"""What is noted of runs: ids, lines of the log, and the door that closes."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web import ledger
from ldsr.web.hosting import logs
from ldsr.web.studio import Studio
from tests.conftest import make_patch
from tests.fakes import BrokenPipeline, FakePipeline, closed_gate, wait_for

SETTINGS = Settings(base="ldsr", steps=4, refine=True, refine_steps=2, seed=7)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ldsr")
    return caplog


@pytest.fixture
def as_before() -> Iterator[None]:
    """Begin with uvicorn as it starts, and set the log of the process back to how it was."""
    root, names = logging.getLogger(), ("", *logs.OURS, *logs.UVICORN, "uvicorn.access")
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = list(root.handlers)
    for name in logs.UVICORN:
        logging.getLogger(name).setLevel(logging.INFO)  # a server of another test is silent
    yield
    root.handlers[:] = handlers
    for logger, level in before:
        logger.setLevel(level)
    logging.captureWarnings(False)


def test_a_run_is_two_lines(said) -> None:
    studio = Studio(FakePipeline())
    patch = make_patch()
    _, job = studio.start("somebody", patch, SETTINGS)
    wait_for(lambda: len(said.records) == 2)
    begin, end = said.records
    assert (begin.getMessage(), end.getMessage()) == ("run begins", "run ends")
    assert re.fullmatch(r"[0-9a-f]{8}", job.id)
    about = {"run": job.id, "kind": "picture", "size": "32x24"}
    about["settings"] = "ldsr ddim 4, refine 2, skip 0.15, seed 7"
    assert begin.fields.items() >= about.items() and end.fields.items() >= about.items()
    assert end.fields["outcome"] == "finished" and end.fields["seconds"] >= 0
    told = " ".join(str(vars(record)) for record in said.records)
    assert "somebody" not in told and patch.source.name not in str(end.fields)


def test_kinds_and_samples_are_told_apart(said) -> None:
    studio = Studio(FakePipeline())
    _, job = studio.start("a", make_patch(), SETTINGS)
    wait_for(lambda: job.ended)
    shown = type("Shown", (), {"result": job.result})()
    wanted = Settings(samples=4, settle=0.0)
    _, drawn = studio.start("a", make_patch(), wanted, sample=shown)
    wait_for(lambda: drawn.ended and not studio.ledger.running)
    assert drawn.kind == "samples"
    assert studio.ledger.samples._value.get() == 4


def test_a_fault_has_the_id_that_the_log_has(said) -> None:
    studio = Studio(BrokenPipeline())
    _, job = studio.start("a", make_patch(), SETTINGS)
    wait_for(lambda: job.ended and not studio.ledger.running)
    assert job.message.endswith(f"the server's log tells more (run {job.id}).")
    assert "secret" not in job.message
    fault = next(record for record in said.records if record.levelno == logging.ERROR)
    assert fault.fields["run"] == job.id and fault.exc_info
    end = said.records[-1].fields
    assert end["outcome"] == "failed" and end["error"] == "RuntimeError"


def test_a_closed_door_lets_the_running_one_end(said) -> None:
    pipeline = closed_gate()
    studio = Studio(pipeline)
    _, running = studio.start("a", make_patch(), SETTINGS)
    wait_for(lambda: running.state == "running")
    _, waiting = studio.start("b", make_patch(), SETTINGS)
    assert studio.ledger.waiting == 1 and studio.ledger.running == 1
    studio.ledger.close()
    wait_for(lambda: waiting.ended)
    assert waiting.state == "failed" and waiting.message == ledger.CLOSING
    with pytest.raises(LdsrError, match="is being stopped"):
        studio.start("c", make_patch(), SETTINGS)
    pipeline.gate.release(1000)
    wait_for(lambda: running.ended and not studio.ledger.running)
    assert running.state == "done" and studio.ledger.waiting == 0
    left = next(r for r in said.records if r.getMessage() == "run leaves the line")
    assert left.fields["run"] == waiting.id


def test_cancelling_all(said) -> None:
    pipeline = closed_gate()
    studio = Studio(pipeline)
    _, job = studio.start("a", make_patch(), SETTINGS)
    wait_for(lambda: job.state == "running")
    studio.ledger.cancel()
    pipeline.gate.release(1000)
    wait_for(lambda: job.ended and not studio.ledger.running)
    assert job.state == "cancelled" and said.records[-1].fields["outcome"] == "cancelled"


@pytest.mark.parametrize("kind", logs.KINDS)
def test_one_line_an_event(kind: str, as_before: None) -> None:
    stream = io.StringIO()
    logs.set_up(kind, stream)
    log = logging.getLogger("ldsr.web.x")
    log.info("two\nlines", extra=ledger.fields(run="3f2a9c1e", size="1x2", settings='a "b"'))
    log.debug("not this")
    logging.getLogger("somebody.else").info("nor this")
    logging.getLogger("somebody.else").warning("this")
    try:
        raise ValueError("why")
    except ValueError:
        sentence = ledger.fault(log, "what", "It failed.")
    run = re.fullmatch(r"It failed \(run ([0-9a-f]{8})\)\.", sentence)[1]
    text = stream.getvalue()
    if kind == "json":
        lines = [json.loads(line) for line in text.splitlines()]
        assert [line["message"] for line in lines] == ["two\nlines", "this", "what"]
        assert lines[0]["run"] == "3f2a9c1e" and lines[0]["level"] == "info"
        assert lines[2]["run"] == run and "ValueError: why" in lines[2]["exception"]
    else:
        first, second, third, *trace = text.splitlines()
        assert first.endswith(r'Z INFO two lines: run=3f2a9c1e size=1x2 settings="a \"b\""')
        assert second.endswith(" WARNING this") and third.endswith(f" ERROR what: run={run}")
        assert trace[0].startswith("Traceback") and trace[-1] == "ValueError: why"
    assert re.match(r'(\{"time": ")?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', text)


def test_uvicorn_says_what_goes_wrong_and_not_who_asks(as_before: None) -> None:
    stream = io.StringIO()
    logs.set_up("json", stream)
    for name in (*logs.UVICORN, "uvicorn.access"):
        logging.getLogger(name).addHandler(logging.StreamHandler(io.StringIO()))
    logs.take_over_uvicorn()
    logging.getLogger("uvicorn.access").warning("1.2.3.4 asked")
    logging.getLogger("uvicorn.error").error("a fault")
    assert json.loads(stream.getvalue())["message"] == "a fault"


def test_a_summary_says_what_a_run_costs() -> None:
    assert ledger.summary(None) == ""
    plain = Settings(base="bicubic", refine=False, skip_threshold=0)
    assert ledger.summary(plain) == "bicubic, seed 0"
    much = Settings(base="sr3", cascade=True, refine=False, samples=3, seed=1)
    assert ledger.summary(much).startswith("sr3 ddim 8, cascade, skip 0.15, samples 3")
