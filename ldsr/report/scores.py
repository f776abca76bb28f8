"""The scores in a report as HTML: how far the result is its input, and what else was computed."""

from ldsr.report.about import Row, Scores
from ldsr.report.figures import text
from ldsr.result import SuperResolution
from ldsr.words import small

NOT_SCORED = (
    "No further score was computed for this result, hence none is shown. The Evaluate tab puts "
    "scores beside those of bicubic enlargement; on the command line, python -m evaluation does."
)


def consistency_rows(result: SuperResolution) -> str:
    """Table of each stage's difference to the input, before and after back-projection."""
    rows = "".join(
        f'<tr><th scope="row">{"Base" if name == "base" else "Refined"}</th>'
        f"<td>{small(stage.residual_before)}</td><td>{small(stage.residual_after)}</td></tr>"
        for name, stage in result.figures.items()
    )
    outside = result.out_of_range
    return (
        "<h3>Consistency with the input</h3>"
        f'<p class="note">RMSE in reflectance between the input and the picture seen again as '
        "coarsely as the input is, before and after the correction. "
        f"{outside:.2%} of the result's values lie outside 0 to 1.</p>"
        + _table("Consistency with the input", ("Picture", "Before", "After"), rows)
    )


def score_tables(scores: Scores | None) -> str:
    """Tables of the scores that were handed in, or a sentence that there are none."""
    if scores is None:
        return f"<h3>Against other pictures</h3><p>{text(NOT_SCORED)}</p>"
    parts = [f"<h3>{text(scores.truth)}</h3>"]
    if scores.remark:
        parts.append(f"<p>{text(scores.remark)}</p>")
    parts.append(f'<p class="note">Computed {text(scores.date)}.</p>')
    for label, rows in scores.tables.items():
        if len(scores.tables) > 1:
            parts.append(f"<h4>{text(label)}</h4>")
        title = f"Scores {label}".strip()
        parts.append(_table(title, ("Score", *scores.columns), "".join(map(_row, rows))))
    parts += [
        f'<p class="note"><b>{text(name)}</b> not computed: {text(reason)}</p>'
        for name, reason in scores.absent.items()
    ]
    return "".join(parts)


def _row(row: Row) -> str:
    cells = "".join(
        f"<td>{'<b>' if best else ''}{text(cell)}{'</b>' if best else ''}</td>"
        for cell, best in zip(row.cells, row.best, strict=True)
    )
    better = f" <i>{text(row.better)}</i>" if row.better else ""
    return (
        f'<tr><th scope="row">{text(row.title)}{better}<small>{text(row.meaning)}</small></th>'
        f"{cells}</tr>"
    )


def _table(title: str, heads: tuple[str, ...], rows: str) -> str:
    kind = ' class="wide"' if len(heads) > 3 else ""
    columns = "".join(f'<th scope="col">{text(head)}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(title)}"><table{kind}>'
        f"<thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
