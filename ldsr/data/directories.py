"""The directories of a TIFF, looked at before GDAL does: overviews and masks that are not safe.

GDAL shows the blocks of a picture, not those of its mask, and walks through all directories first.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ldsr.errors import PatchError

MOST = 64
"""A picture, its overviews, and a mask of each are fewer."""
MAX_ENTRIES = 4096
"""Of one directory; damaged ones claim more."""
_WIDTH, _LENGTH, _BITS, _PACKING, _SAMPLES, _ROWS, _PLANES = 256, 257, 258, 259, 277, 278, 284
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_FORMS = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}


def check_directories(path: Path, what: str, *, most_pixels: int, most_bytes: int) -> None:
    """Refuse a TIFF with directories without end, or with blocks that are not safe to unpack.

    The blocks of its first directory are left to GDAL, which cuts large ones without packing; so
    is what is damaged.

    Args:
        path: the file.
        what: the file, as a message names it.
        most_pixels, most_bytes: of a block.

    Raises:
        PatchError: too many directories, or too large a block in an overview or a mask.
    """
    with path.open("rb") as file:
        for number, values in enumerate(_directories(file)):
            if number >= MOST:
                raise PatchError(
                    f"{what} holds more than {MOST} pictures in one file, expected one with its "
                    "overviews; save the picture alone, for example with gdal_translate."
                )
            pixels, size = _block(values)
            if number and (pixels > most_pixels or size > most_bytes):
                raise PatchError(
                    f"{what} has an overview or a mask in blocks of {pixels} pixels, which is not "
                    "safe to unpack; save it again, for example with gdal_translate -co TILED=YES."
                )


def _directories(file: BinaryIO) -> Iterator[dict[int, int]]:
    """Read the first number of each entry by its tag, of one directory after the other."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    size, word, width = (20, "Q", 8) if big else (12, "I", 4)
    try:
        (at,) = struct.unpack_from(f"{order}{word}", head, 8 if big else 4)
        seen: set[int] = set()
        while at and at not in seen:
            seen.add(at)
            file.seek(at)
            (count,) = struct.unpack(f"{order}{'Q' if big else 'H'}", file.read(8 if big else 2))
            if count > MAX_ENTRIES:
                return
            listed = file.read(size * count)
            following = file.read(width)
            entries = (listed[start : start + size] for start in range(0, len(listed), size))
            yield dict(_value(file, entry, order, big) for entry in entries)
            (at,) = struct.unpack(f"{order}{word}", following)
    except (struct.error, OSError, OverflowError, ValueError):
        return


def _value(file: BinaryIO, entry: bytes, order: str, big: bool) -> tuple[int, int]:
    """Tag and first number of an entry; 0 where it is no whole number, or out of the file."""
    tag, kind, count = struct.unpack_from(f"{order}HH{'Q' if big else 'I'}", entry)
    if kind not in _FORMS or count < 1:
        return tag, 0
    form, size = _FORMS[kind]
    room = entry[12:] if big else entry[8:]
    if count * size > len(room):
        file.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", room)[0])
        room = file.read(size)
    return tag, struct.unpack_from(f"{order}{form}", room.ljust(size, b"\0"))[0]


def _block(values: dict[int, int]) -> tuple[int, int]:
    """Pixels and bytes of a block; 0 where it is cut by GDAL or not known."""
    samples = values.get(_SAMPLES, 1) if values.get(_PLANES, 1) == 1 else 1
    if _TILE_WIDTH in values:
        pixels = values[_TILE_WIDTH] * values.get(_TILE_LENGTH, 0)
    elif values.get(_PACKING, 1) == 1:
        pixels = 0
    else:
        length = values.get(_LENGTH, 0)
        pixels = values.get(_WIDTH, 0) * min(length, values.get(_ROWS, length))
    return pixels, pixels * samples * values.get(_BITS, 1) // 8
