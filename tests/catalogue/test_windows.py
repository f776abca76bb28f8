"""Windows of files on the web: few requests, one sentence for each failure, and a cache."""

import contextlib
import re
import threading
import time

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from ldsr.data import catalog, windows
from ldsr.data.catalog import signed, window_cache
from ldsr.data.endpoints import choose
from ldsr.data.scene_reader import read_classes, read_scene, read_thumbnail
from ldsr.errors import SceneError
from tests.catalogue import conftest as at
from tests.catalogue.servers import closed_port

BOX = at.box_in(100, 100)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setenv("LDSR_HTTP_TIMEOUT", "1")


def fails(scene, box=BOX, read=read_scene) -> str:
    """The one sentence that a person is shown; it must leak nothing and name what to do."""
    with at.no_longer_than(windows.http_timeout()), pytest.raises(SceneError) as caught:
        read(scene, box)
    said = str(caught.value)
    assert not re.search(r"Traceback|/vsicurl|https?://|/tmp|token|secret", said), said
    assert re.search("choose|try again|wait", said) and said.endswith("."), said
    assert caught.value.__cause__ is None
    return said


FAULTS = {
    "missing": r"^B04 of S2B_T32TPS_\S+ is missing on the server \(HTTP 404\)",
    "error": r"^B04 of .* cannot be fetched \(HTTP 500\)",
    "busy": r"^B04 of .* cannot be fetched \(HTTP 429\)",
    "html": "^B04 of .* sends is no GeoTIFF",
    "nonsense": "^B04 of .* sends is no GeoTIFF",
    "slow": r"^B04 of .* cannot be fetched \(no answer within 1 s\)",
    "truncated": "^B04 of .* is damaged or cut off",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_one_sentence_and_once_lifted_is_forgotten(land, files, impatient, kind):
    scene = land.scene(at.PLAIN, box=BOX)
    files.faults["B04"] = (kind, 0.4) if kind == "truncated" else kind
    assert re.search(FAULTS[kind], fails(scene))
    del files.faults["B04"]
    patch = read_scene(scene, BOX)
    assert np.abs(patch.reflectance - at.ground(BOX)).max() < 1e-4


@pytest.mark.parametrize("kind", ["missing", "error", "html", "slow"])
def test_a_file_that_fails_after_its_header_works_again_later(tmp_path, files, impatient, kind):
    """The header is known already, the pixels of another place are not."""
    pixels = 2048
    noise = np.random.default_rng(0).integers(1, 10000, (pixels, pixels), np.uint16)
    grid = Affine(10, 0, at.WEST, 0, -10, at.NORTH)
    path = files.folder / f"{tmp_path.name}-noise.tif"
    size = {"width": pixels, "height": pixels, "count": 1, "dtype": "uint16", "driver": "GTiff"}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "crs": "EPSG:32632"}
    with rasterio.open(path, "w", transform=grid, **size, **tiles) as dataset:
        dataset.write(noise, 1)
    href, far = f"{files.url}/{path.name}", at.box_in(1200, 1200)
    windows.read_windows([(href, "B04 of X")], BOX)
    files.faults["noise"] = kind
    sentence = "^B04 of X (is|cannot)|^The files of the scene did not arrive within 8 s"
    with at.no_longer_than(1), pytest.raises(SceneError, match=sentence):
        windows.read_windows([(href, "B04 of X")], far)
    files.faults.clear()
    (found,) = windows.read_windows([(href, "B04 of X")], far)
    assert np.array_equal(found, noise[1200:1328, 1200:1328])


def test_a_file_server_that_is_down(land, impatient):
    item = land.item(at.PLAIN)
    with closed_port() as url:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace(land.files.url, url)
        assert "(no connection)" in fails(at.scene_of([item], BOX))


def test_a_file_server_that_sends_drop_by_drop(land, impatient):
    item = land.item(at.PLAIN)
    with at.serve_drops() as url:
        for asset in item["assets"].values():
            asset["href"] = asset["href"].replace(land.files.url, url)
        fails(at.scene_of([item], BOX))


@pytest.mark.parametrize(("part", "name"), [("SCL", "SCL"), ("B08", "B08")])
def test_the_message_names_the_file_that_failed(land, files, part, name):
    files.faults[part] = "missing"
    assert fails(land.scene(at.PLAIN, box=BOX)).startswith(f"{name} of {at.PLAIN} is missing")


