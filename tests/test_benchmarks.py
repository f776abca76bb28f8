"""The benchmark: what it concludes from figures, how it isolates the peer, that every case runs."""

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
import opensr_model.srmodel
import pytest
import torch
from opensr_model.autoencoder.autoencoder import DiagonalGaussianDistribution

from ldsr import compiling
from ldsr.compiling import Compiler
from ldsr.models import layers
from ldsr.models.latent_sr import LatentSR
from tests.benchmarks import ceiling, figures, machine, page, peer, runs, table
from tests.benchmarks.__main__ import main
from tests.benchmarks.cases import CASES, default_cases
from tests.benchmarks.measure import (
    PAGES,
    Case,
    check_process,
    decibels,
    differences,
    environment,
    measure,
    measure_apart,
)
from tests.benchmarks.paths import PATHS, without
from tests.benchmarks.work import Work
from tests.test_imports import imports, within

FOLDER = Path(__file__).parent / "benchmarks"
NARROW = {"size": 16, "steps": 2, "widths": (32, 32), "skip_steps": 6, "samples": 2}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Little work, with a checkpoint of narrow networks."""
    small = Work(folder=tmp_path, **NARROW)
    peer.make_checkpoint(small)()
    return small


def row(seconds: float, **more: float) -> dict:
    """A made-up measurement."""
    told = {"size": 128, "steps": 4, "batch": 1, "samples": 15, "first_s": 9.0, "huge_gb": 0.0}
    return told | {"seconds": seconds, "peak_gb": 2.0} | more


def test_only_the_peer_imports_the_peer_and_nothing_imports_torch_too_soon() -> None:
    late = {"__init__", "__main__", "cases", "figures", "machine", "measure", "page", "runs"}
    for path in FOLDER.glob("*.py"):
        if path.stem != "peer":
            assert not any(within(name, "opensr_model") for name in imports(path)), path
        if path.stem in late | {"table", "work"}:
            found = imports(path, top_level_only=True)
            assert not any(within(name, "torch", "ldsr", "evaluation") for name in found), path
    assert not any(within(name, "ldsr", "evaluation") for name in imports(FOLDER / "peer.py"))


def test_pages_are_asked_for_by_the_case_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for exported in ("0", "1"):
        monkeypatch.setenv(PAGES, exported)
        assert environment(CASES["peer"], 2)[PAGES] == "0"
        assert environment(CASES["peer huge pages"], 2)[PAGES] == "1"
        assert PAGES not in environment(CASES["ours"], 2)  # the product asks itself
        assert environment(CASES["without huge pages"], 2)[PAGES] == "0"
        assert PAGES not in environment(CASES["page"], 2)
    assert environment(CASES["ours"], 3)["OMP_NUM_THREADS"] == "3"


def test_a_process_that_is_not_as_it_says_is_refused() -> None:
    alone = CASES["peer"]
    check_process(alone, ["opensr_model", "ldsrx"], {PAGES: "0"})
    with pytest.raises(RuntimeError, match="ldsr was imported"):
        check_process(alone, ["ldsr.settings"], {PAGES: "0"})
    for given in ({PAGES: "1"}, {}):
        with pytest.raises(RuntimeError, match="expected '0'"):
            check_process(alone, [], given)
    check_process(CASES["ours"], ["ldsr"], {PAGES: "1"})
    with pytest.raises(RuntimeError, match="expected '1'"):
        check_process(CASES["ours"], ["ldsr"], {PAGES: "0"})
    check_process(CASES["page"], [], {})


def test_this_process_would_be_refused_as_a_peer(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ldsr was imported"):
        measure("peer", CASES["peer"], Work(folder=tmp_path))


def test_the_fastest_run_counts_and_the_picture_is_kept(tmp_path: Path) -> None:
    told = iter([{"seconds": 3.0, "n": 1}, {"seconds": 2.0, "n": 2}, {"seconds": 4.0, "n": 3}])
    case = Case(make=lambda work: lambda: (np.ones(3), next(told)), huge_pages=None)
    found = measure("some", case, Work(folder=tmp_path, repeat=3))
    assert found["seconds"] == 2.0 and found["runs"] == [3.0, 2.0, 4.0]
    assert found["peak_gb"] > 0 and found["huge_gb"] >= 0
    assert json.loads(json.dumps(found)) == found
    assert np.load(tmp_path / "some.npy").sum() == 3
    once = dataclasses.replace(case, make=lambda work: lambda: None, most=1)
    assert len(measure("once", once, Work(folder=tmp_path, repeat=3))["runs"]) == 1
    assert not (tmp_path / "once.npy").exists()


def test_decibels_and_differences(tmp_path: Path) -> None:
    truth = np.linspace(0, 2, 100)
    assert decibels(truth, truth) == 300
    assert decibels(truth + 0.02, truth) == pytest.approx(40)
    np.save(tmp_path / "ours.npy", truth + 0.02)
    np.save(tmp_path / "peer.npy", truth)
    np.save(tmp_path / "ours plain.npy", truth[:50])
    found = differences({name: CASES[name] for name in ("ours", "peer", "mini")}, tmp_path)
    assert set(found) == {"ours"} and set(found["ours"]) == {"peer"}
    assert found["ours"]["peer"]["db"] == pytest.approx(40)
    assert found["ours"]["peer"]["largest"] == pytest.approx(0.01)


def test_ratios_come_from_what_was_measured() -> None:
    found = {
        "peer": row(40, peak_gb=4.0),
        "peer huge pages": row(30),
        "ours": row(20, peak_gb=1.5),
        "ours bf16": {"error": "no"},
        "peer 3 steps": row(30),
        "ours samples": row(225),
        "page": row(3),
    }
    far = {"ours": {"peer": {"db": 100.0, "largest": 1e-5}}}
    assert table.derive(found, far) == {
        "fp32 speed": 2,
        "fp32 speed, huge pages": 1.5,
        "fp32 memory": 0.375,
        "fp32 difference": 1e-5,
        "samples speed": 2,
        "page seconds": 3,
    }
    assert table.derive({}, {}) == {}


def test_bars_are_held_missed_or_left_open(tmp_path: Path) -> None:
    work = Work(folder=tmp_path)
    bars = (
        table.Bar(title="fast", figure="a", limit=2.0, at={"size": 128}),
        table.Bar(title="small", figure="b", limit=0.5, at_least=False, form="{:.0%}"),
        table.Bar(title="said", figure="a"),
        table.Bar(title="missing", figure="c", limit=1.0),
        table.Bar(title="elsewhere", figure="a", limit=1.0, device="cuda"),
    )

    def verdicts(given: dict, at: Work = work) -> list[str]:
        return [bar["verdict"] for bar in table.judge(given, at, bars)]

    assert verdicts({"a": 2.0, "b": 0.5}) == ["held", "held", "reported", "not measured"]
    assert verdicts({"a": 1.9, "b": 0.6})[:2] == ["MISSED", "MISSED"]
    small = dataclasses.replace(work, size=32)
    assert verdicts({"a": 9.0, "b": 0.6}, small)[:2] == ["not judged: size 32", "MISSED"]
    assert verdicts({"a": 2.0}, dataclasses.replace(work, device="cuda")) == ["held"]
    judged = table.judge({"a": 2.0, "b": 0.6}, work, bars)
    assert [bar["held"] for bar in judged] == [True, False, None, None]
    assert [bar["wanted"] for bar in judged] == [">= 2.00 x", "<= 50%", "", ">= 1.00 x"]
    lines = list(table.bar_lines(judged))
    assert len(lines) == 5 and "60%  MISSED" in lines[2]


def test_every_bar_can_be_measured_and_cases_run_in_order() -> None:
    names = list(CASES)
    for device in ("cpu", "cuda"):
        assert default_cases(device) == [name for name in names if name in default_cases(device)]
    assert "page" in default_cases("cpu") and "page" not in default_cases("cuda")
    for case in CASES.values():
        assert set(case.references) <= set(names)
    everything = {name: row(1) for name in names}
    far = {
        name: {other: {"db": 50.0, "largest": 0.0} for other in case.references}
        for name, case in CASES.items()
    }
    known = table.derive(everything, far)
    assert {bar.figure for bar in table.BARS} <= set(known)


def test_use_is_of_the_ceiling_of_the_same_precision() -> None:
    most = {"matmul": 1e12, "convolution": 2e12, "ceiling": 2e12}
    half = {"matmul": 8e12, "convolution": 4e12, "ceiling": 8e12}
    found = {
        "peer": row(4),
        "ours": row(2),
        "bf16 batch 8": row(1) | {"batch": 8},
        "ceiling": row(1)
        | {"ceiling": {"fp32": most, "bf16": half}, "flops": {"ours": 1e12, "plain": 2e12}},
    }
    assert table.unit_use(found) == {"peer": 0.25, "ours": 0.25, "bf16 batch 8": 1.0}
    assert table.unit_use({"peer": row(4), "ceiling": {"error": "x"}}) == {}
    far = {"ours": {"peer": {"db": 99.0, "largest": 1e-6}}}
    lines = list(table.case_lines(found | {"page": {"error": "it ended"}}, far))
    assert "25%" in lines[1] and "peer: 99.0 dB, 1.0e-06" in lines[2] and "it ended" in lines[-1]
    assert "2.00 of a 3x3" in list(table.ceiling_lines(found))[0]


def test_a_ceiling_is_a_positive_number(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceiling, "LONG_ENOUGH", 0.0)
    monkeypatch.setitem(ceiling.SIDES, "cpu", (32, 8))
    picture, told = ceiling.make_run(work)()
    assert picture is None and set(told["ceiling"]) == {"fp32", "bf16"}
    for found in told["ceiling"].values():
        assert found["ceiling"] == max(found["matmul"], found["convolution"]) > 0
    assert 0 < told["flops"]["ours"] < told["flops"]["plain"]
    longer = ceiling.run_flops(dataclasses.replace(work, steps=3))
    longest = ceiling.run_flops(dataclasses.replace(work, steps=4))
    step = longer["ours"] - told["flops"]["ours"]
    assert step > 0 and longest["ours"] - longer["ours"] == step


def test_flops_of_the_published_geometry(tmp_path: Path) -> None:
    """Encode 1.79 T, decode 3.10 T, a step 0.323 T (../shared/reference/peers.md)."""
    counts = ceiling.run_flops(Work(folder=tmp_path))
    assert counts["plain"] == pytest.approx(1.79e12 + 4 * 0.323e12 + 3.10e12, rel=0.01)
    assert counts["ours"] < counts["plain"]


@pytest.mark.parametrize("name", PATHS)
def test_a_path_is_switched_off_everywhere_and_on_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "LONG", 16)
    torch.manual_seed(0)
    geometry = ceiling.geometry(Work(folder=Path(), widths=(32, 32)))
    model = LatentSR(**geometry).eval().requires_grad_(False)
    called = []
    for place, plain in PATHS[name].items():

        def spy(*given: object, plain: object = plain) -> object:
            called.append(plain)
            return plain(*given)

        monkeypatch.setitem(PATHS[name], place, spy)
    before = {key: value for key, value in vars(layers).items() if callable(value)}

    def draw() -> torch.Tensor:
        with torch.inference_mode():
            prepared = model.prepare(torch.full((1, 4, 8, 8), 0.2))
            z = model.denoise(prepared.cond, torch.zeros(1), prepared)
            return model.decode(z, prepared)

    fast = draw()
    assert not called
    with without([name]):
        plain = draw()
    assert called
    assert float((fast - plain).abs().max() / plain.abs().max()) < 1e-4
    assert before == {key: value for key, value in vars(layers).items() if callable(value)}


def test_a_path_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PATHS, "old", {"ldsr.models.layers.gone": torch.add})
    with pytest.raises(AttributeError, match="gone"), without(["old"]):
        pass


def test_ours_is_the_peer(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """With denoisers that do something: the package's own start gives zero."""
    state = torch.load(work.folder / "published.ckpt", weights_only=True)["state_dict"]
    assert state["model.diffusion_model.out.2.weight"].any()
    monkeypatch.setattr(opensr_model.srmodel, "assert_tensor_validity", lambda x: (x, (0, 0, 0, 0)))
    # what the benchmark changes of the package in its own process is put back in this one
    posterior = DiagonalGaussianDistribution
    for owner, name in ((posterior, "sample"), (peer.diffusion, "make_ddim_timesteps")):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    two = dataclasses.replace(work, batch=2)
    theirs = peer.make_run(two)()
    assert theirs.shape == (2, 4, 64, 64)
    for knobs in ({}, {"channels_last": False, "off": tuple(PATHS)}):
        mine = runs.ours(two, **knobs)()
        assert np.abs(mine - theirs).max() / np.abs(theirs).max() < 1e-4, knobs
    rough = runs.ours(two, half=True)()
    assert decibels(rough, theirs) > 20 and np.abs(rough - theirs).max() > 0


