"""What is no scene, and files that are none together: one sentence each, and nothing leaked."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rasterio.transform import from_origin

from ldsr.data.whole import open_scene
from ldsr.errors import LdsrError, PatchError
from tests.rasters import PLACE, make_dn, write_band_files, write_safe, write_tif


def beside(second: dict, values: np.ndarray | None = None, **first: object):
    """A folder of two pictures, the second one out of the ordinary."""

    def make(folder: Path) -> Path:
        (folder / "pass").mkdir()
        write_tif(folder / "pass" / "a.tif", make_dn(), **first)
        chosen = make_dn() if values is None else values
        write_tif(folder / "pass" / "b.tif", chosen, **second)
        return folder / "pass"

    return make


def single(values: np.ndarray, **options: object):
    return lambda folder: write_tif(folder / "a.tif", values, **options)


def content(name: str, written: bytes):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(written)
        return folder / name

    return make


def _folder(folder: Path) -> Path:
    (folder / "pass").mkdir()
    (folder / "pass" / "readme.txt").write_text("hello")
    return folder / "pass"


def _text_beside(folder: Path) -> Path:
    write_tif(folder / "a.tif", make_dn())
    (folder / "b.tif").write_text("dear reader")
    return folder


def _bands_without_infrared(folder: Path) -> Path:
    for file in write_band_files(folder, make_dn()):
        if "B08" in file.name:
            file.unlink()
    return folder


def _other_classes(folder: Path) -> Path:
    """The classification lies half a pixel off."""
    write_tif(folder / "a.tif", make_dn())
    grid = from_origin(PLACE.c + 5, PLACE.f, 20, 20)
    write_tif(folder / "a_SCL.tif", np.ones((1, 20, 28), np.uint8), transform=grid)
    return folder


def _safe_without_a_band(folder: Path) -> Path:
    safe = write_safe(folder, make_dn())
    next(safe.rglob("*B08*.jp2")).unlink()
    return safe


def _png(folder: Path) -> Path:
    Image.new("RGB", (64, 64)).save(folder / "a.png")
    return folder / "a.png"


def _array(folder: Path) -> Path:
    np.save(folder / "a.npy", make_dn())
    return folder / "a.npy"


ZONE_32 = {"crs": "EPSG:32632"}
SHIFTED = {"transform": from_origin(PLACE.c + 564, PLACE.f, 10, 10)}
SLANTED = {"transform": from_origin(PLACE.c + 560, PLACE.f, 10.01, 10.01)}
NO_PLACE = {"crs": None, "transform": None}
FEATURE = b'{"type": "Feature", "id": "X", "assets": {}, "properties": {}}'
CASES = {
    "mixed CRS": (
        beside(ZONE_32),
        "pass holds a.tif in EPSG:32633 and b.tif in EPSG:32632, expected one CRS",
    ),
    "part of a pixel apart": (beside(SHIFTED), "b.tif do not line up with those of a.tif"),
    "another pixel size": (beside(SLANTED), "b.tif do not line up with those of a.tif"),
    "no places": (beside(NO_PLACE, **NO_PLACE), "a.tif has no place"),
    "one without a place": (beside(NO_PLACE), "a.tif in EPSG:32633 and b.tif in no CRS"),
    "one without infrared": (beside({}, make_dn()[:3]), "b.tif .*near infrared"),
    "band files without infrared": (_bands_without_infrared, "lacks B08"),
    "one of 20 m": (
        beside({"transform": from_origin(PLACE.c, PLACE.f, 20, 20)}),
        "b.tif has pixels of 20 x 20 m",
    ),
    "one of text": (_text_beside, "b.tif is not a picture"),
    "no pictures": (_folder, "folder pass holds no GeoTIFF"),
    "other classes": (_other_classes, "classification a_SCL.tif is not"),
    "no infrared": (single(make_dn()[:3]), "near infrared"),
    "one band": (single(make_dn()[:1]), "1 band"),
    "20 m": (single(make_dn(), transform=from_origin(4e5, 5e6, 20, 20)), "20 x 20 m"),
    "turned": (single(make_dn(), transform=PLACE.rotation(30)), "north up"),
    "8 bit": (single((make_dn() // 16).clip(0, 255).astype(np.uint8)), "8 bit"),
    "stretched": (single(np.full((4, 40, 40), 50000, np.uint16)), "10000"),
    "nothing valid": (single(np.zeros((4, 40, 40), np.uint16)), "no valid pixel"),
    "15 pixels": (single(make_dn(15, 40)), "40 x 15 pixels, expected at least 16 x 16"),
    "a band missing": (_safe_without_a_band, "lacks the 10 m band B08"),
    "missing": (lambda folder: folder / "nothing.tif", "no file nothing.tif"),
    "empty": (content("a.tif", b""), "is empty"),
    "text": (content("a.tif", b"dear reader"), "not a picture of a known format"),
    "header alone": (content("a.tif", b"II*\0\x08\0\0\0"), "cannot be opened"),
    "damaged zip": (content("a.zip", b"PK\x03\x04" + bytes(99)), "damaged zip"),
    "png": (_png, "near infrared"),
    "array": (_array, "array without a place"),
    "damaged JSON": (content("a.json", b'{"type": '), "damaged JSON"),
    "no item": (content("a.json", b'{"type": "Point"}'), "no STAC item"),
    "list": (content("a.json", b"[1, 2]"), "no STAC item"),
    "no items": (content("a.json", b'{"type": "FeatureCollection", "features": []}'), "no item"),
    "collection": (content("a.json", b'{"type": "Collection"}'), "STAC collection, expected an"),
    "item of nothing": (content("a.json", FEATURE), "item X of a.json lacks its time, or one of"),
    "zip on the web": (lambda folder: "https://a.invalid/b/S2.zip?key=secret", "^S2.zip cannot"),
    "jp2 on the web": (lambda folder: "http://a.invalid/B04.jp2", "download it first"),
    "unknown catalogue": (
        lambda folder: "http://a.invalid/a.tif",
        "no catalogue 'nowhere'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_clear_sentence(case: str, tmp_path, capfd) -> None:
    make, words = CASES[case]
    address = make(tmp_path)
    capfd.readouterr()
    key = "nowhere" if case == "unknown catalogue" else ""
    with pytest.raises(LdsrError, match=words) as caught, open_scene(address, catalogue=key):
        pass
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and 30 < len(message) < 400
    assert str(tmp_path) not in message and "secret" not in message
    assert capfd.readouterr() == ("", "")


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path, monkeypatch) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn())

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "open", refuse)
    words = "^a.tif cannot be read .PermissionError."
    with pytest.raises(LdsrError, match=words) as caught, open_scene(path):
        pass
    assert str(tmp_path) not in str(caught.value)


def test_an_error_of_the_one_who_reads_is_left_alone(tmp_path) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn())
    with pytest.raises(OSError, match="^mine$"), open_scene(path):
        raise OSError("mine")


def test_a_cut_off_file_is_said_to_be(tmp_path) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn(200, 200))
    path.write_bytes(path.read_bytes()[:90_000])
    with pytest.raises(PatchError, match="a.tif is damaged or cut off"), open_scene(path):
        pass
