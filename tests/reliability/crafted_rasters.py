"""Hostile GeoTIFF and JPEG 2000 files, each made for one weakness."""

import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from tests.rasters import PLACE, make_dn, write_tif
from tests.reliability import seeds
from tests.reliability.canary import SIZE, Canary
from tests.reliability.case import Case, single
from tests.reliability.surgery import HOSTILE_TEXTS, entries

MARK = "MARKMARKMARKMARK"
NUMBERS = ("nan", "inf", "-inf", "1e999", "-1e308", "1e-320", "0", "abc", "9" * 400, "0x10", "")


def rasters(canary: Canary) -> Iterator[Case]:
    """All of them."""
    yield from _vrts(canary)
    yield from _sidecars(canary)
    yield from _sizes()
    yield from _types()
    yield from _metadata()
    yield from _places()
    yield from _blocks()
    yield from _codestreams(canary)


def written(values: np.ndarray, **options: object) -> bytes:
    """The bytes of a GeoTIFF."""
    with tempfile.TemporaryDirectory() as folder:
        return write_tif(Path(folder) / "a.tif", values, **options).read_bytes()


def vrt(source: str, *, band: bool = False, mask: bool = False, kind: str = "SimpleSource") -> str:
    """A VRT of a picture somewhere else."""
    high, wide = SIZE
    part = f"<SourceFilename relativeToVRT='0'>{source}</SourceFilename>"
    layers = "".join(
        f"<VRTRasterBand dataType='{'Byte' if band else 'UInt16'}' band='{number}'>"
        f"<{kind}>{part}<SourceBand>{number}</SourceBand></{kind}></VRTRasterBand>"
        for number in ((1,) if band else (1, 2, 3, 4))
    )
    flag = "<Metadata><MDI key='INTERNAL_MASK_FLAGS_1'>2</MDI></Metadata>" if mask else ""
    place = "<GeoTransform>404400,10,0,5342400,0,-10</GeoTransform><SRS>EPSG:32633</SRS>"
    size = f"rasterXSize='{wide}' rasterYSize='{high}'"
    return f"<VRTDataset {size}>{place}{flag}{layers}</VRTDataset>"


def _vrts(canary: Canary) -> Iterator[Case]:
    """A VRT under every ending, to the secret file, to the server, to a device."""
    sources = (
        canary.picture,
        f"file://{canary.picture}",
        "../../canary/picture.tif",
        f"/vsicurl/{canary.url}/vrt.tif",
        f"{canary.url}/plain.tif",
        f"/vsicurl_streaming/{canary.url}/s.tif",
        f"WMS:{canary.url}/wms?",
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{canary.url}/t</ServerUrl></Service></GDAL_WMS>",
        "/vsistdin/",
        "/dev/zero",
        "a.tif",
    )
    for source in sources:
        for name in ("a.tif", "a.jp2", "a.vrt", "B02.tif", "a.npy"):
            yield single("VRT in disguise", "VRT", name, vrt(source).encode())
        padded = b"\xef\xbb\xbf \n" + vrt(source, kind="ComplexSource").encode()
        yield single("VRT in disguise", "VRT", "a.tif", padded)
    for magic in (b"II*\0", b"\0\0\0\x0cjP  ", b"PK\x03\x04", b"\x93NUMPY", b"{"):
        yield single("VRT in disguise", "VRT", "a.tif", magic + vrt(canary.picture).encode())
    derived = f"DERIVED_SUBDATASET:LOGAMPLITUDE:{canary.picture}"
    names = ("/vsicurl/{0}/a.tif", "/vsigzip//vsicurl/{0}/a.tif.gz", "{0}/a.tif", "WMS:{0}/w?")
    names += ("WCS:{0}/w?", "STACIT:{0}/i.json", "/vsis3/bucket/a.tif", "/vsistdin/", "/dev/zero")
    names += ("NETCDF:{1}:band", "HDF5:{1}://a", "GTIFF_DIR:1:{1}", "GTIFF_RAW:{1}", "{1}\0.tif")
    names += ("/vsisubfile/0_100000,{1}", "/vsizip//vsicurl/{0}/a.zip/a.tif", "vrt://{1}", derived)
    names += ("zip+{0}/a.zip!a.tif", "file://{1}", "<VRTDataset/>", "PG:host=127.0.0.1", "s3://a/b")
    names += (vrt(canary.picture), "/vsimem/a.tif", "/vsihdfs/a", "J2K_SUBFILE:0,9,{1}", "\0", "")
    for name in names:
        address = name.format(canary.url, canary.picture)
        doors = ("patch", "page") if address.startswith("http") else ("patch", "scene", "page")
        yield Case(kind="GDAL's own names", seed="name", address=address, doors=doors)
    for name in ("<VRTDataset>.tif", "NETCDF:a.tif", "GTIFF_DIR:1:a.tif", "a.tif!b.tif", "a{b.tif"):
        yield single("GDAL's own names", "strips", name, seeds.tiff("strips"))
    for name in ("vrt:a?.tif", "zip+file:a.tif", "a\nb\x1b[31m.tif", "x" * 240 + ".tif", "\u202ea"):
        yield single("GDAL's own names", "strips", name, seeds.tiff("strips"))
        yield single("GDAL's own names", "text", name, b"dear reader")


