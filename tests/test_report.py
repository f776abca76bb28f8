"""The report: one file that calls nobody, every figure, every number, every missing score."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from evaluation import benchmark_report
from evaluation.benchmark_report import make_report
from evaluation.judge import Judge
from evaluation.metrics import METRICS
from evaluation.pairs import Dataset
from evaluation.report.figures import curves, draw_all
from evaluation.report.gallery import make_gallery
from evaluation.summary import number, summarise
from ldsr.pipeline import Pipeline
from tests.test_runs import make_cases, make_options, make_tiny

ASKED = ["psnr", "rmse", "lpips", "clip_iqa", "improvement", "omission", "hallucination"]
OPTIONS = (
    "--methods", "nearest,bicubic,regression,refine,ldsr-s2", "--steps", "2",
    "--sweep-steps", "1", "2", "--thresholds", "0", "0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def report(tiny_pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list]:
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TORCH_HOME", str(folder))
        patched.setenv("LDSR_HOME", str(folder))
        lines = make_report(
            Dataset(title="Blocks <& co>", description="Made up.", cases=make_cases(4)),
            make_tiny(tiny_pipeline, *OPTIONS),
            Judge(metrics=ASKED),
            folder=folder,
            metrics=ASKED,
            seed=0,
            sweep_every=2,
            detail=True,
            options=make_options(*OPTIONS),
            command=["--pairs", "/home/somebody/tiles.npz", "--foreign", "a=/home/somebody/b"],
            on_progress=lambda progress: None,
        )
    return folder, lines


@pytest.fixture(scope="module")
def page(report: tuple[Path, list]) -> str:
    return (report[0] / "report.html").read_text(encoding="utf-8")


def without_plotly(page: str) -> str:
    return re.sub(r"<script>(?:(?!</script>).)*</script>", "", page, flags=re.S)


def specs(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', page, re.S)
    return json.loads(found.group(1))


def test_it_calls_nobody_and_names_no_place_of_this_machine(
    page: str, report: tuple[Path, list]
) -> None:
    text = without_plotly(page)
    assert not re.search(r'(?:src|href)="(?!data:)', text), "nothing is fetched"
    assert "@import" not in text and "url(" not in text
    assert page.count("plotly.js v") == 1, "plotly once"
    assert "/home/somebody" not in page and "--pairs tiles.npz --foreign a=b" in page
    assert str(report[0]) not in page
    assert "Blocks &lt;&amp; co&gt;" in page


def test_tags_close(page: str) -> None:
    class Check(HTMLParser):
        open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list) -> None:
            if tag not in ("meta", "img", "br"):
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    check = Check()
    check.feed(without_plotly(page))
    assert not check.open


def test_the_table_holds_the_numbers(page: str, report: tuple[Path, list]) -> None:
    lines = [line for line in report[1] if not line.sweep]
    assert [line.method for line in lines] == ["nearest", "bicubic", "regression", "ldsr + refine"]
    first = page[: page.index("All scores, with exact intervals")]
    for line in lines:
        assert f'<th scope="row">{line.method}' in first
        for name in ("psnr", "improvement", "omission", "hallucination"):
            shown = number(line.scores[name].value.mean, METRICS[name].digits)
            assert f"<b>{shown}</b>" in first
    assert 'class="base"' in first and "PSNR dB ↑" in first and "Hallucination ↓" in first
    assert (report[0] / "scores.csv").exists() and (report[0] / "detail.csv").exists()


def test_what_is_missing_is_said_with_its_reason(page: str) -> None:
    assert re.search(r"<b>LPIPS \(RGB\)</b> unavailable: LPIPS needs AlexNet", page)
    assert "<b>CLIP-IQA</b> unavailable" in page
    assert "<b>ldsr-s2</b> The weights" in page
    assert "SSIM" in page and "not asked for" in page
    for name in ("psnr", "hallucination"):
        assert METRICS[name].sees.replace("'", "&#x27;") in page
        assert METRICS[name].misses.replace("'", "&#x27;") in page
    assert "Only 4 independent places" in page


def test_figures_hold_the_means(page: str, report: tuple[Path, list]) -> None:
    found = specs(page)
    assert set(found) == {"triad", "strips", "steps", "threshold", "detail"}, "no LPIPS, no plane"
    lines = {line.method: line for line in report[1]}
    for trace in found["triad"]["Whole triangle"]["data"]:
        scores = lines[trace["name"]].scores
        assert trace["a"][0] == pytest.approx(scores["improvement"].value.mean)
        assert trace["c"][0] == pytest.approx(scores["hallucination"].value.mean)
    strips = found["strips"]["PSNR ↑"]["data"]
    assert [len(trace["y"]) for trace in strips] == [4, 1] * 3
    gain = lines["nearest"].scores["psnr"].gain.mean
    assert strips[1]["y"][0] == pytest.approx(gain)
    assert np.mean(strips[0]["y"]) == pytest.approx(gain, abs=1e-3)
    assert found["steps"]["PSNR ↑"]["data"][1]["x"] == [1, 2]
    assert found["threshold"]["PSNR ↑"]["data"][1]["x"] == [0, 0.5]
    assert "template" not in found["triad"]["Close up"]["layout"]


def test_the_gallery_shows_both_ends(page: str) -> None:
    assert page.count('<span class="tag good">best</span>') == 2
    assert page.count('<span class="tag bad">worst</span>') == 2
    row = page[page.index('class="pictures"') :]
    row = row[: row.index("</div>")]
    labels = re.findall(r"<figcaption>(.*?)</figcaption>", row)
    assert labels == [
        "input", "bicubic", "regression", "ldsr + refine", "reference", "hallucination",
    ]  # fmt: skip


def test_patches_are_ranked_against_bicubic() -> None:
    cases = make_cases(3)
    rows = [
        {"reference": "as given", "method": method, "patch": case.name, "psnr": value}
        for method, values in (("bicubic", (30, 20, 10)), ("other", (31, 25, 9)))
        for case, value in zip(cases, values, strict=True)
    ]
    from evaluation.methods import nearest

    methods = {"bicubic": nearest(), "other": nearest()}
    gallery = make_gallery(rows, cases, methods, count=1)
    assert [(row.patch, row.gain, row.best) for row in gallery.rows] == [
        ("tile_1", "+5.00", True),
        ("tile_2", "−1.00", False),
    ]
    assert gallery.metric == "PSNR" and "hallucination" not in gallery.rows[0].pictures
    assert make_gallery(rows, cases, {"bicubic": nearest()}) is None


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("/home/x/tiles.npz", "tiles.npz"),
        ("../x/tiles.npz", "tiles.npz"),
        ("../x/tiles/", "tiles"),
        ("NAME=/home/x/y", "NAME=y"),
        ("--foreign=NAME=../x/y", "--foreign=NAME=y"),
        ("/home/a=b/y", "y"),
        ("NAME=/home/a=b/y", "NAME=y"),
        ("bicubic,base", "bicubic,base"),
        ("forest:0.6, water:0.4", "forest:0.6, water:0.4"),
    ],
)
def test_the_shown_command_names_no_folder(word: str, shown: str) -> None:
    assert benchmark_report._without_folder(word) == shown


def test_no_score_to_draw_is_no_figure() -> None:
    rows = [
        {"reference": "as given", "method": f"base, {steps}", "patch": "x", "group": "x"}
        | {"evaluations": steps, "steps": steps, "threshold": 0.0, "sweep": 1, "seconds": 1.0}
        | {"rmse": 0.01 * steps}
        for steps in (1, 2)
    ]
    lines = summarise(rows)
    assert curves(lines, rows, "steps") is None and draw_all(lines, rows) == []
    rows = [row | {"psnr": 30.0 + row["steps"]} for row in rows]
    assert [figure.key for figure in draw_all(summarise(rows), rows)] == ["steps"]


def test_generated_detail_is_judged_once_and_without_the_border(
    tiny_pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, refine = [], benchmark_report._refine

    def count(*given: object) -> object:
        seen.append(refine(*given))
        return seen[-1]

    monkeypatch.setattr(benchmark_report, "_refine", count)

    def judge(count: int, *asked: str) -> str:
        seen.clear()
        options = make_options("--steps", "1", "--refine-steps", "1", *asked)
        figure = benchmark_report._detail(make_cases(count), tiny_pipeline, options, tmp_path)
        assert [len(trace["x"]) for trace in figure.views[""]["data"]] == [10, 10] * (
            len(options.bases)
        )
        return (tmp_path / "detail.csv").read_text()

    first = judge(2)
    assert [picture.detail.shape for picture in seen] == [(56, 56)] * 2, "4 of 64 pixels a side"
    assert {x.shape for x in (seen[0].hr, seen[0].base, seen[0].sr)} == {(4, 56, 56)}
    assert judge(2) == first and not seen
    assert judge(2, "--bases", "ldsr", "bicubic").startswith(first) and len(seen) == 2
    assert judge(2, "--seed", "1") != first and len(seen) == 2, "other settings"
    judge(3, "--seed", "1")
    assert len(seen) == 3, "other data"
    (tmp_path / "detail.csv").write_text("method,tenth\nldsr + refine,1\n")
    judge(2)
    assert len(seen) == 2, "a table of an earlier version"


def test_a_second_run_reads_what_is_there(
    report: tuple[Path, list], tiny_pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lines = report
    monkeypatch.setenv("TORCH_HOME", str(folder))
    monkeypatch.setenv("LDSR_HOME", str(folder))
    cells = (folder / "cells.jsonl").read_text()
    again = make_report(
        Dataset(title="Blocks", description="Made up.", cases=make_cases(4)),
        make_tiny(tiny_pipeline, *OPTIONS),
        Judge(metrics=ASKED),
        folder=folder,
        metrics=ASKED,
        seed=0,
        sweep_every=2,
        detail=False,
        options=make_options(*OPTIONS),
        command=[],
        on_progress=lambda progress: None,
    )
    assert (folder / "cells.jsonl").read_text().split() == cells.split()
    shown = [[line.scores["psnr"] for line in found] for found in (lines, again)]
    assert shown[0] == shown[1]
