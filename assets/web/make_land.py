"""Make land.json, the coarse outline behind the map picker's grid.

    npm pack world-atlas@2.0.2 && python assets/web/make_land.py world-atlas-2.0.2.tgz

Natural Earth 1:110m land (public domain), decoded from its TopoJSON and rounded to 0.1 degree.
"""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

NOTE = {
    "source": "Natural Earth 1:110m land 4.1.0, by way of the npm package world-atlas 2.0.2",
    "licence": "Public domain (naturalearthdata.com/about/terms-of-use)",
    "made_by": "assets/web/make_land.py",
}

Ring = list[list[float]]


def main(archive: str) -> None:
    """Read land-110m.json out of the package and write land.json beside this file."""
    with tarfile.open(archive) as package:
        topology = json.load(package.extractfile("package/land-110m.json"))
    rings = land_rings(topology)
    target = Path(__file__).with_name("land.json")
    target.write_text(json.dumps(NOTE | {"rings": rings}, separators=(",", ":")) + "\n")
    print(f"{target}: {len(rings)} rings, {target.stat().st_size / 1000:.0f} kB")


def land_rings(topology: dict[str, Any]) -> list[Ring]:
    """Decode every ring of the land: arcs are differences of whole numbers, to be scaled."""
    (scale_x, scale_y), (west, south) = (
        topology["transform"][key] for key in ("scale", "translate")
    )
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append([round(west + x * scale_x, 1), round(south + y * scale_y, 1)])
        arcs.append(points)
    polygons = [
        polygon
        for shape in topology["objects"]["land"]["geometries"]
        for polygon in (shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]])
    ]
    rings = [_thinned(_joined(arcs, ring)) for polygon in polygons for ring in polygon]
    return [_unwrapped(ring) for ring in rings if len(ring) >= 4]


def _joined(arcs: list[Ring], ring: list[int]) -> Ring:
    """Join the arcs of one ring; a negative index (~i) is arc i run backwards."""
    points: Ring = []
    for index in ring:
        arc = arcs[index] if index >= 0 else arcs[~index][::-1]
        points += arc[1:] if points else arc
    return points


def _thinned(ring: Ring) -> Ring:
    """Drop points that rounding made equal to the one before."""
    return [point for i, point in enumerate(ring) if i == 0 or point != ring[i - 1]]


def _unwrapped(ring: Ring) -> Ring:
    """Let longitudes run on past 180, and close what goes round the pole along the pole."""
    lons = [ring[0][0]]
    for lon, _ in ring[1:]:
        lons.append(round(lon - 360 * round((lon - lons[-1]) / 360), 1))
    home = 360 * round((min(lons) + max(lons)) / 720)
    points = [[round(lon - home, 1), lat] for lon, (_, lat) in zip(lons, ring, strict=True)]
    if points[-1] != points[0]:
        points += [[points[-1][0], -90.0], [points[0][0], -90.0], points[0]]
    return points


if __name__ == "__main__":
    main(*sys.argv[1:])
