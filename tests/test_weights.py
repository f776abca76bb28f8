"""Weights: the manifest, the shipped files, the round trip, damaged and missing files."""

import ast
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from ldsr import weights
from ldsr.__main__ import main
from ldsr.errors import WeightsError
from ldsr.loading import load_mini, load_published, load_weights, save_mini
from ldsr.manifest import Weights, torch_hub
from ldsr.models.latent_sr import LatentSR
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings
from ldsr.weights import (
    ASSETS,
    WEIGHTS,
    copy_from,
    describe,
    find_weights,
    hash_file,
    state,
    verify,
)
from tests.conftest import TINY, make_patch

CPU = torch.device("cpu")
ROOT = Path(__file__).parent.parent
CONTENT = bytes(range(256)) * 20


def test_shipped_weights_are_what_the_registry_says() -> None:
    embedded = [entry for entry in WEIGHTS.values() if entry.embedded]
    assert {entry.role for entry in embedded} == {"model", "refiner", "sr3", "regression"}
    for entry in embedded:
        assert hash_file(entry.path) == entry.sha256
        with safe_open(entry.path, framework="pt") as file:
            assert all(file.get_tensor(key).dtype == torch.float16 for key in file.keys())
            assert json.loads(file.metadata()["geometry"])
    assert WEIGHTS["mini"].path.stat().st_size <= 25e6
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) <= 60e6


def test_shipped_weights_beat_bicubic_at_their_own_ground() -> None:
    """Through the point spread function a sharp edge comes back sharper than bicubic leaves it."""
    from ldsr.consistency import degrade

    hr = torch.full((1, 4, 128, 128), 0.08)
    hr[..., 40:90, 30:70] = 0.25
    hr[..., 60:, 96:] = 0.15
    patch = make_patch(32, 32)
    object.__setattr__(patch, "reflectance", degrade(hr, operator="psf")[0].numpy())
    pipeline = Pipeline.load("mini", device="cpu")

    def error(base: str) -> float:
        settings = Settings(base=base, steps=4, refine=False, consistency="none")
        result = pipeline(patch, settings)
        return float(((torch.from_numpy(result.sr.reflectance) - hr[0]) ** 2).mean())

    assert error("ldsr") < 0.8 * error("bicubic")
    assert error("regression") < 0.8 * error("bicubic")


def test_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = LatentSR(**TINY)
    path = tmp_path / "tiny.safetensors"
    schedule = {"length": 1000, "parameterization": "v"}
    digest = save_mini(model, path, geometry=TINY, schedule=schedule, temperature=0.6)
    loaded = load_mini(path, digest, CPU)
    assert loaded.sha256 == hash_file(path)
    assert loaded.temperature == 0.6
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], value.half().float())


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"not weights", b"\x08\0\0\0\0\0\0\0{}      "):
        path = tmp_path / "wrong.safetensors"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="wrong.safetensors"):
            load_mini(path, "0" * 64, CPU)


def test_missing_published_weights_say_where_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    with pytest.raises(WeightsError) as error:
        load_weights("ldsr-s2", CPU)
    assert "huggingface.co" in str(error.value) and str(tmp_path) in str(error.value)


def test_another_file_than_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    path = WEIGHTS["ldsr-s2"].path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"text")
    with pytest.raises(WeightsError, match="expected e2621e3912eb"):
        load_weights("ldsr-s2", CPU)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.ckpt"
    for content in (b"text", b"PK\x03\x04"):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="checkpoint"):
            load_published(path, "0" * 64, CPU)


def test_manifest_is_complete() -> None:
    """Whatever is fetched has an address, a licence, a purpose and something to check it by."""
    assert len({path for entry in WEIGHTS.values() for path in entry.places}) >= len(WEIGHTS)
    for name, entry in WEIGHTS.items():
        assert entry.name == name and entry.purpose and entry.licence and entry.citation
        hashes = {entry.sha256, *entry.twins} - {None}
        assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in hashes)
        assert entry.embedded == (entry.url is None)
        assert entry.embedded or entry.url.startswith("https://")
        assert entry.sha256 or re.fullmatch("[0-9a-f]{8}", entry.begins)
        # torch hub's names end in the first digits of the hash
        if named := re.search("-([0-9a-f]{8})[.]pth$", entry.file):
            assert (entry.sha256 or entry.begins).startswith(named[1])


def test_files_go_where_their_packages_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "ours"))
    for variables in ({"TORCH_HOME": str(tmp_path / "t")}, {"XDG_CACHE_HOME": "~/c"}, {}):
        monkeypatch.delenv("TORCH_HOME", raising=False)
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        assert str(torch_hub()) == torch.hub.get_dir()
    assert WEIGHTS["sam-vit-b"].places == (tmp_path / "ours/weights/sam_vit_b_01ec64.pth",)
    assert WEIGHTS["clip-rn50"].places[0] == torch_hub() / "clip/RN50.pt"
    assert WEIGHTS["lpips-alex-head"].places[0].parent == torch_hub() / "pyiqa"
    assert WEIGHTS["lpips-alexnet-features"].places[0].parent == torch_hub() / "checkpoints"


