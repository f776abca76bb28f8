"""The report's figures as plotly specifications: what is drawn, in which colour, and a caption.

Knows lines and rows of `evaluation.summary`; colours of paper, text and grid are the page's.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from evaluation.metrics import METRICS
from evaluation.score import ARROWS, Metric
from evaluation.statistics import Estimate, difference
from evaluation.summary import BASELINE, Line, number

COLOURS = ("#0d9488", "#2f7de1", "#e08a00", "#9b5de5", "#e0457b", "#5f9e2e", "#c2552d", "#1aa5c8")
PLAIN = {BASELINE: "#7b8794", "nearest": "#aab2bd"}
"""Of what is no model; every other method takes the next of COLOURS."""
STRIPS = ("lpips", "psnr", "hallucination", "improvement", "omission", "ssim", "spectral_angle")
TRIAD = ("improvement", "omission", "hallucination")
FAINT = 0.4
MARGIN = {"l": 64, "r": 20, "t": 16, "b": 64}
LEGEND = {"orientation": "h", "y": -0.2, "yanchor": "top"}


@dataclasses.dataclass(frozen=True)
class Figure:
    """One card of the report.

    Attributes:
        key: unique.
        title: to show.
        caption: what is seen, and what not to read into it.
        views: plotly specification by label; the reader chooses one where there are several.
    """

    key: str
    title: str
    caption: str
    views: Mapping[str, dict[str, Any]]


def draw_all(lines: Sequence[Line], rows: Sequence[dict]) -> list[Figure]:
    """Every figure that the numbers allow, of the first reference."""
    reference = lines[0].reference
    lines = [line for line in lines if line.reference == reference]
    rows = [row for row in rows if row["reference"] == reference]
    table = [line for line in lines if not line.sweep]
    colours = colours_of([line.method for line in table])
    made = [
        plane(table, colours),
        triad(table, colours),
        strips(table, rows, colours),
        curves(lines, rows, "steps"),
        curves(lines, rows, "threshold"),
    ]
    return [figure for figure in made if figure is not None]


def colours_of(methods: Sequence[str]) -> dict[str, str]:
    """One colour a method, in the order of the table."""
    models = [name for name in methods if name not in PLAIN]
    return {
        **{name: COLOURS[i % len(COLOURS)] for i, name in enumerate(models)},
        **{name: colour for name, colour in PLAIN.items() if name in methods},
    }


def plane(lines: Sequence[Line], colours: Mapping[str, str]) -> Figure | None:
    """Error against likeness: the perception-distortion plane (Blau and Michaeli 2018)."""
    shown = [line for line in lines if {"rmse", "lpips"} <= line.scores.keys()]
    if not shown:
        return None
    figure = go.Figure()
    for line in shown:
        x, y = (line.scores[name].value for name in ("rmse", "lpips"))
        figure.add_scatter(
            x=[x.mean],
            y=[y.mean],
            error_x=_bar(x.mean, x.low, x.high),
            error_y=_bar(y.mean, y.low, y.high),
            mode="markers",
            cliponaxis=False,
            marker={"size": 11, "color": colours[line.method]},
            name=line.method,
            hovertemplate=f"{line.method}<br>RMSE %{{x:.4f}}<br>LPIPS %{{y:.3f}}<extra></extra>",
        )
    figure.update_layout(
        xaxis={"title": {"text": f"{_title(METRICS['rmse'])}, reflectance"}, "rangemode": "normal"},
        yaxis={"title": {"text": _title(METRICS["lpips"])}},
        legend=LEGEND,
        height=480,
    )
    return Figure(
        key="plane",
        title="Likeness against exactness",
        caption="Lower left is better in both. No method can have the least error and the best "
        "likeness at once (Blau and Michaeli 2018): moving down usually costs a step to the right. "
        "Bars: 95 % bootstrap interval of the mean over places, not of a single patch.",
        views={"": _spec(figure)},
    )


def triad(lines: Sequence[Line], colours: Mapping[str, str]) -> Figure | None:
    """What became of the detail, in a triangle."""
    shown = [line for line in lines if set(TRIAD) <= line.scores.keys()]
    if not shown:
        return None
    figure = go.Figure()
    for line in shown:
        shares = [line.scores[name].value.mean for name in TRIAD]
        figure.add_scatterternary(
            a=[shares[0]],
            b=[shares[1]],
            c=[shares[2]],
            mode="markers",
            marker={"size": 12, "color": colours[line.method]},
            name=line.method,
            cliponaxis=False,
            hovertemplate=f"{line.method}<br>improvement %{{a:.3f}}<br>omission %{{b:.3f}}"
            "<br>hallucination %{c:.3f}<extra></extra>",
        )
    figure.update_layout(legend=LEGEND, height=480)
    lowest = [min(line.scores[name].value.mean for line in shown) for name in TRIAD]
    cut = [max(0.0, math.floor((low - 0.03) * 20) / 20) for low in lowest]
    views = {"Close up": _ternary(figure, cut), "Whole triangle": _ternary(figure, [0, 0, 0])}
    return Figure(
        key="triad",
        title="What became of the detail",
        caption="Up: new and true. Lower left: left out. Lower right: invented. A blurred picture "
        "lies lower left and so looks honest: hallucination means nothing without omission beside "
        "it. The close up cuts the corners off: read the numbers at its sides.",
        views=views,
    )


def strips(
    lines: Sequence[Line], rows: Sequence[dict], colours: Mapping[str, str]
) -> Figure | None:
    """Every patch's difference to bicubic, a strip a method."""
    baseline = {row["patch"]: row for row in rows if row["method"] == BASELINE}
    names = [name for name in STRIPS if any(name in line.scores for line in lines)]
    views = {}
    for name in names:
        figure = go.Figure()
        for i, line in enumerate(line for line in lines if line.method != BASELINE):
            patches, gains = _gains(rows, baseline, line.method, name)
            if not patches:
                continue
            figure.add_scatter(
                x=i + _jitter(len(patches)),
                y=gains,
                mode="markers",
                marker={"size": 5, "color": colours[line.method], "opacity": FAINT},
                text=patches,
                hovertemplate="%{text}<br>%{y:+.4g}<extra></extra>",
                showlegend=False,
            )
            gain = line.scores[name].gain
            figure.add_scatter(
                x=[i],
                y=[gain.mean],
                error_y=_bar(gain.mean, gain.low, gain.high),
                mode="markers",
                marker={"size": 9, "symbol": "diamond", "color": colours[line.method]},
                hovertemplate=f"{line.method}<br>mean %{{y:+.4g}}<extra></extra>",
                showlegend=False,
            )
        others = [line.method for line in lines if line.method != BASELINE]
        figure.update_layout(
            xaxis={"tickvals": list(range(len(others))), "ticktext": others, "zeroline": False},
            yaxis={"title": {"text": f"{_title(METRICS[name])}, difference to bicubic"}},
            height=420,
        )
        views[_title(METRICS[name])] = _spec(figure)
    if not views or len(lines) < 2:
        return None
    return Figure(
        key="strips",
        title="Patch by patch against bicubic",
        caption="One dot a patch: its score minus bicubic's on the same patch, so that easy and "
        "hard patches do not hide the difference. Diamond: mean with its 95 % interval. The arrow "
        "says which way is better.",
        views=views,
    )


