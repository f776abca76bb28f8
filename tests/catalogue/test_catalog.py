"""Scenes and places are found; whatever is wrong with a catalogue is one sentence."""

import contextlib
import re
import threading
import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from ldsr.data import catalog
from ldsr.data.catalog import check, find_places, find_scene, find_scenes, is_kept
from ldsr.data.endpoints import choose, geocoder
from ldsr.data.places import box_at
from ldsr.data.scene_reader import read_scene
from ldsr.errors import SceneError
from tests.catalogue import conftest as at
from tests.catalogue.servers import closed_port, serve_answers, serve_geocoder

SEPTEMBER = {"start": date(2026, 9, 1), "end": date(2026, 9, 30)}
BOX = at.middle()
KINDS = {
    "down": r"does not answer \(it cannot be reached\)",
    "slow": r"does not answer within 1 s",
    "busy": r"is asked too often \(HTTP 429\); wait a minute",
    "error": r"does not answer \(HTTP 500\)",
    "missing": r"does not answer \(HTTP 404\)",
    "nonsense": "answers something that is no STAC catalogue; check its address",
    "wrong": "answers something that is no STAC catalogue",
    "html": "answers something that is no STAC catalogue.*log-in page",
    "drops": "does not answer within 1 s",
}


def fails(call, *args, **more) -> str:
    """The one sentence that a person is shown."""
    with at.no_longer_than(1), pytest.raises(SceneError) as caught:
        call(*args, **more)
    said = str(caught.value)
    assert not re.search(r"Traceback|https?://|Errno|HTTPConnection|secret|<", said), said
    assert said.endswith(".") and said.count(". ") == 0, said
    return said


def serve(kind: str, *, where: str = "") -> contextlib.AbstractContextManager[str]:
    """Serve a catalogue that fails."""
    if kind in ("down", "drops"):
        return closed_port() if kind == "down" else at.serve_drops()
    return serve_answers(kind, at=where)


def ids(scenes) -> list[str]:
    return [scene.id for scene in scenes]


def test_scenes_are_found_newest_first_as_passes(api, use):
    use(api)
    found = find_scenes(BOX, **SEPTEMBER)
    assert ids(found) == [at.PLAIN, at.CLOUDY, at.HALF]
    assert found[0].acquired > found[1].acquired
    assert all(scene.crs == "EPSG:32632" and scene.catalogue == "own" for scene in found)
    both = find_scenes(at.box_in(380, 100, 2560), **SEPTEMBER)[0]
    assert {tile.id for tile in both.tiles} == {at.PLAIN, at.NEXT_TILE}


def test_the_last_day_counts_and_the_next_does_not(api, use):
    use(api)
    assert ids(find_scenes(BOX, start=date(2026, 9, 14), end=date(2026, 9, 14))) == [at.PLAIN]
    said = fails(find_scenes, BOX, start=date(2026, 9, 15), end=date(2026, 9, 30))
    assert "has no scene of this box from 2026-09-15 to 2026-09-30; widen the dates" in said


@pytest.mark.parametrize("lon", [179.999, -179.999, 180.0])
def test_scenes_on_the_antimeridian_are_found_from_both_sides(api, use, lon):
    use(api)
    assert ids(find_scenes(box_at(lon, at.FIJI[1], 2560), **SEPTEMBER)) == [at.ACROSS]


def test_a_scene_by_its_id_is_joined_by_the_next_tile_where_its_own_ends(api, use):
    use(api)
    inside, across = find_scene(at.PLAIN, BOX), find_scene(at.PLAIN, at.box_in(380, 100, 2560))
    assert [tile.id for tile in inside.tiles] == [at.PLAIN]
    assert {tile.id for tile in across.tiles} == {at.PLAIN, at.NEXT_TILE}


def test_what_is_found_can_be_read(api, use):
    use(api)
    asked = box_at(12.004, 46.6)
    patch = read_scene(find_scenes(asked, **SEPTEMBER)[0], asked)
    assert np.abs(patch.reflectance - at.ground(asked.moved_to("EPSG:32632"))).max() < 1e-4
    assert patch.source.catalogue == f"{api} sentinel-2-c1-l2a"


