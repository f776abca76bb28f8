"""The figures of a report as HTML: a picture, its scale bar, north, outlines and legend."""

import base64
import html
from collections.abc import Sequence

import numpy as np

from ldsr import render
from ldsr.data import scl
from ldsr.report import passages
from ldsr.report.ground import Ground, find_ground
from ldsr.report.pictures import Heat, Pictures
from ldsr.result import Place, SuperResolution

PIN = 0.07
"""Side of a place's number, as a share of the picture's."""
NORTH = (
    '<svg viewBox="0 0 20 30"><path d="M10 1 17 17 10 13 3 17z"/>'
    '<text x="10" y="29" text-anchor="middle">N</text></svg>'
)


def text(content: str) -> str:
    """Escape what is not ours."""
    return html.escape(content)


def wholes(result: SuperResolution, pictures: Pictures) -> str:
    """Figures of the whole picture: the input in both ways, and the stages."""
    ground, crop = find_ground(result.lr), pictures.crop
    height, width = result.lr.size
    box = _svg(
        f'<rect x="{crop.col}" y="{crop.row}" width="{crop.side}" height="{crop.side}"/>',
        (height, width),
        "box",
    )
    return "".join(
        _figure(content, _titles(result)[name], ground, pictures.size, over=box)
        for name, content in pictures.whole.items()
    )


def crops(result: SuperResolution, pictures: Pictures) -> str:
    """Figures of the magnified part."""
    ground, side = find_ground(result.lr), pictures.crop.side
    part = ground.part(side / result.lr.size[1]) if ground else None
    return "".join(
        _figure(content, _titles(result)[name], part, (1, 1))
        for name, content in pictures.closer.items()
    )


def map_figure(
    result: SuperResolution, pictures: Pictures, name: str, about: str, unit: str
) -> str:
    """Figure of a heat map with its legend."""
    heat, (title, _, words) = pictures.maps[name], about.partition(": ")
    return _figure(
        heat.content,
        (title, words),
        find_ground(result.lr),
        pictures.size,
        alt=f"Map of {title.lower()}: mean {heat.mean:.3g}, largest {heat.largest:.3g} {unit}",
        under=_legend(heat, unit),
    )


def uncertainty_figure(result: SuperResolution, pictures: Pictures, about: str) -> str:
    """Figure of the uncertainty with the places to check, numbered."""
    heat, places = pictures.maps["uncertainty"], result.uncertainty.places
    title, _, words = about.partition(": ")
    outlines = [" ".join(f"{col:g},{row:g}" for row, col in place.outline) for place in places]
    shapes = "".join(f'<polygon points="{points}"/>' for points in outlines)
    count = f"{len(places)} place{'' if len(places) == 1 else 's'} to check"
    return _figure(
        heat.content,
        (title, words),
        find_ground(result.lr),
        pictures.size,
        alt=f"Map of uncertainty: mean {heat.mean:.3g} % of the brightness, {count}",
        over=_svg(shapes, result.sr.size, "places") + _pins(places, result.sr.size),
        under=_legend(heat, "% of the brightness"),
    )


def _pins(places: Sequence[Place], size: tuple[int, int]) -> str:
    """The numbers of places, each at the first side of its outline where there is room for it."""
    taken: list[np.ndarray] = []
    pins = []

    def room(at: np.ndarray) -> float:
        others = [np.abs(at - other).max() for other in taken]
        return min(PIN, 2 * at.min(), 2 * (1 - at).min(), *others)

    for number, place in enumerate(places, 1):
        outline = np.array(place.outline) / size
        low, high = outline.min(0), outline.max(0)
        row, col = (low + high) / 2
        sides = {  # where the number begins, and where it goes from there
            "above": ((low[0], col), (-1, 0)),
            "below": ((high[0], col), (1, 0)),
            "left": ((row, low[1]), (0, -1)),
            "right": ((row, high[1]), (0, 1)),
        }
        middles = {
            side: np.array(at) + PIN / 2 * np.array(way) for side, (at, way) in sides.items()
        }
        side = max(sides, key=lambda side: room(middles[side]))
        taken.append(middles[side])
        down, right = sides[side][0]
        at = f"left:{100 * right:.1f}%;top:{100 * down:.1f}%"
        pins.append(f'<span class="pin {side}" style="{at}" aria-hidden="true">{number}</span>')
    return "".join(pins)


def mask_figure(result: SuperResolution, pictures: Pictures) -> str:
    """Figure of cloud, shadow, snow and gaps over the input."""
    patch = result.lr
    shares = {} if patch.scl is None else scl.shares(patch.scl)
    items = [
        (name, render.CLASSES[name], passages.percent(share))
        for name, share in shares.items()
        if share > 0
    ]
    if not patch.valid.all():
        items.append(("no data", "#808080", f"{1 - patch.valid.mean():.1%}"))
    legend = "".join(
        f'<li><i style="background:{colour}"></i>{text(name.capitalize())} {share}</li>'
        for name, colour, share in items
    )
    said = ", ".join(f"{name} {share}" for name, _, share in items)
    return _figure(
        pictures.mask,
        ("Clouds and gaps", "over the input"),
        find_ground(patch),
        pictures.size,
        alt=f"The input with what is marked on it: {said}",
        under=f'<ul class="classes">{legend}</ul>',
    )


def _titles(result: SuperResolution) -> dict[str, tuple[str, str]]:
    """Of each picture: its name, and what it is."""
    coarse, fine = passages.coarse(result.lr), passages.fine(result.lr)
    base = "stage 1" if "refine" in result.figures else "the result"
    return {
        "nearest": ("Input", f"{coarse}, as it was given"),
        "bicubic": ("Input, bicubic", "enlarged, nothing generated"),
        "base": ("Base", f"{fine}, {base}"),
        "refined": ("Refined", f"{fine}, stage 2, the result"),
    }


def _figure(
    content: bytes,
    words: tuple[str, str],
    ground: Ground | None,
    size: tuple[int, int],
    *,
    alt: str = "",
    over: str = "",
    under: str = "",
) -> str:
    """A picture with its caption, and over it scale bar and north where they are known."""
    height, width = size
    scale = ""
    alt = alt or f"{words[0]}: {words[1]}"
    if ground:
        share, length = ground.bar()
        scale = (
            f'<span class="bar" style="width:{100 * share:.2f}%" aria-hidden="true">'
            f"<b>{length}</b></span>"
            f'<span class="north" style="transform:rotate({ground.north:.1f}deg)" '
            f'aria-hidden="true">{NORTH}</span>'
        )
        alt += f"; {ground.size}"
    uri = "data:image/webp;base64," + base64.b64encode(content).decode()
    return (
        f'<figure><div class="frame" '
        f'style="--ratio:{width / height:.4f}"><img src="{uri}" alt="{text(alt)}">{over}{scale}'
        f"</div><figcaption><b>{text(words[0])}</b> {text(words[1])}</figcaption>{under}</figure>"
    )


def _svg(shapes: str, size: tuple[int, int], kind: str) -> str:
    """Lay shapes in pixels of a grid over a picture."""
    height, width = size
    return (
        f'<svg class="over {kind}" viewBox="0 0 {width} {height}" preserveAspectRatio="none" '
        f'aria-hidden="true">{shapes}</svg>'
    )


def _legend(heat: Heat, unit: str) -> str:
    return (
        f'<div class="legend"><span class="ramp" style="background:linear-gradient(90deg,'
        f'{",".join(render.HEAT)})"></span><span class="ticks"><span>0</span>'
        f"<small>{text(unit)}</small><span>{heat.top:.3g}</span></span></div>"
    )
