"""What hostile files were once good for, each weakness by its name."""

import io
import json
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine

from ldsr.data import scenes
from ldsr.data.fine import read_fine
from ldsr.data.items import MOST_ITEMS
from ldsr.data.raw import plain_baseline, utc
from ldsr.data.reader import FAR, read_patch
from ldsr.data.whole import open_scene
from ldsr.errors import LONGEST, LdsrError, PatchError, SceneError
from tests.rasters import PLACE, make_dn, write_safe, write_tif
from tests.reliability import seeds
from tests.reliability.canary import canary, leaked, secret_mask
from tests.reliability.crafted_rasters import made, picture, vrt


def refusal(path: object) -> str:
    """The sentence by which a file is refused."""
    with pytest.raises(LdsrError) as caught:
        read_patch(path)
    message = str(caught.value)
    assert message.isprintable() and message.endswith(".") and len(message) <= LONGEST
    return message


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def safe_members(folder: Path) -> dict[str, bytes]:
    safe = write_safe(folder / "in", make_dn(offset_dn=1000))
    return {str(file.relative_to(safe.parent)): file.read_bytes() for file in safe.rglob("*.*")}


# what lies beside a file


@pytest.fixture
def secret(tmp_path) -> str:
    """A VRT of a mask that lies somewhere else."""
    mask = 255 * secret_mask()[None].astype(np.uint8)
    write_tif(tmp_path / "elsewhere.tif", mask)
    return vrt(str(tmp_path / "elsewhere.tif"), band=True, mask=True)


def test_a_mask_beside_a_file_is_refused_not_followed(tmp_path, secret) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn())
    (tmp_path / "a.tif.msk").write_text(secret)
    assert "a.tif.msk" in refusal(path)
    with pytest.raises(PatchError, match="a.tif.msk"), open_scene(path):
        pass


def test_a_mask_in_a_product_is_not_followed(tmp_path, secret) -> None:
    members = safe_members(tmp_path)
    name = next(name for name in members if "B02" in name)
    path = zip_of(tmp_path / "a.zip", members | {f"{name}.msk": secret.encode()})
    patch = read_patch(path)
    assert patch.valid.all() and not leaked(patch.reflectance, patch.valid)


# zips


def test_a_damaged_member_is_refused(tmp_path) -> None:
    content = io.BytesIO()
    np.save(content, make_dn())
    path = zip_of(tmp_path / "a.npz", {"dn.npy": content.getvalue()})
    damaged = bytearray(path.read_bytes())
    damaged[60:90] = b"\xff" * 30
    path.write_bytes(damaged)
    assert "damaged" in refusal(path)
    path = zip_of(tmp_path / "a.zip", safe_members(tmp_path))
    damaged = bytearray(path.read_bytes())
    at = damaged.find(b"MTD_MSIL2A.xml")
    damaged[at + 20 : at + 60] = b"\xff" * 40
    path.write_bytes(damaged)
    assert "damaged" in refusal(path)


def test_a_name_twice_is_refused(tmp_path) -> None:
    members = safe_members(tmp_path)
    path = zip_of(tmp_path / "a.zip", members)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(next(name for name in members if "B02" in name), b"other")
    assert "damaged or protected" in refusal(path)


def test_many_members_are_not_listed(tmp_path) -> None:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 5) + bytes(16) + b"a.npy"
    listed = entry * 200_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(listed), 0, 0)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + listed + end)
    assert "damaged zip" in refusal(tmp_path / "a.zip")


# arrays


def test_the_length_of_a_header_is_not_believed(tmp_path) -> None:
    head = b"\x93NUMPY\2\0" + struct.pack("<I", 2**32 - 1)
    path = zip_of(tmp_path / "a.npz", {"dn.npy": head + bytes(50_000_000)})
    assert "no plain NumPy array" in refusal(path)


@pytest.mark.parametrize("text", ["{1: 2, 'a': 3}", "(" * 9000, "{'descr': 5}", "{**{}}"])
def test_a_header_of_anything_is_refused(text: str, tmp_path) -> None:
    head = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()
    (tmp_path / "a.npy").write_bytes(head + bytes(100))
    assert "no plain NumPy array" in refusal(tmp_path / "a.npy")


