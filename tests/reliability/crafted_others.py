"""Hostile zips, products, arrays, items and files of two natures, each made for one weakness."""

import io
import json
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np

from tests.rasters import make_dn
from tests.reliability import seeds
from tests.reliability.canary import Canary
from tests.reliability.case import Case, single
from tests.reliability.crafted_rasters import vrt
from tests.reliability.surgery import HOSTILE_TEXTS

ARMED = "ldsr_reliability_was_run"
"""What a pickle would make, were it loaded: an attribute of the module json."""


class Trap:
    """Says that it was unpickled."""

    def __reduce__(self) -> tuple:
        return exec, (f"import json; json.{ARMED} = True",)


def others(canary: Canary) -> Iterator[Case]:
    """All of them."""
    yield from _polyglots(canary)
    yield from _zips(canary)
    yield from _bombs()
    yield from _xml(canary)
    yield from _arrays()
    yield from _items(canary)
    yield from _sets(canary)


def _polyglots(canary: Canary) -> Iterator[Case]:
    """Files of two natures."""
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(
        ">I4sIIBBBBB", 13, b"IHDR", 2**31 - 1, 9, 16, 6, 0, 0, 0
    )
    heads = {
        "PNG": png,
        "JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "PDF": b"%PDF-1.7\n1 0 obj<</URI(http://127.0.0.1:9/)>>endobj\n",
        "HTML": b"<html><script>alert(1)</script><img src=x onerror=alert(2)>",
        "GIF": b"GIF89a",
        "BMP": b"BM6\0\0\0",
        "script": b"#!/bin/sh\ntouch /tmp/owned\n",
        "ELF": b"\x7fELF\2\1\1\0",
        "HDF5": b"\x89HDF\r\n\x1a\n",
        "NetCDF": b"CDF\1\0\0\0\0",
        "GRIB": b"GRIB\0\0\0\2",
        "NITF": b"NITF02.10",
        "SVG": f"<svg xmlns:x='a'><image x:href='{canary.url}/svg'/></svg>".encode(),
        "WMS": f"<GDAL_WMS><Service name='WMS'><ServerUrl>{canary.url}</ServerUrl>".encode(),
        "URL list": f"[InternetShortcut]\nURL={canary.url}/lnk\n".encode(),
    }
    bodies = {"strips": seeds.tiff("strips"), "JPEG 2000": seeds.jp2(), "array": seeds.npy()}
    bodies |= {"SAFE zip": seeds.zipped(seeds.safe()), "npz": seeds.npz()}
    for head, start in heads.items():
        for body, rest in bodies.items():
            for name in ("a.tif", "a.zip"):
                yield single("two natures", f"{head} + {body}", name, start + rest)
            yield single("two natures", f"{body} + {head}", "a.tif", rest + start)
    for first, one in bodies.items():
        for second, other in bodies.items():
            if first != second:
                yield single("two natures", f"{first} + {second}", "a.tif", one + other)
    for name in ("a.png", "a.npy", "a.zip", "a.json", "a.SAFE", "a", ".tif", "a.tif.exe"):
        for seed, content in bodies.items():
            yield single("another ending", seed, name, content)


def packed(members: list[tuple[zipfile.ZipInfo | str, bytes]], *, deflated: bool = True) -> bytes:
    """A zip of any members, names twice as well."""
    content = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(content, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for info, member in members:
            if isinstance(info, str):
                info = zipfile.ZipInfo(info, (2023, 6, 13, 10, 10, 30))
            archive.writestr(info, member, compress_type=method)
    return content.getvalue()


def _renamed(how: str) -> list[tuple[str, bytes]]:
    return [(how.format(name), member) for name, member in seeds.safe().items()]


def _zips(canary: Canary) -> Iterator[Case]:
    """Names that lead out, links, passwords, names twice, other methods."""
    for how in ("../{0}", "../../../{0}", "/{0}", "C:\\{0}", "/etc/{0}", "//{0}", "{0}\0.txt"):
        yield single("zip names", how, "a.zip", packed(_renamed(how)))
    for how in ("a/../../canary/{0}", "}}/{0}", "{{{0}", "{0}?", "\u202e{0}", "/vsicurl/{0}"):
        yield single("zip names", how, "a.zip", packed(_renamed(how)))
    for how in ("x" * 5000 + "/{0}", "a\nb/{0}", "%2e%2e/{0}", "\udcff/{0}"[1:], "<b>/{0}"):
        yield single("zip names", how[:20], "a.zip", packed(_renamed(how)))
    for name in (
        "a}.zip",
        "a{.zip",
        "{a}.zip",
        "a b%20c.zip",
        "a}b{.zip",
        "vsizip.zip",
        "é\u0301.zip",
    ):
        yield single("zip names", name, name, seeds.zipped(seeds.safe()))
    files = seeds.safe()
    for layer in ("B02", "B08", "SCL", "MTD"):
        name = next(name for name in files if layer in name)
        for target in (canary.picture, "../../canary/picture.tif", "/etc/passwd", canary.text):
            link = zipfile.ZipInfo(name, (2023, 6, 13, 10, 10, 30))
            link.create_system, link.external_attr = 3, 0o120777 << 16
            rest = [(other, member) for other, member in files.items() if other != name]
            yield single("zip links", layer, "a.zip", packed([*rest, (link, target.encode())]))
            text = vrt(target).encode()
            yield single("zip links", "VRT", "a.zip", packed([*rest, (name, text)]))
        doubled = [*files.items(), (name, b"other")]
        yield single("zip twice", layer, "a.zip", packed(doubled))
        yield single("zip twice", layer, "a.zip", packed(doubled[::-1]))
    for flag in (1, 0x40, 0x2001, 0x800):
        for method in (0, 8, 9, 12, 14, 93, 97, 99):
            for make in (seeds.zipped(files), seeds.npz(deflated=False)):
                yield single(
                    "zip methods", f"{flag} {method}", "a.zip", _marked(make, flag, method)
                )


def _marked(content: bytes, flag: int, method: int) -> bytes:
    """Set flags and method in all headers of a zip."""
    changed = bytearray(content)
    for mark, at_flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            changed[at + at_flag] |= flag & 255
            changed[at + at_flag + 1] |= flag >> 8
            struct.pack_into("<H", changed, at + at_flag + 2, method)
            at = content.find(mark, at + 1)
    return bytes(changed)


def _bombs() -> Iterator[Case]:
    """Much in little: one large member, many members, zips in zips, headers that lie."""
    files, zeros = seeds.safe(), bytes(30_000_000)
    for layer in ("B02", "SCL", "MTD"):
        name = next(name for name in files if layer in name)
        yield single("zip bomb", layer, "a.zip", seeds.zipped(files | {name: zeros}, deflated=True))
    inner = seeds.zipped({"a.npy": seeds.npy() + zeros}, deflated=True)
    for _ in range(5):
        inner = seeds.zipped({f"{i}.zip": inner for i in range(4)}, deflated=True)
    yield single("zip bomb", "nested", "a.zip", inner)
    yield single("zip bomb", "nested", "a.npz", seeds.zipped({"dn.npy": inner}, deflated=True))
    for count in (2000, 70_000):
        for ending in (".npy", ".txt", "/MTD_MSIL2A.xml"):
            yield single("many members", f"{count}", "a.zip", _many(count, ending))
    for size in (2**32 - 1, 2**30, 100_000, 65535):
        for tail in (b"", b"{'descr': '<u2', 'fortran_order': False, 'shape': (4, 40, 56)}\n"):
            head = b"\x93NUMPY\2\0" + struct.pack("<I", size) + tail
            bomb = seeds.zipped({"dn.npy": head + 3 * zeros}, deflated=True)
            yield single("header bomb", f"{size}", "a.npz", bomb)
    for shape in ("(4, 1024, 1024)", "(64, 1024, 1024)", "(4, 50000, 50000)", "(1024, 1024, 64)"):
        head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
        content = b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head + 3 * zeros
        bomb = seeds.zipped({"dn.npy": content}, deflated=True)
        yield single("header bomb", shape, "a.npz", bomb)
    lying = bytearray(seeds.zipped({"dn.npy": seeds.npy()}, deflated=True))
    for at in (lying.find(b"PK\x01\x02") + 20, lying.find(b"PK\x01\x02") + 24):
        for number in (0, 1, 2**31, 2**32 - 2, 2**32 - 1):
            changed = bytearray(lying)
            struct.pack_into("<I", changed, at, number)
            yield single("zip bomb", "lying sizes", "a.npz", bytes(changed))


def _many(count: int, ending: str) -> bytes:
    """A zip of many empty members, written by hand: zipfile takes minutes."""
    local, listed = bytearray(), bytearray()
    for number in range(count):
        name = f"{number}{ending}".encode()
        head = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0)
        listed += b"PK\x01\x02" + struct.pack("<H", 20) + head
        listed += struct.pack("<HHHII", 0, 0, 0, 0, len(local)) + name
        local += b"PK\x03\x04" + head + name
    few = min(count, 65535)
    end = struct.pack("<HHHHIIH", 0, 0, few, few, len(listed), len(local), 0)
    return bytes(local + listed + b"PK\x05\x06" + end)


def _xml(canary: Canary) -> Iterator[Case]:
    """Metadata with entities, without end, in other encodings, with odd numbers."""
    files = seeds.safe()
    name = next(name for name in files if "MTD" in name)
    text = files[name].decode()
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    types = (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{canary.text}">]>',
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "{canary.url}/xxe">]>',
        f'<!DOCTYPE a SYSTEM "{canary.url}/dtd">',
        f'<!DOCTYPE a [<!ENTITY % p SYSTEM "{canary.url}/par"> %p;]>',
        f'<!DOCTYPE a [<!ENTITY l0 "lol">{laughs}<!ENTITY x "&l11;">]>',
        f'<!DOCTYPE a [<!ENTITY x "{"A" * 100_000}">]>',
    )
    documents = []
    for kind in types:
        body = text.replace("05.09", "&x;" * 50)
        for encoding in ("utf-8", "utf-16", "utf-16-be", "utf-32", "utf-7", "cp037"):
            documents.append(
                f"<?xml version='1.0' encoding='{encoding}'?>{kind}{body}".encode(encoding)
            )
    documents += [b"<a>" * 200_000, b"<a/>" * 200_000, b"<a " + b"b='c' " * 100_000 + b"/>"]
    documents += [f"<a>{'<b/>' * 1_000_000}</a>".encode(), b"<a b='" + b"x" * 3_000_000 + b"'/>"]
    documents += [b"<a>" * 100_000 + text.encode() + b"</a>" * 100_000, b"", b"\0", b"\xff\xfe"]
    include = f"<x:include xmlns:x='http://www.w3.org/2001/XInclude' href='{canary.url}/inc'/>"
    documents.append(text.replace("</n1:Product>", include + "</n1:Product>").encode())
    for old in ("10000", "-1000", "05.09", "2023-06-13T10:10:31.024Z", "S2MSI2A"):
        for new in ("nan", "inf", "0", "-1", "1e-320", "1e400", "9" * 500, *HOSTILE_TEXTS[2:6]):
            plain = "".join(one for one in new if one.isprintable()).replace("<", "&lt;")
            documents.append(text.replace(old, plain).encode("utf-8", "replace"))
    for document in documents:
        zipped = seeds.zipped(files | {name: document}, deflated=True)
        yield single("XML", "SAFE zip", "a.zip", zipped)
    for document in documents[::7]:
        folder = files | {name: document}
        hand = (name.partition("/")[0],)
        yield Case(kind="XML", seed="SAFE", files=folder, hand=hand, doors=("patch", "scene"))


