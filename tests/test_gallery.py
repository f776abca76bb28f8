"""The gallery of a batch: figures are those of the run sheets, nothing comes from outside."""

import base64
import hashlib
import io
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from ldsr.batch import gallery
from ldsr.batch.gallery import FACTS, MARK, is_foreign, to_html, write_gallery
from ldsr.batch.inputs import Entry
from ldsr.batch.pictures import LONGEST, draw_pictures
from ldsr.batch.records import SHARE, STATES, Record
from ldsr.data.patch import Patch
from ldsr.settings import Settings
from tests.batches import Page, do, make_pictures, sheet, use_tiny
from tests.conftest import make_patch

EVIL = "<script>alert('x')<"
ATTRIBUTE = '" onload="alert(1)'


@pytest.fixture
def made(tmp_path, monkeypatch, tiny_pipeline) -> Path:
    """A batch with names that need care, and one that fails."""
    use_tiny(monkeypatch, tiny_pipeline)
    names = ("field.tif", f"{EVIL}.tif", f"{ATTRIBUTE}.tif", "{{CARDS}} & #5%2F.tif")
    folder = make_pictures(tmp_path / "in", *names)
    (folder / "<b>broken.tif").write_text("no picture")
    assert do(folder, tmp_path / "out") == 2
    return tmp_path / "out"


def stem_of(card: dict) -> str:
    """What the files of a card are called: its run sheet is the last link."""
    return unquote(card["links"][-1]).removesuffix(".json")


def of_sheet(told: dict) -> dict[str, float | None]:
    return {
        "seconds": told["seconds"]["total"],
        "steps": told["steps_computed"],
        "residual_before": told["consistency"]["before"],
        "residual_after": told["consistency"]["after"],
        "mean_detail": told["detail"]["mean"],
        "out_of_range": told["out_of_range"],
        "valid_share": told["input"]["valid_share"],
        "cloud_share": None,
    }


def number(text: str) -> float:
    """What a figure on a card reads as."""
    value = float(re.match(r"[\d.]+", text)[0])
    return value / 100 if text.endswith("%") else value


def test_every_figure_is_that_of_the_run_sheet(made) -> None:
    cards = [card for card in Page(made / "index.html").cards if card["data-state"] == "done"]
    assert len(cards) == 4
    for card in cards:
        expected = of_sheet(sheet(made, stem_of(card)))
        there = {key for key, value in expected.items() if value is not None}
        assert set(card["figures"]) == set(card["exact"]) == there
        for key in there:
            assert float(card[f"data-{key.replace('_', '-')}"]) == expected[key]
            assert float(card["exact"][key]) == expected[key]
            shown = number(card["figures"][key])
            assert shown == pytest.approx(expected[key], rel=0.1, abs=5e-4)
        assert "data-cloud-share" not in card
        assert "20 × 16 px" in card["text"] and "13." in card["text"]


def test_links_and_pictures_are_there_and_nothing_else_is_asked_for(made) -> None:
    page = Page(made / "index.html")
    used = []
    for tag, found in page.elements:
        for key, value in found.items():
            if key in ("src", "href") or (key.startswith("data-") and value.startswith("pictures")):
                used.append(value)
            assert not key.startswith("on") and key != "style", (tag, found)
    local = [value for value in used if value != "data:,"]
    assert len(local) > 4 * 6
    for value in local:
        assert not re.match(r"\w+:|/", value), value
        assert (made / unquote(value)).is_file(), value
    assert "http" not in page.text.replace("http-equiv", "")
    images = [found for tag, found in page.elements if tag == "img" and found.get("src")]
    assert len(images) == 8 and all(image["loading"] == "lazy" for image in images)


def test_names_are_shown_and_never_become_markup(made) -> None:
    page = Page(made / "index.html")
    assert [tag for tag, _ in page.elements].count("script") == 1
    names = {card["data-name"] for card in page.cards}
    assert {EVIL, ATTRIBUTE, "{{CARDS}} & #5%2F", "<b>broken"} <= names
    (broken,) = (card for card in page.cards if card["data-state"] == "failed")
    assert "<b>broken.tif is not a picture of a known format" in broken["text"]
    assert [tag for tag, _ in page.elements].count("b") < 40 and "<b>broken" not in page.text
    assert len(page.cards) == 5


