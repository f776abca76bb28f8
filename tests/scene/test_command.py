"""`python -m ldsr scene`: files in, files out, one line for whatever goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from ldsr.__main__ import main
from ldsr.scene import command
from ldsr.scene.crew import Here
from ldsr.scene.folder import job_folder
from tests.scene.arrays import ground

ROOT = Path(__file__).parents[2]
CHEAP = ("--base", "bicubic", "--no-refine", "--workers", "0", "--side", "64")
GONE = 300.0
"""Seconds; a slow machine is not a fault."""


def write_scene(path: Path, size: tuple[int, int] = (150, 140), **more: object) -> Path:
    """Write a scene as Sentinel-2's numbers, its bands named."""
    dn = np.rint(10000 * ground(size)).astype(np.uint16)
    profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", "height": size[0]}
    profile |= {"width": size[1], "crs": "EPSG:32633", "tiled": True, "blockxsize": 64}
    profile |= {"blockysize": 64, "transform": from_origin(399960, 5800020, 10, 10), **more}
    with rasterio.open(path, "w", **profile) as file:
        file.write(dn[: profile["count"]])
        file.descriptions = ("B04", "B03", "B02", "B08")[: profile["count"]]
        file.update_tags(scale="0.0001 reflectance")
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "S2A_MSIL2A_20170613T101031.tif")


def scene_command(scene: object, out: Path, *more: str) -> int:
    return main(["scene", str(scene), "--out", str(out), *CHEAP, *more])


def test_a_geotiff_becomes_a_geotiff(
    scene: Path, tmp_path: Path, tiny_crew: Here, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "made" / "sr.tif"
    assert scene_command(scene, out) == 0
    said = capsys.readouterr()
    assert said.out == f"{scene} -> {out}\n"
    assert "9 of 9 windows" in said.err and "left" in said.err
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "sr.json",
        "sr.stac.json",
        "sr.tif",
    ]
    sheet = json.loads((tmp_path / "made" / "sr.json").read_text())
    assert sheet["source"]["acquired"].startswith("2017-06-13T10:10:31")
    with rasterio.open(out) as made, rasterio.open(scene) as given:
        assert made.bounds == given.bounds and made.count == 4


def test_everything_at_once(scene: Path, tmp_path: Path, tiny_crew: Here) -> None:
    out = tmp_path / "sr.tif"
    asked = ("--steps", "1", "--refine-steps", "1", "--detail", "--uncertainty", "--samples", "2")
    arguments = ["scene", str(scene), "--out", str(out), "--workers", "0", "--dtype", "float32"]
    assert main([*arguments, *asked]) == 0
    with rasterio.open(out) as made:
        assert made.count == 9 and made.dtypes[0] == "float32" and np.isnan(made.nodata)
        assert "half width" in made.descriptions[8] and "generated" in made.descriptions[4]


def test_only_a_part(scene: Path, tmp_path: Path, tiny_crew: Here) -> None:
    from rasterio.warp import transform_bounds

    with rasterio.open(scene) as given:
        west, _, _, north = given.bounds
        place = (west + 200, north - 900, west + 1000, north - 100)
        box = transform_bounds(given.crs, "EPSG:4326", *place)
    assert scene_command(scene, tmp_path / "sr.tif", "--bounds", ",".join(map(repr, box))) == 0
    with rasterio.open(tmp_path / "sr.tif") as made:
        assert 80 * 4 <= made.width <= 84 * 4 and 80 * 4 <= made.height <= 84 * 4
        assert made.bounds.left <= place[0] and made.bounds.top >= place[3]


