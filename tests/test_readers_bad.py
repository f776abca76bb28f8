"""Bad input: always a PatchError of one sentence, nothing on standard error, no large memory."""

import io
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rasterio.transform import Affine, from_origin

from ldsr.data.reader import read_patch
from ldsr.errors import PatchError
from tests.rasters import PLACE, make_dn, write_band_files, write_safe, write_tif


def _written(name: str, values: np.ndarray, **options: object):
    return lambda folder: write_tif(folder / name, values, **options)


def _bytes(name: str, content: bytes):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def _array(values: np.ndarray):
    def make(folder: Path) -> Path:
        np.save(folder / "a.npy", values, allow_pickle=True)
        return folder / "a.npy"

    return make


def _truncated(share: float, **options: object):
    def make(folder: Path) -> Path:
        path = write_tif(folder / "cut.tif", make_dn(200, 200), **options)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        return path

    return make


def _picture(name: str, mode: str = "RGB"):
    def make(folder: Path) -> Path:
        Image.new(mode, (64, 64)).save(folder / name, format="JPEG" if "jp" in name else "PNG")
        return folder / name

    return make


def _npz_bomb(folder: Path) -> Path:
    """A header that declares 40 GB, and zeros that pack well."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (4, 50000, 50000)}
    np.lib.format.write_array_header_1_0(header, shape)
    path = folder / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dn.npy", header.getvalue() + bytes(50_000_000))
    return path


def _safe_bomb(folder: Path) -> Path:
    safe = write_safe(folder / "in", make_dn())
    path = folder / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(safe.rglob("*.*")):
            content = bytes(30_000_000) if file.suffix == ".jp2" else file.read_bytes()
            archive.writestr(str(file.relative_to(safe.parent)), content)
    return path


def _huge_file(name: str, start: bytes):
    """One gigabyte on paper: the file is sparse and takes no room."""

    def make(folder: Path) -> Path:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(2**30)
        return folder / name

    return make


def _huge_tiff(folder: Path) -> Path:
    """A sound TIFF of 11,180 x 11,180 x 4 uint16, one gigabyte, nothing of it stored."""
    import rasterio

    path = folder / "scene.tif"
    shape = {"width": 11180, "height": 11180, "count": 4, "dtype": "uint16"}
    options = {"SPARSE_OK": "TRUE", "tiled": True}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32633", transform=PLACE, **shape, **options
    ):
        pass
    return path


def _other_grids(folder: Path) -> list[Path]:
    files = write_band_files(folder, make_dn())
    write_tif(files[0], make_dn(20, 28)[:1])
    return files


def _empty_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    return folder / "a.zip"


def _vrt(folder: Path) -> Path:
    text = '<VRTDataset rasterXSize="20" rasterYSize="20"><VRTRasterBand dataType="UInt16"/>'
    return _bytes("a.tif", (text + "</VRTDataset>").encode())(folder)


TURNED = Affine(7.07, 7.07, 404400, 7.07, -7.07, 5342400)
DEGREES = from_origin(13.7, 48.2, 9e-5, 9e-5)
NPY_HUGE = b"\x93NUMPY\x01\0" + struct.pack("<H", 118)
CASES = {
    "one band": (_written("a.tif", make_dn()[:1]), "1 band"),
    "three bands": (_written("a.tif", make_dn()[:3]), "near infrared"),
    "five bands": (_written("a.tif", make_dn()[[0, 1, 2, 3, 3]]), "5 bands"),
    "four bands, none infrared": (
        _written("a.tif", make_dn(), names=("B02", "B03", "B04", "B05")),
        "lacks B08",
    ),
    "8 bit": (_written("a.tif", (make_dn() // 16).clip(0, 255).astype(np.uint8)), "8 bit"),
    "8 bit in 16": (_written("a.tif", (make_dn() // 16).clip(0, 255)), "8-bit"),
    "all zero": (_written("a.tif", np.zeros((4, 20, 20), np.uint16)), "no valid pixel"),
    "all no-data": (
        _written("a.tif", np.full((4, 20, 20), 7777, np.uint16), nodata=7777),
        "no valid pixel",
    ),
    "all NaN": (_written("a.tif", np.full((4, 20, 20), np.nan, np.float32)), "no valid pixel"),
    "all inf": (_array(np.full((4, 20, 20), np.inf)), "no valid pixel"),
    "5 x 5": (_written("a.tif", make_dn(5, 5)), "at least 16 x 16"),
    "5 x 5 array": (_array(make_dn(5, 5)), "at least 16 x 16"),
    "degrees": (_written("a.tif", make_dn(), crs="EPSG:4326", transform=DEGREES), "EPSG:32633"),
    "60 m": (_written("a.tif", make_dn(), transform=from_origin(4e5, 5e6, 60, 60)), "60 x 60 m"),
    "0.6 m": (_written("a.tif", make_dn(), transform=from_origin(4e5, 5e6, 0.6, 0.6)), "0.6 x"),
    "turned": (_written("a.tif", make_dn(), transform=TURNED), "north up"),
    "complex": (_written("a.tif", make_dn().astype(np.complex64)), "numbers"),
    "16-bit stretch": (_written("a.tif", np.full((4, 20, 20), 50000, np.uint16)), "10000"),
    "text as tif": (_bytes("a.tif", b"dear reader,\n" * 50), "not a picture"),
    "empty file": (_bytes("a.tif", b""), "empty"),
    "tiff header alone": (_bytes("a.tif", b"II*\0\x08\0\0\0"), "cannot be opened"),
    "truncated": (_truncated(0.5), "cut off"),
    "truncated deflate": (_truncated(0.6, compress="deflate"), "cut off"),
    "truncated tiles": (_truncated(0.5, tiled=True, blockxsize=64, blockysize=64), "cut off"),
    "truncated head": (_truncated(0.001), "cannot be opened"),
    "vrt as tif": (_vrt, "not a picture"),
    "missing": (lambda folder: folder / "nothing.tif", "no file"),
    "strange name": (lambda folder: folder / "a\nb.tif", "no file"),
    "network path": (lambda folder: "/vsicurl/https://example.invalid/a.tif", "no file"),
    "nothing": (lambda folder: [], "No file"),
    "folder": (lambda folder: folder, "is a folder"),
    "1 GB tiff": (_huge_tiff, "at most 1024 x 1024"),
    "1 GB of nothing": (_huge_file("a.tif", b""), "not a picture"),
    "1 GB behind a tiff": (_huge_file("a.tif", b"II*\0\x08\0\0\0"), "cannot be opened"),
    "1 GB behind npy": (_huge_file("a.npy", NPY_HUGE), "damaged"),
    "npz bomb": (_npz_bomb, "at most 1024 x 1024"),
    "safe bomb": (_safe_bomb, "zip bomb"),
    "zip of text": (_empty_zip, "without a .SAFE"),
    "damaged zip": (_bytes("a.zip", b"PK\x03\x04" + bytes(99)), "damaged zip"),
    "objects": (_array(np.array([{}, 1], dtype=object)), "Python objects"),
    "flat array": (_array(np.zeros((40, 40))), "shape"),
    "doubtful array": (_array(np.zeros((40, 40, 40))), "shape"),
    "text array": (_array(np.full((4, 20, 20), "a")), "numbers"),
    "png": (_picture("a.png"), "near infrared"),
    "png of four": (_picture("a.png", "RGBA"), "near infrared"),
    "jpeg": (_picture("a.jpg"), "near infrared"),
    "png as tif": (_picture("a.tif"), "near infrared"),
    "bands on other grids": (_other_grids, "grid"),
    "a band missing": (lambda folder: write_band_files(folder, make_dn())[:3], "lacks B08"),
    "a band twice": (
        lambda folder: [*write_band_files(folder, make_dn()), folder.glob("*B02*").__next__()],
        "more than once",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_sentence(case: str, tmp_path, capfd) -> None:
    make, words = CASES[case]
    path = make(tmp_path)
    capfd.readouterr()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PatchError, match=words) as caught:
        read_patch(path)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and 30 < len(message) < 400
    assert str(tmp_path) not in message
    assert capfd.readouterr() == ("", "")
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, "kilobytes; reading must stop at the header"


def test_incomplete_safe_is_refused(tmp_path) -> None:
    safe = write_safe(tmp_path, make_dn())
    next(safe.rglob("*B08*.jp2")).unlink()
    with pytest.raises(PatchError, match="lacks the 10 m band B08"):
        read_patch(safe)
    (safe / "MTD_MSIL2A.xml").write_text("<not xml")
    with pytest.raises(PatchError, match="lacks|damaged"):
        read_patch(safe)


def test_damaged_safe_metadata_is_refused(tmp_path) -> None:
    safe = write_safe(tmp_path, make_dn())
    for text in ("<not xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
        (safe / "MTD_MSIL2A.xml").write_text(text)
        with pytest.raises(PatchError, match="metadata") as caught:
            read_patch(safe)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("window", [(0, 0, 100, 100), (-1, 0, 20, 20), (0, 0, 5, 5), (1, 2), "all"])
def test_bad_window_is_refused(window: object, tmp_path) -> None:
    with pytest.raises(PatchError, match="window|at least"):
        read_patch(write_tif(tmp_path / "a.tif", make_dn()), window=window)


@pytest.mark.parametrize("bands", ["B02,B03", "B02,B03,B04,B05", "a,b,c,d", "B02,B02,B04,B08"])
def test_bad_order_is_refused(bands: str, tmp_path) -> None:
    with pytest.raises(PatchError):
        read_patch(write_tif(tmp_path / "a.tif", make_dn()), bands=bands)
