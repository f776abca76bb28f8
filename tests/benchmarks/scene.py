"""What whole scenes cost against their area, and whether windows cost what a window costs.

    python -m tests.benchmarks.scene [--sides 512,1024,2048] [--pictures FOLDER] [--workers N]
        [--preset balanced] [--json FILE] [--figures DIR]
    python -m tests.benchmarks.scene --exactness 320

A mosaic is made of small Sentinel-2 pictures (by default those that ship), super-resolved by local
worker processes, and its file is checked: a valid COG that lies exactly on the input. Windows are
first timed alone, in the same workers. Then, on paper, what a tile and a country would cost.
With --exactness a mosaic of that side is done at once and in windows, and the two are compared.
"""

import argparse
import dataclasses
import itertools
import json
import resource
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import from_origin

from ldsr.data.reader import read_patch
from ldsr.data.whole import open_scene
from ldsr.errors import LdsrError
from ldsr.result import SCALE
from ldsr.scene.crew import Cluster, Here, gather_crew
from ldsr.scene.job import Choices, make_plan, resolve_scene
from ldsr.scene.windows import Plan
from ldsr.scene.worker import Job, Machine, introduce, resolve_window
from ldsr.settings import PRESETS
from tests.benchmarks import machine

SAMPLES = Path(__file__).resolve().parents[2] / "assets" / "samples"
CELL = 120
"""Side of the pieces a mosaic is made of: that of the smallest picture."""
GIB = 2**30
AREAS = {"1 km²": 1.0, "a tile (110 x 110 km)": 109.8**2, "Austria": 83_879.0, "Germany": 357_592.0}
"""In square kilometres."""
WORKERS = (1, 100)
BARS = {"memory_gb": 3.0, "throughput": 0.85}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 where a bar is missed."""
    options = _parser().parse_args(arguments)
    if options.exactness:
        print("\n".join(exactness(options.exactness, options.pictures, options.preset)))
        return 0
    sides = [int(side) for side in options.sides.split(",")]
    report: dict[str, Any] = {"machine": machine.describe(0), "preset": options.preset, "runs": []}
    with tempfile.TemporaryDirectory() as folder, gather_crew(workers=options.workers) as crew:
        where = Path(folder)
        make_mosaic(where / "scene.tif", max(sides), options.pictures)
        choices = Choices(machine=Machine(device=options.device), settings=PRESETS[options.preset])
        for side in sides:
            with rasterio.open(where / "scene.tif") as file:
                cut = cut_out(file, side, where / f"{side}.tif")
            report["runs"].append(measure(cut, where / f"{side}_sr.tif", crew, choices))
            print(line(report["runs"][-1]), flush=True)
            if options.json:
                options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    report |= summarise(report["runs"])
    print("\n".join(on_paper(report)))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.figures:
        draw(report, options.figures / "scene.png")
    return 0 if all(report["bars"].values()) else 1


def exactness(side: int, pictures: Path, preset: str) -> list[str]:
    """Compare windows with the picture done at once, in reflectance: as --exact does them, with its
    precision but the usual margin, and as usual."""
    exact = Choices(settings=PRESETS[preset], dtype="float32", exact=True)
    usual = dataclasses.replace(exact, exact=False)
    plain = dataclasses.replace(usual, machine=Machine(half=False))
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        make_mosaic(where / "scene.tif", side, pictures)
        with open_scene(str(where / "scene.tif"), scale="dn/10000") as scene:
            for name, choices in {"exact": exact, "float32": plain, "usual": usual}.items():
                found = []
                for each in (-(-side // 8) * 8, side // 16 * 8):
                    out = where / f"{name}{each}.tif"
                    asked = dataclasses.replace(choices, side=each)
                    sheet = resolve_scene(scene, out, Here(), asked)
                    with rasterio.open(out) as file:
                        found.append(file.read())
                apart = np.abs(found[1] - found[0])
                windows, margin = (sheet["windows"][key] for key in ("count", "margin"))
                lines.append(
                    f"{name}: {windows} windows with a margin of {margin} against the whole: "
                    f"largest difference {apart.max():.1e}, mean {apart.mean():.1e}"
                )
    return lines


def make_mosaic(path: Path, side: int, pictures: Path) -> None:
    """Lay pieces of pictures side by side, turned so that none repeats soon: uint16, 10 m."""
    pieces = []
    for file in sorted(pictures.glob("*.tif")):
        try:
            patch = read_patch(file)
        except LdsrError:  # of a kind that nobody super-resolves
            continue
        dn = np.rint(10000 * patch.reflectance).clip(1, 65535).astype(np.uint16)
        starts = [range(0, length - CELL + 1, CELL) for length in patch.size]
        corners = itertools.product(*starts)
        pieces += [dn[:, row : row + CELL, column : column + CELL] for row, column in corners]
    turned = [np.rot90(piece, turns, (1, 2)) for turns in range(4) for piece in pieces]
    order = np.random.default_rng(0)
    count = -(-side // CELL)
    chosen = order.permutation(np.resize(np.arange(len(turned)), count**2))
    rows = [[turned[i] for i in row] for row in chosen.reshape(count, count)]
    whole = np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)
    profile = {"driver": "GTiff", "count": 4, "dtype": "uint16", "height": side, "width": side}
    place = {"crs": "EPSG:32633", "transform": from_origin(399960, 5800020, 10, 10)}
    with rasterio.open(path, "w", **profile, **place, tiled=True, compress="deflate") as file:
        file.write(whole[:, :side, :side])
        file.descriptions = ("B04", "B03", "B02", "B08")


def cut_out(file: rasterio.DatasetReader, side: int, path: Path) -> Path:
    """Write the first rows and columns of a mosaic."""
    profile = {**file.profile, "height": side, "width": side}
    with rasterio.open(path, "w", **profile) as part:
        part.write(file.read(window=((0, side), (0, side))))
        part.descriptions = file.descriptions
    return path


def measure(scene: Path, out: Path, crew: Cluster, choices: Choices) -> dict[str, Any]:
    """Time one window alone, then the scene; check the file."""
    from rio_cogeo.cogeo import cog_validate

    with open_scene(str(scene), scale="dn/10000") as opened:
        alone = time_alone(opened, crew, choices)
        start, busy = time.perf_counter(), time.process_time()
        sheet = resolve_scene(opened, out, crew, choices)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        size = opened.size
    with rasterio.open(out) as file, rasterio.open(scene) as given:
        exact = file.bounds == given.bounds and file.crs == given.crs
        exact &= file.shape == tuple(SCALE * length for length in given.shape)
    windows = sheet["windows"]["count"]
    held = memory(crew), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return {
        "size": list(size),
        "km2": size[0] * size[1] / 1e4,
        "windows": windows,
        "workers": crew.workers,
        "seconds": seconds,
        "client_seconds": busy,
        "window_alone": alone,
        "window_at_work": sheet["seconds"]["of_all_windows"] / windows,
        # what a window costs while all workers are busy, over what it cost in the scene
        "throughput": windows * alone / crew.workers / seconds,
        "memory_gb": held[0],
        "client_gb": held[1],
        "seams": seams(out, make_plan(size, choices, local=True)),
        "file_gb": out.stat().st_size / GIB,
        "valid_cog": bool(cog_validate(str(out), strict=True)[0]),
        "on_the_input": bool(exact),
    }


def seams(path: Path, plan: Plan) -> float | None:
    """Mean step of the picture across the borders of windows, over that across other rows and
    columns between pixels of 10 m; 1: borders cannot be told. None where there is one window."""
    across, elsewhere = [], []
    with rasterio.open(path) as file:
        for axis in (0, 1):
            borders = {SCALE * window.block[axis].start for window in plan.windows} - {0}
            near = {border + SCALE * 8 * step for border in borders for step in (-3, -2, 2, 3)}
            for places, found in ((borders, across), (near - borders, elsewhere)):
                found += [_step(file, axis, place) for place in sorted(places)]
    return float(np.mean(across) / np.mean(elsewhere)) if across else None


def _step(file: rasterio.DatasetReader, axis: int, place: int) -> float:
    """Mean |difference| between the rows (or columns) before and after a place."""
    pair, whole = (place - 1, place + 1), (0, file.shape[1 - axis])
    values = file.read(window=(pair, whole) if axis == 0 else (whole, pair)).astype(np.float64)
    return float(np.abs(np.diff(values, axis=axis + 1)).mean())


def time_alone(scene: Any, crew: Cluster, choices: Choices) -> float:
    """Seconds of a window as large as the scene's mean, all workers busy with one each; the
    fastest of two, after one that warms them up."""
    plan = make_plan(scene.size, choices, local=True)
    windows = sorted(plan.windows, key=lambda one: len(one.seen[0]) * len(one.seen[1]))
    mean = plan.area / len(windows)
    window = min(windows, key=lambda one: abs(len(one.seen[0]) * len(one.seen[1]) - mean))
    rows, columns = window.seen
    patch = scene.read((columns.start, rows.start, len(columns), len(rows)))
    (model,) = crew.run(introduce, [("", (choices.machine,))])
    job = Job(
        machine=choices.machine,
        sha256=model.value.sha256,
        settings=choices.settings,
        tags=(None, "none"),
        exact=False,
        detail=False,
        uncertainty=False,
        origin=(0, 0),
    )
    found = []
    for _ in range(3):
        tasks = [(i, (job, window, patch)) for i in range(crew.workers)]
        outcomes = list(crew.run(resolve_window, tasks))
        found.append(np.mean([outcome.value[1]["seconds"] for outcome in outcomes]))
    share = mean / (len(rows) * len(columns))
    return float(min(found[1:]) * share)


def memory(crew: Cluster) -> float:
    """Most that any worker ever held, in GiB."""
    return max(crew._client.run(peak).values()) / GIB


def peak() -> int:
    """Bytes this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summarise(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The straight line through time against area, and the bars."""
    areas, seconds = (np.array([run[name] for run in runs]) for name in ("km2", "seconds"))
    last = runs[-1]
    slope, start = np.polyfit(areas, seconds, 1) if len(runs) > 1 else (seconds[0] / areas[0], 0.0)
    off = np.abs(slope * areas + start - seconds) / seconds
    return {
        "seconds_per_km2": float(slope),
        "seconds_before": float(start),
        "furthest_from_the_line": float(off.max()),
        "worker_seconds_per_km2": float(slope) * last["workers"],
        "client_seconds_per_km2": last["client_seconds"] / last["km2"],
        "bars": {
            "memory per worker <= 3 GB": last["memory_gb"] <= BARS["memory_gb"],
            "throughput within 15 % of single windows": last["throughput"] >= BARS["throughput"],
            "valid COG on the input": all(r["valid_cog"] and r["on_the_input"] for r in runs),
        },
    }


def line(run: Mapping[str, Any]) -> str:
    """One run as a line."""
    return (
        f"{run['size'][0]} x {run['size'][1]} px, {run['windows']} windows, "
        f"{run['workers']} workers: {run['seconds']:.0f} s; "
        f"a window {run['window_alone']:.1f} s alone, {run['window_at_work']:.1f} s at work; "
        f"throughput {run['throughput']:.1%} of that; "
        f"{run['memory_gb']:.2f} GiB a worker, {run['client_gb']:.2f} GiB the client; "
        f"file {run['file_gb']:.3f} GiB; COG {run['valid_cog']}, "
        f"on the input {run['on_the_input']}; "
        f"steps across borders {run['seams'] or 1:.3f} x those elsewhere"
    )


def on_paper(report: Mapping[str, Any]) -> list[str]:
    """What areas cost at the measured rate, by one worker and by a hundred: no less than what the
    one client has to do meanwhile."""
    cost, client = report["worker_seconds_per_km2"], report["client_seconds_per_km2"] / 3600
    lines = [
        f"{cost:.2f} worker and {3600 * client:.2f} client seconds per km², "
        f"furthest from the straight line {report['furthest_from_the_line']:.1%}",
        f"{'':24}{'worker hours':>16}" + "".join(f"{f'on {n}':>14}" for n in WORKERS),
    ]
    for name, area in AREAS.items():
        hours = cost * area / 3600
        lines.append(
            f"{name:24}{hours:16,.2f}"
            + "".join(f"{max(hours / n, client * area):12,.2f} h" for n in WORKERS)
        )
    return [
        *lines,
        *(f"{'held' if held else 'MISSED':8}{bar}" for bar, held in report["bars"].items()),
    ]


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Time against area with its straight line, and memory against area."""
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    runs = report["runs"]
    areas = np.array([run["km2"] for run in runs])
    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    time_axes.plot(areas, [run["seconds"] / 60 for run in runs], "o", color="#0d9488")
    ends = np.array([0, areas.max()])
    fitted = report["seconds_per_km2"] * ends + report["seconds_before"]
    time_axes.plot(ends, fitted / 60, color="#b9c2cc", zorder=0, label="straight line")
    time_axes.set(xlabel="km²", ylabel=f"minutes, {runs[-1]['workers']} workers", ylim=0)
    time_axes.legend(frameon=False)
    for name, label, colour in (
        ("memory_gb", "a worker", "#0d9488"),
        ("client_gb", "the client", "#d9544d"),
    ):
        memory_axes.plot(areas, [run[name] for run in runs], "o-", color=colour, label=label)
    memory_axes.set(xlabel="km²", ylabel="GiB at most", ylim=(0, 3.2))
    memory_axes.legend(frameon=False)
    for axes in figure.axes:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scene")
    parser.add_argument("--sides", default="512,1024,2048", help="of the scenes, in pixels of 10 m")
    parser.add_argument("--exactness", type=int, metavar="SIDE", help="compare with the whole")
    parser.add_argument("--pictures", type=Path, default=SAMPLES, help="folder of GeoTIFFs")
    parser.add_argument("--workers", type=int, help="processes; by default what the machine bears")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="balanced")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="write all that was measured")
    parser.add_argument("--figures", type=Path, help="folder for scene.png")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
