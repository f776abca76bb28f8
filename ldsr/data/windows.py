"""Windows of Cloud-optimised GeoTIFFs at an address: a box of 10 m pixels, and not the whole tile.

Several files at once, each in a thread of its own; what was read is kept on disk. Knows nothing of
catalogues or reflectance.
"""

import contextlib
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from ldsr.data.coarse import spread, touched
from ldsr.data.diskcache import DiskCache
from ldsr.data.places import PIXEL, Box, is_utm
from ldsr.data.rasters import GDAL_ERRORS, MAX_BLOCK, quiet_gdal
from ldsr.errors import SceneError

THREADS = 5
PREVIEW_SIDE = 96
"""Pixels of a thumbnail."""
RETRIES = 2
_HTTP_STATUS = re.compile(r"(?:HTTP (?:response|error) code\s*:?|HTTP)\s*(\d{3})\b", re.IGNORECASE)
_NOT_ALIGNED = 0.01
"""Largest part of a pixel by which a grid may miss the 10 m grid of UTM."""


def http_timeout() -> float:
    """Seconds to wait for one answer of a server: $LDSR_HTTP_TIMEOUT, else 20."""
    try:
        return max(0.1, float(os.environ["LDSR_HTTP_TIMEOUT"]))
    except (KeyError, ValueError):
        return 20.0


def read_windows(
    files: Sequence[tuple[str, str]], box: Box, *, cache: DiskCache | None = None
) -> list[np.ndarray]:
    """Read a box from several files at once.

    Args:
        files: address and name (for messages) of each; one band, 10 m pixels or a multiple.
        box: what to read.
        cache: where windows are kept, or None.

    Returns:
        Of each file [H, W] on the grid of the box, 0 outside the file.

    Raises:
        SceneError: a file that is missing, damaged, late, or not where it should be.
    """
    return at_once([(_one_window, href, what, box, cache) for href, what in files])


def read_preview(href: str, what: str, box: Box, *, cache: DiskCache | None = None) -> np.ndarray:
    """Read a small true-colour picture of a box: uint8 [h, w, 3], black outside the file.

    Raises:
        SceneError: as `read_windows`.
    """

    def make() -> np.ndarray:
        with _open(href, what, box.crs) as dataset:
            if dataset.count < 3 or set(dataset.dtypes[:3]) != {"uint8"}:
                raise SceneError(
                    f"{what} is no 8-bit picture in three colours; choose another catalogue."
                )
            every = max(1, round(max(box.size) / PREVIEW_SIDE))
            return np.moveaxis(_read(dataset, what, box, [1, 2, 3])[:, ::every, ::every], 0, -1)

    return at_once([(_kept, cache, f"preview {_plain(href)} {box}", make)])[0]


def is_window_kept(href: str, box: Box, cache: DiskCache) -> bool:
    """Whether a box of a one-band file is in the cache."""
    return cache.has(_window_key(href, box))


def crs_of(href: str, what: str) -> str:
    """Read the CRS of a file, such as "EPSG:32633".

    Raises:
        SceneError: as `read_windows`, or a file that lies in no UTM zone.
    """

    def ask() -> str:
        with _open(href, what, None) as dataset:
            return f"EPSG:{dataset.crs.to_epsg()}"

    return at_once([(ask,)])[0]


def at_once(tasks: Sequence[tuple]) -> list[Any]:
    """Run tasks (a function and its arguments) in threads; their results in the same order.

    The first failure is raised, and nobody waits for the others.

    Raises:
        SceneError: late, or what a task raises.
    """
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="ldsr-window")
    waited = (RETRIES + 1) * http_timeout() + 5
    try:
        futures: list[Future] = [pool.submit(*task) for task in tasks]
        ended, late = wait(futures, timeout=waited, return_when=FIRST_EXCEPTION)
        for future in ended:
            future.result()
        if late:
            raise SceneError(
                f"The files of the scene did not arrive within {waited:.0f} s; try again later or "
                "choose another scene."
            )
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _one_window(href: str, what: str, box: Box, cache: DiskCache | None) -> np.ndarray:
    def make() -> np.ndarray:
        with _open(href, what, box.crs) as dataset:
            if dataset.count != 1:
                raise SceneError(
                    f"{what} has {dataset.count} bands, expected one; choose another catalogue."
                )
            return _read(dataset, what, box, [1])[0]

    return _kept(cache, _window_key(href, box), make)


def _read(dataset: DatasetReader, what: str, box: Box, bands: list[int]) -> np.ndarray:
    """Read bands of a box [n, H, W] at 10 m; coarser pixels are repeated, 0 outside the file."""
    grid, (height, width) = dataset.transform, box.size
    col, row = (box.west - grid.c) / PIXEL, (grid.f - box.north) / PIXEL
    times = grid.a / PIXEL
    apart = max(abs(value - round(value)) for value in (col, row, times))
    if grid.b or grid.d or grid.e != -grid.a or times < 0.5 or apart > _NOT_ALIGNED:
        raise SceneError(
            f"The pixels of {what} do not lie on Sentinel-2's 10 m grid (size {grid.a:g} m, origin "
            f"{grid.c:.10g}, {grid.f:.10g}); choose a catalogue that keeps the original grid."
        )
    col, row, times = round(col), round(row), round(times)
    cols = touched(col, width, times, dataset.width)
    rows = touched(row, height, times, dataset.height)
    if cols[0] >= cols[1] or rows[0] >= rows[1]:
        return np.zeros((len(bands), height, width), dataset.dtypes[bands[0] - 1])
    found = _pixels(dataset, what, bands, Window.from_slices(rows, cols))
    top, left = rows[0] * times - row, cols[0] * times - col
    return spread(found, times, top=top, left=left, size=box.size)


