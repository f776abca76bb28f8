"""The command `batch`: its options, and what it says."""

import argparse
from collections import Counter
from pathlib import Path

from ldsr.machine import add_machine_options, machine_choices
from ldsr.options import add_reading, add_settings, settings_of

ABOUT = (
    "super-resolve many patches: a folder of them, or a CSV file with the columns lon, lat and "
    "date, whose pictures a catalogue has"
)
TABLE = (
    "A CSV file may also have the columns name, side (of the box in metres: 640, 1280 or 2560; "
    "1280), days (before and after the date; 10) and cloud (largest share of the box in percent; "
    "20). Of the scenes clear enough the nearest in time is taken. DIR gets the files that `run` "
    "writes, batch.csv, and the gallery index.html with its folder pictures."
)


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `batch` to the commands."""
    command = commands.add_parser(
        "batch", help="super-resolve many patches", description=ABOUT, epilog=TABLE
    )
    command.set_defaults(run=batch)
    command.add_argument("source", type=Path, metavar="SOURCE", help="a folder or a CSV file")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--weights", default="mini")
    add_machine_options(command)
    add_settings(command)
    add_reading(command)
    command.add_argument("--save-base", action="store_true", help="also write the base pictures")
    command.add_argument(
        "--catalogue", default="", metavar="KEY", help="of scenes: earth-search (default) or other"
    )
    command.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster")
    command.add_argument(
        "--workers", type=int, metavar="N", help="processes here, 0 for this one alone"
    )
    command.add_argument(
        "--resume", action="store_true", help="leave alone what is complete and made of the same"
    )


def batch(options: argparse.Namespace) -> int:
    """Do a batch; 2 where a patch failed.

    Raises:
        LdsrError: nothing could be begun, or it was stopped.
    """
    settings = settings_of(options)
    choices = machine_choices(options)
    # torch is loaded only once the cheap checks have passed
    from ldsr.batch.inputs import Reading
    from ldsr.batch.job import Batch, run_batch
    from ldsr.data.endpoints import choose
    from ldsr.scene.worker import Machine

    choose(options.catalogue)
    records = run_batch(
        Batch(
            source=options.source,
            out=options.out,
            settings=settings,
            machine=Machine(weights=options.weights, **choices),
            reading=Reading(bands=options.bands, scale=options.scale, catalogue=options.catalogue),
            scheduler=options.scheduler,
            workers=options.workers,
            resume=options.resume,
            save_base=options.save_base,
        )
    )
    counts = Counter(record.state for record in records)
    said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    print(f"{options.out / 'index.html'}: {said}")
    return 2 if counts["failed"] else 0
