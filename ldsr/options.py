"""Options that commands share: the settings of a run, and how a file is to be read."""

import argparse
import dataclasses

from ldsr.settings import BASES, CONSISTENCIES, SAMPLERS, SKIP_FORMS, Settings

SCALES = ("dn/10000", "(dn-1000)/10000", "reflectance")


def settings_of(options: argparse.Namespace) -> Settings:
    """Make settings of what `add_settings` let a person say.

    Raises:
        LdsrError: a value out of its range.
    """
    names = (field.name for field in dataclasses.fields(Settings))
    return Settings(**{name: getattr(options, name) for name in names})


def add_reading(command: argparse.ArgumentParser) -> None:
    """Add --bands and --scale, for files that do not say."""
    command.add_argument(
        "--bands", metavar="B04,B03,B02,B08", help="order of the bands in the file"
    )
    command.add_argument("--scale", choices=SCALES, help="how digital numbers become reflectance")


def add_settings(command: argparse.ArgumentParser) -> None:
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
    add("samples", int, "pictures drawn to see how far they differ, 2..32; 0 draws none")
    add("settle", float, "change of the map below which sampling ends early, 0..1; 0 never")
