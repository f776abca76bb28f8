"""One picture of a whole scene: four bands, and a classification where there is one, by windows.

Digital numbers and where they are valid; knows nothing of reflectance, of other pictures, or of
how a picture was found.
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from ldsr.data import scl
from ldsr.data.coarse import spread, touched
from ldsr.data.extent import Grid, apart, is_whole
from ldsr.data.grid import Window, check_grid
from ldsr.data.naming import choose_bands
from ldsr.data.openfile import OpenFile
from ldsr.data.radiometry import Hints
from ldsr.data.rasters import check_header, file_facts
from ldsr.data.reader import mark_no_data
from ldsr.data.windows import at_once
from ldsr.errors import LdsrError, PatchError, SceneError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What a picture says of itself.

    Attributes:
        hints: scale, offset and baseline.
        acquired: time of acquisition (UTC), if known.
        licence: of the pixels, if known.
    """

    hints: Hints
    acquired: datetime | None = None
    licence: str | None = None


@dataclasses.dataclass(kw_only=True, eq=False)
class Piece:
    """One picture; one thread at a time may read it.

    Attributes:
        name: as a message names it.
        grid: where its pixels lie.
        dtype: of its numbers.
        facts: what it says of itself.
        files: of R, G, B and NIR, in this order: one file for all, or one for each.
        indexes: the bands to read of each file, from 1.
        classes: the scene classification, or None.
        classes_at: its pixel's size as a multiple, and column and row where it begins.
    """

    name: str
    grid: Grid
    dtype: np.dtype
    facts: Facts
    files: list[OpenFile]
    indexes: list[list[int]]
    classes: OpenFile | None = None
    classes_at: tuple[int, int, int] = (1, 0, 0)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Read a window that lies within the picture.

        Returns:
            Digital numbers [4, H, W]; where they are valid [H, W]; the classification uint8
            [H, W], or None.

        Raises:
            PatchError: a file here that cannot be read.
            SceneError: a file on the web that cannot be read, or is late.
        """
        part = RasterWindow(*window)
        tasks = [
            (file.read, indexes, part)
            for file, indexes in zip(self.files, self.indexes, strict=True)
        ]
        if self.classes is not None:
            tasks.append((self._read_classes, self.classes, window))
        found = self._do(tasks)
        layers = found[: len(self.files)]
        valid = np.logical_and.reduce([there for _, there in layers])
        dn = layers[0][0] if len(layers) == 1 else np.concatenate([layer for layer, _ in layers])
        valid = mark_no_data(dn, valid)
        if self.classes is None:
            return dn, valid, None
        valid &= found[-1] != scl.NO_DATA
        return dn, valid, np.where(valid, found[-1], np.uint8(scl.NO_DATA))

    def close(self) -> None:
        """Close its files; the next read opens them again."""
        for file in self._all():
            file.close()

    def _all(self) -> list[OpenFile]:
        return [*self.files, *([self.classes] if self.classes else [])]

    def _do(self, tasks: list[tuple]) -> list:
        """Do what is on the web at once; after a failure other threads may still be at it."""
        if not any(file.remote for file in self._all()):
            return [do(*given) for do, *given in tasks]
        try:
            return at_once(tasks)
        except LdsrError:
            self.files = [file.fresh() for file in self.files]
            self.classes = self.classes and self.classes.fresh()
            raise

    def _read_classes(self, file: OpenFile, window: Window) -> np.ndarray:
        """Read the classification of a window [H, W], coarse pixels repeated; 0 beyond its edge."""
        (col, row, wide, high), (times, west, north) = window, self.classes_at

        def read(dataset: DatasetReader) -> np.ndarray:
            cols = touched(col - west, wide, times, dataset.width)
            rows = touched(row - north, high, times, dataset.height)
            if cols[0] >= cols[1] or rows[0] >= rows[1]:
                return np.zeros((high, wide), np.uint8)
            coarse = dataset.read([1], window=RasterWindow.from_slices(rows, cols))
            top, left = rows[0] * times + north - row, cols[0] * times + west - col
            return spread(coarse.astype(np.uint8), times, top=top, left=left, size=(high, wide))[0]

        return file.use(read)


def piece_of_file(
    file: OpenFile, *, bands: str | Sequence[str] | None = None, classes: OpenFile | None = None
) -> Piece:
    """Make a piece of one file with all four bands.

    Args:
        file: GeoTIFF or JPEG 2000.
        bands: the band of each layer in order, where the file does not say.
        classes: the scene classification, if there is one.

    Raises:
        AmbiguousPatchError: which band is which cannot be known.
        PatchError, SceneError: anything else that is wrong with the file.
    """

    def chosen(dataset: DatasetReader) -> list[int]:
        colours = [colour.name for colour in dataset.colorinterp]
        order = choose_bands(dataset.descriptions, colours, stated=bands, what=file.name)
        return [index + 1 for index in order]

    (header,) = _headers([file], chosen)
    return _with_classes(
        Piece(
            name=file.name,
            grid=header.grid,
            dtype=header.dtype,
            facts=header.facts,
            files=[file],
            indexes=[header.indexes],
        ),
        classes,
    )


def piece_of_bands(
    files: Sequence[OpenFile],
    *,
    what: str,
    facts: Facts | None = None,
    classes: OpenFile | None = None,
) -> Piece:
    """Make a piece of four files on one grid.

    Args:
        files: B04, B03, B02 and B08, one band each.
        what: the picture, as a message names it.
        facts: what its metadata says; what the files say where it is None.
        classes: the scene classification, if there is one.

    Raises:
        PatchError, SceneError: files that cannot be opened, or are not of one picture.
    """

    def single(dataset: DatasetReader) -> list[int]:
        if dataset.count != 1:
            raise PatchError(
                f"A file of {what} has {dataset.count} bands, expected one; hand in either one "
                "file with all bands or one file per band."
            )
        return [1]

    headers = _headers(files, single)
    for file, header in zip(files, headers, strict=True):
        first, mine = headers[0].grid, header.grid
        if mine != first:
            raise PatchError(
                f"{file.name} ({mine.width} x {mine.height} pixels) does not lie on the grid of "
                f"{files[0].name} ({first.width} x {first.height}); use the four bands at 10 m of "
                "one scene."
            )
        if facts is None and header.facts.hints != headers[0].facts.hints:
            raise PatchError(
                f"{file.name} states another scale, offset or baseline than {files[0].name}; use "
                "the four bands of one product."
            )
    return _with_classes(
        Piece(
            name=what,
            grid=headers[0].grid,
            dtype=np.result_type(*[header.dtype for header in headers]),
            facts=facts or headers[0].facts,
            files=list(files),
            indexes=[[1]] * len(files),
        ),
        classes,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Header:
    """What is known of a file before its pixels are read."""

    grid: Grid
    indexes: list[int]
    dtype: np.dtype
    facts: Facts


def _headers(
    files: Sequence[OpenFile], choose: Callable[[DatasetReader], list[int]]
) -> list[_Header]:
    """Look at files, those on the web at once."""

    def look(file: OpenFile, dataset: DatasetReader) -> _Header:
        check_header(dataset, file.name)
        indexes = choose(dataset)
        crs, transform = check_grid(
            dataset.crs, dataset.transform, dataset.width, dataset.height, what=file.name
        )
        hints, acquired, licence = file_facts(dataset, indexes, file.name)
        return _Header(
            grid=Grid(width=dataset.width, height=dataset.height, crs=crs, transform=transform),
            indexes=indexes,
            dtype=np.result_type(*[dataset.dtypes[index - 1] for index in indexes]),
            facts=Facts(hints=hints, acquired=acquired, licence=licence),
        )

    tasks = [(file.use, lambda dataset, file=file: look(file, dataset)) for file in files]
    if any(file.remote for file in files):
        return at_once(tasks)
    return [do(work) for do, work in tasks]


def _with_classes(piece: Piece, file: OpenFile | None) -> Piece:
    """Add the classification, which lies on the same grid or on one of larger pixels."""
    if file is None or piece.grid.transform is None:
        return piece

    def look(dataset: DatasetReader) -> tuple[Grid, bool]:
        shape = {"width": dataset.width, "height": dataset.height}
        plain = dataset.count == 1 and np.dtype(dataset.dtypes[0]).kind in "iu"
        return Grid(crs=dataset.crs, transform=dataset.transform, **shape), plain

    (found,) = at_once([(file.use, look)]) if file.remote else [file.use(look)]
    grid, plain = found
    col, row, times = apart(grid, piece.grid)
    on_it = grid.crs == piece.grid.crs and all(is_whole(value) for value in (col, row, times))
    if not plain or not on_it or times < 0.5:
        raise SceneError(
            f"The scene classification {file.name} is not one band of whole numbers on the grid of "
            f"{piece.name}; take it away, or put the original one of the product in its place."
        )
    piece.classes, piece.classes_at = file, (round(times), round(col), round(row))
    return piece