def test_clouds_are_filtered_here(api, use, made):
    use(api)
    share = made[1][at.CLOUDY]["properties"]["eo:cloud_cover"]
    assert 1 < share < 10
    assert at.CLOUDY not in ids(find_scenes(BOX, cloud_percent=1, **SEPTEMBER))
    assert at.CLOUDY in ids(find_scenes(BOX, cloud_percent=share, **SEPTEMBER))
    days = {"start": date(2026, 9, 9), "end": date(2026, 9, 9)}
    said = fails(find_scenes, BOX, cloud_percent=1, **days)
    assert re.search(r"one scene .* more than 1 % cloud \(the clearest \d %\); allow more", said)


def test_days_the_wrong_way_round_ask_nobody():
    said = fails(find_scenes, BOX, start=date(2026, 9, 2), end=date(2026, 9, 1))
    assert said == "The first day, 2026-09-02, is after the last, 2026-09-01; exchange them."


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_catalogue_is_one_sentence(use, kind):
    with serve(kind) as url:
        use(url, timeout=1)
        assert re.search(f"^127.0.0.1 {KINDS[kind]}", fails(find_scenes, BOX, **SEPTEMBER))


@pytest.mark.parametrize("kind", ["slow", "busy", "error", "missing", "nonsense", "wrong", "html"])
def test_a_catalogue_whose_search_alone_is_broken(use, kind):
    with serve(kind, where="/search") as url:
        use(url, timeout=1)
        said = fails(find_scenes, BOX, **SEPTEMBER)
        assert said.startswith("127.0.0.1 ")
        if kind not in ("wrong",):
            assert re.search(KINDS[kind], said)


def test_each_request_has_a_time_limit_of_its_own(use, monkeypatch):
    monkeypatch.setattr(catalog, "_in_time", lambda ask: ask())
    begun = time.monotonic()
    with serve_answers("slow", seconds=300) as url:
        use(url, timeout=1)
        assert "within 1 s" in fails(find_scenes, BOX, **SEPTEMBER)
    assert time.monotonic() - begun < 60


def test_an_empty_catalogue(use):
    with serve_answers("empty") as url:
        use(url)
        said = fails(find_scenes, BOX, **SEPTEMBER)
        assert "has no scene of this box" in said and "widen the dates" in said
        assert find_scene("S2B_X", BOX) is None


def test_a_catalogue_works_again_once_it_is_back(api, use):
    with serve_answers("error") as url:
        use(url, timeout=1)
        fails(find_scenes, BOX, **SEPTEMBER)
    use(api)
    assert find_scenes(BOX, **SEPTEMBER)


def test_another_collection_has_nothing(api, use, monkeypatch):
    use(api)
    monkeypatch.setenv("LDSR_STAC_COLLECTION", "landsat")
    assert "has no scene of this box" in fails(find_scenes, BOX, **SEPTEMBER)


def test_items_without_our_bands_are_said_to_be_that(monkeypatch):
    items = [{"id": "a", "assets": [], "properties": None}, {"id": "b", "assets": {"red": 3}}]
    monkeypatch.setattr(catalog, "_search", lambda *_, **__: items)
    said = fails(find_scenes, BOX, **SEPTEMBER)
    assert "lists 2 items here, but none with the bands B04, B03, B02" in said


def test_one_scene_by_its_id_is_kept(api, use, files):
    use(api)
    scene = find_scene(at.CLOUDY, BOX)
    assert scene.id == at.CLOUDY and find_scene("S2B_nowhere", BOX) is None
    with closed_port() as url:
        own = choose("")
        catalog.window_cache().put(catalog._item_key(own, "damaged", BOX), b"\xff{")
        assert find_scene("damaged", BOX) is None
        use(url, timeout=1)
        fails(find_scene, at.CLOUDY, BOX)
    use(api)
    assert not is_kept(at.CLOUDY, BOX)
    read_scene(scene, BOX)
    files.requests.clear()
    assert is_kept(at.CLOUDY, BOX) and not is_kept(at.CLOUDY, at.middle(side=640))
    assert not files.requests


def test_all_that_was_fetched_is_there_without_network(land, files, use, monkeypatch):
    answers = [[land.item(at.CLOUDY)]]
    monkeypatch.setattr(catalog, "_search", lambda *_, **__: answers.pop())
    first = read_scene(find_scene(at.CLOUDY, BOX), BOX)
    files.faults["/"] = "error"
    again = read_scene(find_scene(at.CLOUDY, BOX), BOX)
    assert np.array_equal(first.reflectance, again.reflectance) and not answers


