"""Scene jobs on the page, without a browser: what is offered, for how long, and what is served."""

import contextlib
import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ldsr.data.places import box_at
from ldsr.data.radiometry import Hints
from ldsr.data.scenes import Scene, Tile, read_item
from ldsr.errors import AmbiguousPatchError, PatchError, SceneError
from ldsr.settings import Settings
from ldsr.web.maps import flows as map_flows
from ldsr.web.maps.picker import picker_value
from ldsr.web.resolve import flows, knobs
from ldsr.web.scenes import card as scene_card
from ldsr.web.scenes import offer as scene_offer
from ldsr.web.scenes.area import area_at, items_of
from ldsr.web.scenes.jobs import SceneJobs
from ldsr.web.scenes.offer import Offer, make_job, offer_area, offer_value
from ldsr.web.scenes.run import scene_command
from ldsr.web.studio import Studio
from ldsr.words import duration
from tests.fakes import FakePipeline, collect, wait_for
from tests.scene_stand_in import WINDOWS
from tests.test_map_flows import make_scene
from tests.test_scene_jobs import clock, gate, stand_in_command  # noqa: F401

PANELS = (*knobs.panel_values(Settings()), {"source": "spectral", "own": "spectral"})


@pytest.fixture
def studio(gate, clock, monkeypatch):  # noqa: F811
    made = Studio(FakePipeline())
    made.scene_jobs = SceneJobs(command=stand_in_command, clock=clock)
    monkeypatch.setattr(scene_card, "read_settings", lambda *panels: Settings())
    yield made
    made.scene_jobs.close()


@pytest.fixture
def large(tmp_path):
    """A file of 1100 x 1040 pixels."""
    return make_large(tmp_path / "large field.tif")


def make_large(path, rows=1040):
    shape = {"height": rows, "width": 1100, "count": 4, "dtype": "uint16"}
    place = {"crs": "EPSG:32632", "transform": from_origin(680000, 5152000, 10, 10)}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place) as file:
        file.write(np.random.default_rng(0).integers(300, 4000, (4, rows, 1100), np.uint16))
        file.descriptions = ("B04", "B03", "B02", "B08")
        file.scales = (1e-4,) * 4
    return path


def offered(studio, path) -> dict:
    pending = {"paths": [str(path)], "answers": {}}
    return flows.read_upload(studio, dict(flows.EMPTY), pending)[0]


def make_offer(**changes) -> Offer:
    plain = Offer(
        name="large.tif",
        text="Large.",
        size=(1040, 1100),
        scene="input/large.tif",
        files={"large.tif": b"pixels"},
        options=(),
        about={},
    )
    return dataclasses.replace(plain, **changes)


def test_a_large_upload_is_offered_and_runs(studio, gate, large):  # noqa: F811
    shot = flows.read_upload(studio, dict(flows.EMPTY), {"paths": [str(large)], "answers": {}})
    state, line = shot[0], shot[2]
    assert line["state"] == "ask" and "scene job" in line["text"]
    value = scene_card.show(studio, state, [], PANELS)
    assert "1100 x 1040 px, more than the 1024 px" in value["offer"]["text"]
    assert value["offer"]["windows"] == 9 and value["offer"]["time"] is None
    value, state, line = scene_card.run(studio, state, ["detail"], PANELS)
    assert state["offer"] is None and line["state"] == "done" and value["offer"] is None
    job = value["made"]["id"]
    kept = studio.scene_jobs.folder / job
    assert (kept / "input" / large.name).read_bytes() == large.read_bytes()
    asked = json.loads((kept / "job.json").read_text())
    assert asked["scene"] == f"input/{large.name}" and asked["stem"] == "large_field_sr"
    assert {"--detail", "--weights=mini", "--device=cpu", "--samples=0"} <= set(asked["options"])
    assert str(large.parent) not in (kept / "job.json").read_text()
    gate(WINDOWS)
    wait_for(lambda: studio.scene_jobs.look(job)["state"] == "done")
    priced = scene_card.show(studio, offered(studio, large), ["detail"], PANELS)
    assert priced["offer"]["time"] == "18 s", "2 seconds a window, as the job before took"


