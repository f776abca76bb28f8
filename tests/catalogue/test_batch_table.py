"""A table of places becomes a batch: which scene is taken, and what is said where none is."""

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

from ldsr.batch.inputs import Wanted, list_entries, nearest_scene
from ldsr.data.places import box_at
from ldsr.errors import SceneError
from tests.batches import do, sheet, table, use_tiny
from tests.catalogue import conftest as at
from tests.catalogue.servers import closed_port

SIDE = 640


@pytest.fixture
def tiny(monkeypatch, tiny_pipeline):
    return use_tiny(monkeypatch, tiny_pipeline)


def write(path: Path, *rows: dict) -> Path:
    """Write a table with the columns of its first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(lon: float, lat: float, day: str, **more: object) -> dict:
    return {"lon": lon, "lat": lat, "date": day, "side": SIDE, "name": "", "cloud": "", **more}


def test_places_become_results_with_the_scene_they_are_from(
    api, use, tiny, tmp_path, capsys
) -> None:
    use(api)
    lon, lat = at.PLACE
    source = write(
        tmp_path / "places.csv",
        row(lon, lat, "2026-09-12", name="plain <b>"),
        row(lon, lat, "2026-09-10", cloud=100),
        row(*at.SOUTH, "2026-09-11", name="south"),
        row(0.0, 0.0, "2026-09-11", name="sea"),
        row(lon, lat, "2026-01-11", name="winter"),
    )
    out = tmp_path / "out"
    assert do(source, out) == 2
    rows = table(out)
    named = f"{lat:.4f}N_{lon:.4f}E_2026-09-10".replace("46.6000", "46.6000")
    assert list(rows) == ["plain <b>", named, "south", "sea", "winter"]
    assert [found["state"] for found in rows.values()] == ["done"] * 3 + ["failed"] * 2
    scenes = [rows[name]["scene"] for name in list(rows)[:3]]
    assert scenes == [at.PLAIN, at.CLOUDY, at.SOUTHERN], "the nearest in time"
    assert rows["south"]["acquired"] == "2026-09-11T10:05:59+00:00"
    assert abs(float(rows["south"]["lon"]) - at.SOUTH[0]) < 1e-4
    assert rows["south"]["cloud_share"] == "0.0" and rows["south"]["size"] == "64 x 64"
    assert "no scene of this box" in rows["sea"]["sentence"]
    assert "2026-01-01 to 2026-01-21" in rows["winter"]["sentence"]
    said = capsys.readouterr().err
    assert said.count("ldsr: ") == 2 and "Traceback" not in said
    told = sheet(out, "plain _b_")
    assert told["source"]["catalogue"] == f"{api} sentinel-2-c1-l2a"
    box = box_at(lon, lat, SIDE)
    with rasterio.open(out / "plain _b__sr.tif") as raster:
        assert raster.bounds == (box.west, box.south, box.east, box.north)
    assert np.isclose(float(rows["plain <b>"]["lat"]), lat, atol=1e-4)


def test_what_is_complete_asks_no_catalogue_again(api, use, tiny, tmp_path) -> None:
    use(api)
    source = write(tmp_path / "places.csv", row(*at.PLACE, "2026-09-12", name="here"))
    out = tmp_path / "out"
    assert do(source, out) == 0
    tiny.seen.clear()
    assert do(source, out, "--resume") == 0 and tiny.seen == []
    write(source, row(*at.PLACE, "2026-09-11", name="here"))
    assert do(source, out, "--resume") == 0 and len(tiny.seen) == 1
    with closed_port() as url:
        use(url, timeout=1)
        assert do(source, tmp_path / "other") == 2
        (failed,) = table(tmp_path / "other").values()
        assert "does not answer (it cannot be reached)" in failed["sentence"]


def test_cloud_is_that_of_the_box(api, use) -> None:
    use(api)
    west, south, east, north = at.CLOUD
    inside = at.Box(
        crs="EPSG:32632", west=west + 180, south=south + 180, east=west + 820, north=south + 820
    )
    lon, lat = inside.centre
    day = date(2026, 9, 9)
    cloudy = {"lon": lon, "lat": lat, "side": SIDE, "day": day}
    assert nearest_scene(Wanted(**cloudy, cloud=100)).id == at.CLOUDY
    assert nearest_scene(Wanted(**cloudy, cloud=10)).id in (at.PLAIN, at.HALF)
    with pytest.raises(SceneError) as caught:
        nearest_scene(Wanted(**cloudy, days=1))
    assert "One scene shows this box from 2026-09-08 to 2026-09-10, but with more than 20 % " in (
        str(caught.value)
    )
    assert "(the clearest 100 %); allow more cloud or more days." in str(caught.value)


def test_a_whole_box_is_better_than_a_nearer_part(api, use) -> None:
    """West of the middle both show all; across the border the older scene shows half."""
    use(api)
    over_edge = at.box_in(250 - SIDE // 20, 300, SIDE)
    lon, lat = over_edge.centre
    asked = {"lon": lon, "lat": lat, "side": SIDE, "day": date(2026, 9, 4)}
    assert nearest_scene(Wanted(**asked, days=1)).id == at.HALF, "a part where there is no more"
    assert nearest_scene(Wanted(**asked, days=10)).id == at.CLOUDY
    whole = at.box_in(100, 300, SIDE).centre
    asked |= {"lon": whole[0], "lat": whole[1]}
    assert nearest_scene(Wanted(**asked, days=10)).id == at.HALF


def test_other_separators_capitals_and_marks_are_read(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        b'\xef\xbb\xbfName; LON ;Lat;Date;notes\r\n"two\nlines";10.5;46;2026-09-14;x\r\n'
        b"\r\n;190;-8.25;2026-09-15\r\nb;1;2;2026-09-15;;;\r\n"
    )
    entries = list_entries(path)
    assert [entry.name for entry in entries] == ["two lines", "8.2500S_190.0000E_2026-09-15", "b"]
    assert entries[0].origin == Wanted(lon=10.5, lat=46.0, day=date(2026, 9, 14))
    assert (entries[2].origin.side, entries[2].origin.days, entries[2].origin.cloud) == (
        1280,
        10,
        20,
    )
