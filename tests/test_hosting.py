"""The page on a server: health, metrics, login, headers, and a path below a proxy."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import app
from ldsr.errors import LdsrError
from ldsr.web.hosting import health
from ldsr.web.hosting.headers import Headers, frame_ancestors, policy, script_hashes
from ldsr.web.hosting.login import OPEN, OPEN_BELOW
from ldsr.web.hosting.serving import tidy
from ldsr.web.late_model import LateModel
from ldsr.web.maps import basemaps
from ldsr.web.studio import Studio
from tests.conftest import make_patch
from tests.fakes import FakePipeline, wait_for
from tests.reverse_proxy import free_port, proxied

ROOT = Path(__file__).parent.parent
NAME, PASSWORD = "me", "pass:word"


@pytest.fixture(scope="module", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers of this file keep their files in a folder of their own, and ask nobody."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("LDSR_HOME", str(tmp_path_factory.mktemp("home")))
        patched.setenv("LDSR_TILES_URL", "https://{s}.tiles.example.org/{z}/{x}/{y}.png")
        patched.setenv("LDSR_STAC_URL", "http://127.0.0.1:9")
        yield


def launch(**options: object) -> tuple[object, str]:
    page, given = app.build_app(FakePipeline())
    port = free_port()
    given |= {"server_name": "127.0.0.1", "server_port": port, "prevent_thread_lock": True}
    page.launch(**given | options)
    tidy(page.server)
    return page, f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def open_page() -> Iterator[str]:
    """Address of a page for everybody."""
    page, url = launch()
    yield url
    page.close(verbose=False)


@pytest.fixture(scope="module")
def guarded() -> Iterator[SimpleNamespace]:
    """A page with a login, below /studio; in the same process as the other one."""
    page, url = launch(auth=(NAME, PASSWORD), root_path="/studio")
    yield SimpleNamespace(url=url, app=page.server_app)
    page.close(verbose=False)


def login(client: httpx.Client, url: str) -> None:
    form = {"username": NAME, "password": PASSWORD}
    assert client.post(f"{url}/login", data=form).json() == {"success": True}


def test_health_says_how_the_model_is(tmp_path: Path) -> None:
    pipeline = FakePipeline()
    studio = Studio(pipeline)
    client = TestClient(Starlette(routes=health.health_routes(studio)))
    found = client.get("/healthz")
    assert found.status_code == 200 and found.headers["cache-control"] == "no-store"
    assert found.json() == {"status": "ok", "model": "loaded", "version": "0.1"}
    for state, code in (("loading", 200), ("failed", 503)):
        pipeline.state = state
        found = client.get("/healthz")
        assert found.status_code == code
        assert found.json()["status"] == found.json()["model"] == state
    pipeline.state = "loaded"
    studio.ledger.close()
    found = client.get("/healthz")
    assert found.status_code == 503 and found.json()["status"] == "stopping"


def test_a_late_model_tells_whether_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LateModel("mini")
    assert model.state == "loading" and health.model_state(model) == "loading"
    monkeypatch.setattr("ldsr.pipeline.Pipeline.load", _no_model)
    model.begin()
    with pytest.raises(OSError):
        _ = model.pipeline
    assert health.model_state(model) == "failed"
    monkeypatch.setattr("ldsr.pipeline.Pipeline.load", lambda *_, **__: "a pipeline")
    assert model.pipeline == "a pipeline" and model.state == "loaded"


def _no_model(*_: object, **__: object) -> None:
    raise OSError("unreadable")


def test_metrics_count_runs_and_tell_of_nobody() -> None:
    studio, other = Studio(FakePipeline()), Studio(FakePipeline())
    clients = [TestClient(Starlette(routes=health.health_routes(one))) for one in (studio, other)]
    patch = make_patch()
    _, job = studio.start("a visitor", patch, studio.preset("fast"))
    wait_for(lambda: job.ended and not studio.ledger.running)
    answer = clients[0].get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.text
    for line in (
        'ldsr_runs_started_total{kind="picture"} 1.0',
        'ldsr_runs_ended_total{kind="picture",outcome="finished"} 1.0',
        'ldsr_run_seconds_count{kind="picture"} 1.0',
        "ldsr_queue_length 0.0",
        "ldsr_runs_running 0.0",
        "ldsr_samples_total 0.0",
        'ldsr_scene_jobs{state="waiting"} 0.0',
        'ldsr_info{version="0.1",weights="mini"} 1.0',
        "ldsr_model_loaded 1.0",
    ):
        assert f"\n{line}\n" in text, line
    assert re.search(r"\nprocess_resident_memory_bytes [\d.e+]+\n", text)
    assert re.search(r"\nldsr_uptime_seconds [\d.e-]+\n", text)
    assert "visitor" not in text and patch.source.name not in text
    assert "ldsr_runs_started_total{" not in clients[1].get("/metrics").text, "its own numbers"


def test_headers_of_every_answer(open_page: str) -> None:
    for path in ("/", "/healthz", "/no-such-page", "/ldsr/no-such", "/ldsr/leaflet/leaflet.js"):
        found = httpx.get(open_page + path).headers
        assert found["x-content-type-options"] == "nosniff", path
        assert found["referrer-policy"] == "strict-origin-when-cross-origin"
        assert "camera=()" in found["permissions-policy"]
        assert "server" not in found
        rules = dict(rule.split(" ", 1) for rule in found["content-security-policy"].split("; "))
        assert rules["default-src"] == "'none'" and rules["frame-ancestors"] == "'self'"
        assert rules["img-src"] == "'self' data: blob: https://*.tiles.example.org"
        assert "unsafe-inline" not in rules["script-src"]


def test_only_scripts_of_the_page_itself_run(open_page: str) -> None:
    answer = httpx.get(open_page)
    own = script_hashes(answer.content)
    assert len(own) > 3
    allowed = answer.headers["content-security-policy"]
    assert all(one in allowed for one in own)
    assert "sha256" not in httpx.get(f"{open_page}/healthz").headers["content-security-policy"]


def test_a_policy_of_its_own_is_kept_and_a_fault_has_an_id(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def own(_: object) -> HTMLResponse:
        return HTMLResponse("<p>", headers={"Content-Security-Policy": "default-src 'none'"})

    async def broken(_: object) -> PlainTextResponse:
        raise RuntimeError("a secret path")

    routes = [Route("/own", own), Route("/broken", broken)]
    guards = [Middleware(Headers, ancestors="https://a.org")]
    client = TestClient(Starlette(routes=routes, middleware=guards))
    said = client.get("/own").headers["content-security-policy"]
    assert said == "default-src 'none'; frame-ancestors https://a.org"
    answer = client.get("/broken")
    run = re.search(r"\(run ([0-9a-f]{8})\)\.$", answer.text)
    assert answer.status_code == 500 and run and "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert caplog.records[-1].fields["run"] == run[1] and caplog.records[-1].exc_info


def test_who_may_frame_the_page() -> None:
    given = {"LDSR_FRAME_ANCESTORS": "'self'  https://example.org https://*.example.net:8443"}
    assert frame_ancestors(given) == "'self' https://example.org https://*.example.net:8443"
    assert frame_ancestors({}) == "'self'"
    assert "https://huggingface.co" in frame_ancestors({"SPACE_ID": "a/b"})
    assert frame_ancestors({"SPACE_ID": "a/b", "LDSR_FRAME_ANCESTORS": "'none'"}) == "'none'"
    for wrong in ("https://a.org; script-src *", "a,b", "'unsafe-inline'", "a\r\nb: c/"):
        with pytest.raises(LdsrError, match="expected origins"):
            frame_ancestors({"LDSR_FRAME_ANCESTORS": wrong})
    assert policy(ancestors="'none'").endswith("; frame-ancestors 'none'")


def test_hosts_of_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    for url, found in (
        ("http://localhost:8000/{z}/{x}/{y}.png", ["http://localhost:8000"]),
        ("https://{s}.tiles.org/{z}/{x}/{y}.png", ["https://*.tiles.org"]),
        ("/tiles/{z}/{x}/{y}.png", []),
        ("off", []),
    ):
        monkeypatch.setenv(basemaps.TILES_VARIABLE, url)
        assert basemaps.tile_sources() == found
    monkeypatch.delenv(basemaps.TILES_VARIABLE)
    known = basemaps.tile_sources()
    assert "https://tile.openstreetmap.org" in known and len(known) >= 2
    assert all(re.fullmatch(r"https://[\w*.]+", one) for one in known)


def test_nothing_of_ours_without_the_login(guarded: SimpleNamespace) -> None:
    inner = [getattr(route, "original_router", None) for route in guarded.app.routes]
    routes = [*guarded.app.routes, *(one for router in inner if router for one in router.routes)]
    paths = {one.path for one in routes if "GET" in (getattr(one, "methods", None) or ())}
    assert "/gradio_api/heartbeat/{session_hash}" in paths
    ours = {path for path in paths if path.startswith(("/ldsr/", "/metrics"))}
    assert len(ours) > 12
    asked = {re.sub(r"{(\w+)(:path)?}", "x", path) for path in paths}
    closed = [path for path in asked if path not in OPEN and not path.startswith(OPEN_BELOW)]
    for path in closed:
        if path.rstrip("/") not in OPEN:
            assert httpx.get(guarded.url + path).status_code == 401, path
    for path in ("/studio/ldsr/jobs.json", "//ldsr/jobs.json", "/metrics/", "/ldsr/jobs.json/"):
        assert httpx.get(guarded.url + path).status_code == 401, path
    posted = httpx.post(f"{guarded.url}/gradio_api/queue/join", json={})
    assert posted.status_code == 401 and posted.json()["detail"]["error"] == "Not authenticated"
    assert httpx.get(f"{guarded.url}/healthz").status_code == 200
    shown = httpx.get(guarded.url)
    assert shown.status_code == 200 and '"auth_required":true' in shown.text
    assert "LDSR Studio" not in shown.text
    with httpx.Client() as client:
        wrong = client.post(f"{guarded.url}/login", data={"username": NAME, "password": "no"})
        assert wrong.status_code == 400
        assert client.get(f"{guarded.url}/ldsr/jobs.json").status_code == 401
        login(client, guarded.url)
        assert client.get(f"{guarded.url}/ldsr/jobs.json").json() == {"jobs": {}}
        assert client.get(f"{guarded.url}/metrics").status_code == 200
        assert client.get(f"{guarded.url}/logout").status_code == 302
        assert client.get(f"{guarded.url}/ldsr/jobs.json").status_code == 401


def test_who_may_read_the_metrics(open_page: str, guarded: SimpleNamespace) -> None:
    assert httpx.get(f"{open_page}/metrics").status_code == 200, "on the machine itself"
    through = httpx.get(f"{open_page}/metrics", headers={"X-Forwarded-For": "1.2.3.4"})
    assert through.status_code == 403 and "--metrics-open" in through.text
    bare = httpx.get(f"{guarded.url}/metrics")
    assert bare.status_code == 401 and bare.headers["www-authenticate"].startswith("Basic")
    for user, word, code in ((NAME, PASSWORD, 200), (NAME, "no", 401), ("you", PASSWORD, 401)):
        asked = httpx.get(f"{guarded.url}/metrics", auth=(user, word))
        assert asked.status_code == code
    odd = {"Authorization": "Basic !"}
    assert httpx.get(f"{guarded.url}/metrics", headers=odd).status_code == 401
    jobs = f"{guarded.url}/ldsr/jobs.json"
    assert httpx.get(jobs, auth=(NAME, PASSWORD)).status_code == 401, "the metrics alone"


def test_metrics_for_everybody() -> None:
    page, given = app.build_app(FakePipeline(), metrics_open=True)
    guards = given["app_kwargs"]["middleware"]
    assert guards[1].kwargs == {"metrics_open": True}
    client = TestClient(Starlette(routes=given["app_kwargs"]["routes"], middleware=guards))
    assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("strip", [True, False], ids=["path taken away", "path left on"])
def test_below_the_path_of_a_proxy(guarded: SimpleNamespace, strip: bool) -> None:
    with proxied(guarded.url, strip=strip) as proxy, httpx.Client() as client:
        url = proxy.url.rstrip("/")
        bare = client.get(f"{url}?sample=x")
        assert bare.is_redirect and bare.headers["location"].startswith(("/studio/", proxy.url))
        page = client.get(proxy.url)
        assert f'"root":"{url}"' in page.text
        login(client, url)
        assert httpx.get(f"{proxy.url}ldsr/jobs.json").status_code == 401, "somebody else"
        page = client.get(proxy.url)
        assert f'"root":"{url}"' in page.text and "LDSR Studio" in page.text
        for address in re.findall(r'(?:src|href)="(\./[^"]+)"', page.text):
            assert client.get(proxy.url + address[2:]).status_code == 200, address
        for path in ("ldsr/leaflet/leaflet.js", "ldsr/leaflet/images/layers.png", "ldsr/jobs.json",
                     "ldsr/map/land.json", "ldsr/plotly.min.js", "healthz", "config",
                     "ldsr/sample/finland_lake.png"):  # fmt: skip
            assert client.get(proxy.url + path).status_code == 200, path
        assert client.get(f"{url}/metrics").status_code == 200
        assert client.get(f"{url}/metrics", cookies=None).status_code == 200
        assert client.get(f"{url}/logout").headers["location"].rstrip("/").endswith("/studio")
        assert not proxy.strays


@pytest.mark.parametrize("path", ["studio", "http://a.org/x", "/a b", '/"', "/a/../;"])
def test_a_root_path_that_is_none_is_one_sentence(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["--root-path", path]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--root-path" in said


def test_address_and_login_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "LDSR_AUTH"):
        monkeypatch.delenv(name, raising=False)
    told = app._parser().parse_args([])
    assert (told.host, told.port, told.auth, told.root_path) == ("127.0.0.1", 7860, None, "")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "7861")
    monkeypatch.setenv("GRADIO_ROOT_PATH", "/a")
    monkeypatch.setenv("LDSR_AUTH", "a:b")
    told = app._parser().parse_args([])
    assert (told.host, told.port, told.auth, told.root_path) == ("0.0.0.0", 7861, "a:b", "/a")
    assert app._parser().parse_args(["--port", "9", "--host", "::1"]).port == 9


def test_nobody_is_told_anything(tmp_path: Path) -> None:
    """A page that starts and is asked opens no connection but on loopback."""
    code = """
import os, socket, sys
real, told = socket.socket.connect, []
def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        told.append(address); raise OSError("no network")
    return real(self, address)
socket.socket.connect = connect
resolve = socket.getaddrinfo
def getaddrinfo(host, *rest, **more):
    if host not in (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0"):
        told.append(host); raise socket.gaierror("no network")
    return resolve(host, *rest, **more)
socket.getaddrinfo = getaddrinfo
import app, httpx, time
from tests.fakes import FakePipeline
from tests.reverse_proxy import free_port
page, launch = app.build_app(FakePipeline())
from gradio import analytics
assert not analytics.analytics_enabled() and not page.analytics_enabled
assert page.config["analytics_enabled"] is False
port = free_port()
page.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, **launch)
text = httpx.get(f"http://127.0.0.1:{port}/").text
assert '"analytics_enabled":false' in text, text[:300]
time.sleep(2)
print("told", told); sys.stdout.flush(); os._exit(0)
"""
    given = {key: value for key, value in os.environ.items() if not key.startswith("GRADIO")}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=given | {"LDSR_HOME": str(tmp_path)}, timeout=300)  # fmt: skip
    assert done.returncode == 0 and done.stdout.endswith("told []\n"), done.stdout + done.stderr
