"""Fixtures: a landscape of small scenes, served as files and by a real STAC API on this machine.

Servers live as long as the session; each test has its own cache folder, and addresses of files that
no other test used, since GDAL remembers what it read.
"""

import contextlib
import dataclasses
import itertools
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ldsr.data import catalog
from ldsr.data.places import Box, box_at
from ldsr.data.scenes import Scene, group, read_item
from tests.catalogue.scenes import make_scene, origin_around, rebased, truth_grid
from tests.catalogue.servers import FileServer, serve_answers, serve_files, serve_stac

PLACE, EDGE, FIJI = (10.9, 46.6), (12.0, 46.6), (180.0, -17.8)
SOUTH, NORTH_CAPE = (-62.9, -9.7), (20.5, 75.0)
PIXELS = 512
WEST, NORTH = origin_around("EPSG:32632", *PLACE, PIXELS)
SIDE = 10 * PIXELS
PLAIN, NEXT_TILE = "S2B_T32TPS_20260914T101559_L2A", "S2B_T32TQS_20260914T101613_L2A"
CLOUDY, HALF = "S2A_T32TPS_20260909T101031_L2A", "S2B_T32TPS_20260904T101559_L2A"
OTHER_ZONE = "S2B_T32TQT_20260911T100559_L2A"
ACROSS, SOUTHERN = "S2B_T01KAA_20260911T220559_L2A", "S2B_T20LNQ_20260911T140559_L2A"
HIGH = "S2B_T33XWG_20260911T110559_L2A"
CLOUD = (WEST + 2000, NORTH - 3000, WEST + 3010, NORTH - 2010)
NEXT_WEST = WEST + 4200
_numbers = itertools.count()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict]]:
    """Folder and STAC items, by id, of the landscape."""
    folder = tmp_path_factory.mktemp("landscape")
    here = {"west": WEST, "north": NORTH, "pixels": PIXELS}
    shadow, snow = (WEST, NORTH - 1000, WEST + 500, NORTH), (WEST, NORTH - SIDE, WEST + 1000, NORTH)
    plans: list[tuple[str, str, dict]] = [
        (PLAIN, "2026-09-14T10:15:59Z", {}),
        (NEXT_TILE, "2026-09-14T10:16:13Z", {"west": NEXT_WEST}),
        (CLOUDY, "2026-09-09T10:10:31Z", {"seed": 1, "cloud": CLOUD, "scl": {11: snow, 3: shadow}}),
        (HALF, "2026-09-04T10:15:59Z", {"valid": (WEST, NORTH - SIDE, WEST + 2500, NORTH)}),
    ]
    places = [(OTHER_ZONE, 32632, EDGE), (ACROSS, 32701, FIJI)]
    for name, zone, at in [*places, (SOUTHERN, 32720, SOUTH), (HIGH, 32633, NORTH_CAPE)]:
        west, north = origin_around(f"EPSG:{zone}", *at, PIXELS)
        what = {"crs": f"EPSG:{zone}", "west": west, "north": north}
        plans.append((name, "2026-09-11T10:05:59Z", what))
    items = [make_scene(folder, name, acquired=when, **here | what) for name, when, what in plans]
    return folder, {item["id"]: item for item in items}


@pytest.fixture(scope="session")
def everywhere(made) -> Iterator[FileServer]:
    """One file server for the session."""
    with serve_files(made[0]) as server:
        yield server


@pytest.fixture
def files(everywhere: FileServer) -> FileServer:
    """The file server, sound and with nothing asked of it yet."""
    everywhere.delay, everywhere.token = 0.0, ""
    everywhere.faults.clear()
    everywhere.requests.clear()
    return everywhere


