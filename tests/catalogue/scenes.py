"""Synthetic Sentinel-2 L2A scenes as Cloud-optimised GeoTIFFs, with the STAC items of two
catalogues. The landscape is a function of the place: what a reader must find is `truth_grid`.

Knows nothing of servers, nor of the product's own reader.
"""

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
import shapely
from PIL import Image
from rasterio.warp import transform as warp
from shapely.geometry import Polygon, box, mapping

PIXEL = 10
NAMES = ("B04", "B03", "B02", "B08")
"""In the order of `truth_grid`: R, G, B, NIR."""
COLOURS = ("red", "green", "blue", "nir")
TITLES = ("Red", "Green", "Blue", "NIR 1")
WAVES = ((0.665, 0.038), (0.56, 0.045), (0.49, 0.098), (0.842, 0.145))
CLOUD, SHADOW, SNOW = 9, 3, 11
PAINT = {CLOUD: (0.62, 0.63, 0.66, 0.64), SHADOW: (0.02, 0.025, 0.03, 0.06)} | {
    SNOW: (0.85, 0.86, 0.88, 0.78)
}
FIELDS = np.array(
    [
        (0.04, 0.07, 0.03, 0.42),
        (0.20, 0.16, 0.11, 0.30),
        (0.16, 0.12, 0.08, 0.22),
        (0.10, 0.13, 0.05, 0.45),
        (0.025, 0.04, 0.02, 0.28),
        (0.06, 0.09, 0.04, 0.36),
    ]
)
HEDGE, ROAD = (0.03, 0.05, 0.025, 0.30), (0.13, 0.13, 0.13, 0.15)
ROOF, WATER = (0.30, 0.27, 0.26, 0.34), (0.03, 0.045, 0.05, 0.02)
COLLECTIONS = {"earth-search": "sentinel-2-c1-l2a", "planetary-computer": "sentinel-2-l2a"}
COG = {"driver": "COG", "compress": "deflate", "level": 1, "blocksize": 1024}

Area = tuple[float, float, float, float] | Callable[[np.ndarray, np.ndarray], np.ndarray]
"""West, south, east, north in metres, or a function of the x and y of pixel centres."""


