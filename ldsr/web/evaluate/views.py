"""What the Evaluate tab shows, as plain data: scores, maps, saved runs.

Knows evaluations; knows nothing of Gradio.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from evaluation.metrics import METRICS
from evaluation.score import ARROWS, Metric, Score
from ldsr import render
from ldsr.errors import LdsrError
from ldsr.web.evaluate.evaluations import MAPS, TRUTHS, Evaluation
from ldsr.web.evaluate.leaderboard import METHODS as NAMES
from ldsr.web.pictures import Shown
from ldsr.weights import WEIGHTS, describe
from ldsr.words import BASES, settings_line

GROUPS = (
    ("Closeness to the truth", ("psnr", "ssim", "rmse")),
    ("Likeness", ("lpips", "lpips_nir", "sms", "sms_iou", "boundary_f")),
    ("Spectra", ("ergas", "spectral_angle", "ndvi")),
    ("Detail", ("improvement", "omission", "hallucination")),
    ("Consistency with the input", ("input_reflectance", "input_angle", "input_shift")),
    ("No reference", ("clip_iqa",)),
)
OTHERS = "Others"
BETTER = {"higher": "higher is better", "lower": "lower is better", "none": ""}
TRUTH_WORDS = {
    "none": "Only what needs no true picture: whether the result, seen again at 10 m, is still the "
    "input. It cannot say whether new detail is true.",
    "wald": "The patch is degraded to 40 m, super-resolved to 10 m with the settings of the "
    "current result, and compared with itself. It judges 40 m to 10 m, not 10 m to 2.5 m.",
    "reference": "A GeoTIFF of the same ground at 2.5 m, bands R, G, B, NIR. It is registered "
    "first, and scored twice: as given, and harmonised in brightness.",
}
MAP_WORDS = {
    "error": (
        "Error",
        "How far each pixel is from the truth: mean over the four bands, in reflectance. One "
        "scale for all pictures.",
    ),
    "improvement": (
        "Improvement",
        "Share of each pixel's detail that is new against the input and true; the border and "
        "pixels without detail to judge are left empty.",
    ),
    "omission": (
        "Omission",
        "Share of each pixel's detail that is in the truth and was left out; the border and "
        "pixels without detail to judge are left empty.",
    ),
    "hallucination": (
        "Hallucination",
        "Share of each pixel's detail that is neither in the input nor true; the border and "
        "pixels without detail to judge are left empty.",
    ),
}
BOARD = (
    "psnr",
    "ssim",
    "lpips",
    "spectral_angle",
    "improvement",
    "omission",
    "hallucination",
    "input_reflectance",
)
"""Metrics that the leaderboard lists."""
NO_RESULT = "No result yet"


def current_value(key: str | None, shown: Any) -> dict[str, Any]:
    """Describe the result on the Super-resolve tab, which would be evaluated."""
    if not isinstance(shown, Shown) or shown.result is None:
        name = shown.patch.source.name if isinstance(shown, Shown) else ""
        return {"key": None, "name": name or NO_RESULT, "line": NO_RESULT if name else ""}
    picture = shown.pictures[-1]
    return {
        "key": key,
        "name": shown.patch.source.name or shown.stem,
        "line": settings_line(shown.result),
        "picture": f"ldsr/r/{key}/{picture}-true.png",
    }


def result_value(key: str | None = None, found: Evaluation | None = None) -> dict[str, Any]:
    """Describe an evaluation, or that there is none."""
    if key is None or found is None:
        return {"mode": "empty"}
    groups, folded = [], []
    for title, names in _grouped(found.scores[found.labels[0]]):
        rows = [_row(found, name) for name in names]
        needs_truth = found.truth == "none" and all(
            METRICS[name].needs in ("reference", "both") for name in names
        )
        if needs_truth:
            folded += rows
        else:
            groups.append({"title": title, "rows": rows})
    address = f"ldsr/e/{key}/{found.stem}_scores"
    return {
        "mode": "done",
        "of": found.shown,
        "name": found.name,
        "line": found.line,
        "truth": TRUTHS[found.truth],
        "remark": found.remark,
        "date": f"{found.date:%Y-%m-%d %H:%M} UTC",
        "columns": [NAMES[method] for method in found.methods],
        "references": [_capital(label) for label in found.references],
        "groups": groups,
        "folded": folded,
        "maps": _maps(key, found) if found.references else None,
        "links": {"csv": f"{address}.csv", "json": f"{address}.json"},
    }


def board_value(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe the saved runs, the newest first."""
    return {
        "metrics": [
            {
                "name": name,
                "title": METRICS[name].title,
                "arrow": ARROWS[METRICS[name].better],
                "better": METRICS[name].better,
                "help": f"{METRICS[name].sees} {METRICS[name].misses}",
            }
            for name in BOARD
        ],
        "runs": [_run(run) for run in runs],
    }


def missing_weights(score: Score) -> list[str]:
    """Name the weights that would make a score available, in the order of its advice."""
    words = score.fix.replace(",", " ").replace(".", " ").split()
    return [word for word in words if word in WEIGHTS]


def _grouped(scores: Mapping[str, Sequence[Score]]) -> list[tuple[str, list[str]]]:
    there = [score.metric.name for score in next(iter(scores.values()))]
    known = {name for _, names in GROUPS for name in names}
    groups = [(title, [n for n in names if n in there]) for title, names in GROUPS]
    groups.append((OTHERS, [name for name in there if name not in known]))
    return [(title, names) for title, names in groups if names]


