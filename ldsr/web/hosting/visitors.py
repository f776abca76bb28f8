"""Who the server is working for, by what Gradio and the connection say, and whose page is open.

A person is counted by their address and, with a login, its name. Behind a proxy the address is the
one it forwards, as long as the proxy is on this machine or in its private network.
"""

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from gradio.context import LocalContext
from starlette.types import ASGIApp, Receive, Scope, Send

from ldsr.web.hosting.login import FORWARDED, route_path
from ldsr.web.store import Store
from ldsr.web.studio import Asking

HEARTBEAT = "/gradio_api/heartbeat/"
"""Where a page holds a connection for as long as it is open; then comes its session."""
MCP = "/gradio_api/mcp"
"""Where programs call tools; for each call Gradio asks itself, with the headers it came with."""


def asking() -> Asking:
    """Whom the event belongs to that is being handled here and now; nobody outside of one."""
    request = LocalContext.request.get(None)
    if request is None:
        return Asking()
    client = getattr(request, "client", None)
    person = person_of(
        getattr(client, "host", None) or "",
        getattr(request, "headers", None) or {},
        getattr(request, "username", None) or "",
    )
    return Asking(getattr(request, "session_hash", None) or "", person)


def person_of(peer: str, headers: Mapping[str, str], user: str = "") -> str:
    """Name the person behind a request; "" for whoever sits at this machine itself.

    Args:
        peer: address that the connection comes from.
        headers: of the request.
        user: name of a login.
    """
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    found = _address(peer)
    if not any(name in headers for name in FORWARDED) and found is not None and found.is_loopback:
        return ""
    while hops and (found is None or found.is_private):
        nearer = _address(hops.pop())
        if nearer is None:
            break
        found = nearer
    if isinstance(found, ipaddress.IPv6Address):  # a house has a network of its own
        found = ipaddress.ip_network((found, 64), strict=False)
    return " ".join(filter(None, (str(found or "unknown"), user)))


class Callers:
    """Middleware that writes into a call over MCP where it comes from, as a proxy does.

    Without it, every call would seem to come from this machine: the limits of a person would count
    for nobody.

    Args:
        app: what stands behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] == "http" and route_path(scope).startswith(MCP):
            peer = (scope.get("client") or ("",))[0]
            found = _address(peer)
            if found is not None and not found.is_loopback:
                scope = {**scope, "headers": _forwarded(scope["headers"], peer.encode())}
        await self._app(scope, receive, send)


def _forwarded(headers: Iterable[tuple[bytes, bytes]], peer: bytes) -> list[tuple[bytes, bytes]]:
    """The headers with one hop more."""
    name, headers = b"x-forwarded-for", list(headers)
    hops = [value for key, value in headers if key == name]
    return [*(one for one in headers if one[0] != name), (name, b", ".join([*hops, peer]))]


class Visits:
    """Middleware that tells a store whose page is open.

    Args:
        app: what stands behind it.
        store: what is told.
    """

    def __init__(self, app: ASGIApp, *, store: Store) -> None:
        self._app, self._store = app, store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; that of an open page lasts as long as the page."""
        with self._open(session_of(scope)):
            await self._app(scope, receive, send)

    @contextlib.contextmanager
    def _open(self, session: str) -> Any:
        if not session:
            yield
            return
        self._store.arrive(session)
        try:
            yield
        finally:
            self._store.leave(session)


def session_of(scope: Scope) -> str:
    """The session whose page holds this connection, "" for every other request."""
    if scope["type"] != "http":
        return ""
    path = route_path(scope)
    return path[len(HEARTBEAT) :].strip("/")[:64] if path.startswith(HEARTBEAT) else ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as it stands in a header, with or without a port; None where it is none."""
    bare = text.strip('"').rpartition("]")[0].lstrip("[") or text
    if bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