def test_a_failure_is_told_at_once_while_another_file_is_late(land, files):
    files.faults |= {"B04": ("slow", 30.0), "B08": "missing"}
    begun = time.monotonic()
    assert fails(land.scene(at.PLAIN, box=BOX)).startswith("B08")
    assert time.monotonic() - begun < 15


def test_classes_and_thumbnails_fail_as_plainly(land, files):
    files.faults |= {"SCL": "missing", "TCI": "html"}
    scene = land.scene(at.PLAIN, box=BOX)
    assert fails(scene, read=read_classes).startswith("SCL of")
    assert fails(scene, read=read_thumbnail).startswith("The true-colour picture of")


def write(path, *, crs="EPSG:32632", grid=None, count=1, pixels=256, **more) -> None:
    """Write a band over BOX, out of the ordinary in one way."""
    grid = grid or Affine(10, 0, BOX.west, 0, -10, BOX.north)
    options = {"driver": "GTiff", "dtype": "uint16", "width": pixels, "height": pixels} | more
    with rasterio.open(path, "w", crs=crs, transform=grid, count=count, **options) as dataset:
        if pixels <= 1024:
            dataset.write(np.full((count, pixels, pixels), 2000, np.uint16))


DEGREES = Affine(1e-4, 0, 10.9, 0, -1e-4, 46.6)
ODD = {
    "another zone": ({"crs": "EPSG:32633"}, "lies in EPSG:32633, but its scene in EPSG:32632"),
    "degrees": ({"crs": "EPSG:4326", "grid": DEGREES}, "lies in EPSG:4326, expected a UTM zone"),
    "no crs": ({"crs": None}, "lies in no CRS, expected a UTM zone"),
    "two bands": ({"count": 2}, "has 2 bands, expected one"),
    "off the grid": (
        {"grid": Affine(10, 0, BOX.west + 3, 0, -10, BOX.north)},
        "do not lie on Sentinel-2's 10 m grid",
    ),
    "15 m": ({"grid": Affine(15, 0, BOX.west, 0, -15, BOX.north)}, "10 m grid"),
    "turned": ({"grid": Affine(10, 1, BOX.west, 1, -10, BOX.north)}, "10 m grid"),
    "upside down": ({"grid": Affine(10, 0, BOX.west, 0, 10, BOX.south)}, "10 m grid"),
    "huge blocks": (
        {"pixels": 8192, "tiled": True, "blockxsize": 8192, "blockysize": 8192, "sparse_ok": True},
        "blocks of more than 16777216 pixels",
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_a_file_that_is_not_what_the_catalogue_says_is_refused(tmp_path, files, land, kind):
    what, said = ODD[kind]
    name = f"{tmp_path.name}.tif"
    write(files.folder / name, **what)
    item = land.item(at.PLAIN)
    item["assets"]["nir"]["href"] = f"{files.url}/{name}"
    message = fails(at.scene_of([item], BOX))
    assert f"B08 of {at.PLAIN}" in message and said in message


def test_a_picture_with_60_m_pixels_is_repeated_from_the_right_place(tmp_path, files):
    box = at.box_in(3, 4, 640)
    values = np.arange(1, 65 * 65 + 1, dtype=np.uint16).reshape(65, 65)
    path = files.folder / f"{tmp_path.name}.tif"
    grid = Affine(60, 0, at.WEST, 0, -60, at.NORTH)
    size = {"width": 65, "height": 65, "count": 1, "dtype": "uint16", "driver": "GTiff"}
    with rasterio.open(path, "w", crs="EPSG:32632", transform=grid, **size) as dataset:
        dataset.write(values, 1)
    (found,) = windows.read_windows([(f"{files.url}/{path.name}", "B01")], box)
    assert np.array_equal(found, values.repeat(6, 0).repeat(6, 1)[4:68, 3:67])


def test_files_that_need_a_token(land, files, use, monkeypatch):
    files.token = "secret"
    scene = land.scene(at.PLAIN, box=BOX)
    assert "may not be read (HTTP 403); the catalogue needs a key" in fails(scene)
    monkeypatch.setenv("LDSR_STAC_TOKEN_URL", f"{files.url}/sas/token/x")
    patch = read_scene(scene, BOX)
    assert np.abs(patch.reflectance - at.ground(BOX)).max() < 1e-4
    assert len(files.asked("/sas/")) == 1
    assert "secret" not in f"{patch.source}"


def test_a_token_is_kept_and_fetched_anew_when_it_ends(files, monkeypatch):
    files.token = "secret"
    monkeypatch.setenv("LDSR_STAC_TOKEN_URL", f"{files.url}/sas/token/x")
    got = []
    askers = [
        threading.Thread(target=lambda: got.append(signed(choose(""), "http://a/b.tif")))
        for _ in range(8)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert got == ["http://a/b.tif?token=secret"] * 8
    files.requests.clear()
    assert signed(choose(""), "http://a/b.tif?x=1") == "http://a/b.tif?x=1&token=secret"
    assert not files.requests
    files.token = "next"
    year_2100 = 4102444800
    monkeypatch.setattr("ldsr.data.catalog.time.time", lambda: year_2100)
    assert signed(choose(""), "http://a/b.tif").endswith("?token=next")


def test_a_token_that_ended_is_no_reason_to_fetch_again(land, files, monkeypatch):
    files.token = "first"
    monkeypatch.setenv("LDSR_STAC_TOKEN_URL", f"{files.url}/sas/token/x")
    scene = land.scene(at.PLAIN, box=BOX)
    first = read_scene(scene, BOX)
    catalog._tokens.clear()
    files.token = "second"
    files.requests.clear()
    assert np.array_equal(read_scene(scene, BOX).reflectance, first.reflectance)
    assert not files.asked(".tif")


@pytest.mark.parametrize("kind", ["error", "nonsense", "wrong", "html", "slow", "down"])
def test_a_token_service_that_is_broken(land, files, impatient, monkeypatch, kind):
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(closed_port() if kind == "down" else at.serve_broken(kind))
        monkeypatch.setenv("LDSR_STAC_TOKEN_URL", url)
        with at.no_longer_than(1), pytest.raises(SceneError, match="token") as caught:
            read_scene(land.scene(at.PLAIN, box=BOX), BOX)
    assert url not in str(caught.value) and len(str(caught.value)) < 200


def test_a_small_box_takes_few_requests_and_none_the_second_time(land, files):
    scene = land.scene(at.PLAIN, box=BOX)
    first = read_scene(scene, BOX)
    assert 5 <= len(files.requests) <= 15
    files.requests.clear()
    second = read_scene(scene, BOX)
    assert not files.requests and second.source == first.source
    assert np.array_equal(first.reflectance, second.reflectance)
    assert np.array_equal(first.scl, second.scl)
    read_thumbnail(scene, BOX)
    files.requests.clear()
    read_thumbnail(scene, BOX)
    assert read_classes(scene, BOX).shape == (128, 128) and not files.requests


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_cache_file_is_read_anew(land, damage):
    scene = land.scene(at.PLAIN, box=BOX)
    first = read_scene(scene, BOX)
    kept = [path for path in window_cache().folder.iterdir() if path.is_file()]
    assert len(kept) == 5
    for path in kept:
        whole = bytearray(path.read_bytes())
        whole[-100] ^= 255
        path.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "flipped": whole}[damage])
    assert np.array_equal(read_scene(scene, BOX).reflectance, first.reflectance)


@pytest.mark.parametrize("megabytes", ["0", "nonsense", "-3"])
def test_without_a_cache_all_is_read_as_well(land, monkeypatch, megabytes):
    monkeypatch.setenv("LDSR_CACHE_MB", megabytes)
    scene = land.scene(at.PLAIN, box=BOX)
    for _ in range(2):
        assert np.abs(read_scene(scene, BOX).reflectance - at.ground(BOX)).max() < 1e-4
    assert window_cache().folder.exists() == (megabytes == "nonsense")


def test_a_cache_folder_that_cannot_be_made_is_no_obstacle(land, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "file"))
    assert read_scene(land.scene(at.PLAIN, box=BOX), BOX).valid.all()


def test_files_told_apart_by_their_query_are_not_mixed_up(tmp_path, files):
    key = windows._window_key
    assert key("http://a/get?file=B04", BOX) != key("http://a/get?file=B03", BOX)
    assert key("http://a/B04.tif?token=1", BOX) == key("http://a/B04.tif?token=2", BOX)


def test_many_readers_at_once(land):
    """Four sessions read the same box at the same time, with one cache."""
    scene, found = land.scene(at.PLAIN, box=BOX), []
    readers = [
        threading.Thread(target=lambda: found.append(read_scene(scene, BOX).reflectance))
        for _ in range(4)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(found) == 4 and all(np.array_equal(found[0], other) for other in found)
    assert not [path for path in window_cache().folder.iterdir() if path.name.startswith(".")]
