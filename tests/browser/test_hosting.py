"""The page behind a reverse proxy and a login, under its policy, in a real browser."""

import contextlib
import http.server
import io
import re
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import HERE, LEFT_BEHIND, PATIENCE, _serve
from tests.browser.steps import run, shown, tab, wait_result
from tests.reverse_proxy import Proxy, proxied


class Tiles(http.server.BaseHTTPRequestHandler):
    """Gives one grey picture for every address; notes who is said to ask."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Referer", ""))
        found = io.BytesIO()
        Image.fromarray(np.full((256, 256, 3), 120, np.uint8)).save(found, "PNG")
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(found.getvalue())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def tiles() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tiles)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def below(tiles: str, tmp_path_factory) -> Iterator[str]:
    """The stand-in, told that it lives below /studio and asks for a login."""
    command = [str(HERE / "stand_in.py"), "--root-path", "/studio", "--auth", "me:word"]
    env = {"LDSR_TILES_URL": f"{tiles}/{{z}}/{{x}}/{{y}}.png"}
    yield from _serve(command, tmp_path_factory.mktemp("below"), env=env)


@contextlib.contextmanager
def opened(browser, proxy: Proxy, tiles: str) -> Iterator:
    """A page behind a proxy, logged in; it must end without an error or a stray request."""
    wrong: list[str] = []

    def note(text: str) -> None:
        if not any(known in text for known in LEFT_BEHIND):
            wrong.append(text)

    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.on(
        "console",
        lambda line: line.type == "error" and note(f"{line.text} {line.location['url']}"),
    )
    page.on("pageerror", lambda error: note(str(error)))
    page.on(
        "request",
        lambda sent: (
            sent.url.startswith("http")
            and not sent.url.startswith((proxy.url, tiles))
            and wrong.append(sent.url)
        ),
    )
    page.goto(proxy.url)
    page.locator("input").first.fill("me")
    page.locator("input[type=password]").fill("word")
    page.click("button:has-text('Login')")
    page.wait_for_selector("#viewer .viewer")
    wait_result(page)
    yield page
    context.close()
    assert wrong == [] and proxy.strays == []


def test_everything_works_below_a_path(browser, below: str, tiles: str, tmp_path) -> None:
    with proxied(below) as proxy, opened(browser, proxy, tiles) as page:
        assert shown(page).startswith("ldsr/r/")
        assert page.eval_on_selector("[data-at=right] img", "one => one.naturalWidth") > 0
        page.wait_for_function(
            "[...document.querySelectorAll('#samples img')].every(one => one.naturalWidth > 0)"
        )
        run(page)
        with page.expect_download() as download:
            page.click("[data-link=sr]")
        download.value.save_as(tmp_path / "sr.tif")
        assert (tmp_path / "sr.tif").read_bytes()[:2] in (b"II", b"MM")
        assert download.value.url.startswith(f"{proxy.url}ldsr/r/")
        tab(page, "Map")
        page.wait_for_function(
            "(host) => [...document.querySelectorAll('.leaflet-tile')].some("
            "one => one.src.startsWith(host) && one.naturalWidth > 0)",
            arg=tiles,
        )
        page.click("button[role=tab]:has-text('Compare')")
        page.wait_for_selector("#compare img[src*='ldsr/compare/']")
        for name in ("Evaluate", "Study", "About"):
            page.click(f"button[role=tab]:has-text('{name}')")
            page.wait_for_timeout(300)
    origin = re.match(r"http://[^/]+/", proxy.url)[0]
    assert set(Tiles.asked) == {origin}, "tiles are told whose page it is, not which"


def test_a_path_that_the_proxy_leaves_on(browser, below: str, tiles: str) -> None:
    with proxied(below, strip=False) as proxy, opened(browser, proxy, tiles) as page:
        run(page)
        assert page.evaluate("location.href") == proxy.url


def test_a_script_in_a_text_does_not_run(browser, below: str, tiles: str) -> None:
    with proxied(below) as proxy:
        context = browser.new_context()
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        refused: list[str] = []
        page.on("console", lambda line: refused.append(line.text))
        page.goto(proxy.url)
        page.wait_for_selector("input[type=password]")
        page.evaluate(
            "() => { const box = document.createElement('div'); document.body.append(box);"
            "box.innerHTML = `<img src='data:,' onerror='window.ran = 1'>`;"
            "const script = document.createElement('script');"
            "script.textContent = 'window.ran = 2'; document.body.append(script); }"
        )
        page.wait_for_timeout(500)
        assert page.evaluate("window.ran") is None
        assert any("Content Security Policy" in text for text in refused)
        context.close()
