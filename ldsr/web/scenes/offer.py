"""Offers of scene jobs: what a picture too large to be shown at once would take as one.

An offer is made when an upload or an area is too large, and becomes a job when the person says so.
Knows nothing of Gradio.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ldsr.data.patch import MAX_SIDE
from ldsr.data.reader import file_format
from ldsr.data.scenes import Scene, day
from ldsr.errors import SceneError
from ldsr.result import SuperResolution
from ldsr.settings import DEFAULT_SAMPLES, Settings
from ldsr.web.scenes.area import Area, items_of
from ldsr.web.scenes.jobs import SceneJobs
from ldsr.web.scenes.records import Record, Wish
from ldsr.web.scenes.run import cost_of, machine_options, setting_options
from ldsr.words import duration

MAX_PIXELS = 2**28
"""Of an upload: two whole tiles. Where a picture is empty, all of it is looked at."""
LAYERS = {"detail": "Generated detail", "uncertainty": "Uncertainty"}
OF_ONE_PICTURE = ("clip", "llava")
"""Sources of tags that a scene job does not have."""
SCALE = 4
PUBLISHED = "ldsr-s2"
"""The weights that look at a whole picture at once: their windows are small."""
GONE = "This offer is no longer open; choose the picture or the area again."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Offer:
    """What could become a scene job.

    Attributes:
        name: of the picture, to show.
        text: one sentence: what it is, and what is shown at once.
        size: rows and columns.
        scene: see `Wish`.
        files: see `Wish`.
        options: how the command reads it.
        about: see `Wish`.
    """

    name: str
    text: str
    size: tuple[int, int]
    scene: str
    files: Mapping[str, Path | bytes]
    options: tuple[str, ...]
    about: Mapping[str, str]


def offer_upload(paths: Sequence[str], answers: Mapping[str, str]) -> Offer | None:
    """Make an offer of an upload, where it is one that `read_patch` finds too large.

    Args:
        paths: of the files uploaded.
        answers: what the person answered about them, as `read_patch` takes it.

    Returns:
        The offer, or None where it is not too large, or not one file with pixels in it.

    Raises:
        AmbiguousPatchError: something else has to be asked first.
        LdsrError: what is wrong with it.
    """
    if len(paths) != 1:
        return None
    path = Path(paths[0])
    if not path.is_file() or file_format(path) not in ("raster", "safe"):
        return None  # a STAC item leads to files elsewhere: not from a stranger
    with _opened(path, answers) as scene:
        rows, columns = scene.size
    if max(rows, columns) <= MAX_SIDE:
        return None
    return Offer(
        name=path.name,
        text=f"This picture is {columns} x {rows} px, more than the {MAX_SIDE} px a side that are "
        "shown at once.",
        size=(rows, columns),
        scene=f"input/{path.name}",
        files={path.name: path},
        options=tuple(f"--{name}={value}" for name, value in answers.items()),
        about={},
    )


def offer_area(scene: Scene, area: Area) -> Offer:
    """Make an offer of an area of a scene."""
    if scene.crs is not None:
        area = area.moved_to(scene.crs)
    rows, columns = area.size
    west, south, east, north = area.degrees
    return Offer(
        name=scene.id,
        text=f"This area is {columns / 100:.1f} x {rows / 100:.1f} km ({columns} x {rows} px), "
        "more than the 2.56 km a side that are shown at once.",
        size=area.size,
        scene="input/items.json",
        files={"items.json": items_of(scene)},
        options=(
            f"--bounds={west:.7f},{south:.7f},{east:.7f},{north:.7f}",
            f"--catalogue={scene.catalogue}",
        ),
        about={"acquired": day(scene.acquired)},
    )


def offer_value(
    offer: Offer,
    jobs: SceneJobs,
    *,
    weights: str,
    settings: Settings,
    layers: Sequence[str],
    shown: SuperResolution | None,
) -> dict[str, Any]:
    """Describe an offer for the page.

    Args:
        offer: to describe.
        jobs: whose figures say how long it takes.
        weights: name.
        settings: that stand on the page.
        layers: those that are ticked.
        shown: the result on the person's screen, whose time is a figure too.
    """
    wanted = with_layers(settings, layers)
    plan = plan_of(offer.size, weights)
    windows = math.prod(plan.shape)
    each = jobs.figures.seconds(cost_of(weights, wanted))
    seconds = None if each is None else each * windows
    if seconds is None and shown is not None and shown.weights == weights:
        seconds = _scaled(plan, shown, cost_of(weights, wanted))
    return {
        "name": offer.name,
        "text": offer.text,
        "windows": windows,
        "time": None if seconds is None else duration(seconds),
        "before": jobs.before(),
        "refine": settings.refine,
        "draws": settings.draws,
        "result": f"{SCALE * offer.size[1]} x {SCALE * offer.size[0]} px",
    }


def make_job(
    offer: Offer,
    jobs: SceneJobs,
    *,
    pipeline: Any,
    settings: Settings,
    layers: Sequence[str],
    person: str = "",
) -> Record:
    """Put what was offered into the line.

    Args:
        offer: to become a job.
        jobs: the line.
        pipeline: of the page; its `name`, `device`, `half` and `compiled` are the job's.
        settings: that stand on the page.
        layers: those that are ticked.
        person: who it counts for, "" for nobody.

    Raises:
        LdsrError: layers that the settings do not give, or no room for another job.
    """
    chosen = [layer for layer in LAYERS if layer in layers]
    if "detail" in chosen and not settings.refine:
        raise SceneError(
            "Generated detail is a layer of stage 2, which is switched off; switch Refine on, or "
            "leave that layer out."
        )
    if settings.semantics in OF_ONE_PICTURE:
        raise SceneError(
            f"Land cover by {settings.semantics.upper()} is of one picture; for a scene job choose "
            "Spectral, None, or edit it."
        )
    wanted = with_layers(settings, chosen)
    options = [*offer.options, *machine_options(pipeline), *setting_options(wanted)]
    options += [f"--{layer}" for layer in chosen]
    bands = 4 + ("detail" in chosen) + 4 * ("uncertainty" in chosen)
    wish = Wish(
        name=offer.name,
        scene=offer.scene,
        files=offer.files,
        size=offer.size,
        windows=math.prod(plan_of(offer.size, pipeline.name).shape),
        options=options,
        cost=cost_of(pipeline.name, wanted),
        bytes=2 * bands * SCALE**2 * math.prod(offer.size),
        about=dict(offer.about) | _about(wanted, chosen),
    )
    return jobs.submit(wish, person=person)


def with_layers(settings: Settings, layers: Sequence[str]) -> Settings:
    """Settings of a job: samples are drawn for the layer uncertainty, and for nothing else.

    Raises:
        LdsrError: samples of settings that draw nothing.
    """
    samples = (settings.samples or DEFAULT_SAMPLES) if "uncertainty" in layers else 0
    return dataclasses.replace(settings, samples=samples)


def plan_of(size: tuple[int, int], weights: str) -> Any:
    """The windows (`ldsr.scene.windows.Plan`) that a scene will be cut into."""
    from ldsr.scene.job import Choices, make_plan  # torch: not before the page is up

    return make_plan(size, Choices(), local=weights != PUBLISHED)


def _scaled(plan: Any, shown: SuperResolution, cost: str) -> float | None:
    """Seconds by the time of a run of equal settings, by its pixels."""
    if cost_of(shown.weights, dataclasses.replace(shown.settings, samples=0)) != cost:
        return None
    total = shown.seconds.get("total")
    seen = [
        sum(len(plan[(i, 0) if axis == 0 else (0, i)].seen[axis]) for i in range(plan.shape[axis]))
        for axis in (0, 1)
    ]
    return None if not total else total * math.prod(seen) / math.prod(shown.lr.size)


def _about(settings: Settings, layers: Sequence[str]) -> dict[str, str]:
    """What the card says of the settings."""
    stages = f"base {settings.base}" + (", refined" if settings.refine else "")
    facts = {"settings": stages, "seed": str(settings.seed)}
    if layers:
        facts["layers"] = ", ".join(LAYERS[layer].lower() for layer in layers)
    return facts


@contextmanager
def _opened(path: Path, answers: Mapping[str, str]) -> Iterator[Any]:
    from ldsr.data.whole import open_scene

    with open_scene(str(path), most_pixels=MAX_PIXELS, **answers) as scene:
        yield scene
