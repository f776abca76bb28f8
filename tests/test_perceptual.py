"""LPIPS and CLIP-IQA agree with other libraries on the same weights, made here or real."""

import hashlib
import os
import shutil
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics
from PIL import Image
from torchvision.models import alexnet

from evaluation import perceptual
from evaluation.judge import Judge
from evaluation.perceptual import ALEXNET, HEADS, ClipIqa, Lpips, both, hash_features
from evaluation.score import Missing
from ldsr.errors import MetricError
from tests.pictures import make_hr, make_lr, make_sr, place

EXAMPLES = Path(os.environ.get("LDSR_LPIPS_EXAMPLES", "no such folder"))
"""The authors' example pictures (imgs/ex_*.png of their repository), where somebody has them."""
REAL = ALEXNET.path
"""Where the machine's own AlexNet lies, if it has one."""


@pytest.fixture(autouse=True)
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever would fetch weights fails."""

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError(f"a download was tried: {arguments}")

    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A hub folder with random AlexNet weights in the published format; hash of the features."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = {name: x.shape for name, x in alexnet(weights=None).state_dict().items()}
    state = {
        name: torch.randn(shape) * (0.05 if name.endswith("weight") else 0.1)
        if name.startswith("features")
        else torch.zeros(1).expand(shape)
        for name, shape in shapes.items()
    }
    for entry in (ALEXNET, HEADS):
        entry.path.parent.mkdir(parents=True)
    torch.save(state, ALEXNET.path)
    inside = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models"
    shutil.copy(inside / "alex.pth", HEADS.path)
    return hash_features(state)


def make_pair() -> tuple[np.ndarray, np.ndarray]:
    """A result and its reference, reflectance [4, 128, 128]."""
    hr = make_hr()
    return make_sr(make_lr(hr)).reflectance, hr.reflectance


def others(sr: np.ndarray, hr: np.ndarray) -> dict[str, float]:
    """LPIPS of [3, H, W] in -1..1 by torchmetrics and pyiqa, from the hub folder."""
    from torchmetrics.functional.image import learned_perceptual_image_patch_similarity as theirs

    pair = [torch.from_numpy(x)[None] for x in (sr, hr)]
    found = {"torchmetrics": float(theirs(*pair, net_type="alex"))}
    pyiqa = pytest.importorskip("pyiqa", exc_type=ImportError)
    metric = pyiqa.create_metric("lpips", device="cpu", pretrained_model_path=str(HEADS.path))
    return found | {"pyiqa": float(metric(*((x + 1) / 2 for x in pair)))}


@pytest.mark.filterwarnings("ignore")
def test_lpips_agrees_with_torchmetrics_and_pyiqa(made: str) -> None:
    network = Lpips(features_sha256=made)
    sr, hr = make_pair()
    found = network.composites(sr, hr)
    drawn = [both(x, hr, None) for x in (sr, hr)]
    for ours, one, other in zip(found, *drawn, strict=True):
        assert ours > 0.01
        for library, theirs in others(one, other).items():
            assert ours == pytest.approx(theirs, abs=2e-5), library
    assert network(hr, hr) == 0
    assert network.composites(hr, hr) == (0, 0)
    assert found[1] != pytest.approx(found[0], rel=1e-3)
    assert network.provenance["weights"].count(made) == 1


@pytest.mark.filterwarnings("ignore")
def test_lpips_in_true_colour_is_as_before(made: str) -> None:
    sr, hr = make_pair()
    drawn = [perceptual.stretch(x[:3], hr[:3]) for x in (sr, hr)]
    theirs = others(*drawn)
    assert Lpips(features_sha256=made)(sr, hr) == pytest.approx(theirs["torchmetrics"], abs=2e-5)


def test_lpips_of_a_batch_is_that_of_each(made: str) -> None:
    network = Lpips(features_sha256=made)
    sr, hr = make_pair()
    drawn = [np.stack(both(x, hr, None)) for x in (sr, hr)]
    together = network.compare(*drawn)
    apart = [network.compare(drawn[0][i : i + 1], drawn[1][i : i + 1])[0] for i in (0, 1)]
    assert together == pytest.approx(apart, rel=1e-5)


def test_invalid_pixels_take_no_part(made: str) -> None:
    network = Lpips(features_sha256=made)
    sr, hr = make_pair()
    valid = np.ones(hr.shape[1:], bool)
    valid[:, 64:] = False
    found = network.composites(sr, hr, valid=valid)
    assert network.composites(np.where(valid, sr, 9), hr, valid=valid) == found
    whole = network.composites(sr, hr, valid=np.ones_like(valid))
    assert whole == network.composites(sr, hr)
    half = network.composites(sr[..., :64], hr[..., :64])
    assert found == pytest.approx(half, rel=0.35), "but for the seam's surroundings"


def test_other_weights_are_refused(made: str) -> None:
    with pytest.raises(Missing, match="not hold the published AlexNet"):
        Lpips()
    judge = Judge(metrics=["lpips", "lpips_nir"])
    hr = make_hr()
    for score in judge.scores(hr, hr=hr):
        assert score.status == "unavailable" and "weights fetch" in score.fix
    HEADS.path.write_bytes(b"something else")
    assert Lpips(features_sha256=made)(*make_pair()) > 0, "torchmetrics carries the same heads"
    with pytest.raises(Missing, match="own weights"):
        Lpips(features_sha256=made, heads_sha256="0" * 64)
    ALEXNET.path.write_bytes(b"cut off")
    with pytest.raises(MetricError, match="damaged"):
        Lpips(features_sha256=made)


def test_what_cannot_be_loaded_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def load(**how: object) -> None:
        tried.append(how)
        raise Missing("LPIPS needs AlexNet's weights.", "Fetch them.")

    monkeypatch.setattr("evaluation.judge.Lpips", load)
    judge, hr = Judge(metrics=["lpips", "lpips_nir"]), make_hr()
    for _ in range(2):
        scores = judge.scores(hr, hr=hr)
        assert {score.reason for score in scores} == {"LPIPS needs AlexNet's weights."}
    assert len(tried) == 1
    judge.retry()
    judge.scores(hr, hr=hr)
    assert len(tried) == 2, "a person may have fetched them"


def test_pictures_too_small_for_the_network(made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "FEATURES", made)
    judge = Judge(metrics=["lpips"])
    judge._loaded["lpips"] = Lpips(features_sha256=made)
    small = place(make_hr().reflectance[:, :36, :36], 2.5)
    assert "smaller than 32" in judge.scores(small, hr=small)[0].reason
    fits = place(make_hr().reflectance[:, :40, :40], 2.5)
    assert judge.scores(fits, hr=fits)[0].value == 0


@pytest.mark.skipif(not REAL.is_file(), reason=f"the published AlexNet is not at {REAL}")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not (EXAMPLES / "ex_ref.png").is_file(), reason="$LDSR_LPIPS_EXAMPLES has none")
def test_the_published_examples() -> None:
    """0.722 and 0.138, as printed by the authors."""
    names = ("ref", "p0", "p1")
    pictures = [np.asarray(Image.open(EXAMPLES / f"ex_{name}.png")) for name in names]
    ref, p0, p1 = (
        np.ascontiguousarray(x.transpose(2, 0, 1), np.float32) / 127.5 - 1 for x in pictures
    )
    found = Lpips().compare(np.stack([ref, ref]), np.stack([p0, p1]))
    assert found == pytest.approx([0.722, 0.138], abs=5e-4)
    for ours, picture in zip(found, (p0, p1), strict=True):
        assert others(ref, picture) == pytest.approx(dict.fromkeys(others(ref, p0), ours), abs=2e-5)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A TorchScript archive as the published one, of a CLIP thousands of times smaller."""
    model_of = pytest.importorskip("clip.model", exc_type=ImportError)
    torch.manual_seed(0)
    model = model_of.CLIP(16, 32, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1).eval()
    tokens = torch.zeros(1, 77, dtype=torch.int)
    traced = torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), tokens), check_trace=False)
    path = tmp_path_factory.mktemp("clip") / "RN50.pt"
    torch.jit.save(traced, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.filterwarnings("ignore")
def test_clip_iqa_agrees_with_pyiqa(tiny_clip: tuple[Path, str]) -> None:
    pyiqa = pytest.importorskip("pyiqa", exc_type=ImportError)
    path, digest = tiny_clip
    network = ClipIqa(path=path, sha256=digest)
    sr, hr = ((both(x, make_pair()[1], None)[0] + 1) / 2 for x in make_pair())
    direct = pyiqa.create_metric("clipiqa", backbone=str(path), device="cpu")
    expected = [float(direct(torch.from_numpy(x)[None])) for x in (sr, hr)]
    assert network([sr, hr]) == pytest.approx(expected, abs=1e-6)
    assert all(0 <= value <= 1 for value in expected)
    judge = Judge(metrics=["clip_iqa"])
    judge._loaded["clip_iqa"] = network
    score = judge.scores(make_hr())[0]
    assert score.status == "ok" and digest in score.provenance["weights"]


def test_a_made_clip_is_refused(
    tiny_clip: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyiqa", exc_type=ImportError)
    with pytest.raises(Missing, match="not CLIP's published RN50"):
        ClipIqa(path=tiny_clip[0])
    for name in ("TORCH_HOME", "LDSR_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "weights").mkdir()
    score = Judge(metrics=["clip_iqa"]).scores(make_hr())[0]
    assert score.status == "unavailable" and "fetch clip-rn50" in score.fix
    shutil.copy(tiny_clip[0], tmp_path / "weights" / "RN50.pt")
    score = Judge(metrics=["clip_iqa"]).scores(make_hr())[0]
    assert score.status == "unavailable" and "hash" in score.reason


def test_without_pyiqa_all_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    found = perceptual.importlib.util.find_spec
    monkeypatch.setattr(
        perceptual.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "pyiqa" else found(name, *rest),
    )
    hr = make_hr()
    scores = Judge(metrics=["psnr", "clip_iqa"]).scores(make_sr(make_lr(hr)), hr=hr)
    assert [score.status for score in scores] == ["ok", "unavailable"]
    assert scores[1].fix == "Install it, for noncommercial use: pip install pyiqa."
