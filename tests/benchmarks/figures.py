"""Cost against size, steps and samples with the weights that ship, and beside the peer: drawn.

Needs matplotlib (tests/requirements.txt).
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.work import Work

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = (1, 2, 4, 8)
"""Sides, in those of the work."""
STEPS = (2, 4, 8, 20, 50, 100)
SAMPLES = (0, 2, 4, 8, 16)
OURS, FAINT, OTHER = "#0d9488", "#b9c2cc", "#d9544d"

Measure = Callable[[str, Work], dict[str, Any]]
"""Measures a case by its name."""
Points = Sequence[Mapping[str, Any]]


def sweeps(work: Work) -> Iterator[tuple[str, str, Work]]:
    """What is measured for the figures: axis, case and work."""
    for times in SIZES:
        repeat = work.repeat if times <= 2 else 1
        yield "size", "mini", dataclasses.replace(work, size=times * work.size, repeat=repeat)
    for steps in STEPS:
        yield "steps", "mini steps", dataclasses.replace(work, steps=steps)
        yield "steps", "mini steps computed", dataclasses.replace(work, steps=steps)
    for samples in SAMPLES:
        yield "samples", "mini samples", dataclasses.replace(work, samples=samples)


def measure_sweeps(work: Work, measure: Measure) -> dict[str, list[dict[str, Any]]]:
    """Run them all: by axis what was found, with the case's name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for axis, case, at in sweeps(work):
        found.setdefault(axis, []).append({"case": case} | measure(case, at))
    return found


def draw_cost(swept: Mapping[str, Points], path: Path) -> None:
    """Four panels: seconds and memory against size, seconds against steps and against samples."""
    from matplotlib.figure import Figure

    there = {axis: [p for p in points if "error" not in p] for axis, points in swept.items()}
    figure = Figure(figsize=(14, 3.9), dpi=120, layout="constrained")
    seconds, memory, steps, samples = figure.subplots(1, 4)
    _against_size(seconds, memory, there.get("size", []))
    _against_steps(steps, there.get("steps", []))
    _against_samples(samples, there.get("samples", []))
    for axes in figure.axes:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})


def _against_size(seconds: "Axes", memory: "Axes", points: Points) -> None:
    sides = [point["size"] for point in points]
    for axes, key, form, label in (
        (seconds, "seconds", "{:.3g} s", "seconds a run"),
        (memory, "peak_gb", "{:.2f} GB", "largest resident memory, GB"),
    ):
        axes.plot(sides, [p[key] for p in points], marker="o", markersize=4, color=OURS)
        for point in points:
            _tell(axes, point["size"], point[key], form.format(point[key]))
        axes.set_xscale("log", base=2)
        axes.set_xticks(sides, [str(side) for side in sides])
        axes.set_xlabel("side of the input, px")
        axes.set_ylabel(label)
        axes.margins(x=0.3, y=0.15)
    seconds.set_yscale("log")
    seconds.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    seconds.yaxis.set_minor_formatter("")
    memory.set_ylim(bottom=0)
    seconds.set_title("mini, balanced: time against size", fontsize=10)
    memory.set_title("mini, balanced: memory against size", fontsize=10)


def _against_steps(axes: "Axes", points: Points) -> None:
    lines = (
        ("mini steps computed", "every step computed", FAINT),
        ("mini steps", "skipping", OURS),
    )
    for case, name, colour in lines:
        mine = [point for point in points if point["case"] == case]
        x, y = [p["steps"] for p in mine], [p["seconds"] for p in mine]
        axes.plot(x, y, marker="o", markersize=4, color=colour)
        if len(mine) > 1:
            _tell(axes, x[-2], y[-2], name, under=case == "mini steps")
            _tell(axes, x[-1], y[-1], f"{y[-1]:.3g} s")
    _label_axes(axes, "DDIM steps of stage 1", "mini: time against steps")


def _against_samples(axes: "Axes", points: Points) -> None:
    x = [max(point["samples"], 1) for point in points]
    y = [point["seconds"] for point in points]
    if len(points) > 1:
        axes.plot(x, [y[0] * count for count in x], color=FAINT, linewidth=5, alpha=0.5)
        _tell(axes, x[-2], y[0] * x[-2], "N runs (wide)")
        axes.plot(x, y, marker="o", markersize=4, color=OURS)
        _tell(axes, x[-2], y[-2], "one run of N samples", under=True)
        _tell(axes, x[-1], y[-1], f"{y[-1]:.3g} s")
    _label_axes(axes, "samples N", "mini, balanced: time against samples")


def _label_axes(axes: "Axes", across: str, title: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel("seconds a run")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.12, y=0.1)
    axes.set_title(title, fontsize=10)


def _tell(axes: "Axes", x: float, y: float, text: str, *, under: bool = False) -> None:
    """A word beside a point of a rising line: left above it, or right below."""
    axes.annotate(
        text,
        (x, y),
        xytext=(6, -9) if under else (-5, 5),
        textcoords="offset points",
        ha="left" if under else "right",
        fontsize=8,
    )


def draw_speed(found: Mapping[str, Mapping[str, Any]], path: Path) -> bool:
    """Bars of the cases in LDSR-S2's geometry, the peer first; whether there were any."""
    from matplotlib.figure import Figure

    wanted = ["peer", "peer huge pages", "ours plain"]
    wanted += [name for name in found if name.startswith("without ")] + ["ours", "ours bf16"]
    names = [name for name in wanted if name in found and "error" not in found[name]]
    if not names:
        return False
    figure = Figure(figsize=(10, 0.6 + 0.34 * len(names)), dpi=120, layout="constrained")
    panels = zip(
        figure.subplots(1, 2, sharey=True),
        (("seconds", "{:.1f} s", "seconds a run"), ("peak_gb", "{:.1f} GB", "peak memory, GB")),
        strict=True,
    )
    for axes, (key, form, label) in panels:
        values = [found[name][key] for name in names]
        shades = {"peer": OTHER, "peer huge pages": OTHER, "ours": OURS, "ours bf16": OURS}
        colours = [shades.get(name, FAINT) for name in names]
        bars = axes.barh([_label(name) for name in names], values, color=colours)
        axes.bar_label(bars, [form.format(value) for value in values], padding=3, fontsize=8)
        axes.set_xlabel(label)
        axes.margins(x=0.15)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(left=False)
    figure.axes[0].invert_yaxis()
    first = found[names[0]]
    size, steps = first["size"], first["steps"]
    figure.suptitle(f"LDSR-S2's geometry, {size} to {4 * size} px, {steps} DDIM steps", fontsize=10)
    figure.savefig(path, metadata={"Software": None})
    return True


def _label(name: str) -> str:
    names = {"peer": "opensr-model 1.0.8", "peer huge pages": "  with huge pages"}
    return names.get(name, name.replace("without", "ours without"))
