"""The bundled samples are there, documented, small and readable without a question."""

import hashlib
import json

import pytest

from ldsr.data.samples import FOLDER, list_samples, load_sample
from ldsr.errors import PatchError


def test_samples_are_listed_with_their_origin() -> None:
    samples = list_samples()
    assert 4 <= len(samples) <= 8
    assert len({sample.key for sample in samples}) == len(samples)
    for sample in samples:
        assert sample.name and sample.place and sample.licence and sample.source
        assert "Copernicus Sentinel data" in sample.attribution
    assert sum(sample.path.stat().st_size for sample in samples) < 2_000_000


@pytest.mark.parametrize("key", [sample.key for sample in list_samples()])
def test_sample_reads_from_any_folder(key: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    sample = next(sample for sample in list_samples() if sample.key == key)
    patch = load_sample(key)
    assert patch.size == sample.size
    assert patch.valid.all()
    assert patch.source.kind == "sample" and patch.source.name == sample.name
    assert patch.source.licence == sample.licence
    assert patch.source.acquired == sample.date
    assert patch.source.offset_dn == 0
    assert 0.01 < patch.reflectance.mean() < 0.6


def test_files_are_those_the_list_was_made_with() -> None:
    for entry in json.loads((FOLDER / "samples.json").read_text())["samples"]:
        stored = (FOLDER / entry["file"]).read_bytes()
        assert hashlib.sha256(stored).hexdigest() == entry["sha256"]


def test_unknown_sample_is_named_in_one_sentence() -> None:
    with pytest.raises(PatchError, match="no sample 'moon'"):
        load_sample("moon")
