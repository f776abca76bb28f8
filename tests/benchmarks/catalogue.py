"""How long four bands and the classification of a 128 x 128 window take over a slow connection.

`python -m tests.benchmarks.catalogue [--delay 0.06] [--repeat 5] [--json FILE]`; files of real size
(10980 x 10980 pixels, sparse but for the tiles around the window) on this machine, each request
answered after a delay. Every cold reading is a process of its own with all modules imported.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window, from_bounds

from ldsr.data.places import Box
from ldsr.data.scene_reader import read_scene
from ldsr.data.scenes import group, read_item
from tests.benchmarks.measure import peak_gb
from tests.catalogue.scenes import truth_grid
from tests.catalogue.servers import FileServer, serve_files

WEST, NORTH, PIXELS = 600000, 5200020, 10980
BLOCK = 1024
FILES = {"red": "B04", "green": "B03", "blue": "B02", "nir": "B08", "scl": "SCL"}
BARS = {"cold": 0.6, "warm, GDAL's memory": 0.15, "warm, our disk": 0.15}
"""Seconds that must not be exceeded."""
COL, ROW = 5560, 4530
"""Of the window, which lies inside one block of a real tile."""


def window(col: int = COL, row: int = ROW) -> Box:
    """The box of 1280 m whose upper left pixel is given."""
    west, north = WEST + 10 * col, NORTH - 10 * row
    return Box(crs="EPSG:32632", west=west, south=north - 1280, east=west + 1280, north=north)


def make_files(folder: Path) -> None:
    """Write five tiled files with overviews, as large as real ones, filled around the window."""
    first = BLOCK * (COL // BLOCK - 1), BLOCK * (ROW // BLOCK - 1)
    west, north = WEST + 10 * first[0], NORTH - 10 * first[1]
    ground = truth_grid("EPSG:32632", west, north, 3 * BLOCK, 3 * BLOCK)
    for name, band in zip(FILES.values(), (0, 1, 2, 3, None), strict=True):
        times = 1 if band is not None else 2
        dn = np.rint(10000 * ground[band or 0] + 1000).astype(np.uint16)
        if band is None:
            dn = np.full((3 * BLOCK // 2,) * 2, 4, np.uint8)
        grid = rasterio.Affine(10 * times, 0, WEST, 0, -10 * times, NORTH)
        side = PIXELS // times
        options = {"driver": "GTiff", "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
        options |= {"compress": "deflate", "zlevel": 1, "sparse_ok": True, "nodata": 0}
        options |= {"count": 1, "dtype": dn.dtype, "crs": "EPSG:32632", "predictor": 2}
        plain = folder / f"plain-{name}.tif"
        with rasterio.open(
            plain, "w", width=side, height=side, transform=grid, **options
        ) as dataset:
            place = Window(first[0] // times, first[1] // times, *dn.shape[::-1])
            dataset.write(dn, 1, window=place)
        with rasterio.Env(GDAL_CACHEMAX=128):
            rasterio.shutil.copy(
                plain,
                folder / f"{name}.tif",
                driver="COG",
                compress="deflate",
                level=1,
                blocksize=BLOCK,
                sparse_ok=True,
                predictor=2,
            )
        plain.unlink()


def make_item(url: str) -> dict:
    """Describe the files as Earth Search does."""
    grid = {"proj:shape": [PIXELS] * 2, "proj:transform": [10, 0, WEST, 0, -10, NORTH]}
    bands = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    assets = {key: {"href": f"{url}/{name}.tif"} | grid | bands for key, name in FILES.items()}
    said = {"datetime": "2026-09-14T10:15:59Z", "proj:code": "EPSG:32632"}
    said |= {"s2:processing_baseline": "05.11"}
    return {"id": "S2B_T32TPS_20260914T101559_L2A", "properties": said, "assets": assets}


def one_process(way: str, url: str) -> dict:
    """Measure in this process, which has everything imported and has read nothing yet."""
    item, box = make_item(url), window()
    entry = read_item(item, original=True)
    before, times = peak_gb(), {}

    def timed(name: str, at: Box) -> None:
        (scene,) = group([entry], at, catalogue="own")
        begin = time.perf_counter()
        patch = read_scene(scene, at)
        times[name] = time.perf_counter() - begin
        truth = truth_grid(at.crs, at.west, at.north, *at.size)
        assert patch.valid.all() and patch.scl.all()
        assert np.abs(patch.reflectance - truth).max() < 1e-4

    if way == "ours":
        timed("cold", box)
        print(json.dumps(times), flush=True)
        sys.stdin.readline()
        timed("warm, GDAL's memory", window(COL + 128, ROW + 20))
        print(json.dumps(times), flush=True)
        sys.stdin.readline()
        timed("warm, our disk", box)
    else:
        begin = time.perf_counter()
        for key in FILES:
            with rasterio.open(item["assets"][key]["href"]) as dataset:
                bounds = (box.west, box.south, box.east, box.north)
                dataset.read(1, window=from_bounds(*bounds, dataset.transform))
        times["rasterio's defaults, one after the other"] = time.perf_counter() - begin
    return times | {"memory": 1000 * (peak_gb() - before), "peak": 1000 * peak_gb()}


def measure(way: str, files: FileServer) -> dict[str, dict[str, float]]:
    """Run one process; seconds and requests of each way of reading."""
    with tempfile.TemporaryDirectory() as home:
        names = {"LDSR_HOME": home, "LDSR_STAC_URL": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-m", "tests.benchmarks.catalogue", "--way", way]
        with subprocess.Popen(
            [*command, "--url", files.url],
            env=os.environ | names,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            found: dict[str, dict[str, float]] = {}
            files.requests.clear()
            for line in process.stdout:
                times = json.loads(line)
                memory = {name: times.pop(name, 0) for name in ("memory", "peak")}
                for name in times.keys() - found.keys():
                    asked = len(files.requests)
                    found[name] = {"seconds": times[name], "requests": asked} | memory
                files.requests.clear()
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write("go on\n")
                    process.stdin.flush()
        if process.returncode:
            raise SystemExit(f"The reading of {way} failed.")
    for row in found.values():
        row.update(memory)
    return found


def main() -> None:
    """Print a table, and with --json write it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--delay", type=float, default=0.06, help="seconds for each request")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.way:
        print(json.dumps(one_process(chosen.way, chosen.url)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        with serve_files(Path(folder), delay=chosen.delay) as files:
            runs = [
                measure(way, files)
                for way in ("ours", "rasterio")
                for _ in range(chosen.repeat if way == "ours" else min(3, chosen.repeat))
            ]
    rows = {
        name: {
            key: statistics.median(run[name][key] for run in runs if name in run)
            for key in ("seconds", "requests", "memory", "peak")
        }
        for name in {name: None for run in runs for name in run}
    }
    told = f"{len(FILES)} files of {PIXELS} pixels, {size:.0f} MB, {1000 * chosen.delay:.0f} ms"
    print(f"{told} a request, median of {chosen.repeat}")
    print(f"{'':42} seconds  requests  bar    memory MB (peak)")
    for name, row in rows.items():
        bar = BARS.get(name)
        passed = "" if bar is None else f"{bar:g} {'ok' if row['seconds'] <= bar else 'MISSED'}"
        figures = f"{row['seconds']:7.2f}  {row['requests']:8g}  {passed:10}"
        print(f"{name:42} {figures} {row['memory']:.0f} ({row['peak']:.0f})")
    if chosen.json:
        chosen.json.write_text(json.dumps({"what": told, "rows": rows, "bars": BARS}, indent=1))


if __name__ == "__main__":
    main()
