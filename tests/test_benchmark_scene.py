"""The benchmark of whole scenes: what it derives, and that it runs."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from ldsr.scene.windows import Plan
from tests.benchmarks import scene as bench

RUN = {
    "size": [512, 512],
    "windows": 4,
    "workers": 2,
    "client_seconds": 8.0,
    "window_alone": 30.0,
    "window_at_work": 31.0,
    "memory_gb": 1.5,
    "client_gb": 0.5,
    "file_gb": 0.1,
    "valid_cog": True,
    "on_the_input": True,
    "seams": 1.0,
}


def runs(*seconds: float, **more: object) -> list[dict]:
    areas = (10.0, 20.0, 40.0)
    return [
        {**RUN, "km2": km2, "seconds": took, "throughput": 0.9, **more}
        for km2, took in zip(areas, seconds, strict=True)
    ]


def test_the_straight_line_and_what_is_off_it() -> None:
    found = bench.summarise(runs(25.0, 45.0, 85.0))
    assert found["seconds_per_km2"] == pytest.approx(2) and found[
        "seconds_before"
    ] == pytest.approx(5)
    assert found["furthest_from_the_line"] < 1e-9 and all(found["bars"].values())
    assert found["worker_seconds_per_km2"] == pytest.approx(4)
    assert bench.summarise(runs(25.0, 60.0, 85.0))["furthest_from_the_line"] > 0.1


@pytest.mark.parametrize(
    ("wrong", "missed"),
    [
        ({"memory_gb": 3.1}, "memory per worker"),
        ({"throughput": 0.84}, "throughput"),
        ({"on_the_input": False}, "valid COG"),
    ],
)
def test_bars_can_be_missed(wrong: dict, missed: str) -> None:
    bars = bench.summarise(runs(25.0, 45.0, 85.0, **wrong))["bars"]
    assert [name for name, held in bars.items() if not held][0].startswith(missed)
    assert sum(bars.values()) == len(bars) - 1


def test_on_paper_is_arithmetic() -> None:
    lines = bench.on_paper(bench.summarise(runs(25.0, 45.0, 85.0)))
    tile = next(line for line in lines if line.startswith("a tile"))
    hours, client = 4 * 109.8**2 / 3600, 0.2 * 109.8**2 / 3600
    assert f"{hours:,.2f} h" in tile and f"{client:,.2f} h" in tile, "one client bounds a hundred"


def test_a_mosaic_is_made_of_the_pictures(tmp_path: Path) -> None:
    bench.make_mosaic(tmp_path / "scene.tif", 250, bench.SAMPLES)
    with rasterio.open(tmp_path / "scene.tif") as file:
        dn = file.read()
        assert file.shape == (250, 250) and file.res == (10, 10) and file.descriptions[3] == "B08"
    first, second = dn[:, :120, :120], dn[:, :120, 120:240]
    assert not np.array_equal(first, second) and (dn > 0).all()


def test_a_seam_is_found(tmp_path: Path) -> None:
    plan, path = Plan((128, 256), side=128, margin=16, ramp=16), tmp_path / "sr.tif"
    picture = np.random.default_rng(0).integers(1000, 1100, (1, 512, 1024)).astype(np.uint16)
    for offset, expected in ((0, pytest.approx(1, abs=0.1)), (200, pytest.approx(6, abs=1))):
        picture[:, :, 512:] += np.uint16(offset)
        place = {"crs": "EPSG:32633", "transform": rasterio.Affine(2.5, 0, 0, 0, -2.5, 0)}
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": 512, "width": 1024}
        with rasterio.open(path, "w", **profile, **place) as file:
            file.write(picture)
        assert bench.seams(path, plan) == expected
    assert bench.seams(path, Plan((128, 256), side=256, margin=16, ramp=16)) is None


def test_it_runs(tmp_path: Path) -> None:
    report = tmp_path / "scene.json"
    asked = ["--sides", "64,96", "--preset", "fast", "--workers", "1", "--json", str(report)]
    bench.main([*asked, "--figures", str(tmp_path)])
    found = json.loads(report.read_text())
    assert [run["size"] for run in found["runs"]] == [[64, 64], [96, 96]]
    assert found["bars"]["valid COG on the input"] and found["runs"][0]["memory_gb"] < 3
    assert (tmp_path / "scene.png").stat().st_size > 10_000
