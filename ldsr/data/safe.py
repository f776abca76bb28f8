"""Sentinel-2 products as ESA ships them: a .SAFE folder, or a zip of one.

Finds the four 10 m bands and reads the product's own scale, offset, baseline and time.
"""

import contextlib
import dataclasses
import re
import xml.etree.ElementTree as ElementTree
import xml.parsers.expat as expat
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ldsr.data.grid import Window
from ldsr.data.naming import WANTED
from ldsr.data.radiometry import OFFSET_DN, QUANTIFICATION, Hints, newer_baseline
from ldsr.data.rasters import read_band_files
from ldsr.data.raw import Raw, plain_baseline, utc
from ldsr.data.zips import ZIP_ERRORS, open_zip
from ldsr.errors import PatchError

METADATA = re.compile(r"(?:^|/)MTD_MSIL(1C|2A)\.xml$")
_LAYER_FILE = re.compile(
    r"(?:/R10m/[^/]*|/IMG_DATA/[^/]*)_(B02|B03|B04|B08)(?:_10m)?\.jp2$"
    r"|/R20m/[^/]*_(SCL)_20m\.jp2$"
)
_BAND_IDS = {"B02": "1", "B03": "2", "B04": "3", "B08": "7"}
MAX_XML = 4 * 2**20
MAX_BAND_BYTES = 2**28
"""More than the numbers of a whole tile take without any packing."""
MAX_RATIO = 100
"""JPEG 2000 hardly shrinks in a zip: a file that grows more than this is a zip bomb."""
LICENCE = "Copernicus Sentinel data, free and open"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Product:
    """What a product holds of the picture, and what its metadata says.

    Attributes:
        files: address for GDAL and plain name of B04, B03, B02 and B08.
        classes: the same of the scene classification at 20 m, or None.
        hints: scale, offset and baseline.
        acquired: time of acquisition (UTC), if known.
    """

    files: tuple[tuple[str, str], ...]
    classes: tuple[str, str] | None
    hints: Hints
    acquired: datetime | None


def is_safe_folder(path: Path) -> bool:
    """Whether a folder is a Sentinel-2 product, whatever its name."""
    return any(path.glob("MTD_MSIL*.xml")) or any(path.glob("*.SAFE/MTD_MSIL*.xml"))


def read_safe(path: Path, *, window: Window | None) -> Raw:
    """Read the four 10 m bands of a .SAFE folder, or of a zip of one without unpacking it.

    Raises:
        PatchError: as `ldsr.data.reader.read_patch`.
    """
    product = find_product(path)
    raw = read_band_files(product.files, bands=WANTED, window=window, what=path.name)
    return dataclasses.replace(
        raw,
        hints=product.hints,
        acquired=product.acquired or raw.acquired,
        licence=LICENCE,
    )


def find_product(path: Path) -> Product:
    """Find the files of a .SAFE folder, or of a zip of one, and read its metadata.

    Raises:
        PatchError: a damaged zip, no product, several, or an incomplete one.
    """
    return _in_folder(path) if path.is_dir() else _in_zip(path)


def _in_folder(path: Path) -> Product:
    files = sorted([*path.rglob("*.jp2"), *path.glob("**/MTD_MSIL*.xml")])
    names = {file.relative_to(path).as_posix(): file for file in files}

    def load(name: str) -> bytes:
        if names[name].stat().st_size > MAX_XML:
            raise _too_large(name)
        return names[name].read_bytes()

    return _product(list(names), load, lambda name: str(names[name]), path.name)


