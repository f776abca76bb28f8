"""The reliability section of the report: figures, tables and what they say in words.

Knows what `evaluation.reliability.scores` found; colours of paper, text and grid are the page's.
"""

import dataclasses
import html
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from evaluation.reliability.scores import (
    ALL,
    BEST,
    CALIBRATED,
    CONSTANT,
    CONTRAST,
    CONTRAST_OF_MEAN,
    SPREAD,
    TARGETS,
)
from evaluation.report.figures import COLOURS, LEGEND, Figure, _spec
from evaluation.summary import number
from ldsr.data.bands import BANDS
from ldsr.result import LEVELS

GREY = "#7b8794"
OF_BANDS = dict(zip(BANDS, ("#e0457b", "#5f9e2e", "#2f7de1", "#9b5de5"), strict=True))
OF = {
    CALIBRATED: COLOURS[0],
    SPREAD: COLOURS[2],
    BEST: COLOURS[1],
    CONSTANT: GREY,
    "oracle": "#9b5de5",
}
SHOWN = (SPREAD, CALIBRATED, CONSTANT, CONTRAST_OF_MEAN, CONTRAST, BEST)
HEADS = (
    "AUROC ↑", "(picture)", "AUSE ↓", "Spearman ↑", "ENCE ↓", "90 % holds", "half width ↓",
    "score ↓", "CRPS ↓", "calibrated is better by",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with a title: heads and rows of text, the first of each row a name."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Section:
    """What the report says of reliability.

    Attributes:
        notes: sentences above all.
        tables, figures: below.
    """

    notes: Sequence[str]
    tables: Sequence[Table]
    figures: Sequence[Figure]


def make_section(results: Mapping[str, dict]) -> Section:
    """Notes, tables and figures of what was found, by method."""
    tables = []
    for label, found in results.items():
        tables += [_predictors(label, found), _bands(label, found)]
    return Section(
        notes=[_about(next(iter(results.values()))), *(_verdict(*of) for of in results.items())],
        tables=tables,
        figures=[_coverage(results), _ranks(results), _sparsification(results), _bins(results)],
    )


def to_html(section: Section) -> str:
    """Notes and tables; the figures are the report's to place."""
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in section.notes)
    tables = "".join(map(_to_table, section.tables))
    return f"<section><h2>Reliability of the uncertainty</h2>{notes}{tables}</section>"


