"""Places by reference: found by id, else the clearest of their dates; damaged lists are said."""

import dataclasses
import json
from datetime import date

import numpy as np
import pytest

from ldsr.data import references
from ldsr.data.endpoints import EARTH_SEARCH, PLANETARY_COMPUTER, catalogues
from ldsr.data.references import Reference, find_reference, is_fetched, list_references
from ldsr.data.scene_reader import read_scene
from ldsr.errors import SceneError
from tests.catalogue import conftest as at
from tests.catalogue.servers import closed_port

HERE = Reference(
    key="here",
    kind="Fields",
    name="Latsch",
    lon=at.PLACE[0],
    lat=at.PLACE[1],
    catalogue="earth-search",
    scene=at.CLOUDY,
    start=date(2026, 9, 1),
    end=date(2026, 9, 30),
)
GONE = dataclasses.replace(HERE, scene="S2B_T32TPS_20200101T101559_L2A")


def test_the_shipped_places_are_sound(monkeypatch):
    monkeypatch.delenv("LDSR_STAC_URL")
    found = list_references()
    assert len(found) >= 5 and len({one.key for one in found}) == len(found)
    known = {catalogue.key for catalogue in catalogues()}
    assert known == {EARTH_SEARCH.key, PLANETARY_COMPUTER.key}
    for one in found:
        assert one.box.size == (128, 128) and one.catalogue in known and one.kind and one.name
        assert one.start <= one.end and one.start.year >= 2017
        style = "_MSIL2A_" if one.catalogue == "planetary-computer" else "_L2A"
        assert style in one.scene and one.scene.startswith("S2")
        zone = one.scene.partition("_T")[2][:2]
        assert int(zone) == int(one.box.crs[-2:]), "the scene lies in the zone of its place"
        assert not is_fetched(one)


def test_a_place_is_found_by_the_id_of_its_scene(api, use):
    use(api)
    found = find_reference(HERE)
    assert found.id == at.CLOUDY
    assert found.catalogue == "own", "Earth Search is not in use here"


def test_where_the_scene_is_gone_the_clearest_of_its_dates_is_taken(api, use, made):
    use(api)
    found = find_reference(GONE)
    assert found.cloud_percent == 0 and found.id in (at.PLAIN, at.HALF)
    cloudy = dataclasses.replace(GONE, start=date(2026, 9, 9), end=date(2026, 9, 9))
    assert find_reference(cloudy).id == at.CLOUDY
    empty = dataclasses.replace(GONE, start=date(2020, 1, 1), end=date(2020, 1, 2))
    with pytest.raises(SceneError, match="has no scene of this box"):
        find_reference(empty)


def test_what_was_fetched_once_needs_no_network(land, files, monkeypatch):
    answers = [[land.item(at.CLOUDY)]]
    monkeypatch.setattr("ldsr.data.catalog._search", lambda *_, **__: answers.pop())
    assert not is_fetched(HERE)
    scene = find_reference(HERE)
    assert not is_fetched(HERE)
    first = read_scene(scene, HERE.box)
    assert np.abs(first.reflectance - at.ground(HERE.box, seed=1)).max() < 1e-4
    files.faults["/"] = "error"
    assert is_fetched(HERE) and not answers
    again = read_scene(find_reference(HERE), HERE.box)
    assert np.array_equal(first.reflectance, again.reflectance) and again.source == first.source
    assert not is_fetched(GONE)


def test_a_catalogue_that_is_down_is_one_sentence(use):
    with closed_port() as url:
        use(url, timeout=1)
        with pytest.raises(SceneError, match="^127.0.0.1 does not answer"):
            find_reference(HERE)


@pytest.mark.parametrize(
    "content",
    [
        None,
        "{",
        "[]",
        '{"places": [{"key": "x"}]}',
        '{"places": [3]}',
        '{"places": 3}',
        json.dumps({"places": [dict.fromkeys(("key", "start", "end"), "soon")]}),
        b"\xff\xfe",
    ],
)
def test_a_damaged_list_is_one_sentence(tmp_path, monkeypatch, content):
    monkeypatch.setattr(references, "FOLDER", tmp_path)
    if content is not None:
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "places.json").write_bytes(data)
    with pytest.raises(SceneError, match="cannot be listed .* get the product again") as caught:
        list_references()
    assert str(tmp_path) not in str(caught.value)
