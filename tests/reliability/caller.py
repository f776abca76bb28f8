"""What a browser sends to the page's server, without a browser."""

import json
import re
import secrets
from typing import Any

import requests

PATIENCE = 60.0
_SHOWN = re.compile(r"ldsr/r/([\w-]{22})/")
_STEM = re.compile(r"ldsr/r/[\w-]{22}/([\w-]+)_sr\.tif")


class Caller:
    """One open page.

    Args:
        url: of the page.

    Raises:
        requests.RequestException: nobody answers.
    """

    def __init__(self, url: str) -> None:
        self.url, self._session = url, secrets.token_hex(6)
        config = requests.get(f"{url}config", timeout=PATIENCE).json()
        self._config = config
        self._named = {one["props"].get("elem_id"): one["id"] for one in config["components"]}

    def ask(self, component: str, function: str, data: dict[str, Any]) -> dict[str, Any]:
        """Ask what a component's script asks its server.

        Raises:
            requests.RequestException: no answer came.
            ValueError: one that says nothing.
        """
        asked = {"data": data, "fn_name": function, "session_hash": self._session}
        asked["component_id"] = self._named[component]
        address = f"{self.url}gradio_api/component_server"
        answer = requests.post(address, json=asked, timeout=PATIENCE)
        answer.raise_for_status()
        said = answer.json()
        if not isinstance(said, dict):
            raise ValueError(f"{said!r} is no answer")
        return said

    def open(self) -> str:
        """Open the page; gives the address of the first sample's GeoTIFF.

        Raises:
            requests.RequestException: the page does not answer to the end.
            ValueError: it shows no result.
        """
        shown = self._named["viewer"]
        event = next(
            one
            for one in self._config["dependencies"]
            if shown in one["outputs"] and any(name == "load" for _, name in one["targets"])
        )
        told = self._event(event, [None] * len(event["inputs"]))
        key, stem = _SHOWN.search(told), _STEM.search(told)
        if key is None or stem is None:
            raise ValueError("the page shows no result")
        return f"{self.url}ldsr/r/{key[1]}/{stem[1]}_sr.tif"

    def super_resolve(self, **arguments: Any) -> bytes:
        """Call the documented endpoint; gives the bytes of the GeoTIFF.

        Raises:
            requests.RequestException: the server has gone.
            ValueError: a refusal; its sentence.
        """
        event = next(
            one for one in self._config["dependencies"] if one["api_name"] == "super_resolve"
        )
        names = [self._parameter(one) for one in event["inputs"]]
        told = self._event(event, [arguments.get(name) for name in names])
        last = json.loads(told.splitlines()[-1].removeprefix("data: "))
        if not last.get("success"):
            raise ValueError(str(last.get("output"))[:300])
        address = f"{self.url}gradio_api/file={last['output']['data'][0]['path']}"
        answer = requests.get(address, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.content

    def _parameter(self, component: int) -> str:
        return next(one["props"] for one in self._config["components"] if one["id"] == component)[
            "label"
        ]

    def _event(self, event: dict[str, Any], data: list[Any]) -> str:
        """Let an event happen and hear it to its end."""
        asked = {"data": data, "fn_index": event["id"], "session_hash": self._session}
        asked |= {"event_data": None, "trigger_id": None}
        join = f"{self.url}gradio_api/queue/join"
        requests.post(join, json=asked, timeout=PATIENCE).raise_for_status()
        told: list[str] = []
        where = {"params": {"session_hash": self._session}, "stream": True, "timeout": PATIENCE}
        with requests.get(f"{self.url}gradio_api/queue/data", **where) as stream:
            for line in stream.iter_lines():
                if line:
                    told.append(line.decode())
                if b'"process_completed"' in line:
                    return "\n".join(told)
        raise requests.ConnectionError("the stream ended too soon")