@pytest.fixture(scope="session")
def api(made, everywhere: FileServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a STAC API over the landscape."""
    items = [rebased(item, everywhere.url) for item in made[1].values()]
    with serve_stac(items, "sentinel-2-c1-l2a", tmp_path_factory.mktemp("stac")) as url:
        yield url


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, no token, no catalogue asked, and no address of the world outside."""
    for name in ("COLLECTION", "TITLE", "TOKEN_URL"):
        monkeypatch.delenv(f"LDSR_STAC_{name}", raising=False)
    monkeypatch.delenv("LDSR_CACHE_MB", raising=False)
    monkeypatch.setenv("LDSR_STAC_URL", "http://127.0.0.1:9/stac")
    monkeypatch.setenv("LDSR_GEOCODER_URL", "off")
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LDSR_HTTP_TIMEOUT", "20")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    catalog._tokens.clear()
    catalog._reached.cache_clear()


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the catalogue, and how long to wait for it: `use(url, timeout=1)`."""

    def set_to(url: str, *, timeout: float = 20) -> None:
        monkeypatch.setenv("LDSR_STAC_URL", url)
        monkeypatch.setenv("LDSR_HTTP_TIMEOUT", str(timeout))
        catalog._reached.cache_clear()

    return set_to


@dataclasses.dataclass
class Land:
    """The landscape under addresses of one test's own."""

    folder: Path
    items: dict[str, dict]
    files: FileServer
    number: int

    def item(self, id: str) -> dict:
        """A STAC item; its files lie in a folder of their own, so that GDAL does not know them."""
        link = self.folder / f"{self.number}-{id}"
        if not link.exists():
            link.symlink_to(self.folder / id, target_is_directory=True)
        item = rebased(self.items[id], self.files.url)
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace(f"/{id}/", f"/{link.name}/")
        return item

    def scene(self, *ids: str, box: Box) -> Scene:
        """The scene that a catalogue of ESA's own numbers would list first."""
        return scene_of([self.item(id) for id in ids], box)


@pytest.fixture
def land(made, files: FileServer) -> Iterator[Land]:
    """The landscape, for one test."""
    land = Land(made[0], made[1], files, next(_numbers))
    yield land
    for link in made[0].glob(f"{land.number}-*"):
        link.unlink() if link.is_symlink() else shutil.rmtree(link)


def scene_of(items: list[dict], box: Box, *, original: bool = True) -> Scene:
    """Group items as `find_scenes` does, and take the newest scene."""
    entries = [read_item(item, original=original) for item in items]
    return group([entry for entry in entries if entry], box, catalogue="own")[0]


def ground(box: Box, seed: int = 0) -> np.ndarray:
    """What must be found in a box, reflectance [4, H, W]."""
    height, width = box.size
    return truth_grid(box.crs, box.west, box.north, width, height, seed)


def box_in(col: int, row: int, side: int = 1280) -> Box:
    """A box in zone 32, by its upper left pixel in the scene PLAIN."""
    west, north = WEST + 10 * col, NORTH - 10 * row
    return Box(crs="EPSG:32632", west=west, south=north - side, east=west + side, north=north)


def middle(at: tuple[float, float] = PLACE, side: int = 1280) -> Box:
    """The box around a place."""
    return box_at(*at, side)


@contextlib.contextmanager
def serve_drops(head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n") -> Iterator[str]:
    """Serve one byte every 0.1 s, for ever: no single wait is long."""
    stop = threading.Event()

    def drip(door: socket.socket) -> None:
        with door, contextlib.suppress(OSError):
            door.recv(65536)
            door.sendall(head)
            while not stop.wait(0.1):
                door.sendall(b" ")

    def listen(bound: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(bound.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as bound:
        threading.Thread(target=listen, args=(bound,), daemon=True).start()
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        stop.set()


@contextlib.contextmanager
def no_longer_than(timeout: float) -> Iterator[None]:
    """What a request may take at most, with a margin for a slow machine."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin <= 3 * timeout + 5 + 15


def serve_broken(kind: str) -> contextlib.AbstractContextManager[str]:
    """Serve one kind of failure; a slow one is far slower than anybody waits."""
    return serve_answers(kind, seconds=30.0)
