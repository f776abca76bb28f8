"""Mutated inputs, the same for the same seed: those made by hand first, then by chance."""

import itertools
from collections.abc import Callable, Iterator
from random import Random

from tests.reliability import seeds, surgery
from tests.reliability.canary import Canary
from tests.reliability.case import Case, single
from tests.reliability.crafted_others import others
from tests.reliability.crafted_rasters import rasters

Change = Callable[[bytes, Random], bytes]
ANYWHERE = (
    surgery.truncated,
    surgery.flipped,
    surgery.numbered,
    surgery.spliced,
    surgery.grown,
)
TIFF = (surgery.retagged, surgery.arrays_changed, surgery.retagged, surgery.arrays_changed)
JP2 = (surgery.remarked, surgery.resized, surgery.remarked)
ZIP = (surgery.zip_changed, surgery.member_changed, surgery.member_changed)
NAMES = {
    "truncated": "cut off",
    "flipped": "flipped bits",
    "numbered": "odd number somewhere",
    "spliced": "piece out or doubled",
    "grown": "more at the end",
    "retagged": "TIFF entries",
    "arrays_changed": "TIFF offsets, counts",
    "remarked": "JPEG 2000 markers",
    "resized": "JPEG 2000 sizes",
    "zip_changed": "zip headers",
    "member_changed": "damaged zip member",
    "npy_changed": "NumPy headers",
    "json_changed": "item's values",
}


def crafted(canary: Canary) -> Iterator[Case]:
    """Those made by hand, each for one weakness."""
    yield from rasters(canary)
    yield from others(canary)


def by_chance(seed: int) -> Iterator[Case]:
    """Sound files changed by chance, without end; each kind of file in its turn."""
    makers = itertools.cycle((_tiff, _jp2, _tiff, _zip, _tiff, _array, _tiff, _jp2, _item, _set))
    for number, make in enumerate(makers):
        yield make(Random(f"{seed} {number}"))


def cases(count: int, seed: int, canary: Canary, *, every: int = 1) -> Iterator[Case]:
    """List some inputs.

    Args:
        count: of those made by hand and by chance together.
        seed: of chance.
        canary: where hostile ones lead.
        every: of those made by hand take each one in so many of the kinds that are many.
    """
    kinds: dict[tuple[str, str], int] = {}
    taken = 0
    for case in crafted(canary):
        key = (case.kind, case.seed)
        kinds[key] = kinds.get(key, 0) + 1
        if kinds[key] > 4 and kinds[key] % every:
            continue
        yield case
        taken += 1
        if taken == count:
            return
    yield from itertools.islice(by_chance(seed), count - taken)


def _changed(content: bytes, random: Random, changes: tuple[Change, ...]) -> tuple[str, bytes]:
    change = random.choice(changes)
    return NAMES[change.__name__], change(content, random)


def _tiff(random: Random) -> Case:
    key = random.choice(seeds.TIFFS)
    kind, content = _changed(seeds.tiff(key), random, (*ANYWHERE, *TIFF))
    return single(kind, key, "a.tif", content)


def _jp2(random: Random) -> Case:
    kind, content = _changed(seeds.jp2(), random, (*ANYWHERE, *JP2))
    return single(kind, "JPEG 2000", "a.jp2", content)


def _zip(random: Random) -> Case:
    base = seeds.zipped(seeds.safe(), deflated=random.random() < 0.5)
    kind, content = _changed(base, random, (*ANYWHERE, *ZIP))
    return single(kind, "SAFE zip", "a.zip", content)


def _array(random: Random) -> Case:
    if random.random() < 0.5:
        base = seeds.npz(deflated=random.random() < 0.5)
        kind, content = _changed(base, random, (*ANYWHERE, *ZIP))
        return single(kind, "npz", "a.npz", content)
    base = seeds.npy(random.choice(("uint16", "float64")))
    kind, content = _changed(base, random, (*ANYWHERE, *[surgery.npy_changed] * 4))
    return single(kind, "npy", "a.npy", content)


def _item(random: Random) -> Case:
    if random.random() < 0.7:
        document = surgery.json_changed(seeds.item(), random)
        kind, content = NAMES["json_changed"], document
    else:
        base = seeds.item_files(seeds.item())["item.json"]
        kind, content = _changed(base, random, ANYWHERE)
    return Case(kind=kind, seed="item", files=seeds.item_files(content), hand=("item.json",))


def _set(random: Random) -> Case:
    """A set of band files, a folder of them, or a mosaic, with one of them changed."""
    what = random.choice(("set", "folder", "mosaic"))
    files = dict(seeds.mosaic() if what == "mosaic" else seeds.band_files())
    name = random.choice(sorted(files))
    kind, files[name] = _changed(files[name], random, (*ANYWHERE, *TIFF))
    hand = tuple(files) if what == "set" else (".",)
    doors = ("patch", "page") if what == "set" else ("patch", "scene")
    return Case(kind=kind, seed=what, files=files, hand=hand, doors=doors)
