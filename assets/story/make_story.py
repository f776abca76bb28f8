"""Prepare the story that presentation mode tells: pictures and numbers of bundled samples.

    PYTHONPATH=. python assets/story/make_story.py [--out DIR] [--seconds]

Runs the shipped weights with the default settings on the samples that words.json names, in its
order, and writes the pictures as WebP beside this file and every number, with what it was made by,
into story.json. What to look at and what to distrust stands in words.json, written by hand, without
numbers. With --seconds only the times are measured again, on a machine with nothing else to do.
LPIPS needs its weights (`python -m ldsr weights fetch lpips-alexnet-features`); without them the
story is not made.
"""

import argparse
import dataclasses
import hashlib
import io
import json
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

import ldsr
from evaluation import consistency, methods
from evaluation.judge import Judge
from evaluation.protocol import wald
from ldsr import Patch, Pipeline, Settings, SuperResolution, calibration, render
from ldsr.data.samples import FOLDER, Sample, list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.machine import limit_threads
from ldsr.manifest import ASSETS as WEIGHTS_FOLDER
from ldsr.result import SCALE
from ldsr.settings import PRESETS

HERE = Path(__file__).resolve().parent
CALIBRATION = WEIGHTS_FOLDER / calibration.FILE
PRESET = "balanced"
SAMPLES = 8
REPEATS = 3
"""Runs that are timed; the quickest counts, so that other work on the machine does not."""
LEVEL = 0.9
"""Of the interval whose width is drawn."""
CROP, MARGIN = 80, 32
"""Side of the place that is magnified, and what is left out along the edges, pixels of 2.5 m."""
QUALITY = {"bicubic": 88, "base": 92, "refined": 92, "detail": 80, "uncertainty": 80}
"""Of WebP, by picture; those of the size of an input are kept exactly."""
METRICS = ("psnr", "ssim", "lpips")
FREE = 0.05
"""Generated detail above which a pixel counts as one that stage 2 was free to change."""