def curves(lines: Sequence[Line], rows: Sequence[dict], fact: str) -> Figure | None:
    """Scores against the number of steps or the skip threshold, beside the dearest of them."""
    chosen = [line for line in lines if line.sweep and fact in line.facts]
    most = max((line.facts["steps"] for line in chosen), default=0)
    if fact == "steps":
        chosen = [line for line in chosen if line.facts["threshold"] == 0]
        about = "Evaluations of stage 1's denoiser"
    else:
        chosen = [line for line in chosen if line.facts["steps"] == most]
        about = f"Skip threshold ({most:g} steps; 0 computes every step)"
    chosen = sorted(chosen, key=lambda line: line.facts[fact])
    if len(chosen) < 2:
        return None
    anchor = chosen[-1 if fact == "steps" else 0]
    beside = f"{most:g} steps" if fact == "steps" else f"threshold {anchor.facts[fact]:g}"
    views = {}
    for name in STRIPS:
        if not all(name in line.scores for line in chosen):
            continue
        found = [_against(rows, line.method, anchor.method, name) for line in chosen]
        figure = _curve([line.facts[fact] for line in chosen], found, fact)
        gain = number(anchor.scores[name].gain.mean, METRICS[name].digits, sign=True)
        note = {"text": f"{beside} itself: {gain} against bicubic", "showarrow": False, "x": 0}
        figure.update_layout(
            xaxis={"title": {"text": about}, "tickvals": [line.facts[fact] for line in chosen]},
            yaxis={"title": {"text": f"{_title(METRICS[name])}, difference to {beside}"}},
            annotations=[note | {"y": 1, "xref": "paper", "yref": "paper", "yanchor": "bottom"}],
            height=390,
        )
        views[_title(METRICS[name])] = _spec(figure, MARGIN | {"t": 32})
    if not views:
        return None
    titles = {"steps": "Scores against steps", "threshold": "Scores against the skip threshold"}
    return Figure(
        key=fact,
        title=titles[fact],
        caption=f"Stage 1 alone (base), {anchor.patches} patches. Each point is compared with "
        f"{beside} on the same patches; band: 95 % interval of the mean difference. What that "
        "setting itself gains against bicubic stands above.",
        views=views,
    )


