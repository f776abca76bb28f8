"""Command line: super-resolve files, look after weights.

Status 0 on success; 2 with one line on standard error for anything the person can mend.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from ldsr.errors import LdsrError
from ldsr.settings import BASES, CONSISTENCIES, SAMPLERS, SKIP_FORMS, Settings

SCALES = ("dn/10000", "(dn-1000)/10000", "reflectance")


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
    names = (field.name for field in dataclasses.fields(Settings))
    settings = Settings(**{name: getattr(options, name) for name in names})
    _make_folder(options.out)
    # torch is loaded only once the cheap checks have passed
    from ldsr.data.reader import read_patch
    from ldsr.pipeline import Pipeline

    bands = tuple(options.bands.split(",")) if options.bands else None
    pipeline, failed = None, False
    for path in options.inputs:
        try:
            patch = read_patch(path, bands=bands, scale=options.scale)
            pipeline = pipeline or Pipeline.load(options.weights, device=options.device)
            written = _write(pipeline(patch, settings), path, options)
            print(f"{path} -> {written}")
        except LdsrError as error:
            print(f"ldsr: {path}: {error}", file=sys.stderr)
            failed = True
    return 2 if failed else 0


def weights(options: argparse.Namespace) -> int:
    """List the weights, or check those that are here."""
    from ldsr.weights import WEIGHTS, hash_file

    status = 0
    for entry in WEIGHTS.values():
        if options.name not in (None, entry.name):
            continue
        here = entry.path.is_file()
        if options.action == "list":
            print(
                f"{entry.name:16} {entry.role:10} {'here' if here else 'not here':9} "
                f"{entry.path}  {entry.licence}"
            )
        elif not here:
            print(f"{entry.name}: not here ({entry.path})")
        else:
            digest = hash_file(entry.path)
            right = {None: "no published hash", digest: "right"}.get(entry.sha256, "WRONG")
            status = 2 if right == "WRONG" else status
            print(f"{entry.name}: sha256 {digest}: {right}")
    return status


def _write(pipeline_result: object, path: Path, options: argparse.Namespace) -> Path:
    from ldsr.data.geotiff import write_geotiff

    stem = options.out / path.stem
    written = write_geotiff(pipeline_result, Path(f"{stem}_sr.tif"))
    if options.save_base:
        write_geotiff(pipeline_result, Path(f"{stem}_base.tif"), picture="base")
    if pipeline_result.detail is not None:
        write_geotiff(pipeline_result, Path(f"{stem}_detail.tif"), picture="detail")
    sheet = json.dumps(pipeline_result.run_sheet(), indent=2)
    Path(f"{stem}.json").write_text(sheet + "\n", encoding="utf-8")
    return written


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LdsrError(
            f"Cannot make the folder {folder} ({error.strerror}); choose another --out."
        ) from error


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
    command.add_argument("--device", default="auto")
    _add_settings(command)
    command.add_argument(
        "--bands", metavar="B04,B03,B02,B08", help="order of the bands in the file"
    )
    command.add_argument("--scale", choices=SCALES, help="how digital numbers become reflectance")
    command.add_argument("--save-base", action="store_true", help="also write the base picture")

    command = commands.add_parser("weights", help="list or check weights")
    command.set_defaults(run=weights)
    command.add_argument("action", choices=("list", "verify"))
    command.add_argument("name", nargs="?")
    return parser


def _add_settings(command: argparse.ArgumentParser) -> None:
    """One option for each setting; what it means and its range is said by `Settings`."""
    default = {field.name: field.default for field in dataclasses.fields(Settings)}

    def add(name: str, kind: type, help: str, **more: object) -> None:
        option = "--" + name.replace("_", "-")
        if default[name] is not None:
            help = f"{help} (default {default[name]})"
        command.add_argument(option, type=kind, default=default[name], help=help, **more)

    add("base", str, "stage 1", choices=BASES)
    add("sampler", str, "of both stages", choices=SAMPLERS)
    add("steps", int, "of stage 1")
    add("eta", float, "DDIM noise, 0..1")
    add("temperature", float, "amplitude of the first noise, 0..1; by default the weights' own")
    command.add_argument("--cascade", action="store_true", help="base sr3: twice x2, not once x4")
    command.add_argument(
        "--no-refine", dest="refine", action="store_false", help="leave out stage 2"
    )
    add("refine_steps", int, "of stage 2")
    add("refine_strength", float, "how noisy stage 2 begins, 0..1")
    add("detail_cap", float, "most that a pixel may be generated, 0..1")
    add("control_scale", float, "weight of the base's structure in stage 2, 0..2")
    add("semantics", str, "spectral, clip, llava, none, or tags such as 'forest:0.6, water:0.4'")
    add("tag_weight", float, "guidance by the tags, 0..4")
    add("skip_threshold", float, "change below which deep features are used again, 0..1")
    add("skip_form", str, "what is used again", choices=SKIP_FORMS)
    add("consistency", str, "operator of the back-projection", choices=CONSISTENCIES)
    add("seed", int, "of the noise")


if __name__ == "__main__":
    sys.exit(main())
