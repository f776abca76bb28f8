"""LDSR Studio: `python app.py` opens the page. Arguments, build_app(pipeline), launch."""

import argparse
import os
import re
import socket
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any


def build_app(
    pipeline: Any, *, studio: Any = None, metrics_open: bool = False
) -> tuple[Any, dict[str, Any]]:
    """Build the page around a model and begin to compute the first sample.

    Args:
        pipeline: the model.
        studio: the server's state (`ldsr.web.studio.Studio`); made by default.
        metrics_open: whether everybody may read /metrics.

    Returns:
        The page (gradio.Blocks), and the options its `launch` needs (theme, routes, middleware).

    Raises:
        LdsrError: the environment says nothing sensible.
    """
    from ldsr.web import theme  # first: it switches Gradio's analytics off  # isort: skip
    import gradio as gr
    from starlette.middleware import Middleware

    from ldsr.web.about_tab import build_about
    from ldsr.web.compare.files import compare_routes
    from ldsr.web.compare.tab import build_compare, connect_compare
    from ldsr.web.evaluate.desk import Desk, saved_runs
    from ldsr.web.evaluate.files import evaluate_routes
    from ldsr.web.evaluate.tab import build_evaluate
    from ldsr.web.files import routes
    from ldsr.web.hosting.headers import Headers, frame_ancestors
    from ldsr.web.hosting.health import health_routes
    from ldsr.web.hosting.login import Login
    from ldsr.web.hosting.upload_limit import UploadLimit
    from ldsr.web.hosting.visitors import Callers, Visits, asking
    from ldsr.web.maps.picker import map_routes
    from ldsr.web.remote.endpoints import connect_remote
    from ldsr.web.report import report_routes
    from ldsr.web.resolve.parts import header
    from ldsr.web.resolve.tab import build_resolve
    from ldsr.web.scenes.card import scene_routes
    from ldsr.web.story import story_routes
    from ldsr.web.studio import Studio
    from ldsr.web.study.tab import build_study, study_routes
    from ldsr.weights import WEIGHTS

    studio = studio or Studio(pipeline)
    studio.asking = asking
    desk = Desk(studio, saved_runs())
    options, ancestors = theme.launch_options(), frame_ancestors()
    licence = WEIGHTS[pipeline.name].licence if pipeline.name in WEIGHTS else "unknown"
    with gr.Blocks(title=theme.TITLE, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        connect_remote(desk, page)  # first: its names are the documented ones
        header(pipeline.name, pipeline.device)
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Super-resolve", elem_id="tab-resolve"):
                widgets = build_resolve(studio, page)
            with gr.Tab("Compare", elem_id="tab-compare"):
                compare = build_compare()
            with gr.Tab("Evaluate", elem_id="tab-evaluate"):
                judged = build_evaluate(desk, widgets.state, page)
            with gr.Tab("Study", elem_id="tab-study"):
                build_study(studio)
            with gr.Tab("About", elem_id="tab-about"):
                build_about(pipeline.name, pipeline.sha256, licence)
        connect_compare(studio, compare, widgets.state, judged)
    page.queue(default_concurrency_limit=None)
    studio.open_first()
    ours = [*routes(studio), *map_routes(), *compare_routes(studio)]
    ours += [*evaluate_routes(studio), *study_routes(studio), *scene_routes(studio)]
    ours += report_routes(studio)
    guards = [
        Middleware(Headers, ancestors=ancestors, head=options["head"]),
        Middleware(Login, metrics_open=metrics_open),
        Middleware(UploadLimit, most=theme.MAX_UPLOAD),
        Middleware(Visits, store=studio.store),
        Middleware(Callers),
    ]
    served = {"routes": [*ours, *story_routes(), *health_routes(studio)], "middleware": guards}
    return page, options | {"app_kwargs": served}


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until it is stopped; 2 for what the person can mend."""
    options = _parser().parse_args(arguments)
    user, _, password = (options.auth or "").partition(":")
    if options.auth is not None and not (user and password):
        return _sorry("--auth needs USER:PASSWORD")
    if re.fullmatch(r"(/[\w.~-]+)*", options.root_path.rstrip("/")) is None:
        return _sorry(f"--root-path is {options.root_path!r}; expected a path such as /studio")
    if options.mcp and (lacking := _no_mcp(options.auth is not None)):
        return _sorry(lacking)
    host, port = options.host, options.port
    if not _is_free(host, port):
        return _sorry(f"{host}:{port} cannot be used (is it in use?); choose another --port")
    from ldsr.errors import LdsrError
    from ldsr.machine import machine_choices
    from ldsr.manifest import home
    from ldsr.web.hosting import logs, serving
    from ldsr.web.hosting.limits import read_limits
    from ldsr.web.studio import Studio

    # before Gradio: what visitors send lies in a folder of ours, which is cleared
    os.environ.setdefault("GRADIO_TEMP_DIR", str(home().resolve() / "uploads"))
    try:
        seconds = serving.patience()
        limits = read_limits()
        model, begin = open_model(options.weights, **machine_choices(options))
        logs.set_up(options.log)
        studio = Studio(model, limits)
        studio.uploads = Path(os.environ["GRADIO_TEMP_DIR"])
        page, launch = build_app(model, studio=studio, metrics_open=options.metrics_open)
    except LdsrError as error:
        return _sorry(str(error))
    if options.log == "text":
        print(f"LDSR Studio: http://{host}:{port}  (Ctrl + C stops it)", flush=True)
    launch |= {"auth": (user, password) if options.auth else None, "share": options.share}
    launch |= {"server_name": host, "server_port": port, "mcp_server": options.mcp}
    launch |= {"root_path": options.root_path.rstrip("/")}

    def up() -> None:
        from ldsr.web.remote.endpoints import mend_mcp

        mend_mcp(page)
        begin()

    return serving.serve(page, studio, up, seconds=seconds, **launch)


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
    told = os.environ.get
    host, port = told("GRADIO_SERVER_NAME") or "127.0.0.1", told("GRADIO_SERVER_PORT") or "7860"
    parser.add_argument("--host", default=host, help="address to listen on")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--weights", default="mini", help="see `python -m ldsr weights list`")
    add_machine_options(parser)
    parser.add_argument("--share", action="store_true", help="open a public gradio.live link")
    parser.add_argument(
        "--auth",
        metavar="USER:PASSWORD",
        default=told("LDSR_AUTH") or None,
        help="ask for this name and password; $LDSR_AUTH keeps them out of the list of processes",
    )
    parser.add_argument(
        "--root-path",
        metavar="PATH",
        default=told("GRADIO_ROOT_PATH") or "",
        help="where a reverse proxy serves the page, such as /studio",
    )
    parser.add_argument("--mcp", action="store_true", help="serve tools for MCP clients")
    parser.add_argument("--log", choices=("text", "json"), default="text", help="form of the log")
    parser.add_argument("--metrics-open", action="store_true", help="let everybody read /metrics")
    return parser


def _no_mcp(has_auth: bool) -> str:
    """Say why there can be no MCP, or ""."""
    if has_auth:
        return "--mcp and --auth exclude each other, for an MCP client cannot log in; leave one out"
    try:
        version = metadata.version("mcp")
    except metadata.PackageNotFoundError:
        version = "not installed"
    if version.startswith("1."):
        return ""
    return f"--mcp needs the package mcp 1.x ({version} here); run: pip install 'mcp>=1.21,<2'"


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
