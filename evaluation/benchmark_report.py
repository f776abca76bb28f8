"""From a data set and methods to a folder with cells.jsonl, scores.csv, detail.csv, report.html."""

import argparse
import csv
import dataclasses
import hashlib
import json
import platform
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from evaluation.detail import TENTHS, Refined, judge_detail
from evaluation.fidelity import border_of, crop
from evaluation.judge import Judge
from evaluation.methods import Methods, ours, variants
from evaluation.metrics import METRICS
from evaluation.pairs import Case, Dataset, digest
from evaluation.reliability.figures import Section, make_section
from evaluation.reliability.report import judge_reliability
from evaluation.report.figures import Figure, draw_all, draw_detail
from evaluation.report.gallery import make_gallery
from evaluation.report.page import Report, without_value, write_report
from evaluation.runs import VERSION, Grid, Progress, run_grid
from evaluation.summary import SCORES, Line, summarise, to_rows, write_scores
from ldsr.appearing import appearing
from ldsr.pipeline import Pipeline
from ldsr.settings import PRESETS, Settings

SLOW = ("sms", "sms_iou", "boundary_f")
"""Segment Anything takes seconds a picture without a GPU: only when asked for."""
DEFAULT_METRICS = tuple(name for name in METRICS if name not in SLOW)
DETAIL = "detail.csv"
_NUMBERS = ("auroc", "helped", "tenth", "detail", "change", "gain")
FEW = 12
"""Places below which a bootstrap's intervals are said to be too narrow."""


def make_report(
    dataset: Dataset,
    methods: Methods,
    judge: Judge,
    *,
    folder: Path,
    metrics: Sequence[str],
    seed: int,
    sweep_every: int,
    detail: bool,
    options: argparse.Namespace,
    command: Sequence[str],
    on_progress: Callable[[Progress], None],
    samples: int = 0,
) -> list[Line]:
    """Run what is missing and write everything.

    Args:
        dataset: patches with their references.
        methods: bicubic among them.
        judge: scores.
        folder: of the report; cells kept there are not computed again.
        metrics: names the judge was made with.
        seed: of the runs, to show.
        sweep_every: methods of a sweep see every n-th patch.
        detail: whether to judge the map of generated detail of "refine".
        options: of the command line, for the settings of "refine".
        command: arguments, to show.
        on_progress: told as the run goes on.
        samples: drawn of methods with a second stage, to judge their uncertainty; 0 does not.

    Returns:
        The lines of the table.
    """
    grid = run_grid(
        list(methods.table.values()),
        dataset.cases,
        judge,
        folder=folder,
        sweep_every=sweep_every,
        on_progress=on_progress,
    )
    rows = to_rows(grid.cells, methods.table)
    write_scores(rows, folder / SCORES)
    lines = summarise(rows)
    figures = draw_all(lines, rows)
    whole = [case for case in dataset.cases if case.hr.valid.all() and case.lr.valid.all()]
    if detail and whole and "refine" not in methods.missing:
        figures.append(_detail(whole, methods.pipeline, options, folder))
    table = {name: method for name, method in methods.table.items() if not method.sweep}
    report = Report(
        title=dataset.title,
        description=dataset.description,
        lines=lines,
        figures=figures,
        gallery=make_gallery(rows, dataset.cases, table, judge=judge),
        unavailable=without_value(grid.cells, metrics),
        left_out=[name for name in METRICS if name not in metrics],
        missing=methods.missing,
        remarks=_remarks(dataset.cases),
        facts=_facts(dataset.cases, methods, seed),
        provenance=_provenance(methods, command, grid),
        methods=grid.provenance,
        reliability=_reliability(
            dataset.cases, methods, options, samples, folder=folder, on_progress=on_progress
        ),
    )
    write_report(report, folder / "report.html")
    return lines


def _remarks(cases: Sequence[Case]) -> list[str]:
    """What was found and done to the references."""
    shifts = np.array([case.shift for case in cases if case.shift is not None])
    remarks = []
    if len(shifts):
        length = np.hypot(*shifts.T)
        remarks.append(
            f"References were registered by phase correlation: {len(shifts)} of {len(cases)} moved "
            f"by {np.median(length):.2f} px of 2.5 m (median; largest {length.max():.2f}; mean "
            f"{shifts[:, 0].mean():+.2f} south, {shifts[:, 1].mean():+.2f} east)."
        )
    places = len({case.group for case in cases})
    if places < FEW:
        remarks.append(
            f"Only {places} independent place{'s' if places > 1 else ''}: intervals of so few are "
            "too narrow, and one place may decide."
        )
    if len(cases[0].references) > 1:
        remarks.append(
            "Both numbers are shown: against the reference as given, and brought to the input's "
            "brightness. Figures and gallery use it as given."
        )
    return remarks