def test_an_item_from_a_stranger_leads_to_no_server(studio, tmp_path):
    """An uploaded STAC item, or anything else that names files elsewhere, is not followed."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    try:
        names = ("red", "green", "blue", "nir")
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": "S2B",
            "properties": {"datetime": "2026-09-14T10:15:00Z", "proj:code": "EPSG:32632"},
            "links": [{"rel": "self", "href": f"{place}/item.json"}],
            "assets": {name: {"href": f"{place}/{name}.tif"} for name in names},
        }
        vrt = (
            '<VRTDataset rasterXSize="2000" rasterYSize="2000"><VRTRasterBand dataType="UInt16" '
            f'band="1"><SimpleSource><SourceFilename>/vsicurl/{place}/a.tif</SourceFilename>'
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        texts = {"item.json": json.dumps(item), "item.tif": json.dumps(item), "a.tif": vrt}
        for name, text in texts.items():
            path = tmp_path / name
            path.write_text(text)
            assert scene_offer.offer_upload([str(path)], {}) is None
            shot = flows.read_upload(
                studio, dict(flows.EMPTY), {"paths": [str(path)], "answers": {}}
            )
            assert shot[2]["state"] == "error" and shot[0]["offer"] is None
    finally:
        server.shutdown()
        server.server_close()
    assert asked == []


def test_the_real_command_makes_a_file_of_an_upload(gate, clock, tmp_path, monkeypatch):  # noqa: F811
    """Nothing stands in: `python -m ldsr scene` of a strip, without networks."""
    monkeypatch.setattr("tests.fakes.PATIENCE", 300.0)
    path = make_large(tmp_path / "a strip.tif", rows=64)
    studio = Studio(FakePipeline())
    # in one process: a crew would cost more than the work
    studio.scene_jobs = SceneJobs(
        command=lambda record: [*scene_command(record), "--workers=0"], clock=clock
    )
    try:
        offer = studio.store.get(offered(studio, path)["offer"])
        record = make_job(
            offer,
            studio.scene_jobs,
            pipeline=studio.pipeline,
            settings=Settings(base="bicubic", refine=False),
            layers=[],
        )
        wait_for(lambda: studio.scene_jobs.look(record.id)["expires"])
        view = studio.scene_jobs.look(record.id)
        assert (view["state"], view["message"]) == ("done", "")
        assert view["done"] == view["windows"] == record.windows and view["preview"]
        with rasterio.open(studio.scene_jobs.file(record.id, "a_strip_sr.tif")[0]) as file:
            assert (file.count, file.height, file.width) == (4, 256, 4400)
            assert file.transform.a == 2.5 and file.crs.to_epsg() == 32632
            assert file.read(1).any()
        assert len(view["files"]) == 3
    finally:
        studio.scene_jobs.close()


def test_what_is_wrong_besides_the_size_is_said_or_asked(studio, large, monkeypatch):
    @contextlib.contextmanager
    def ambiguous(path, answers):
        if not answers:
            question = {"question": "scale", "choices": ("reflectance",)}
            raise AmbiguousPatchError("Which scale?", **question)
        yield SimpleNamespace(size=(1040, 1100))

    monkeypatch.setattr(scene_offer, "_opened", ambiguous)
    state = offered(studio, large)
    assert state["pending"]["question"] == "scale" and state["offer"] is None
    pending = state["pending"] | {"answers": {"scale": "reflectance"}}
    state = flows.read_upload(studio, state, pending)[0]
    offer = studio.store.get(state["offer"])
    assert offer.options == ("--scale=reflectance",)

    def broken(path, answers):
        raise PatchError("Another sentence.")

    monkeypatch.setattr(scene_offer, "_opened", broken)
    shot = flows.read_upload(studio, dict(flows.EMPTY), {"paths": [str(large)], "answers": {}})
    assert shot[2]["state"] == "error" and "at most 1024" in shot[2]["text"]


def test_a_small_or_another_input_takes_the_offer_away(studio, large, tmp_path):
    state = offered(studio, large)
    assert state["offer"]
    assert flows.refused(state, "No.")[0]["offer"] is None
    assert scene_card.show(studio, dict(flows.EMPTY), [], PANELS) == scene_card.NOTHING
    gone = scene_card.run(studio, flows.EMPTY | {"offer": "gone"}, [], PANELS)[0]
    assert gone["made"] is None and "no longer open" in gone["error"]


def test_layers_need_their_settings(studio):
    how = {"pipeline": studio.pipeline, "layers": ["detail", "uncertainty"]}
    record = make_job(make_offer(), studio.scene_jobs, settings=Settings(), **how)
    assert {"--samples=8", "--detail", "--uncertainty"} <= set(record.options)
    for settings, words in (
        (Settings(refine=False), "switch Refine on"),
        (Settings(semantics="clip"), "is of one picture"),
    ):
        with pytest.raises(SceneError, match=words):
            make_job(make_offer(), studio.scene_jobs, settings=settings, **how)


def test_the_time_of_an_equal_run_is_a_figure_too(studio):
    seen = {"weights": "mini", "settings": Settings(samples=8, seed=3), "seconds": {"total": 2.0}}
    shown = SimpleNamespace(**seen, lr=SimpleNamespace(size=(128, 128)))
    how = {"weights": "mini", "layers": [], "shown": shown}
    view = offer_value(make_offer(), studio.scene_jobs, settings=Settings(seed=9), **how)
    assert view["time"] is not None and view["before"] == 0 and view["refine"]
    other = offer_value(make_offer(), studio.scene_jobs, settings=Settings(steps=20), **how)
    assert other["time"] is None
    texts = [duration(seconds) for seconds in (0.1, 80, 300, 3600, 4000, 90000)]
    assert texts == ["1 s", "80 s", "5 min", "1 h", "1 h 7 min", "25 h"]


def test_an_area_is_offered_for_the_scene_that_is_chosen(studio, monkeypatch):
    monkeypatch.setattr(map_flows, "find_scenes", lambda box, **asked: [make_scene()])
    monkeypatch.setattr(map_flows, "read_classes", lambda scene, box: np.full(box.size, 4, "u1"))
    asked = picker_value(lon=11.3, lat=46.5, side=5000) | {"ask": "box", "turn": 1}
    (drawn,) = collect(map_flows.answer(studio, asked, "me"))
    assert drawn["side"] == 5000 and "run as a scene job" in drawn["footprint"]
    west, east = (edge(x for x, _ in drawn["ring"]) for edge in (min, max))
    assert abs((east - west) * 111320 * np.cos(np.radians(46.5)) - 5000) < 20
    found = collect(map_flows.answer(studio, asked | {"ask": "scenes"}, "me"))[-1]
    (card,) = found["scenes"]
    assert card["box_cloud"] == 0 and card["covers"] == 1 and card["thumb"]
    area = map_flows.area_found(studio, card["key"])
    changes, shot = map_flows.offer(studio, dict(flows.EMPTY), "me", area)
    assert changes["state"] == "done" and shot[2]["state"] == "ask"
    offer = studio.store.get(shot[0]["offer"])
    assert f"{offer.size[1]} x {offer.size[0]} px" in offer.text
    bounds = [float(one) for one in offer.options[0].removeprefix("--bounds=").split(",")]
    assert bounds == pytest.approx([west, 46.5 - 2500 / 111320, east, 46.5 + 2500 / 111320])
    assert offer.options[1] == "--catalogue=earth-search"
    assert json.loads(offer.files["items.json"])["features"][0]["id"] == "S2B_0"


def test_large_areas_are_listed_without_reading_them(studio, monkeypatch):
    monkeypatch.setattr(map_flows, "find_scenes", lambda box, **asked: [make_scene()])
    asked = picker_value(lon=11.3, lat=46.5, span=[60, 100]) | {"ask": "scenes", "turn": 1}
    (card,) = collect(map_flows.answer(studio, asked, "me"))[-1]["scenes"]
    assert card["thumb"] == "" and card["box_cloud"] is None and card["covers"] == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"span": [120, 10]}, "expected 0.32 to 110 km a side"),
        ({"span": [0.1, 10]}, "expected 0.32 to 110 km a side"),
        ({"span": ["a", 10]}, "expected 0.32 to 110 km a side"),
        ({"span": [10]}, "expected 0.32 to 110 km a side"),
        ({"side": 20000, "lon": 179.95}, "180th meridian"),
        ({"side": 20000, "lat": 85}, "beyond the UTM grid"),
    ],
)
def test_a_wrong_area_is_one_sentence(studio, value, words):
    asked = picker_value(**{"lon": 11.3, "lat": 46.5} | value) | {"ask": "box", "turn": 1}
    (last,) = collect(map_flows.answer(studio, asked, "me"))
    assert last["state"] == "error" and words in last["message"]


def test_an_area_covers_its_rectangle_in_every_zone():
    area = area_at(11.3, 46.5, (20, 8))
    for moved in (area, area.moved_to("EPSG:32633")):
        assert moved.degrees == area.degrees and moved.moved_to(area.crs) == area
        height, width = moved.size
        assert 2000 <= width <= 2200 and 800 <= height <= 1200
    box = box_at(11.3, 46.5)
    inside = area.west < box.west < box.east < area.east
    assert inside and area.south < box.south < box.north < area.north
    half = Tile(
        id="t",
        crs=area.crs,
        bounds=(area.west, area.south, (area.west + area.east) / 2, area.north),
        hrefs={},
        hints=Hints(),
    )
    assert half.covers(area) == pytest.approx(0.5)


@pytest.mark.parametrize("original", [True, False])
@pytest.mark.parametrize(
    "said",
    [
        {"s2:processing_baseline": "05.11"},
        {"s2:processing_baseline": "02.14"},
        {"earthsearch:boa_offset_applied": True, "s2:processing_baseline": "05.11"},
        {"bands": [{"scale": 1e-4, "offset": -0.1}], "s2:processing_baseline": "05.11"},
        {"bands": [{"scale": 1e-4, "offset": 0}]},
        {},
    ],
)
def test_items_are_read_back_as_they_were(said, original):
    said = dict(said)
    pixels = {"raster:bands": said.pop("bands")} if "bands" in said else {}
    names = {"red": pixels, "green": {}, "blue": {}, "nir": {}, "scl": {}, "visual": {}}
    item = {
        "id": "S2B",
        "properties": {"datetime": "2026-09-14T10:15:00Z", "proj:code": "EPSG:32632", **said},
        "assets": {
            name: {"href": f"https://example.org/{name}.tif", "proj:bbox": [0, 0, 9, 9]} | more
            for name, more in names.items()
        },
    }
    entry = read_item(item, original=original)
    scene = Scene(
        id="S2B",
        acquired=entry.acquired,
        cloud_percent=12.5,
        tiles=(entry.tile,),
        catalogue="earth-search",
    )
    (made,) = json.loads(items_of(scene))["features"]
    again = read_item(made, original=original)
    assert again.tile == entry.tile and again.acquired == entry.acquired
    assert again.cloud_percent == 12.5
    assert offer_area(scene, area_at(8.99, 46.5, (5, 5))).name == "S2B"


def test_routes_give_a_job_to_who_knows_its_id(studio, gate):  # noqa: F811
    how = {"pipeline": studio.pipeline, "settings": Settings(), "layers": []}
    record = make_job(make_offer(), studio.scene_jobs, **how)
    web = TestClient(Starlette(routes=scene_card.scene_routes(studio)))
    (view,) = web.get("/ldsr/jobs.json", params={"id": record.id}).json()["jobs"].values()
    assert view["state"] in ("waiting", "starting", "computing")
    assert web.get("/ldsr/jobs.json").json() == {"jobs": {}}
    unknown = web.get("/ldsr/jobs.json", params={"id": "a" * 22}).json()["jobs"]
    assert list(unknown.values()) == [None]
    gate(WINDOWS)
    wait_for(lambda: studio.scene_jobs.look(record.id)["state"] == "done")
    place = f"/ldsr/jobs/{record.id}"
    cog = web.get(f"{place}/large_sr.tif")
    assert cog.status_code == 200 and cog.headers["content-type"] == "image/tiff"
    assert 'filename="large_sr.tif"' in cog.headers["content-disposition"]
    part = web.get(f"{place}/large_sr.tif", headers={"Range": "bytes=0-3"})
    assert part.status_code == 206 and part.content == cog.content[:4]
    assert web.get(f"{place}/preview.png").headers["content-type"] == "image/png"
    for name in ("job.json", "log.txt", "..%2Fmeasured.json", "%2e%2e/measured.json", "large.tif"):
        assert web.get(f"{place}/{name}").status_code == 404
    assert web.get(f"/ldsr/jobs/{'a' * 22}/large_sr.tif").status_code == 404
    assert web.get("/ldsr/jobs/..%2F../large_sr.tif").status_code == 404


def test_the_card_stops_goes_on_and_discards(studio):
    how = {"pipeline": studio.pipeline, "settings": Settings(), "layers": []}
    record = make_job(make_offer(), studio.scene_jobs, **how)
    mine = {"id": record.id, "key": record.key}

    def ask(what, **more) -> str:
        return scene_card.answer(studio.scene_jobs, {"ask": what, **mine, **more})["refused"]

    assert "Only who began" in ask("cancel", key="another")
    assert ask("cancel") == ""
    wait_for(lambda: studio.scene_jobs.look(record.id)["state"] == "stopped")
    assert ask("discard") == "" and "no longer kept" in ask("go_on")
    assert "reload" in ask("explode")
    for nonsense in (None, [], {"ask": "cancel"}, {"ask": "cancel", "id": 3, "key": 4}):
        assert scene_card.answer(studio.scene_jobs, nonsense)["refused"]
