"""A raster file, here or on the web, kept open for many windows and opened anew after a failure.

Knows nothing of bands, scenes or reflectance.
"""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import rasterio
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from ldsr.data.rasters import (
    GDAL_ERRORS,
    check_blocks,
    damaged,
    opened_raster,
    quiet_gdal,
    read_masked,
)
from ldsr.data.windows import forget, not_read, opened_cog, web_settings
from ldsr.errors import LdsrError, PatchError, SceneError

Found = TypeVar("Found")


def is_web(address: str) -> bool:
    """Whether an address is one on the web."""
    return address.lower().startswith(("http://", "https://"))


class OpenFile:
    """One file; one thread at a time may use it.

    Attributes:
        name: as a message names it.
        remote: it is on the web.
    """

    def __init__(
        self, name: str, address: str, *, sign: Callable[[str], str] | None = None
    ) -> None:
        """Note where a file is; nothing is opened yet.

        Args:
            name: as a message names it.
            address: for GDAL: a path, /vsizip/ or http(s).
            sign: gives the address to ask the server by, which may change with time.
        """
        self.name, self.remote = name, is_web(address)
        self._address, self._sign = address, sign
        self._dataset: DatasetReader | None = None
        self._asked = ""
        self._shape: tuple | None = None

    def fresh(self) -> "OpenFile":
        """The same file, not open: for the next reader while a late thread still has this one."""
        other = OpenFile(self.name, self._address, sign=self._sign)
        other._shape = self._shape
        return other

    def use(self, work: Callable[[DatasetReader], Found]) -> Found:
        """Do something with the file, opening it first where it is not.

        After a failure it is closed, so that the next use asks for it anew.

        Raises:
            PatchError: a file here that cannot be opened or read.
            SceneError: a file on the web that cannot be opened or read.
        """
        address = self._sign(self._address) if self._sign else self._address
        if address != self._asked:
            self.close()
        with quiet_gdal(), rasterio.Env(**(web_settings() if self.remote else {})):
            try:
                if self._dataset is None:
                    self._dataset, self._asked = self._opened(address), address
                return work(self._dataset)
            except GDAL_ERRORS as error:
                met = self._drop(address)
                failure = not_read(self.name, error, met) if self.remote else damaged(self.name)
                raise failure from None
            except LdsrError:
                self._drop(address)
                raise

    def read(self, indexes: list[int], part: RasterWindow) -> tuple[np.ndarray, np.ndarray]:
        """Read bands [n, H, W], and where all of them are valid [H, W].

        Raises:
            PatchError, SceneError: as `use`.
        """
        return self.use(lambda dataset: read_masked(dataset, indexes, part))

    def close(self) -> None:
        """Close the file where it is open."""
        dataset, self._dataset = self._dataset, None
        if dataset is not None:
            dataset.close()

    def _drop(self, address: str) -> BaseException | None:
        self.close()
        return forget(address) if self.remote else None

    def _opened(self, address: str) -> DatasetReader:
        """Open the file; it must be what it was when it was opened first."""
        if self.remote:
            dataset = opened_cog(address, self.name)
        else:
            dataset = opened_raster(address, self.name)
        shape = (dataset.width, dataset.height, dataset.dtypes, dataset.transform)
        try:
            check_blocks(dataset, self.name)
            if self._shape not in (None, shape):
                kind = SceneError if self.remote else PatchError
                raise kind(
                    f"{self.name} is not the file any more that it was when the scene was opened; "
                    "leave the files of a scene as they are until it is done, and begin again."
                )
        except LdsrError:
            dataset.close()
            raise
        self._shape = shape
        return dataset
