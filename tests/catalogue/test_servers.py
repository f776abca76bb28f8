"""The catalogue's test servers do what they say."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.windows import Window

from tests.catalogue.scenes import make_scene, origin_around, rebased, scene_id, truth_grid
from tests.catalogue.servers import (
    closed_port,
    serve_answers,
    serve_files,
    serve_geocoder,
    serve_stac,
)

WEST, NORTH = 637860, 5170140
SIZE = {"west": WEST, "north": NORTH, "pixels": 1536}
FIRST, SECOND = "S2B_T32TPS_20260914T101559_L2A", "S2A_T32TPS_20260825T101031_L2A"
SQUARE = [[10.89, 46.59], [10.91, 46.59], [10.91, 46.61], [10.89, 46.61], [10.89, 46.59]]
GDAL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "CPL_VSIL_CURL_USE_HEAD": "NO",
    "GDAL_HTTP_MAX_RETRY": "0",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, list[dict]]:
    """Two dates of a tile, and a tile across the antimeridian."""
    folder = tmp_path_factory.mktemp("scenes")
    cloud, ice = (WEST, NORTH - 7680, WEST + 3840, NORTH), (WEST, NORTH - 15360, 1e7, NORTH - 14400)
    items = [
        make_scene(folder, FIRST, cloud=cloud, scl={11: ice}, **SIZE),
        make_scene(folder, SECOND, acquired="2026-08-25T10:10:31Z", seed=1, **SIZE),
    ]
    x, y = origin_around("EPSG:32701", 180, -17.8, 256)
    name = scene_id("01KAA", "2026-09-11T22:05:59Z")
    items.append(make_scene(folder, name, crs="EPSG:32701", west=x, north=y, pixels=256))
    return folder, items


@pytest.fixture
def files(made):
    with serve_files(made[0]) as server:
        yield server


@pytest.fixture(scope="module")
def api(made, tmp_path_factory):
    client = pytest.importorskip("pystac_client")
    pytest.importorskip("rustac")
    with serve_stac(made[1], "sentinel-2-c1-l2a", tmp_path_factory.mktemp("stac")) as url:
        yield client.Client.open(url)


def _get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=10
        ) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _read(url: str, window: Window) -> np.ndarray:
    with rasterio.Env(**GDAL), rasterio.open(f"/vsicurl/{url}") as dataset:
        return dataset.read(1, window=window)


def _search(api, **asked) -> list[str]:
    return sorted(item.id for item in api.search(**asked).items())


def test_a_window_read_over_http_is_the_ground(made, files):
    item = rebased(made[1][1], files.url)
    across = Window(1000, 1010, 64, 40)
    ground = truth_grid("EPSG:32632", WEST + 10000, NORTH - 10100, 64, 40, seed=1)
    for band, key in enumerate(("red", "green", "blue", "nir")):
        scaling = item["assets"][key]["raster:bands"][0]
        dn = _read(item["assets"][key]["href"], across)
        off = np.abs(dn * scaling["scale"] + scaling["offset"] - ground[band])
        assert off.max() <= 0.501 * scaling["scale"]
    sent = files.asked("B04.tif")
    assert any(wanted and not wanted.startswith("bytes=0-") for _, _, wanted in sent)


def test_pixels_do_not_depend_on_the_window():
    whole = truth_grid("EPSG:32632", WEST, NORTH, 90, 80)
    part = truth_grid("EPSG:32632", WEST + 300, NORTH - 200, 40, 30)
    assert np.array_equal(whole[:, 20:50, 30:70], part)
    assert not np.array_equal(part, truth_grid("EPSG:32633", WEST + 300, NORTH - 200, 40, 30))


def test_cloud_snow_and_missing_data_are_where_they_were_put(made, tmp_path):
    with rasterio.open(made[0] / FIRST / "SCL.tif") as dataset:
        scl = dataset.read(1)
        assert dataset.res == (20, 20)
    assert (scl[:384, :192] == 9).all() and (scl[720:] == 11).all()
    assert made[1][0]["properties"]["eo:cloud_cover"] == pytest.approx(12.5)
    valid = (WEST, NORTH - 2560, WEST + 1280, NORTH)
    item = make_scene(tmp_path, FIRST, valid=valid, **SIZE | {"pixels": 256})
    with rasterio.open(tmp_path / FIRST / "B04.tif") as dataset:
        dn = dataset.read(1)
    assert (dn[:, :128] > 1000).all() and (dn[:, 128:] == 0).all()
    assert item["bbox"][2] < made[1][0]["bbox"][2]


def test_planetary_computer_names_and_declares_otherwise(tmp_path):
    name = scene_id("32TPS", "2026-09-14T10:05:59Z", "planetary-computer")
    item = make_scene(tmp_path, name, style="planetary-computer", **SIZE | {"pixels": 256})
    assert {"B02", "B03", "B04", "B08", "SCL", "visual", "rendered_preview"} == item[
        "assets"
    ].keys()
    assert "raster:bands" not in item["assets"]["B04"] and item["properties"]["proj:epsg"] == 32632
    assert all((tmp_path / asset["href"].lstrip("/")).exists() for asset in item["assets"].values())


def test_ranges_are_answered(files):
    url = f"{files.url}/{FIRST}/B04.tif"
    status, begun = _get(url, Range="bytes=0-15")
    assert (status, len(begun)) == (206, 16) and begun[:2] == b"II"
    assert _get(url)[1][:16] == begun
    assert files.requests[0] == ("GET", f"/{FIRST}/B04.tif", "bytes=0-15")


@pytest.mark.parametrize(
    ("fault", "status"), [("missing", 404), ("error", 500), ("busy", 429), ("html", 200)]
)
def test_a_fault_holds_for_its_files_only(files, fault, status):
    files.faults["B03"] = fault
    got, body = _get(f"{files.url}/{FIRST}/B03.tif")
    assert got == status and len(body) < 200
    assert _get(f"{files.url}/{FIRST}/B04.tif", Range="bytes=0-9")[0] == 206


def test_a_truncated_file_is_short_and_fails_in_the_middle(files):
    files.faults["B03"] = ("truncated", 0.5)
    url = f"{files.url}/{FIRST}/B03.tif"
    whole = _get(url.replace("B03", "B04"))[1]
    assert 0.3 * len(whole) < len(_get(url)[1]) < 0.7 * len(whole)
    with pytest.raises((RasterioIOError, RasterioError)):
        _read(url, Window(0, 0, 1536, 1536))


def test_delay_and_slow_files(files):
    files.delay, files.faults["SCL"] = 0.2, ("slow", 0.3)
    begin = time.monotonic()
    assert _get(f"{files.url}/{FIRST}/SCL.tif", Range="bytes=0-9")[0] == 206
    assert 0.5 <= time.monotonic() - begin < 5


def test_signed_files(files):
    files.token = "abc"
    url = f"{files.url}/{FIRST}/B04.tif"
    assert _get(url)[0] == 403 and _get(f"{url}?token=abc", Range="bytes=0-9")[0] == 206
    assert _get(f"{files.url}/{FIRST}/L2A_PVI.jpg")[0] == 200
    signed = json.loads(_get(f"{files.url}/sas/sign?href={url}")[1])["href"]
    assert _get(signed, Range="bytes=0-9")[0] == 206


def test_the_api_finds_by_place_and_date(api):
    polygon = {"type": "Polygon", "coordinates": [SQUARE]}
    both = [SECOND, FIRST]
    assert _search(api, intersects=polygon) == both
    assert _search(api, intersects={"type": "MultiPolygon", "coordinates": [[SQUARE]]}) == both
    assert _search(api, intersects=polygon, datetime="2026-09-01/2026-09-30") == [FIRST]
    assert _search(api, ids=[SECOND]) == [SECOND]
    assert _search(api, collections=["sentinel-2-l2a"]) == []
    assert len(_search(api, limit=1)) == 3


@pytest.mark.parametrize("lon", [179.95, -179.95])
def test_the_api_finds_on_both_sides_of_the_antimeridian(api, lon):
    point = {"type": "Point", "coordinates": [lon, -17.8]}
    assert _search(api, intersects=point) == []
    near = {"type": "Point", "coordinates": [lon / abs(lon) * 179.995, -17.8]}
    assert len(_search(api, intersects=near)) == 1


def test_broken_answers(made):
    with serve_answers("busy") as url:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(url)
        assert caught.value.code == 429 and caught.value.headers["Retry-After"] == "3600"
    with serve_answers("nonsense") as url, pytest.raises(ValueError):
        json.loads(_get(url)[1])
    with serve_answers("error", at="/search") as url:
        assert _get(url)[0] == 200 and _get(f"{url}/search")[0] == 500
    with closed_port() as url, pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url)


def test_an_empty_api_is_a_proper_one():
    client = pytest.importorskip("pystac_client")
    with serve_answers("empty") as url:
        assert _search(client.Client.open(url), collections=["sentinel-2-c1-l2a"]) == []


def test_a_slow_server_ends_at_once(files):
    begin = time.monotonic()
    with serve_answers("slow", seconds=60) as url, pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=0.3)
    assert time.monotonic() - begin < 10


def test_the_geocoder():
    with serve_geocoder({"Latsch, Italy": (10.9, 46.6), "Suva, Fiji": (178.4, -18.1)}) as url:
        found = json.loads(_get(f"{url}/search?q=latsch&format=jsonv2")[1])
        assert [(place["lat"], place["lon"]) for place in found] == [("46.6000000", "10.9000000")]
        assert json.loads(_get(f"{url}/search?q=nowhere&format=jsonv2")[1]) == []
    with serve_geocoder({}, kind="error") as url:
        assert _get(f"{url}/search?q=x")[0] == 500


def test_the_demo_serves_and_ends(tmp_path):
    command = [sys.executable, "-m", "tests.catalogue.servers", "--folder", str(tmp_path)]
    command += ["--pixels", "256"]
    root = Path(__file__).parents[2]
    server = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        told = json.loads(server.stdout.readline())
        assert len(told["scenes"]) == 10 and _get(f"{told['stac']}/search?limit=1")[0] == 200
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
        server.stdout.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(told["stac"], timeout=5)