def _sidecars(canary: Canary) -> Iterator[Case]:
    """Beside a sound file, one that leads elsewhere: as a mask, as overviews, as metadata."""
    aux = f"<PAMDataset><Metadata><MDI key='LICENCE'>{MARK}</MDI></Metadata></PAMDataset>"
    for source in (canary.mask, f"/vsicurl/{canary.url}/mask.tif"):
        mask = vrt(source, band=True, mask=True).encode()
        picture = vrt(source).encode()
        for key in ("strips", "tiles", "float"):
            for ending in (".msk", ".ovr", ".msk.msk", ".aux", ".vrt", ".xml"):
                content = mask if "msk" in ending else picture
                files = {"a.tif": seeds.tiff(key), f"a.tif{ending}": content}
                yield Case(kind="file beside", seed=key, files=files, hand=("a.tif",))
        for ending in (".msk", ".ovr", ".aux"):
            files = {"a.jp2": seeds.jp2(), f"a.jp2{ending}": mask}
            yield Case(kind="file beside", seed="jp2", files=files, hand=("a.jp2",))
            for layer in ("B02", "SCL"):
                files = seeds.safe()
                name = next(name for name in files if layer in name)
                packed = seeds.zipped(files | {name + ending: mask})
                yield single("file beside", "SAFE zip", "a.zip", packed)
            beside = seeds.mosaic() | {f"b.tif{ending}": mask}
            doors = ("patch", "scene")
            yield Case(kind="file beside", seed="mosaic", files=beside, hand=(".",), doors=doors)
    files = {"a.tif": seeds.tiff("strips"), "a.tif.aux.xml": aux.encode(), "a.tfw": b"1e999\n" * 6}
    yield Case(kind="file beside", seed="strips", files=files, hand=("a.tif",))


