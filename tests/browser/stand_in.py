"""The page around a stand-in for the model: `python tests/browser/stand_in.py --port N`.

Two stages in no time, no base map; scene jobs by `tests/scene_stand_in.py`. Seed 1001 holds
every run in stage 1, seed 1002 in stage 2, seed 1003 at its third sample, until cancelled.
"""

import argparse
import dataclasses
import functools
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

os.environ.setdefault("LDSR_TILES_URL", "off")

import numpy as np  # noqa: E402

import app  # noqa: E402
from ldsr.data import samples  # noqa: E402
from ldsr.steps import Step  # noqa: E402
from ldsr.web import studio  # noqa: E402
from ldsr.web.hosting import logs  # noqa: E402
from ldsr.web.scenes.jobs import SceneJobs  # noqa: E402
from ldsr.web.scenes.run import scene_command  # noqa: E402
from tests.fakes import FakePipeline  # noqa: E402

HOLDS = {1001: ("denoise", 2), 1002: ("refine denoise", 2), 1003: ("sample", 3)}


def scene_stand_in(record) -> list[str]:
    """The command of a scene job, but another program."""
    python, _, _, _, *rest = scene_command(record)
    return [python, str(Path(__file__).parents[1] / "scene_stand_in.py"), *rest]


class HoldingPipeline(FakePipeline):
    """Reports the same step again and again where the seed says so; cancelling ends that."""

    def _run(self, patch, settings, on_step):
        return super()._run(patch, settings, _held(settings, on_step))

    def sample(self, result, samples=8, on_step=None):
        return super().sample(result, samples, _held(result.settings, on_step))


def _held(settings, on_step):
    def report(step) -> None:
        on_step(step)
        again = Step(
            step.part, step.step, step.steps, None if step.part == "sample" else step.preview
        )
        while (step.part, step.step) == HOLDS.get(settings.seed):
            time.sleep(0.02)
            on_step(again)

    return report


def cloudy(load_sample):
    """Samples with a scene classification: cloud over the west, its shadow, snow in a corner."""

    def load(key):
        patch = load_sample(key)
        scl = np.full(patch.size, 4, np.uint8)
        scl[:, : patch.size[1] // 4] = 9
        scl[:, patch.size[1] // 4 : patch.size[1] // 3] = 3
        scl[:20, -20:] = 11
        return dataclasses.replace(patch, scl=scl)

    return load


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--base-only", action="store_true")
    parser.add_argument("--cloudy", action="store_true")
    parser.add_argument("--auth")
    parser.add_argument("--root-path", default="")
    parser.add_argument("--log", choices=logs.KINDS)
    options = parser.parse_args()
    if options.log:
        logs.set_up(options.log)
    if options.cloudy:
        real = samples.load_sample
        for module in [*sys.modules.values()]:
            if getattr(module, "load_sample", None) is real:
                module.load_sample = cloudy(real)
    studio.SceneJobs = functools.partial(SceneJobs, command=scene_stand_in)
    pipeline = HoldingPipeline()
    pipeline.can_refine = not options.base_only
    page, launch = app.build_app(pipeline)
    launch["auth"] = tuple(options.auth.split(":")) if options.auth else None
    launch["root_path"] = options.root_path
    page.launch(server_name="127.0.0.1", server_port=options.port, **launch)


if __name__ == "__main__":
    main()
