"""How fast and how small the product is beside opensr-model 1.0.8, on the same random weights.

    python -m tests.benchmarks [--cases ...] [--device cpu|cuda] [--json FILE] [--figures DIR]

Each case is a process of its own, one after the other: seconds of the run without loading (the
fastest of `--repeat`), largest resident memory while it ran, weights included, and seconds from the
start of the process to the first result. Pictures are compared. Ratios are what counts; seconds
belong to the machine.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import machine
from tests.benchmarks.cases import CASES, default_cases
from tests.benchmarks.measure import differences, measure, measure_apart
from tests.benchmarks.table import bar_lines, case_lines, ceiling_lines, derive, judge, unit_use
from tests.benchmarks.work import WIDTHS, Work

WEIGHTLESS = ("ceiling", "mini", "page")
"""Cases that begin so do not need the random checkpoint."""


def main(arguments: list[str] | None = None) -> int:
    """Run the cases asked for, print tables, write JSON and figures; 1 if a case failed."""
    options = _parser().parse_args(arguments)
    if options.one:
        name, work = options.one[0], Work.from_json(options.one[1])
        print(json.dumps(measure(name, CASES[name], work)))
        return 0
    cases = default_cases(options.device) if options.cases is None else options.cases
    found: dict[str, dict] = {}
    report: dict[str, Any] = {"machine": machine.describe(options.threads)}
    with tempfile.TemporaryDirectory() as folder:
        work = _work(options, Path(folder))
        if any(not name.startswith(WEIGHTLESS) for name in cases):
            made = _run("checkpoint", work, options.threads)
            if "error" in made:
                return 1
        for name in cases:
            found[name] = _run(name, work, options.threads)
            report |= summarise(found, work)
            write(report, options.json)
        print("\n".join(_lines(report)))
        if options.figures:
            report["sweeps"] = draw(options.figures, report, work, options.threads)
            write(report, options.json)
    errors = [case["error"] for case in found.values() if "error" in case]
    return int(any("not available" not in error for error in errors))


def summarise(found: Mapping[str, dict], work: Work) -> dict[str, Any]:
    """All that is derived from the cases so far, for the JSON."""
    far = differences({name: CASES[name] for name in found}, work.folder)
    figures = derive(found, far)
    asked = ("size", "steps", "samples", "skip_steps", "repeat", "device", "widths")
    return {
        "work": {name: getattr(work, name) for name in asked},
        "cases": dict(found),
        "differences": far,
        "figures": figures,
        "unit_use": unit_use(found),
        "bars": judge(figures, work),
    }


def draw(folder: Path, report: Mapping[str, Any], work: Work, threads: int) -> dict[str, list]:
    """Measure what the figures need, draw cost.png and speed.png, and give what was measured."""
    from tests.benchmarks import figures

    folder.mkdir(parents=True, exist_ok=True)
    swept = figures.measure_sweeps(work, lambda name, at: _run(name, at, threads))
    figures.draw_cost(swept, folder / "cost.png")
    figures.draw_speed(report.get("cases", {}), folder / "speed.png")
    return swept


def write(report: Mapping[str, Any], path: Path | None) -> None:
    """Write what there is so far: a benchmark that is stopped keeps what it measured."""
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _run(name: str, work: Work, threads: int) -> dict[str, Any]:
    """Measure one case and say so."""
    found = measure_apart(name, CASES[name], work, threads)
    if "error" in found:
        print(f"{name}: {found['error']}", file=sys.stderr, flush=True)
    else:
        at = f"{found['size']} px, {found['steps']} steps, {found['samples']} samples"
        print(f"{name} ({at}): {found['seconds']:.2f} s", file=sys.stderr, flush=True)
    return found


def _lines(report: Mapping[str, Any]) -> list[str]:
    """What is printed at the end."""
    told = report["machine"]
    lines = [
        f"{told['cpu']}, {told['threads']} threads, torch {told['packages']['torch']}, "
        f"huge pages {told['huge_pages']}, load {told['load']}, {told['date']}"
    ]
    if "cases" not in report:
        return lines
    lines += ["", *case_lines(report["cases"], report["differences"])]
    lines += ["", *ceiling_lines(report["cases"])]
    return [*lines, "", *bar_lines(report["bars"])]


def _work(options: argparse.Namespace, folder: Path) -> Work:
    return Work(
        folder=folder,
        size=options.size,
        steps=options.steps,
        samples=options.samples,
        skip_steps=options.skip_steps,
        repeat=options.repeat,
        device=options.device,
        widths=tuple(options.widths),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=CASES, help="by default all of the device")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--size",
        type=int,
        default=128,
        help="side of the input in pixels; the peer takes 65 or more, and pads to 128",
    )
    parser.add_argument("--steps", type=int, default=4, help="of DDIM beside the peer")
    parser.add_argument("--samples", type=int, default=15, help="of the uncertainty")
    parser.add_argument("--skip-steps", type=int, default=100, help="where skipping is measured")
    parser.add_argument("--repeat", type=int, default=2, help="the fastest counts")
    parser.add_argument("--threads", type=int, default=machine.threads())
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--figures", type=Path, metavar="DIR", help="and measure what they need")
    parser.add_argument("--widths", type=int, nargs=2, default=WIDTHS, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
