"""`python -m ldsr scene`: its options, and what happens when somebody stops it."""

import argparse
import contextlib
import dataclasses
import sys
from pathlib import Path

from ldsr.errors import LdsrError
from ldsr.machine import add_machine_options, machine_choices, stopped_by_sigterm
from ldsr.options import add_reading, add_settings, settings_of
from ldsr.settings import DEFAULT_SAMPLES, Settings


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `scene` to a command line."""
    command = commands.add_parser(
        "scene", help="super-resolve a whole scene, window by window, into one GeoTIFF"
    )
    command.set_defaults(run=run)
    command.add_argument(
        "scene",
        metavar="SCENE",
        help="GeoTIFF or COG (file or http address), .SAFE folder or zip, STAC item, or a folder "
        "of GeoTIFFs on one grid",
    )
    command.add_argument("--out", type=Path, required=True, metavar="COG.tif")
    command.add_argument(
        "--bounds", metavar="W,S,E,N", help="only this part, in degrees of longitude and latitude"
    )
    command.add_argument("--catalogue", default="", help="of a STAC item whose files need a token")
    add_reading(command)
    command.add_argument("--weights", default="mini")
    add_machine_options(command)
    add_settings(command)
    command.add_argument(
        "--dtype", choices=("uint16", "float32"), default="uint16", help="of the file"
    )
    command.add_argument("--detail", action="store_true", help="add a band of generated detail")
    command.add_argument(
        "--uncertainty",
        action="store_true",
        help="add the half widths of the 90 %% intervals; takes --samples, or "
        f"{DEFAULT_SAMPLES} of them",
    )
    command.add_argument(
        "--mask", default="", metavar="cloud,shadow,snow", help="pixels that become no-data"
    )
    command.add_argument(
        "--exact",
        action="store_true",
        help="windows equal the picture done at once within 1e-4 (float32, slower)",
    )
    command.add_argument("--side", type=int, metavar="PX", help="of a window, in pixels of 10 m")
    command.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster, such as tcp://host:8786"
    )
    command.add_argument(
        "--workers", type=int, metavar="N", help="processes on this machine; 0 works in this one"
    )
    command.add_argument("--resume", action="store_true", help="go on with an unfinished job")
    command.add_argument(
        "--with-gaps", action="store_true", help="write the file even where windows failed"
    )
    command.add_argument(
        "--progress", type=Path, metavar="FILE", help="JSON file to keep the progress in"
    )


def run(options: argparse.Namespace) -> int:
    """Super-resolve one scene; status 0 when the file is there, else 2."""
    from ldsr.scene.progress import Progress

    progress = Progress(file=options.progress)
    try:
        with stopped_by_sigterm():
            _run(options, progress)
    except KeyboardInterrupt:
        sentence = f"Stopped; --resume goes on with {options.out.name}."
        progress.end("stopped", sentence)
        print(f"ldsr: {sentence}", file=sys.stderr)
        return 2
    except LdsrError as error:
        progress.end("failed", str(error))
        raise
    except Exception as error:
        progress.end("failed", f"Something went wrong ({type(error).__name__}).")
        raise
    return 0


def _run(options: argparse.Namespace, progress: object) -> None:
    settings = _settings(options)
    bounds = _bounds(options.bounds)
    machine = machine_choices(options)
    _check_out(options.out, options.scene)
    _check_progress(options.progress)
    # torch, GDAL and Dask are loaded only once the cheap checks have passed
    from ldsr.data.whole import open_scene
    from ldsr.scene.crew import gather_crew
    from ldsr.scene.job import Choices, resolve_scene
    from ldsr.scene.worker import Machine

    choices = Choices(
        machine=Machine(weights=options.weights, **machine),
        settings=settings,
        dtype=options.dtype,
        detail=options.detail,
        mask=tuple(filter(None, options.mask.split(","))),
        exact=options.exact,
        side=options.side,
        resume=options.resume,
        gaps=options.with_gaps,
    )
    reading = {"bands": options.bands, "scale": options.scale}
    place = {"bounds": bounds, "catalogue": options.catalogue}
    people = {"scheduler": options.scheduler, "workers": options.workers}
    with open_scene(options.scene, **reading, **place) as scene, gather_crew(**people) as crew:
        sheet = resolve_scene(scene, options.out, crew, choices, progress)
    progress.end("done")
    failed = len(sheet["windows"]["failed"])
    print(f"{options.scene} -> {options.out}" + (f", without {failed} windows" if failed else ""))


def _settings(options: argparse.Namespace) -> Settings:
    settings = settings_of(options)
    if options.uncertainty and not settings.samples:
        settings = dataclasses.replace(settings, samples=DEFAULT_SAMPLES)
    return settings


def _bounds(text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise LdsrError(
            f"--bounds is {text!r}; expected west,south,east,north in degrees, such as "
            "13.0,52.4,13.4,52.6."
        ) from None
    if not south < north:
        raise LdsrError(f"--bounds is {text!r}; expected west,south,east,north, south below north.")
    return west, south, east, north


def _check_out(out: Path, scene: str) -> None:
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise LdsrError(
            f"--out is {out.name!r}; expected the name of a GeoTIFF, such as scene.tif."
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LdsrError(
            f"Cannot make the folder {out.parent} ({error.strerror}); choose another --out."
        ) from None
    with contextlib.suppress(OSError, ValueError):  # an address on the web
        source = Path(scene).resolve()
        written = [out, out.with_suffix(".json"), out.with_suffix(".stac.json")]
        if source in [path.resolve() for path in (*written, out.parent)]:
            raise LdsrError(
                f"The result would lie on or among the input, {source.name}; choose another --out."
            )


def _check_progress(file: Path | None) -> None:
    if file is not None and not file.parent.is_dir():
        raise LdsrError(
            f"There is no folder {file.parent} for the progress; make it, or choose another."
        )
