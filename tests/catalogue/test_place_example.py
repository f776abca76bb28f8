"""The example of assets/examples: from the name of a place to a GeoTIFF, as a person starts it."""

import os
import runpy
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio

from ldsr.data.catalog import find_scenes
from tests.catalogue import conftest as at
from tests.catalogue.servers import serve_geocoder

ROOT = Path(__file__).parents[2]
SCRIPT = "assets/examples/place_to_geotiff.py"
PLACES = {"Neusiedl am See, Burgenland, Austria": at.PLACE}


def start(folder: Path, api: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run the example beside the servers of this test."""
    with serve_geocoder(PLACES) as geocoder:
        env = os.environ | {"PYTHONPATH": ".", "LDSR_HOME": str(folder / "home")}
        env |= {"LDSR_STAC_URL": api, "LDSR_GEOCODER_URL": f"{geocoder}/search"}
        command = [sys.executable, SCRIPT, *arguments, "--out", str(folder / "sr.tif")]
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
        )


def test_from_a_name_to_a_geotiff_of_the_clearest_scene(api, files, tmp_path):
    days = ("--start", "2026-09-01", "--end", "2026-09-30", "--samples", "2")
    done = start(tmp_path, api, "Neusiedl am See", *days)
    assert done.returncode == 0, done.stderr
    assert at.PLAIN in done.stdout and "0% of the box clouded" in done.stdout
    assert str(tmp_path) not in done.stdout
    box = at.middle()
    with rasterio.open(tmp_path / "sr.tif") as found:
        assert found.shape == (512, 512) and found.crs.to_string() == "EPSG:32632"
        assert found.bounds[:2] == (box.west, box.south)
        seen = found.read().reshape(4, 128, 4, 128, 4).mean((2, 4))
    assert np.abs(seen - at.ground(box)).mean() < 0.02
    with rasterio.open(tmp_path / "sr_uncertainty.tif") as found:
        assert "standard deviation" in " ".join(found.descriptions)


@pytest.fixture
def example(use, api, files, monkeypatch) -> Iterator[dict]:
    """What the program consists of, beside the servers of this test."""
    use(api)
    with serve_geocoder(PLACES) as geocoder:
        monkeypatch.setenv("LDSR_GEOCODER_URL", f"{geocoder}/search")
        yield runpy.run_path(str(ROOT / SCRIPT))


def test_cloud_and_gaps_of_the_box_count_not_those_of_the_tile(example):
    box = at.middle(side=640)
    scenes = find_scenes(box, start=date(2026, 9, 1), end=date(2026, 9, 13))
    assert {scene.id for scene in scenes} == {at.CLOUDY, at.HALF}
    scene, unusable = example["clearest"](scenes, box)
    assert scene.id == at.HALF and 0.5 < unusable < 0.7


def test_what_is_wrong_is_one_line(example, tmp_path, capsys):
    wrong = {
        "Atlantis": "The place search knows no place 'Atlantis'",
        "Neusiedl": "has no scene of this box from 2020-01-01 to 2020-01-02",
    }
    days = ["--start", "2020-01-01", "--end", "2020-01-02", "--out", str(tmp_path / "sr.tif")]
    for place, expected in wrong.items():
        assert example["main"]([place, *days]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and expected in said
    assert not (tmp_path / "sr.tif").exists()
