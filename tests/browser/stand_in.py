"""The page around a stand-in for the model: `python tests/browser/stand_in.py --port N`.

Two stages in no time. Seed 1001 holds every run in stage 1, seed 1002 in stage 2, until cancelled.
"""

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app  # noqa: E402
from tests.fakes import FakePipeline  # noqa: E402

HOLDS = {1001: "denoise", 1002: "refine denoise"}


class HoldingPipeline(FakePipeline):
    """Reports the same step again and again where the seed says so; cancelling ends that."""

    def _run(self, patch, settings, on_step):
        held = HOLDS.get(settings.seed)

        def report(step: SimpleNamespace) -> None:
            on_step(step)
            while step.part == held and step.step == 2:
                time.sleep(0.02)
                on_step(step)

        return super()._run(patch, settings, report)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--base-only", action="store_true")
    options = parser.parse_args()
    pipeline = HoldingPipeline()
    pipeline.can_refine = not options.base_only
    page, launch = app.build_app(pipeline)
    page.launch(server_name="127.0.0.1", server_port=options.port, **launch)


if __name__ == "__main__":
    main()
