"""A small reverse proxy: serves another server below a path of its own, as nginx would."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

OWN = ("host", "connection", "content-length", "transfer-encoding", "keep-alive")
"""Headers of one connection, not of the request."""


class Proxy:
    """A proxy on loopback.

    Attributes:
        url: address of what is behind it, with a slash at its end.
        strays: paths outside that somebody asked for.
    """

    def __init__(self, target: str, path: str, *, strip: bool) -> None:
        self.strays: list[str] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}/"
        self._target, self._path, self._strip = target.rstrip("/"), path, strip
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def answer(self, request: Request) -> Response:
        """Pass a request on, and its answer back as it comes."""
        path = request.url.path
        if path == self._path and self._strip:
            return RedirectResponse(f"{path}/", 301)
        if path != self._path and not path.startswith(f"{self._path}/"):
            self.strays.append(path)
            return PlainTextResponse("Another page lives here.", 404)
        # no client: it would keep the cookies of one visitor for the next
        self._transport = self._transport or httpx.AsyncHTTPTransport()
        kept = path[len(self._path) :] if self._strip else path
        query = f"?{request.url.query}" if request.url.query else ""
        headers = [(k, v) for k, v in request.headers.items() if k not in OWN]
        forwarded = {
            "X-Forwarded-Host": request.headers["host"],
            "X-Forwarded-Proto": "http",
            "X-Forwarded-For": request.client.host,
        }
        content = request.stream() if request.method == "POST" else None
        sent = httpx.Request(
            request.method,
            f"{self._target}{kept}{query}",
            headers=[*headers, *forwarded.items()],
            content=content,
        )
        got = await self._transport.handle_async_request(sent)
        answer = StreamingResponse(
            got.aiter_raw(), got.status_code, background=BackgroundTask(got.aclose)
        )
        answer.raw_headers = [(k.lower(), v) for k, v in got.headers.raw if k.lower() != b"date"]
        return answer


@contextlib.contextmanager
def proxied(target: str, path: str = "/studio", *, strip: bool = True) -> Iterator[Proxy]:
    """Serve a server below a path.

    Args:
        target: its address.
        path: where.
        strip: whether the proxy takes the path away before it asks, as nginx does.
    """
    proxy = Proxy(target, path, strip=strip)
    methods = ["GET", "HEAD", "POST", "OPTIONS"]
    routes = [Route("/{path:path}", proxy.answer, methods=methods)]
    config = uvicorn.Config(
        Starlette(routes=routes), port=proxy.port, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end and thread.is_alive(), "the proxy did not start"
        time.sleep(0.01)
    try:
        yield proxy
    finally:
        server.should_exit = True
        thread.join(10)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
