"""The short form: a few people before the stand-in; the long form is `tests.reliability.load`."""

import dataclasses
import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.browser.conftest import _missing
from tests.reliability.figures import Demands, Load, Memory, cancel_seconds
from tests.reliability.judge import ROOT
from tests.reliability.load import NO_BROWSER
from tests.reliability.server import Ran
from tests.reliability.tally import Tally, plain

CLIENTS, WISHES = 4, 4
GENEROUS = ("--limit", "120", "--settle", "0", "--longest-cancel", "30", "--most-grown", "9")
"""A slow machine is not a fault, and a stand-in's memory says nothing."""


def test_whoever_asks_gets_a_result_or_a_sentence(tmp_path) -> None:
    """Each runs, cancels, leaves in the middle of a run and comes back, and asks for nonsense."""
    told = tmp_path / "load.json"
    command = [sys.executable, "-m", "tests.reliability.load", "--stand-in", *GENEROUS]
    command += ["--clients", str(CLIENTS), "--wishes", str(WISHES), "--json", str(told)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode == NO_BROWSER:
        _missing("playwright or Chromium")
    assert done.returncode == 0, done.stdout + done.stderr
    load = json.loads(told.read_text())
    assert load["asked"] >= 3 * CLIENTS and load["finished"] >= CLIENTS
    assert load["cancelled"] >= CLIENTS and load["left"] == CLIENTS
    assert load["pages"] == 2 * CLIENTS and load["left_over"] == 0
    assert not load["lost"] and not load["faults"] and not load["findings"]
    assert all(text.endswith((".", "?")) for _, text, _ in load["refused"])


@pytest.fixture
def load() -> Load:
    """Two runs, both well."""
    tally = Tally(asked=2, finished=1, cancelled=1, waits=[3.0], cancels=[105.0])
    runs = [Ran("a", "picture", 100, 106, "cancelled"), Ran("b", "picture", 106, 109, "finished")]
    memory = Memory(start=100, largest=300, end=105, settled=2.0)
    counted = {"tally": tally, "runs": runs, "memory": memory, "faults": [], "left_over": 0}
    return Load(clients=1, seconds=60, seed=0, **counted)


def test_what_is_well_has_no_findings(load) -> None:
    assert load.cancels == [1.0] and load.findings(Demands()) == []
    table = load.table()
    assert "median 3.00, 95 % 3.00, longest 3.00 (1)" in table and "+5.0%" in table


@pytest.mark.parametrize(
    "change, finding",
    [
        ({"lost": ["client 0, run: Timeout"]}, "lost: client 0"),
        ({"page_errors": ["x is not a function"]}, "page error: x"),
        ({"console_errors": ["404"]}, "console error: 404"),
        ({"asked": 3}, "1 runs of 3 have no ending"),
        ({"cancels": [103.5]}, "only after 2.5 s"),
    ],
)
def test_what_a_tally_tells(load, change, finding) -> None:
    told = dataclasses.replace(load, tally=dataclasses.replace(load.tally, **change))
    assert any(finding in line for line in told.findings(Demands()))


@pytest.mark.parametrize(
    "change, finding",
    [
        ({"memory": Memory(start=100, largest=300, end=111, settled=60)}, "11% above"),
        ({"faults": ["KeyError"]}, "traceback: KeyError"),
        ({"left_over": 2}, "2 runs are still there"),
    ],
)
def test_what_a_server_tells(load, change, finding) -> None:
    told = dataclasses.replace(load, **change)
    assert any(finding in line for line in told.findings(Demands()))


def test_a_refusal_is_an_ending(load) -> None:
    refused = Counter({("run", "20 runs are waiting."): 2, ("address", "Gone."): 5})
    told = dataclasses.replace(load.tally, asked=4, refused=refused)
    assert dataclasses.replace(load, tally=told).findings(Demands()) == []


def test_only_a_click_on_a_running_picture_counts() -> None:
    runs = [Ran("s", "scores", 0, 50, "finished"), Ran("a", "picture", 10, 20, "cancelled")]
    runs.append(Ran("b", "picture", 30, 40, "finished"))
    assert cancel_seconds([5.0, 18.5, 35.0, 60.0], runs) == [1.5]
    stuck = [Ran("c", "picture", 10, float("inf"), "")]
    assert cancel_seconds([12.0], stuck) == [60.0]


def test_sentences_are_counted_without_their_numbers() -> None:
    assert plain("20 runs are waiting, 3.5 s.") == plain("7 runs are waiting, 12 s.")
