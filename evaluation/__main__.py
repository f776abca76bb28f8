"""Command line of the evaluation: a benchmark with its report, landscapes, or one pair's scores."""

import argparse
import csv
import sys
import time
from pathlib import Path

from evaluation.benchmark_report import DEFAULT_METRICS, make_report
from evaluation.calibration import split_places
from evaluation.calibration_file import calibrate_preset, write_entry
from evaluation.judge import Judge
from evaluation.landscapes import look, save
from evaluation.methods import add_options, make_methods
from evaluation.metrics import METRICS
from evaluation.opensr_test import NAMES, load_opensr
from evaluation.pair_scores import score_files
from evaluation.pairs import AERIAL, Dataset, export, load_dataset
from evaluation.protocol import HARMONISATIONS, load_wald, prepare
from evaluation.reliability.report import Ticks
from evaluation.report.still import draw_still
from evaluation.runs import Progress
from evaluation.summary import BRIEF, SCORES, read_scores, summarise, to_markdown
from ldsr.calibration import FILE
from ldsr.data.reader import read_patch
from ldsr.errors import LdsrError, MetricError
from ldsr.machine import limit_threads
from ldsr.manifest import ASSETS
from ldsr.pipeline import Pipeline
from ldsr.settings import MAX_SAMPLES, PRESETS
from ldsr.uncertainty import MIN_SAMPLES


