"""Scores of one result from files: python -m evaluation lr.tif sr.tif [hr.tif] [--json]."""

import json
import math
from pathlib import Path

from evaluation.judge import Judge
from evaluation.score import ARROWS, Score
from ldsr.data.fine import FACTOR, read_fine
from ldsr.data.patch import Patch
from ldsr.data.reader import PathLike, read_patch
from ldsr.errors import MetricError

ALIGNED = 0.1
"""Corners further apart than this, in pixels of 2.5 m, are not the same place."""


def score_files(
    lr: PathLike,
    sr: PathLike,
    hr: PathLike | None = None,
    *,
    as_json: bool = False,
    device: str = "cpu",
) -> str:
    """Score a result against its input and, where there is one, its reference.

    Args:
        lr: the 10 m picture, anything `read_patch` takes.
        sr: the result, a GeoTIFF of four times its size.
        hr: the true picture on the result's grid.
        as_json: JSON instead of a table.
        device: of the networks.

    Returns:
        A table to print, or JSON.

    Raises:
        PatchError: a file that cannot be read.
        MetricError: pictures that do not lie on one another.
    """
    before, result = read_patch(lr), read_fine(sr)
    reference = read_fine(hr) if hr is not None else None
    check_place(before, result, "input", "result", factor=FACTOR)
    if reference is not None:
        check_place(result, reference, "result", "reference")
    scores = Judge(device=device).scores(result, lr=before, hr=reference)
    if as_json:
        files = {"lr": lr, "sr": sr, "hr": hr}
        names = {key: Path(path).name for key, path in files.items() if path is not None}
        return json.dumps(
            {"files": names, "scores": [to_dict(score) for score in scores]}, indent=2
        )
    return to_table(scores)


def check_place(first: Patch, second: Patch, one: str, other: str, *, factor: int = 1) -> None:
    """Check that two pictures cover the same ground, the second in `factor` times the pixels.

    Raises:
        MetricError: sizes, CRS or places differ.
    """
    expected = tuple(factor * side for side in first.size)
    if second.size != expected:
        raise MetricError(
            f"The {other} has {second.size[1]} x {second.size[0]} pixels, expected "
            f"{expected[1]} x {expected[0]}: {factor} times the {one}; cut it to the {one}'s "
            "bounds."
        )
    if first.crs is not None and second.crs is not None and first.crs != second.crs:
        raise MetricError(
            f"The {one} is in {first.crs.to_string()[:60]} and the {other} in "
            f"{second.crs.to_string()[:60]}; bring both into one, for example with gdalwarp."
        )
    if first.bounds is None or second.bounds is None:
        return
    pixel = first.gsd / factor
    apart = max(abs(a - b) for a, b in zip(first.bounds, second.bounds, strict=True)) / pixel
    if apart > ALIGNED:
        raise MetricError(
            f"The {other} does not cover the ground of the {one}: their corners lie up to "
            f"{apart:.1f} of the {other}'s pixels apart; cut both to the same bounds."
        )


def to_table(scores: list[Score]) -> str:
    """One line a score: title, value, which way is better, or the reason why there is none."""
    titles = [f"{score.metric.title} {ARROWS[score.metric.better]}" for score in scores]
    wide = max(map(len, titles))
    lines = []
    for title, score in zip(titles, scores, strict=True):
        note = f"{score.status}: {score.reason} {score.fix}".rstrip() if score.reason else ""
        lines.append(f"{title:{wide}}  {score.text:>12}  {note}".rstrip())
    return "\n".join(lines)


def to_dict(score: Score) -> dict:
    """A score as plain values; infinity has no number in JSON, so it is None with its text."""
    metric = score.metric
    return {
        "name": metric.name,
        "title": metric.title,
        "unit": metric.unit,
        "better": metric.better,
        "value": _finite(score.value),
        "text": score.text,
        "status": score.status,
        "reason": score.reason,
        "fix": score.fix,
        "parts": {name: _finite(value) for name, value in score.parts.items()},
        "provenance": dict(score.provenance),
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
