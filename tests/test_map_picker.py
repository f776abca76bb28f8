"""The Python side of the map picker: its value, its template, its files."""

import json
import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.web.maps.picker import SCRIPTS, leaflet_folder, map_picker, map_routes, picker_value
from ldsr.web.theme import asset


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=list(map_routes())))


def test_the_value_is_json_and_takes_known_changes_only():
    value = picker_value(lon=11.35, cloud=20)
    assert json.loads(json.dumps(value)) == value
    assert (value["lon"], value["lat"], value["cloud"], value["side"]) == (11.35, None, 20, 1280)
    assert value["start"] < value["end"] and value["turn"] == 0 and value["basemaps"] is None
    with pytest.raises(TypeError, match="zoom"):
        picker_value(zoom=3)


def test_the_script_knows_every_entry_of_the_value():
    blank = re.search(r"const BLANK = \{(.*?)\n\};", asset("map.js"), re.DOTALL).group(1)
    assert set(re.findall(r"(\w+):", blank)) == set(picker_value())


def test_the_template_never_changes_and_brings_no_leaflet_along():
    component = map_picker(picker_value())
    # Gradio fills in ${...} and {{...}}: there must be nothing for it to fill in
    assert not re.search(r"\$\{|\{\{|`|@children", component.html_template)
    assert component.elem_id == "map-picker" and not component.head
    for name in SCRIPTS:
        assert "http://" not in asset(name) and "https://" not in asset(name)
        assert len(asset(name).splitlines()) < 300


def test_leaflet_is_served_and_kept(client):
    for name in ("leaflet.js", "leaflet.css", "images/layers.png"):
        answer = client.get(f"/ldsr/leaflet/{name}")
        assert answer.content == (leaflet_folder() / name).read_bytes()
        assert "max-age=604800" in answer.headers["cache-control"]
    missing = client.get("/ldsr/leaflet/none.js")
    assert missing.status_code == 404 and "cache-control" not in missing.headers
    assert client.get("/ldsr/leaflet/%2e%2e/__init__.py").status_code == 404


def test_the_outline_of_the_land_is_coarse_closed_and_says_where_it_is_from(client):
    answer = client.get("/ldsr/map/land.json")
    outline = answer.json()
    assert len(answer.content) < 70_000
    assert "Natural Earth" in outline["source"] and "Public domain" in outline["licence"]
    assert len(outline["rings"]) > 100
    for ring in outline["rings"]:
        assert ring[0] == ring[-1] and len(ring) >= 4
        assert all(-200 <= lon <= 200 and -90 <= lat <= 90 for lon, lat in ring)
        jumps = [abs(a[0] - b[0]) for a, b in zip(ring, ring[1:], strict=False) if a[1] > -89.9]
        assert max(jumps) < 60, "a line across the whole map"
    inside = [_contains(ring, 11.35, 46.5) for ring in outline["rings"]]
    assert sum(inside) == 1 and not any(_contains(ring, -30, 40) for ring in outline["rings"])


def _contains(ring: list[list[float]], lon: float, lat: float) -> bool:
    crossings = [
        a[0] + (lat - a[1]) / (b[1] - a[1]) * (b[0] - a[0]) > lon
        for a, b in zip(ring, ring[1:], strict=False)
        if (a[1] > lat) != (b[1] > lat)
    ]
    return sum(crossings) % 2 == 1
