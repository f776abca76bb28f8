"""The run sheet of a scene: all that is needed to repeat it, and what its windows say of it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from ldsr.data.geotiff import SOFTWARE
from ldsr.scene.scene import Scene
from ldsr.scene.windows import Key, Plan
from ldsr.scene.worker import LEVEL, Introduction, Job


def run_sheet(
    scene: Scene,
    plan: Plan,
    job: Job,
    model: Introduction,
    figures: Sequence[dict],
    *,
    failed: Mapping[Key, str],
    dtype: str,
    mask: Sequence[str],
) -> dict:
    """Write down a scene's run, ready for JSON.

    Args:
        scene: that was read.
        plan: its windows.
        job: what they shared.
        model: that computed them.
        figures: of each window with data, as `ldsr.scene.worker.resolve_window` gives them.
        failed: windows that are not in the file, and why.
        dtype: of the file.
        mask: kinds of pixels that were made no-data.
    """
    source = dataclasses.asdict(scene.source)
    source["acquired"] = source["acquired"].isoformat() if source["acquired"] else None
    tags, tags_source = job.tags
    return {
        "software": SOFTWARE,
        "scene": {
            "name": scene.name,
            "size": list(scene.size),
            "crs": scene.crs.to_string() if scene.crs else None,
        },
        "source": source,
        "settings": json.loads(job.settings.to_json()),
        "temperature": _temperature(job, model),
        "weights": {
            "name": job.machine.weights,
            "sha256": job.sha256,
            "files": _all_of(figures, "files"),
        },
        "exact": job.exact,
        "precision": sorted({one["precision"] for one in figures}),
        "device": model.device,
        "tags": {"source": tags_source, "probabilities": _rounded(tags)},
        "file": {"type": dtype, "bands": list(job.layers), "made_no_data": list(mask)},
        "windows": {
            "count": len(plan.windows),
            "with_data": len(figures),
            "side": plan.side,
            "margin": plan.margin,
            "ramp": plan.ramp,
            "failed": [{"window": list(key), "why": why} for key, why in failed.items()],
        },
        "seconds": {
            "of_all_windows": round(sum(one["seconds"] for one in figures), 1),
            "slowest_window": max((one["seconds"] for one in figures), default=None),
        },
        "steps_computed": sum(one["steps_computed"] for one in figures),
        "steps_skipped": sum(one["steps_skipped"] for one in figures),
        "consistency": {
            "before": _worst(figures, "residual_before"),
            "after": _worst(figures, "residual_after"),
        },
        "out_of_range": _mean(figures, "out_of_range"),
        "detail": _mean(figures, "detail"),
        "uncertainty": _uncertainty(job, figures),
    }


def _temperature(job: Job, model: Introduction) -> float:
    asked = job.settings.temperature
    return model.temperature if asked is None else asked


def _uncertainty(job: Job, figures: Sequence[dict]) -> dict | None:
    if not job.uncertainty or not figures:
        return None
    return {
        "samples": job.settings.samples,
        "level": LEVEL,
        "calibrated": all(one["calibrated"] for one in figures),
        "calibration": figures[0]["calibration"],
        "calibration_data": figures[0]["calibration_data"],
    }


def _worst(figures: Sequence[dict], name: str) -> float | None:
    """The largest of all windows: what holds for it holds for the scene."""
    return max((one[name] for one in figures), default=None)


def _mean(figures: Sequence[dict], name: str) -> float | None:
    """The windows' mean, by the pixels they saw; overlaps count as often as they were seen."""
    known = [one for one in figures if one[name] is not None]
    pixels = sum(one["pixels"] for one in known)
    return sum(one["pixels"] * one[name] for one in known) / pixels if pixels else None


def _all_of(figures: Sequence[dict], name: str) -> dict:
    return {key: value for one in figures for key, value in one[name].items()}


def _rounded(tags: Mapping[str, float] | None) -> dict[str, float] | None:
    return tags and {name: round(value, 4) for name, value in tags.items()}