def main() -> None:
    """Make everything again."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seconds", action="store_true", help="measure only the times again")
    options = parser.parse_args()
    folder = options.out
    folder.mkdir(parents=True, exist_ok=True)
    threads = limit_threads()
    if options.seconds:
        time_again(folder, threads)
        return
    pipeline, judge = Pipeline.load("mini", device="cpu"), Judge(metrics=METRICS)
    settings, known = PRESETS[PRESET], {sample.key: sample for sample in list_samples()}
    keys = list(json.loads((HERE / "words.json").read_text(encoding="utf-8")))
    pipeline(load_sample(keys[0]), settings)  # the first run of a process is slow
    chapters = []
    for old in folder.glob("*.webp"):
        old.unlink()
    for key in keys:
        print(key, flush=True)
        first = quickest(pipeline, load_sample(key), settings)
        result = pipeline.sample(first, SAMPLES)
        back = protocol(pipeline, result.lr, settings)
        chapter = describe(known[key], result) | {"seen_again": seen_again(result)}
        chapter["scores"] = judged(judge, result.lr, back)
        drawn = draw(result) | draw_protocol(result.lr, back)
        chapter["pictures"] = {name: save(x, folder, key, name) for name, x in drawn.items()}
        chapters.append(chapter)
        write({"made": made(result, threads), "samples": chapters}, folder)


def write(story: Mapping, folder: Path) -> None:
    """Write story.json."""
    text = json.dumps(story, indent=1, ensure_ascii=False)
    (folder / "story.json").write_text(f"{text}\n", encoding="utf-8")


def time_again(folder: Path, threads: int) -> None:
    """Measure the seconds of a finished story again.

    Raises:
        LdsrError: it was made by other weights or settings.
    """
    story = json.loads((folder / "story.json").read_text(encoding="utf-8"))
    pipeline, settings = Pipeline.load("mini", device="cpu"), PRESETS[PRESET]
    pipeline(load_sample(story["samples"][0]["key"]), settings)
    for sample in story["samples"]:
        result = quickest(pipeline, load_sample(sample["key"]), settings)
        now = made(dataclasses.replace(result, settings=with_samples(result.settings)), threads)
        if any(now[part] != story["made"][part] for part in ("weights", "settings")):
            raise LdsrError("The story is of other weights or settings; make it without --seconds.")
        sample["seconds"] = seconds_of(result)
    story["made"]["machine"] = machine(result, threads)
    write(story, folder)


def with_samples(settings: Settings) -> Settings:
    """The settings of a run that was sampled."""
    return dataclasses.replace(settings, samples=SAMPLES)


def quickest(pipeline: Pipeline, patch: Patch, settings: Settings) -> SuperResolution:
    """Run a sample REPEATS times, and give the run that took least."""
    runs = [pipeline(patch, settings) for _ in range(REPEATS)]
    return min(runs, key=lambda result: result.seconds["total"])


def seconds_of(result: SuperResolution) -> dict[str, float]:
    """What the stages took, without further samples."""
    refine = sum(s for name, s in result.seconds.items() if name.startswith("refine"))
    total = result.seconds["total"] - result.seconds.get("sample", 0.0)
    parts = {"base": total - refine, "refine": refine, "total": total}
    return {name: round(value, 2) for name, value in parts.items()}


def describe(sample: Sample, result: SuperResolution) -> dict:
    """What a sample is, and what the run says of itself."""
    uncertainty, valid = result.uncertainty, result.sr.valid
    change = render.difference(result.sr.reflectance, result.base.reflectance)
    added = render.difference(result.base.reflectance, render.upsample(result.lr, SCALE))
    return {
        "key": sample.key,
        "name": sample.name,
        "place": sample.place,
        "date": sample.date.isoformat(),
        "description": sample.description,
        "licence": sample.licence,
        "source": sample.source,
        "attribution": sample.attribution,
        "sha256": hashlib.sha256(sample.path.read_bytes()).hexdigest(),
        "size": list(result.lr.size),
        "gsd": result.lr.gsd,
        "crop": crop_of(result),
        "steps": {
            name: {"computed": stage.steps_computed, "skipped": stage.steps_skipped}
            for name, stage in result.figures.items()
        },
        "seconds": seconds_of(result),
        "consistency": {
            "before": result.residual_before,
            "after": result.residual_after,
            "largest": float(result.residual.max()),
        },
        "change": {
            "base": float(added[valid].mean()),
            "refine": float(change[valid].mean()),
        },
        "detail": {
            **result.detail_figures(),
            "free": float((result.detail[valid] > FREE).mean()),
            "top": result.settings.detail_cap,
        },
        "uncertainty": {
            "samples": uncertainty.samples,
            "ended": uncertainty.ended,
            "calibrated": uncertainty.calibration is not None,
            "data": uncertainty.calibration.data if uncertainty.calibration else "",
            "why_not": uncertainty.uncalibrated,
            "width": float(uncertainty.relative_width(LEVEL)[valid].mean()),
            "top": width_top(result),
            "places": [
                {
                    "reason": place.reason,
                    "text": place.text,
                    "points": [[round(col, 1), round(row, 1)] for row, col in place.outline],
                }
                for place in uncertainty.places
            ],
        },
    }


def crop_of(result: SuperResolution) -> list[int]:
    """The place that is magnified: where most was added to bicubic; [left, top, side], 2.5 m."""
    added = render.difference(result.sr.reflectance, render.upsample(result.lr, SCALE))
    sums = np.pad(added.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[CROP:, CROP:] - sums[:-CROP, CROP:] - sums[CROP:, :-CROP] + sums[:-CROP, :-CROP]
    inside = boxes[MARGIN:-MARGIN, MARGIN:-MARGIN]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return [SCALE * round((corner + MARGIN) / SCALE) for corner in (int(left), int(top))] + [CROP]


def judged(judge: Judge, patch: Patch, back: Mapping[str, Patch]) -> list[dict]:
    """Scores by Wald's protocol, each with what it sees and misses.

    Args:
        judge: of METRICS.
        patch: the true picture.
        back: what was made of it at 40 m, by name.

    Raises:
        LdsrError: a score cannot be computed here.
    """
    case = wald(patch)
    table = {name: judge.scores(x, lr=case.lr, hr=case.hr) for name, x in back.items()}
    scores = []
    for column in zip(*table.values(), strict=True):
        if missing := [score for score in column if score.value is None]:
            raise LdsrError(f"{missing[0].reason} {missing[0].fix}")
        scores.append(
            dataclasses.asdict(column[0].metric)
            | {"provenance": dict(column[0].provenance)}
            | {"values": {name: x.value for name, x in zip(table, column, strict=True)}}
        )
    return scores


def seen_again(result: SuperResolution) -> dict[str, float]:
    """Mean absolute difference to the input at 10 m, reflectance, by picture."""
    pictures = {
        "bicubic": render.upsample(result.lr, SCALE),
        "base": result.base.reflectance,
        "refined": result.sr.reflectance,
    }
    return {
        name: consistency.judge(
            x, result.lr.reflectance, sr_valid=result.sr.valid, lr_valid=result.lr.valid
        ).reflectance
        for name, x in pictures.items()
    }


def protocol(pipeline: Pipeline, patch: Patch, settings: Settings) -> dict[str, Patch]:
    """Bring a patch from 40 m back to 10 m in each way that is scored."""
    lr = wald(patch).lr
    run = pipeline(lr, settings)
    return {"bicubic": methods.bicubic(pipeline).run(lr), "base": run.base, "refined": run.sr}


def draw(result: SuperResolution) -> dict[str, np.ndarray]:
    """The pictures of a run, all in the stretch of its input, and its two heat maps."""
    stretch = render.stretch_of(result.lr)
    width = 100 * result.uncertainty.relative_width(LEVEL)
    bare = {
        "input": result.lr.reflectance,
        "bicubic": render.upsample(result.lr, SCALE),
        "base": result.base.reflectance,
        "refined": result.sr.reflectance,
    }
    return {name: render.true_colour(x, stretch)[..., :3] for name, x in bare.items()} | {
        "detail": render.heat(result.detail, result.settings.detail_cap)[..., :3],
        "uncertainty": render.heat(width, width_top(result))[..., :3],
    }


def draw_protocol(patch: Patch, back: Mapping[str, Patch]) -> dict[str, np.ndarray]:
    """The pictures that Wald's protocol compares; the truth is the input itself."""
    stretch = render.stretch_of(patch)
    bare = {
        "coarse": wald(patch).lr,
        "wald_bicubic": back["bicubic"],
        "wald_refined": back["refined"],
    }
    return {name: render.true_colour(x.reflectance, stretch)[..., :3] for name, x in bare.items()}


