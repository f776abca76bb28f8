"""The pictures and downloads of the Evaluate tab, as routes of the page's own server.

Ids in the addresses are random.
"""

import json

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ldsr.web.evaluate.desk import saved_runs
from ldsr.web.evaluate.evaluations import Evaluation
from ldsr.web.evaluate.leaderboard import to_csv
from ldsr.web.studio import Studio

GONE = "This evaluation is no longer kept on the server; evaluate again to get it back."
NO_RUN = "This run is no longer saved."
_KEEP = {"Cache-Control": "private, max-age=86400, immutable"}
_FRESH = {"Cache-Control": "no-store"}
TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}


def evaluate_routes(studio: Studio) -> list[Route]:
    """List the routes: pictures and scores of an evaluation, files of a saved run."""
    board = saved_runs()

    async def evaluation(request: Request) -> Response:
        found = studio.store.get(request.path_params["key"])
        name = request.path_params["name"]
        if not isinstance(found, Evaluation):
            return PlainTextResponse(GONE, 404, headers=_FRESH)
        for kind, make in (("csv", found.to_csv), ("json", found.to_json)):
            if name == f"{found.stem}_scores.{kind}":
                return _download(await run_in_threadpool(make), kind, name)
        picture = await run_in_threadpool(found.png, name)
        if picture is None:
            return PlainTextResponse("No such file.", 404, headers=_FRESH)
        return Response(picture, media_type="image/png", headers=_KEEP)

    async def run(request: Request) -> Response:
        found = await run_in_threadpool(board.find, request.path_params["key"])
        kind = request.path_params["kind"]
        if found is None or kind not in TYPES:
            return PlainTextResponse(NO_RUN, 404, headers=_FRESH)
        text = to_csv(found) if kind == "csv" else json.dumps(found, indent=2)
        day = found["date"][:10]
        return _download(text, kind, f"benchmark_{day}_{found['id'][:6]}.{kind}")

    return [Route("/ldsr/e/{key}/{name}", evaluation), Route("/ldsr/b/{key}.{kind}", run)]


def _download(text: str, kind: str, name: str) -> Response:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    bom = "\ufeff" if kind == "csv" else ""
    headers = _FRESH | {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(bom + text, media_type=TYPES[kind], headers=headers)
