"""Who may ask for what: with --auth all but a few addresses are for those who have logged in.

Gradio's own login protects Gradio's own routes; this stands before every route, ours included. Uses
of Gradio's server: `auth` (password by name, or None), `tokens` (name by token) and `cookie_id`.
"""

import base64
import binascii
import ipaddress
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ldsr.web.hosting.health import HEALTHZ, METRICS

OPEN = (
    "/",
    "/login",
    "/logout",
    "/config",
    "/theme.css",
    "/favicon.ico",
    "/manifest.json",
    "/robots.txt",
    "/gradio_api/theme.css",
    "/gradio_api/startup-events",
    "/gradio_api/login_check",
    HEALTHZ,
)
"""What the login itself needs; / and /config show nothing but the login to a stranger."""
OPEN_BELOW = ("/assets/", "/static/", "/svelte/", "/pwa_icon")
"""Gradio's own files, the same on every server."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
STRANGER = {"detail": {"error": "Not authenticated", "auth_message": None}}
"""What Gradio answers, too; its client understands it."""
NO_METRICS = (
    "The metrics are read on the server itself, with the name and password of --auth, or by "
    "everybody after --metrics-open."
)


class Login:
    """Middleware that lets nobody pass who has not logged in.

    Args:
        app: what stands behind it.
        metrics_open: whether everybody may read /metrics.
    """

    def __init__(self, app: ASGIApp, *, metrics_open: bool = False) -> None:
        self._app = app
        self._metrics_open = metrics_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        refused = None
        if scope["type"] in ("http", "websocket"):
            refused = self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered to somebody who may not ask this, None for who may."""
        server, path = scope.get("app"), route_path(scope)
        auth = getattr(server, "auth", None)
        request = Request({**scope, "type": "http"})
        if path.rstrip("/") == METRICS:
            if self._metrics_open or (auth is None and _is_local(request)):
                return None
            if auth is not None and (_user(server, request) or _knows_password(auth, request)):
                return None
            ask = {} if auth is None else {"WWW-Authenticate": 'Basic realm="metrics"'}
            return PlainTextResponse(NO_METRICS, 403 if auth is None else 401, headers=ask)
        if auth is None or (path.rstrip("/") or "/") in OPEN or path.startswith(OPEN_BELOW):
            return None
        return None if _user(server, request) is not None else JSONResponse(STRANGER, 401)


def route_path(scope: Scope) -> str:
    """The path of a request below the root path, whether or not a proxy took that away."""
    path, root = scope["path"], (scope.get("root_path") or "").rstrip("/")
    if root and (path == root or path.startswith(root + "/")):
        return path[len(root) :] or "/"
    return path or "/"


def _user(server: Any, request: Request) -> str | None:
    """Name of who has logged in, by the cookies of Gradio's login."""
    names = (f"access-token-{server.cookie_id}", f"access-token-unsecure-{server.cookie_id}")
    tokens = [request.cookies.get(name) for name in names]
    return next((server.tokens[token] for token in tokens if token in server.tokens), None)


def _knows_password(auth: Any, request: Request) -> bool:
    """Whether a request brings name and password itself, as Prometheus does."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic" or not isinstance(auth, Mapping):
        return False
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    expected = auth.get(name)
    return expected is not None and secrets.compare_digest(password.encode(), expected.encode())


def _is_local(request: Request) -> bool:
    """Whether a request comes from this machine itself, not through a proxy on it."""
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
