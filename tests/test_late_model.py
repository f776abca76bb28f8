"""The model is read after the page is up, and until then nothing heavy is imported."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import app
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import WeightsError
from ldsr.pipeline import Pipeline
from ldsr.settings import Settings
from ldsr.web import late_model
from ldsr.web.late_model import LateModel, may_wait


def test_it_is_known_as_what_it_will_be() -> None:
    late, now = LateModel("mini"), Pipeline.load("mini", device="cpu")
    for name in ("name", "sha256", "device", "compiled", "half", "can_refine", "bases"):
        assert getattr(late, name) == getattr(now, name)
    late.begin()
    assert late.temperature == now.temperature and late.pipeline is late.pipeline


def test_who_asks_before_it_may_begin_waits() -> None:
    late, found = LateModel("mini"), []
    patch = load_sample(list_samples()[0].key)
    tags, source = late.find_tags(patch, "spectral")  # needs no model
    assert source == "spectral" and tags
    settings = Settings(base="bicubic", refine=False)
    runner = threading.Thread(target=lambda: found.append(late(patch, settings)))
    runner.start()
    runner.join(0.2)
    assert runner.is_alive() and not found
    late.begin()
    runner.join(120)
    assert found[0].sr.size == tuple(4 * side for side in patch.size)


def test_what_can_be_mended_is_said_before_the_page_opens() -> None:
    for name in ("no-such-weights", "mini-refiner"):
        with pytest.raises(WeightsError):
            LateModel(name)


def test_only_where_there_can_be_no_gpu_it_may_wait(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(late_model, "DRIVERS", (tmp_path / "nvidia0",))
    assert may_wait("cpu") and may_wait("auto") and not may_wait("cuda")
    (tmp_path / "nvidia0").touch()
    assert may_wait("cpu") and not may_wait("auto")
    model, begin = app.open_model("mini", "cpu")
    assert isinstance(model, LateModel) and begin == model.begin


def test_the_page_is_built_without_anything_heavy() -> None:
    code = (
        "import sys, app; model, _ = app.open_model('mini', 'cpu'); app.build_app(model); "
        "print([name for name in ('torch', 'pyiqa', 'leafmap', 'skimage') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(app.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip().endswith("[]")
