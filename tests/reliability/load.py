"""Many people at once, by hand: `python -m tests.reliability.load --clients 20 --minutes 10`.

Status 1 where a demand is broken; 3 where there is no browser.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from tests.browser.conftest import FLAGS
from tests.reliability.figures import Demands, Load, Memory
from tests.reliability.server import REAL, STAND_IN, Server, serving
from tests.reliability.tally import Tally

NO_BROWSER = 3
SLOW = 1001
"""Seed with which the stand-in holds a run."""
STAGGER = 3.0
"""Seconds between two people who come; to open a page costs a browser seconds of a core."""
GIVE_WAY = 10
"""Niceness of the browsers: in life they are on other machines than the server."""
SMALL = {"viewport": {"width": 1024, "height": 640}, "reduced_motion": "reduce"}
"""A window that is cheap to draw: all clients share the machine with the server."""
FEW = "--renderer-process-limit=4"
GONE_SOON = {"LDSR_GRACE_MINUTES": "0.25"}
"""Environment: what a visitor made is kept for so long after they have gone."""


def main(arguments: list[str] | None = None) -> int:
    """Let people come, do what they do, and go; then count."""
    parser = argparse.ArgumentParser(prog="tests.reliability.load", description=__doc__)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--wishes", type=int, help="so many by each person, instead of a time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=300, help="seconds; later is lost")
    parser.add_argument("--settle", type=float, default=120, help="seconds for memory to return")
    parser.add_argument("--longest-cancel", type=float, default=2.0, help="seconds")
    parser.add_argument("--most-grown", type=float, default=0.10, help="share of memory")
    parser.add_argument("--stand-in", action="store_true", help="a model that needs no time")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args(arguments)
    demands = Demands(cancel=options.longest_cancel, grown=options.most_grown)
    try:
        from playwright.async_api import Error
    except ImportError:
        return NO_BROWSER
    with tempfile.TemporaryDirectory(prefix="ldsr-load-") as name:
        script = STAND_IN if options.stand_in else REAL
        with serving(Path(name), script, env=GONE_SOON) as server:
            try:
                load = asyncio.run(measure(server, Path(name), options))
            except Error as error:
                if "Executable doesn't exist" in str(error):
                    return NO_BROWSER
                raise
    print(load.table())
    findings = load.findings(demands)
    print(*findings, sep="\n")
    if options.json:
        options.json.write_text(load.to_json(demands))
    return 1 if findings else 0


async def measure(server: Server, folder: Path, options: argparse.Namespace) -> Load:
    """Warm the server up, let people come and go, and wait until it is as it was before."""
    from playwright.async_api import async_playwright

    from tests.reliability.person import Person

    files, tally = make_files(folder), Tally()
    found = shutil.which("chromium") or shutil.which("google-chrome")
    slow = SLOW if options.stand_in else None
    os.nice(GIVE_WAY)
    async with async_playwright() as play:
        browser = await play.chromium.launch(executable_path=found, args=[*FLAGS, FEW])

        async def person(number: int, tally: Tally, end: float, wishes: int | None) -> None:
            await asyncio.sleep(STAGGER * number if wishes is None else 0.2 * number)
            context = await browser.new_context(**SMALL)
            at = {"limit": options.limit, "slow": slow, "seed": 1000 * options.seed + number}
            one = Person(context, server.url, tally, name=f"client {number}", files=files, **at)
            await one.live(end, wishes)
            await context.close()

        await person(0, Tally(), time.monotonic() + options.limit, 1)
        await still(server, options.limit)
        await asyncio.sleep(2.0)
        with Watch(server) as watch:
            began = time.monotonic()
            end = began + (options.limit if options.wishes else 60 * options.minutes)
            people = [person(i, tally, end, options.wishes) for i in range(options.clients)]
            await asyncio.gather(*people)
            lasted = time.monotonic() - began
            await browser.close()
            left_over = await still(server, options.limit)
            settled = await returned(server, watch, options)
    return Load(
        clients=options.clients,
        seconds=lasted,
        seed=options.seed,
        tally=tally,
        runs=server.runs(),
        memory=Memory(
            start=watch.start, largest=watch.largest, end=server.memory(), settled=settled
        ),
        faults=server.faults(),
        left_over=left_over,
    )


class Watch:
    """Looks at a server's memory twice a second."""

    def __init__(self, server: Server) -> None:
        self.start = self.largest = server.memory()
        self._server, self._over = server, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.5) and self._server.alive:
            self.largest = max(self.largest, self._server.memory())


async def still(server: Server, limit: float) -> int:
    """Wait until nothing is computed and nobody is in line; how many there are, if they stay."""
    end = time.monotonic() + limit
    while True:
        gauges = ("ldsr_runs_running", "ldsr_queue_length")
        there = sum([await asyncio.to_thread(server.gauge, name) for name in gauges])
        if not there or time.monotonic() > end:
            return int(there)
        await asyncio.sleep(0.2)


async def returned(server: Server, watch: Watch, options: argparse.Namespace) -> float:
    """Wait until memory is as it may be, at most as long as it may take; seconds that it took."""
    began = time.monotonic()
    most = (1 + options.most_grown) * watch.start
    while time.monotonic() - began < options.settle and server.memory() > most:
        await asyncio.sleep(0.5)
    return time.monotonic() - began


def make_files(folder: Path) -> tuple[Path, list[Path]]:
    """A patch of fields in UTM 32N to upload, and files that are none."""
    rows, columns = np.mgrid[:48, :64]
    fields = 400 + 250 * ((columns // 9 + rows // 7) % 4)
    numbers = np.stack([fields, fields + 60, fields - 40, 2 * fields + 900]).astype(np.uint16)
    good, tiny, text = (folder / name for name in ("field.tif", "tiny.tif", "notes.tif"))
    for path, values in ((good, numbers), (tiny, numbers[:, :5, :5])):
        shape = {"count": 4, "height": values.shape[1], "width": values.shape[2]}
        place = {"crs": "EPSG:32632", "transform": from_origin(5e5, 5.2e6, 10, 10)}
        with rasterio.open(path, "w", driver="GTiff", dtype="uint16", **shape, **place) as file:
            file.write(values)
            for band, name in enumerate(("B04", "B03", "B02", "B08"), start=1):
                file.set_band_description(band, name)
    text.write_text("this is not a picture\n" * 50)
    return good, [tiny, text]


if __name__ == "__main__":
    sys.exit(main())
