"""Draw page.png, or map.png: start the page, wait for the first sample, take a screenshot.

    python assets/figures/make_page.py [OUT.png] [--map] [--size 1440x900] [--dark]

With --map: the result on the map, and the map to choose a place from. Needs playwright and Debian's
chromium (tests/requirements.txt).
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).resolve().parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    """Take one screenshot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--map", action="store_true")
    parser.add_argument("--size", default="1440x900")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(HERE.parents[1] / "app.py"), "--port", str(port)]
    server = subprocess.Popen(command)
    try:
        wait_for(f"http://127.0.0.1:{port}/")
        with sync_playwright() as play:
            path = shutil.which("chromium")
            browser = play.chromium.launch(executable_path=path, args=FLAGS)
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme="dark" if options.dark else "light",
            )
            page.goto(f"http://127.0.0.1:{port}/")
            there = ".viewer[data-mode=result] [data-at=right] img.is-there"
            page.wait_for_selector(there, timeout=300_000)
            page.wait_for_timeout(1500)
            if options.map:
                open_maps(page)
            page.screenshot(path=options.out or HERE / ("map.png" if options.map else "page.png"))
            browser.close()
    finally:
        server.terminate()


def open_maps(page: Page) -> None:
    """Choose the sample's place on the map, and show the result on one."""
    page.click("#inputs button[role=tab]:has-text('Map')")
    page.fill("[data-query]", "48.2223, 13.7209")
    page.press("[data-query]", "Enter")
    page.check("input[name=ldsr-view][value=map]", force=True)
    page.wait_for_timeout(6000)


def wait_for(url: str, patience: float = 300.0) -> None:
    """Wait until a page answers."""
    end = time.monotonic() + patience
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


if __name__ == "__main__":
    main()