def _in_zip(path: Path) -> Product:
    try:
        with open_zip(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if len(members) < len(archive.infolist()):
                raise zipfile.BadZipFile("a name twice: we and GDAL could mean different files")

            def load(name: str) -> bytes:
                if members[name].file_size > MAX_XML:
                    raise _too_large(name)
                with archive.open(name) as file:
                    return file.read(MAX_XML)

            def address(name: str) -> str:
                _check_member(members[name])
                return f"/vsizip/{{{path.resolve()}}}/{name}"

            return _product(list(members), load, address, path.name)
    except ZIP_ERRORS:
        raise PatchError(
            f"{path.name} is a damaged or protected zip; download it again, or hand in the "
            "unpacked .SAFE folder."
        ) from None


def _product(
    names: list[str], load: Callable[[str], bytes], address: Callable[[str], str], what: str
) -> Product:
    """Find a product among the names of its files, with two ways to reach them."""
    metadata = [name for name in names if METADATA.search(name)]
    found: dict[str, str] = {}
    for name in names:
        file = _LAYER_FILE.search("/" + name)
        if not file:
            continue
        layer = file[1] or file[2]
        if layer in found:
            raise PatchError(
                f"{what} holds {layer} more than once; hand in one Sentinel-2 product."
            )
        found[layer] = name
    if len(metadata) != 1:
        raise PatchError(
            f"{what} holds {len(metadata)} files MTD_MSIL1C.xml or MTD_MSIL2A.xml, expected one; "
            "hand in one complete Sentinel-2 .SAFE product, or the four band files themselves."
        )
    missing = [band for band in WANTED if band not in found]
    if missing:
        raise PatchError(
            f"{what} lacks the 10 m band{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}; download the product again, complete."
        )
    hints, acquired = product_metadata(load(metadata[0]), what=what)
    reached = {layer: (address(name), Path(name).name) for layer, name in found.items()}
    return Product(
        files=tuple(reached[band] for band in WANTED),
        classes=reached.get("SCL"),
        hints=hints,
        acquired=acquired,
    )


def product_metadata(text: bytes, *, what: str) -> tuple:
    """Read MTD_MSIL1C.xml or MTD_MSIL2A.xml.

    Args:
        text: the file.
        what: the product, as a message names it.

    Returns:
        Hints (scale, offset, baseline) and the time of acquisition or None.

    Raises:
        PatchError: not XML, no scale, or different offsets for the four bands.
    """
    if _declares(text):
        raise PatchError(
            f"The metadata of {what} defines entities and is not read; get the "
            "product from its official source."
        )
    try:
        root = ElementTree.fromstring(text)
        found = [(element.tag.rpartition("}")[2], element) for element in root.iter()]
        texts = {tag: (element.text or "").strip() for tag, element in reversed(found)}
        quantification = texts.get("BOA_QUANTIFICATION_VALUE") or texts.get("QUANTIFICATION_VALUE")
        offsets = {
            element.get("band_id"): float(element.text or "nan")
            for tag, element in found
            if tag in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")
        }
        scale = 1 / float(quantification or QUANTIFICATION)
    except (ElementTree.ParseError, ValueError, LookupError, ZeroDivisionError):
        raise PatchError(
            f"The metadata of {what} is damaged; download the product again."
        ) from None
    baseline = plain_baseline(texts.get("PROCESSING_BASELINE"))
    fallback = OFFSET_DN if newer_baseline(baseline) else 0.0
    four = {offsets.get(number, fallback) for number in _BAND_IDS.values()}
    if len(four) > 1 or any(value != value for value in four):
        raise PatchError(
            f"The metadata of {what} states different offsets for the four bands "
            f"({', '.join(f'{value:g}' for value in sorted(four))}), which is not handled; "
            "use a product as ESA ships it."
        )
    level = "top of atmosphere, L1C" if "L1C" in texts.get("PRODUCT_TYPE", "") else "L2A"
    hints = Hints(
        scale=scale,
        offset_dn=four.pop(),
        baseline=baseline,
        certain=True,
        authority=f"the product's metadata ({level})",
    )
    return hints, utc(texts.get("PRODUCT_START_TIME") or texts.get("SENSING_TIME"))


def _declares(text: bytes) -> bool:
    """Whether XML of any encoding has a document type, and with it may define entities."""
    found: list[str] = []
    parser = expat.ParserCreate()

    def note(name: str, *_: object) -> None:
        found.append(name)
        raise ValueError("that is enough")

    parser.StartDoctypeDeclHandler = note
    with contextlib.suppress(expat.ExpatError, ValueError, LookupError):  # said by who reads it
        parser.Parse(text, True)
    return bool(found)


def _check_member(info: zipfile.ZipInfo) -> None:
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > MAX_BAND_BYTES or ratio > MAX_RATIO:
        raise _too_large(info.filename)


def _too_large(name: str) -> PatchError:
    return PatchError(
        f"{Path(name).name} would unpack to far more than such a file holds, like a zip bomb; "
        "get the product from its official source."
    )
