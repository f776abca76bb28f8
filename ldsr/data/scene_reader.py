"""Boxes of scenes: bands, classification and thumbnails, by windows of the files on the web.

What a scene is, `ldsr.data.scenes` knows; how a window is fetched, `ldsr.data.windows`.
"""

from collections.abc import Sequence

import numpy as np
from rasterio.crs import CRS

from ldsr.data import scl as classes
from ldsr.data.bands import BANDS, SENTINEL2
from ldsr.data.catalog import signed, window_cache
from ldsr.data.endpoints import choose
from ldsr.data.patch import Patch, Source
from ldsr.data.places import Box
from ldsr.data.radiometry import decide, to_reflectance
from ldsr.data.scenes import Scene, Tile
from ldsr.data.windows import crs_of, read_preview, read_windows
from ldsr.errors import SceneError

LICENCE = "Copernicus Sentinel data, free and open; contains modified Copernicus Sentinel data {}"


def read_classes(scene: Scene, box: Box) -> np.ndarray | None:
    """Read the scene classification of a box: uint8 [H, W], or None where the scene has none.

    Raises:
        SceneError: the file cannot be read.
    """
    box = box.moved_to(_crs(scene))
    found = None
    for tile in scene.tiles:
        if "SCL" not in tile.hrefs:
            return None
        (layer,) = _read(scene, tile, ("SCL",), box)
        found = layer if found is None else np.where(found == classes.NO_DATA, layer, found)
        if (found != classes.NO_DATA).all():
            break
    return found.astype(np.uint8)


def read_thumbnail(scene: Scene, box: Box) -> np.ndarray:
    """Read a small true-colour picture of a box, uint8 [h, w, 3].

    Raises:
        SceneError: there is none, or it cannot be read.
    """
    tile = scene.tiles[0]
    if "visual" not in tile.hrefs:
        raise SceneError(f"{scene.id} has no true-colour picture.")
    href = signed(choose(scene.catalogue), tile.hrefs["visual"])
    what = f"The true-colour picture of {tile.id}"
    return read_preview(href, what, box.moved_to(_crs(scene)), cache=window_cache())


def read_scene(scene: Scene, box: Box, *, scale: str | None = None) -> Patch:
    """Read a box of a scene: its four bands and its classification, and nothing else.

    The box is taken in the scene's own UTM zone, so that pixels stay as they were measured: its
    centre is at most 5 m off. Where one tile of the pass has no data, another fills in.

    Args:
        scene: from `find_scenes`.
        box: what to read.
        scale: how numbers become reflectance, where neither catalogue nor numbers tell.

    Returns:
        Reflectance with its classification; what was done to the numbers is in its source.

    Raises:
        AmbiguousPatchError: the scale cannot be known; ask the person.
        SceneError: no data in the box, or files that cannot be read.
    """
    box = box.moved_to(_crs(scene))
    values = np.zeros((len(BANDS), *box.size), np.float32)
    valid = np.zeros(box.size, bool)
    marks: np.ndarray | None = np.zeros(box.size, np.uint8)
    radiometry = hints = None
    for tile in scene.tiles:
        roles = (*BANDS, "SCL") if "SCL" in tile.hrefs else BANDS
        layers = _read(scene, tile, roles, box)
        dn, layer = np.stack(layers[:4]), layers[4].astype(np.uint8) if layers[4:] else None
        new = ~(dn == 0).all(axis=0) & np.isfinite(dn).all(axis=0) & ~valid
        if layer is not None:
            new &= layer != classes.NO_DATA
        if new.any():
            how = radiometry
            if hints != tile.hints:
                how = decide(dn, new, hints=tile.hints, answer=scale)
            if radiometry is None:
                radiometry, hints = how, tile.hints
            values[:, new] = to_reflectance(dn, new, how)[:, new]
            valid |= new
            marks = None if layer is None or marks is None else np.where(new, layer, marks)
        if valid.all():
            break
    if radiometry is None:
        raise SceneError(
            f"{scene.id} has no data in this box: it lies beyond the edge of the pass; choose "
            "another scene."
        )
    catalogue = choose(scene.catalogue)
    source = Source(
        kind="scene",
        name=scene.id,
        acquired=scene.acquired,
        baseline=hints.baseline,
        scale=radiometry.scale,
        offset_dn=radiometry.offset_dn,
        radiometry=radiometry.sentence,
        licence=LICENCE.format(scene.acquired.year),
        catalogue=f"{catalogue.public_url} {catalogue.collection}",
    )
    return Patch(
        reflectance=values,
        valid=valid,
        crs=CRS.from_string(box.crs),
        transform=box.transform,
        source=source,
        scl=marks,
    )


def _crs(scene: Scene) -> str:
    """The scene's UTM zone; where the catalogue does not say, its red band is asked."""
    if scene.crs:
        return scene.crs
    tile = scene.tiles[0]
    href = signed(choose(scene.catalogue), tile.hrefs["R"])
    return crs_of(href, f"{SENTINEL2['R']} of {tile.id}")


def _read(scene: Scene, tile: Tile, roles: Sequence[str], box: Box) -> list[np.ndarray]:
    catalogue = choose(scene.catalogue)
    files = [
        (signed(catalogue, tile.hrefs[role]), f"{SENTINEL2.get(role, role)} of {tile.id}")
        for role in roles
    ]
    return read_windows(files, box, cache=window_cache())
