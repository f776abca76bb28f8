"""The result on a map: one file that fetches nothing but tiles and trusts no name."""

import base64
import dataclasses
import io
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import Affine
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.data.patch import Patch, Source
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from ldsr.web.files import GONE, routes
from ldsr.web.maps.basemaps import ATTRIBUTION_VARIABLE, TILES_VARIABLE, basemaps
from ldsr.web.maps.result_map import HONEST, policy, result_map
from ldsr.web.pictures import Shown
from ldsr.web.resolve import views
from ldsr.web.studio import Studio
from tests.fakes import FakePipeline, make_named_patch

FOUL = "</script><img src=x onerror=alert(1)>{{7*7}}{% for %}"


@pytest.fixture(autouse=True)
def no_tiles(monkeypatch) -> None:
    monkeypatch.setenv(TILES_VARIABLE, "off")


def placed(side: int = 32, name: str = "S2A_31UDQ", **more) -> Patch:
    values = np.random.default_rng(0).uniform(0.02, 0.4, (4, side, side)).astype(np.float32)
    acquired = datetime(2024, 6, 1, 10, 30, tzinfo=UTC)
    return Patch(
        reflectance=values,
        valid=np.ones((side, side), bool),
        crs=CRS.from_epsg(32631),
        transform=Affine(10, 0, 450000, 0, -10, 5410000),
        source=Source(**{"kind": "scene", "name": name, "acquired": acquired} | more),
    )


def shown_of(patch: Patch, **settings) -> Shown:
    return Shown(patch, FakePipeline()(patch, Settings(**settings), lambda step: None))


