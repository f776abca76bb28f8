"""What lies at an address: the pieces of a whole scene, whatever kind of scene it is.

Looks at what a file is, not at what it is called, and opens headers alone.
"""

import dataclasses
import os
import re
import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ldsr.data.catalog import signed
from ldsr.data.endpoints import choose
from ldsr.data.items import pieces_of_items, public_name, read_items
from ldsr.data.naming import WANTED, band_named
from ldsr.data.openfile import OpenFile, is_web
from ldsr.data.pieces import Facts, Piece, piece_of_bands, piece_of_file
from ldsr.data.rasters import bands_of_files
from ldsr.data.raw import product_facts
from ldsr.data.reader import existing, file_format, refusal
from ldsr.data.safe import LICENCE, find_product, is_safe_folder
from ldsr.errors import PatchError, SceneError

MOST_OPEN = 16
"""Pieces of a scene whose files are kept open at a time."""
SUFFIXES = (".tif", ".tiff", ".jp2")
_LAYER = re.compile(r"(?<![A-Za-z0-9])(B(?:8A|\d{1,2})|SCL)(?![A-Za-z0-9])", re.IGNORECASE)
_SIZE = re.compile(r"[_-](10|20|60)m$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What lies at an address.

    Attributes:
        name: of the scene.
        pieces: one at least; where several have data, the first one counts.
        catalogue: address and collection of the catalogue it is from, if it is.
    """

    name: str
    pieces: list[Piece]
    catalogue: str | None = None


def find_pieces(
    address: str | os.PathLike[str],
    *,
    bands: str | Sequence[str] | None = None,
    catalogue: str = "",
) -> Found:
    """Find the pictures at an address.

    Args:
        address: GeoTIFF or JPEG 2000, .SAFE folder or zip of one, folder of GeoTIFFs, JSON of STAC
            items; GeoTIFF or STAC item on the web.
        bands: the band of each layer of a file in order, where the file does not say.
        catalogue: key of the catalogue that files on the web are from, where it asks for a token.

    Raises:
        AmbiguousPatchError: which band is which cannot be known.
        PatchError, SceneError: nothing there, or not what a scene must be.
    """
    text = os.fspath(address)
    if is_web(text):
        return _on_the_web(text, bands, catalogue)
    (path,) = existing(text)
    path = path.resolve()
    if path.is_dir() and not is_safe_folder(path):
        return Found(name=path.name, pieces=_opened(_in_folder(path, bands)))
    kind = "safe" if path.is_dir() else file_format(path)
    if kind == "safe":
        return Found(name=path.name, pieces=[_product(path)])
    if kind == "raster":
        file = OpenFile(path.name, str(path))
        return Found(name=path.name, pieces=[piece_of_file(file, bands=bands)])
    if kind is None and _is_json(path):
        return _from_items(path, catalogue)
    if kind == "array":
        raise PatchError(
            f"{path.name} is an array without a place; hand in a GeoTIFF, or use python -m ldsr "
            "run for a patch."
        )
    raise refusal(path, kind)


def _on_the_web(address: str, bands: str | Sequence[str] | None, catalogue: str) -> Found:
    path, name = urllib.parse.urlsplit(address).path.lower(), public_name(address)
    if path.endswith((".tif", ".tiff")):
        chosen = choose(catalogue) if catalogue else None
        file = OpenFile(name, address, sign=chosen and (lambda href: signed(chosen, href)))
        return Found(name=name, pieces=[piece_of_file(file, bands=bands)])
    if path.rstrip("/").endswith((".jp2", ".zip", ".safe")):
        raise SceneError(
            f"{name} cannot be read by windows over the web, expected a Cloud-optimised GeoTIFF "
            "(.tif) or a STAC item; download it first and hand in the file."
        )
    return _from_items(address, catalogue)


def _from_items(address: str | Path, catalogue: str) -> Found:
    items = read_items(address, catalogue=catalogue)
    first, *others = (entry.tile.id for entry in items.entries)
    name = f"{first} and {len(others)} more" if others else first
    return Found(name=name, pieces=_opened(pieces_of_items(items)), catalogue=items.said_by)


def _opened(pieces: Iterable[Piece]) -> list[Piece]:
    """Take the pieces, and leave but the first ones open."""
    taken = []
    for piece in pieces:
        taken.append(piece)
        if len(taken) > MOST_OPEN:
            piece.close()
    return taken


def _product(path: Path) -> Piece:
    """Take a .SAFE product; the classification is there in Level-2A alone."""
    product = find_product(path)
    files = [OpenFile(name, address) for address, name in product.files]
    classes = None
    if product.classes is not None:
        classes = OpenFile(product.classes[1], product.classes[0])
    facts = Facts(
        hints=product.hints,
        acquired=product.acquired or product_facts(files[0].name)[0],
        licence=LICENCE,
    )
    return piece_of_bands(files, what=path.name, facts=facts, classes=classes)


def _in_folder(path: Path, bands: str | Sequence[str] | None) -> Iterator[Piece]:
    """Take the pictures of a folder by name: files with all bands, or one band each."""
    files = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise SceneError(
            f"The folder {path.name} holds no GeoTIFF and is no .SAFE product; hand in a folder of "
            "four-band GeoTIFFs of one grid, or a single file."
        )
    groups: dict[str, list[_Member]] = {}
    for file in files:
        member = _member(file)
        groups.setdefault(member.picture, []).append(member)
    for key, members in list(groups.items()):
        beside = [member.layer for member in groups.get(members[0].path.stem, [])]
        if members[0].layer is None and beside == ["SCL"]:
            groups[key] = members + groups.pop(members[0].path.stem)
    for members in sorted(groups.values(), key=lambda members: members[0].path):
        yield _group(members, bands)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Member:
    """A file of a folder: a picture, or one layer ("B04", "SCL") of the picture it belongs to."""

    path: Path
    file: OpenFile
    layer: str | None
    picture: str


def _member(path: Path) -> _Member:
    """Look at a file of a folder: one with a single band is the layer that its name says."""
    existing(path)
    kind = file_format(path)
    if kind != "raster":
        raise refusal(path, kind)
    file = OpenFile(path.name, str(path))
    count = file.use(lambda dataset: dataset.count)
    file.close()
    stem = _SIZE.sub("", path.stem)
    named = [match[1].upper() for match in _LAYER.finditer(stem)]
    layer = "SCL" if named[-1:] == ["SCL"] else band_named(stem)
    if count != 1 or layer is None:
        return _Member(path=path, file=file, layer=None, picture=path.name)
    picture = _LAYER.sub("", stem).strip(" _-.") if named else ""
    return _Member(path=path, file=file, layer=layer, picture=picture)


def _group(members: list[_Member], bands: str | Sequence[str] | None) -> Piece:
    """Make a piece of one file, or of four with a band each; with a classification beside."""
    first = members[0]
    classes = next((member.file for member in members if member.layer == "SCL"), None)
    if first.layer is None:
        return piece_of_file(first.file, bands=bands, classes=classes)
    wanted = [member for member in members if member.layer in WANTED]
    what = f"The set of band files with {first.path.name}"
    order = bands_of_files([("", member.path.name) for member in wanted], None, what)
    files = [wanted[index].file for index in order]
    return piece_of_bands(files, what=first.path.name, classes=classes)


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))
