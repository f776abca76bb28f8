"""The controls of the page without a browser: knobs, presets, land-cover editor, links."""

import dataclasses
import re
import urllib.parse
from types import SimpleNamespace

import pytest

from ldsr.errors import LdsrError
from ldsr.semantics.vocabulary import VOCABULARY, parse_tags
from ldsr.settings import BASES, PRESETS, Settings
from ldsr.web.resolve import flows, knobs, opening, tags
from ldsr.web.resolve.links import from_query, share_query
from ldsr.web.resolve.tab import read_settings
from ldsr.web.studio import Studio
from tests.fakes import BaseOnlyPipeline, FakePipeline, collect, make_named_patch

LINKED = Settings(
    base="sr3",
    sampler="dpm",
    steps=13,
    eta=0.25,
    temperature=0.3,
    consistency="box",
    seed=4294967295,
    cascade=True,
    refine=False,
    refine_steps=7,
    refine_strength=0.35,
    detail_cap=0.6,
    control_scale=1.5,
    semantics="forest:0.6, bare soil:0.4",
    tag_weight=2.5,
    skip_threshold=0.2,
    skip_form="literal",
    samples=12,
    settle=0.05,
)
"""Every field other than its default."""


@pytest.fixture
def studio(monkeypatch) -> Studio:
    samples = (SimpleNamespace(key="field", name="Field, somewhere"),)
    for module in ("ldsr.web.studio", "ldsr.web.resolve.opening"):
        monkeypatch.setattr(f"{module}.list_samples", lambda: samples)
        monkeypatch.setattr(f"{module}.load_sample", lambda key: make_named_patch())
    return Studio(FakePipeline())


def pairs_of(query: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(query.removeprefix("?")))


# knobs


def test_every_setting_has_a_control_and_comes_back_from_it():
    page = knobs.main_panel(BASES, True) + knobs.more_panel()
    assert set(re.findall(r'data-knob="(\w+)"', page)) == set(knobs.FIELDS)
    assert (
        read_settings(
            *knobs.panel_values(LINKED), tags.tags_value("edited", None, text=LINKED.semantics)
        )
        == LINKED
    )
    for preset in PRESETS.values():
        land_cover = tags.tags_value(preset.semantics, None)
        assert read_settings(*knobs.panel_values(preset), land_cover) == preset


def test_common_controls_stand_before_the_folded_ones():
    main, more = knobs.main_panel(BASES, True), knobs.more_panel()
    for name in knobs.FIELDS:
        here, there = (main, more) if name in knobs.MAIN_FIELDS else (more, main)
        assert f'data-knob="{name}"' in here and f'data-knob="{name}"' not in there
    for page, values in zip((main, more), knobs.panel_values(LINKED), strict=True):
        assert set(re.findall(r'data-knob="(\w+)"', page)) == set(values)
    assert "<details" not in main and knobs.more_panel().count("<details") == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("steps", 5000),
        ("steps", 2.5),
        ("steps", None),
        ("refine_steps", -1),
        ("refine_strength", 1.5),
        ("detail_cap", -0.1),
        ("skip_threshold", 2),
        ("control_scale", 9),
        ("tag_weight", 4.5),
        ("seed", 2**32),
        ("base", "magic"),
        ("skip_form", "none"),
        ("samples", 1),
        ("samples", 33),
        ("samples", 2.5),
        ("samples", None),
        ("settle", 1.5),
        ("settle", None),
    ],
)
def test_a_value_out_of_range_is_one_sentence(field, value):
    values = dataclasses.asdict(PRESETS["balanced"]) | {field: value}
    with pytest.raises(LdsrError) as said:
        knobs.to_settings(values, "spectral")
    assert str(said.value).endswith(".") and "\n" not in str(said.value)


def test_numbers_may_arrive_as_floats_and_an_empty_temperature_is_the_weights_own():
    values = dataclasses.asdict(PRESETS["balanced"])
    values |= {"steps": 8.0, "seed": 3.0, "temperature": None}
    settings = knobs.to_settings(values, "none")
    assert (settings.steps, settings.seed, settings.temperature) == (8, 3, None)


def test_samples_are_drawn_when_asked_as_many_as_the_panel_says():
    assert knobs.to_sampling({}) == (8, 0.02)
    assert knobs.to_sampling({"samples": 0.0, "settle": 0, "eta": 99}) == (8, 0)
    assert knobs.to_sampling({"samples": 5.0, "settle": 0.1}) == (5, 0.1)
    for wrong in ({"samples": 1}, {"samples": None}, {"settle": -1}):
        with pytest.raises(LdsrError, match=r"\.$"):
            knobs.to_sampling(wrong)


def test_samples_are_asked_for_apart_from_the_pictures_that_are_samples():
    more = knobs.more_panel()
    assert 'id="draws"' in more and 'id="samples"' not in more


