"""Land-cover tags: how people write them, what the rules find, and what the other sources ask for.

CLIP runs on a tiny random model of the real package in the real archive format; LLaVA without its
model.
"""

import hashlib
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from ldsr.data.patch import Patch
from ldsr.data.samples import load_sample
from ldsr.errors import LdsrError, PatchError, WeightsError
from ldsr.semantics import clip as clip_source
from ldsr.semantics import sources
from ldsr.semantics.clip import ClipTagger, find_weights, to_picture
from ldsr.semantics.llava import WORDS, LlavaCaptioner, caption_to_tags
from ldsr.semantics.spectral import spectral_tags, spectral_tags_batch
from ldsr.semantics.vocabulary import (
    VOCABULARY,
    contrast,
    format_tags,
    normalise,
    parse_tags,
    to_vector,
)
from ldsr.settings import SEMANTICS
from tests.conftest import make_patch

LOOKS = {
    "water": (0.02, 0.03, 0.03, 0.015),
    "grassland": (0.04, 0.08, 0.03, 0.45),
    "bare soil": (0.13, 0.09, 0.05, 0.18),
    "sand": (0.38, 0.32, 0.26, 0.42),
    "cloud": (0.60, 0.60, 0.62, 0.65),
    "shadow": (0.010, 0.015, 0.012, 0.060),
}
"""Reflectance of R, G, B, NIR of calm ground."""
ROUGH = {"forest": (0.025, 0.04, 0.02, 0.25), "built-up": (0.13, 0.12, 0.11, 0.17)}
"""The same of rough ground."""


def scene(colour: tuple[float, ...], *, rough: float = 0.0, side: int = 24) -> np.ndarray:
    """A scene of one kind of ground, float32 [4, side, side]."""
    light = np.exp(np.random.default_rng(0).normal(0, rough, (side, side)))
    return (np.array(colour)[:, None, None] * light).astype(np.float32)


def tags_of(reflectance: np.ndarray) -> dict[str, float]:
    return spectral_tags(reflectance, np.ones(reflectance.shape[1:], bool))


def leading(tags: dict[str, float]) -> str:
    return max(tags, key=tags.__getitem__)


def check(tags: dict[str, float]) -> None:
    """Every tag, in order, shares that sum to 1."""
    assert tuple(tags) == VOCABULARY
    assert sum(tags.values()) == pytest.approx(1)
    assert all(0 <= share <= 1 for share in tags.values())