def test_a_type_of_many_fields_is_refused_in_a_short_sentence(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 20, 20), [(f"field{i}", "u2") for i in range(200)]))
    refusal(tmp_path / "a.npy")


# metadata


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused_in_any_encoding(encoding: str, tmp_path) -> None:
    safe = write_safe(tmp_path, make_dn(offset_dn=1000))
    text = (safe / "MTD_MSIL2A.xml").read_text().replace("05.09", "&x;")
    head = f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE a [<!ENTITY x '05.09'>]>"
    (safe / "MTD_MSIL2A.xml").write_bytes((head + text).encode(encoding))
    assert "defines entities" in refusal(safe)


def test_what_a_file_says_of_itself_is_kept_short_and_plain(tmp_path) -> None:
    tags = {"LICENCE": "a\nb\t" + "x" * 5000, "PROCESSING_BASELINE": "<script>"}
    source = read_patch(write_tif(tmp_path / "a.tif", make_dn(), tags=tags)).source
    assert source.licence.startswith("a b x") and len(source.licence) <= 200
    assert source.baseline is None
    assert [plain_baseline(text) for text in (" 05.09 ", "nan", "5", None)] == [
        "05.09",
        None,
        None,
        None,
    ]


def test_a_time_before_all_time_is_none() -> None:
    assert utc("0001-01-01T00:00:00+23:59") is None


@pytest.mark.parametrize("scale", [(1e300, 0.0), (1e-300, 0.0), (1e-4, 1e30), (1e-4, np.inf)])
def test_an_absurd_scale_is_refused(scale: tuple[float, float], tmp_path) -> None:
    assert "stated by" in refusal(write_tif(tmp_path / "a.tif", make_dn(), scale=scale))


def test_an_absurd_quantification_is_refused(tmp_path) -> None:
    safe = write_safe(tmp_path, make_dn(offset_dn=1000))
    text = (safe / "MTD_MSIL2A.xml").read_text()
    for number in ("inf", "nan", "-1", "1e-300"):
        (safe / "MTD_MSIL2A.xml").write_text(text.replace(">10000<", f">{number}<"))
        assert "stated by" in refusal(safe)


@pytest.mark.parametrize("value", [-3.4e38, 3e38, 2 * FAR])
def test_numbers_from_nowhere_are_no_data(value: float, tmp_path) -> None:
    values = (make_dn() / 1e4).astype(np.float32)
    values[2, :5] = value
    patch = read_patch(write_tif(tmp_path / "a.tif", values))
    assert not patch.valid[:5].any() and patch.valid[5:].all()


@pytest.mark.parametrize("place", [Affine(10, 0, 1e300, 0, -10, 0), Affine(10, 0, 0, 0, -10, 1e12)])
def test_a_place_nowhere_is_refused(place: Affine, tmp_path) -> None:
    for crs in ("EPSG:32633", None):
        path = write_tif(tmp_path / "a.tif", make_dn(), crs=crs, transform=place)
        assert "nowhere on the earth" in refusal(path)
        with pytest.raises(PatchError, match="nowhere"):
            read_fine(write_tif(tmp_path / "b.tif", make_dn(64, 64), crs=crs, transform=place))


def test_a_transform_that_is_no_number_is_refused(tmp_path) -> None:
    content = write_tif(tmp_path / "a.tif", make_dn()).read_bytes()
    pixel = struct.pack("<3d", 10, 10, 0)
    assert pixel in content
    (tmp_path / "a.tif").write_bytes(content.replace(pixel, struct.pack("<3d", np.nan, 10, 0)))
    assert "nowhere on the earth" in refusal(tmp_path / "a.tif")


def test_numbers_too_large_in_an_item_are_no_fault() -> None:
    band = {"href": "https://a.invalid/a.tif", "raster:bands": [{"scale": 10**400}]}
    assets = {name: band for name in ("red", "green", "blue", "nir")}
    said = {"datetime": "2020-01-01T00:00:00Z", "eo:cloud_cover": 10**400}
    item = {"id": "a", "assets": assets, "properties": said}
    assert scenes.read_item(item, original=True) is None


