"""LDSR Studio: `python app.py` opens the page. Arguments, build_app(pipeline), launch."""

import argparse
import socket
import sys
from collections.abc import Callable
from typing import Any


def build_app(pipeline: Any) -> tuple[Any, dict[str, Any]]:
    """Build the page around a model and begin to compute the first sample.

    Returns:
        The page (gradio.Blocks), and the options its `launch` needs (theme, routes).
    """
    from ldsr.web import theme  # first: it switches Gradio's analytics off  # isort: skip
    import gradio as gr

    from ldsr.web.about_tab import build_about
    from ldsr.web.compare_files import compare_routes
    from ldsr.web.compare_tab import build_compare, connect_compare
    from ldsr.web.evaluate_files import evaluate_routes
    from ldsr.web.evaluate_tab import build_evaluate
    from ldsr.web.files import routes
    from ldsr.web.map_picker import map_routes
    from ldsr.web.parts import header
    from ldsr.web.resolve_tab import build_resolve
    from ldsr.web.scene_card import scene_routes
    from ldsr.web.studio import Studio
    from ldsr.web.study_tab import build_study, study_routes
    from ldsr.weights import WEIGHTS

    studio = Studio(pipeline)
    licence = WEIGHTS[pipeline.name].licence if pipeline.name in WEIGHTS else "unknown"
    with gr.Blocks(title=theme.TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        header(pipeline.name, pipeline.device)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Super-resolve"):
                widgets = build_resolve(studio, page)
            with gr.Tab("Compare"):
                compare = build_compare()
            with gr.Tab("Evaluate"):
                judged = build_evaluate(studio, widgets.state, page)
            with gr.Tab("Study"):
                build_study(studio)
            with gr.Tab("About"):
                build_about(pipeline.name, pipeline.sha256, licence)
        connect_compare(studio, compare, widgets.state, judged)
    page.queue(default_concurrency_limit=None)
    studio.open_first()
    ours = [*routes(studio), *map_routes(), *compare_routes(studio)]
    ours += [*evaluate_routes(studio), *study_routes(studio), *scene_routes(studio)]
    return page, theme.launch_options() | {"app_kwargs": {"routes": ours}}


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until it is stopped; 2 for what the person can mend."""
    options = _parser().parse_args(arguments)
    user, _, password = (options.auth or "").partition(":")
    if options.auth is not None and not (user and password):
        return _sorry("--auth needs USER:PASSWORD")
    host, port = options.host, options.port
    if not _is_free(host, port):
        return _sorry(f"{host}:{port} cannot be used (is it in use?); choose another --port")
    from ldsr.errors import LdsrError
    from ldsr.machine import machine_choices

    try:
        model, begin = open_model(options.weights, **machine_choices(options))
        page, launch = build_app(model)
    except LdsrError as error:
        return _sorry(str(error))
    print(f"LDSR Studio: http://{host}:{port}  (Ctrl + C stops it)", flush=True)
    launch |= {"auth": (user, password) if options.auth else None, "share": options.share}
    page.launch(server_name=host, server_port=port, prevent_thread_lock=True, **launch)
    begin()
    page.block_thread()
    return 0


def open_model(
    weights: str, device: str, *, compiled: bool = False, half: bool | None = None
) -> tuple[Any, Callable[[], None]]:
    """The model, and what to call once the page is up: on a CPU it is read only then.

    Where half precision is asked for it is read at once: only torch knows what the processor can.

    Raises:
        WeightsError: weights that are missing or damaged, a device that is not there, or half
            precision where it would be emulated.
    """
    from ldsr.web.late_model import LateModel, may_wait

    if may_wait(device) and not half:
        model = LateModel(weights, compiled=compiled, half=half)
        return model, model.begin
    from ldsr.machine import limit_threads
    from ldsr.pipeline import Pipeline

    limit_threads()
    return Pipeline.load(weights, device=device, compiled=compiled, half=half), lambda: None


def _parser() -> argparse.ArgumentParser:
    from ldsr.machine import add_machine_options

    parser = argparse.ArgumentParser(prog="app.py", description="Sentinel-2 super-resolution.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--weights", default="mini", help="see `python -m ldsr weights list`")
    add_machine_options(parser)
    parser.add_argument("--share", action="store_true", help="open a public gradio.live link")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="ask for this name and password")
    return parser


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError):
        return False
    return True


def _sorry(sentence: str) -> int:
    print(f"app.py: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
