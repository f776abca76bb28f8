"""Draw page.png, map.png or compare.png: start the page, wait for the first sample, take a picture.

    python assets/figures/make_page.py [OUT.png] [--map | --compare] [--size 1440x900] [--dark]

With --map: the result on the map, and the map to choose a place from. With --compare: samples
drawn, and the Compare tab. Needs playwright and Debian's chromium (tests/requirements.txt).
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
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--map", dest="name", action="store_const", const="map", default="page")
    what.add_argument("--compare", dest="name", action="store_const", const="compare")
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
            {"page": lambda page: None, "map": open_maps, "compare": compare}[options.name](page)
            page.screenshot(path=options.out or HERE / f"{options.name}.png")
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


def compare(page: Page) -> None:
    """Draw samples, and open the Compare tab with the cursor on a roof."""
    page.click("text=How sure is this?")
    page.wait_for_selector("text=Sample again", timeout=600_000)
    page.get_by_role("tab", name="Compare").click()
    page.wait_for_timeout(4000)
    pane = page.locator(".cmp-pane").first.bounding_box()
    page.mouse.click(pane["x"] + 0.44 * pane["width"], pane["y"] + 0.56 * pane["height"])
    page.wait_for_timeout(3000)


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