def test_tags_are_read_as_written() -> None:
    tags = parse_tags("Forest:3, water : 2")
    check(tags)
    assert (tags["forest"], tags["water"]) == pytest.approx((0.6, 0.4))
    assert parse_tags("built up, BARE_SOIL")["built-up"] == 0.5
    check(parse_tags("snow:1e-300"))
    check(parse_tags("snow:1e308, cloud:1e308"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("forrest:1", ("'forrest'", ", ".join(VOCABULARY), "Did you mean 'forest'?")),
        ("water:much", ("'water'", "'much'", "a number")),
        ("water:", ("'water'", "a number")),
        ("water:nan", ("'water'", "a number")),
        ("water:inf", ("'water'", "a number")),
        ("water:-1", ("'water'", "-1", "zero or more")),
        ("water:0, forest:0", ("all zero",)),
        ("water, Water", ("'water'", "twice")),
        ("water:1, forest", ("all or none",)),
        (" , ", ("no tag", "forest:0.6")),
        ("", ("no tag",)),
    ],
)
def test_unreadable_tags_are_explained(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(LdsrError) as caught:
        parse_tags(text)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "\n" not in str(caught.value)


def test_format_and_parse_are_inverse() -> None:
    assert format_tags(parse_tags("water:0.4, forest:0.6")) == "forest:0.60, water:0.40"
    assert format_tags({"water": 0.996, "sand": 0.004}) == "water:1.00"
    shares = np.random.default_rng(0).dirichlet(np.ones(len(VOCABULARY)))
    tags = dict(zip(VOCABULARY, shares.tolist(), strict=True))
    assert to_vector(parse_tags(format_tags(tags))) == pytest.approx(to_vector(tags), abs=0.02)


def test_vectors_follow_the_vocabulary() -> None:
    vector = to_vector({"forest": 0.75, "water": 0.25})
    assert vector[:2] == (0.25, 0.75)
    assert vector[2:] == (0.0,) * 8
    with pytest.raises(LdsrError, match="all zero"):
        normalise({})


def test_contrast_reverses_the_ranking() -> None:
    given = normalise({"forest": 6, "water": 3, "snow": 1})
    other = contrast(given)
    check(other)
    assert sorted(other.values()) == pytest.approx(sorted(given.values()))
    assert other["forest"] == min(given.values())
    assert other != given
    assert contrast(given) == other
    for tag in VOCABULARY:
        assert contrast(normalise({tag: 1})) != normalise({tag: 1})
    uniform = normalise(dict.fromkeys(VOCABULARY, 1.0))
    assert contrast(uniform) == uniform


@pytest.mark.parametrize("tag", LOOKS)
def test_calm_ground_is_recognised(tag: str) -> None:
    tags = tags_of(scene(LOOKS[tag], rough=0.01))
    check(tags)
    assert leading(tags) == tag
    assert tags[tag] > 0.7


@pytest.mark.parametrize("tag", ROUGH)
def test_rough_ground_is_recognised(tag: str) -> None:
    tags = tags_of(scene(ROUGH[tag], rough=0.25))
    assert leading(tags) == tag
    assert tags[tag] > 0.7


def test_fields_of_many_greens_are_cropland() -> None:
    crops = scene(LOOKS["grassland"], side=48)
    rows, columns = np.mgrid[0:48, 0:48]
    ripe = ((rows // 8 + columns // 8) % 2).astype(bool)
    crops[:, ripe] = np.array((0.10, 0.10, 0.06, 0.28), np.float32)[:, None]
    tags = tags_of(crops)
    assert leading(tags) == "cropland"
    assert tags["built-up"] < 0.1


@pytest.mark.parametrize(
    ("sample", "tag", "least"),
    [
        ("austria_fields", "cropland", 0.3),
        ("finland_lake", "forest", 0.5),
        ("finland_lake", "water", 0.1),
        ("finland_snow", "snow", 0.5),
        ("ireland_pastures", "grassland", 0.4),
        ("portugal_hills", "forest", 0.5),
        ("red_soil", "bare soil", 0.2),
    ],
)
def test_real_scenes_are_recognised(sample: str, tag: str, least: float) -> None:
    patch = load_sample(sample)
    tags = spectral_tags(patch.reflectance, patch.valid)
    check(tags)
    assert tags[tag] > least


def test_shares_change_continuously() -> None:
    """Half a per mille more light moves no share by more than half a per cent, at any level."""
    picture = make_patch(48, 48).reflectance
    levels = np.exp(np.arange(-2, 2, 0.05))
    before = spectral_tags_batch(np.stack([picture * level for level in levels]))
    after = spectral_tags_batch(np.stack([picture * (level * 1.0005) for level in levels]))
    assert np.abs(after - before).max() < 0.005
    sea, land = scene(LOOKS["water"]), scene(LOOKS["grassland"])
    mixed = np.stack([sea + share * (land - sea) for share in np.linspace(0, 1, 1001)])
    assert np.abs(np.diff(spectral_tags_batch(mixed), axis=0)).max() < 0.05


def test_batch_equals_singles() -> None:
    crops = np.stack([make_patch(16, 16, seed=seed).reflectance for seed in range(3)])
    together = spectral_tags_batch(crops)
    assert together.dtype == np.float32
    assert together.shape == (3, len(VOCABULARY))
    for crop, row in zip(crops, together, strict=True):
        assert to_vector(tags_of(crop)) == pytest.approx(row.tolist(), abs=1e-6)


def test_invalid_pixels_count_for_nothing() -> None:
    picture, valid = scene(LOOKS["bare soil"], rough=0.01), np.ones((24, 24), bool)
    whole = spectral_tags(picture, valid)
    picture[:, :, 12:], valid[:, 12:] = 0, False
    half = spectral_tags(picture, valid)
    assert to_vector(half) == pytest.approx(to_vector(whole), abs=0.02)
    picture[:, :, 12:] = 1.0
    assert spectral_tags(picture, valid) == half
    with pytest.raises(PatchError, match="no valid pixel"):
        spectral_tags(picture, np.zeros((24, 24), bool))


def test_extreme_pixels_give_shares() -> None:
    for value in (-0.1, 0.0, 1e-6, 1.0, 5.0):
        check(tags_of(np.full((4, 16, 16), value, np.float32)))


def test_vocabulary_and_rules_need_no_torch() -> None:
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "import ldsr.semantics.vocabulary\nassert 'numpy' not in sys.modules\n"
        "import ldsr.semantics.spectral, ldsr.semantics.sources\n"
    )
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sources_by_name(patch: Patch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.SOURCES == SEMANTICS
    assert sources.find_tags("none", patch) == (None, "none")
    spectral = spectral_tags(patch.reflectance, patch.valid)
    assert sources.find_tags("spectral", patch) == (spectral, "spectral")
    assert sources.find_tags("water", patch) == (parse_tags("water"), "person")
    monkeypatch.setattr(sources, "_clip", lambda: lambda patch: parse_tags("snow"))
    assert sources.find_tags("clip", patch) == (parse_tags("snow"), "clip")
    monkeypatch.setattr(sources, "_llava", lambda: lambda patch: "A lake.")
    assert sources.find_tags("llava", patch) == (parse_tags("water"), "llava")
    with pytest.raises(LdsrError, match="Unknown tag 'moon'"):
        sources.find_tags("moon", patch)


def test_absent_clip_says_what_to_fetch(
    patch: Patch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "ldsr"))
    with pytest.raises(WeightsError) as caught:
        sources.find_tags("clip", patch)
    message = str(caught.value)
    assert clip_source.URL in message
    assert str(tmp_path / "person" / ".cache" / "clip" / "RN50.pt") in message
    own = tmp_path / "ldsr" / "weights" / "RN50.pt"
    assert str(own) in message
    own.parent.mkdir(parents=True)
    own.write_bytes(b"damaged")
    assert find_weights() == own
    monkeypatch.setitem(sys.modules, "clip", types.ModuleType("clip"))
    with pytest.raises(WeightsError, match="expected afeb0e10f9e5"):
        sources.find_tags("clip", patch)
    monkeypatch.setitem(sys.modules, "clip", None)
    with pytest.raises(LdsrError, match="pip install openai-clip"):
        sources.find_tags("clip", patch)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive as the published one, of a CLIP thousands of times smaller."""
    model_of = pytest.importorskip("clip.model", exc_type=ImportError)
    torch.manual_seed(0)
    model = model_of.CLIP(16, 32, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1).eval()
    tokens = torch.zeros(1, 77, dtype=torch.int)
    traced = torch.jit.trace(model, (torch.zeros(1, 3, 32, 32), tokens), check_trace=False)
    path = tmp_path_factory.mktemp("clip") / "RN50.pt"
    torch.jit.save(traced, path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_clip_tags_a_patch(tiny_clip: Path, patch: Patch) -> None:
    digest = hashlib.sha256(tiny_clip.read_bytes()).hexdigest()
    tagger = ClipTagger(tiny_clip, sha256=digest)
    tags = tagger(patch)
    check(tags)
    assert tagger(patch) == tags
    assert tagger.text.norm(dim=1).tolist() == pytest.approx([1.0] * len(VOCABULARY))
    assert set(clip_source.PHRASES) == set(VOCABULARY)


@pytest.mark.filterwarnings("ignore")
def test_what_is_not_clip_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("clip", exc_type=ImportError)
    path = tmp_path / "RN50.pt"
    path.write_bytes(b"not an archive")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(WeightsError, match="not a CLIP archive"):
        ClipTagger(path, sha256=digest)


def test_pictures_for_networks(patch: Patch) -> None:
    picture = to_picture(patch)
    assert picture.mode == "RGB"
    assert picture.size == (32, 24)
    empty = Patch(reflectance=patch.reflectance * 0, valid=np.zeros_like(patch.valid))
    with pytest.raises(PatchError, match="no valid pixel"):
        to_picture(empty)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "The picture shows dense forests and a winding river, with a small town and roads.",
            "forest:1, water:1, built-up:2",
        ),
        ("Cropland and farms; the fields are irrigated.", "cropland"),
        ("No water, dense forest and meadows.", "forest, grassland"),
        ("There are no clouds, snow, or water, but sandy dunes cover the desert.", "sand"),
        ("There are no clouds, snow or lakes in this scene. Barren rocky terrain.", "bare soil"),
        ("A city without forests or rivers; water is not visible.", "built-up"),
        ("A cloud-free, treeless plain with grasses.", "grassland"),
        ("The forest is not dense and roads are absent.", "forest"),
        ("Not only woods but also ponds.", "forest, water"),
        ("In this season, the field of view shows savannas.", "grassland"),
        ("Snow-covered peaks in shade under hazy skies.", "snow, shadow, cloud"),
    ],
)
def test_captions_become_tags(caption: str, expected: str) -> None:
    tags = caption_to_tags(caption)
    check(tags)
    assert to_vector(tags) == pytest.approx(to_vector(parse_tags(expected)))


def test_every_tag_can_be_told() -> None:
    assert set(WORDS) == set(VOCABULARY)
    for tag in VOCABULARY:
        assert leading(caption_to_tags(f"Mostly {tag}.")) == tag
    with pytest.raises(LdsrError, match="names no land cover"):
        caption_to_tags("There is no water.")


def test_absent_llava_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(LdsrError, match="no CUDA GPU"):
        LlavaCaptioner()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LdsrError, match="pip install"):
        LlavaCaptioner(device="cpu")

    def absent(*args: object, **kwargs: object) -> None:
        assert kwargs["local_files_only"] is True
        raise OSError("not in the cache")

    stub = types.SimpleNamespace(LlavaNextProcessor=types.SimpleNamespace(from_pretrained=absent))
    monkeypatch.setitem(sys.modules, "transformers", stub)
    with pytest.raises(WeightsError, match="hf download llava-hf/llama3-llava-next-8b-hf"):
        LlavaCaptioner(device="cpu")
