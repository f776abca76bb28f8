"""From cells to a table: scores.csv, and means with intervals, bicubic beside them."""

import csv
import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evaluation.methods import Method
from evaluation.metrics import METRICS
from evaluation.runs import Cell
from evaluation.score import ARROWS
from evaluation.statistics import Estimate, difference, estimate, share_better
from ldsr.errors import MetricError

BASELINE = "bicubic"
SCORES = "scores.csv"
HEADLINE = (
    "psnr", "ssim", "lpips", "clip_iqa", "sms_iou", "spectral_angle", "input_reflectance",
    "improvement", "omission", "hallucination",
)  # fmt: skip
"""Metrics of the first table, where they have values."""
BRIEF = ("psnr", "lpips", "improvement", "omission", "hallucination", "input_reflectance")
"""Metrics of the Markdown table."""
_TEXT = ("method", "reference", "patch", "group")
_FACTS = ("evaluations", "steps", "threshold", "sweep", "seconds")


@dataclasses.dataclass(frozen=True)
class Summary:
    """One method's number.

    Attributes:
        value: mean over the patches.
        gain: mean difference to bicubic on the same patches.
        better: share of the patches on which it beats bicubic; NaN where the metric has no better.
    """

    value: Estimate
    gain: Estimate
    better: float


@dataclasses.dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        method, reference: names.
        evaluations: of a denoiser, None where that means nothing.
        facts: numbers to plot against.
        sweep: whether it belongs to a row of settings.
        seconds: mean a patch.
        patches: how many.
        scores: by metric; only those with a value.
    """

    method: str
    reference: str
    evaluations: int | None
    facts: Mapping[str, float]
    sweep: bool
    seconds: float
    patches: int
    scores: Mapping[str, Summary]


def to_rows(cells: Iterable[Cell], methods: Mapping[str, Method]) -> list[dict]:
    """One flat row a cell, as in scores.csv."""
    rows = []
    for cell in cells:
        method = methods[cell.method]
        row = {name: getattr(cell, name) for name in _TEXT}
        row |= {"evaluations": method.evaluations, "sweep": int(method.sweep)}
        row |= {name: method.facts.get(name) for name in ("steps", "threshold")}
        row |= {"seconds": cell.seconds} | dict(cell.values)
        rows.append(row)
    return rows


def write_scores(rows: Sequence[dict], path: Path) -> None:
    """Write every cell, numbers in full."""
    metrics = [name for name in METRICS if any(name in row for row in rows)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*_TEXT, *_FACTS, *metrics], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def read_scores(path: Path) -> list[dict]:
    """Read what `write_scores` wrote.

    Raises:
        MetricError: no such file, or another one.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        rows = [
            {key: value if key in _TEXT else _number(value) for key, value in row.items()}
            for row in found
        ]
    except OSError as error:
        raise MetricError(f"There is no {path}; make a report into that folder first.") from error
    except (ValueError, TypeError) as error:
        raise MetricError(f"{path} is no table of scores ({error}).") from error
    if not rows or not set(_TEXT) <= rows[0].keys():
        raise MetricError(f"{path} is no table of scores.")
    return rows


def summarise(rows: Sequence[dict]) -> list[Line]:
    """Each method's means, in the order of their first rows."""
    parts: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        parts.setdefault((row["reference"], row["method"]), []).append(row)
    order = {name: i for i, name in enumerate(dict.fromkeys(row["reference"] for row in rows))}
    lines = [
        _line(part, parts.get((reference, BASELINE), []))
        for (reference, _), part in sorted(parts.items(), key=lambda item: order[item[0][0]])
    ]
    return sorted(lines, key=lambda line: (order[line.reference], line.sweep))


def to_markdown(lines: Sequence[Line], columns: Sequence[str] = BRIEF) -> str:
    """The table as Markdown, one for each reference; sweeps are left out.

    A cell reads: mean (mean difference to bicubic ± half of its 95 % interval).

    Args:
        lines: of `summarise`.
        columns: names of metrics.

    Raises:
        MetricError: a metric that does not exist.
    """
    unknown = [name for name in columns if name not in METRICS]
    if unknown:
        raise MetricError(f"There is no metric {unknown[0]!r}; known are {', '.join(METRICS)}.")
    tables = []
    for reference in dict.fromkeys(line.reference for line in lines):
        shown = [line for line in lines if line.reference == reference and not line.sweep]
        metrics = [METRICS[name] for name in columns if any(name in x.scores for x in shown)]
        heads = [f"{m.title}{f' {m.unit}' if m.unit else ''} {ARROWS[m.better]}" for m in metrics]
        text = [f"| {reference}, {shown[0].patches} patches | evaluations | " + " | ".join(heads)]
        text = [text[0].rstrip() + " |", "|" + "---|" * (2 + len(metrics))]
        for line in shown:
            count = "" if line.evaluations is None else str(line.evaluations)
            cells = [_cell(line, metric.name) for metric in metrics]
            text.append("| " + " | ".join([line.method, count, *cells]) + " |")
        tables.append("\n".join(text))
    return "\n\n".join(tables)


def number(value: float, digits: int, *, sign: bool = False) -> str:
    """A number as shown, with a proper minus, "–" where there is none."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    return text.replace("-", "−")


def half(found: Estimate) -> float:
    """Half the width of an interval."""
    return (found.high - found.low) / 2


def _cell(line: Line, name: str) -> str:
    if name not in line.scores:
        return "–"
    found, digits = line.scores[name], METRICS[name].digits
    text = number(found.value.mean, digits)
    if line.method == BASELINE or math.isnan(found.gain.mean):
        return text
    text += f" ({number(found.gain.mean, digits, sign=True)}"
    return text + (f" ± {number(half(found.gain), digits)})" if found.gain.groups > 1 else ")")


def _line(rows: Sequence[dict], baseline: Sequence[dict]) -> Line:
    beside = {row["patch"]: row for row in baseline}
    groups = [row["group"] for row in rows]
    scores = {}
    for name, metric in METRICS.items():
        values = [_float(row.get(name)) for row in rows]
        if not any(math.isfinite(value) for value in values):
            continue
        other = [_float(beside.get(row["patch"], {}).get(name)) for row in rows]
        better = float("nan")
        if metric.better != "none":
            better = share_better(values, other, higher=metric.better == "higher")
        scores[name] = Summary(estimate(values, groups), difference(values, other, groups), better)
    first = rows[0]
    evaluations = first["evaluations"]
    return Line(
        method=first["method"],
        reference=first["reference"],
        evaluations=None if evaluations is None else int(evaluations),
        facts={key: first[key] for key in ("steps", "threshold") if first[key] is not None},
        sweep=bool(first["sweep"]),
        seconds=sum(row["seconds"] for row in rows) / len(rows),
        patches=len(rows),
        scores=scores,
    )


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _number(text: str | None) -> float | None:
    return None if text in ("", None) else float(text)