def _curve(x: Sequence[float], found: Sequence[Estimate], fact: str) -> go.Figure:
    """A line in its band."""
    figure = go.Figure()
    figure.add_scatter(
        x=[*x, *reversed(x)],
        y=[*(one.high for one in found), *(one.low for one in reversed(found))],
        mode="lines",
        fill="toself",
        fillcolor="rgba(13,148,136,.18)",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )
    figure.add_scatter(
        x=list(x),
        y=[one.mean for one in found],
        mode="lines+markers",
        line={"color": COLOURS[0]},
        marker={"size": 8},
        hovertemplate=f"{fact} %{{x:g}}<br>%{{y:+.4g}}<extra></extra>",
        showlegend=False,
    )
    if fact == "steps":
        figure.update_xaxes(type="log", ticktext=[f"{value:g}" for value in x])
    return figure


def _against(rows: Sequence[dict], method: str, other: str, name: str) -> Estimate:
    """Mean difference of two methods on the same patches."""
    values = {
        key: {row["patch"]: row.get(name) for row in rows if row["method"] == key}
        for key in (method, other)
    }
    groups = {row["patch"]: row["group"] for row in rows if row["method"] == method}
    patches = [patch for patch in values[method] if patch in values[other]]
    first, second = (
        [math.nan if values[key][p] is None else values[key][p] for p in patches]
        for key in (method, other)
    )
    return difference(first, second, [groups[patch] for patch in patches])


def draw_detail(rows: Sequence[dict]) -> Figure:
    """What refining changed and gained in each tenth of the pixels by generated detail."""
    figure = go.Figure()
    for i, name in enumerate(dict.fromkeys(row["method"] for row in rows)):
        part = [row for row in rows if row["method"] == name]
        label = f"{name}, AUROC {part[0]['auroc']:.2f}"
        for key, dash, what in (("change", "dot", "change"), ("gain", "solid", "gain")):
            figure.add_scatter(
                x=[row["tenth"] for row in part],
                y=[row[key] * 1e4 for row in part],
                mode="lines+markers",
                line={"color": COLOURS[i % len(COLOURS)], "dash": dash},
                marker={"size": 6},
                name=f"{label}: {what}",
                hovertemplate=f"{what} %{{y:.1f}}e-4<extra></extra>",
            )
    figure.update_layout(
        xaxis={"title": {"text": "Tenth of the pixels by generated detail"}, "dtick": 1},
        yaxis={"title": {"text": "Reflectance, 1e-4"}},
        legend=LEGEND,
        height=440,
    )
    return Figure(
        key="detail",
        title="What generated detail is worth",
        caption="Change: mean |refined - base|. Gain: by how much the error against the reference "
        "fell; below zero the refined pixels lie further from the truth on average. AUROC: whether "
        "the map ranks the pixels that refining helped above the others; 0.5 is chance. A border "
        "is left out, as of the scores.",
        views={"": _spec(figure)},
    )


def _gains(
    rows: Sequence[dict], baseline: Mapping[str, dict], method: str, name: str
) -> tuple[list[str], list[float]]:
    """Patches and differences of one method, where both have a finite number."""
    patches, gains = [], []
    for row in rows:
        if row["method"] != method or row["patch"] not in baseline:
            continue
        pair = row.get(name), baseline[row["patch"]].get(name)
        if all(value is not None and math.isfinite(value) for value in pair):
            patches.append(row["patch"])
            gains.append(float(f"{pair[0] - pair[1]:.4g}"))
    return patches, gains


def _ternary(figure: go.Figure, cut: Sequence[float]) -> dict[str, Any]:
    """The triangle from these shares of improvement, omission and hallucination on."""
    axes = zip(("aaxis", "baxis", "caxis"), TRIAD, cut, strict=True)
    figure.update_layout(
        ternary={
            "sum": 1,
            **{
                axis: {"title": {"text": METRICS[name].title}, "min": low, "nticks": 6}
                for axis, name, low in axes
            },
        }
    )
    return _spec(figure, margin={"l": 56, "r": 64, "t": 40, "b": 30})


def _bar(mean: float, low: float, high: float) -> dict[str, Any]:
    if math.isnan(low):
        return {"visible": False}
    sides = {"array": [high - mean], "arrayminus": [mean - low]}
    return {"type": "data", "symmetric": False, **sides, "thickness": 1.2, "width": 4}


def _jitter(count: int) -> np.ndarray:
    """The same places at every run, within a third of a strip."""
    return np.round(np.random.default_rng(0).uniform(-0.3, 0.3, count), 3)


def _title(metric: Metric) -> str:
    return f"{metric.title} {ARROWS[metric.better]}".rstrip()


def _spec(figure: go.Figure, margin: Mapping[str, int] = MARGIN) -> dict[str, Any]:
    """Data and layout without plotly's template, as plain values."""
    figure.update_layout(margin=dict(margin))
    spec = figure.to_plotly_json()
    spec["layout"].pop("template", None)
    return spec