def _pixels(dataset: DatasetReader, what: str, bands: list[int], part: Window) -> np.ndarray:
    try:
        return dataset.read(bands, window=part)
    except GDAL_ERRORS as error:
        raise not_read(what, error) from None


def not_read(what: str, *errors: BaseException | None) -> SceneError:
    """Say why the pixels of a file that is open cannot be read, from the errors that were met."""
    status = next(filter(None, map(_status, errors)), "")
    return SceneError(
        _not_opened(what, status)
        if status
        else f"{what} is damaged or cut off: its header is sound but its pixels cannot be read; "
        "choose another scene."
    )


@contextlib.contextmanager
def _open(href: str, what: str, crs: str | None) -> Iterator[DatasetReader]:
    """Open a file at an address, with settings for windows; check where it lies.

    Raises:
        SceneError: it is not there, no GeoTIFF, in another CRS, or not safe to unpack.
    """
    with quiet_gdal(), rasterio.Env(**web_settings()):
        try:
            with opened_cog(href, what) as dataset:
                _check(dataset, what, crs)
                yield dataset
        except SceneError:
            forget(href)
            raise


def opened_cog(href: str, what: str) -> DatasetReader:
    """Open a file at an address, within `web_settings`, to be closed by the caller.

    Raises:
        SceneError: it is not there, or no GeoTIFF.
    """
    try:
        return rasterio.open(href, driver="GTiff")
    except GDAL_ERRORS as error:
        raise SceneError(_not_opened(what, _status(error))) from None


def web_settings(**more: str) -> dict[str, object]:
    """GDAL's settings for few, merged requests, and for giving up in time."""
    return {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff",
        "CPL_VSIL_CURL_USE_HEAD": "NO",
        "GDAL_HTTP_MULTIPLEX": "YES",
        "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
        "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
        "VSI_CACHE": "TRUE",
        "GDAL_HTTP_CONNECTTIMEOUT": math.ceil(min(5, http_timeout())),
        "GDAL_HTTP_TIMEOUT": math.ceil(http_timeout()),
        "GDAL_HTTP_MAX_RETRY": RETRIES,
        "GDAL_HTTP_RETRY_DELAY": 0.3,
        **more,
    }


def forget(href: str) -> BaseException | None:
    """Make GDAL forget what it knows of a file that failed: the next try asks the server anew.

    GDAL drops what it knows of such a file when it closes it, opened or not; that costs a request.

    Returns:
        What that request met, if the file cannot be opened.
    """
    quick = {"GDAL_HTTP_MAX_RETRY": "0", "GDAL_HTTP_TIMEOUT": "1", "GDAL_HTTP_CONNECTTIMEOUT": "1"}
    settings = web_settings(CPL_VSIL_CURL_NON_CACHED=f"/vsicurl/{href}", **quick)
    try:
        with rasterio.Env(**settings):
            rasterio.open(href, driver="GTiff").close()
    except GDAL_ERRORS as error:
        return error
    return None


def _check(dataset: DatasetReader, what: str, crs: str | None) -> None:
    if any(high * wide > MAX_BLOCK for high, wide in dataset.block_shapes):
        raise SceneError(
            f"{what} is stored in blocks of more than {MAX_BLOCK} pixels, which is not safe to "
            "unpack; choose a catalogue of Cloud-optimised GeoTIFFs."
        )
    found = dataset.crs
    if not found or not is_utm(found):
        raise SceneError(
            f"{what} lies in {found.to_string() if found else 'no CRS'}, expected a UTM zone on "
            "WGS 84; choose a catalogue that keeps Sentinel-2's own grid."
        )
    if crs and found != CRS.from_string(crs):
        raise SceneError(
            f"{what} lies in {found.to_string()}, but its scene in {crs}; the catalogue is wrong "
            "about this scene: choose another."
        )


def _not_opened(what: str, status: str) -> str:
    if "404" in status:
        return f"{what} is missing on the server (HTTP 404); choose another scene."
    if "403" in status or "401" in status:
        return f"{what} may not be read{status}; the catalogue needs a key, or choose another."
    if status:
        return f"{what} cannot be fetched{status}; try again later or choose another scene."
    return (
        f"{what} cannot be opened: what the server sends is no GeoTIFF; try again later or choose "
        "another scene."
    )


def _status(error: BaseException | None) -> str:
    """Find the answer of the server in what GDAL says: " (HTTP 404)", or ""."""
    while error is not None:
        text = str(error)
        found = _HTTP_STATUS.search(text)
        if found:
            return f" (HTTP {found[1]})"
        if "CURL error" in text:
            late = "timed out" in text.lower()
            return f" (no answer within {http_timeout():g} s)" if late else " (no connection)"
        error = error.__cause__ or error.__context__
    return ""


def _kept(cache: DiskCache | None, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Take an array from the cache, or make it and keep it."""
    kept = None if cache is None else cache.get(key)
    if kept is not None:
        try:
            return np.load(io.BytesIO(kept), allow_pickle=False)
        except (ValueError, EOFError, OSError):
            cache.drop(key)
    made = make()
    if cache is not None:
        content = io.BytesIO()
        np.save(content, made, allow_pickle=False)
        cache.put(key, content.getvalue())
    return made


def _window_key(href: str, box: Box) -> str:
    return f"window {_plain(href)} {box}"


def _plain(href: str) -> str:
    """An address without its query, which may hold a key that changes, if its path names a file."""
    path = href.partition("?")[0]
    return path if path.lower().endswith((".tif", ".tiff")) else href