def test_a_file_is_found_in_any_of_its_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("LDSR_HOME", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(key, str(tmp_path / key))
    entry = WEIGHTS["clip-rn50"]
    assert len(set(entry.places)) == 3 and entry.path == entry.places[0]
    for path in reversed(entry.places):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        assert entry.path == path


def test_describe_knows_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("LDSR_HOME", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(key, str(tmp_path))
    for name, entry in WEIGHTS.items():
        shown = describe(name)
        assert shown["here"] == entry.embedded and (shown["command"] == "") == entry.embedded
    assert describe("sam-vit-b")["size"] == "375 MB" and describe("ldsr-s2")["size"] == "1.13 GB"
    assert "non-commercial" in describe("clip-rn50")["remark"]
    assert "read it before use" in describe("ldsr-s2")["remark"]
    with pytest.raises(WeightsError, match="known are mini"):
        describe("nothing")


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """One file called thing, alone in the manifest; its address leads nowhere."""
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "home"))
    entry = Weights(
        name="thing",
        file="thing.bin",
        purpose="testing",
        url="https://ldsr.invalid/thing",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
        licence="none",
        citation="none",
    )
    monkeypatch.setattr(weights, "WEIGHTS", {"thing": entry})
    return entry


@pytest.fixture
def unpublished(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """The same file, of which nobody has published the size and the hash."""
    entry = dataclasses.replace(entry, sha256=None, bytes=None)
    monkeypatch.setattr(weights, "WEIGHTS", {"thing": entry})
    return entry


def test_a_file_put_there_by_hand_is_not_pinned(unpublished: Weights) -> None:
    assert describe("thing")["size"] == "size unknown"
    unpublished.path.parent.mkdir(parents=True)
    unpublished.path.write_bytes(CONTENT)
    assert verify("thing")[0] == "unknown" and state("thing") == "here"
    assert describe("thing")["size"] == "5.12 kB"
    assert find_weights("thing")[0] == unpublished.path
    assert not (weights.home() / "pins.json").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"thing": {}}', '{"thing": {"sha256": 1}}'])
def test_damaged_pins_are_said_to_be(text: str, unpublished: Weights) -> None:
    weights.home().mkdir()
    (weights.home() / "pins.json").write_text(text)
    unpublished.path.parent.mkdir()
    unpublished.path.write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="pins.json cannot be read"):
        find_weights("thing")


def test_a_twin_is_right(entry: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = {hashlib.sha256(b"twin").hexdigest(): 4}
    monkeypatch.setattr(weights, "WEIGHTS", {"thing": dataclasses.replace(entry, twins=twin)})
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"twin")
    assert state("thing") == "here" and verify("thing")[0] == "right"
    entry.path.write_bytes(b"twim")
    assert verify("thing")[0] == "wrong"


def test_copy_from_finds_the_right_file_deep_in_a_folder(entry: Weights, tmp_path: Path) -> None:
    source = tmp_path / "stick"
    with pytest.raises(WeightsError, match="There is no thing.bin"):
        copy_from("thing", source)
    for folder, content in (("a", b"another"), ("b/hub", CONTENT)):
        (source / folder).mkdir(parents=True)
        (source / folder / "thing.bin").write_bytes(content)
    assert copy_from("thing", source) == (entry.path, entry.sha256)
    assert entry.path.read_bytes() == CONTENT and [*entry.path.parent.iterdir()] == [entry.path]
    assert (source / "b/hub/thing.bin").exists()


def test_copy_from_keeps_nothing_wrong(entry: Weights, tmp_path: Path) -> None:
    (tmp_path / "thing.bin").write_bytes(b"another")
    with pytest.raises(WeightsError, match="not kept"):
        copy_from("thing", tmp_path)
    assert not [*entry.path.parent.iterdir()]


def test_copy_from_records_a_hash_too(unpublished: Weights, tmp_path: Path) -> None:
    (tmp_path / "thing.bin").write_bytes(CONTENT)
    _, digest = copy_from("thing", tmp_path)
    pin = json.loads((weights.home() / "pins.json").read_text())["thing"]
    assert pin["sha256"] == digest and pin["source"] == str(tmp_path / "thing.bin")


def test_command_line_copies_what_a_folder_has(
    entry: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    other = dataclasses.replace(entry, name="other", file="other.bin")
    monkeypatch.setattr(weights, "WEIGHTS", {"other": other, "thing": entry})
    stick = tmp_path / "stick"
    stick.mkdir()
    assert main(["weights", "fetch", "all", "--from", str(stick)]) == 2
    (stick / "thing.bin").write_bytes(CONTENT)
    assert main(["weights", "fetch", "all", "--from", str(stick)]) == 0
    assert "other: not in" in capsys.readouterr().out and entry.path.exists()
    assert main(["weights", "fetch", "other", "--from", str(stick)]) == 2


def test_command_line_tells_damage(entry: Weights, capsys: pytest.CaptureFixture) -> None:
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(CONTENT[:-1] + b"!")
    assert main(["weights", "verify"]) == 2 and "WRONG" in capsys.readouterr().out
    entry.path.write_bytes(b"short")
    assert main(["weights", "list"]) == 0
    out = capsys.readouterr().out
    assert "damaged" in out and "5 B" in out and str(entry.path) in out


def test_the_command_line_alone_fetches() -> None:
    """No page, no metric and no pipeline imports what starts a download."""
    users = set()
    for path in [ROOT / "app.py", *ROOT.glob("ldsr/**/*.py"), *ROOT.glob("evaluation/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "ldsr.weights":
                names = {alias.name for alias in node.names}
                users |= {path.name} if names & {"fetch", "copy_from"} else set()
            elif isinstance(node, ast.ImportFrom) and node.module == "ldsr":
                assert "weights" not in {alias.name for alias in node.names}, path
            elif isinstance(node, ast.Import):
                assert "ldsr.weights" not in {alias.name for alias in node.names}, path
    assert users == {"__main__.py"}
