"""Servers on 127.0.0.1 for the catalogue's tests: a real STAC API (rustac), a file server that
can fail, broken answers, a geocoder. All are context managers and leave nothing behind.

`python -m tests.catalogue.servers --folder DIR` keeps a demo catalogue up until it is ended.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.catalogue.scenes import make_scene, origin_around, scene_id, write_catalogue

PATIENCE = 60
"""Seconds to wait for a server to start: a slow machine is not a fault."""
Fault = str | tuple[str, float]
"""A kind, or a kind with its seconds ("slow") or the share of the file left ("truncated")."""
KINDS = ("slow", "busy", "error", "nonsense", "wrong", "html", "missing")
PORTAL = "<!doctype html><title>Sign in</title><p>Sign in to use this network.</p>"
CONFORMS = ["core", "collections", "ogcapi-features", "item-search"]


@dataclasses.dataclass
class FileServer:
    """A folder on the web. All but url, folder and requests may be changed while it serves.

    Attributes:
        requests: (method, path, range header or None), as they came.
        delay: seconds before each answer.
        faults: by a part of the path: "missing" (404), "error" (500), "busy" (429), "nonsense",
            "wrong" and "html" (200), "slow" (late), "truncated" (as if the file were cut).
        token: when set, a .tif without `?token=` this is refused with 403, and `/sas/sign?href=`
            and `/sas/token/ANY` answer as Planetary Computer's do.
    """

    url: str
    folder: Path
    requests: list[tuple[str, str, str | None]] = dataclasses.field(default_factory=list)
    delay: float = 0.0
    faults: dict[str, Fault] = dataclasses.field(default_factory=dict)
    token: str = ""

    def asked(self, part: str = "") -> list[tuple[str, str, str | None]]:
        """Requests whose path contains `part`."""
        return [request for request in self.requests if part in request[1]]


@contextlib.contextmanager
def serve_stac(items: Sequence[dict], collection: str, folder: Path) -> Iterator[str]:
    """Serve a real STAC API; `folder` takes its input and its log."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_catalogue(folder, items, collection)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    log = folder / "rustac.log"
    binary = Path(sys.executable).with_name("rustac")
    with log.open("w") as sink:
        command = [str(binary), "serve", *map(str, paths), "--addr", address]
        server = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        _wait_until(lambda: _answers(f"http://{address}/", server, log))
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(timeout=30)


@contextlib.contextmanager
def serve_files(folder: Path, *, delay: float = 0.0) -> Iterator[FileServer]:
    """Serve a folder with ranges (206)."""
    with tempfile.TemporaryDirectory() as cut:
        files = FileServer(url="", folder=folder, delay=delay)

        async def answer(request: Request) -> Response:
            path = request.url.path
            files.requests.append((request.method, path, request.headers.get("range")))
            await _sleep(request, files.delay)
            if files.token and path.startswith("/sas/"):
                return _sas(request, files.token)
            if files.token and path.endswith(".tif") and _token(request) != files.token:
                return Response("no valid signature", 403)
            kind, value = next(
                (_fault(fault) for part, fault in list(files.faults.items()) if part in path),
                ("", 0.0),
            )
            wanted = folder / path.lstrip("/")
            if kind not in ("", "slow", "truncated"):
                return _broken(kind)
            if kind == "slow":
                await _sleep(request, value, lifted=lambda: not files.faults)
            if not wanted.is_file():
                return _broken("missing")
            return FileResponse(_cut(wanted, value, Path(cut)) if kind == "truncated" else wanted)

        with _serving([Route("/{path:path}", answer, methods=["GET"])]) as files.url:
            yield files