def _row(found: Evaluation, name: str) -> dict[str, Any]:
    """One metric: its values and parts for each reference, its words, where it comes from."""
    metric = METRICS[name]
    by_label = [
        [
            next(score for score in scores if score.metric.name == name)
            for scores in found.scores[label].values()
        ]
        for label in found.labels
    ]
    first = by_label[0]
    without = next((score for score in first if score.value is None), None)
    made = next((score.provenance for score in first if score.provenance), {})
    return {
        "name": name,
        "title": metric.title,
        "arrow": ARROWS[metric.better],
        "better": BETTER[metric.better],
        "sees": metric.sees,
        "misses": metric.misses,
        "reason": "" if without is None else _reason(without),
        "weights": [] if without is None else _weights(without),
        "either": without is not None and " or " in without.fix,
        "cells": [_cells(metric, scores) for scores in by_label],
        "parts": [_parts(metric, scores) for scores in by_label],
        "provenance": [[key.capitalize(), text] for key, text in made.items()],
    }


def _reason(score: Score) -> str:
    if score.status == "unavailable" and not missing_weights(score):
        return f"{score.reason} {score.fix}".strip()
    return score.reason


def _weights(score: Score) -> list[dict[str, Any]]:
    """What a page shows of the weights that are missing."""
    found = []
    for name in missing_weights(score) if score.status == "unavailable" else []:
        try:
            about = describe(name)
        except LdsrError:
            continue
        if not about["here"]:
            keys = ("name", "purpose", "size", "licence", "remark", "citation", "command")
            found.append({key: about[key] for key in keys})
    return found


def _cells(metric: Metric, scores: Sequence[Score]) -> list[dict[str, Any]]:
    values = [score.value for score in scores]
    best = _best(metric, values, [score.text for score in scores])
    return [{"text": score.text, "best": mark} for score, mark in zip(scores, best, strict=True)]


def _best(metric: Metric, values: Sequence[float | None], texts: Sequence[str]) -> list[bool]:
    """Mark the best; what reads the same is as good, and where all do none is marked."""
    known = [value for value in values if value is not None]
    if metric.better == "none" or len(set(texts)) < 2 or len(known) < 2:
        return [False] * len(values)
    best = max(known) if metric.better == "higher" else min(known)
    top = texts[values.index(best)]
    return [text == top for text in texts]


def _parts(metric: Metric, scores: Sequence[Score]) -> list[list[str]]:
    """Name and value for each method of the parts of a score."""
    names = list(dict.fromkeys(name for score in scores for name in score.parts))
    return [
        [name, *(_number(score.parts.get(name), metric.digits) for score in scores)]
        for name in names
    ]


def _number(value: float | None, digits: int) -> str:
    if value is None:
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def _maps(key: str, found: Evaluation) -> dict[str, Any]:
    stem = f"ldsr/e/{key}"
    count = range(len(found.references))
    return {
        "methods": [{"key": method, "title": NAMES[method]} for method in found.methods],
        "pictures": {method: f"{stem}/{method}.png" for method in found.methods},
        "truths": [f"{stem}/truth-{i}.png" for i in count],
        "layers": [
            {
                "key": name,
                "title": MAP_WORDS[name][0],
                "text": MAP_WORDS[name][1],
                "ticks": [f"{share * found.top(name):.3g}" for share in (0, 0.25, 0.5, 0.75, 1)],
                "urls": [
                    {method: f"{stem}/{name}-{method}-{i}.png" for method in found.methods}
                    for i in count
                ],
            }
            for name in MAPS
        ],
        "colours": list(render.HEAT),
        "ratio": found.lr.size[1] / found.lr.size[0],
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    weights = run["weights"]
    day = datetime.fromisoformat(run["date"])
    return {
        "date": f"{day:%d %b %Y, %H:%M} UTC",
        "weights": weights["name"],
        "sha256": weights["sha256"][:12],
        "settings": _settings(run["settings"]),
        "patches": run["patches"],
        "rows": [
            {"method": NAMES[method], "scores": _means(run["scores"][method])}
            for method in run["methods"]
            if method in NAMES
        ],
        "links": {kind: f"ldsr/b/{run['id']}.{kind}" for kind in ("csv", "json")},
    }


def _means(scores: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name in BOARD:
        mean = scores.get(name, {}).get("mean")
        if mean is None:
            continue
        low, high = scores[name]["low"], scores[name]["high"]
        metric = METRICS[name]
        between = None
        if low is not None and high is not None:
            between = f"95 % interval {low:.{metric.digits}f} to {high:.{metric.digits}f}"
        text = Score(metric=metric, value=mean).text
        found[name] = {"value": mean, "text": text, "range": between or ""}
    return found


def _settings(settings: Mapping[str, Any]) -> str:
    """Write the settings of a saved run; those of another version as they are."""
    base = BASES.get(str(settings.get("base")), str(settings.get("base")))
    text = base
    if settings.get("base") in ("ldsr", "sr3"):
        text += f", {settings.get('steps')} steps"
    if settings.get("refine"):
        text += f"; refined in {settings.get('refine_steps')} steps"
        text += f", strength {settings.get('refine_strength')}"
    return f"{text}; seed {settings.get('seed')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
