"""The threshold study for the eye: a Markdown table and a figure. Knows rows only."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = (
    ("computed", "computed", "{:.1f}"),
    ("skipped", "skipped", "{:.1f}"),
    ("gflops", "GFLOP", "{:.2f}"),
    ("flops_ratio", "cheaper", "{:.2f} x"),
    ("time_ratio", "faster", "{:.2f} x"),
    ("seconds", "s a tile", "{:.3f}"),
    ("psnr", "PSNR", "{:.3f}"),
    ("lpips", "LPIPS", "{:.4f}"),
    ("difference", "RMSE to the first", "{:.5f}"),
)
"""Key, heading and format of the table's columns of numbers."""

LINES = (
    ("DDIM, fewer steps", {"sampler": "ddim", "form": "none"}, "black"),
    ("DPM-Solver++, fewer steps", {"sampler": "dpm", "form": "none"}, "tab:grey"),
    ("residual", {"form": "residual"}, "tab:blue"),
    ("shallow", {"form": "shallow"}, "tab:orange"),
    ("literal", {"form": "literal"}, "tab:red"),
)
"""Name, rows and colour of the figure's lines."""

PANELS = (
    ("psnr", "PSNR (dB)"),
    ("lpips", "LPIPS"),
    ("difference", "RMSE to DDIM 50 (reflectance)"),
)


BRIEF = (0.05, 0.15, 0.3)
"""Thresholds of the short table, and those that the figure names."""


def shorten(rows: Sequence[dict]) -> list[dict]:
    """Keep what is without a cache, and of the caches a few thresholds at most and fewest steps."""
    steps = [row["steps"] for row in rows if row["form"] != "none"]
    ends = {max(steps), min(steps)} if steps else set()
    return [
        row
        for row in rows
        if row["form"] == "none" or (row["threshold"] in BRIEF and row["steps"] in ends)
    ]


def to_markdown(rows: Sequence[dict]) -> str:
    """Write the rows as a Markdown table, in their order."""
    lines = ["| | " + " | ".join(heading for _, heading, _ in COLUMNS) + " |"]
    lines.append("|" + "---|" * (len(COLUMNS) + 1))
    for row in rows:
        cells = [_name(row), *(form.format(row[key]) for key, _, form in COLUMNS)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _name(row: dict) -> str:
    sampler = {"ddim": "DDIM", "dpm": "DPM-Solver++"}[row["sampler"]]
    if row["form"] == "none":
        return f"{sampler} {row['steps']}"
    return f"{sampler} {row['steps']}, {row['form']} {row['threshold']:g}"


def draw(rows: Sequence[dict], path: Path) -> None:
    """Draw quality against the denoiser's operations as a PNG.

    Caches are shown for the largest number of steps alone; points carry their steps or, some
    of them, their threshold. The axes leave out "literal" where it would squeeze the rest.
    """
    from matplotlib.figure import Figure

    cached = max((row["steps"] for row in rows if row["form"] != "none"), default=0)
    shown = [row for row in rows if row["form"] == "none" or row["steps"] == cached]
    figure = Figure(figsize=(15, 4.8), dpi=110, layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
        for name, wanted, colour in LINES:
            points = [row for row in shown if wanted.items() <= row.items()]
            suffix = "" if wanted.get("sampler") else f" ({cached} steps)"
            _line(axes, points, key, label=name + suffix, colour=colour)
        _frame(axes, [row[key] for row in shown if row["form"] != "literal"], key, title)
    figure.axes[0].legend(fontsize=8)
    figure.savefig(path)


def _line(axes: "Axes", rows: Sequence[dict], key: str, *, label: str, colour: str) -> None:
    """One line through rows in the order of their cost, each point with its steps or threshold."""
    rows = sorted((row for row in rows if _drawable(row[key], key)), key=lambda row: row["gflops"])
    x, y = [row["gflops"] for row in rows], [row[key] for row in rows]
    axes.plot(x, y, marker="o", markersize=3, linewidth=1.2, color=colour, label=label)
    for row in (row for row in rows if row["form"] == "none" or row["threshold"] in BRIEF):
        mark = row["steps"] if row["form"] == "none" else f"{row['threshold']:g}"
        axes.annotate(
            mark,
            (row["gflops"], row[key]),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=7,
            color=colour,
            annotation_clip=True,
        )


def _frame(axes: "Axes", values: Sequence[float], key: str, title: str) -> None:
    """Scales and limits that show `values` whole."""
    from matplotlib.ticker import LogLocator

    values = [value for value in values if _drawable(value, key)]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("denoiser, GFLOP a tile")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3, which="both")
    if not values:
        return
    low, high = min(values), max(values)
    if key == "difference":
        axes.set_yscale("log")
        axes.set_ylim(low / 1.5, high * 1.5)
    else:
        margin = 0.1 * (high - low) or 0.01
        axes.set_ylim(low - margin, high + margin)


def _drawable(value: float, key: str) -> bool:
    """A number; above 0 on the logarithmic axis (the first setting does not differ from itself)."""
    return math.isfinite(value) and (key != "difference" or value > 0)
