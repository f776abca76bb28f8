"""STAC items as whole scenes: one item, or the tiles of one pass, from a file or an address.

What an item says, `ldsr.data.scenes` knows; here its files become pieces of a scene.
"""

import dataclasses
import functools
import json
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ldsr.data.bands import BANDS, SENTINEL2
from ldsr.data.catalog import fetch_item, signed
from ldsr.data.endpoints import EARTH_SEARCH, Catalogue, catalogues, choose
from ldsr.data.openfile import OpenFile, is_web
from ldsr.data.pieces import Facts, Piece, piece_of_bands
from ldsr.data.radiometry import newer_baseline
from ldsr.data.scene_reader import LICENCE
from ldsr.data.scenes import ONE_PASS, Entry, day, on_the_web, read_item
from ldsr.errors import SceneError

MAX_JSON = 16 * 2**20
"""Largest file of items, in bytes."""
MOST_ITEMS = 500
"""Of one pass: from pole to pole there are fewer tiles."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Items:
    """Usable items of one pass, and where they are from.

    Attributes:
        entries: the tiles; where several have data, the first one counts.
        catalogue: the catalogue that signs their addresses, or None.
        said_by: address and collection of where they were read, or None for a file.
    """

    entries: tuple[Entry, ...]
    catalogue: Catalogue | None
    said_by: str | None


def read_items(address: str | Path, *, catalogue: str = "") -> Items:
    """Read a STAC item, or an ItemCollection of the tiles of one pass.

    Args:
        address: a JSON file here, or an address on the web.
        catalogue: key of the catalogue the items are from, for those that ask for a token.

    Raises:
        SceneError: it cannot be fetched, is no item, or names no files that can be read.
    """
    if isinstance(address, Path):
        what = address.name
        document, reach = _loaded(address), functools.partial(_beside, address.resolve().parent)
    else:
        what = public_name(address)
        document, reach = fetch_item(address, what), functools.partial(_relative, address)
    items = _features(document, what)
    known = choose(catalogue) if catalogue else _home(address, items[0])
    collection = str(items[0].get("collection") or "")
    original = known.original if known else collection == EARTH_SEARCH.collection
    entries = [_entry(item, what, original=original, reach=reach) for item in items]
    _check_pass(entries, what)
    said_by = f"{known.public_url} {known.collection}" if known else None
    if said_by is None and isinstance(address, str):
        said_by = f"{_public(address)} {collection}".strip()
    return Items(entries=tuple(_unique(entries)), catalogue=known, said_by=said_by)


def pieces_of_items(items: Items) -> Iterator[Piece]:
    """Open the tiles one after the other.

    Raises:
        PatchError, SceneError: files that cannot be opened, or are not of one picture.
    """
    sign = functools.partial(signed, items.catalogue) if items.catalogue else None
    for entry in items.entries:
        tile = entry.tile
        files = {
            role: OpenFile(
                f"{SENTINEL2.get(role, role)} of {tile.id}",
                tile.hrefs[role],
                sign=sign if is_web(tile.hrefs[role]) else None,
            )
            for role in (*BANDS, "SCL")
            if role in tile.hrefs
        }
        facts = Facts(
            hints=tile.hints,
            acquired=entry.acquired,
            licence=LICENCE.format(entry.acquired.year),
        )
        bands = [files[band] for band in BANDS]
        yield piece_of_bands(bands, what=tile.id, facts=facts, classes=files.get("SCL"))


def public_name(address: str) -> str:
    """The last part of an address, without what may be secret."""
    parts = urllib.parse.urlsplit(address)
    last = urllib.parse.unquote(parts.path.rstrip("/").rpartition("/")[2])
    return " ".join(last.split())[:120] or parts.hostname or "The address"


def _public(address: str) -> str:
    """An address without user name, password or query, to be written down."""
    parts = urllib.parse.urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


def _loaded(path: Path) -> Any:
    if path.stat().st_size > MAX_JSON:
        raise SceneError(
            f"{path.name} is larger than {MAX_JSON // 2**20} MB, too large for a STAC item; hand "
            "in one item, or those of one pass."
        )
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise SceneError(
            f"{path.name} is damaged JSON, expected a STAC item; download it again."
        ) from None


def _features(document: Any, what: str) -> list[Mapping[str, Any]]:
    """List the items of a document, one at least."""
    kind = document.get("type") if isinstance(document, dict) else None
    if kind in ("Catalog", "Collection"):
        raise SceneError(
            f"{what} is a STAC {kind.lower()}, expected an item; hand in one of its items."
        )
    listed = [document] if kind == "Feature" else None
    if kind in ("FeatureCollection", "ItemCollection"):
        listed = document.get("features")
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise SceneError(
            f"{what} is no STAC item, expected a GeoJSON feature with assets; hand in the JSON of "
            "one item, or an ItemCollection of the tiles of one pass."
        )
    if not listed:
        raise SceneError(f"{what} lists no item; hand in the JSON of one Sentinel-2 item.")
    if len(listed) > MOST_ITEMS:
        raise SceneError(
            f"{what} lists {len(listed)} items, at most {MOST_ITEMS} are taken; keep the tiles of "
            "the place that you want."
        )
    return listed


def _entry(
    item: Mapping[str, Any], what: str, *, original: bool, reach: Callable[[str], str | None]
) -> Entry:
    entry = read_item(item, original=original, reach=reach)
    if entry is None:
        raise SceneError(
            f"The item {str(item.get('id') or 'without id')[:120]} of {what} lacks its time, or "
            "one of B04, B03, B02 and B08 as a GeoTIFF on the web or as a file in its own folder; "
            "hand in a Sentinel-2 Level-2A item that names them."
        )
    return entry


def _check_pass(entries: Sequence[Entry], what: str) -> None:
    """Refuse items of several passes: they are not one picture."""
    first = entries[0]
    for other in entries[1:]:
        near = abs(first.acquired - other.acquired) < ONE_PASS
        if not near or first.platform != other.platform:
            raise SceneError(
                f"{what} lists {first.tile.id} of {day(first.acquired)} and {other.tile.id} of "
                f"{day(other.acquired)}, which are not of one pass; keep the tiles of one pass."
            )


def _unique(entries: Sequence[Entry]) -> list[Entry]:
    """Keep, of one tile processed several times, the newest baseline."""
    kept: list[Entry] = []
    for entry in entries:
        frame = entry.tile.crs, entry.tile.bounds
        same = [i for i, other in enumerate(kept) if (other.tile.crs, other.tile.bounds) == frame]
        if None in frame or not same:
            kept.append(entry)
        elif _baseline(entry) > _baseline(kept[same[0]]):
            kept[same[0]] = entry
    return kept


def _baseline(entry: Entry) -> tuple[bool, str]:
    baseline = entry.tile.hints.baseline
    return newer_baseline(baseline), baseline or ""


def _home(address: str | Path, item: Mapping[str, Any]) -> Catalogue | None:
    """Find the catalogue of the list that an item was fetched from."""
    if isinstance(address, Path):
        return None
    return next(
        (
            catalogue
            for catalogue in catalogues()
            if address.startswith(f"{catalogue.url}/")
            and item.get("collection") == catalogue.collection
        ),
        None,
    )


def _relative(base: str, href: str) -> str | None:
    """Where a file of an item on the web lies: on the web too."""
    return on_the_web(urllib.parse.urljoin(base, href))


def _beside(folder: Path, href: str) -> str | None:
    """Where a file of an item here lies: on the web, or in the item's folder or below."""
    if is_web(href):
        return on_the_web(href)
    scheme, _, rest = href.partition("://")
    if rest and scheme != "file":
        return None
    try:
        path = (folder / urllib.parse.unquote(rest or href)).resolve()
    except (OSError, ValueError, RuntimeError):
        return None
    return str(path) if path.is_relative_to(folder) else None