def truth(crs: str, x: np.ndarray, y: np.ndarray, seed: int = 0) -> np.ndarray:
    """Say what the ground is like: fields (other crops by seed), roads, roofs, a river.

    Args:
        crs: the same metres are another place in another zone.
        x, y: metres, broadcast together; all of a 10 m pixel is alike.
        seed: of the crops; roads, roofs and rivers stay.

    Returns:
        Reflectance float32 [4, ...] as R, G, B, NIR, 0.01..0.9.
    """
    i, j = (np.floor_divide(np.asarray(at), PIXEL).astype(np.int32) for at in (x, y))
    zone = int(crs.rpartition(":")[2])
    u, v = 3 * i + j, 3 * j - i
    field = _mix(u // 150, v // 110, zone + 100003 * seed)
    pixel = _mix(i, j, zone)
    gain = np.float32(0.85) + (field >> 19).astype(np.float32) * np.float32(0.3 / 4096)
    gain *= np.float32(1) + np.float32(0.006) * ((pixel >> 8) % 17 - 8).astype(np.float32)
    town, block = _mix(i // 160, j // 160, zone) % 4 == 0, _mix(i // 8, j // 8, zone)
    farm = _mix(i // 48, j // 48, zone)
    roof = town & (i % 8 < 5) & (j % 8 < 5) & (block % 3 > 0)
    roof |= (farm % 5 == 0) & (i % 48 < 4 + farm % 7) & (j % 48 < 6)
    road = (u % 900 < 9) | (v % 770 < 9) | town & ((i % 40 < 2) | (j % 40 < 2))
    hedge = (u % 150 < 4) | (v % 110 < 4)
    bend = np.rint(40 * np.sin(j / 60) + 12 * np.sin(j / 17)).astype(np.int32)
    water = (i - bend + 320) % 700 < 14
    gain[roof] = 0.7 + 0.6 * (block[roof] >> 23) / 256
    kind = ((field >> 4) % len(FIELDS)).astype(np.int8)
    for value, mask in ((6, hedge), (7, road), (8, roof), (9, water & ~road)):
        kind[mask] = value
    levels = np.concatenate([FIELDS, [HEDGE, ROAD, ROOF, WATER]]).astype(np.float32)
    return np.clip(levels.T[:, kind] * gain, 0.01, 0.9)


def truth_grid(
    crs: str, west: int, north: int, width: int, height: int, seed: int = 0
) -> np.ndarray:
    """Draw `truth` of whole pixels, float32 [4, H, W]; west and north are multiples of 10 m."""
    x, y = _centres(west, north, width, height, PIXEL)
    return truth(crs, x, y, seed)


def make_scene(
    folder: Path,
    id: str,
    *,
    base_url: str = "",
    crs: str = "EPSG:32632",
    west: int = 399960,
    north: int = 5300040,
    acquired: str = "2026-09-14T10:10:31Z",
    baseline: str = "05.11",
    offset_dn: int = -1000,
    cloud: Area | None = None,
    scl: Mapping[int, Area] | None = None,
    valid: Area | None = None,
    paint: bool = False,
    style: str = "earth-search",
    seed: int = 0,
    pixels: int = 1536,
) -> dict:
    """Write a scene into `folder/id/` and describe it.

    Args:
        id: names the tile, such as S2B_T32TPS_20260914T101559_L2A; see `scene_id`.
        base_url: where `folder` is served.
        west, north: of the tile in metres, multiples of 20.
        offset_dn: DN = round(10000 * truth) - offset_dn.
        cloud: SCL class 9.
        scl: further areas by SCL class, such as {3: shadow, 11: snow}; later ones win.
        valid: where there are data; DN and SCL are 0 elsewhere.
        paint: draw cloud, shadow and snow into the bands too, which then are not `truth`.
        style: a key of COLLECTIONS.
        seed: of the crops.
        pixels: side at 10 m, even.

    Returns:
        The STAC item.
    """
    (folder / id).mkdir(parents=True)
    there = _mask(valid, west, north, pixels, PIXEL)
    ground = truth_grid(crs, west, north, pixels, pixels, seed)
    marks = ({CLOUD: cloud} if cloud is not None else {}) | dict(scl or {})
    if paint:
        for value in marks.keys() & PAINT.keys():
            inside = _mask(marks[value], west, north, pixels, PIXEL)
            ground[:, inside] = np.float32(PAINT[value])[:, None]
    classes = _classes(ground, marks, west, north)
    classes[~_mask(valid, west, north, pixels // 2, 2 * PIXEL)] = 0
    dn = np.maximum(np.rint(10000 * ground) - offset_dn, 1).astype(np.uint16) * there
    tci = (np.clip(ground[:3] * 255 / 0.3558, 1, 255) * there).astype(np.uint8)
    files = _file_names(style, id)
    for name, values in zip(files, [*dn[:, None], classes[None], tci], strict=False):
        size = PIXEL * pixels // values.shape[1]
        _write(
            folder / id / files[name], values, crs, rasterio.Affine(size, 0, west, 0, -size, north)
        )
    small = Image.fromarray(np.ascontiguousarray(np.moveaxis(tci, 0, -1))).resize((343, 343))
    small.save(folder / id / list(files.values())[-1])
    found = classes[classes > 0]
    extent = (west, north - PIXEL * pixels, west + PIXEL * pixels, north)
    item = _item(
        id,
        crs,
        footprint(crs, valid if isinstance(valid, tuple) else extent),
        acquired,
        100 * float(np.isin(found, (8, 9, 10)).mean()) if found.size else 0.0,
        style,
    )
    item["properties"]["s2:processing_baseline"] = baseline
    item["assets"] = _assets(style, files, west, north, pixels, offset_dn)
    return rebased(item, base_url)


def rebased(item: dict, base_url: str) -> dict:
    """Copy an item with its files served elsewhere."""
    item = copy.deepcopy(item)
    for asset in item["assets"].values():
        asset["href"] = f"{base_url}/{item['id']}/{asset['href'].rpartition('/')[2]}"
    return item


def scene_id(
    tile: str, acquired: str, style: str = "earth-search", *, platform: str = "S2B"
) -> str:
    """Name a scene as its catalogue does; tile such as "32TPS"."""
    time = re.sub(r"[-:]|Z$|\.\d+", "", acquired)
    if style == "earth-search":
        return f"{platform}_T{tile}_{time}_L2A"
    return f"{platform}_MSIL2A_{time}_R022_T{tile}_{time[:9]}143012"


def origin_around(crs: str, lon: float, lat: float, pixels: int = 1536) -> tuple[int, int]:
    """West and north of a scene with the place in its middle, on the 60 m grid of real tiles."""
    (x,), (y,) = warp("EPSG:4326", crs, [lon], [lat])
    half = pixels * PIXEL / 2
    return 60 * round((x - half) / 60), 60 * round((y + half) / 60)


def footprint(crs: str, extent: tuple[float, float, float, float]) -> shapely.Geometry:
    """Outline of a rectangle in longitude and latitude, cut in two at the antimeridian."""
    west, south, east, north = extent
    corners = [(west, north), (west, south), (east, south), (east, north)]
    lon, lat = warp(crs, "EPSG:4326", [x for x, _ in corners], [y for _, y in corners])
    lon = [(each - lon[0] + 180) % 360 - 180 + lon[0] for each in lon]
    whole = Polygon(zip(lon, lat, strict=True))
    parts = [
        shapely.transform(whole & box(a, -90, a + 360, 90), lambda at, a=a: at - [a + 180, 0])
        for a in (-540, -180, 180)
    ]
    return shapely.union_all([part for part in parts if not part.is_empty])


def write_catalogue(folder: Path, items: Sequence[dict], collection: str) -> tuple[Path, Path]:
    """Write the items and their collection as `rustac serve` takes them."""
    whole = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": collection,
        "title": "Sentinel-2 Level-2A",
        "description": "Synthetic scenes for tests.",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-27T10:25:31.456Z", None]]},
        },
        "links": [],
    }
    paths = folder / "items.json", folder / "collection.json"
    for path, what in zip(
        paths, ({"type": "FeatureCollection", "features": list(items)}, whole), strict=True
    ):
        path.write_text(json.dumps(what), encoding="utf-8")
    return paths


def _mix(*parts: np.ndarray | int) -> np.ndarray:
    """Hash integers that broadcast together to 0..2^31, the same on every machine."""
    mixed = np.zeros((1,), np.uint32)
    for part in parts:
        mixed = (mixed ^ np.asarray(part).astype(np.uint32)) * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(15)
    return ((mixed * np.uint32(0x85EBCA77)) >> np.uint32(1)).astype(np.int32)


def _centres(
    west: int, north: int, width: int, height: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    x = west + size * (np.arange(width) + 0.5)
    y = north - size * (np.arange(height) + 0.5)
    return x[None, :], y[:, None]


def _mask(area: Area | None, west: int, north: int, pixels: int, size: int) -> np.ndarray:
    """Pixels whose centre lies in an area (in all when None), bool [H, W]."""
    x, y = _centres(west, north, pixels, pixels, size)
    if area is None:
        return np.ones((pixels, pixels), bool)
    if callable(area):
        return np.broadcast_to(area(x, y), (pixels, pixels))
    a, b, c, d = area
    return (x > a) & (x < c) & (y > b) & (y < d)


def _classes(ground: np.ndarray, marks: Mapping[int, Area], west: int, north: int) -> np.ndarray:
    """Scene classification uint8 at 20 m: vegetation, bare, water, and what is marked."""
    red, nir = ground[0, ::2, ::2], ground[3, ::2, ::2]
    classes = np.select([nir < 0.05, nir > 2.5 * red], [6, 4], 5).astype(np.uint8)
    for value, area in marks.items():
        classes[_mask(area, west, north, len(classes), 2 * PIXEL)] = value
    return classes


def _write(path: Path, values: np.ndarray, crs: str, transform: rasterio.Affine) -> None:
    count, height, width = values.shape
    options = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(
        path, "w", crs=crs, transform=transform, nodata=0, **options, **COG
    ) as dataset:
        dataset.write(values)


def _file_names(style: str, id: str) -> dict[str, str]:
    """Asset keys and their files: four bands, SCL, true colour, a small picture."""
    if style == "earth-search":
        bands = {key: f"{name}.tif" for key, name in zip(COLOURS, NAMES, strict=True)}
        return bands | {"scl": "SCL.tif", "visual": "TCI.tif", "thumbnail": "L2A_PVI.jpg"}
    stem = f"T{''.join(_tile(id))}_{re.search('[0-9]{8}T[0-9]{6}', id)[0]}"
    bands = {name: f"{stem}_{name}_10m.tif" for name in NAMES}
    rest = {"SCL": f"{stem}_SCL_20m.tif", "visual": f"{stem}_TCI_10m.tif"}
    return bands | rest | {"rendered_preview": "preview.png"}


def _tile(id: str) -> tuple[str, str, str]:
    found = re.search(r"_T(\d\d)([C-X])([A-Z]{2})_", id)
    if not found:
        raise ValueError(f"{id} names no tile, expected one such as _T32TPS_.")
    return found.groups()


def _item(
    id: str, crs: str, shape: shapely.Geometry, acquired: str, cloud: float, style: str
) -> dict:
    zone, band, square = _tile(id)
    west, south, east, north = shape.bounds
    if shape.geom_type == "MultiPolygon":
        west, east = (
            min(part.bounds[0] for part in shape.geoms if part.bounds[2] > 0),
            max(part.bounds[2] for part in shape.geoms if part.bounds[0] < 0),
        )
    letter = id[2].lower()
    properties = {
        "datetime": acquired,
        "platform": f"sentinel-2{letter}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(cloud, 6),
        "s2:product_type": "S2MSI2A",
    }
    if style == "earth-search":
        code = f"MGRS-{zone.lstrip('0')}{band}{square}"
        properties |= {"proj:code": crs, "grid:code": code, "mgrs:utm_zone": int(zone)}
        properties |= {"mgrs:latitude_band": band, "mgrs:grid_square": square}
        properties |= {"s2:nodata_pixel_percentage": 0.0, "s2:sequence": "0"}
    else:
        properties |= {"platform": f"Sentinel-2{letter.upper()}", "constellation": "Sentinel 2"}
        properties |= {"proj:epsg": int(crs.rpartition(":")[2])}
        properties |= {"s2:mgrs_tile": zone + band + square, "sat:relative_orbit": 22}
    names = ["eo/v1.1.0", "projection/v2.0.0", "raster/v1.1.0", "mgrs/v1.0.0", "grid/v1.1.0"]
    if style != "earth-search":
        names = ["eo/v1.0.0", "sat/v1.0.0", "projection/v1.0.0"]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json" for name in names
        ],
        "id": id,
        "collection": COLLECTIONS[style],
        "bbox": [west, south, east, north],
        "geometry": mapping(shape),
        "properties": properties,
        "links": [],
    }


def _assets(
    style: str, files: Mapping[str, str], west: int, north: int, pixels: int, offset_dn: int
) -> dict[str, dict]:
    """Describe the files; Planetary Computer tells neither scale nor offset."""
    raster, own = "image/tiff; application=geotiff; profile=cloud-optimized", {}
    *rasters, small = files
    for key in rasters:
        size = 20 if key.lower() == "scl" else PIXEL
        shape = [pixels * PIXEL // size] * 2
        grid = {"proj:shape": shape, "proj:transform": [size, 0, west, 0, -size, north]}
        own[key] = {"href": files[key], "type": raster, "gsd": size, "roles": ["data"], **grid}
    for key, name, colour, title, wave in zip(
        rasters[:4], NAMES, COLOURS, TITLES, WAVES, strict=True
    ):
        band = {"name": name, "common_name": colour, "center_wavelength": wave[0]}
        own[key] |= {
            "title": f"{title} - 10m",
            "eo:bands": [band | {"full_width_half_max": wave[1]}],
        }
        if style == "earth-search":
            scaling = {"scale": 0.0001, "offset": offset_dn / 10000, "spatial_resolution": PIXEL}
            own[key]["raster:bands"] = [{"nodata": 0, "data_type": "uint16", **scaling}]
            own[key]["roles"] = ["data", "reflectance"]
    kind = "image/jpeg" if files[small].endswith("jpg") else "image/png"
    role = "thumbnail" if small == "thumbnail" else "overview"
    own[small] = {"href": files[small], "type": kind, "roles": [role]}
    return own
