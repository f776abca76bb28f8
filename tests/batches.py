"""Batches around a stand-in for the weights: small folders of pictures, done in no time."""

import csv
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ldsr.__main__ import main
from ldsr.batch import job as batch
from ldsr.batch import records as batch_records
from ldsr.pipeline import Pipeline
from tests.rasters import make_dn, write_tif

QUICK = ["--workers", "0", "--steps", "1", "--refine-steps", "1"]


class Tiny:
    """A tiny pipeline that notes what it was given, and can be told to fail.

    Attributes:
        seen: names of the sources of the patches, in order.
        before: called with each name before it is computed.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.seen: list[str] = []
        self.before: Callable[[str], None] = lambda name: None

    def check_memory(self, size, settings):
        self._pipeline.check_memory(size, settings)

    def __call__(self, patch, settings):
        self.seen.append(patch.source.name)
        self.before(patch.source.name)
        return self._pipeline(patch, settings)


def use_tiny(monkeypatch: pytest.MonkeyPatch, pipeline: Pipeline) -> Tiny:
    """Let batches of this process compute with a tiny pipeline."""
    tiny = Tiny(pipeline)
    monkeypatch.setattr(batch, "pipeline_for", lambda machine: tiny)
    monkeypatch.setattr(batch, "find_model", lambda name: (Path("tiny"), pipeline.sha256))
    real = batch_records._hash_now
    digest = "1" * 64
    monkeypatch.setattr(
        batch_records, "_hash_now", lambda name: digest if "tiny" in name else real(name)
    )
    return tiny


def make_pictures(folder: Path, *names: str, size: tuple[int, int] = (16, 20)) -> Path:
    """Write small GeoTIFFs, each another landscape at another place."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        write_tif(folder / name, make_dn(*size, seed=seed))
    return folder


def do(source: Path, out: Path, *more: str) -> int:
    """Run the command and give its exit status."""
    return main(["batch", str(source), "--out", str(out), *QUICK, *more])


def table(out: Path) -> dict[str, dict[str, str]]:
    """The rows of batch.csv by name."""
    with (out / "batch.csv").open(encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def sheet(out: Path, stem: str) -> dict:
    """A run sheet."""
    return json.loads((out / f"{stem}.json").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """The elements of a page: (tag, attributes), text of each card's figures.

    Attributes:
        elements: all, in order.
        cards: attributes of each card with "figures" (text by key), "exact" (title by key),
            "links" and "text".
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.cards: list[dict] = []
        self._figure: str | None = None
        self._inside = False
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.elements.append((tag, found))
        if tag == "article":
            self._inside = True
            self.cards.append({**found, "figures": {}, "exact": {}, "links": [], "text": ""})
        elif tag == "a":
            self.cards[-1]["links"].append(found["href"])
        elif tag == "dd" and "data-figure" in found:
            self._figure = found["data-figure"]
            self.cards[-1]["exact"][self._figure] = found["title"]

    def handle_data(self, data: str) -> None:
        if not self._inside:
            return
        self.cards[-1]["text"] += data
        if self._figure:
            self.cards[-1]["figures"][self._figure] = data

    def handle_endtag(self, tag: str) -> None:
        if tag == "dd":
            self._figure = None
        if tag == "article":
            self._inside = False