def width_top(result: SuperResolution) -> float:
    """Value of the last colour of the uncertainty map, percent of the brightness."""
    width = 100 * result.uncertainty.relative_width(LEVEL)
    return render.heat_top(width, result.sr.valid)


def save(picture: np.ndarray, folder: Path, key: str, name: str) -> dict[str, object]:
    """Write a picture as WebP: exactly where it is small, near to exactly where it is not."""
    how = {"lossless": True} if len(picture) <= 128 else {"quality": QUALITY[name]}
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", method=6, use_sharp_yuv=True, **how)
    file, content = f"{key}-{name}.webp", buffer.getvalue()
    (folder / file).write_bytes(content)
    height, width = picture.shape[:2]
    found = {"file": file, "size": [height, width], "bytes": len(content)}
    return found | {"sha256": hashlib.sha256(content).hexdigest()}


def made(result: SuperResolution, threads: int) -> dict[str, object]:
    """What the story was made by, when and on what."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "program": f"LDSR Studio {ldsr.__version__}",
        "weights": {
            "name": result.weights,
            "sha256": result.weights_sha256,
            "files": dict(result.weights_files),
        },
        "calibration_sha256": hashlib.sha256(CALIBRATION.read_bytes()).hexdigest(),
        "samples_sha256": hashlib.sha256((FOLDER / "samples.json").read_bytes()).hexdigest(),
        "preset": PRESET,
        "settings": json.loads(result.settings.to_json()),
        "level": LEVEL,
        "free": FREE,
        "repeats": REPEATS,
        "machine": machine(result, threads),
    }


def machine(result: SuperResolution, threads: int) -> dict[str, object]:
    """What the times were measured on."""
    precision = result.figures["base"].precision
    return {"processor": processor(), "threads": threads, "device": "cpu", "precision": precision}


def processor() -> str:
    """Name of this machine's processor."""
    try:
        info = Path("/proc/cpuinfo").read_text()
    except OSError:
        info = ""
    found = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    return found[1].strip() if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
