"""What the tests of the page for programs share: an MCP client, pictures, what a sentence is."""

import asyncio
import base64
import re
import socket
from pathlib import Path

import numpy as np
import rasterio
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

from ldsr import render
from ldsr.data.patch import Patch


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def checked(said: str) -> str:
    """What a program is told: one line, no trace, no path of the server."""
    assert not re.search(r"Traceback|\n|/home|/tmp|/work|secret|site-packages", said), said
    assert said.endswith((".", ").")), said
    return said


def finer(patch: Patch, change: float = 0.0) -> Patch:
    """The same ground at 2.5 m, bicubic with noise."""
    noise = np.random.default_rng(1).normal(0, 0.004, (4, *(4 * side for side in patch.size)))
    values = (render.upsample(patch) + noise + change).clip(0.001, 1).astype(np.float32)
    return Patch(
        reflectance=values,
        valid=patch.valid.repeat(4, 0).repeat(4, 1),
        crs=patch.crs,
        transform=patch.transform * rasterio.Affine.scale(0.25),
        source=patch.source,
    )


def ask_mcp(
    url: str,
    *calls: tuple[str, dict],
    heard: list[str] | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[list, list]:
    """List the tools, then call some; with `heard`, also ask how far they are."""

    async def hear(share: float, total: float | None, text: str | None) -> None:
        heard.append(text or "")

    listen = None if heard is None else hear

    async def talk() -> tuple[list, list]:
        async with (
            streamablehttp_client(f"{url}gradio_api/mcp/", headers) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            return tools, [
                await session.call_tool(name, given, progress_callback=listen)
                for name, given in calls
            ]

    return asyncio.run(talk())


def as_data(path: Path) -> str:
    """A file as an MCP client hands it over."""
    return "data:image/tiff;base64," + base64.b64encode(path.read_bytes()).decode()