class Fetched(HTMLParser):
    """Everything a browser would fetch, and all text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fetched, self.text, self.inside, self.tags = [], "", "", []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster") or (tag == "link" and name == "href"):
                self.fetched.append(value)

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "style":
            self.fetched += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", data)
        elif self.inside != "script":
            self.text += data


def test_the_file_needs_no_other_and_says_what_it_is(monkeypatch):
    page = result_map(shown_of(placed(), steps=9, seed=5)).decode()
    found = Fetched(page)
    assert found.fetched == [] and "link" not in found.tags
    scripts = re.sub(r"data:image/webp;base64,[\w+/=]+", "", page)
    addresses = set(re.findall(r"https?://[\w.-]+", scripts))
    assert addresses <= {"https://leafletjs.com", "http://www.w3.org"}, "credit and a namespace"
    assert page.count("data:image/webp;base64,") == 4, "input, base, refined, generated detail"
    for fact in (
        "S2A_31UDQ",
        "2024-06-01 10:30 UTC",
        "48.8",
        "EPSG:32631",
        "mini (abababab)",
        "latent diffusion, DDIM, 9 steps; refined in 3 steps",
        "seed 5",
        HONEST,
        "Contains modified Copernicus Sentinel data 2024",
        "from 10 m to 2.5 m",
    ):
        assert fact in found.text, fact


def test_the_pictures_are_those_of_the_result():
    page = result_map(shown_of(placed())).decode()
    uris = re.findall(r"data:image/webp;base64,([\w+/=]+)", page)
    pictures = [Image.open(io.BytesIO(base64.b64decode(uri))) for uri in uris]
    assert len({picture.size for picture in pictures}) == 1
    assert min(pictures[0].size) >= 128 and pictures[0].mode == "RGBA"
    means = [np.asarray(picture)[40:90, 40:90, :3].mean() for picture in pictures[:3]]
    assert means[0] + 2 < means[1] < means[2] - 0.5, (
        "base is brighter than input, refined than base"
    )


def test_without_stage_two_there_are_two_pictures_and_no_detail():
    page = result_map(shown_of(placed(), refine=False)).decode()
    assert page.count("data:image/webp;base64,") == 2
    assert 'value="refined"' not in page and "refined in" not in page
    assert '"right": "base"' in page


def test_an_upload_credits_nobody_and_a_name_is_only_a_name():
    page = result_map(shown_of(placed(name=FOUL, kind="upload"))).decode()
    found = Fetched(page)
    assert "Copernicus" not in page and FOUL in found.text
    assert "img" not in found.tags and found.fetched == []


def test_a_file_can_be_sent_by_mail():
    assert len(result_map(shown_of(placed(128)))) < 2e6, "128 px of pure noise, the worst case"


def test_base_maps_and_their_replacement(monkeypatch):
    assert basemaps() == []
    monkeypatch.delenv(TILES_VARIABLE)
    assert [tiles["name"] for tiles in basemaps()] == ["Streets", "Satellite", "Dark"]
    for tiles in basemaps():
        assert all(part in tiles["url"] for part in ("https://", "{z}", "{x}", "{y}"))
        assert "key" not in tiles["url"] and tiles["attribution"] and tiles["max_zoom"] > 12
    assert [tiles["dark"] for tiles in basemaps()] == [False, False, True]
    monkeypatch.setenv(TILES_VARIABLE, "http://tiles.local:80/{z}/{x}/{y}.png")
    monkeypatch.setenv(ATTRIBUTION_VARIABLE, "Our own")
    (own,) = basemaps()
    assert own["url"].startswith("http://tiles.local") and own["attribution"] == "Our own"
    assert "img-src 'self' data: https: http://tiles.local:80;" in policy()
    assert "tiles.local" in result_map(shown_of(placed(16))).decode()


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://{s}.tiles.local/{z}/{x}/{y}.png", " http://*.tiles.local"),
        ("HTTP://a.tiles-{s}.local:8080/{z}/{x}/{y}{r}.png", " http://*.local:8080"),
        ("//tiles.local/{z}/{x}/{y}.png", " http://tiles.local"),
        ("http://127.0.0.1:8000?z={z}&x={x}&y={y}", " http://127.0.0.1:8000"),
        ("https://{s}.tiles.local/{z}/{x}/{y}.png", ""),
        ("/tiles/{z}/{x}/{y}.png", ""),
        ("http://tiles.local; script-src */{z}/{x}/{y}.png", " http://tiles.local"),
    ],
)
def test_the_policy_lets_tiles_through_and_nothing_else(monkeypatch, url, host):
    monkeypatch.setenv(TILES_VARIABLE, url)
    assert f"img-src 'self' data: https:{host}; base-uri 'none'" in policy()


@pytest.fixture
def client(monkeypatch) -> TestClient:
    monkeypatch.setattr("ldsr.web.studio.list_samples", tuple)
    studio = Studio(FakePipeline())
    client = TestClient(Starlette(routes=routes(studio)))
    client.studio = studio
    return client


def test_route_shows_and_downloads(client):
    shown = shown_of(placed(16))
    key = client.studio.keep(shown)
    value = views.viewer_value(key, shown)
    inline = client.get(f"/{value['map']['url']}")
    assert inline.headers["content-type"].startswith("text/html")
    assert "content-disposition" not in inline.headers
    rules = inline.headers["content-security-policy"]
    assert "default-src 'none'" in rules and "img-src 'self' data: https:;" in rules
    assert "sandbox" in rules and "allow-same-origin" not in rules
    kept = client.get(f"/{value['links']['map']}")
    assert kept.headers["content-disposition"] == 'attachment; filename="S2A_31UDQ_map.html"'
    assert kept.content == inline.content, "made once, kept"
    assert client.get(f"/ldsr/r/{key}/other_map.html").status_code == 404
    assert client.get("/ldsr/r/unknown/S2A_31UDQ_map.html").text == GONE


def test_no_map_without_a_result_or_a_position(client):
    patch = placed(16)
    value = views.viewer_value("ID", Shown(patch))
    assert value["map"] == {"url": None, "why": views.NO_RESULT} and value["links"] is None
    plain = shown_of(make_named_patch())
    key = client.studio.keep(plain)
    value = views.viewer_value(key, plain)
    assert value["map"] == {"url": None, "why": views.NO_PLACE} and "map" not in value["links"]
    assert client.get(f"/ldsr/r/{key}/{plain.stem}_map.html").status_code == 404
    with pytest.raises(LdsrError, match="no position"):
        result_map(plain)
    there = views.viewer_value("ID", shown_of(patch), input_only=True)
    assert there["map"]["url"] is None


def test_a_cloudy_box_is_warned_of_on_the_map():
    scl = np.full((32, 32), 4, np.uint8)
    scl[:16] = 9
    patch = dataclasses.replace(placed(), scl=scl)
    assert "50\u00a0% of this box is cloud" in Fetched(result_map(shown_of(patch)).decode()).text