def _facts(cases: Sequence[Case], methods: Methods, seed: int) -> dict[str, str]:
    places = len({case.group for case in cases})
    height, width = cases[0].lr.size
    return {
        "patches": str(len(cases)),
        "places": str(places),
        "input": f"{width} x {height} px",
        "weights": methods.pipeline.name,
        "seed": str(seed),
    }


def _provenance(methods: Methods, command: Sequence[str], grid: Grid) -> dict[str, str]:
    from importlib.metadata import version

    import torch

    packages = ("numpy", "torch", "scikit-image", "plotly")
    shown = {
        name: json.loads(method.identity_text)
        for name, method in methods.table.items()
        if method.identity_text.startswith("{")
    }
    return {
        "Command": f"python -m evaluation {shlex.join(map(_without_folder, command))}",
        "Machine": f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"{methods.pipeline.device}; {grid.kept} of {len(grid.cells)} cells were kept from before, "
        f"the rest took {grid.seconds:.0f} s",
        "Versions": ", ".join(f"{name} {version(name)}" for name in packages)
        + f", Python {platform.python_version()}",
        "Settings and weights (SHA-256)": "\n".join(
            f"{name}: {json.dumps(found, sort_keys=True)}" for name, found in shown.items()
        ),
    }


def _without_folder(word: str) -> str:
    """A word of the command; where files lie on this machine is nobody's business."""
    names, place = re.fullmatch(r"((?:[^=/]*=)*)(.*)", word, re.DOTALL).groups()
    return names + (Path(place).name if "/" in place else place)


def _detail(
    cases: Sequence[Case], pipeline: Pipeline, options: argparse.Namespace, folder: Path
) -> Figure:
    """Judge the map of generated detail on each base, where detail.csv does not hold it yet."""
    path, rows = folder / DETAIL, []
    kept = _read_detail(path)
    data = [digest(case.lr, case.hr) for case in cases]
    for label, settings in variants("refine", options):
        of = (str(VERSION), ours(label, pipeline, settings).identity_text, *data)
        key = hashlib.sha256("\n".join(of).encode()).hexdigest()
        found = kept.get(key)
        if found is None:
            found = _tenths([_refine(pipeline, case, settings) for case in cases])
        rows += [{"method": label} | row | {"key": key} for row in found]
        _write_detail(rows, path)
        auroc, helped = (found[0][name] for name in ("auroc", "helped"))
        print(f"{label}: detail AUROC {auroc:.3f}, helped {helped:.1%} of the pixels")
    return draw_detail(rows)


def _reliability(
    cases: Sequence[Case],
    methods: Methods,
    options: argparse.Namespace,
    samples: int,
    *,
    folder: Path,
    on_progress: Callable[[Progress], None],
) -> Section | None:
    """Judge the uncertainty of every method with a second stage that takes part."""
    names = [name for name in options.methods.split(",") if name in ("refine", *PRESETS)]
    wanted = [v for name in names if name not in methods.missing for v in variants(name, options)]
    if not samples or not wanted:
        return None
    found = judge_reliability(
        cases, methods.pipeline, wanted, samples=samples, folder=folder, on_progress=on_progress
    )
    return make_section(found)


def _tenths(pictures: Sequence[Refined]) -> list[dict[str, float]]:
    """A row for each tenth of the pixels by generated detail."""
    scores = judge_detail(pictures)
    whole = {"auroc": scores.auroc, "helped": scores.helped}
    tenths = zip(scores.detail, scores.change, scores.gain, strict=True)
    return [
        whole | {"tenth": i, "detail": detail, "change": change, "gain": gain}
        for i, (detail, change, gain) in enumerate(tenths, start=1)
    ]


def _write_detail(rows: Sequence[dict], path: Path) -> None:
    """Write detail.csv, complete or not at all."""
    with appearing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _read_detail(path: Path) -> dict[str, list[dict]]:
    """Rows that were kept, by key: a hash of settings, weights and pixels."""
    kept: dict[str, list[dict]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                numbers = {name: float(row[name]) for name in _NUMBERS}
                kept.setdefault(row["key"], []).append(numbers | {"tenth": int(row["tenth"])})
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # another table, or none: all is computed again
    return {key: rows for key, rows in kept.items() if len(rows) == TENTHS}


def _refine(pipeline: Pipeline, case: Case, settings: Settings) -> Refined:
    """Run both stages on one pair; the border is left out, as of every score."""
    result = pipeline(case.lr, dataclasses.replace(settings, refine=True))
    hr, base, sr = (x.reflectance for x in (case.hr, result.base, result.sr))
    border = border_of(case.hr.size)
    pictures = {"hr": hr, "base": base, "sr": sr, "detail": result.detail}
    return Refined(**{name: crop(x, border) for name, x in pictures.items()})
