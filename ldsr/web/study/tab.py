"""The Study tab: SR3's two-alternative test, its layout and the route of its pictures.

The tab talks to its server by one function, `StudyCalls.answer`, behind Gradio's own login; a
picture's address is made of its trial's random id and of a side.
"""

from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from evaluation.study.store import StudyStore
from ldsr.errors import LdsrError
from ldsr.web.studio import Studio
from ldsr.web.study.calls import StudyCalls
from ldsr.web.theme import asset
from ldsr.weights import home

_NEVER = {"Cache-Control": "no-store"}


def study_store() -> StudyStore:
    """The studies of this server: under the folder `study` of the person's own folder."""
    return StudyStore(home() / "study")


def build_study(studio: Studio) -> None:
    """Lay out the tab.

    Args:
        studio: the server's state; a study's pictures stand in its line.
    """
    calls = StudyCalls(studio, study_store())

    def study(ask: Any) -> dict[str, Any]:
        return calls.answer(ask)

    gr.HTML(
        None,
        html_template=asset("study.html"),
        js_on_load="\n".join(asset(name) for name in ("study.js", "study_desk.js")),
        apply_default_css=False,
        elem_id="study",
        server_functions=[study],
    )


def study_routes(studio: Studio) -> list[Route]:
    """List the route of the pictures: of an open trial, once; then never again."""
    store = study_store()

    async def picture(request: Request) -> Response:
        trial, which = request.path_params["trial"], request.path_params["which"]
        try:
            content = await run_in_threadpool(lambda: store.picture(trial, which).read_bytes())
        except (LdsrError, OSError) as error:
            sentence = str(error) if isinstance(error, LdsrError) else "The picture is not there."
            return PlainTextResponse(sentence, 404, headers=_NEVER)
        return Response(content, media_type="image/png", headers=_NEVER)

    return [Route("/ldsr/study/{trial}/{which}.png", picture)]
