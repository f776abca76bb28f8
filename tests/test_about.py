"""The About tab tells all: samples, licences, citations; and each line of help is one sentence."""

import json
import re
from pathlib import Path

from ldsr.data.samples import list_samples
from ldsr.web.about_tab import OPEN, about_page
from ldsr.web.theme import asset

ROOT = Path(__file__).parent.parent
PAGE = about_page("mini", "0123456789abcdef" * 4, "Apache-2.0")


def test_nothing_is_left_to_fill_in_and_the_card_is_there():
    assert "SAMPLES" not in PAGE and "WEIGHTS_" not in PAGE and ">MODEL_CARD<" not in PAGE
    assert "0123456789abcdef" * 4 in PAGE
    card = (ROOT / "assets" / "weights" / "MODEL_CARD.md").read_text(encoding="utf-8")
    headings = [name.strip() for name in re.findall(r"^#+ (.+)$", card, re.MULTILINE)]
    assert all(f">{name}</h" in PAGE for name in headings)


def test_sections_fold_and_headings_go_down_step_by_step():
    levels = [int(level) for level in re.findall(r"<h(\d)>", PAGE)]
    assert levels[0] == 2 and all(
        after <= before + 1 for before, after in zip(levels, levels[1:], strict=False)
    )
    assert PAGE.count("<details") == levels.count(2) and PAGE.count(" open>") == len(OPEN)


def test_every_library_and_every_sample_is_named_with_its_licence():
    licences = PAGE.partition('id="about-licences"')[2].partition("</details>")[0]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    libraries = [re.match(r"[\w-]+", line)[0] for line in lines if re.match(r"[\w-]+", line)]
    assert [name for name in libraries if name not in licences] == []
    assert "Noncommercial" in licences and "pip uninstall pyiqa" in licences
    for sample in list_samples():
        assert sample.name in PAGE and sample.licence in PAGE and sample.attribution in PAGE


def test_each_work_that_is_built_on_can_be_cited():
    entries = re.findall(
        r'aria-label="BibTeX entry" role="group">@\w+\{(\w+),(.*?)</pre>', PAGE, re.S
    )
    assert [key for key, _ in entries] == [
        "ldsr_studio",
        "donike2025trustworthy",
        "saharia2023image",
        "sui2024diffusion",
        "sung2025novel",
        "zhang2018perceptual",
        "wang2023exploring",
        "kirillov2023segment",
        "aybar2024comprehensive",
    ]
    for _, entry in entries:
        assert entry.count("{") + 1 == entry.count("}"), "the first brace stands before the key"
        assert "title" in entry and "year" in entry


def test_each_line_of_help_is_one_short_sentence():
    for selector, line in json.loads(asset("help.json")).items():
        assert selector and re.fullmatch(r"[^\n<>]{10,120}[.?]", line), line