def main(arguments: list[str] | None = None) -> int:
    """Run and return the exit status: 0, or 2 for anything the person can mend."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(given)
    try:
        limit_threads()
        if options.files:
            if len(options.files) not in (2, 3):
                raise MetricError(f"{len(options.files)} files; expected LR SR, or LR SR HR.")
            print(score_files(*options.files, as_json=options.json, device=options.device))
        elif options.table:
            lines = summarise(read_scores(options.table / SCORES))
            print(to_markdown(lines, options.columns.split(",")))
            if options.figure:
                draw_still(lines, options.figure)
        elif options.landscapes:
            look_at_landscapes(options)
        elif options.calibrate:
            calibrate(options)
        elif options.pairs or options.wald or options.opensr_test:
            benchmark(options, given)
        else:
            parser.error(
                "give LR SR [HR], or --pairs, --wald, --opensr-test, --landscapes, --calibrate"
            )
    except LdsrError as error:
        print(f"evaluation: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nevaluation: stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def benchmark(options: argparse.Namespace, given: list[str]) -> None:
    """Score every method on every patch and write the report; or export the inputs."""
    dataset = choose_data(options)
    if options.export:
        count = export(dataset, options.export)
        print(f"{count} pairs in {options.export}; results go into a folder, named as the inputs")
        return
    if _samples(options.samples):
        split_places(dataset.cases)  # too few places are said before anything is computed
    metrics = _metrics(options.metrics)
    methods = make_methods(options)
    judge = Judge(device=options.device, metrics=metrics)
    for name, reason in methods.missing.items():
        print(f"evaluation: without {name}: {reason}", file=sys.stderr)
    folder = options.out or Path("report")
    lines = make_report(
        dataset,
        methods,
        judge,
        folder=folder,
        metrics=metrics,
        seed=options.seed,
        sweep_every=options.sweep_every,
        detail="refine" in options.methods.split(",") and not options.no_detail,
        options=options,
        command=given,
        on_progress=Ticker(),
        samples=options.samples,
    )
    print(to_markdown(lines, options.columns.split(",")))
    print(f"\n{folder / 'report.html'}")


def choose_data(options: argparse.Namespace, pairs: Path | None = None) -> Dataset:
    """The pairs that were asked for, registered and harmonised where they need it."""
    if options.wald:
        dataset, default = load_wald(options.wald), (False, [])
    elif options.opensr_test:
        dataset, default = load_opensr(options.opensr_test, fetch=options.fetch), (False, [])
    else:
        dataset = load_dataset(pairs or options.pairs)
        made = dataset.description == AERIAL  # the input was made of the reference
        default = (False, []) if made else (True, ["linear"])
    register = default[0] if options.register is None else options.register
    how = default[1] if options.harmonise is None else options.harmonise
    how = [name for name in how if name != "none"]
    for name, every in (("--every", options.every), ("--sweep-every", options.sweep_every)):
        if every < 1:
            raise MetricError(f"{name} is {every}; expected 1 or more.")
    cases = list(dataset.cases)[:: options.every]
    if register or how:
        cases = [prepare(case, register_it=register, harmonise_by=how) for case in cases]
    return Dataset(title=dataset.title, description=dataset.description, cases=cases)


class Ticker:
    """Says on standard error how far a run is, at most every two seconds."""

    def __init__(self) -> None:
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        """Print one line, if it is time."""
        now = time.monotonic()
        if progress.done < progress.total and now - self._told < 2:
            return
        self._told = now
        left = progress.seconds_left
        wait = "" if left is None else f", {int(left) // 60}:{int(left) % 60:02} left"
        where = f"{progress.patch}, {progress.method}"
        end = "\n" if progress.done == progress.total or not sys.stderr.isatty() else "\r"
        print(
            f"{progress.done:6} of {progress.total}{wait}  {where:60.60}",
            end=end,
            file=sys.stderr,
            flush=True,
        )


def look_at_landscapes(options: argparse.Namespace) -> None:
    """Print grid and colour shift on real patches, and write the pictures and landscapes.csv."""
    methods = {
        name: method
        for name, method in make_methods(options).table.items()
        if not method.sweep and name != "nearest"
    }
    rows: list[dict] = []
    for path in options.landscapes:
        picture, found = look(read_patch(path), methods)
        for row in found:
            print(
                "{patch:40} {method:24} grid {grid_4px:5.2f} {grid_2px:5.2f}  "
                "colour shift {colour_shift:.5f}".format(**row)
            )
        rows += found
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            save(picture, options.out / f"{path.stem}.png")
    if options.out:
        with (options.out / "landscapes.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def calibrate(options: argparse.Namespace) -> None:
    """Fit and measure the intervals of presets, and write each as it is done."""
    names = options.presets.split(",")
    unknown = [name for name in names if name not in PRESETS]
    if unknown:
        raise MetricError(f"There is no preset {unknown[0]!r}; known are {', '.join(PRESETS)}.")
    path = options.out or ASSETS / FILE
    dataset = choose_data(options, options.calibrate)
    pipeline = Pipeline.load(options.weights, device=options.device)
    for name in names:
        ticks = Ticks(f"samples of {name}", Ticker())
        entry = calibrate_preset(pipeline, dataset, name, PRESETS[name], on_case=ticks)
        write_entry(entry, path)
        print(f"{name}: {entry['data']}")
        for count, levels in entry["coverage"].items():
            held = "; ".join(
                f"{float(level):.0%} hold {', '.join(f'{share:.1%}' for share in shares)}"
                for level, shares in levels.items()
            )
            print(f"  {count:>2} samples (R, G, B, NIR): {held}")
    print(path)


def _samples(asked: int) -> int:
    if asked != 0 and not MIN_SAMPLES <= asked <= MAX_SAMPLES:
        raise MetricError(f"--samples is {asked}; expected 0, or {MIN_SAMPLES} to {MAX_SAMPLES}.")
    return asked


def _metrics(asked: str | None) -> list[str]:
    if asked is None:
        return list(DEFAULT_METRICS)
    if asked == "all":
        return list(METRICS)
    return asked.split(",")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", metavar="LR SR [HR]", help="one pair")
    parser.add_argument("--json", action="store_true", help="scores of one pair as JSON")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--pairs", type=Path, help=".npz of tiles or pairs, or a folder of pairs (lr/, hr/)"
    )
    what.add_argument(
        "--wald", type=Path, nargs="+", help="10 m patches: degraded to 40 m, compared at 10 m"
    )
    what.add_argument("--opensr-test", choices=NAMES, help="a data set of opensr-test")
    what.add_argument("--landscapes", type=Path, nargs="+", help="real Sentinel-2 patches")
    what.add_argument("--table", type=Path, metavar="DIR", help="print a report's table again")
    parser.add_argument(
        "--figure", type=Path, metavar="PNG", help="with --table: also draw a still of the figures"
    )
    what.add_argument(
        "--calibrate", type=Path, metavar="PAIRS", help="fit the intervals of --presets on half"
    )
    parser.add_argument("--presets", default=",".join(PRESETS), help="of --calibrate")
    parser.add_argument(
        "--samples",
        type=int,
        default=0,
        help="judge the uncertainty of so many samples of refine and of presets (0: do not)",
    )
    parser.add_argument("--fetch", action="store_true", help="download a missing data set")
    parser.add_argument("--every", type=int, default=1, help="take every n-th patch")
    parser.add_argument(
        "--register",
        action=argparse.BooleanOptionalAction,
        help="move references to their inputs (default: where these were not made of them)",
    )
    parser.add_argument(
        "--harmonise",
        nargs="+",
        choices=["none", *HARMONISATIONS],
        help="also score against a reference brought to the input's brightness",
    )
    parser.add_argument("--metrics", help=f"all, or of {', '.join(METRICS)}")
    parser.add_argument("--columns", default=",".join(BRIEF), help="metrics of the printed table")
    parser.add_argument("--sweep-every", type=int, default=4, help="sweeps see every n-th patch")
    parser.add_argument("--no-detail", action="store_true", help="do not judge generated detail")
    add_options(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="of the report (report), or file of --calibrate"
    )
    parser.add_argument("--export", type=Path, metavar="DIR", help="write lr/ and hr/ as GeoTIFF")
    return parser


if __name__ == "__main__":
    sys.exit(main())
