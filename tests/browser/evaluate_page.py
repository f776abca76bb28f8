"""The whole page with the Evaluate tab: `python tests/browser/evaluate_page.py --port N`.

Around the stand-in for the model, which draws in no time; `--real` takes the real one. Seed 1001
holds a run until it is cancelled.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("LDSR_TILES_URL", "off")

from ldsr.web import theme  # noqa: E402, I001  first: it switches Gradio's analytics off

import gradio as gr  # noqa: E402

from ldsr.web.evaluate_files import evaluate_routes  # noqa: E402
from ldsr.web.evaluate_tab import build_evaluate  # noqa: E402
from ldsr.web.files import routes  # noqa: E402
from ldsr.web.map_picker import map_routes  # noqa: E402
from ldsr.web.resolve_tab import build_resolve  # noqa: E402
from ldsr.web.studio import Studio  # noqa: E402
from tests.browser.stand_in import HoldingPipeline  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if options.real:
        from ldsr.pipeline import Pipeline

        pipeline = Pipeline.load("mini")
    else:
        pipeline = HoldingPipeline()
    studio = Studio(pipeline)
    with gr.Blocks(title="Evaluate") as page, gr.Tabs(elem_id="tabs"):
        with gr.Tab("Super-resolve"):
            widgets = build_resolve(studio, page)
        with gr.Tab("Evaluate"):
            build_evaluate(studio, widgets.state, page)
    page.queue(default_concurrency_limit=None)
    studio.open_first()
    launch = theme.launch_options()
    own = [*routes(studio), *map_routes(), *evaluate_routes(studio)]
    launch["app_kwargs"] = {"routes": own}
    page.launch(server_name="127.0.0.1", server_port=options.port, **launch)


if __name__ == "__main__":
    main()
