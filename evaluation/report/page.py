"""The report: one HTML file that works offline, with every number beside bicubic's.

Knows how a report reads; figures, pictures and numbers are made elsewhere.
"""

import dataclasses
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evaluation.metrics import METRICS
from evaluation.reliability import figures as reliability_figures
from evaluation.reliability.figures import Section
from evaluation.report.figures import Figure
from evaluation.report.gallery import Gallery
from evaluation.score import ARROWS, Metric
from evaluation.summary import BASELINE, HEADLINE, Line, Summary, half, number
from ldsr.appearing import appearing

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "web"
WIDE = ("strips",)
"""Figures that take the whole width."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All that is told.

    Attributes:
        title, description: of the data.
        lines: of the table.
        figures, gallery: to look at.
        unavailable: reason and fix by metric that has no value on this machine.
        left_out: metrics that were not asked for.
        missing: why a method takes no part, by name.
        remarks: further sentences about the data, such as shifts found.
        facts: short ones for the head, by name.
        provenance: longer ones for the end, by name: command, settings, weights.
        methods: how each metric was made, by metric.
        reliability: of the uncertainty, where samples were drawn.
    """

    title: str
    description: str
    lines: Sequence[Line]
    figures: Sequence[Figure]
    gallery: Gallery | None
    unavailable: Mapping[str, tuple[str, str]]
    left_out: Sequence[str]
    missing: Mapping[str, str]
    remarks: Sequence[str]
    facts: Mapping[str, str]
    provenance: Mapping[str, str]
    methods: Mapping[str, Mapping[str, str]]
    reliability: Section | None = None


def write_report(report: Report, path: Path) -> None:
    """Write one HTML file with everything in it, complete or not at all."""
    with appearing(path) as part:
        part.write_text(to_html(report), encoding="utf-8")


def to_html(report: Report) -> str:
    """The page, plotly's script once inside it."""
    from plotly.offline import get_plotlyjs

    figures = [*report.figures, *(report.reliability.figures if report.reliability else ())]
    specs = {figure.key: dict(figure.views) for figure in figures}
    body = "".join(
        [
            _head(report),
            _tables(report.lines),
            _absent(report),
            _figures(report.figures),
            _reliability(report.reliability),
            _gallery(report.gallery),
            _meaning(report),
            _provenance(report),
        ]
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(report.title)} · evaluation</title>"
        f"<style>{_asset('report.css')}</style></head><body><main>{body}</main>"
        f'<script type="application/json" id="specs">{_json(specs)}</script>'
        f"<script>{get_plotlyjs()}</script><script>{_asset('report.js')}</script></body></html>"
    )


def _head(report: Report) -> str:
    facts = "".join(
        f"<li>{_text(name)} <b>{_text(value)}</b></li>" for name, value in report.facts.items()
    )
    remarks = "".join(f'<p class="note">{_text(remark)}</p>' for remark in report.remarks)
    return (
        '<header><p class="eyebrow">LDSR Studio · evaluation</p>'
        '<button id="theme" type="button">Dark / light</button>'
        f"<h1>{_text(report.title)}</h1><p class=lead>{_text(report.description)}</p>{remarks}"
        f'<ul class="facts">{facts}</ul></header>'
    )


def _tables(lines: Sequence[Line]) -> str:
    references = list(dict.fromkeys(line.reference for line in lines))
    parts = [
        "<section><h2>Scores</h2>",
        '<p class="note">Mean over the patches ± half of its 95 % interval; below it the mean '
        "difference to bicubic on the same patches. Coloured where that interval leaves out zero: "
        "teal better, red worse. Intervals are bootstrapped over places, not over patches.</p>",
    ]
    for reference in references:
        shown = [line for line in lines if line.reference == reference and not line.sweep]
        if len(references) > 1:
            parts.append(f"<h3>Reference {_text(reference)}</h3>")
        headline = [name for name in HEADLINE if any(name in line.scores for line in shown)]
        parts.append(_table(shown, headline, exact=False))
    parts.append("<details><summary>All scores, with exact intervals</summary>")
    for reference in references:
        shown = [line for line in lines if line.reference == reference]
        every = [name for name in METRICS if any(name in line.scores for line in shown)]
        if len(references) > 1:
            parts.append(f"<h3>Reference {_text(reference)}</h3>")
        parts.append(_table(shown, every, exact=True))
    return "".join([*parts, "</details></section>"])


