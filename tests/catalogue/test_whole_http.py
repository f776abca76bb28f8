"""Whole scenes on the web: by windows, in few requests, and again once a server is back."""

import json
import re

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from ldsr.data import windows
from ldsr.data.scene_reader import read_scene
from ldsr.data.whole import open_scene
from ldsr.errors import PatchError, SceneError
from tests.catalogue import conftest as at
from tests.catalogue.servers import closed_port

HALF_DN = 0.501e-4
WINDOW = (100, 60, 64, 48)
FAR = (780, 780, 16, 16)
"""In a block that no window of the sample touches."""


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("LDSR_HTTP_TIMEOUT", "1")


@pytest.fixture
def publish(land, files, tmp_path):
    """Put JSON on the web: `publish(document)` gives its address."""

    def to_web(document: object) -> str:
        name = f"{tmp_path.name}-item.json"
        (files.folder / name).write_text(json.dumps(document))
        return f"{files.url}/{name}?key=secret"

    return to_web


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 4000, (4, 1700, 1700), np.uint16)


@pytest.fixture
def cog(files, tmp_path, noise):
    """Address of a COG of four bands that no other test read."""
    path = files.folder / f"{tmp_path.name}-four.tif"
    grid = Affine(10, 0, at.WEST, 0, -10, at.NORTH)
    shape = {"width": 1700, "height": 1700, "count": 4, "dtype": "uint16"}
    layout = {"driver": "COG", "blocksize": 128, "compress": "none", "overviews": "none"}
    place = {"crs": "EPSG:32632", "transform": grid}
    with rasterio.open(path, "w", **shape, **layout, **place) as dataset:
        dataset.write(noise[[2, 1, 0, 3]])
        dataset.descriptions = ("B02", "B03", "B04", "B08")
    return f"{files.url}/{path.name}"


def part(values: np.ndarray, window) -> np.ndarray:
    col, row, wide, high = window
    return values[:, row : row + high, col : col + wide]


def ground(window) -> np.ndarray:
    col, row, wide, high = window
    return at.truth_grid("EPSG:32632", at.WEST + 10 * col, at.NORTH - 10 * row, wide, high)


def fails(do, *given) -> str:
    """The one sentence that a person is shown; it must leak nothing and name what to do."""
    with at.no_longer_than(windows.http_timeout()), pytest.raises((SceneError, PatchError)) as it:
        do(*given)
    said = str(it.value)
    assert not re.search(r"Traceback|/vsicurl|https?://|/tmp|token|secret", said), said
    assert said.endswith(".") and "\n" not in said and it.value.__cause__ is None, said
    return said


def opening(address: str, **given) -> str:
    def enter() -> None:
        with open_scene(address, **given):
            pass

    return fails(enter)


def test_a_cog_on_the_web_is_read_by_windows(cog, files, noise):
    with open_scene(cog) as scene:
        assert scene.size == (1700, 1700) and scene.name == cog.rpartition("/")[2]
        opened = len(files.requests)
        assert opened < 150, "16 windows of 256 pixels in blocks of 128"
        found = scene.read(WINDOW)
        assert len(files.requests) - opened < 12
        asked = sum(_length(request) for request in files.requests[opened:])
        assert asked < 2**20, "bytes; far from all 23 MB"
        np.testing.assert_allclose(found.reflectance, part(noise, WINDOW) / 1e4, atol=1e-7)
        assert scene.sample().size == (1024, 1024)
        assert scene.source.catalogue is None and found.valid.all()


def _length(request: tuple[str, str, str | None]) -> int:
    first, last = re.search(r"(\d+)-(\d+)", request[2] or "bytes=0-0").groups()
    return int(last) - int(first) + 1