def test_the_policy_lets_in_what_is_on_the_page_alone(made) -> None:
    page = Page(made / "index.html")
    (policy,) = (found["content"] for tag, found in page.elements if found.get("http-equiv"))
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == "'none'" and "unsafe" not in policy
    for tag, source in (("style", "style-src"), ("script", "script-src")):
        text = re.search(f"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert parts[source] == f"'sha256-{digest}'"


def test_settings_stand_once_at_the_top_as_they_were_applied(made) -> None:
    page = Page(made / "index.html")
    told = sheet(made, "field")["settings"]
    assert told["temperature"] == 0.8, "of the weights"
    head = page.text.partition("<article")[0]
    for name, value in told.items():
        shown = {True: "yes", False: "no"}.get(value) if isinstance(value, bool) else f"{value}"
        shown = f"{value:g}" if isinstance(value, float) else shown
        assert f"<dt>{name}</dt><dd>{shown}</dd>" in head
    assert "mini (00000000)" not in head and "tiny (00000000)" in head
    assert "1 steps" not in head


def test_without_a_single_result_the_page_says_what_was_asked(tmp_path) -> None:
    entry = Entry(name="a", stem="a", origin=Path("a.tif"))
    records = [Record(entry=entry, state="left", sentence="It was not begun.")]
    settings = Settings(seed=7)
    page = to_html(records, settings=settings, weights="mini")
    assert "seed 7" in page and "It was not begun." in page and STATES["left"] in page
    assert "<dt>temperature</dt><dd>by the weights</dd>" in page
    assert not is_foreign(tmp_path)
    write_gallery(tmp_path, records, settings=settings, weights="mini")
    assert MARK in (tmp_path / "index.html").read_text() and not is_foreign(tmp_path)
    (tmp_path / "index.html").write_bytes(b"\xff\xfe")
    assert is_foreign(tmp_path)


def test_one_stage_stands_alone_beside_the_input(tmp_path, monkeypatch, tiny_pipeline) -> None:
    use_tiny(monkeypatch, tiny_pipeline)
    assert do(make_pictures(tmp_path / "in", "a.tif"), tmp_path / "out", "--no-refine") == 0
    (card,) = Page(tmp_path / "out" / "index.html").cards
    assert "Base" in card["text"] and "Refined" not in card["text"]
    assert "mean_detail" not in card["figures"] and len(card["links"]) == 2


def test_clouds_and_five_hundred_patches(tmp_path, monkeypatch, tiny_pipeline) -> None:
    use_tiny(monkeypatch, tiny_pipeline)
    assert do(make_pictures(tmp_path / "in", "a.tif"), tmp_path / "out") == 0
    told = sheet(tmp_path / "out", "a")
    told["scene_classification"] = {"cloud": 0.1234, "shadow": 0.0, "snow": 0.0}
    records = [
        Record(
            entry=Entry(name=f"p{at}", stem=f"p{at}", origin=Path("p")), state="kept", sheet=told
        )
        for at in range(500)
    ]
    write_gallery(tmp_path, records, settings=Settings(), weights="mini")
    page = Page(tmp_path / "index.html")
    assert len(page.cards) == 500 and len(page.text) < 4e6
    assert page.cards[7]["figures"]["cloud_share"] == "12.3%"
    assert set(page.cards[7]["figures"]) == set(FACTS)


def test_pictures_have_one_stretch_and_grey_where_nothing_is(tiny_pipeline) -> None:
    patch = make_patch(24, 32)
    valid = patch.valid.copy()
    valid[:, :8] = False
    hole = Patch(
        reflectance=patch.reflectance * valid, valid=valid, crs=patch.crs, transform=patch.transform
    )
    drawn = draw_pictures(tiny_pipeline(hole, Settings(steps=1, refine_steps=1)))
    assert set(drawn) == {"input", "base", "refined", "detail"}
    sizes = {name: opened(content).shape for name, content in drawn.items()}
    assert sizes.pop("input") == (24, 32, 3) and set(sizes.values()) == {(96, 128, 3)}
    assert (opened(drawn["input"])[:, :8] == 128).all()
    assert np.abs(opened(drawn["refined"])[:, :24].astype(int) - 128).max() <= 6
    middle = opened(drawn["base"])[:, 48:].reshape(24, 4, 20, 4, 3).mean((1, 3))
    assert np.abs(middle - opened(drawn["input"])[:, 12:]).mean() < 12
    assert LONGEST == 1024 and SHARE == "batch"


def opened(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (1, "100%"), (8.98e-6, "0.00090%"), (0.0123, "1.23%"), (0.1234, "12.3%")],
)
def test_a_small_share_is_not_written_as_none(share, text) -> None:
    assert gallery._percent(share) == text


def test_a_small_error_keeps_two_digits() -> None:
    assert [gallery._small(value) for value in (0, 8.98e-5, 0.00999, 0.2)] == [
        "0.0000",
        "0.000090",
        "0.0100",
        "0.2000",
    ]
