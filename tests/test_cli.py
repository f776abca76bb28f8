"""Command line: what it writes, and one line with status 2 for what the person can mend."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

from ldsr.__main__ import main
from ldsr.data.samples import list_samples, load_sample
from ldsr.settings import Settings
from ldsr.weights import WEIGHTS

ROOT = Path(__file__).parent.parent


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A part of a shipped sample, as a file of its own."""
    key = list_samples()[0].key
    patch = load_sample(key)
    path = tmp_path / "place.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=4, height=40, width=56, dtype="float32",
        crs=patch.crs, transform=patch.transform,
    ) as raster:  # fmt: skip
        raster.write(patch.reflectance[:, :40, :56])
    return path


def test_run_writes_picture_and_run_sheet(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["run", str(sample), "--out", str(out), "--steps", "2", "--save-base"]) == 0
    with rasterio.open(sample) as before, rasterio.open(out / "place_sr.tif") as after:
        assert after.bounds == before.bounds and after.crs == before.crs
        assert after.shape == (160, 224) and after.count == 4
    assert (out / "place_base.tif").exists()
    with rasterio.open(out / "place_detail.tif") as detail:
        assert detail.count == 1 and detail.bounds == before.bounds and detail.shape == (160, 224)
        values = detail.read(1)
        assert values.min() >= 0 and values.max() <= 1 and values.std() > 0
    sheet = json.loads((out / "place.json").read_text())
    assert set(sheet["stages"]) == {"base", "refine"}
    for stage in sheet["stages"].values():
        assert stage["steps_computed"] > 0 and stage["residual_after"] <= 1e-4
    assert sheet["tags"]["source"] == "spectral" and sheet["detail"]["largest"] <= 1
    settings = Settings(**sheet["settings"])
    assert settings.temperature is not None, "what was really applied"
    assert dataclasses.replace(settings, temperature=None) == Settings(steps=2)
    assert sheet["consistency"]["after"] <= 1e-4


def test_a_bad_file_does_not_stop_the_others(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_text("no picture")
    status = main(["run", str(bad), str(sample), "--out", str(tmp_path / "out"), "--steps", "1"])
    assert status == 2
    assert (tmp_path / "out" / "place_sr.tif").exists()
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "missing.tif", "--out", "{out}"],
        ["run", "missing.tif", "--out", "{out}", "--steps", "0"],
        ["run", "{sample}", "--out", "{out}", "--weights", "ldsr-s2"],
        ["run", "{sample}", "--out", "{out}", "--weights", "magic"],
        ["run", "{sample}", "--out", "{sample}"],
    ],
)
def test_mendable_mistakes_give_one_line(
    arguments: list[str], sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    filled = [a.format(out=tmp_path / "out", sample=sample) for a in arguments]
    assert main(filled) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error


def test_weights_list_and_verify(capsys: pytest.CaptureFixture) -> None:
    assert main(["weights", "list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed and entry.licence in listed for name, entry in WEIGHTS.items())
    assert main(["weights", "list", "mini"]) == 0
    assert f"{WEIGHTS['mini'].path.stat().st_size:,} B" in capsys.readouterr().out
    assert main(["weights", "verify", "mini"]) == 0
    assert capsys.readouterr().out.strip().endswith("right")


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "magic"],
        ["verify", "magic"],
        ["fetch", "magic", "--yes"],
        ["fetch"],
        ["fetch", "sam-vit-b", "--from", "missing"],
    ],
)
def test_weights_mistakes_give_one_line(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    assert main(["weights", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("ldsr: ")


def test_readme_snippet_runs(sample: Path, tmp_path: Path) -> None:
    """The Python snippet of the README, as it stands there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    snippet = readme.split("```python\n")[1].split("```")[0]
    (tmp_path / "patch.tif").write_bytes(sample.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with rasterio.open(tmp_path / "sr.tif") as raster:
        assert raster.shape == (160, 224)
