"""The Study tab on a page of its own: `python tests/browser/study_page.py --port N`.

Around the stand-in for the model, which draws in no time; `--real` takes the real one.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ldsr.web import theme  # noqa: E402, I001  first: it switches Gradio's analytics off

import gradio as gr  # noqa: E402

from ldsr.web.studio import Studio  # noqa: E402
from ldsr.web.study_tab import build_study, study_routes  # noqa: E402
from tests.fakes import FakePipeline  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--real", action="store_true")
    options = parser.parse_args()
    if options.real:
        from ldsr.pipeline import Pipeline

        pipeline = Pipeline.load("mini")
    else:
        pipeline = FakePipeline()
    studio = Studio(pipeline)
    with gr.Blocks(title="Study") as page, gr.Tabs(elem_id="tabs"):
        with gr.Tab("Other"):
            gr.Markdown("Something else.")
        with gr.Tab("Study"):
            build_study(studio)
    page.queue(default_concurrency_limit=None)
    launch = theme.launch_options()
    launch["app_kwargs"] = {"routes": study_routes(studio)}
    page.launch(server_name="127.0.0.1", server_port=options.port, **launch)


if __name__ == "__main__":
    main()
