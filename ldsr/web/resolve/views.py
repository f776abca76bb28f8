"""What the page shows, as plain data: the viewer's JSON and status lines.

Knows patches and results; knows nothing of Gradio.
"""

from typing import Any

from ldsr import render
from ldsr.result import SCALE
from ldsr.settings import Settings
from ldsr.web.page_times import PageTimes
from ldsr.web.pictures import COMPOSITES, Shown
from ldsr.web.resolve import facts, trust
from ldsr.web.resolve.links import share_query
from ldsr.web.resolve.time_views import times_value
from ldsr.web.session import Job
from ldsr.words import warning

PARTS = {
    "regress": "Base: first estimate",
    "denoise": "Base: denoising",
    "decode": "Base: decoding",
    "consistency": "Base: consistency with the 10 m input",
    "refine encode": "Refinement: encoding",
    "refine denoise": "Refinement: denoising",
    "refine decode": "Refinement: decoding",
    "refine consistency": "Refinement: consistency with the 10 m input",
}
"""Of each part of a run: its name on the screen, in their order."""
OVERLAY_WORDS = {
    "uncertainty": (
        "Uncertainty",
        "How far off the picture may be: half width of the 90 % interval about the samples' mean, "
        "mean of the bands, in percent of the brightness there.",
    ),
    "edges": (
        "Edges",
        "How far edges move from sample to sample. Where it is large, do not trust where a "
        "border is drawn.",
    ),
    "residual": (
        "Residual",
        "What is left of the input's difference to the result seen again at 10 m.",
    ),
    "detail": (
        "Generated detail",
        "How much of each pixel stage 2 was allowed to invent; 0 is the base. It says where the "
        "generator was free, not where it was right.",
    ),
    "difference": (
        "Base to refined",
        "How much stage 2 changed each pixel: mean of the bands, in reflectance.",
    ),
    "tags": (
        "Other tags",
        "How much each pixel changes when stage 2 is told other land cover, in reflectance.",
    ),
    "scl": (
        "Clouds",
        "What Sentinel-2's own scene classification (20 m) marks in this box. Nothing was seen of "
        "the ground under a cloud.",
    ),
}
EMERGING = "Standard deviation of the samples so far, mean of the bands. It emerges as they come."
UNITS = {"detail": "", "edges": "metres", "uncertainty": "% of the brightness"}
"""Of the numbers of overlays; else reflectance."""
LACKING = {
    "uncertainty": "Press How sure is this? first",
    "edges": "Press How sure is this? first",
    "residual": "Seen again at 10 m the result is the input: next to nothing is left",
}
"""Why an overlay is not there."""
NO_RESULT = "There is a map once there is a result"
NO_PLACE = "This picture has no position (no CRS): it cannot be placed on a map"

TELLING_BASE = "ldsr"
"""The base on which the map was found to rank where refining helped (model card, AUROC)."""
NOT_TELLING = " On this base it is open nearly everywhere and does not rank where refining helps."


def viewer_value(
    key: str,
    shown: Shown,
    *,
    input_only: bool = False,
    page: tuple[str, PageTimes] | None = None,
) -> dict[str, Any]:
    """Describe an input, or a finished run, for the viewer on the page.

    Args:
        key: the id under which `shown` is kept.
        shown: what to show.
        input_only: leave the result out.
        page: what the page measures of the result for this person, and its id before it.
    """
    height, width = shown.patch.size
    input_only = input_only or shown.result is None
    words = facts.captions(shown.patch, None if input_only else shown.result.weights)
    names = shown.pictures[:1] if input_only else shown.pictures
    value = {
        "mode": "input" if input_only else "result",
        "width": width * SCALE,
        "height": height * SCALE,
        "pictures": {name: _picture(f"ldsr/r/{key}/{name}", words[name]) for name in names},
        "overlays": {
            name: _overlay(key, shown, name)
            for name in shown.overlays
            if name == "scl" or not input_only
        },
        "warning": warning(shown.patch),
        "map": {"url": None, "why": NO_RESULT if shown.patch.crs else NO_PLACE},
        "chips": facts.input_chips(shown.patch),
        "times": None,
        "provenance": facts.provenance(shown.patch),
        "links": None,
        "share": None,
        "sensitivity": {"can": False, "text": ""},
        "trust": trust.value(None if input_only else shown),
        "lacking": {} if input_only else LACKING,
    }
    if input_only:
        return value
    page_id, measured = page or (None, None)
    return value | {
        "map": {"url": f"{_stem(key, shown)}_map.html" if shown.has_map else None, "why": NO_PLACE},
        "chips": facts.result_chips(shown.result),
        "times": times_value(shown.result, measured, page_id),
        "links": _links(key, shown, page_id),
        "share": share_query(shown.result.settings, shown.sample, shown.patch),
        "sensitivity": {
            "can": shown.refined and shown.result.tags is not None and shown.sensitivity is None,
            "text": facts.sensitivity_text(shown),
        },
    }