def _arrays() -> Iterator[Case]:
    """Pickles, objects and odd types."""
    for values in (np.array([Trap()], object), np.array([[[Trap()]]], object)):
        content = io.BytesIO()
        np.save(content, values, allow_pickle=True)
        yield single("pickle", "object array", "a.npy", content.getvalue())
        bomb = seeds.zipped({"dn.npy": content.getvalue()})
        yield single("pickle", "object array", "a.npz", bomb)
    for protocol in range(6):
        yield single("pickle", "bare", "a.npy", pickle.dumps(Trap(), protocol))
        inside = seeds.zipped({"data.pkl": pickle.dumps(Trap(), protocol)})
        yield single("pickle", "bare", "a.npz", inside)
    for dtype in ("uint8", "int64", "float16", "float64", "longdouble", "complex64", "bool", "S9"):
        content = io.BytesIO()
        np.save(content, make_dn().astype(dtype))
        yield single("another type", dtype, "a.npy", content.getvalue())
    for shape in ((0,), (4, 0, 56), (4, 1, 1), (4, 15, 17), (40, 56, 4), (16, 16, 16), (2,) * 12):
        content = io.BytesIO()
        np.save(content, np.zeros(shape, "u2"))
        yield single("odd size", f"{shape}"[:20], "a.npy", content.getvalue())


