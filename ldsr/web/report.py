"""The report of the result on somebody's screen: its route, and the scores they had made of it.

The report itself is made by `ldsr.report`, of what is here already: nothing is computed for it but
its pictures.
"""

import functools
import threading
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ldsr.errors import LdsrError
from ldsr.report.about import About, Row, Scores
from ldsr.web.evaluate.evaluations import Evaluation
from ldsr.web.evaluate.views import result_value
from ldsr.web.files import GONE
from ldsr.web.pictures import Shown
from ldsr.web.studio import Studio

HEADERS = {"Cache-Control": "no-store"}
"""Scores and samples may come after a report was made."""


def report_routes(studio: Studio) -> list[Route]:
    """List the route of the report; one is made at a time, for large pictures take much memory."""
    turn = threading.Lock()

    def make(shown: Shown, about: About) -> bytes:
        from ldsr.report.page import to_html

        with turn:
            return to_html(shown.result, about).encode()

    async def report(request: Request) -> Response:
        key, name = request.path_params["key"], request.path_params["name"]
        shown = studio.store.get(key)
        if not isinstance(shown, Shown) or shown.result is None:
            return PlainTextResponse(GONE, 404, headers=HEADERS)
        if name != shown.report_name:
            return PlainTextResponse("No such file.", 404, headers=HEADERS)
        about = functools.partial(_about, studio, shown, key, request.query_params.get("page"))
        try:
            page = await run_in_threadpool(lambda: make(shown, about()))
        except LdsrError as error:
            return PlainTextResponse(str(error), 400, headers=HEADERS)
        from ldsr.report.page import POLICY

        headers = HEADERS | {
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Security-Policy": f"{POLICY}; sandbox",
        }
        return Response(page, media_type="text/html", headers=headers)

    return [Route("/ldsr/r/{key}/report/{name}", report)]


def scores_of(evaluation: Evaluation) -> Scores:
    """Take the scores of an evaluation as plain data."""
    value = result_value("", evaluation)
    rows = [row for group in value["groups"] for row in group["rows"]]
    labels = value["references"] or [""]
    known = [row for row in rows if any(cell["text"] != "–" for cell in row["cells"][0])]
    return Scores(
        truth=value["truth"],
        remark=value["remark"],
        date=value["date"],
        columns=value["columns"],
        tables={
            label: [_row(row, row["cells"][at]) for row in known] for at, label in enumerate(labels)
        },
        absent={row["title"]: row["reason"] for row in rows if row not in known},
    )


def _row(row: dict[str, Any], cells: list[dict[str, Any]]) -> Row:
    return Row(
        title=row["title"],
        better=row["better"],
        cells=[cell["text"] for cell in cells],
        best=[cell["best"] for cell in cells],
        meaning=f"{row['sees']} {row['misses']}",
    )


def _about(studio: Studio, shown: Shown, key: str, page: str | None) -> About:
    from ldsr.device import describe

    measured = studio.page_times(page)
    mine = measured is not None and measured.key == key
    found = studio.store.get(measured.evaluation) if mine else None
    return About(
        name=shown.sample or "",
        machine=describe(str(studio.pipeline.device)),
        scores=scores_of(found) if isinstance(found, Evaluation) else None,
        sensitivity=shown.sensitivity,
    )
