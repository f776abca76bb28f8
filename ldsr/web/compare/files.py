"""The pictures and numbers of the Compare tab, as routes of the page's own server.

Ids in the addresses are random. plotly's script comes from the installed package.
"""

import functools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ldsr.data.bands import BANDS
from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.web.compare import values as numbers
from ldsr.web.compare.layers import (
    HEATS,
    PICTURES,
    heat_png,
    missing,
    picture_png,
)
from ldsr.web.evaluate.evaluations import Evaluation
from ldsr.web.files import GONE
from ldsr.web.pictures import COMPOSITES, Shown
from ldsr.web.studio import Studio

PLOTLY = "ldsr/plotly.min.js"
NO_FILE = "No such file."
_FOREVER = {"Cache-Control": "private, max-age=86400, immutable"}
_WEEK = {"Cache-Control": "public, max-age=604800"}
_FRESH = {"Cache-Control": "no-store"}


def compare_routes(studio: Studio) -> list[Route]:
    """List the routes: layers, numbers, and plotly's script."""

    def answer(make: Callable[[Shown, Mapping[str, Patch], Any], Any]) -> Any:
        """A route that answers a question about a result in JSON, or one sentence."""

        async def route(request: Request) -> Response:
            shown = find_shown(studio, request.path_params["key"])
            if shown is None:
                return PlainTextResponse(GONE, 404, headers=_FRESH)
            query = request.query_params
            references = find_references(studio, shown, query.get("evaluation"))
            try:
                found = await run_in_threadpool(make, shown, references, request)
            except LdsrError as error:
                return PlainTextResponse(str(error), 400, headers=_FRESH)
            return JSONResponse(found, headers=_FOREVER)

        return route

    async def picture(request: Request) -> Response:
        shown = find_shown(studio, request.path_params["key"])
        if shown is None:
            return PlainTextResponse(GONE, 404, headers=_FRESH)
        references = find_references(studio, shown, request.query_params.get("evaluation"))
        make = find_picture(shown, request.path_params["name"], references)
        if make is None:
            return PlainTextResponse(NO_FILE, 404, headers=_FRESH)
        return Response(await run_in_threadpool(make), media_type="image/png", headers=_FOREVER)

    async def plotly(_: Request) -> Response:
        return FileResponse(plotly_script(), media_type="text/javascript", headers=_WEEK)

    return [
        Route(f"/{PLOTLY}", plotly),
        Route("/ldsr/compare/{key}/values", answer(_values)),
        Route("/ldsr/compare/{key}/profile", answer(_profile)),
        Route("/ldsr/compare/{key}/heat/{name}", answer(_heat)),
        Route("/ldsr/compare/{key}/{name}", picture),
    ]


def find_shown(studio: Studio, key: str | None) -> Shown | None:
    """The result under an id, or None where it is gone or there is none yet."""
    shown = studio.store.get(key)
    return shown if isinstance(shown, Shown) and shown.result is not None else None


def find_references(studio: Studio, shown: Shown, evaluation: str | None) -> dict[str, Patch]:
    """Find the reference that was uploaded for an input on the Evaluate tab.

    Args:
        studio: the server's state.
        shown: the result.
        evaluation: id of the visitor's evaluation, or None.

    Returns:
        {"reference": as given, "fitted": its brightness fitted}, [4, 4H, 4W] each; {} where there
        is none of this very input.
    """
    found = studio.store.get(evaluation)
    if not isinstance(found, Evaluation) or found.truth != "reference":
        return {}
    if found.lr is not shown.patch:
        return {}
    patches = [patch for patch in found.references.values() if patch.size == shown.result.sr.size]
    return dict(zip(("reference", "fitted"), patches, strict=False))


def find_picture(
    shown: Shown, name: str, references: Mapping[str, Patch]
) -> Callable[[], bytes] | None:
    """Find what draws LAYER-COMPOSITE.png, HEAT.png or sample-K-COMPOSITE.png; None if nothing."""
    stem = name.removesuffix(".png")
    if stem == name:
        return None
    if stem in HEATS:
        return None if missing(shown, stem) else functools.partial(heat_png, shown, stem)
    first, _, composite = stem.rpartition("-")
    if composite not in COMPOSITES:
        return None
    kind, _, number = first.partition("-")
    if kind == "sample":
        known = {str(k): one[composite] for k, one in enumerate(shown.samples)}
        return (lambda: known[number]) if number in known else None
    if first not in PICTURES or missing(shown, first, references):
        return None
    return functools.partial(picture_png, shown, first, composite, references)


def plotly_script() -> Path:
    """Find plotly.min.js, installed with the Python package."""
    import plotly

    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def _values(shown: Shown, references: Mapping[str, Patch], request: Request) -> dict[str, Any]:
    row, col = (_whole(request, name) for name in ("row", "col"))
    return numbers.values_at(shown, row, col, references)


def _profile(shown: Shown, references: Mapping[str, Patch], request: Request) -> dict[str, Any]:
    ends = tuple(_number(request, name) for name in ("r0", "c0", "r1", "c1"))
    band = request.query_params.get("band", BANDS[0])
    if band not in BANDS:
        raise LdsrError(f"There is no band {band[:20]!r}; choose one of {', '.join(BANDS)}.")
    level = _number(request, "level", 0.9)
    if shown.uncertainty is not None and level not in shown.uncertainty.factors:
        known = ", ".join(f"{one:g}" for one in shown.uncertainty.factors)
        raise LdsrError(f"There is no interval of {level:g}; choose one of {known}.")
    return numbers.profile(shown, ends, band=BANDS.index(band), level=level, references=references)


def _heat(shown: Shown, _: Mapping[str, Patch], request: Request) -> dict[str, Any]:
    return numbers.heat_data(shown, request.path_params["name"])


def _whole(request: Request, name: str) -> int:
    number = _number(request, name)
    if not number.is_integer():
        raise LdsrError(f"{name} must be a whole number.")
    return int(number)


def _number(request: Request, name: str, default: float | None = None) -> float:
    try:
        found = float(request.query_params.get(name, default))
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise LdsrError(f"{name} must be a number.")
    return found
