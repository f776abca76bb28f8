"""SMS: what must hold for any segmenter that outlines objects, and the plumbing of real SAM."""

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, label, map_coordinates

from evaluation import sam as sam_module
from evaluation import structure
from evaluation.judge import Judge
from evaluation.sam import SegmentAnything, build_mobile, build_vit_b, find_sam
from evaluation.score import Missing, Unfit
from evaluation.structure import compare, make_grid
from tests.pictures import make_hr, make_lr, make_sr

SIDE = 112
"""Points of the grid then lie on pixel centres, turned or not."""


class RegionGrower:
    """Answers a point with the connected pixels of the same shade, in three finenesses.

    Args:
        order: in which the three candidates are given.
    """

    def __init__(self, order: tuple[int, ...] = (0, 1, 2)) -> None:
        self.order = order

    def embed(self, picture: np.ndarray) -> np.ndarray:
        return picture.astype(np.float32).mean(-1)

    def answer(
        self, embedding: np.ndarray, points: np.ndarray
    ) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = embedding.shape
        logits, ratings = [], []
        for x, y in (points * (width, height)).astype(int):
            masks, rating = [], []
            for step in (16, 32, 64):
                shades = np.rint((embedding - 60) / step)
                regions = label(shades == shades[y, x])[0]
                mask = regions == regions[y, x]
                masks.append(np.where(mask, 4.0, -4.0))
                rating.append(1 - float(embedding[mask].std()) / 100 + 0.002 * step)
            logits.append(np.stack([masks[i] for i in self.order]))
            ratings.append([rating[i] for i in self.order])
        return torch.tensor(np.stack(logits), dtype=torch.float32), torch.tensor(ratings)

    def enlarge(self, embedding: np.ndarray, logits: torch.Tensor) -> torch.Tensor:
        return logits


def make_scene(seed: int = 0) -> np.ndarray:
    """Plain objects on a plain ground, uint8 [112, 112, 3]."""
    random = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE), 60.0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    for _ in range(18):
        row, column = random.integers(4, SIDE - 4, 2)
        grey = 124 + 64 * random.integers(0, 3)
        high, wide = random.integers(6, 14, 2)
        if random.random() < 0.5:
            inside = (abs(rows - row) <= high) & (abs(columns - column) <= wide)
        else:
            inside = (rows - row) ** 2 / high**2 + (columns - column) ** 2 / wide**2 <= 1
        picture[inside] = grey
    return np.repeat(picture[..., None], 3, axis=2).astype(np.uint8)


def warp(picture: np.ndarray, amplitude: float) -> np.ndarray:
    """Displace by a smooth random field of a given largest amplitude in pixels."""
    random = np.random.default_rng(7)
    field = gaussian_filter(random.normal(size=(2, SIDE, SIDE)), (0, 8, 8))
    field *= amplitude / np.abs(field).max()
    places = np.mgrid[:SIDE, :SIDE] + field
    bent = [map_coordinates(band, places, order=0, mode="nearest") for band in picture[..., :1].T]
    return np.repeat(bent[0].T[..., None], 3, axis=2)


def blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(picture.astype(np.float32), (sigma, sigma, 0)).astype(np.uint8)


def test_identical_pictures_differ_in_nothing() -> None:
    found = compare(RegionGrower(), make_scene(), make_scene())
    assert (found.squared_difference, found.iou_loss, found.boundary_f) == (0, 0, 1)
    assert found.points[0] == found.points[1] > 30


