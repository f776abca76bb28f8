"""Changes to the bytes of a file: anywhere, or where its format says that something is.

Each takes content and a generator of random numbers, and gives new content.
"""

import io
import json
import struct
import zipfile
from random import Random
from typing import Any

ODD = (0, 1, 2, 3, 7, 15, 17, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers that programs trip over."""
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8}
TAGS = (254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330)
MORE_TAGS = (338, 339, 347, 33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, 50844)
HOSTILE_TEXTS = (
    "",
    "x" * 20_000,
    "<script>alert(1)</script>",
    "a\nb\r\nc\0d\x1b[31m\u202e",
    "'; DROP TABLE a; --",
    "%s%n%x{0.__class__}",
    "../../../../etc/passwd",
    "\ud800",
    "NaN",
    "1e999",
    "-1e308",
)


def truncated(content: bytes, random: Random) -> bytes:
    """Cut off somewhere; half of the time within the first parts, where the headers are."""
    most = min(len(content), 600) if random.random() < 0.5 else len(content)
    return content[: random.randrange(1, max(2, most))]


def flipped(content: bytes, random: Random) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(content)
    near = min(len(content), 1024) if random.random() < 0.6 else len(content)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        changed[random.randrange(near)] ^= 1 << random.randrange(8)
    return bytes(changed)


def numbered(content: bytes, random: Random) -> bytes:
    """Put a number that programs trip over somewhere."""
    changed = bytearray(content)
    near = min(len(content), 2048) if random.random() < 0.7 else len(content)
    for _ in range(random.choice((1, 1, 2, 3))):
        width = random.choice((2, 4, 8))
        value = random.choice((*ODD, len(content), 2**63)) % 2 ** (8 * width)
        at = random.randrange(max(1, near - width))
        changed[at : at + width] = value.to_bytes(width, random.choice(("little", "big")))
    return bytes(changed)


def spliced(content: bytes, random: Random) -> bytes:
    """Take a piece out, double it, or fill it with one byte or with noise."""
    start = random.randrange(len(content))
    piece = content[start : start + random.choice((1, 2, 8, 64, 512, 4096))]
    end = start + len(piece)
    other = random.choice(
        (b"", 2 * piece, bytes(len(piece)), b"\xff" * len(piece), random.randbytes(len(piece)))
    )
    return content[:start] + other + content[end:]


def grown(content: bytes, random: Random) -> bytes:
    """Add something at the end."""
    return content + random.choice((bytes(1000), random.randbytes(1000), content, b"PK\x05\x06"))


def entries(content: bytes) -> list[tuple[int, int, int, int]]:
    """List tag, type, count and offset of each entry of a little-endian TIFF, [] if it is none."""
    big = content[:4] == b"II+\0"
    if not big and content[:4] != b"II*\0":
        return []
    found, seen = [], set()
    at = struct.unpack_from("<Q", content, 8)[0] if big else struct.unpack_from("<I", content, 4)[0]
    size, head = (20, 8) if big else (12, 2)
    while at and at not in seen and at + head < len(content):
        seen.add(at)
        count = struct.unpack_from("<Q" if big else "<H", content, at)[0]
        for index in range(count):
            place = at + head + size * index
            shape = "<HHQ" if big else "<HHI"
            found.append((*struct.unpack_from(shape, content, place), place))
        following = at + head + size * count
        at = struct.unpack_from("<Q" if big else "<I", content, following)[0]
    return found


def retagged(content: bytes, random: Random) -> bytes:
    """Change tag, type, count or value of some entries of a TIFF."""
    listed = entries(content)
    if not listed:
        return numbered(content, random)
    changed = bytearray(content)
    big = content[2:3] == b"+"
    word, width, value_at = ("<Q", 8, 12) if big else ("<I", 4, 8)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        tag, _, _, at = random.choice(listed)
        what = random.random()
        if what < 0.55:  # the value, or where it is
            odd = random.choice((*ODD, len(content) - 1, len(content), at, random.randrange(2**32)))
            struct.pack_into(word, changed, at + value_at, odd)
        elif what < 0.7:
            struct.pack_into(word, changed, at + 4, random.choice(ODD))
        elif what < 0.85:
            struct.pack_into("<H", changed, at + 2, random.choice((*TYPE_BYTES, 0, 13, 99, 65535)))
        else:
            struct.pack_into("<H", changed, at, random.choice((*TAGS, *MORE_TAGS, tag + 1)))
    return bytes(changed[: len(content) + width])


def arrays_changed(content: bytes, random: Random) -> bytes:
    """Change the numbers that entries of a TIFF point to: offsets, byte counts, transform, keys."""
    listed = [one for one in entries(content) if one[2] * TYPE_BYTES.get(one[1], 1) > 4]
    if not listed:
        return numbered(content, random)
    changed = bytearray(content)
    big = content[2:3] == b"+"
    for _ in range(random.choice((1, 1, 2, 5))):
        _, kind, count, at = random.choice(listed)
        width = TYPE_BYTES.get(kind, 1)
        at = struct.unpack_from("<Q" if big else "<I", content, at + (12 if big else 8))[0]
        at += width * random.randrange(max(1, count))
        if not 0 <= at <= len(content) - width:
            continue
        if kind == 12:
            odd = random.choice((0.0, -10.0, 1e300, -1e300, float("nan"), float("inf"), 1e-300))
            struct.pack_into("<d", changed, at, odd)
        else:
            odd = random.choice((*ODD, len(content), random.randrange(2**32)))
            changed[at : at + width] = (odd % 2 ** (8 * width)).to_bytes(width, "little")
    return bytes(changed)


def remarked(content: bytes, random: Random) -> bytes:
    """Change boxes and markers of a JPEG 2000 file: sizes, tiles, precincts, layers, lengths."""
    changed = bytearray(content)
    marks = [b"\xff\x51", b"\xff\x52", b"\xff\x5c", b"\xff\x90", b"jp2h", b"ihdr", b"jp2c", b"uuid"]
    places = [at for mark in marks if (at := content.find(mark)) >= 0]
    if not places:
        return numbered(content, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.choice(places) + random.randrange(-4, 44)
        if random.random() < 0.5:
            changed[at % len(content)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, 32, 33))
        else:
            at -= at % 2
            changed[at : at + 4] = random.choice((*ODD, 1024, 40)).to_bytes(4, "big")
    return bytes(changed[: len(content)])


def resized(content: bytes, random: Random) -> bytes:
    """Claim other sizes of picture or tile in the SIZ marker of a JPEG 2000 file."""
    at = content.find(b"\xff\x51")
    if at < 0:
        return numbered(content, random)
    changed = bytearray(content)
    for _ in range(random.choice((1, 2, 3))):
        field = at + 6 + 4 * random.randrange(8)
        changed[field : field + 4] = random.choice((*ODD, 41, 512, 1024)).to_bytes(4, "big")
    return bytes(changed)


def zip_changed(content: bytes, random: Random) -> bytes:
    """Change a field of a zip's headers: flags, method, sizes, offsets, lengths."""
    changed = bytearray(content)
    heads = []
    for mark, length in ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22)):
        at = content.find(mark)
        while at >= 0:
            heads.append((at, length))
            at = content.find(mark, at + 1)
    if not heads:
        return numbered(content, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        at, length = random.choice(heads)
        at += 4 + 2 * random.randrange((length - 4) // 2)
        width = random.choice((2, 2, 4))
        value = random.choice((*ODD, 8, 9, 12, 14, 93, 99)) % 2 ** (8 * width)
        changed[at : at + width] = value.to_bytes(width, "little")
    return bytes(changed[: len(content)])


def member_changed(content: bytes, random: Random) -> bytes:
    """Write a zip anew, with one member damaged."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = random.choice(sorted(members))
    how = random.choice((truncated, flipped, numbered, spliced, remarked, resized))
    members[name] = how(members[name], random)
    made = io.BytesIO()
    method = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, member in members.items():
            info = zipfile.ZipInfo(name, (2023, 6, 13, 10, 10, 30))
            archive.writestr(info, member, compress_type=method)
    return made.getvalue()


def json_changed(document: Any, random: Random) -> Any:
    """Put something odd in place of one value of a document."""
    odd = (None, True, -1, 10**400, 1e308, float("nan"), [], {}, [[]], *HOSTILE_TEXTS)
    copy = json.loads(json.dumps(document))
    place, key = copy, random.choice(list(copy))
    while isinstance(place[key], dict | list) and place[key] and random.random() < 0.8:
        place = place[key]
        key = random.choice(list(place) if isinstance(place, dict) else range(len(place)))
    if random.random() < 0.2 and isinstance(place, dict):
        del place[key]
    else:
        place[key] = random.choice(odd)
    return copy


def npy_changed(content: bytes, random: Random) -> bytes:
    """Write another header before the numbers of a NumPy file."""
    start = content.index(b"\n") + 1
    kinds = ("'<u2'", "'|O'", "'<f8'", "'>f4'", "'<M8[s]'", "'<U1000000'", "[('a', '<u2')]", "5")
    more = ("'|V99'", "'<c16'", "'<f2'", "'<g'", "None", "{}", "[]", "('<u2', (4, 4))", "'|b1'")
    shapes = ("(4, 40, 56)", "(4, 40, 57)", "(4, -40, 56)", "(4, 1, 1)", "(4, 99999999999, 56)")
    odd = ("()", "(True, 40, 56)", "(4, 40)", "(40, 56, 4)", "(65536, 1, 1)", "(4, 0, 0)", "[4]")
    huge = (f"(4, {'9' * 4000}, 56)", f"(4, {'9' * 6000}, 56)", "(4, 2**60, 2**60)", "(4, 15, 17)")
    order = random.choice(("True", "False", "None", "1"))
    text = f"{{'descr': {random.choice(kinds + more)}, 'fortran_order': {order}, "
    text += f"'shape': {random.choice(shapes + odd + huge)}, }}"
    if random.random() < 0.15:
        text = random.choice(
            ("(" * 9000, "{1: 2, 'a': 3}", "[" * 500, "a" * 9000, "{**{}}", "\xff")
        )
    head = text.encode("latin-1", "replace") + b"\n"
    version = random.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\0\0"))
    length = random.choice((len(head), len(head), len(head), 65535, 0))
    width = 2 if version == b"\1\0" else 4
    if width == 4 and random.random() < 0.3:
        length = 2**32 - 1
    return b"\x93NUMPY" + version + length.to_bytes(width, "little") + head + content[start:]