def _table(lines: Sequence[Line], metrics: Sequence[str], *, exact: bool) -> str:
    heads = "".join(f'<th scope="col">{_heading(METRICS[name])}</th>' for name in metrics)
    rows = []
    for line in lines:
        cells = "".join(_cell(line, METRICS[name], exact=exact) for name in metrics)
        under = [f"{line.patches} patches, {line.seconds:.2g} s each"] if exact else []
        if line.evaluations:
            under.insert(0, f"{line.evaluations} evaluations")
        small = f"<small>{', '.join(under)}</small>" if under else ""
        mark = ' class="base"' if line.method == BASELINE else ""
        rows.append(f'<tr{mark}><th scope="row">{_text(line.method)}{small}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Scores"><table><thead><tr>'
        f'<th scope="col">Method</th>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(line: Line, metric: Metric, *, exact: bool) -> str:
    if metric.name not in line.scores:
        return "<td>–</td>"
    found, digits = line.scores[metric.name], metric.digits
    value, gain = found.value, found.gain
    shown = f"<b>{number(value.mean, digits)}</b>"
    if value.groups > 1:
        low, high = (number(end, digits) for end in (value.low, value.high))
        wide = f"{low} … {high}" if exact else f"± {number(half(value), digits)}"
        shown += f"<span>{wide}</span>" if exact else f" <i>{wide}</i>"
    if line.method != BASELINE and gain.count:
        low, high = (number(end, digits, sign=True) for end in (gain.low, gain.high))
        text = number(gain.mean, digits, sign=True)
        if gain.groups > 1:
            text += f" ({low} … {high})" if exact else f" ± {number(half(gain), digits)}"
        better = "" if found.better != found.better else f", better on {found.better:.0%}"
        title = f"difference to bicubic {low} … {high}{better} of {gain.count} patches"
        shown += f'<span class="{_verdict(found, metric)}" title="{_text(title)}">{text}</span>'
    return f"<td>{shown}</td>"


def _verdict(found: Summary, metric: Metric) -> str:
    wanted = {"higher": 1, "lower": -1}.get(metric.better, 0)
    verdict = found.gain.sign * wanted
    return {1: "good", -1: "bad", 0: ""}[verdict]


def _absent(report: Report) -> str:
    parts = [
        _missing(METRICS[name].title, f"unavailable: {reason}", fix)
        for name, (reason, fix) in report.unavailable.items()
    ]
    parts += [_missing(name, reason, "") for name, reason in report.missing.items()]
    if report.left_out:
        names = ", ".join(METRICS[name].title for name in report.left_out)
        parts.append(
            _missing(names, "not asked for in this run.", "Add --metrics all (slow without a GPU).")
        )
    return f"<section><h2>Not in this table</h2>{''.join(parts)}</section>" if parts else ""


def _missing(name: str, reason: str, fix: str) -> str:
    # where things lie on this machine is nobody's business: names of files alone
    said = re.sub(r"(?<![\w:/~.])~?/(?:[^\s/]+/)+", "…/", f"{reason} {fix}".strip())
    return f'<p class="missing"><b>{_text(name)}</b> {_text(said)}</p>'


def _figures(figures: Sequence[Figure]) -> str:
    narrow = [figure for figure in figures if figure.key not in WIDE]
    parts = []
    for i in range(0, len(narrow), 2):
        cards = "".join(f'<div class="card">{_card(figure)}</div>' for figure in narrow[i : i + 2])
        parts.append(f'<div class="pair">{cards}</div>')
    wide = [f"<section class=card>{_card(f)}</section>" for f in figures if f.key in WIDE]
    return "".join([*parts[:1], *wide, *parts[1:]])


def _reliability(section: Section | None) -> str:
    if section is None:
        return ""
    return reliability_figures.to_html(section) + _figures(section.figures)


def _card(figure: Figure) -> str:
    choice = ""
    if len(figure.views) > 1:
        options = "".join(f"<option>{_text(label)}</option>" for label in figure.views)
        label = f"Score in: {figure.title}"
        choice = f'<select data-for="{figure.key}" aria-label="{_text(label)}">{options}</select>'
    return (
        f'<div class="top"><h2>{_text(figure.title)}</h2>{choice}</div>'
        f'<div class="figure" data-figure="{figure.key}" role="img" '
        f'aria-label="{_text(figure.title)}"></div>'
        f'<p class="note">{_text(figure.caption)}</p>'
    )


def _gallery(gallery: Gallery | None) -> str:
    if gallery is None:
        return ""
    parts = [
        "<section><h2>Best and worst patches</h2>",
        f'<p class="note">Where {_text(gallery.method)} gains most and least {gallery.metric} '
        "against bicubic; nothing was picked by hand. All pictures of a row share the input's "
        "stretch. Hallucination: share of each pixel's detail that is neither in the input nor "
        "true, 0 black to 1 yellow, for the same method.</p>",
    ]
    for row in gallery.rows:
        pictures = "".join(
            f'<figure><img src="{uri}" alt="{_text(f"{name}, {row.patch}")}">'
            f"<figcaption>{_text(name)}</figcaption></figure>"
            for name, uri in row.pictures.items()
        )
        tag = '<span class="tag good">best</span>' if row.best else (
            '<span class="tag bad">worst</span>')  # fmt: skip
        parts.append(
            f'<div class="strip"><p>{tag}<b>{_text(row.patch)}</b>, {gallery.metric} '
            f'{row.gain} against bicubic</p><div class="pictures" tabindex="0">{pictures}</div>'
            "</div>"
        )
    return "".join([*parts, "</section>"])


def _meaning(report: Report) -> str:
    used = {name for line in report.lines for name in line.scores} | set(report.unavailable)
    rows, recipes = [], []
    for name in (name for name in METRICS if name in used):
        metric = METRICS[name]
        rows.append(
            f"<dt>{_heading(metric)}</dt><dd><b>Sees</b> {_text(metric.sees)} <b>Misses</b> "
            f"{_text(metric.misses)}</dd>"
        )
        made = "; ".join(f"{key}: {value}" for key, value in report.methods.get(name, {}).items())
        if made:
            recipes.append(f"<dt>{_text(metric.title)}</dt><dd>{_text(made)}</dd>")
    return (
        "<section><h2>What each score sees, and what it misses</h2>"
        f'<p class="note">↑ higher is better, ↓ lower is better.</p><dl>{"".join(rows)}</dl>'
        f"<details><summary>How each score was made</summary><dl>{''.join(recipes)}</dl></details>"
        "</section>"
    )


def _provenance(report: Report) -> str:
    rows = "".join(
        f"<details{'' if i else ' open'}><summary>{_text(name)}</summary>"
        f"<pre>{_text(value)}</pre></details>"
        for i, (name, value) in enumerate(report.provenance.items())
    )
    return (
        f"<section><h2>How this was made</h2>{rows}</section>"
        "<footer>Detail finer than the input is generated by a model, not measured.</footer>"
    )


def _heading(metric: Metric) -> str:
    unit = f" {metric.unit}" if metric.unit else ""
    return _text(f"{metric.title}{unit} {ARROWS[metric.better]}".rstrip())


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _text(text: str) -> str:
    return html.escape(text)


def _json(value: object) -> str:
    """JSON that may stand inside a script element."""
    from plotly.io.json import to_json_plotly

    return to_json_plotly(value).replace("</", "<\\/")


def without_value(cells: Iterable, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Reason and fix of metrics that no cell has a value of."""
    reasons: dict[str, tuple[str, str]] = {}
    valued = set()
    for cell in cells:
        valued |= {name for name, value in cell.values.items() if value is not None}
        for name, (_, reason, fix) in cell.status.items():
            reasons.setdefault(name, (reason, fix))
    return {name: reasons[name] for name in names if name in reasons and name not in valued}
