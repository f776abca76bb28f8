"""Whether the same objects are outlined in two pictures: SMS by fixed point prompts, boundary F.

The paper's F is Segment Anything, which by itself gives a set of masks without order; here each
point of one grid is one prompt to both pictures, so masks come in pairs (protocol SMS-P). Knows
the segmenter only by what it answers.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from evaluation.score import Unfit

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GRID = 16
"""Points a side."""
MIN_IOU = 0.7
"""Objects whose mask SAM itself rates below this are left out."""
MIN_AREA, MAX_SHARE = 16, 0.5
"""Smallest area in pixels and largest share of the picture of an object."""
TOLERANCE = 2
"""Pixels within which two outlines are the same."""
BATCH, GPU_BATCH = 8, 64
"""Prompts at once: more only slow a processor down."""


class Segmenter(Protocol):
    """Answers points with candidate masks; see `evaluation.sam.SegmentAnything`."""

    def embed(self, picture: np.ndarray) -> Any:
        """Encode a picture, uint8 [H, W, 3]."""

    def answer(self, embedding: Any, points: np.ndarray) -> "tuple[Tensor, Tensor]":
        """Logits [K, M, h, w] and predicted IoU [K, M] of points [K, 2]."""

    def enlarge(self, embedding: Any, logits: "Tensor") -> "Tensor":
        """Logits [K, h, w] at the picture's size, [K, H, W]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Structure:
    """How the objects of two pictures differ.

    Attributes:
        squared_difference: of the masks' probabilities, mean over pixels and points, 0..1.
        iou_loss: 1 - mean IoU of the masks, 0..1.
        boundary_f: of the outlines of all objects, 0..1, 1 is the same.
        points: of the grid that are on an object: of the reference, and of the other picture.
    """

    squared_difference: float
    iou_loss: float
    boundary_f: float
    points: tuple[int, int]


def make_grid(side: int = GRID) -> np.ndarray:
    """Points at (i + 0.5) / side: [side^2, 2], x and y in 0..1."""
    places = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


def compare(
    segmenter: Segmenter,
    sr: np.ndarray,
    hr: np.ndarray,
    *,
    valid: np.ndarray | None = None,
    points: np.ndarray | None = None,
    min_iou: float = MIN_IOU,
    batch: int = BATCH,
) -> Structure:
    """Compare the objects of two pictures.

    Of a point's candidate masks the one rated best on one picture is taken, the same of the other
    picture; done from either side and averaged, so that the order of the pictures does not matter.

    Args:
        segmenter: SAM.
        sr, hr: uint8 [H, W, 3], drawn with one stretch.
        valid: bool [H, W], the pixels that count; all by default.
        points: [K, 2], x and y in 0..1; the grid by default.
        min_iou: of the rating, for an object to count.
        batch: prompts at once.

    Raises:
        Unfit: no object is found in the reference.
    """
    import torch

    points = make_grid() if points is None else points
    counted = np.ones(hr.shape[:2], bool) if valid is None else valid
    points = points[_on(points, counted)]
    with torch.inference_mode():
        embeddings = [segmenter.embed(picture) for picture in (hr, sr)]
        sides = [_Side(counted), _Side(counted)]
        for start in range(0, len(points), batch):
            part = points[start : start + batch]
            answers = [segmenter.answer(embedding, part) for embedding in embeddings]
            for own, side in enumerate(sides):
                _add(side, segmenter, embeddings, answers, own, min_iou)
    if not sides[0].points:
        raise Unfit("Segment Anything finds no object in the reference.")
    found = [side for side in sides if side.points]
    return Structure(
        squared_difference=float(np.mean([side.squared / side.points for side in found])),
        iou_loss=float(np.mean([1 - side.iou / side.points for side in found])),
        boundary_f=float(np.mean([_boundary_f(*side.outlines, counted) for side in found])),
        points=(sides[0].points, sides[1].points),
    )


class _Side:
    """Sums of one direction: masks chosen on one picture, and the other picture's same masks."""

    def __init__(self, counted: np.ndarray) -> None:
        self.counted = counted
        self.points = 0
        self.squared = self.iou = 0.0
        self.outlines = [np.zeros(counted.shape, bool), np.zeros(counted.shape, bool)]


def _add(
    side: _Side,
    segmenter: Segmenter,
    embeddings: list,
    answers: "list[tuple[Tensor, Tensor]]",
    own: int,
    min_iou: float,
) -> None:
    """Add a batch of points, masks chosen on picture `own`."""
    import torch

    rating, chosen = answers[own][1].max(1)
    every = torch.arange(len(chosen), device=chosen.device)
    rated = rating >= min_iou
    if not rated.any():
        return
    one, other = (
        torch.sigmoid(segmenter.enlarge(embeddings[i], answers[i][0][every, chosen][rated])).float()
        for i in (own, 1 - own)
    )
    counted = torch.from_numpy(side.counted).to(one.device)
    total = counted.sum()
    area = ((one > 0.5) & counted).sum((1, 2))
    kept = (area >= MIN_AREA) & (area <= MAX_SHARE * total)
    one, other = one[kept], other[kept]
    if not len(one):
        return
    side.points += len(one)
    side.squared += float(((one - other).square() * counted).sum((1, 2)).div(total).sum())
    first, second = ((x > 0.5) & counted for x in (one, other))
    union = (first | second).sum((1, 2))
    side.iou += float(((first & second).sum((1, 2)) / union).sum())
    for place, masks in ((own, first), (1 - own, second)):
        side.outlines[place] |= _outlines(masks).any(0).cpu().numpy()


def _outlines(masks: "torch.Tensor") -> "torch.Tensor":
    """Pixels of masks [K, H, W] that touch a pixel outside; the picture's edge is no outline."""
    inside = masks.clone()
    inside[:, 1:] &= masks[:, :-1]
    inside[:, :-1] &= masks[:, 1:]
    columns = inside.clone()
    inside[..., 1:] &= columns[..., :-1]
    inside[..., :-1] &= columns[..., 1:]
    return masks & ~inside


def _boundary_f(hr: np.ndarray, sr: np.ndarray, counted: np.ndarray) -> float:
    """F of outlines bool [H, W]: harmonic mean of what is right and what is found."""
    from scipy.ndimage import distance_transform_edt

    hr, sr = hr & counted, sr & counted
    if not hr.any() or not sr.any():
        return float(hr.any() == sr.any())
    near = [distance_transform_edt(~x) <= TOLERANCE for x in (hr, sr)]
    precision, recall = near[0][sr].mean(), near[1][hr].mean()
    return float(2 * precision * recall / max(precision + recall, 1e-12))


def _on(points: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Which points [K, 2] lie on pixels that count."""
    height, width = counted.shape
    places = (points * np.array([width, height])).astype(int)
    return counted[places[:, 1].clip(0, height - 1), places[:, 0].clip(0, width - 1)]


def draw(x: np.ndarray, high: float, valid: np.ndarray) -> np.ndarray:
    """Draw reflectance [4, H, W] in true colour from 0 to `high`, black where not valid, uint8."""
    shown = (x[:3] / high).clip(0, 1) * valid
    return np.ascontiguousarray(np.rint(shown * 255).astype(np.uint8).transpose(1, 2, 0))


def brightest(hr: np.ndarray, valid: np.ndarray) -> float:
    """What is drawn white: the 98th percentile of the reference's visible bands."""
    return float(max(np.percentile(hr[:3][:, valid], 98), 0.01))