def test_symmetric_and_within_bounds() -> None:
    for other in (warp(make_scene(), 3), blur(make_scene(), 1), make_scene(5)):
        one = compare(RegionGrower(), other, make_scene())
        two = compare(RegionGrower(), make_scene(), other)
        for name in ("squared_difference", "iou_loss", "boundary_f"):
            value = getattr(one, name)
            assert value == pytest.approx(getattr(two, name))
            assert 0 < value < 1
        assert one.points == two.points[::-1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grows_with_warping_and_another_place_is_worst(seed: int) -> None:
    scene = make_scene(seed)
    pictures = [warp(scene, amplitude) for amplitude in (1, 3, 6)] + [make_scene(seed + 10)]
    found = [compare(RegionGrower(), picture, scene) for picture in pictures]
    losses = [one.iou_loss for one in found]
    assert losses == sorted(losses) and losses[0] < losses[-1]
    squared = [one.squared_difference for one in found[:3]]
    assert squared == sorted(squared)
    outlines = [one.boundary_f for one in found]
    assert outlines == sorted(outlines, reverse=True)
    slight = compare(RegionGrower(), blur(scene, 0.5), scene)
    assert slight.iou_loss < losses[1], "slight blur harms less than a warp of 3 pixels"


def test_order_of_masks_and_points_does_not_matter() -> None:
    scene, other = make_scene(), warp(make_scene(), 3)
    expected = compare(RegionGrower(), other, scene)
    assert compare(RegionGrower((2, 0, 1)), other, scene) == expected
    shuffled = np.random.default_rng(0).permutation(make_grid())
    found = compare(RegionGrower(), other, scene, points=shuffled, batch=7)
    for name in ("squared_difference", "iou_loss", "boundary_f"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-5)


def test_turning_both_pictures_changes_next_to_nothing() -> None:
    scene, other = make_scene(), warp(make_scene(), 3)
    expected = compare(RegionGrower(), other, scene)
    for turn in (np.fliplr, np.flipud, np.rot90):
        turned = [np.ascontiguousarray(turn(x)) for x in (other, scene)]
        found = compare(RegionGrower(), *turned)
        assert found.iou_loss == pytest.approx(expected.iou_loss, rel=1e-3)
        assert found.boundary_f == pytest.approx(expected.boundary_f, rel=1e-3)


def test_invalid_pixels_take_no_part() -> None:
    scene, other = make_scene(), make_scene()
    other[:, 60:] = 0
    valid = np.ones((SIDE, SIDE), bool)
    valid[:, 60:] = False
    blank = [np.where(valid[..., None], x, 0).astype(np.uint8) for x in (other, scene)]
    found = compare(RegionGrower(), *blank, valid=valid)
    assert (found.iou_loss, found.boundary_f) == (0, 1)
    with pytest.raises(Unfit, match="no object"):
        compare(RegionGrower(), scene, np.zeros_like(scene))


def test_judge_shows_sms(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Judge(metrics=["sms", "sms_iou", "boundary_f"])
    grower = RegionGrower()
    grower.provenance = {"encoder": "region grower"}
    judge._loaded["sam"] = grower
    hr = make_hr()
    scores = judge.scores(make_sr(make_lr(hr)), hr=hr)
    assert [score.status for score in scores] == ["ok"] * 3
    assert all(0 < score.value < 1 for score in scores)
    assert scores[0].provenance["grid"].startswith("16 x 16")
    same = [score.value for score in judge.scores(hr, hr=hr)]
    assert same == [0, 0, 1]


def build_tiny() -> torch.nn.Module:
    """segment_anything's own classes, 0.2 million parameters."""
    from segment_anything import modeling

    encoder = modeling.ImageEncoderViT(
        img_size=256,
        embed_dim=64,
        depth=2,
        num_heads=2,
        out_chans=32,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=7,
        global_attn_indexes=(1,),
    )
    prompts = modeling.PromptEncoder(
        embed_dim=32, image_embedding_size=(16, 16), input_image_size=(256, 256), mask_in_chans=8
    )
    transformer = modeling.TwoWayTransformer(depth=1, embedding_dim=32, mlp_dim=64, num_heads=2)
    decoder = modeling.MaskDecoder(transformer_dim=32, transformer=transformer)
    return modeling.Sam(encoder, prompts, decoder)


@pytest.fixture(scope="module")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Random weights of the tiny SAM in the published format, and their hash."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("sam") / "sam_vit_b_01ec64.pth"
    state = build_tiny().state_dict()
    for name, weight in state.items():
        if name.startswith("mask_decoder"):
            weight.mul_(3)  # masks that differ from point to point
    torch.save(state, path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def test_real_sam_code_answers_as_its_own_predictor(tiny_file: tuple[Path, str]) -> None:
    from segment_anything import SamPredictor

    path, digest = tiny_file
    loaded = SegmentAnything("sam-vit-b", path, sha256=digest, build=build_tiny)
    picture = make_scene()[:72]
    embedding = loaded.embed(picture)
    points = make_grid(3)
    logits, rating = loaded.answer(embedding, points)
    predictor = SamPredictor(loaded.network)
    predictor.set_image(picture)
    for i, point in enumerate(points):
        place = point[None] * (SIDE, 72)
        masks, ious, _ = predictor.predict(place, np.ones(1, int), return_logits=True)
        assert rating[i].numpy() == pytest.approx(ious, rel=1e-3)
        ours = loaded.enlarge(embedding, logits[i])
        assert ours.numpy() == pytest.approx(masks, rel=1e-3, abs=1e-2)
    assert digest in loaded.provenance["weights"]
    assert "256 pixels" in loaded.provenance["encoder"]


def test_plumbing_through_a_generated_sam(tiny_file: tuple[Path, str]) -> None:
    path, digest = tiny_file
    loaded = SegmentAnything("sam-vit-b", path, sha256=digest, build=build_tiny)
    scene, other = make_scene(), make_scene(5)
    settings = {"min_iou": -10.0, "points": make_grid(8)}
    same = compare(loaded, scene, scene, **settings)
    assert same.squared_difference == 0 and same.iou_loss == 0
    one = compare(loaded, scene, other, **settings)
    two = compare(loaded, other, scene, **settings, batch=5)
    assert one.squared_difference == pytest.approx(two.squared_difference, abs=1e-6)
    assert one.iou_loss == pytest.approx(two.iou_loss, abs=1e-4)
    assert compare(loaded, scene, other, **settings) == one


def test_a_generated_sam_is_refused(
    tiny_file: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest = tiny_file
    with pytest.raises(Missing, match="not the published sam-vit-b"):
        SegmentAnything("sam-vit-b", path, build=build_tiny)
    with pytest.raises(Missing, match="does not fit"):
        other = functools.partial(torch.nn.Linear, 2, 2)
        SegmentAnything("sam-vit-b", path, sha256=digest, build=other)
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))
    hr = make_hr()
    score = Judge(metrics=["sms"]).scores(hr, hr=hr)[0]
    assert score.status == "unavailable" and "weights fetch mobile-sam" in score.fix
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / path.name).write_bytes(path.read_bytes())
    score = Judge(metrics=["sms"]).scores(hr, hr=hr)[0]
    assert score.status == "unavailable" and "hash" in score.reason


def pin(monkeypatch: pytest.MonkeyPatch, hashes: dict[str, str]) -> None:
    """Have these hashes taken for those of the published files."""
    known = {
        name: dataclasses.replace(sam_module.WEIGHTS[name], sha256=digest)
        for name, digest in hashes.items()
    }
    monkeypatch.setattr(sam_module, "WEIGHTS", known)


def test_the_backend_is_what_is_there(
    tiny_file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest = tiny_file
    monkeypatch.setattr(sam_module, "find_weights", lambda name: (path, digest))
    pin(monkeypatch, {"sam-vit-b": digest, "mobile-sam": digest})
    monkeypatch.setattr(
        sam_module, "BUILDERS", dict.fromkeys(("sam-vit-b", "mobile-sam"), build_tiny)
    )
    assert find_sam("cpu").name == "mobile-sam"
    pin(monkeypatch, {"sam-vit-b": digest, "mobile-sam": "0" * 64})
    assert find_sam("cpu").name == "sam-vit-b"


def test_the_published_geometries() -> None:
    """Parameters as in the published file: 93.7 million (375 MB)."""

    def count(build: object) -> float:
        return sum(x.numel() for x in build().state_dict().values()) / 1e6

    with torch.device("meta"):
        assert count(build_vit_b) == pytest.approx(93.7, abs=0.1)


@pytest.mark.filterwarnings("ignore")
def test_mobile_sam_loads_strictly(tmp_path: Path) -> None:
    """Weights in the layout of MobileSAM's own package fit our network, key by key."""
    mobile = pytest.importorskip("mobile_sam", exc_type=ImportError)
    torch.manual_seed(0)
    theirs = mobile.sam_model_registry["vit_t"]().eval()
    path = tmp_path / "mobile_sam.pt"
    torch.save(theirs.state_dict(), path)
    assert path.stat().st_size == pytest.approx(40.7e6, rel=0.02)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    ours = SegmentAnything("mobile-sam", path, sha256=digest)
    assert ours.network.image_encoder.img_size == 1024
    assert set(ours.network.state_dict()) == set(theirs.state_dict())
    assert build_mobile.__doc__


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sam_module, "_importable", lambda name: name != "mobile_sam")
    with pytest.raises(Missing, match="pip install mobilesam-mirror"):
        build_mobile()


def test_drawing_uses_one_stretch() -> None:
    hr = make_hr()
    high = structure.brightest(hr.reflectance, hr.valid)
    drawn = structure.draw(hr.reflectance, high, hr.valid)
    assert drawn.dtype == np.uint8 and drawn.shape == (128, 128, 3)
    assert drawn.max() == 255 and 0.01 < (drawn == 255).mean() < 0.05
    assert not structure.draw(hr.reflectance, high, np.zeros_like(hr.valid)).any()