def _to_table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in table.heads)
    rows = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>'
        + "".join(f"<td>{html.escape(value)}</td>" for value in values)
        + "</tr>"
        for name, *values in table.rows
    )
    return (
        f'<h3>{html.escape(table.title)}</h3><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{html.escape(table.title)}"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _about(found: Mapping) -> str:
    return (
        f"Measured on {found['tiles']} tiles of {found['places']} places. What is trivial was "
        f"fitted on the {found['fitted_tiles']} tiles of the other {found['fitted_places']} "
        f"places, with a floor and factors as the calibration has them. {found['samples']} samples "
        "each. Errors are those of the samples' mean (or of the picture shown) to the reference, "
        "with its noise and misregistration, in units of each band's RMSE. Contrast is the "
        "standard deviation of the picture around a pixel, and needs no samples; AUROC is for the "
        "largest tenth of the errors; score is that of the 90 % intervals, width and misses "
        "together. What stands in brackets in a head would be right."
    )


def _verdict(label: str, found: Mapping) -> str:
    """Whether the map earns its place, in words."""
    parts = []
    for name, what in ((CONSTANT, "a constant"), (BEST, "local contrast")):
        mean, low, high = found["gains"][name]
        share = 100 / (_value(found, CALIBRATED, "interval_score_0.9") + mean)
        ends = _range([share * x for x in (mean, low, high)], 1, " %")
        verdict = "better than" if low > 0 else "worse than" if high < 0 else "no different from"
        parts.append(f"{verdict} {what}: {ends}")
    return (
        f"{label}: by the score of its 90 % intervals the calibrated map is {parts[0]}; it is "
        f"{parts[1]}; 95 % intervals over places. Calibration: {found['calibration']} "
        + _places(found["check_here"])
    )


def _places(found: Mapping) -> str:
    """What the places to check are worth, in words."""
    if not found["area"]:
        return "No picture had a place to check."
    return (
        f"The places to check hold {found['area']:.1%} of the pixels, in {found['marked']:.0%} of "
        "the pictures. "
        + _worth(found, "edges", "Where edges are said to differ, they lie", "as far off")
        + _worth(found, "brightness", "Where the interval is wide, the error is", "as large")
    ).strip()


def _worth(found: Mapping, name: str, said: str, times: str) -> str:
    if not found[f"{name}_area"]:
        return ""
    return (
        f"{said} {found[f'{name}_ratio']:.2f} times {times} as elsewhere (as many pixels of the "
        f"highest contrast: {found[f'{name}_ratio_contrast']:.2f} times). "
    )


def _value(
    found: Mapping,
    predictor: str,
    score: str,
    *,
    band: str = ALL,
    error: str = "mean",
    target: str = "pixel",
) -> float:
    wanted = (target, error, band, predictor, score)
    for row in found["rows"]:
        if tuple(row[n] for n in ("target", "error", "band", "predictor", "score")) == wanted:
            return row["value"]
    raise KeyError(wanted)


def _predictors(label: str, found: Mapping) -> Table:
    rows = []
    for name in SHOWN:
        if name == CONTRAST and found["best_side"] == 5:
            continue  # the same as BEST
        plain = [f"{_value(found, name, 'auroc'):.3f}"]
        plain.append(f"{_value(found, name, 'auroc', error='picture'):.3f}")
        plain += [f"{_value(found, name, score):.3f}" for score in ("ause", "spearman", "ence")]
        if name == CONSTANT:
            plain[-1] = "–"
        plain.append(f"{_value(found, name, 'coverage_0.9'):.1%}")
        plain += [
            f"{_value(found, name, f'{score}_0.9'):.3f}"
            for score in ("half_width", "interval_score")
        ]
        crps = ("samples", "fair_crps") if name == SPREAD else (name, "crps")
        plain.append(f"{_value(found, *crps):.3f}")
        gain = found["gains"].get(name)
        plain.append("–" if gain is None else _range(gain, 3))
        rows.append([_shown(name, found), *plain])
    return Table(f"{label}: what predicts the error", ("Predictor", *HEADS), rows)


def _range(of: Sequence[float], digits: int, unit: str = "") -> str:
    """A difference and the ends of its interval."""
    mean, low, high = (number(x, digits, sign=True) for x in of)
    return f"{mean}{unit} ({low} … {high})"


def _shown(name: str, found: Mapping) -> str:
    """A predictor's name to show."""
    side = found["best_side"]
    return {
        SPREAD: "spread, as drawn",
        CALIBRATED: "calibrated scale",
        BEST: f"contrast, {side} x {side} (best)",
        CONTRAST: "contrast, 5 x 5",
        CONTRAST_OF_MEAN: "contrast of the mean",
    }.get(name, name)


def _bands(label: str, found: Mapping) -> Table:
    rows = []
    for band, rmse in zip(BANDS, found["rmse"], strict=True):
        held = [_value(found, CALIBRATED, f"coverage_{level:g}", band=band) for level in LEVELS]
        width = rmse * _value(found, CALIBRATED, "half_width_0.9", band=band)
        raw = [
            _value(found, "samples", score, band=band)
            for score in ("coverage_mean_1_std", "spread_skill", "rank_outside")
        ]
        values = [f"{rmse:.4f}", *(f"{x:.1%}" for x in held), f"{width:.4f}"]
        rows.append([band, *values, f"{raw[0]:.1%}", f"{raw[1]:.2f}", f"{raw[2]:.1%}"])
    outside = 2 / (found["samples"] + 1)
    heads = (
        "Band", "RMSE of the mean", *(f"{100 * level:g} % holds" for level in LEVELS),
        "half width, 90 %",
        f"± 1 std ({found['nominal']['1.0']:.1%})", "spread / skill (1)",
        f"outside all ({outside:.1%})",
    )  # fmt: skip
    return Table(f"{label}: by band, in reflectance", heads, rows)


def _coverage(results: Mapping[str, dict]) -> Figure:
    views = {}
    for label, found in results.items():
        figure = go.Figure()
        _line(figure, [0, 100], [0, 100], "as it should be", GREY, dash="dash")
        levels = sorted(found["levels"])
        for band in BANDS:
            raw = [_value(found, "samples", f"coverage_{level:g}", band=band) for level in levels]
            made = [_value(found, CALIBRATED, f"coverage_{x:g}", band=band) for x in LEVELS]
            _line(figure, _percent(levels), _percent(raw), f"{band}, raw", OF_BANDS[band], "dot")
            _line(figure, _percent(LEVELS), _percent(made), f"{band}, calibrated", OF_BANDS[band])
        figure.update_layout(
            xaxis={"title": {"text": "Nominal, %"}, "range": [0, 101]},
            yaxis={"title": {"text": "Held, % of the true values"}, "range": [0, 101]},
            legend=LEGEND,
            height=460,
        )
        views[label] = _spec(figure)
    return Figure(
        key="reliability",
        title="Coverage against nominal",
        caption="Below the line: intervals hold less than they say. Raw: mean ± z std of the "
        "samples, the nominal share being that of so few samples (Student's t), not of a Gaussian. "
        "Calibrated: fitted at 50, 80 and 90 % on other places.",
        views=views,
    )


def _ranks(results: Mapping[str, dict]) -> Figure:
    views = {}
    for label, found in results.items():
        count = found["samples"] + 1
        figure = go.Figure()
        for colour, target in zip(COLOURS, TARGETS, strict=False):
            shares = [100 * share for share in found["ranks"][target][ALL]]
            figure.add_bar(
                x=list(range(count)),
                y=shares,
                name=target,
                marker={"color": colour},
                hovertemplate="rank %{x}: %{y:.1f} %<extra></extra>",
            )
        _line(figure, [-0.5, count - 0.5], [100 / count] * 2, "flat", GREY, dash="dash")
        figure.update_layout(
            xaxis={"title": {"text": "Samples below the true value"}},
            yaxis={"title": {"text": "% of the pixels"}},
            legend=LEGEND,
            height=440,
        )
        views[label] = _spec(figure)
    return Figure(
        key="ranks",
        title="Where the truth lies among the samples",
        caption="Rank histogram, all bands. Flat: truth and samples are alike. High ends: the "
        "truth often lies outside all samples, which are too much alike. Means of 3 x 3 pixels "
        "forgive a shift of a pixel.",
        views=views,
    )


def _sparsification(results: Mapping[str, dict]) -> Figure:
    views = {}
    for label, found in results.items():
        for what, curves in found["sparsification"].items():
            figure = go.Figure()
            for name in ("oracle", CALIBRATED, SPREAD, BEST, CONSTANT):
                curve = curves[name]
                share = [100 * k / len(curve) for k in range(len(curve))]
                shown = _shown(name, found)
                _line(figure, share, curve, shown, OF[name], "solid", marks=False)
            figure.update_layout(
                xaxis={"title": {"text": "Most uncertain pixels left out, %"}},
                yaxis={"title": {"text": "RMSE of the rest / RMSE of all"}, "rangemode": "tozero"},
                legend=LEGEND,
                height=460,
            )
            views[f"{label}, {what}"] = _spec(figure)
    return Figure(
        key="sparsification",
        title="Does it know where it is wrong?",
        caption="The error that is left when the pixels a map calls most uncertain are taken out. "
        "The oracle takes out the largest errors; a constant knows nothing. AUSE is the area "
        "between a curve and the oracle's.",
        views=views,
    )


def _bins(results: Mapping[str, dict]) -> Figure:
    views = {}
    for label, found in results.items():
        figure = go.Figure()
        points = [point for name in found["bins"] for point in found["bins"][name]]
        top = 1.05 * max(max(point) for point in points)
        _line(figure, [0, top], [0, top], "as it should be", GREY, dash="dash")
        for name, of in found["bins"].items():
            x, y = zip(*of, strict=True)
            _line(figure, x, y, _shown(name, found), OF[name])
        figure.update_layout(
            xaxis={"title": {"text": "Expected error, RMS, in units of the band's RMSE"}},
            yaxis={"title": {"text": "Found error, RMS"}, "rangemode": "tozero"},
            legend=LEGEND,
            height=440,
        )
        views[label] = _spec(figure)
    return Figure(
        key="spread-skill",
        title="Expected and found error",
        caption="Twentieths of the pixels by expected error, all bands. On the line: the size is "
        "right. The wider the range of a curve, the more the map tells pixels apart. Above it: "
        "errors are larger than expected.",
        views=views,
    )


def _line(
    figure: go.Figure,
    x: Sequence[float],
    y: Sequence[float],
    name: str,
    colour: str,
    dash: str = "solid",
    *,
    marks: bool = True,
) -> None:
    figure.add_scatter(
        x=[round(value, 4) for value in x],
        y=[round(value, 4) for value in y],
        mode="lines+markers" if marks and dash != "dash" else "lines",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"size": 6},
        name=name,
        hovertemplate=f"{name}<br>%{{x:.3g}}, %{{y:.3g}}<extra></extra>",
    )


def _percent(values: Sequence[float]) -> list[float]:
    return [100 * value for value in values]
