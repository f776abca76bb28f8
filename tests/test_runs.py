"""The grid of cells: each computed once, kept when a run is killed, made anew when it must be."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from evaluation.aerial import make_pair
from evaluation.judge import Judge
from evaluation.methods import Method, Methods, add_options, foreign, make_methods, nearest
from evaluation.pairs import AS_GIVEN, Case
from evaluation.runs import CELLS, Progress, read_cells, run_grid
from evaluation.summary import read_scores, summarise, to_markdown, to_rows, write_scores
from ldsr.data.geotiff import write_patch
from ldsr.data.patch import Patch
from ldsr.errors import MetricError, WeightsError
from ldsr.pipeline import Pipeline
from tests.conftest import make_patch
from tests.test_evaluation import make_tiles

METRICS = ["psnr", "rmse", "input_reflectance"]


def make_cases(count: int = 3) -> list[Case]:
    cases = []
    for i, tile in enumerate(make_tiles(count)):
        pair = make_pair(tile, name=f"tile_{i}")
        hr = Patch(reflectance=pair.hr, valid=np.ones(pair.hr.shape[1:], bool))
        cases.append(Case(name=f"tile_{i}", lr=pair.lr, references={AS_GIVEN: hr}, group=str(i)))
    return cases


class Counted:
    """A method that counts its calls, and may fail."""

    def __init__(self, identity: str = "one", *, fails_at: int | None = None) -> None:
        self.calls, self.fails_at = 0, fails_at
        self.method = Method(name="counted", run=self._run, identity=lambda patch: identity)

    def _run(self, patch: Patch) -> Patch:
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyboardInterrupt
        return nearest()(patch)


def run(
    methods: Sequence[Method], folder: Path, cases: list[Case] | None = None, **more: object
) -> list:
    judge = Judge(metrics=more.pop("metrics", METRICS))
    return run_grid(methods, cases or make_cases(), judge, folder=folder, **more).cells


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    killed = Counted(fails_at=3)
    with pytest.raises(KeyboardInterrupt):
        run([killed.method], tmp_path)
    assert len(read_cells(tmp_path / CELLS)) == 2
    with (tmp_path / CELLS).open("a") as file:
        file.write('{"key": "cut o')  # the line that was being written
    again = Counted()
    grid = run_grid([again.method], make_cases(), Judge(metrics=METRICS), folder=tmp_path)
    assert again.calls == 1 and grid.kept == 2 and len(grid.cells) == 3
    run([again.method], tmp_path)
    assert again.calls == 1, "what was written after the cut is read"
    fresh = run([Counted().method], tmp_path / "fresh")
    assert [cell.values for cell in grid.cells] == [cell.values for cell in fresh]


@pytest.mark.parametrize(
    ("change", "calls"),
    [("nothing", 0), ("identity", 3), ("pixels", 1), ("metrics", 3), ("name", 0), ("more", 0)],
)
def test_what_changed_is_computed_again(tmp_path: Path, change: str, calls: int) -> None:
    run([Counted().method], tmp_path)
    cases, counted, metrics = make_cases(), Counted(), METRICS
    if change == "identity":
        counted = Counted("another setting")
    if change == "pixels":
        hr = cases[1].hr
        brighter = Patch(reflectance=hr.reflectance * np.float32(1.1), valid=hr.valid)
        cases[1] = Case(name="tile_1", lr=cases[1].lr, references={AS_GIVEN: brighter}, group="1")
    if change == "metrics":
        metrics = [*METRICS, "ssim"]
    if change == "name":
        counted.method = Method(
            name="renamed", run=counted.method.run, identity=counted.method.identity
        )
    if change == "more":
        cases = cases[::2]
    cells = run([counted.method], tmp_path, cases, metrics=metrics)
    assert counted.calls == calls
    assert {cell.method for cell in cells} == {"renamed" if change == "name" else "counted"}
    assert len(cells) == len(cases)


def test_both_references_cost_one_run(tmp_path: Path) -> None:
    cases = [
        Case(
            name=case.name,
            lr=case.lr,
            references={AS_GIVEN: case.hr, "harmonised": make_cases()[0].hr},
            group=case.group,
        )
        for case in make_cases()
    ]
    counted = Counted()
    cells = run([counted.method], tmp_path, cases)
    assert counted.calls == 3 and len(cells) == 6
    assert [cell.reference for cell in cells[:2]] == [AS_GIVEN, "harmonised"]


def test_progress_says_how_long(tmp_path: Path) -> None:
    seen: list[Progress] = []
    run([nearest(), Counted().method], tmp_path, on_progress=seen.append)
    assert [progress.done for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[0].seconds_left > 0 and seen[-1].seconds_left == 0
    assert {progress.total for progress in seen} == {6}
    with pytest.raises(MetricError, match="no patches"):
        run_grid([nearest()], [], Judge(metrics=METRICS), folder=tmp_path)


def make_options(*asked: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(asked)


def make_tiny(tiny_pipeline: Pipeline, *asked: str) -> Methods:
    def load(name: str) -> Pipeline:
        if name == "ldsr-s2":
            raise WeightsError("The weights 'ldsr-s2' are not here; fetch them.")
        return tiny_pipeline

    return make_methods(make_options(*asked), load)


def test_methods_of_the_command_line(tiny_pipeline: Pipeline) -> None:
    made = make_tiny(
        tiny_pipeline, "--methods", "refine,nearest,base,sr3,fast,ldsr-s2", "--steps", "1", "2",
        "--sweep-steps", "1", "3", "--thresholds", "0", "0.5",
    )  # fmt: skip
    assert list(made.table) == [
        "nearest", "bicubic", "ldsr + refine", "base, 1 DDIM steps", "base, 2 DDIM steps",
        "sr3, 1 DDIM steps", "sr3, 2 DDIM steps", "preset fast",
        "base, 1 steps, threshold 0", "base, 3 steps, threshold 0", "base, 3 steps, threshold 0.5",
    ]  # fmt: skip
    assert made.missing == {"ldsr-s2": "The weights 'ldsr-s2' are not here; fetch them."}
    assert made.table["ldsr + refine"].evaluations == 1 + 3
    lr = make_cases(1)[0].lr
    identities = [method.identity(lr) for method in made.table.values()]
    assert len(set(identities)) == len(identities)
    for method in made.table.values():
        assert method(lr).size == (64, 64)


def test_the_same_settings_are_one_cell(tiny_pipeline: Pipeline, tmp_path: Path) -> None:
    made = make_tiny(tiny_pipeline, "--methods", "refine,balanced", "--steps", "8")
    first, second = made.table["ldsr + refine"], made.table["preset balanced"]
    lr = make_cases(1)[0].lr
    assert first.identity(lr) == second.identity(lr)
    cells = run([first, second], tmp_path, make_cases(1))
    assert cells[0].key == cells[1].key and len(read_cells(tmp_path / CELLS)) == 1


def test_results_of_another_system(tmp_path: Path) -> None:
    given = make_patch(24, 32)
    given = Patch(
        reflectance=given.reflectance,
        valid=given.valid,
        crs=given.crs,
        transform=given.transform,
        source=given.source,
    )
    method = foreign(f"theirs={tmp_path}")
    with pytest.raises(MetricError, match="theirs has no result for made"):
        method(given)
    from rasterio.transform import Affine

    enlarged = nearest()(given)
    fine = given.transform @ Affine.scale(1 / 4)
    path = tmp_path / "made_sr.tif"

    def write(picture: np.ndarray, **place: object) -> None:
        valid = np.ones(picture.shape[1:], bool)
        write_patch(Patch(reflectance=picture, valid=valid, **place), path)

    write(enlarged.reflectance, crs=given.crs, transform=fine)
    first = method.identity(given)
    assert np.allclose(method(given).reflectance, enlarged.reflectance)
    write(enlarged.reflectance * np.float32(1.1), crs=given.crs, transform=fine)
    assert method.identity(given) != first, "another file, another cell"
    write(enlarged.reflectance, crs=given.crs, transform=fine @ Affine.translation(40, 0))
    with pytest.raises(MetricError, match=r"theirs, made_sr\.tif: The result does not cover"):
        method(given)
    write(enlarged.reflectance[:, :80], crs=given.crs, transform=fine)
    with pytest.raises(MetricError, match=r"theirs, made_sr\.tif: .*expected 128 x 96"):
        method(given)
    write(enlarged.reflectance)
    assert method(given).size == (96, 128), "without a place its size must do"


def test_the_table_is_the_cells(tmp_path: Path) -> None:
    methods = {"bicubic": _named(nearest(), "bicubic"), "counted": Counted().method}
    cells = run(list(methods.values()), tmp_path)
    rows = to_rows(cells, methods)
    write_scores(rows, tmp_path / "scores.csv")
    lines = summarise(rows)
    assert to_markdown(summarise(read_scores(tmp_path / "scores.csv"))) == to_markdown(lines)
    bicubic, counted = lines
    assert bicubic.scores["psnr"].value.mean == pytest.approx(
        np.mean([cell.values["psnr"] for cell in cells if cell.method == "bicubic"])
    )
    assert counted.scores["psnr"].gain.mean == 0 and counted.scores["psnr"].better == 0.5
    assert counted.patches == 3 and bicubic.scores["psnr"].value.groups == 3
    table = to_markdown(lines, ["psnr"]).splitlines()
    assert table[0] == "| as given, 3 patches | evaluations | PSNR dB ↑ |"
    assert table[3].endswith("(+0.00 ± 0.00) |") and "(" not in table[2]
    with pytest.raises(MetricError, match="no metric 'magic'"):
        to_markdown(lines, ["magic"])
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MetricError, match="no table of scores"):
        read_scores(tmp_path / "other.csv")


def _named(method: Method, name: str) -> Method:
    return Method(name=name, run=method.run, identity=method.identity, evaluations=0)
