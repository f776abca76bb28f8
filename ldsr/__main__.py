"""Command line: super-resolve files, look after weights.

Status 0 on success; 2 with one line on standard error for anything the person can mend.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ldsr.batch.command import add_command as add_batch
from ldsr.errors import LdsrError
from ldsr.machine import add_machine_options, limit_threads, machine_choices
from ldsr.options import add_reading, add_settings, settings_of
from ldsr.scene.command import add_command as add_scene
from ldsr.writing import make_folder, write_report, write_result, write_sheet

if TYPE_CHECKING:
    from ldsr.result import Uncertainty


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except LdsrError as error:
        print(f"ldsr: {error}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Super-resolve each input; every result is written before the next is begun."""
    settings = settings_of(options)
    choices = machine_choices(options)
    make_folder(options.out)
    # torch is loaded only once the cheap checks have passed
    from ldsr.data.reader import read_patch
    from ldsr.device import describe
    from ldsr.pipeline import Pipeline

    pipeline, failed = None, False
    for path in options.inputs:
        try:
            patch = read_patch(path, bands=options.bands, scale=options.scale)
            if pipeline is None:
                limit_threads()
                pipeline = Pipeline.load(options.weights, **choices)
            pipeline.check_memory(patch.size, settings)
            result = pipeline(patch, settings)
            stem = options.out / path.stem
            written = write_result(result, stem, save_base=options.save_base)
            write_sheet(result, stem)
            if options.report:
                write_report(result, stem, machine=describe(pipeline.device))
            print(f"{path} -> {written['sr']}")
            if result.uncertainty is not None:
                print(_say_uncertainty(result.uncertainty))
        except LdsrError as error:
            print(f"ldsr: {path}: {error}", file=sys.stderr)
            failed = True
    return 2 if failed else 0


def weights(options: argparse.Namespace) -> int:
    """List, fetch or verify weights; one line on standard error for each that fails."""
    from ldsr.weights import WEIGHTS, find_weights

    every = options.name in (None, "all")
    if options.name is None and options.action == "fetch":
        raise LdsrError("Say which weights to fetch, or all; `weights list` shows the names.")
    if not every and options.name not in WEIGHTS:
        find_weights(options.name)  # says which there are
    names = list(WEIGHTS) if every else [options.name]
    if options.action == "fetch":
        return _fetch([name for name in names if not (every and WEIGHTS[name].embedded)], options)
    status = 0
    for name in names:
        try:
            status = max(status, (_list if options.action == "list" else _verify)(name))
        except LdsrError as error:
            print(f"ldsr: {name}: {error}", file=sys.stderr)
            status = 2
    return status


def _list(name: str) -> int:
    from ldsr.weights import WEIGHTS, describe

    entry, shown = WEIGHTS[name], describe(name)
    size = entry.path.stat().st_size if shown["state"] != "not here" else entry.bytes
    size = "size unknown" if size is None else f"{size:,} B"
    print(f"{name:23} {shown['state']:9} {size:>16}  {entry.role:10} {entry.licence}")
    print(f"    {entry.purpose}\n    {entry.path}")
    if entry.remark:
        print(f"    {entry.remark}")
    return 0


def _verify(name: str) -> int:
    from ldsr.weights import WEIGHTS, verify

    verdict, digest = verify(name)
    said = {
        "right": "right",
        "wrong": "WRONG",
        "unknown": "no hash is published or recorded",
        "not here": f"not here ({WEIGHTS[name].path})",
    }[verdict]
    print(f"{name}: sha256 {digest}: {said}" if digest else f"{name}: {said}")
    return 2 if verdict == "wrong" else 0