def _sizes() -> Iterator[Case]:
    for high, wide in ((1, 1), (1, 60000), (15, 16), (16, 16), (17, 17), (1024, 16), (1025, 16)):
        yield single("odd size", "strips", "a.tif", written(make_dn(high, wide)))
    for high, wide in ((2000, 2000), (60000, 60000), (200_000, 200_000), (2**31 - 1, 16)):
        for tile in (16, 4096):
            name = f"{wide} x {high}"
            if (high // tile) * (wide // tile) < 200_000:
                yield single("huge size", name, "a.tif", _sparse(high, wide, tile))
    for start in (
        b"",
        b"II*\0\x08\0\0\0",
        b"\0\0\0\x0cjP  ",
        b"PK\x03\x04",
        b"\x93NUMPY\1\0v\0",
        b"{",
    ):
        yield single(
            "huge size", "1 GB", "a.tif", start + b"\0", grown=2**30, doors=("patch", "scene")
        )
    for key in seeds.TIFFS:
        content, patched = seeds.tiff(key), []
        for tag in (256, 257, 277, 258):
            for number in (0, 1, 15, 17, 1024, 2**31 - 1, 2**32 - 1):
                patched.append(with_value(content, tag, number))
        for one in patched:
            yield single("odd size", key, "a.tif", one)


def _sparse(high: int, wide: int, tile: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        shape = {"width": wide, "height": high, "count": 4, "dtype": "uint16"}
        options = {"SPARSE_OK": "TRUE", "tiled": True, "blockxsize": tile, "blockysize": tile}
        place = {"crs": "EPSG:32633", "transform": PLACE}
        with rasterio.open(path, "w", driver="GTiff", **shape, **options, **place):
            pass
        return path.read_bytes()


def with_value(content: bytes, tag: int, number: int) -> bytes:
    """A TIFF in which one tag says something else."""
    changed = bytearray(content)
    for found, _, _, at in entries(content):
        if found == tag:
            width, value = (8, at + 12) if content[2:3] == b"+" else (4, at + 8)
            changed[value : value + width] = number.to_bytes(width, "little")
            break
    return bytes(changed)


def _types() -> Iterator[Case]:
    for dtype in ("uint8", "int8", "int16", "uint32", "int32", "uint64", "int64", "float64"):
        yield single("another type", dtype, "a.tif", written(make_dn().astype(dtype)))
    for dtype in ("complex64", "complex128"):
        yield single("another type", dtype, "a.tif", written(make_dn().astype(dtype)))
    for value in (np.nan, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -1.0, 65535.0):
        values = (make_dn() / 1e4).astype(np.float32)
        values[:, :9] = value
        yield single("odd numbers", f"{value:g}", "a.tif", written(values))
        yield single("odd numbers", f"{value:g}", "a.tif", written(np.full_like(values, value)))
    for bands in (1, 2, 3, 5, 12, 13, 64, 65, 2000):
        values = np.resize(make_dn(16, 16), (bands, 16, 16))
        yield single("another type", f"{bands} bands", "a.tif", written(values))
    for compress in ("jpeg", "lzma", "zstd", "lerc", "webp", "packbits"):
        try:
            content = written(make_dn().astype("u1" if compress in ("jpeg", "webp") else "u2"))
            content = written(make_dn(), compress=compress)
        except Exception:
            content = with_value(seeds.tiff("strips"), 259, 34925)
        yield single("another type", compress, "a.tif", content)


def _metadata() -> Iterator[Case]:
    """Texts and numbers that a file says of itself."""
    keys = (
        "LICENCE",
        "PROCESSING_BASELINE",
        "ACQUIRED",
        "BOA_ADD_OFFSET",
        "scale",
        "AREA_OR_POINT",
    )
    for text in (*HOSTILE_TEXTS, "0001-01-01T00:00:00+23:59", "9" * 500, "inf"):
        plain = text.encode("utf-8", "replace").decode().replace("\0", " ")
        tags = {key: plain for key in keys}
        yield single("hostile metadata", "tags", "a.tif", written(make_dn(), tags=tags))
        names = (plain[:500] or "a", "B03", "B02", "B08")
        yield single("hostile metadata", "names", "a.tif", written(make_dn(), names=names))
    for number in NUMBERS:
        for key in ("BOA_ADD_OFFSET", "PROCESSING_BASELINE"):
            content = written(make_dn(offset_dn=1000), tags={key: number})
            yield single("hostile metadata", key, "a.tif", content)
    marked = written(make_dn(), tags={"LICENCE": MARK, "A": MARK}, names=(MARK, "G", "B", "NIR"))
    for other in (b"\xff\xfe\x80\x81" * 4, b"\0" * 16, b"<![CDATA[&lt;&#0", b"]]>&xxe;<a><b/>ab"):
        changed = marked.replace(MARK.encode(), other[:16].ljust(16))
        yield single("hostile metadata", "not UTF-8", "a.tif", changed)
    for scale in (1e300, 1e-300, -1.0, 0.0, float("nan"), float("inf"), 5e-324, 1e38):
        for offset in (0.0, -0.1, 1e300, float("nan"), float("-inf")):
            content = written(make_dn(), scale=(scale, offset))
            yield single("hostile metadata", "scale", "a.tif", content)
    for number in ("nan", "1e999", "-1e308", "abc", "9" * 300, "<a>"):
        marked = written(make_dn(), nodata=12345)
        changed = marked.replace(b"12345", number.encode()[:5].ljust(5, b"9"))
        yield single("hostile metadata", "no-data", "a.tif", changed)


def _places() -> Iterator[Case]:
    """Transforms and coordinate systems that are none."""
    for name in ("a", "e", "c", "f", "b"):
        for number in (float("nan"), float("inf"), 1e300, 1e-300, 0.0, -10.0, 1e12):
            grid = {key: getattr(PLACE, key) for key in "abcdef"} | {name: number}
            transform = Affine(*(grid[key] for key in "abcdef"))
            for crs in ("EPSG:32633", None):
                content = written(make_dn(), crs=crs, transform=transform)
                yield single("hostile place", f"transform {name}", "a.tif", content)
    for crs in ("EPSG:4326", "EPSG:3857", "EPSG:4978", "EPSG:5773", "EPSG:3031", "EPSG:2193"):
        yield single("hostile place", crs, "a.tif", written(make_dn(), crs=crs))
    local = 'LOCAL_CS["{}",UNIT["metre",1]]'
    for text in (local.format("x" * 60_000), local.format("<script>"), local.format("a\nb")):
        yield single("hostile place", "local", "a.tif", written(make_dn(), crs=text))
    for grids in ("@null", "/etc/passwd", "http://127.0.0.1:9/a.tif", "../../canary/picture.tif"):
        crs = f"+proj=utm +zone=33 +ellps=WGS84 +nadgrids={grids} +units=m +no_defs +type=crs"
        yield single("hostile place", "grids", "a.tif", written(make_dn(), crs=crs))
    base = seeds.tiff("strips")
    listed = {tag: (count, at) for tag, _, count, at in entries(base)}
    count, at = listed[34735]
    where = struct.unpack_from("<I", base, at + 8)[0]
    for index in range(count):
        for number in (0, 1, 32767, 65535, 4326):
            changed = bytearray(base)
            struct.pack_into("<H", changed, where + 2 * index, number)
            yield single("hostile place", "GeoKeys", "a.tif", bytes(changed))
    changed = bytearray(base)
    struct.pack_into("<I", changed, at + 4, 2**31 - 1)
    yield single("hostile place", "GeoKeys", "a.tif", bytes(changed))


def made(ifds: list[dict[int, tuple[int, list[int]]]], data: bytes) -> bytes:
    """A TIFF of given directories: by tag its type (3 or 4) and numbers; data begins at 8."""
    content = bytearray(b"II*\0" + struct.pack("<I", 8 + len(data)) + data)
    for index, ifd in enumerate(ifds):
        size = 2 + 12 * len(ifd) + 4
        after = len(content) + size
        extra, listed = bytearray(), bytearray()
        for tag, (kind, numbers) in sorted(ifd.items()):
            packed = struct.pack(f"<{len(numbers)}{'H' if kind == 3 else 'I'}", *numbers)
            if len(packed) > 4:
                value, packed = after + len(extra), packed
                extra += packed
            else:
                value = int.from_bytes(packed.ljust(4, b"\0"), "little")
            listed += struct.pack("<HHII", tag, kind, len(numbers), value)
        following = after + len(extra) if index + 1 < len(ifds) else 0
        content += struct.pack("<H", len(ifd)) + listed + struct.pack("<I", following) + extra
    return bytes(content)


def picture(wide: int, high: int, tile: int, bands: int, data: bytes, **more: int) -> dict:
    """The tags of one tiled, deflated directory whose tiles are all the data at 8."""
    tiles = -(-wide // tile) * -(-high // tile)
    tiles *= bands if more.get("planar") == 2 else 1
    ifd = {
        256: (4, [wide]),
        257: (4, [high]),
        258: (3, [more.get("bits", 16)] * bands),
        259: (3, [8]),
        262: (3, [1]),
        277: (3, [bands]),
        284: (3, [more.get("planar", 1)]),
        322: (4, [tile]),
        323: (4, [tile]),
        324: (4, [8] * tiles),
        325: (4, [len(data)] * tiles),
        339: (3, [1] * bands),
    }
    if "subfile" in more:
        ifd[254] = (4, [more["subfile"]])
    return ifd


def _blocks() -> Iterator[Case]:
    """Blocks that grow when they are unpacked, and directories without end."""
    zeros = zlib.compress(bytes(2**26), 9)
    for tile, bands, bits in (
        (1024, 64, 64),
        (4096, 4, 16),
        (4096, 64, 64),
        (8192, 4, 16),
        (65520, 4, 16),
        (2**20, 1, 16),
    ):
        for planar in (1, 2):
            ifd = picture(56, 40, tile, bands, zeros, bits=bits, planar=planar)
            yield single("block bomb", f"{tile} x {bands}", "a.tif", made([ifd], zeros))
    own = zlib.compress(make_dn(64, 64).transpose(1, 2, 0).tobytes())
    base = picture(64, 64, 64, 4, own)
    yield single("block bomb", "sound", "a.tif", made([base], own))
    for tile in (64, 8192, 65520, 2**20):
        mask = picture(64, 64, tile, 1, own, bits=1, subfile=4)
        yield single("block bomb", f"mask of {tile}", "a.tif", made([base, mask], own))
        mask = picture(64, 64, tile, 1, own, bits=8, subfile=4)
        yield single("block bomb", f"mask of {tile}", "a.tif", made([base, mask], own))
    small = picture(32, 32, 64, 4, own, subfile=1)
    for count in (100, 3000, 30000):
        many = made([base] + [small] * count, own)
        yield single("endless directories", f"{count}", "a.tif", many)
    loop = bytearray(made([base, small], own))
    loop[-4:] = loop[4:8]
    yield single("endless directories", "loop", "a.tif", bytes(loop))
    for key in ("strips", "cog"):
        content = bytearray(seeds.tiff(key))
        first = struct.unpack_from("<I", content, 4)[0]
        count = struct.unpack_from("<H", content, first)[0]
        struct.pack_into("<I", content, first + 2 + 12 * count, first)
        yield single("endless directories", key, "a.tif", bytes(content))


def _codestreams(canary: Canary) -> Iterator[Case]:
    """JPEG 2000 whose geography leads away, and boxes within boxes."""
    content = seeds.jp2()
    plain = content.replace(b"uuid", b"free")
    for text in (b"urn:ogc:def:crs:EPSG::32633", b"http://www.opengis.net/def/crs/EPSG/0/32633"):
        for address in (
            f"{canary.url}/crs",
            canary.text,
            f"file://{canary.text}",
            "#a",
            "../x.xml",
        ):
            if text in plain:
                other = address.encode()[: len(text)].ljust(len(text), b"x")
                yield single("JPEG 2000", "GML", "a.jp2", plain.replace(text, other))
    for index in range(8, 120, 4):
        for number in (0, 1, 2**31, 2**32 - 1):
            changed = bytearray(content)
            struct.pack_into(">I", changed, index, number)
            yield single("JPEG 2000", "boxes", "a.jp2", bytes(changed))
    nested = content[:12] + b"".join(struct.pack(">I4s", 0, b"asoc") for _ in range(50_000))
    yield single("JPEG 2000", "nested", "a.jp2", nested + content[12:])
    nested = b"".join(struct.pack(">I4s", 8 * (2000 - i), b"asoc") for i in range(2000))
    yield single("JPEG 2000", "nested", "a.jp2", content[:12] + nested + content[12:])
    at = content.find(b"\xff\x52")
    for field in range(4, 12):
        for number in (0, 1, 32, 33, 127, 255):
            changed = bytearray(content)
            changed[at + field] = number
            yield single("JPEG 2000", "COD", "a.jp2", bytes(changed))
