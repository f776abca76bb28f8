"""What is compared: each method a function Patch -> Patch, made of the command line's options."""

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from evaluation.pair_scores import check_place
from ldsr.data.fine import read_fine
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError, MetricError, WeightsError
from ldsr.pipeline import Pipeline
from ldsr.render import enlarge_mask
from ldsr.result import SCALE
from ldsr.settings import PRESETS, Settings

Load = Callable[[str], Pipeline]

KNOWN = (
    "nearest", "bicubic", "regression", "base", "sr3", "sr3-cascade", "refine",
    *PRESETS, "ldsr-s2",
)  # fmt: skip
DEFAULT = "nearest,bicubic,regression,base,sr3,refine"
SAMPLER = {"ddim": "DDIM", "dpm": "DPM"}
ENDINGS = ("{}.tif", "{}.tiff", "{}_sr.tif", "{}_sr.tiff")
"""How a foreign result of an input named so may be called."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """One way to super-resolve.

    Attributes:
        name: to show; unique.
        run: input to result.
        identity: what the result depends on, of an input: settings and weights, or a file.
        evaluations: of a denoiser, or None where that means nothing.
        facts: numbers to plot against: "steps", "threshold".
        sweep: whether it belongs to a row of settings rather than into the table.
        identity_text: `identity` where it is the same for every input, else "".
    """

    name: str
    run: Callable[[Patch], Patch]
    identity: Callable[[Patch], str]
    evaluations: int | None = None
    facts: Mapping[str, float] = dataclasses.field(default_factory=dict)
    sweep: bool = False
    identity_text: str = ""

    def __call__(self, patch: Patch) -> Patch:
        """Super-resolve one patch."""
        return self.run(patch)


@dataclasses.dataclass(frozen=True, eq=False)
class Methods:
    """All that was asked for.

    Attributes:
        table: by name, bicubic first but for nearest.
        missing: why a method that was asked for takes no part, by name.
        pipeline: the product's own.
    """

    table: dict[str, Method]
    missing: dict[str, str]
    pipeline: Pipeline


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that settings are made of; what they do not name has its default."""
    default = Settings()
    parser.add_argument("--methods", default=DEFAULT, help=", ".join(KNOWN))
    parser.add_argument(
        "--foreign",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="results of another system, files named as the inputs; may be repeated",
    )
    parser.add_argument(
        "--bases", nargs="+", default=[default.base], help="that refine begins with"
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[default.steps])
    parser.add_argument("--refine-steps", type=int, default=default.refine_steps)
    parser.add_argument("--refine-strength", type=float, default=default.refine_strength)
    parser.add_argument("--detail-cap", type=float, default=default.detail_cap)
    parser.add_argument("--semantics", default=default.semantics)
    parser.add_argument("--skip-threshold", type=float, default=default.skip_threshold)
    parser.add_argument("--sampler", default=default.sampler)
    parser.add_argument("--eta", type=float, default=default.eta)
    parser.add_argument("--temperature", type=float, help="default: the weights' own")
    parser.add_argument("--consistency", default=default.consistency)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--weights", default="mini")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--sweep-steps", type=int, nargs="+", default=[], help="base with each, for the figure"
    )
    parser.add_argument(
        "--thresholds",
        type=float,
        nargs="+",
        default=[],
        help="base with the most steps and each skip threshold, for the figure",
    )


def make_methods(options: argparse.Namespace, load: Load | None = None) -> Methods:
    """Bicubic, then what was asked for.

    Args:
        options: of `add_options`.
        load: weights by name; by default `Pipeline.load` on the device of the options.

    Raises:
        MetricError: a method that does not exist, or a foreign folder that is not there.
    """
    load = load or (lambda name: Pipeline.load(name, device=options.device))
    pipeline, wanted = load(options.weights), options.methods.split(",")
    table, missing = {"bicubic": bicubic(pipeline)}, {}
    if "nearest" in wanted:
        table = {"nearest": nearest()} | table
    for name in wanted:
        if name not in KNOWN:
            raise MetricError(f"There is no method {name!r}; known are {', '.join(KNOWN)}.")
        if name in ("nearest", "bicubic"):
            continue
        try:
            source = load(name) if name == "ldsr-s2" else pipeline
            made = [ours(label, source, settings) for label, settings in variants(name, options)]
        except WeightsError as error:
            missing[name] = str(error)
            continue
        table |= {method.name: method for method in made}
    for label, settings in sweep(options):
        table.setdefault(label, ours(label, pipeline, settings, sweep=True))
    for given in options.foreign:
        method = foreign(given)
        if method.name in table:
            raise MetricError(f"Two methods are called {method.name!r}; rename the foreign one.")
        table[method.name] = method
    return Methods(table, missing, pipeline)


def nearest() -> Method:
    """Each pixel four times four: what the satellite saw, enlarged."""

    def run(patch: Patch) -> Patch:
        fine = patch.reflectance.repeat(SCALE, axis=1).repeat(SCALE, axis=2)
        return Patch(reflectance=np.ascontiguousarray(fine), valid=enlarge_mask(patch.valid, SCALE))

    return Method(name="nearest", run=run, identity=lambda patch: "nearest", evaluations=0)


