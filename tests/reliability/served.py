"""The page around a stand-in, in a process of its own, and its upload as a browser uses it.

`python -m tests.reliability.served --port N` is the server.
"""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.reliability.canary import SECRET
from tests.reliability.case import Case
from tests.reliability.judge import MOST_GROWN, PATIENCE, ROOT
from tests.reliability.worker import wrong_sentence

START = 120.0
"""Seconds that the server may take to start."""
NOWHERE = {
    "LDSR_STAC_URL": "http://127.0.0.1:9",
    "LDSR_GEOCODER_URL": "off",
    "LDSR_TILES_URL": "off",
}


class Page:
    """A client of the page.

    Attributes:
        base: bytes that the server had before the first file.
    """

    def __init__(self, url: str, process: subprocess.Popen, folder: Path) -> None:
        self.url, self._process, self._folder = url, process, folder
        config = requests.get(f"{url}config", timeout=PATIENCE).json()
        named = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self._upload = named["upload"]
        found = [
            one for one in config["dependencies"] if [self._upload, "upload"] in one["targets"]
        ]
        (self._event,) = found
        self._status = self._event["outputs"].index(named["status"])
        self._session = secrets.token_hex(6)
        self.base = self.memory()

    def memory(self) -> int:
        """Bytes that the server has in memory."""
        text = Path(f"/proc/{self._process.pid}/statm").read_text()
        return 4096 * int(text.split()[1])

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def send(self, case: Case, place: Path) -> dict[str, Any]:
        """Upload what is handed in, and say what came of it, as `judge` does."""
        began = time.monotonic()
        answer = {"result": "fault", "message": "", "finding": ""}
        try:
            said, whole = self._sent(case, place)
        except requests.Timeout:
            return answer | {"finding": f"longer than {PATIENCE:g} s", "seconds": PATIENCE}
        except (requests.RequestException, ValueError, KeyError) as error:
            alive = "" if self.alive else " (the server is gone)"
            return answer | {"finding": f"{type(error).__name__}: {error}"[:300] + alive}
        answer["result"] = "refused" if said.get("state") == "error" else "read"
        answer["message"] = said.get("text", "")
        if said.get("state") in ("error", "ask"):
            answer["finding"] = wrong_sentence(answer["message"], [str(self._folder), str(ROOT)])
        if SECRET in whole:
            answer["finding"] = "the secret text was sent"
        answer["seconds"] = time.monotonic() - began
        answer["grown"] = max(0, self.memory() - self.base)
        if answer["grown"] > MOST_GROWN:
            answer["finding"] += f" {answer['grown'] / 2**30:.1f} GiB of memory"
        return answer

    def _sent(self, case: Case, place: Path) -> tuple[dict[str, Any], str]:
        paths = case.write(place)
        if case.address is not None:
            return self.take(paths)
        files = [("files", (Path(path).name, Path(path).read_bytes())) for path in paths]
        answer = requests.post(f"{self.url}gradio_api/upload", files=files, timeout=PATIENCE)
        if answer.status_code != 200:
            return {"state": "error", "text": "Refused by the server."}, answer.text
        return self.take(answer.json())

    def take(self, paths: list[str]) -> tuple[dict[str, Any], str]:
        """Tell the page which files were uploaded: the status line, and all that it answers."""
        files = [
            {"path": path, "orig_name": "a", "meta": {"_type": "gradio.FileData"}} for path in paths
        ]
        asked = {
            "data": [files, None],
            "event_data": None,
            "fn_index": self._event["id"],
            "trigger_id": self._upload,
            "session_hash": self._session,
        }
        join = f"{self.url}gradio_api/queue/join"
        answer = requests.post(join, json=asked, timeout=PATIENCE)
        answer.raise_for_status()
        data = f"{self.url}gradio_api/queue/data"
        told: list[str] = []
        with requests.get(
            data, params={"session_hash": self._session}, stream=True, timeout=PATIENCE
        ) as stream:
            for line in stream.iter_lines():
                told.append(line.decode())
                if b'"process_completed"' in line:
                    break
        return self._said(json.loads(told[-1].removeprefix("data: "))), "\n".join(told)

    def _said(self, message: dict[str, Any]) -> dict[str, Any]:
        output = message["output"]
        if not message["success"]:
            # Gradio itself does not take it: a path that was not uploaded
            return {"state": "error", "text": "Refused by the server."}
        return output["data"][self._status]


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """Start the page, and stop it when the context ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    env = os.environ | NOWHERE | {"LDSR_HOME": str(folder), "GRADIO_TEMP_DIR": str(folder / "up")}
    url, log = f"http://127.0.0.1:{port}/", folder / "server.log"
    with log.open("w") as sink:
        command = [sys.executable, "-m", "tests.reliability.served", "--port", str(port)]
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + START
        while True:
            try:
                requests.get(url, timeout=5)
                break
            except requests.RequestException:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"the page did not start:\n{log.read_text()}") from None
                time.sleep(0.2)
        yield Page(url, process, folder)
    finally:
        process.terminate()
        process.wait(timeout=30)


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    import app
    from tests.fakes import FakePipeline

    served, launch = app.build_app(FakePipeline())
    served.launch(server_name="127.0.0.1", server_port=port, **launch)


if __name__ == "__main__":
    main()
