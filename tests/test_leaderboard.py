"""The saved runs of the benchmark: means, replaced not doubled, limited, bad files left out."""

import csv
import io
import json
import os

import pytest

from evaluation.metrics import METRICS
from evaluation.score import Score, not_applicable
from ldsr.errors import LdsrError
from ldsr.web.evaluate import leaderboard
from ldsr.web.evaluate.leaderboard import Board, make_run, same_as, to_csv

PICTURES = [{"name": "=Fields", "sha256": "1" * 64}, {"name": "Coast", "sha256": "2" * 64}]
PROTOCOL = {"key": "wald", "title": "Wald", "description": "40 m to 10 m."}


def _score(name: str, value: float) -> Score:
    return Score(metric=METRICS[name], value=value, provenance={"package": "NumPy"})


def _run(seed: int = 0, values: tuple[float, float] = (30.0, 32.0)) -> dict:
    weights = {"name": "mini", "sha256": "ab" * 32, "files": {}}
    bicubic = [[_score("psnr", 20.0), not_applicable(METRICS["sms"], "plain")] for _ in PICTURES]
    base = [[_score("psnr", value), _score("sms", float("nan"))] for value in values]
    return make_run(
        {"base": base, "bicubic": bicubic},
        PICTURES,
        sheet={"weights": weights, "settings": {"seed": seed, "steps": 4}},
        protocol=PROTOCOL,
    )


def test_means_with_intervals_and_no_number_where_there_is_none():
    run = _run()
    assert run["methods"] == ["bicubic", "base"]
    found = run["scores"]["base"]["psnr"]
    assert (found["mean"], found["count"], found["values"]) == (31.0, 2, [30.0, 32.0])
    assert found["low"] <= 31.0 <= found["high"]
    assert "sms" not in run["scores"]["base"] and "sms" not in run["scores"]["bicubic"]
    assert run["provenance"]["psnr"] == {"package": "NumPy"}


def test_infinity_is_written_as_nothing():
    run = _run(values=(float("inf"), 30.0))
    assert run["scores"]["base"]["psnr"]["values"] == [None, 30.0]
    json.dumps(run, allow_nan=False)


def test_the_same_run_replaces_the_older_one_and_survives_a_restart(tmp_path):
    board = Board(tmp_path / "runs")
    assert board.runs() == []
    first, again, other = _run(), _run(), _run(seed=1)
    for run in (first, other, again):
        board.save(run)
    found = Board(tmp_path / "runs").runs()
    assert {run["id"] for run in found} == {again["id"], other["id"]}
    assert board.find(again["id"])["settings"]["seed"] == 0
    assert board.find(first["id"]) is None
    assert same_as(first) == same_as(again) != same_as(other)


def test_newest_first_and_never_too_many(tmp_path, monkeypatch):
    monkeypatch.setattr(leaderboard, "MOST", 3)
    board = Board(tmp_path)
    for seed in range(5):
        board.save(_run(seed) | {"date": f"2026-01-0{seed + 1}T00:00:00+00:00"})
    assert [run["settings"]["seed"] for run in board.runs()] == [4, 3, 2]
    assert len(list(tmp_path.iterdir())) == 3


def test_what_a_killed_server_had_begun_to_write_goes(tmp_path):
    old, new = tmp_path / ".a.json.1234.part", tmp_path / ".b.json.5678.part"
    for part in (old, new):
        part.write_text('{"format"')
    os.utime(old, (0, 0))
    board = Board(tmp_path)
    assert board.runs() == []
    board.save(_run())
    assert not old.exists() and new.exists(), "somebody may be writing the new one"
    assert len(board.runs()) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '"x"', "null", "\x00"])
def test_files_that_are_no_runs_are_left_out(tmp_path, content):
    board = Board(tmp_path)
    board.save(_run())
    (tmp_path / "bad.json").write_text(content)
    assert len(board.runs()) == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LdsrError, match="cannot be saved"):
        Board(tmp_path / "file").save(_run())


def test_csv_has_means_and_pictures_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(to_csv(_run()))))
    means = {row["method"]: float(row["value"]) for row in rows if row["picture"] == "mean"}
    assert means == {"bicubic": 20.0, "base": 31.0}
    assert {row["picture"] for row in rows} == {"mean", "'=Fields", "Coast"}
    assert all(row["weights_sha256"] == "ab" * 32 and row["protocol"] == "wald" for row in rows)


@pytest.mark.parametrize(
    "damage",
    [
        lambda run: run.pop("protocol"),
        lambda run: run["protocol"].pop("title"),
        lambda run: run["scores"]["base"]["psnr"].update(mean="high"),
        lambda run: run["scores"]["base"]["psnr"].update(values=[1.0]),
        lambda run: run["scores"].pop("base"),
        lambda run: run.update(settings=[]),
        lambda run: run.update(date="yesterday"),
    ],
)
def test_damaged_runs_are_left_out(tmp_path, damage):
    run = _run()
    damage(run)
    (tmp_path / "damaged.json").write_text(json.dumps(run))
    assert Board(tmp_path).runs() == []
