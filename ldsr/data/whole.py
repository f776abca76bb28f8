"""Whole scenes, read by windows: a file, a product, a folder or the tiles of one pass as one.

How numbers become reflectance is decided once, when a scene is opened. What lies at an address,
`ldsr.data.addresses` knows.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np
import rasterio

from ldsr.data import scl
from ldsr.data.addresses import MOST_OPEN, Found, find_pieces
from ldsr.data.bands import BANDS
from ldsr.data.extent import Grid, join, window_within
from ldsr.data.grid import Window, window_transform
from ldsr.data.items import public_name
from ldsr.data.patch import Patch, Source
from ldsr.data.pieces import Piece
from ldsr.data.radiometry import Radiometry, decide, to_reflectance
from ldsr.data.rasters import GDAL_ERRORS
from ldsr.data.scenes import ONE_PASS
from ldsr.data.spots import MOST, rounds, side_by_side
from ldsr.errors import PatchError, SceneError, one_line

CACHE = 256 * 2**20
"""Bytes of unpacked blocks that GDAL keeps while a scene is read."""


@contextlib.contextmanager
def open_scene(
    address: str | os.PathLike[str],
    *,
    bands: str | Sequence[str] | None = None,
    scale: str | None = None,
    bounds: Sequence[float] | None = None,
    catalogue: str = "",
    most_pixels: int | None = None,
) -> Iterator["WholeScene"]:
    """Open a Sentinel-2 scene of any size; its files stay open until the context ends.

    Args:
        address: a GeoTIFF or JPEG 2000 file; a .SAFE folder or a zip of one; a folder of GeoTIFFs
            on one grid; a JSON file with a STAC item, or with the items of one pass. On the web
            (http or https) a Cloud-optimised GeoTIFF or a STAC item. Where several pictures have
            data, the first by name (or as listed) counts.
        bands: the band of each layer of a file in order, where it does not say.
        scale: how numbers become reflectance, one of `ldsr.data.radiometry.SCALES`, where neither
            metadata nor numbers tell.
        bounds: west, south, east, north in degrees: this part alone, snapped outwards to pixels.
        catalogue: key of the catalogue that files on the web are from, where it asks for a token.
        most_pixels: refuse files of more, before a pixel is read; any size by default.

    Yields:
        The scene.

    Raises:
        AmbiguousPatchError: band order or scale cannot be known; ask the person.
        PatchError: a file that is damaged, or no Sentinel-2 picture.
        SceneError: files that are no one scene, bounds outside of it, a server that fails.
    """
    with contextlib.ExitStack() as opened:
        try:
            found = find_pieces(address, bands=bands, catalogue=catalogue)
            for piece in found.pieces:
                opened.callback(piece.close)
            _check_size(found, most_pixels)
            scene = _assembled(found, bounds, scale)
        except GDAL_ERRORS as error:
            raise SceneError(
                f"{public_name(os.fspath(address))} cannot be read ({type(error).__name__}); check "
                "that it is complete and may be read, and begin again."
            ) from error
        yield scene


@dataclasses.dataclass(kw_only=True, eq=False)
class _Placed:
    """A piece, where it begins in the scene, and how its numbers become reflectance."""

    piece: Piece
    col: int
    row: int
    radiometry: Radiometry | None = None

    def overlap(self, window: Window) -> Window | None:
        """The part of a window of the scene that lies on the piece, as the scene counts."""
        col, row, wide, high = window
        left, top = max(col, self.col), max(row, self.row)
        right = min(col + wide, self.col + self.piece.grid.width)
        bottom = min(row + high, self.row + self.piece.grid.height)
        return (left, top, right - left, bottom - top) if right > left and bottom > top else None


class WholeScene:
    """A scene of any size, read by windows from one thread at a time.

    Attributes:
        name: of the file, product, folder or item.
        size: rows and columns.
        crs: or None for a plain picture.
        transform: pixel to CRS coordinates, or None for a plain picture.
        has_classes: there is a scene classification everywhere.
        source: where the scene is from and how its numbers become reflectance.
    """

    def __init__(self, found: Found, grid: Grid, placed: list[_Placed], scale: str | None) -> None:
        """Decide how the numbers become reflectance; `open_scene` is the way to a scene.

        Raises:
            AmbiguousPatchError: it cannot be known.
            PatchError, SceneError: no valid pixel, numbers that are no reflectance, or files that
                cannot be read.
        """
        self.name, self.size = one_line(found.name), (grid.height, grid.width)
        self.crs, self.transform = grid.crs, grid.transform
        self._recent = [each.piece for each in placed][:MOST_OPEN]
        self._placed, self._spots = self._with_radiometry(placed, scale)
        self.has_classes = all(each.piece.classes is not None for each in self._placed)
        self.source = _source(found, self._placed)

    def read(self, window: Window) -> Patch:
        """Read a window, of any size; pixels without data are marked, and may be all of it.

        Args:
            window: column, row, width and height in pixels, within the scene.

        Returns:
            Reflectance with its place; the classification where the scene has one everywhere.

        Raises:
            PatchError: a window outside of the scene, or a file that is damaged.
            SceneError: a file on the web that cannot be read. The next call tries again.
        """
        col, row, wide, high = self._checked(window)
        reflectance = np.zeros((len(BANDS), high, wide), np.float32)
        valid = np.zeros((high, wide), bool)
        classes = np.full((high, wide), scl.NO_DATA, np.uint8) if self.has_classes else None
        for each, inside, dn, new, layer in self._layers(window, self._placed):
            valid[inside] |= new
            values = to_reflectance(dn, new, each.radiometry)
            reflectance[:, *inside][:, new] = values[:, new]
            if classes is not None:
                classes[inside][new] = layer[new]
        return Patch(
            reflectance=reflectance,
            valid=valid,
            crs=self.crs,
            transform=window_transform(self.transform, col, row),
            source=self.source,
            scl=classes,
        )

    def sample(self) -> Patch:
        """Read pixels from all over the scene side by side, without a place.

        Returns:
            At most 1024 x 1024 pixels: all of a scene that is not larger, else up to 16 windows
            of 256 x 256 with data, and nothing where there are fewer.

        Raises:
            PatchError, SceneError: as `read`.
        """
        parts = [self.read(spot) for spot in self._spots]
        high, wide = parts[0].size
        places = side_by_side(len(parts))
        size = (max(row for _, row in places) + 1) * high, (max(places)[0] + 1) * wide
        reflectance = np.zeros((len(BANDS), *size), np.float32)
        valid, classes = np.zeros(size, bool), np.zeros(size, np.uint8)
        for (col, row), part in zip(places, parts, strict=True):
            inside = np.s_[row * high : (row + 1) * high, col * wide : (col + 1) * wide]
            reflectance[:, *inside], valid[inside] = part.reflectance, part.valid
            if part.scl is not None:
                classes[inside] = part.scl
        return Patch(
            reflectance=reflectance,
            valid=valid,
            source=self.source,
            scl=classes if self.has_classes else None,
        )

    def _checked(self, window: Window) -> Window:
        rows, columns = self.size
        try:
            col, row, wide, high = (int(value) for value in window)
        except (TypeError, ValueError):
            raise PatchError(
                f"The window is {window!r}, expected column, row, width and height in pixels."
            ) from None
        if min(col, row) < 0 or min(wide, high) < 1 or col + wide > columns or row + high > rows:
            raise PatchError(
                f"The window {col}, {row}, {wide}, {high} (column, row, width, height) is not "
                f"within {self.name}, which is {columns} x {rows} pixels; choose one inside."
            )
        return col, row, wide, high

    def _layers(self, window: Window, placed: Sequence[_Placed]) -> Iterator[tuple]:
        """Read what each piece adds to a window, in their order, until nothing is missing.

        Yields:
            The piece; rows and columns of the window that it lies on; its digital numbers; where
            it is the first with data; its classification.
        """
        col, row, wide, high = window
        valid = np.zeros((high, wide), bool)
        for each in placed:
            part = each.overlap(window)
            if part is None:
                continue
            left, top, across, down = part
            inside = np.s_[top - row : top - row + down, left - col : left - col + across]
            if valid[inside].all():
                continue
            self._touch(each.piece)
            with rasterio.Env(GDAL_CACHEMAX=CACHE):
                dn, there, layer = each.piece.read((left - each.col, top - each.row, across, down))
            new = there & ~valid[inside]
            if new.any():
                valid[inside] |= new
                yield each, inside, dn, new, layer

    def _touch(self, piece: Piece) -> None:
        """Note that a piece is read now, and close the one that was read longest ago."""
        if piece in self._recent:
            self._recent.remove(piece)
        self._recent.append(piece)
        if len(self._recent) > MOST_OPEN:
            self._recent.pop(0).close()

    def _with_radiometry(
        self, placed: list[_Placed], scale: str | None
    ) -> tuple[list[_Placed], list[Window]]:
        """Decide for all pieces that say the same of their numbers at once.

        Returns:
            The pieces that have data, and windows that show the scene.
        """
        alike: dict[tuple, list[_Placed]] = {}
        for each in placed:
            alike.setdefault((each.piece.facts.hints, each.piece.dtype), []).append(each)
        found = [(group, self._evidence(group)) for group in alike.values()]
        for group, (spots, dn, valid) in found:
            if spots:
                hints = group[0].piece.facts.hints
                radiometry = decide(dn, valid, hints=hints, answer=scale)
                for each in group:
                    each.radiometry = radiometry
        kept = [each for each in placed if each.radiometry is not None]
        if not kept:
            raise SceneError(
                f"{self.name} holds no valid pixel (all are no-data, zero or not a number); choose "
                "a scene or a part of it that has data."
            )
        return kept, found[0][1][0] if len(found) == 1 else self._evidence(kept)[0]

    def _evidence(self, group: list[_Placed]) -> tuple[list[Window], np.ndarray, np.ndarray]:
        """Look at pieces here and there, and further where nothing was found.

        Returns:
            Windows with data, from the top; digital numbers [4, n] of those, and where they are
            valid, one row of pixels after the other.
        """
        rows, columns = self.size
        parts = [part for each in group if (part := each.overlap((0, 0, columns, rows)))]
        west, north = min(part[0] for part in parts), min(part[1] for part in parts)
        east, south = (
            max(part[0] + part[2] for part in parts),
            max(part[1] + part[3] for part in parts),
        )
        found: dict[Window, list[np.ndarray]] = {}
        for windows in rounds(east - west, south - north):
            for col, row, wide, high in windows:
                spot = (west + col, north + row, wide, high)
                for _, _, dn, new, _ in self._layers(spot, group):
                    found.setdefault(spot, []).append(dn[:, new])
                if len(found) == MOST:
                    break
            if found:
                break
        spots = sorted(found, key=lambda spot: (spot[1], spot[0]))
        values = [numbers for spot in spots for numbers in found[spot]]
        dn = np.concatenate(values, axis=1)[:, None] if values else np.zeros((len(BANDS), 1, 0))
        return spots, dn, np.ones(dn.shape[1:], bool)


def _assembled(found: Found, bounds: Sequence[float] | None, scale: str | None) -> WholeScene:
    """Lay the pieces on one grid and cut what the bounds ask for."""
    grids = [(piece.name, piece.grid) for piece in found.pieces]
    if len(grids) > 1 and grids[0][1].transform is None:
        raise SceneError(
            f"{found.name} holds {len(grids)} pictures, and {grids[0][0]} has no place (no "
            "transform); give every file its CRS and transform, or hand in one."
        )
    grid, places = join(grids, what=found.name)
    col, row, wide, high = window_within(grid, bounds, what=found.name)
    part = Grid(
        width=wide,
        height=high,
        crs=grid.crs,
        transform=grid.transform
        if (col, row) == (0, 0)
        else window_transform(grid.transform, col, row),
    )
    placed = [
        _Placed(piece=piece, col=left - col, row=top - row)
        for piece, (left, top) in zip(found.pieces, places, strict=True)
    ]
    there = [each for each in placed if each.overlap((0, 0, wide, high))]
    if not there:
        raise SceneError(
            f"No file of {found.name} lies within the bounds; choose others, or leave them away."
        )
    return WholeScene(found, part, there, scale)


def _check_size(found: Found, most: int | None) -> None:
    """Refuse files that have more pixels than are taken."""
    count = sum(piece.grid.width * piece.grid.height for piece in found.pieces)
    if most is None or count <= most:
        return
    raise SceneError(
        f"{found.name} has {count / 1e6:.0f} million pixels, at most {most / 1e6:.0f} million are "
        "taken here; cut out a part of it first, for example with gdal_translate -srcwin."
    )


def _source(found: Found, placed: Sequence[_Placed]) -> Source:
    """Say where a scene is from; what its pieces do not agree on is not said."""
    facts = [each.piece.facts for each in placed]
    first, radiometry = facts[0], placed[0].radiometry
    times = [fact.acquired for fact in facts]
    one_pass = None not in times and max(times) - min(times) < ONE_PASS
    ways: dict[tuple[float, float], _Placed] = {}
    for each in placed:
        ways.setdefault((each.radiometry.scale, each.radiometry.offset_dn), each)
    sentence = radiometry.sentence
    if len(ways) > 1:
        told = (f"{each.piece.name}: {each.radiometry.sentence[:-1]}" for each in ways.values())
        sentence = f"Not the same for all files; {'; '.join(told)}."
    return Source(
        kind="scene",
        name=one_line(found.name),
        acquired=first.acquired if one_pass else None,
        baseline=_common([fact.hints.baseline for fact in facts]),
        scale=radiometry.scale,
        offset_dn=radiometry.offset_dn,
        radiometry=sentence,
        licence=_common([fact.licence for fact in facts]),
        catalogue=found.catalogue,
    )


def _common(said: Sequence[str | None]) -> str | None:
    return said[0] if len(set(said)) == 1 else None