@contextlib.contextmanager
def serve_answers(kind: str, *, seconds: float = 30.0, at: str = "") -> Iterator[str]:
    """Serve a STAC API without scenes ("empty"), or one that is broken.

    Args:
        kind: "empty" or one of KINDS.
        seconds: that a "slow" one takes; then it answers as an empty one.
        at: only paths that contain this are broken, such as "/search".
    """
    if kind != "empty" and kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected 'empty' or one of {KINDS}.")

    async def answer(request: Request) -> Response:
        if kind != "empty" and at in request.url.path:
            if kind != "slow":
                return _broken(kind)
            await _sleep(request, seconds)
        return _no_scenes(request)

    with _serving([Route("/{path:path}", answer, methods=["GET", "POST"])]) as url:
        yield url


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Name a server that is down: connections are refused while this is open."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextlib.contextmanager
def serve_geocoder(
    places: Mapping[str, tuple[float, float]], *, kind: str = "", seconds: float = 30.0
) -> Iterator[str]:
    """Serve Nominatim's /search over the given places.

    Args:
        places: longitude and latitude by full name; found by any part of it.
        kind: of failure, one of KINDS.
        seconds: that a "slow" one takes.
    """

    async def answer(request: Request) -> Response:
        if kind == "slow":
            await _sleep(request, seconds)
        elif kind:
            return _broken(kind)
        asked = request.query_params.get("q", "").strip().lower()
        found = [
            _place(name, *at) for name, at in places.items() if asked and asked in name.lower()
        ]
        return JSONResponse(found[: int(request.query_params.get("limit", 10))])

    with _serving([Route("/search", answer)]) as url:
        yield url


@contextlib.contextmanager
def _serving(routes: list[Route]) -> Iterator[str]:
    """Run an app in a thread on a free port; requests still asleep at the end are let go."""
    app = Starlette(routes=routes)
    config = uvicorn.Config(
        app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=2
    )
    app.state.server = server = uvicorn.Server(config)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            _wait_until(lambda: server.started or not thread.is_alive())
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)


async def _sleep(
    request: Request, seconds: float, *, lifted: Callable[[], bool] = lambda: False
) -> None:
    """Sleep until the time is up, the fault is lifted, the server ends or the client has gone."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not lifted():
        if request.app.state.server.should_exit or (left > 1 and await request.is_disconnected()):
            return
        await asyncio.sleep(min(left, 0.05))


def _wait_until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"A server did not start within {PATIENCE} s.")
        time.sleep(0.02)


def _answers(url: str, server: subprocess.Popen, log: Path) -> bool:
    if server.poll() is not None:
        raise RuntimeError("rustac ended at once:\n" + log.read_text())
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _fault(fault: Fault) -> tuple[str, float]:
    kind, value = (fault, None) if isinstance(fault, str) else fault
    if kind not in (*KINDS, "truncated"):
        raise ValueError(f"fault is {kind!r}, expected 'truncated' or one of {KINDS}.")
    return kind, {"slow": 30.0, "truncated": 0.5}.get(kind, 0.0) if value is None else value


def _broken(kind: str) -> Response:
    return {
        "busy": Response("too many requests", 429, {"Retry-After": "3600"}),
        "error": Response("internal server error", 500),
        "missing": Response("not found", 404),
        "nonsense": Response(b"\x00\xff{[ no JSON", 200, media_type="application/json"),
        "wrong": JSONResponse({"message": "hello"}),
        "html": HTMLResponse(PORTAL),
    }[kind]


def _cut(path: Path, share: float, folder: Path) -> Path:
    """Copy the beginning of a file, once for each share."""
    copy = folder / f"{share}" / path.parent.name / path.name
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        whole = path.read_bytes()
        copy.write_bytes(whole[: int(share * len(whole))])
    return copy


def _token(request: Request) -> str:
    return request.query_params.get("token", "")


def _sas(request: Request, token: str) -> Response:
    """Sign as https://planetarycomputer.microsoft.com/api/sas/v1 does, with another key."""
    until = {"msft:expiry": "2099-01-01T00:00:00Z"}
    if request.url.path.startswith("/sas/token/"):
        return JSONResponse(until | {"token": f"token={token}"})
    if href := request.query_params.get("href"):
        return JSONResponse(until | {"href": f"{href}?token={token}"})
    return _broken("missing")


def _no_scenes(request: Request) -> Response:
    """Answer as a STAC API that holds nothing."""
    root = f"http://{request.headers['host']}"
    link = {"rel": "root", "type": "application/json", "href": f"{root}/"}
    path = request.url.path.rstrip("/")
    if path == "/collections":
        return JSONResponse({"collections": [], "links": [link]})
    if path.endswith(("/search", "/items")):
        return JSONResponse(
            {"type": "FeatureCollection", "features": [], "links": [link], "numberReturned": 0},
            media_type="application/geo+json",
        )
    if path:
        return JSONResponse({"code": "NotFoundError", "description": path}, 404)
    search = {"rel": "search", "type": "application/geo+json", "href": f"{root}/search"}
    data = {"rel": "data", "type": "application/json", "href": f"{root}/collections"}
    landing = {"type": "Catalog", "stac_version": "1.0.0", "id": "empty", "description": "Empty."}
    conforms = [f"https://api.stacspec.org/v1.0.0/{name}" for name in CONFORMS]
    links = [link, link | {"rel": "self"}, data]
    links += [search | {"method": method} for method in ("GET", "POST")]
    return JSONResponse(landing | {"conformsTo": conforms, "links": links})


