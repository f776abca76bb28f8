"""What is compared: each method a function Patch -> Patch, made of the command line's options."""

import argparse
import dataclasses
from collections.abc import Callable

from ldsr.data.patch import Patch
from ldsr.errors import MetricError
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings

Method = Callable[[Patch], Patch]

KNOWN = ("bicubic", "regression", "base", "sr3", "sr3-cascade", "refine")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that settings are made of; what they do not name has its default."""
    default = Settings()
    parser.add_argument(
        "--methods", default="bicubic,regression,base,refine", help=", ".join(KNOWN)
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


def make_methods(options: argparse.Namespace) -> dict[str, Method]:
    """Bicubic, then what was asked for.

    Raises:
        MetricError: a method that does not exist.
    """
    pipeline = Pipeline.load(options.weights, device=options.device)

    def method(settings: Settings) -> Method:
        return lambda patch: pipeline(patch, settings).sr

    table = {
        "bicubic": method(Settings(base="bicubic", refine=False, consistency="none")),
    }
    for name in options.methods.split(","):
        if name not in KNOWN:
            raise MetricError(f"There is no method {name!r}; known are {', '.join(KNOWN)}.")
        if name != "bicubic":
            table |= {label: method(settings) for label, settings in variants(name, options)}
    return table


def variants(name: str, options: argparse.Namespace) -> list[tuple[str, Settings]]:
    """The settings of one method, one for each number of steps where it has any."""
    common = make_settings(options)
    if name == "refine":
        return [
            (
                f"{base} + refine, {common.refine_steps} steps {common.sampler}",
                dataclasses.replace(common, base=base),
            )
            for base in options.bases
        ]
    single = dataclasses.replace(common, refine=False)
    if name == "regression":
        return [("regression", dataclasses.replace(single, base="regression"))]
    base, cascade = {"base": ("ldsr", False), "sr3": ("sr3", False), "sr3-cascade": ("sr3", True)}[
        name
    ]
    return [
        (
            f"{name}, {steps} steps {common.sampler}",
            dataclasses.replace(single, base=base, cascade=cascade, steps=steps),
        )
        for steps in options.steps
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