def test_samples_and_skipping_run(work: Work) -> None:
    for name in ("ours samples", "skip off", "skip", "skip residual"):
        at = CASES[name].adapt(dataclasses.replace(work, size=32))
        picture, told = CASES[name].make(at)()
        assert picture.shape == (4, 4 * at.size, 4 * at.size), name
        assert told["computed"] + told["skipped"] == (3 if name == "ours samples" else 6)
        assert set(told["parts"]) >= {"regress", "denoise", "decode", "total"}
    assert at.size == 16


def test_what_was_not_compiled_is_not_measured_as_compiled(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = []

    class Fine(Compiler):
        def prepare(self, network: torch.nn.Module) -> None:
            prepared.append(network)

    monkeypatch.setattr(compiling, "make_compiler", Fine)
    runs.ours(work, compiled=True)()
    assert len(prepared) == 1

    class Broken(Compiler):
        def prepare(self, network: torch.nn.Module) -> None:
            self.failed = "there is no C++ compiler"

    monkeypatch.setattr(compiling, "make_compiler", Broken)
    with pytest.raises(RuntimeError, match="not available: there is no C"):
        runs.ours(work, compiled=True)


SERVER = """
import http.server, sys
class Slow(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Slow.asked += 1
        self.send_response(503 if Slow.asked < 3 else 200)
        self.send_header("Content-Type", sys.argv[2])
        self.end_headers()
        self.wfile.write(b"<!doctype html><html></html>")
    def log_message(self, *said): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Slow).serve_forever()
"""


def test_a_page_is_timed_to_its_first_html() -> None:
    def command(kind: str) -> tuple[list[str], int]:
        port = page.free_port()
        return [sys.executable, "-c", SERVER, str(port), kind], port

    found = page.time_page(*command("text/html; charset=utf-8"))
    assert 0 < found["seconds"] < page.LIMIT and found["peak_gb"] > 0
    with pytest.raises(RuntimeError, match="no HTML within"):
        page.time_page(*command("text/plain"), limit=1.0)
    with pytest.raises(RuntimeError, match="ended with 3: .*sorry"):
        code = "import sys; print('sorry'); sys.exit(3)"
        page.time_page([sys.executable, "-c", code], page.free_port())


def test_a_case_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    found = measure_apart("ours", CASES["ours"], Work(folder=tmp_path, **NARROW), 1)
    assert set(found) == {"error"} and "published.ckpt" in found["error"]


def test_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    told = machine.describe(2)
    assert told["threads"] == 2 and told["cores"] >= 1 and told["packages"]["torch"]
    assert json.loads(json.dumps(told)) == told
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert machine.threads() == len(os.sched_getaffinity(0))


def test_figures_are_measured_and_drawn(tmp_path: Path) -> None:
    work = Work(folder=tmp_path, size=16, repeat=2)
    asked = []

    def fake(name: str, at: Work) -> dict:
        asked.append((name, at.repeat))
        if at.size == 128:
            return {"error": "no memory"}
        cost = at.size / 16 + at.steps + at.samples
        return row(cost) | {"size": at.size, "steps": at.steps, "samples": at.samples}

    swept = figures.measure_sweeps(work, fake)
    assert set(swept) == {"size", "steps", "samples"}
    assert {point["case"] for point in swept["steps"]} == {"mini steps", "mini steps computed"}
    assert ("mini", 1) in asked and ("mini", 2) in asked and {name for name, _ in asked} <= {*CASES}
    figures.draw_cost(swept, tmp_path / "cost.png")
    assert figures.draw_speed({"peer": row(40), "ours": row(20)}, tmp_path / "speed.png")
    assert not figures.draw_speed({"mini": row(1)}, tmp_path / "none.png")
    for name in ("cost", "speed"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_tables_and_writes_json(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Processes of their own: the checkpoint's without the product, ours, and mini."""
    path = tmp_path / "found.json"
    small = ["--size", "16", "--steps", "1", "--repeat", "1", "--threads", "1", "--widths"]
    asked = ["--cases", "without in place", "mini", "--json", str(path)]
    assert main([*asked, *small, "32", "32"]) == 0
    printed = capsys.readouterr().out
    assert "mini, balanced, after loading" in printed and "not judged: size 16" in printed
    told = json.loads(path.read_text())
    assert set(told) == {
        "machine", "work", "cases", "differences", "figures", "unit_use", "bars",
    }  # fmt: skip
    assert list(told["cases"]) == ["without in place", "mini"]
    for case in told["cases"].values():
        assert {"seconds", "runs", "first_s", "peak_gb", "huge_gb", "size", "steps"} <= set(case)
        assert 0 < case["seconds"] < case["first_s"] and case["peak_gb"] > 0
    assert told["cases"]["mini"]["parts"]["total"] > 0
    assert told["work"]["size"] == 16 and told["machine"]["threads"] == 1
    for bar in told["bars"]:
        assert {"title", "wanted", "measured", "value", "limit", "held", "verdict"} <= set(bar)