def test_the_progress_file_tells_how_it_went(scene: Path, tmp_path: Path, tiny_crew: Here) -> None:
    state, out = tmp_path / "state.json", tmp_path / "sr.tif"
    assert scene_command(scene, out, "--progress", str(state)) == 0
    told = json.loads(state.read_text())
    assert told["state"] == "done" and told["done"] == told["windows"] == 9 and not told["failed"]
    assert scene_command(tmp_path / "none.tif", out, "--progress", str(state)) == 2
    told = json.loads(state.read_text())
    assert told["state"] == "failed" and "There is no file none.tif" in told["message"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--bounds", "1,2,3"), "--bounds is '1,2,3'; expected west,south,east,north"),
        (("--bounds", "1,5,3,4"), "expected .*south below north"),
        (("--progress", "none/state.json"), "There is no folder none for the progress"),
        (("--out", "sr.png"), "--out is 'sr.png'; expected the name of a GeoTIFF"),
        (("--mask", "cloud"), "comes without a scene classification"),
        (("--exact", "--half"), "--exact needs float32"),
        (("--workers", "-2"), "--workers is -2; expected 0"),
        (("--scheduler", "tcp://127.0.0.1:9"), "give one of the two"),
        (("--steps", "0"), "steps is 0; expected a whole number from 1 to 1000"),
    ],
)
def test_wrong_options_are_one_line(
    scene: Path,
    tmp_path: Path,
    tiny_crew: Here,
    capsys: pytest.CaptureFixture,
    options: tuple[str, ...],
    said: str,
) -> None:
    import re

    assert scene_command(scene, tmp_path / "sr.tif", *options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(said, lines[0]) and lines[0].startswith("ldsr: ")
    assert not list(tmp_path.glob("sr.*"))


@pytest.mark.parametrize("name", ["scene.tif", "scene.json", "scene.stac.json"])
def test_the_input_is_never_overwritten(
    tmp_path: Path, tiny_crew: Here, capsys: pytest.CaptureFixture, name: str
) -> None:
    scene = write_scene(tmp_path / name)
    before = scene.read_bytes()
    assert scene_command(scene, tmp_path / "scene.tif") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "would lie on or among the input" in line and scene.read_bytes() == before
    folder = tmp_path / "tiles"
    folder.mkdir()
    write_scene(folder / "a.tif")
    assert scene_command(folder, folder / "sr.tif") == 2


def test_a_scene_without_near_infrared_is_one_line(
    tmp_path: Path, tiny_crew: Here, capsys: pytest.CaptureFixture
) -> None:
    scene = write_scene(tmp_path / "rgb.tif", count=3)
    assert scene_command(scene, tmp_path / "sr.tif") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "B08" in line and not list(tmp_path.glob("sr.*"))


def test_a_folder_of_two_zones_is_one_line(
    tmp_path: Path, tiny_crew: Here, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    write_scene(folder / "a.tif")
    write_scene(folder / "b.tif", crs="EPSG:32632")
    assert scene_command(folder, tmp_path / "sr.tif") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "EPSG:32633" in line and "EPSG:32632" in line and not list(tmp_path.glob("sr.*"))


def test_a_mosaic_equals_the_picture_it_was_cut_from(tmp_path: Path, tiny_crew: Here) -> None:
    whole, folder = write_scene(tmp_path / "whole.tif"), tmp_path / "tiles"
    folder.mkdir()
    with rasterio.open(whole) as file:
        for name, rows in (("a.tif", (0, 70)), ("b.tif", (60, 150))):
            window = (rows, (0, 140))
            profile = {**file.profile, "height": rows[1] - rows[0]}
            profile["transform"] = file.transform @ rasterio.Affine.translation(0, rows[0])
            with rasterio.open(folder / name, "w", **profile) as part:
                part.write(file.read(window=window))
                part.descriptions = file.descriptions
                part.update_tags(**file.tags())
    assert scene_command(whole, tmp_path / "one.tif") == 0
    assert scene_command(folder, tmp_path / "two.tif") == 0
    with rasterio.open(tmp_path / "one.tif") as one, rasterio.open(tmp_path / "two.tif") as two:
        assert one.bounds == two.bounds
        np.testing.assert_array_equal(one.read(), two.read())


def test_sigterm_stops_it_and_resume_goes_on(tmp_path: Path) -> None:
    """A process of its own with the real model, stopped between windows."""
    scene = write_scene(tmp_path / "scene.tif", (480, 470))
    out, state, whole = tmp_path / "sr.tif", tmp_path / "state.json", tmp_path / "whole.tif"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LDSR_THREADS": "1"}

    def start(out: Path, *more: str) -> subprocess.Popen:
        arguments = ["-m", "ldsr", "scene", str(scene), "--out", str(out), *CHEAP, *more]
        return subprocess.Popen(
            [sys.executable, *arguments], env=environment, stderr=subprocess.PIPE, text=True
        )

    process = start(out, "--progress", str(state))
    end = time.monotonic() + GONE
    while read_done(state) < 3:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=GONE)
    assert process.returncode == 2
    assert said.splitlines()[-1] == "ldsr: Stopped; --resume goes on with sr.tif."
    assert json.loads(state.read_text())["state"] == "stopped"
    assert not out.exists() and job_folder(out).exists()
    for target, more in ((out, ("--resume",)), (whole, ())):
        process = start(target, *more)
        process.communicate(timeout=GONE)
        assert process.returncode == 0
    assert out.read_bytes() == whole.read_bytes() and not job_folder(out).exists()


def read_done(state: Path) -> int:
    return json.loads(state.read_text())["done"] if state.exists() else 0


def test_the_help_needs_neither_torch_nor_dask() -> None:
    code = (
        "import sys\n"
        "from ldsr.__main__ import _parser\n"
        "_parser()\n"
        "assert not {'torch', 'distributed', 'rasterio'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bounds() -> None:
    assert command._bounds("13.0,52.4,13.4,52.6") == (13.0, 52.4, 13.4, 52.6)
    assert command._bounds(None) is None