def busy_value(value: dict[str, Any], key: str, job: Job) -> dict[str, Any]:
    """Describe a run in progress: the input's viewer value with the newest previews."""
    pictures = dict(value["pictures"])
    for stage, name in (("base", "base"), ("refine", "refined")):
        if job.previews.get(stage):
            title = "Emerging " + name
            address = f"ldsr/p/{key}/{stage}-{job.previews[stage]}"
            pictures[name] = _picture(address, (title, "not finished yet"))
    return value | {"mode": "busy", "pictures": pictures}


def sampling_value(
    value: dict[str, Any], key: str, job: Job, line: dict[str, Any]
) -> dict[str, Any]:
    """Describe a result of which further samples are drawn: the map of their spread so far.

    Args:
        value: of the viewer before.
        key: of the run.
        job: the run.
        line: what the status line says of it.
    """
    said = line["text"] + (f", {line['left']}" if line.get("left") else "")
    overlays, count = dict(value["overlays"]), len(job.frames.samples)
    if count:
        overlays["uncertainty"] = {
            "url": f"ldsr/p/{key}/spread-{count}.png",
            "title": "Emerging",
            "text": EMERGING,
            "unit": "reflectance",
            "live": True,
            **_scale(job.frames.top),
        }
    going = trust.going(said, stopping=job.cancelling)
    return value | {"trust": value["trust"] | going, "overlays": overlays}


def status(
    state: str, text: str, *, share: float | None = None, clock: float | None = None
) -> dict[str, Any]:
    """Describe the status line.

    Args:
        state: "idle", "busy", "done", "error" or "ask"; chooses the colour.
        text: one sentence.
        share: progress, 0..1, or None.
        clock: seconds since the run began, or None.
    """
    return {
        "state": state,
        "text": text,
        "share": share,
        "clock": None if clock is None else f"{clock:.1f} s",
    }


def job_status(job: Job, now: float, *, measuring: bool = False) -> dict[str, Any]:
    """Describe where a run is: its place in line, or the part and step it is at.

    Args:
        job: the run.
        now: `time.monotonic()`.
        measuring: it is stage 2 alone, with other tags.
    """
    if job.sampling:
        return _sample_status(job, now)
    if job.cancelling:
        return status("busy", "Cancelling", clock=now - job.created)
    if job.state == "waiting" and job.place > 0:
        text = f"{ordinal(job.place + 1)} in line; your run starts when those before it are done"
        return status("busy", text, clock=now - job.created)
    if job.step is None:
        return status("busy", "Starting", share=0.02, clock=now - job.started)
    name = PARTS.get(job.step.part, job.step.part.capitalize())
    name = name.replace("Refinement", "Other tags") if measuring else name
    many = f", step {job.step.step} of {job.step.steps}" if job.step.steps > 1 else ""
    share = progress(job.settings, job.step, measuring=measuring)
    return status("busy", name + many, share=share, clock=now - job.started)


