"""The pictures and downloads behind the page, as routes of its own server.

Ids in the addresses are random; whoever has none can fetch the sample thumbnails only.
"""

import functools
from collections.abc import Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ldsr import render
from ldsr.data.samples import list_samples, load_sample
from ldsr.data.scene_reader import read_thumbnail
from ldsr.errors import LdsrError
from ldsr.web.maps.flows import Found
from ldsr.web.maps.result_map import policy, result_map
from ldsr.web.pictures import COMPOSITES, Shown
from ldsr.web.session import Job
from ldsr.web.studio import Studio

GONE = "This result is no longer kept on the server; run it again to get it back."
_FOREVER = {"Cache-Control": "private, max-age=86400, immutable"}
_FRESH = {"Cache-Control": "no-store"}


def routes(studio: Studio) -> list[Route]:
    """List the routes: thumbnails of samples, pictures and files of a result, previews of a run."""

    @functools.cache
    def thumb(key: str) -> bytes:
        return render.encode_png(render.thumbnail(load_sample(key)))

    async def sample(request: Request) -> Response:
        key = request.path_params["key"]
        if key not in {sample.key for sample in list_samples()}:
            return PlainTextResponse("No such sample.", 404)
        return await _respond(lambda: thumb(key), "image/png")

    async def shown(request: Request) -> Response:
        found = studio.store.get(request.path_params["key"])
        if not isinstance(found, Shown):
            return PlainTextResponse(GONE, 404)
        key, name = request.path_params["key"], request.path_params["name"]
        if found.result is not None and name == f"{found.stem}_run.json":
            page = studio.page_times(request.query_params.get("page"))
            measured = page.seconds() if page is not None and page.key == key else None
            make = functools.partial(found.sheet, measured)
            return await _respond(make, "application/json", name, keep=_FRESH)
        return await _shown(found, name)

    async def result_page(request: Request) -> Response:
        found = studio.store.get(request.path_params["key"])
        name = f"{request.path_params['stem']}_map.html"
        if not isinstance(found, Shown) or not found.has_map or name != f"{found.stem}_map.html":
            return PlainTextResponse(GONE if found is None else "No such file.", 404)
        download = name if request.query_params.get("download") == "1" else None
        response = await _respond(lambda: _map_page(found), "text/html", download)
        response.headers["Content-Security-Policy"] = policy()
        return response

    async def preview(request: Request) -> Response:
        job = studio.jobs.get(request.path_params["key"])
        if request.path_params["name"].startswith("spread-"):
            return _spread(job)
        stage, _, rest = request.path_params["name"].partition("-")
        emerging = None if job is None else job.preview.get(stage)
        name = rest.rpartition("-")[2].removesuffix(".png")
        if emerging is None or name not in COMPOSITES:
            return Response(status_code=204)
        frame = Shown(job.patch)
        return await _respond(lambda: frame.draw(emerging, name, level=1), "image/png")

    async def scene(request: Request) -> Response:
        found = studio.store.get(request.path_params["key"])
        if not isinstance(found, Found):
            return PlainTextResponse(GONE, 404)
        try:
            return await _respond(lambda: _scene_thumbnail(found), "image/png")
        except LdsrError as error:
            return PlainTextResponse(str(error), 404)

    return [
        Route("/ldsr/sample/{key}.png", sample),
        Route("/ldsr/t/{key}.png", scene),
        Route("/ldsr/r/{key}/{stem}_map.html", result_page),
        Route("/ldsr/r/{key}/{name}", shown),
        Route("/ldsr/p/{key}/{name}", preview),
    ]


def _spread(job: Job | None) -> Response:
    """The map of a run's samples so far; nothing where there is none."""
    emerging = None if job is None or job.frames is None else job.frames.spread
    if emerging is None:
        return Response(status_code=204)
    return Response(emerging, media_type="image/png", headers=_FOREVER)


async def _shown(found: Shown, name: str) -> Response:
    for picture in found.pictures:
        for composite in COMPOSITES:
            make = functools.partial(found.png, picture, composite)
            if name == f"{picture}-{composite}.png":
                return await _respond(make, "image/png")
            if name == f"{found.stem}_{picture}_{composite}_colour.png":
                return await _respond(make, "image/png", name)
    for overlay in found.overlays:
        if name == f"overlay-{overlay}.png":
            return await _respond(lambda: found.overlay_png(overlay), "image/png")
    if name == "ground.png" and found.patch.crs is not None:
        return await _respond(lambda: found.on_ground[0], "image/png")
    for which in found.files:
        if name == f"{found.stem}_{which}.tif":
            return await _respond(lambda: found.geotiff(which), "image/tiff", name)
    return PlainTextResponse("No such file.", 404)


def _scene_thumbnail(found: Found) -> bytes:
    return render.encode_png(read_thumbnail(found.scene, found.box))


def _map_page(found: Shown) -> bytes:
    """Make the map once, and keep it."""
    if found.map_page is None:
        found.map_page = result_map(found)
    return found.map_page


async def _respond(
    make: Callable[[], bytes],
    media_type: str,
    download: str | None = None,
    *,
    keep: Mapping[str, str] = _FOREVER,
) -> Response:
    content = await run_in_threadpool(make)
    headers = dict(keep)
    if download:
        headers["Content-Disposition"] = f'attachment; filename="{download}"'
    return Response(content, media_type=media_type, headers=headers)
