"""The pictures of a human study: pieces of one place, drawn alike whatever made them.

Knows arrays and how they are drawn; does not know how a method works.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from PIL import Image, ImageFilter

from evaluation.consistency import see
from evaluation.study.records import CAMERA, DEGRADED, INPUT
from ldsr import render
from ldsr.data.patch import MIN_SIDE, Patch
from ldsr.errors import LdsrError
from ldsr.result import SCALE

SIDES = {"camera": (240, 120), "models": (120, 240)}
"""Of each kind of study: the largest side taken of a patch, and the side of one piece, in pixels of
the camera's picture or of the input, and of what is shown."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ground:
    """What a study asks about in one patch.

    Attributes:
        name: of the place.
        lr: what the methods are given.
        camera: the true picture, float32 [4, 4H, 4W], or None.
        stretch: for all its pictures.
    """

    name: str
    lr: Patch
    camera: np.ndarray | None
    stretch: render.Stretch


def make_ground(patch: Patch, kind: str, *, name: str) -> Ground:
    """Take the centre of a patch as input ("models"), or as what the camera saw ("camera").

    For "camera" the input is the patch as Sentinel-2 would see it from four times as far: its point
    spread function four times as wide, every fourth pixel (Wald's protocol, 1997).

    Raises:
        LdsrError: a patch that is too small.
    """
    largest = SIDES[kind][0]
    multiple = SCALE if kind == "camera" else 1
    centre = _centre(patch, largest, multiple)
    if kind == "models":
        return Ground(name, centre, None, render.stretch_of(centre))
    height, width = (side // SCALE for side in centre.size)
    if min(height, width) < MIN_SIDE:
        raise LdsrError(
            f"{name} is {patch.size[0]} x {patch.size[1]} px; a picture of 40 m needs at least "
            f"{SCALE * MIN_SIDE} px of 10 m on each side."
        )
    seen, _ = see(centre.reflectance, centre.valid)
    blocks = centre.valid.reshape(height, SCALE, width, SCALE)
    valid = blocks.all(axis=(1, 3))
    lr = Patch(
        reflectance=np.ascontiguousarray(seen * valid, np.float32),
        valid=valid,
        source=centre.source,
    )
    return Ground(name, lr, centre.reflectance, render.stretch_of(centre))


def cut_pieces(
    ground: Ground, kind: str, made: Mapping[str, np.ndarray], *, good: str
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Draw all pictures of a place and cut them into pieces of one size.

    Args:
        ground: the place.
        kind: of the study.
        made: reflectance float32 [4, 4H, 4W] by method.
        good: the picture of which DEGRADED is made.

    Yields:
        Name of a piece, and its pictures as PNG by method; pieces that are not wholly valid are
        left out.
    """
    fine = dict(made) if ground.camera is None else {**made, CAMERA: ground.camera}
    drawn = {
        method: render.true_colour(picture, ground.stretch)[..., :3]
        for method, picture in fine.items()
    }
    coarse = render.true_colour(ground.lr.reflectance, ground.stretch)[..., :3]
    drawn[INPUT] = coarse.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    drawn[DEGRADED] = spoil(drawn[good])
    valid = render.enlarge_mask(ground.lr.valid, SCALE)
    height, width = valid.shape
    side = min(SIDES[kind][1], height, width)
    boxes = [
        (top, left)
        for top in range((height % side) // 2 // SCALE * SCALE, height - side + 1, side)
        for left in range((width % side) // 2 // SCALE * SCALE, width - side + 1, side)
    ]
    for number, (top, left) in enumerate(boxes, start=1):
        rows, columns = slice(top, top + side), slice(left, left + side)
        if valid[rows, columns].all():
            name = ground.name if len(boxes) == 1 else f"{ground.name}, piece {number}"
            pictures = {method: picture[rows, columns] for method, picture in drawn.items()}
            yield name, {key: render.encode_png(picture) for key, picture in pictures.items()}


def spoil(picture: np.ndarray) -> np.ndarray:
    """Degrade a picture so that nobody who looks can prefer it: uint8 [H, W, 3].

    Blurred by 2.5 % of its side, with grain of a tenth of the range.
    """
    radius = min(picture.shape[:2]) / 40
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(radius))
    grain = np.random.default_rng(0).normal(0, 25, picture.shape[:2])[..., None]
    return np.clip(np.rint(np.asarray(blurred, np.float32) + grain), 0, 255).astype(np.uint8)


def _centre(patch: Patch, largest: int, multiple: int) -> Patch:
    sides = [min(side, largest) // multiple * multiple for side in patch.size]
    top, left = ((size - side) // 2 for size, side in zip(patch.size, sides, strict=True))
    rows, columns = slice(top, top + sides[0]), slice(left, left + sides[1])
    return Patch(
        reflectance=np.ascontiguousarray(patch.reflectance[:, rows, columns]),
        valid=np.ascontiguousarray(patch.valid[rows, columns]),
        source=patch.source,
    )