def _fetch(names: list[str], options: argparse.Namespace) -> int:
    """Fetch, or copy from a folder, what is not here yet, once the person has agreed."""
    from ldsr.weights import WEIGHTS, size_text, verify

    missing = [name for name in names if verify(name)[0] != "right"]
    for name in names:
        if name not in missing:
            print(f"{name}: already here and right ({WEIGHTS[name].path})")
    if options.folder and options.name == "all":
        absent = [name for name in missing if not any(options.folder.rglob(WEIGHTS[name].file))]
        missing = [name for name in missing if name not in absent]
        print("".join(f"{name}: not in {options.folder}\n" for name in absent), end="")
        if absent and not missing:
            raise LdsrError(f"There is nothing in {options.folder} that is missing here.")
    for name in missing:
        _offer(name)
    if missing and not options.folder and not options.yes:
        _agree(f"Fetch {size_text(sum(WEIGHTS[name].bytes or 0 for name in missing))}?")
    return max([_fetch_one(name, options.folder) for name in missing], default=0)


def _offer(name: str) -> None:
    """Say what would be fetched, what for, and under which licence."""
    from ldsr.weights import WEIGHTS, size_text

    entry = WEIGHTS[name]
    print(f"{name}: {size_text(entry.bytes)}, for {entry.purpose}")
    print(f"    licence: {entry.licence}. {entry.remark}".rstrip())
    print(f"    {entry.url} -> {entry.places[0]}", flush=True)


def _fetch_one(name: str, folder: Path | None) -> int:
    from ldsr.weights import WEIGHTS, copy_from, fetch

    try:
        path, digest = copy_from(name, folder) if folder else fetch(name, progress=_progress(name))
    except KeyboardInterrupt:
        raise LdsrError("Stopped; the same command goes on from there.") from None
    except LdsrError as error:
        print(f"ldsr: {name}: {error}", file=sys.stderr)
        return 2
    how = "right" if WEIGHTS[name].sha256 else "recorded, and demanded from now on"
    print(f"{name}: {path}, sha256 {digest}: {how}")
    return 0


def _agree(question: str) -> None:
    """Ask, and raise unless the answer is yes."""
    if not sys.stdin.isatty():
        raise LdsrError("Nobody is here to agree to the licences; read them and add --yes.")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise LdsrError("Nothing was fetched.")


def _progress(name: str) -> Callable[[int, int | None], None]:
    """What draws how far a download is, on a terminal; elsewhere nothing is drawn."""
    from ldsr.weights import size_text

    last = ""

    def draw(done: int, total: int | None) -> None:
        nonlocal last
        share = f"{100 * done // total:3} % of {size_text(total)}" if total else size_text(done)
        if share != last and sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{name} {share}", end=end, file=sys.stderr, flush=True)
        last = share

    return draw


def _say_uncertainty(found: "Uncertainty") -> str:
    """How many samples, why no more, and whether the intervals hold what they say."""
    ended = {
        "all": "",
        "settled": f", settled (a further one changed the map by {found.change:.1%})",
        "cancelled": ", cancelled",
    }[found.ended]
    name = found.calibration.name if found.calibration else ""
    trust = f"calibrated for {name!r}" if name else f"uncalibrated: {found.uncalibrated}"
    places = f"{len(found.places)} place{'' if len(found.places) == 1 else 's'} to check"
    return f"  {found.samples} of {found.asked} samples{ended}; {trust}; {places}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ldsr", description="LDSR Studio without the page."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="super-resolve files")
    command.set_defaults(run=run)
    command.add_argument("inputs", nargs="+", type=Path, metavar="INPUT")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--weights", default="mini")
    add_machine_options(command)
    add_settings(command)
    add_reading(command)
    command.add_argument("--save-base", action="store_true", help="also write the base picture")
    command.add_argument(
        "--report", action="store_true", help="also write INPUT_report.html, to send to somebody"
    )

    add_batch(commands)
    add_scene(commands)

    command = commands.add_parser("weights", help="list, fetch or check weights")
    command.set_defaults(run=weights)
    command.add_argument("action", choices=("list", "fetch", "verify"))
    command.add_argument("name", nargs="?", help="of one, or all")
    command.add_argument("--yes", action="store_true", help="agree to size and licence unasked")
    command.add_argument(
        "--from", dest="folder", type=Path, metavar="FOLDER", help="copy from here, no network"
    )
    return parser


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `... | head` ends without a word
    sys.exit(main())
