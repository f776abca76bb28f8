"""A STAC item for a super-resolved scene, for catalogues to take up; and places in degrees."""

from datetime import UTC, datetime
from pathlib import Path

from pystac import Asset, Item, MediaType
from pystac.extensions.projection import ProjectionExtension
from rasterio.errors import RasterioError
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform_geom

from ldsr.data import places
from ldsr.result import SCALE
from ldsr.scene.cog import OFFSET, STEP
from ldsr.scene.scene import Scene
from ldsr.scene.worker import Job

RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
PER_SIDE = 8
"""Points with which a side of the outline is followed: in degrees it is no straight line."""


def describe(scene: Scene, out: Path, job: Job, sheet: dict) -> dict:
    """Describe the file of a scene: a STAC item (version 1.1) with the file and its run sheet.

    Args:
        scene: the input; one without a place gives an item without geometry.
        out: the file, which lies beside the item.
        job: what the windows shared.
        sheet: its run sheet.

    Returns:
        The item, ready for JSON. Its time is that of the acquisition; where nobody knows it, that
        of the making, and the item says so.
    """
    now, acquired = datetime.now(UTC), scene.source.acquired
    outline = _outline(scene)
    properties = {
        "gsd": 2.5,
        "created": now.isoformat(),
        "processing:software": {"LDSR Studio": sheet["software"].rpartition(" ")[2]},
        "processing:lineage": (
            "Super-resolved four times by diffusion; detail finer than 10 m is generated, not seen."
        ),
        "ldsr:weights": job.machine.weights,
        "ldsr:weights_sha256": job.sha256,
        "ldsr:source": scene.name,
    }
    if acquired is None:
        properties["description"] = (
            "The time of acquisition is not known; this is when it was made."
        )
    item = Item(
        id=out.stem,
        geometry=outline,
        bbox=_bbox(outline),
        datetime=acquired or now,
        properties=properties,
        stac_extensions=[RASTER, PROCESSING],
    )
    _place(item, scene)
    item.add_asset("data", _data(out, sheet))
    sheet_asset = Asset(f"./{out.stem}.json", title="Run sheet", media_type=MediaType.JSON)
    sheet_asset.roles = ["metadata"]
    item.add_asset("run-sheet", sheet_asset)
    return item.to_dict(include_self_link=False)


def lonlat(scene: Scene, row: float, column: float) -> tuple[float, float] | None:
    """Longitude and latitude of a pixel's corner, degrees; None where the scene has no place."""
    if scene.crs is None or scene.transform is None:
        return None
    return places.lonlat(scene.crs, *(scene.transform @ (column, row)))


def _data(out: Path, sheet: dict) -> Asset:
    """The file as an asset: what its bands are, and how its numbers become values."""
    dtype = sheet["file"]["type"]
    shared = {"data_type": dtype, "nodata": 0 if dtype == "uint16" else "nan"}
    if dtype == "uint16":
        shared |= {"raster:scale": STEP, "raster:offset": OFFSET}
    return Asset(
        f"./{out.name}",
        title="Super-resolved scene, 2.5 m",
        media_type=MediaType.COG,
        roles=["data"],
        extra_fields={**shared, "bands": [{"name": name} for name in sheet["file"]["bands"]]},
    )


def _place(item: Item, scene: Scene) -> None:
    """Write CRS, size and transform of the file into the item."""
    if scene.crs is None or scene.transform is None:
        return
    place = ProjectionExtension.ext(item, add_if_missing=True)
    code = scene.crs.to_epsg()
    place.code = f"EPSG:{code}" if code else None
    if code is None:
        place.wkt2 = scene.crs.to_wkt(version="WKT2_2019")
    place.shape = [SCALE * length for length in scene.size]
    place.transform = list((scene.transform @ Affine.scale(1 / SCALE))[:6])
    place.bbox = list(array_bounds(*scene.size, scene.transform))


def _outline(scene: Scene) -> dict | None:
    """The scene's frame as a GeoJSON polygon in degrees, None where it has no place."""
    if scene.crs is None or scene.transform is None:
        return None
    rows, columns = scene.size
    ends = [(0, 0), (0, rows), (columns, rows), (columns, 0)]
    corners = zip(ends, [*ends[1:], ends[0]], strict=True)
    steps = [step / PER_SIDE for step in range(PER_SIDE)]
    ring = [
        scene.transform @ (a[0] + step * (b[0] - a[0]), a[1] + step * (b[1] - a[1]))
        for a, b in corners
        for step in steps
    ]
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    try:
        return transform_geom(scene.crs, "EPSG:4326", polygon, antimeridian_cutting=True)
    except RasterioError:
        return None


def _bbox(outline: dict | None) -> list[float] | None:
    if outline is None:
        return None
    parts = [outline["coordinates"]] if outline["type"] == "Polygon" else outline["coordinates"]
    points = [point for part in parts for ring in part for point in ring]
    lons, lats = ([point[axis] for point in points] for axis in (0, 1))
    west, east = min(lons), max(lons)
    if outline["type"] == "MultiPolygon":  # cut at the antimeridian: GeoJSON begins in the west
        west = min(lon for lon in lons if lon > 0)
        east = max(lon for lon in lons if lon <= 0)
    return [west, min(lats), east, max(lats)]