def test_half_of_a_scene_in_the_cache_is_not_the_scene(land, monkeypatch):
    monkeypatch.setattr(catalog, "_search", lambda *_, **__: [land.item(at.CLOUDY)])
    scene = find_scene(at.CLOUDY, BOX)
    read_scene(scene, BOX)
    assert is_kept(at.CLOUDY, BOX)
    scl = catalog.window_cache()
    scl.drop(f"window {scene.tiles[0].hrefs['SCL']} {BOX}")
    assert not is_kept(at.CLOUDY, BOX)


@pytest.mark.parametrize("kind", KINDS)
def test_check_says_what_is_wrong(use, kind):
    with serve(kind) as url:
        use(url, timeout=1)
        said = fails(check)
        assert re.search(f"^127.0.0.1 {KINDS[kind]}", said)


def test_check_remembers_for_a_minute(api, use, monkeypatch):
    now = [600.0]
    monkeypatch.setattr(catalog.time, "monotonic", lambda: now[0])
    asked, get = [], catalog._get
    monkeypatch.setattr(catalog, "_get", lambda url: asked.append(url) or get(url))
    use(api)
    check()
    check()
    assert len(asked) == 1
    now[0] += 61
    check()
    assert len(asked) == 2


def test_a_catalogue_that_nobody_knows():
    assert fails(check, "nasa").startswith("There is no catalogue 'nasa'; known are own")


def test_catalogues_of_the_environment(monkeypatch):
    monkeypatch.setenv("LDSR_STAC_URL", "https://stac.example.org/v1/")
    own = choose("")
    assert (own.key, own.title, own.url) == (
        "own",
        "stac.example.org",
        "https://stac.example.org/v1",
    )
    assert own.collection == "sentinel-2-c1-l2a" and own.original
    monkeypatch.setenv("LDSR_STAC_URL", "https://me:secret@stac.example.org:8080/v1?key=secret")
    assert choose("").public_url == "https://stac.example.org:8080/v1"
    assert choose("").title == "stac.example.org"
    monkeypatch.setenv("LDSR_STAC_COLLECTION", "mine")
    monkeypatch.setenv("LDSR_STAC_TITLE", "Ours")
    assert choose("own").title == "Ours" and not choose("own").original
    monkeypatch.setenv("LDSR_STAC_URL", "")
    assert choose("").key == "earth-search"
    assert choose("planetary-computer").token_url.startswith("https://")


PLACES = {"Latsch, South Tyrol": at.PLACE, "Suva, Fiji": (178.4, -18.1)}


def test_places_are_found_by_name(monkeypatch):
    with serve_geocoder(PLACES) as url:
        monkeypatch.setenv("LDSR_GEOCODER_URL", f"{url}/search")
        (found,) = find_places("  latsch ")
        assert (found.name, found.lon, found.lat) == ("Latsch, South Tyrol", 10.9, 46.6)
        assert "knows no place 'Atlantis'; type latitude" in fails(find_places, "Atlantis")
        assert "No place was named" in fails(find_places, " \n ")
        find_places("fiji" + " " * 5000)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "drops"])
def test_a_broken_place_search_is_one_sentence(monkeypatch, kind):
    monkeypatch.setenv("LDSR_HTTP_TIMEOUT", "1")
    serving = closed_port() if kind == "down" else serve_geocoder(PLACES, kind=kind)
    with serving as url:
        monkeypatch.setenv("LDSR_GEOCODER_URL", f"{url}/search")
        said = fails(find_places, "latsch")
    assert said.startswith("The place search ") and said.endswith("or click the map.")


def test_the_place_search_can_be_switched_off(monkeypatch):
    for off in ("", "off"):
        monkeypatch.setenv("LDSR_GEOCODER_URL", off)
        assert geocoder() == "" and "is switched off" in fails(find_places, "latsch")


def test_no_thread_stays_after_a_failure(use):
    before = threading.active_count()
    with serve_answers("slow") as url:
        use(url, timeout=0.5)
        fails(find_scenes, BOX, **SEPTEMBER)
    end = time.monotonic() + 30
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() <= before


def test_the_snippet_of_the_readme_reads_a_scene(api, use, monkeypatch):
    use(api)
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    snippet = next(part for part in readme.split("```python\n") if "find_scenes" in part)
    names: dict = {}
    here = snippet.split("```")[0].replace("lon=11.35, lat=46.50", "lon=10.9, lat=46.6")
    here = here.replace("date(2026, 8, 31)", "date(2026, 9, 30)")
    exec(compile(here, "README.md", "exec"), names)
    assert names["patch"].source.name == at.PLAIN and names["patch"].size == (128, 128)
