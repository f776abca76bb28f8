"""The page for programs as a person starts it: the real weights, and all that is documented."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio

from ldsr.data.samples import FOLDER
from tests.remote import ask_mcp, free_port

ROOT = Path(__file__).parent.parent
NOWHERE = {"LDSR_STAC_URL": "http://127.0.0.1:9", "LDSR_GEOCODER_URL": "off"}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`python app.py --mcp` with the real weights."""
    folder, port = tmp_path_factory.mktemp("started"), free_port()
    env = os.environ | NOWHERE | {"LDSR_HOME": str(folder)}
    with (folder / "log").open("w") as log:
        command = [sys.executable, "app.py", "--mcp", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/"
    try:
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            assert server.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.2)
        yield url
        assert "Traceback" not in (folder / "log").read_text()
    finally:
        server.terminate()
        server.wait(timeout=30)


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "127.0.0.1"}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_example_of_a_client_runs(started: str, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "austria_fields.tif", tmp_path / "patch.tif")
    script = str(ROOT / "assets/examples/remote_client.py")
    done = run([sys.executable, script, started, "patch.tif", "--preset", "fast"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Input consistency" in done.stdout or "bicubic" in done.stdout
    with rasterio.open(tmp_path / "results" / "patch_sr.tif") as found:
        assert found.count == 4 and found.tags()["weights"] == "mini"
    (tmp_path / "bad.tif").write_text("no picture")
    done = run([sys.executable, script, started, "bad.tif"], tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "bad.tif is not a picture of a known format" in done.stderr


def test_the_real_model_answers_an_mcp_client(started: str) -> None:
    call = ("super_resolve", {"sample": "austria_fields", "preset": "fast"})
    _, (made,) = ask_mcp(started, call)
    assert not made.isError and json.loads(made.content[3].text)["weights"]["name"] == "mini"


def block(kind: str) -> str:
    """The block of one language in the README's section on calls from elsewhere."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## From elsewhere\n")[1].split("\n## ")[0]
    return section.split(f"```{kind}\n")[1].split("```")[0]


def test_the_readmes_client_runs(started: str, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "austria_fields.tif", tmp_path / "patch.tif")
    code = block("python").replace("http://127.0.0.1:7860/", started)
    done = run([sys.executable, "-c", code], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mini" in done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is missing")
def test_the_readmes_curl_runs(started: str, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "austria_fields.tif", tmp_path / "patch.tif")
    done = run(["bash", "-c", block("bash").replace("http://127.0.0.1:7860/", started)], tmp_path)
    assert done.returncode == 0 and "event: complete" in done.stdout, done.stdout + done.stderr
    assert "_sr.tif" in done.stdout


def test_the_readmes_address_is_that_of_mcp(started: str) -> None:
    (server,) = json.loads(block("json"))["mcpServers"].values()
    assert server["url"] == "http://127.0.0.1:7860/gradio_api/mcp/"
    assert len(ask_mcp(started)[0]) == 2