FAULTS = {
    "missing": r"is missing on the server \(HTTP 404\)",
    "error": r"cannot be fetched \(HTTP 500\)",
    "html": "what the server sends is no GeoTIFF|is damaged",
    "slow": r"\(no answer within 1 s\)|did not arrive within 8 s",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_server_that_fails_midway_is_asked_again(cog, files, impatient, noise, kind):
    with open_scene(cog) as scene:
        files.faults["four"] = kind
        assert re.search(FAULTS[kind], fails(scene.read, FAR))
        files.faults.clear()
        found = scene.read(FAR).reflectance
    np.testing.assert_allclose(found, part(noise, FAR) / 1e4, atol=1e-7)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_at_opening_is_one_sentence(cog, files, impatient, noise, kind):
    files.faults["four"] = kind
    assert re.search(FAULTS[kind], opening(cog))
    files.faults.clear()
    with open_scene(cog) as scene:
        assert scene.read(WINDOW).valid.all()


def test_a_file_that_is_another_one_now_is_refused(cog, files, impatient):
    with open_scene(cog) as scene:
        files.faults["four"] = "missing"
        fails(scene.read, FAR)
        path = files.folder / cog.rpartition("/")[2]
        with rasterio.open(path) as dataset:
            profile = dataset.profile | {"width": 1500, "driver": "GTiff"}
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(np.ones((4, 1700, 1500), np.uint16))
        files.faults.clear()
        assert "is not the file any more" in fails(scene.read, FAR)


def test_an_item_on_the_web_is_what_the_catalogue_reads(land, publish):
    box = at.box_in(100, 60)
    with open_scene(publish(land.item(at.PLAIN))) as scene:
        assert scene.name == at.PLAIN and scene.has_classes
        assert scene.size == (at.PIXELS, at.PIXELS)
        found, source = scene.read((100, 60, 128, 128)), scene.source
    expected = read_scene(land.scene(at.PLAIN, box=box), box)
    np.testing.assert_array_equal(found.reflectance, expected.reflectance)
    np.testing.assert_array_equal(found.scl, expected.scl)
    assert (found.crs, found.transform) == (expected.crs, expected.transform)
    assert source.radiometry == expected.source.radiometry
    assert source.licence == expected.source.licence
    assert source.catalogue.startswith("http://127.0.0.1:") and "secret" not in source.catalogue
    assert source.catalogue.endswith("-item.json sentinel-2-c1-l2a")


def test_relative_addresses_count_from_the_item(land, publish):
    item = land.item(at.PLAIN)
    for asset in item["assets"].values():
        asset["href"] = asset["href"].removeprefix(land.files.url + "/")
    with open_scene(publish(item)) as scene:
        assert np.abs(scene.read(WINDOW).reflectance - ground(WINDOW)).max() <= HALF_DN


def test_the_tiles_of_a_pass_are_one_scene(land, publish):
    items = [land.item(at.PLAIN), land.item(at.NEXT_TILE)]
    with open_scene(publish({"type": "FeatureCollection", "features": items})) as scene:
        assert scene.size == (at.PIXELS, at.PIXELS + 420)
        window = (400, 33, 200, 90)
        found = scene.read(window)
        land.files.requests.clear()
        scene.read((10, 300, 50, 50))
        assert not land.files.asked(at.NEXT_TILE), "the first tile has all of it"
    assert found.valid.all() and np.abs(found.reflectance - ground(window)).max() <= HALF_DN


def test_where_a_pass_ends_nothing_is_valid(land, publish):
    with open_scene(publish(land.item(at.HALF))) as scene:
        found = scene.read((200, 0, 100, 40))
        assert found.valid[:, :50].all() and not found.valid[:, 50:].any()
        assert np.array_equal(found.valid, found.scl > 0)
        assert not scene.read((400, 400, 60, 60)).valid.any()


@pytest.mark.parametrize("named", ["B04", "SCL"])
def test_one_layer_that_fails_is_named_and_asked_again(land, publish, files, impatient, named):
    address = publish(land.item(at.PLAIN))
    files.faults[named] = "missing"
    assert opening(address).startswith(f"{named} of {at.PLAIN} is missing on the server")
    files.faults.clear()
    with open_scene(address) as scene:
        assert scene.read(WINDOW).valid.all()


def test_tokens_are_asked_for_by_the_key_of_the_catalogue(land, publish, files, monkeypatch):
    monkeypatch.setenv("LDSR_STAC_TOKEN_URL", f"{files.url}/sas/token/any")
    files.token = "hush"
    address = publish(land.item(at.PLAIN))
    assert "may not be read (HTTP 403)" in opening(address)
    with open_scene(address, catalogue="own") as scene:
        assert np.abs(scene.read(WINDOW).reflectance - ground(WINDOW)).max() <= HALF_DN
        assert scene.source.catalogue == "http://127.0.0.1:9/stac sentinel-2-c1-l2a"


def test_a_token_that_has_ended_is_fetched_again(land, publish, files, monkeypatch, cog):
    from ldsr.data import catalog

    monkeypatch.setenv("LDSR_STAC_TOKEN_URL", f"{files.url}/sas/token/any")
    files.token = "hush"
    with open_scene(cog, catalogue="own") as scene:
        files.token = "other"
        catalog._tokens.clear()
        assert scene.read(FAR).valid.all()
    assert len(files.asked("/sas/token")) == 2


def test_an_item_of_the_catalogue_itself_is_signed(land, files, use, api, monkeypatch):
    """Its address says where it is from."""
    use(api)
    address = f"{api}/collections/sentinel-2-c1-l2a/items/{at.PLAIN}"
    with open_scene(address) as scene:
        assert scene.source.catalogue == f"{api} sentinel-2-c1-l2a"
        assert np.abs(scene.read(WINDOW).reflectance - ground(WINDOW)).max() <= HALF_DN


ANSWERS = {
    "missing": r"-item.json cannot be fetched \(HTTP 404\); check the address",
    "error": r"-item.json cannot be fetched \(HTTP 500\)",
    "html": "-item.json is no JSON, expected a STAC item or a GeoTIFF",
    "nonsense": "-item.json is no JSON",
    "wrong": "-item.json is no STAC item, expected a GeoJSON feature",
    "slow": "-item.json cannot be fetched within 1 s",
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_item_that_cannot_be_had_is_one_sentence(land, publish, files, impatient, kind):
    address = publish(land.item(at.PLAIN))
    files.faults["-item.json"] = kind
    assert re.search(ANSWERS[kind], opening(address))


def test_servers_that_are_down_or_never_end(land, publish, impatient):
    with closed_port() as url:
        assert "(no connection)" in opening(f"{url}/a.tif")
        assert "(it cannot be reached)" in opening(f"{url}/item.json")
    with at.serve_drops() as url:
        opening(f"{url}/a.tif")
        opening(f"{url}/item.json")


def test_a_server_that_ends_midway_leaves_other_windows_to_be_read(land, publish, impatient):
    """Two tiles, one of them gone: windows of the other are read all the same."""
    items = [land.item(at.PLAIN), land.item(at.NEXT_TILE)]
    with open_scene(publish({"type": "FeatureCollection", "features": items})) as scene:
        for piece in (each.piece for each in scene._placed):
            piece.close()
        land.files.faults[at.NEXT_TILE] = "missing"
        windows.forget(items[1]["assets"]["red"]["href"])
        assert f"of {at.NEXT_TILE} is missing" in fails(scene.read, (600, 0, 50, 50))
        assert scene.read((0, 0, 50, 50)).valid.all()
        land.files.faults.clear()
        assert scene.read((600, 0, 50, 50)).valid.all()
