"""A still of the report's figures for a README: python -m evaluation --table DIR --figure PNG.

Needs matplotlib (tests/requirements.txt); the report itself does not.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.metrics import METRICS
from evaluation.report.figures import TRIAD, colours_of
from evaluation.score import ARROWS
from evaluation.summary import Line
from ldsr.errors import MetricError


def draw_still(lines: Sequence[Line], path: Path) -> None:
    """Draw likeness against exactness, and the shares of detail, as a PNG.

    Raises:
        MetricError: no matplotlib, or none of the scores to draw.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise MetricError("--figure needs matplotlib: pip install -r tests/requirements.txt.")
    from matplotlib.figure import Figure

    wanted = {"rmse", "lpips", *TRIAD}
    first = lines[0].reference
    shown = [x for x in lines if x.reference == first and not x.sweep and wanted <= x.scores.keys()]
    if not shown:
        raise MetricError(f"The table has not all of {', '.join(sorted(wanted))}: nothing to draw.")
    colours = colours_of([line.method for line in shown])
    figure = Figure(figsize=(11, 4.4), dpi=120, layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _plane(left, shown, colours)
    _bars(right, shown)
    figure.savefig(path, metadata={"Software": None})


def _plane(axes: object, lines: Sequence[Line], colours: dict[str, str]) -> None:
    """Error against likeness with intervals."""
    for line in lines:
        x, y = (line.scores[name].value for name in ("rmse", "lpips"))
        axes.errorbar(
            x.mean,
            y.mean,
            xerr=[[x.mean - x.low], [x.high - x.mean]],
            yerr=[[y.mean - y.low], [y.high - y.mean]],
            fmt="o",
            markersize=7,
            linewidth=1,
            capsize=2,
            color=colours[line.method],
            label=line.method,
        )
    axes.set_xlabel(f"RMSE {ARROWS['lower']} (reflectance)")
    axes.set_ylabel(f"{METRICS['lpips'].title} {ARROWS['lower']}")
    axes.set_title(f"Likeness against exactness, {lines[0].patches} patches", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _bars(axes: object, lines: Sequence[Line]) -> None:
    """Shares of improvement, omission and hallucination, which sum to 1."""
    names = [line.method for line in reversed(lines)]
    start = np.zeros(len(names))
    for name, colour in zip(TRIAD, ("#0d9488", "#b9c2cc", "#d9544d"), strict=True):
        shares = np.array([line.scores[name].value.mean for line in reversed(lines)])
        bars = axes.barh(names, shares, left=start, color=colour, label=METRICS[name].title)
        axes.bar_label(bars, fmt="{:.2f}", label_type="center", fontsize=8, color="black")
        start += shares
    axes.set_xlim(0, 1)
    axes.set_title("What became of the detail (opensr-test)", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.08))