def _items(canary: Canary) -> Iterator[Case]:
    """STAC items that lead out of their folder, and documents without end."""
    leads = (
        "../canary/picture.tif",
        "../../canary/picture.tif",
        canary.picture,
        f"file://{canary.picture}",
        f"/vsicurl/{canary.url}/a.tif",
        "/vsizip/a.zip/a.tif",
        "..%2f..%2fcanary%2fpicture.tif",
        "a.vrt",
        "NETCDF:a.tif",
        "\0",
        "x" * 5000,
    )
    for lead in leads:
        document = json.loads(json.dumps(seeds.item()))
        for asset in document["assets"].values():
            asset["href"] = lead
        files = seeds.item_files(document) | {"a.vrt": vrt(canary.picture).encode()}
        yield Case(kind="item", seed="leads out", files=files, hand=("item.json",))
    for code in (
        f"{canary.url}/crs",
        "x" * 9999,
        {"a": 1},
        [32633],
        True,
        -1,
        1e400,
        "EPSG:" * 999,
    ):
        document = json.loads(json.dumps(seeds.item()))
        document["properties"]["proj:code"] = code
        files = seeds.item_files(document)
        yield Case(kind="item", seed="code", files=files, hand=("item.json",))
    for asset in ("web", "catalogue"):
        document = json.loads(json.dumps(seeds.item()))
        for one in document["assets"].values():
            one["href"] = f"{canary.url}/{asset}.tif"
        files = seeds.item_files(document)
        doors = ("patch", "page")  # open_scene goes there, as the person asked it to
        yield Case(kind="item", seed="web", files=files, hand=("item.json",), doors=doors)
    for document in (
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"[{}" + b",{}" * 500_000 + b"]",
        b"{" * 9,
    ):
        files = seeds.item_files(document)
        yield Case(kind="item", seed="endless", files=files, hand=("item.json",))
    listed = {"type": "FeatureCollection", "features": [seeds.item()] * 501}
    yield Case(kind="item", seed="many", files=seeds.item_files(listed), hand=("item.json",))


def _sets(canary: Canary) -> Iterator[Case]:
    """Sets of band files with one that does not belong."""
    files = seeds.band_files()
    names = tuple(files)
    others = (vrt(canary.picture).encode(), b"", b"II*\0", seeds.tiff("strips"), seeds.jp2(1))
    for name in names:
        for content in (*others, seeds.npy(), zlib.compress(b"a"), files[name][:300]):
            yield Case(
                kind="band files", seed="one other", files=files | {name: content}, hand=names
            )
        less = tuple(other for other in names if other != name)
        yield Case(kind="band files", seed="one less", files=files, hand=less)
    doors = ("patch", "page")
    yield Case(kind="band files", seed="twice", files=files, hand=names * 2, doors=doors)
    yield Case(kind="band files", seed="many", files=files, hand=names * 100, doors=doors)