def test_an_item_names_a_zone_and_no_address(tmp_path) -> None:
    """GDAL would fetch a coordinate system from an address."""
    with canary(tmp_path / "canary") as bird:
        document = json.loads(json.dumps(seeds.item()))
        document["id"] = "a\n" + "x" * 5000
        for code in (f"{bird.url}/crs", "EPSG:32633 ", [1], "PROJCS[]", "EPSG:99999999999"):
            document["properties"]["proj:code"] = code
            entry = scenes.read_item(document, original=True, reach=lambda href: href)
            assert entry.tile.crs is None and len(entry.tile.id) == scenes.LONGEST_ID
        for code in ("EPSG:32633", "epsg:32633", 32633, "32633"):
            document["properties"]["proj:code"] = code
            entry = scenes.read_item(document, original=True, reach=lambda href: href)
            assert entry.tile.crs == "EPSG:32633"
        assert not bird.asked


def test_an_item_of_more_than_a_pass_is_refused(tmp_path) -> None:
    listed = {"type": "FeatureCollection", "features": [seeds.item()] * (MOST_ITEMS + 1)}
    (tmp_path / "item.json").write_text(json.dumps(listed))
    with pytest.raises(SceneError, match="lists 501 items"), open_scene(tmp_path / "item.json"):
        pass


# sizes


def test_a_block_of_many_bands_is_refused(tmp_path) -> None:
    zeros = zlib.compress(bytes(1000))
    content = made([picture(56, 40, 4096, 64, zeros, bits=64)], zeros)
    (tmp_path / "a.tif").write_bytes(content)
    assert "not safe to unpack" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(("tile", "bits"), [(8192, 1), (65520, 1), (65520, 8)])
def test_a_mask_of_large_blocks_is_refused(tile: int, bits: int, tmp_path) -> None:
    """GDAL unpacks a block as a whole, and does not show those of a mask."""
    own = zlib.compress(make_dn(64, 64).transpose(1, 2, 0).tobytes())
    mask = picture(64, 64, tile, 1, own, bits=bits, subfile=4)
    (tmp_path / "a.tif").write_bytes(made([picture(64, 64, 64, 4, own), mask], own))
    assert "a mask in blocks of" in refusal(tmp_path / "a.tif")


def test_directories_without_end_are_refused(tmp_path) -> None:
    own = zlib.compress(make_dn(64, 64).transpose(1, 2, 0).tobytes())
    base, small = picture(64, 64, 64, 4, own), picture(32, 32, 64, 4, own, subfile=1)
    (tmp_path / "a.tif").write_bytes(made([base] + [small] * 10, own))
    assert read_patch(tmp_path / "a.tif").size == (64, 64)
    (tmp_path / "a.tif").write_bytes(made([base] + [small] * 5000, own))
    assert "more than 64 pictures" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(("at", "content"), [(91, b"\0\x01"), (69, b"\0\x11")])
def test_damaged_boxes_do_not_hold_us_up(at: int, content: bytes, tmp_path) -> None:
    """GDAL goes round and round in them, asked how the bands are stored."""
    damaged = bytearray(seeds.jp2())
    damaged[at - 1 : at + 1] = content
    (tmp_path / "a.jp2").write_bytes(damaged)
    began = time.monotonic()
    assert read_patch(tmp_path / "a.jp2").size == (40, 56)
    assert time.monotonic() - began < 5


def test_a_scene_of_too_many_pixels_is_refused_before_a_pixel_is_read(tmp_path) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn())
    with pytest.raises(SceneError, match="at most 0 million"), open_scene(path, most_pixels=2239):
        pass
    with open_scene(path, most_pixels=2240) as scene:
        assert scene.size == (40, 56)


# sentences


def test_a_name_does_not_break_a_sentence(tmp_path) -> None:
    for name in ("a\nb\x1b[31m.tif", "x" * 250 + ".tif", "\u202eb\u200b.tif"):
        (tmp_path / name).write_bytes(b"dear reader")
        refusal(tmp_path / name)
    patch = read_patch(write_tif(tmp_path / "a\nb.tif", make_dn(), transform=PLACE))
    assert patch.source.name == "a b.tif"
    assert len(str(PatchError("a" * 9999 + "."))) == LONGEST