def _sample_status(job: Job, now: float) -> dict[str, Any]:
    """Describe which sample is being drawn, and how long the rest takes ("left", "clock")."""
    drawn, asked = job.step.step, job.step.steps
    clock = f"{now - job.started:.1f} s"
    if job.cancelling:
        return status("busy", "Keeping the samples that are there") | {"clock": clock}
    if drawn == asked:
        return status("busy", "Comparing the samples", share=1.0) | {"clock": clock}
    each = (job.sampled - job.started) / (drawn - 1) if drawn > 1 else 0.0
    since = max(now - job.sampled, 0.0)
    part = min(since / each, 0.95) if each else 0.0
    seconds = max(each * (asked - drawn) - since, 0.0)
    about = "up to" if job.settings.settle else "about"
    left = f"{about} {seconds:.0f} s left" if seconds else ""
    line = status("busy", f"Sample {drawn + 1} of {asked}", share=(drawn - 1 + part) / (asked - 1))
    return line | {"clock": f"{clock}, {left}" if left else clock, "left": left}


def progress(settings: Settings, step: Any, *, measuring: bool = False) -> float:
    """Estimate how much of a run is done, 0..1; a denoiser step is the unit."""
    sampled = settings.base in ("ldsr", "sr3")
    cost = dict.fromkeys(PARTS, 1.0) | {"decode": 2.0, "refine decode": 2.0}
    steps = settings.steps * (2 if settings.base == "sr3" and settings.cascade else 1)
    cost |= {"denoise": steps * sampled, "refine denoise": settings.refine_steps}
    for part in PARTS:
        refines = part.startswith("refine")
        if (measuring and not refines) or (refines and not (settings.refine or measuring)):
            cost[part] = 0.0
    parts = list(PARTS)
    if step.part not in parts:
        return 0.0
    before = sum(cost[part] for part in parts[: parts.index(step.part)])
    within = cost[step.part] * step.step / max(step.steps, 1)
    return (before + within) / max(sum(cost.values()), 1.0)


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th ..., 11th ..., 21st."""
    teen = 10 <= number % 100 <= 20
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _picture(address: str, words: tuple[str, str]) -> dict[str, Any]:
    urls = {name: f"{address}-{name}.png" for name in COMPOSITES}
    return {"urls": urls, "title": words[0], "text": words[1]}


def _overlay(key: str, shown: Shown, name: str) -> dict[str, Any]:
    title, text = OVERLAY_WORDS[name]
    about = {"url": f"ldsr/r/{key}/overlay-{name}.png", "title": title, "text": text}
    if name == "scl":
        shares = shown.marked.items()
        colours = [
            [name.capitalize(), render.CLASSES[name], f"{share:.0%}"] for name, share in shares
        ]
        return about | {"classes": colours}
    top = shown.heat_values(name)[1]
    if name == "detail" and shown.result.settings.base != TELLING_BASE:
        about["text"] += NOT_TELLING
    return about | {"unit": UNITS.get(name, "reflectance"), **_scale(top)}


def _scale(top: float) -> dict[str, Any]:
    """Numbers and colours of a heat map's bar."""
    ticks = [f"{share * top:.3g}" for share in (0, 0.25, 0.5, 0.75, 1)]
    return {"ticks": ticks, "colours": list(render.HEAT)}


def _links(key: str, shown: Shown, page_id: str | None) -> dict[str, Any]:
    stem = _stem(key, shown)
    pngs = {
        picture: {name: f"{stem}_{picture}_{name}_colour.png" for name in COMPOSITES}
        for picture in shown.pictures
    }
    files = {name: f"{stem}_{name}.tif" for name in shown.files}
    if shown.has_map:
        files["map"] = f"{stem}_map.html?download=1"
    page = f"?page={page_id}" if page_id else ""
    files["report"] = f"ldsr/r/{key}/report/{shown.report_name}{page}"
    return files | {"json": f"{stem}_run.json{page}", "png": pngs}


def _stem(key: str, shown: Shown) -> str:
    return f"ldsr/r/{key}/{shown.stem}"