def test_weights_without_stage_two_say_so_and_cannot_be_asked():
    main = knobs.main_panel(("ldsr", "bicubic"), False)
    assert knobs.NO_REFINER in main and 'aria-labelledby="refine-name" disabled' in main
    assert re.search(r'value="sr3" disabled', main) and not re.search(r'"ldsr" disabled', main)
    assert knobs.NO_REFINER not in knobs.main_panel(BASES, True)
    assert not Studio(BaseOnlyPipeline()).preset().refine


# land cover


def test_tags_of_the_patch_are_found_and_can_be_edited(studio):
    patch = make_named_patch()
    value = tags.find(studio, patch, "spectral")
    assert value["text"] == "forest:0.60, water:0.40" and tuple(value["tags"]) == VOCABULARY
    edited = value | {"act": "text", "source": "edited", "text": "Snow, built_up"}
    answer = tags.answer(studio, patch, edited)
    assert answer["text"] == "built-up:0.50, snow:0.50" and not answer["wrong"]
    assert read_settings({}, {}, answer).semantics == "built-up:0.50, snow:0.50"
    back = tags.answer(studio, patch, answer | {"act": "reset"})
    assert back["source"] == "spectral" and back["text"] == value["text"]
    assert read_settings({}, {}, back).semantics == "spectral"


def test_unknown_tags_are_one_sentence_in_the_editor_and_on_a_run(studio):
    value = tags.find(studio, make_named_patch(), "spectral")
    wrong = value | {"act": "text", "source": "edited", "text": "forrest:1"}
    answer = tags.answer(studio, make_named_patch(), wrong)
    assert answer["wrong"] and "Did you mean 'forest'?" in answer["note"]
    assert answer["text"] == "forrest:1", "what was typed stays"
    with pytest.raises(LdsrError, match="forrest"):
        read_settings({}, {}, answer)


def test_a_source_that_is_not_there_says_so(studio):
    value = tags.find(studio, make_named_patch(), "clip")
    assert value["wrong"] and "not installed" in value["note"] and value["source"] == "clip"
    back = tags.answer(studio, make_named_patch(), value | {"act": "reset"})
    assert back["source"] == "spectral" and not back["wrong"]


def test_none_tells_nothing_and_a_missing_patch_is_asked_for(studio):
    value = tags.find(studio, make_named_patch(), "none")
    assert value["text"] == "" and value["tags"] is None and not value["wrong"]
    assert "first" in tags.answer(studio, None, {"source": "spectral"})["note"]


def test_a_new_patch_has_its_own_tags_again(studio):
    edited = tags.tags_value("edited", parse_tags("snow"))
    value = tags.renew(studio, make_named_patch(), edited)
    assert value["source"] == "spectral" and value["text"].startswith("forest")
    assert tags.renew(studio, make_named_patch(), value | {"source": "none"})["source"] == "none"


# links


def test_link_restores_the_settings():
    pairs = pairs_of(share_query(LINKED, "field"))
    assert pairs.pop("sample") == "field" and from_query(pairs) == LINKED
    assert from_query({}) == PRESETS["balanced"]
    assert not from_query({"refine": "false"}).refine


@pytest.mark.parametrize(
    "bad",
    [
        {"steps": "many"},
        {"eta": "nan"},
        {"sampler": "<script>"},
        {"seed": "-1"},
        {"refine": "perhaps"},
        {"skip_threshold": "3"},
        {"semantics": "forrest"},
    ],
)
def test_a_wrong_link_is_one_sentence_and_leaves_a_usable_page(studio, bad):
    with pytest.raises(LdsrError):
        from_query(bad)
    first = collect(opening.open_page(studio, dict(flows.EMPTY), bad, "you"))[0]
    assert "link" in first[2]["text"] and first[2]["state"] == "error"
    assert tuple(first[9:]) == knobs.panel_values(studio.preset()) and not studio.pipeline.seen


def test_link_runs_its_settings(studio):
    query = {"sample": "field", "seed": "5", "detail_cap": "0.5"}
    shots = collect(opening.open_page(studio, dict(flows.EMPTY), query, "me"))
    assert shots[-1][1]["mode"] == "result" and studio.pipeline.seen == [5]
    sample, *_, main, more = shots[0][5:]
    assert sample == {"key": "field"}
    assert (main["seed"], main["detail_cap"], more["temperature"]) == (5, 0.5, None)


def test_link_that_asks_the_weights_for_too_much_says_so(studio):
    studio.bases, studio.can_refine = ("ldsr",), False
    for query, word in (({"refine": "1"}, "second stage"), ({"base": "sr3"}, "no base 'sr3'")):
        first = collect(opening.open_page(studio, dict(flows.EMPTY), query, "me"))[0]
        assert word in first[2]["text"] and first[2]["state"] == "error"
    plain = collect(opening.open_page(studio, dict(flows.EMPTY), {"seed": "1"}, "me"))
    assert list(plain[-1][1]["pictures"]) == ["input", "base"]