def _place(name: str, lon: float, lat: float) -> dict:
    """Describe a place as Nominatim's jsonv2 does: coordinates are strings."""
    return {
        "place_id": abs(hash((lon, lat))) % 10**9,
        "licence": "Data © OpenStreetMap contributors, ODbL 1.0.",
        "osm_type": "relation",
        "osm_id": 1,
        "lat": f"{lat:.7f}",
        "lon": f"{lon:.7f}",
        "category": "boundary",
        "type": "administrative",
        "place_rank": 16,
        "importance": 0.5,
        "addresstype": "town",
        "name": name.partition(",")[0],
        "display_name": name,
        "boundingbox": [f"{at:.7f}" for at in (lat - 0.05, lat + 0.05, lon - 0.05, lon + 0.05)],
    }


PLACE, EDGE, FIJI = (10.9, 46.6), (12.0, 46.6), (180.0, -17.8)
DEMO_PLACES = {"Latsch, South Tyrol, Italy": PLACE, "Arabba, Veneto, Italy": EDGE} | {
    "Taveuni, Northern, Fiji": FIJI
}


def make_demo(folder: Path, base_url: str, pixels: int = 1536) -> list[dict]:
    """Write seven dates at PLACE, two tiles of two zones at EDGE and one across 180 degrees."""
    west, north = origin_around("EPSG:32632", *PLACE, pixels)
    side, south = 10 * pixels, north - 10 * pixels
    middle = (west + 0.42 * side, south + 0.42 * side, west + 0.58 * side, south + 0.58 * side)
    shadow = tuple(at + 0.06 * side for at in middle)
    half = (west, south, west + side // 2, north)
    dates = [
        ("2026-09-14T10:15:59Z", {}),
        ("2026-09-09T10:10:31Z", {"cloud": middle, "scl": {3: shadow}}),
        ("2026-08-25T10:15:59Z", {"cloud": half}),
        ("2026-08-15T10:15:59Z", {"cloud": lambda x, y: (x > 0) & (y > 0)}),
        ("2026-07-06T10:10:31Z", {"seed": 1}),
        ("2026-02-16T10:15:59Z", {"scl": {11: lambda x, y: (x + 2 * y) % 900 < 500}, "seed": 2}),
        ("2026-09-04T10:15:59Z", {"valid": half}),
    ]
    scenes = [
        ("32TPS", when, {"crs": "EPSG:32632", "west": west, "north": north} | what)
        for when, what in dates
    ]
    for tile, zone, at in (("32TQS", 32632, EDGE), ("33TTM", 32633, EDGE), ("01KAA", 32701, FIJI)):
        crs = f"EPSG:{zone}"
        x, y = origin_around(crs, *at, pixels)
        scenes.append((tile, "2026-09-11T10:05:59Z", {"crs": crs, "west": x, "north": y}))
    return [
        make_scene(
            folder,
            scene_id(tile, when),
            base_url=base_url,
            acquired=when,
            paint=True,
            pixels=pixels,
            **what,
        )
        for tile, when, what in scenes
    ]


def main() -> None:
    """Serve the demo until ended; its one line of output is JSON with the addresses."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="made anew each time")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds for each file request")
    parser.add_argument("--pixels", type=int, default=1536, help="side of a scene")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    scenes = chosen.folder / "scenes"
    shutil.rmtree(scenes, ignore_errors=True)
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        files = stack.enter_context(serve_files(scenes, delay=chosen.delay))
        items = make_demo(scenes, files.url, chosen.pixels)
        urls = {"collection": items[0]["collection"], "files": files.url}
        urls["stac"] = stack.enter_context(
            serve_stac(items, urls["collection"], chosen.folder / "stac")
        )
        urls["geocoder"] = stack.enter_context(serve_geocoder(DEMO_PLACES))
        print(json.dumps(urls | {"scenes": [item["id"] for item in items]}), flush=True)
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
