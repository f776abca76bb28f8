"""Pictures of the patches where a method did best and worst against bicubic. Nothing is chosen."""

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from evaluation.methods import Method
from evaluation.metrics import METRICS
from evaluation.pairs import Case
from evaluation.summary import BASELINE
from ldsr.data.patch import Patch
from ldsr.errors import MetricError
from ldsr.render import encode_png, heat, stretch_of, true_colour

PREFERENCE = ("lpips", "ssim", "psnr")
"""What patches are ranked by: the first of these that has values."""
COUNT = 3
SIDE = 256
"""Pixels of 2.5 m: the middle of larger pictures is shown."""
COLUMNS = 4
"""Methods shown beside input and reference, at most."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One patch.

    Attributes:
        patch: name.
        gain: of the ranking metric against bicubic, as text.
        best: among the best, else among the worst.
        pictures: data URI by label.
    """

    patch: str
    gain: str
    best: bool
    pictures: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Rows, and how they were found.

    Attributes:
        method: whose patches are ranked.
        metric: title of what they are ranked by.
        rows: best first, then worst first.
    """

    method: str
    metric: str
    rows: Sequence[Row]


def make_gallery(
    rows: Sequence[dict],
    cases: Sequence[Case],
    methods: Mapping[str, Method],
    *,
    judge: object = None,
    count: int = COUNT,
) -> Gallery | None:
    """Rank the patches of the last method that is no sweep and draw the ends of the list.

    Args:
        rows: of `evaluation.summary.to_rows`.
        cases, methods: of the run; methods are applied again to the few patches shown.
        judge: a `Judge` that draws where detail is invented; no map without.
        count: patches at each end.
    """
    names = [name for name, method in methods.items() if not method.sweep]
    method, ranked = names[-1], None
    if method == BASELINE:
        return None
    for metric in PREFERENCE:
        ranked = _rank(rows, method, metric)
        if ranked:
            break
    if not ranked:
        return None
    ends = min(count, len(ranked) // 2) or 1
    chosen = [(pair, True) for pair in ranked[:ends]]
    chosen += [(pair, False) for pair in reversed(ranked[ends:][-ends:])]
    by_name = {case.name: case for case in cases}
    shown = _shown(names)
    digits = METRICS[metric].digits
    drawn = [
        Row(
            patch=name,
            gain=f"{gain:+.{digits}f}".replace("-", "−"),
            best=best,
            pictures=_draw(by_name[name], {key: methods[key] for key in shown}, method, judge),
        )
        for (name, gain), best in chosen
    ]
    return Gallery(method, METRICS[metric].title, drawn)


def _rank(rows: Sequence[dict], method: str, metric: str) -> list[tuple[str, float]]:
    """Patches and gains against bicubic, the best first, of the first reference."""
    reference = rows[0]["reference"]
    values: dict[str, dict[str, float]] = {method: {}, BASELINE: {}}
    for row in rows:
        value = row.get(metric)
        wanted = row["reference"] == reference and row["method"] in values
        if wanted and value is not None and math.isfinite(value):
            values[row["method"]][row["patch"]] = value
    gains = {
        patch: value - values[BASELINE][patch]
        for patch, value in values[method].items()
        if patch in values[BASELINE]
    }
    higher = METRICS[metric].better == "higher"
    return sorted(gains.items(), key=lambda item: (-item[1] if higher else item[1], item[0]))


def _shown(names: Sequence[str]) -> list[str]:
    """Bicubic and the last few methods: what is compared comes last."""
    models = [name for name in names if name not in (BASELINE, "nearest")]
    return [BASELINE, *models[-(COLUMNS - 1) :]]


def _draw(case: Case, methods: Mapping[str, Method], ranked: str, judge: object) -> dict[str, str]:
    """Input, methods, reference, and where the ranked method invented, in one stretch."""
    stretch = stretch_of(case.lr)
    part = _middle(case.hr.size)
    enlarged = case.lr.reflectance.repeat(4, axis=1).repeat(4, axis=2)
    results: dict[str, Patch] = {name: method(case.lr) for name, method in methods.items()}
    pictures = {"input": true_colour(enlarged, stretch)}
    for name, sr in (results | {"reference": case.hr}).items():
        pictures[name] = true_colour(sr.reflectance, stretch, valid=sr.valid)
    shown = {name: _uri(picture[part]) for name, picture in pictures.items()}
    if judge is not None:
        try:
            found = judge.maps(results[ranked], lr=case.lr, hr=case.hr)["hallucination"]
        except (MetricError, KeyError):
            return shown
        known = np.isfinite(found)
        picture = heat(np.where(known, found, 0).astype(np.float32), 1.0, valid=known)
        shown["hallucination"] = _uri(picture[part])
    return shown


def _middle(size: tuple[int, int]) -> tuple[slice, slice]:
    starts = [max(0, (side - SIDE) // 2) for side in size]
    return np.s_[starts[0] : starts[0] + SIDE, starts[1] : starts[1] + SIDE]


def _uri(picture: np.ndarray) -> str:
    data = encode_png(np.ascontiguousarray(picture), level=9)
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"