def bicubic(pipeline: Pipeline) -> Method:
    """Interpolation alone: what every other method must beat."""
    settings = Settings(base="bicubic", refine=False, consistency="none")
    return dataclasses.replace(
        ours("bicubic", pipeline, settings),
        identity=lambda patch: "bicubic",
        identity_text="",
        facts={},
    )


def ours(name: str, pipeline: Pipeline, settings: Settings, *, sweep: bool = False) -> Method:
    """The pipeline with some settings; its identity holds them and the weights that take part."""
    weights = {"model": pipeline.sha256}
    if settings.base in ("sr3", "regression"):
        weights[settings.base] = pipeline.part(settings.base, f"the base {settings.base}").sha256
    if settings.refine:
        weights["refiner"] = pipeline.part("refiner", "stage 2").sha256
    text = json.dumps({"settings": settings.to_json(), "weights": weights}, sort_keys=True)
    return Method(
        name=name,
        run=lambda patch: pipeline(patch, settings).sr,
        identity=lambda patch: text,
        evaluations=_evaluations(settings),
        facts={"steps": settings.steps, "threshold": settings.skip_threshold},
        sweep=sweep,
        identity_text=text,
    )


def foreign(given: str) -> Method:
    """Results of another system, NAME=FOLDER; files are named as the inputs.

    Raises:
        MetricError: not of that form, or no such folder; when run: no such file, or one of
            another size, CRS or place.
    """
    name, equals, place = given.partition("=")
    folder = Path(place)
    if not equals or not name or not place:
        raise MetricError(f"--foreign is {given!r}, expected NAME=FOLDER.")
    if not folder.is_dir():
        raise MetricError(f"There is no folder {folder} with the results of {name}.")

    def find(patch: Patch) -> Path:
        asked = [folder / ending.format(patch.source.name) for ending in ENDINGS]
        for path in asked:
            if path.is_file():
                return path
        raise MetricError(f"{name} has no result for {patch.source.name}: no {asked[0]}.")

    def run(patch: Patch) -> Patch:
        path = find(patch)
        try:
            result = read_fine(path)
            check_place(patch, result, "input", "result", factor=SCALE)
        except LdsrError as error:
            raise MetricError(f"{name}, {path.name}: {error}") from error
        return result

    def identity(patch: Patch) -> str:
        return f"file {hashlib.sha256(find(patch).read_bytes()).hexdigest()}"

    return Method(name=name, run=run, identity=identity)


def variants(name: str, options: argparse.Namespace) -> list[tuple[str, Settings]]:
    """The settings of one method, one for each number of steps where it has any."""
    common = make_settings(options)
    if name in PRESETS:
        return [(f"preset {name}", dataclasses.replace(PRESETS[name], seed=options.seed))]
    if name == "refine":
        made = [dataclasses.replace(common, base=base) for base in options.bases]
        return [(f"{settings.base} + refine", settings) for settings in made]
    single = dataclasses.replace(common, refine=False)
    if name == "regression":
        return [("regression", dataclasses.replace(single, base="regression"))]
    bases = {"base": ("ldsr", False), "ldsr-s2": ("ldsr", False)}
    base, cascade = (bases | {"sr3": ("sr3", False), "sr3-cascade": ("sr3", True)})[name]
    return [
        (
            f"{name}, {steps} {SAMPLER[common.sampler]} steps",
            dataclasses.replace(single, base=base, cascade=cascade, steps=steps),
        )
        for steps in options.steps
    ]


def sweep(options: argparse.Namespace) -> list[tuple[str, Settings]]:
    """The base with several steps and no cache, then with the most steps and several thresholds."""
    plain = dataclasses.replace(
        make_settings(options), base="ldsr", refine=False, skip_threshold=0.0
    )
    most = max(options.sweep_steps or options.steps)
    runs = [(steps, 0.0) for steps in options.sweep_steps]
    runs += [(most, threshold) for threshold in options.thresholds]
    return [
        (
            f"base, {steps} steps, threshold {threshold:g}",
            dataclasses.replace(plain, steps=steps, skip_threshold=threshold),
        )
        for steps, threshold in dict.fromkeys(runs)
    ]


def make_settings(options: argparse.Namespace) -> Settings:
    """Settings with a second stage, of the options; the first of the bases and of the steps."""
    return Settings(
        base=options.bases[0],
        steps=options.steps[0],
        refine_steps=options.refine_steps,
        refine_strength=options.refine_strength,
        detail_cap=options.detail_cap,
        semantics=options.semantics,
        skip_threshold=options.skip_threshold,
        sampler=options.sampler,
        eta=options.eta,
        temperature=options.temperature,
        consistency=options.consistency,
        seed=options.seed,
    )


def _evaluations(settings: Settings) -> int:
    """Of a denoiser at most, all stages."""
    first = {"ldsr": settings.steps, "sr3": settings.steps * (2 if settings.cascade else 1)}
    return first.get(settings.base, 0) + (settings.refine_steps if settings.refine else 0)
