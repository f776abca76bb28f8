"""The pictures and files of one input or run: what `ldsr.web.files` serves.

Knows patches, results and how they are drawn; knows nothing of Gradio or of addresses.
"""

import copy
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.transform import Affine

from ldsr import render
from ldsr.data import scl
from ldsr.data.geotiff import encode_geotiff
from ldsr.data.mercator import Bounds, to_mercator
from ldsr.data.patch import Patch
from ldsr.result import SCALE, SuperResolution, Uncertainty
from ldsr.web.page_times import Drawing

PICTURES = ("input", "base", "refined")
COMPOSITES = {"true": render.true_colour, "false": render.false_colour}
OVERLAYS = ("uncertainty", "edges", "residual", "detail", "difference", "tags", "scl")
FILES = ("sr", "base", "detail", "uncertainty")
PIXEL_M = 2.5
"""Side of a result's pixel in metres, as the sentences of `ldsr.check_here` have it."""
LEVEL = 0.9
"""Of the interval that is drawn and written of on the page."""
RESIDUAL_SEEN, RESIDUAL_TOP = 5e-4, 5e-3
"""A difference to the input at 10 m is drawn where some of it exceeds the first, reflectance; its
last colour is the second at least, so that next to nothing looks like it."""


class Shown:
    """One picture on the screen: an input, and its result once there is one.

    Attributes:
        patch: the input.
        result: the result, or None.
        sample: key of the bundled sample, or None for an upload.
        sensitivity: what `Pipeline.prompt_sensitivity` measured, or None.
        samples: each sample drawn, as PNG by composite, the result itself first; () without any.
        map_page: the result on a map once it was asked for (`ldsr.web.maps.result_map`), or None.
        drawing: when its pictures were drawn, by PICTURE-COMPOSITE and overlay-OVERLAY.
    """

    def __init__(
        self, patch: Patch, result: SuperResolution | None = None, sample: str | None = None
    ) -> None:
        self.patch, self.result, self.sample = patch, result, sample
        self.sensitivity: Any = None
        self.samples: Sequence[Mapping[str, bytes]] = ()
        self.map_page: bytes | None = None
        self.drawing = Drawing()
        self.stretch = render.stretch_of(patch)
        self._pngs: dict[tuple[str, str], bytes] = {}

    @property
    def refined(self) -> bool:
        """True where there is a result with a second stage."""
        return self.result is not None and "refine" in self.result.figures

    @property
    def uncertainty(self) -> Uncertainty | None:
        """How far samples of the result differ, where some were drawn."""
        return None if self.result is None else self.result.uncertainty

    @property
    def pictures(self) -> tuple[str, ...]:
        """Those of PICTURES that there are."""
        return PICTURES[: 1 if self.result is None else 3 if self.refined else 2]

    @property
    def overlays(self) -> tuple[str, ...]:
        """Those of OVERLAYS that there are; an input has "scl" at most."""
        detail = self.refined and self.result.detail is not None
        sampled = self.uncertainty is not None
        there = (sampled, sampled, self._differs, detail, self.refined, self.sensitivity)
        there += (any(self.marked.values()),)
        return tuple(name for name, has in zip(OVERLAYS, there, strict=True) if has)

    @property
    def _differs(self) -> bool:
        """Whether there is a difference to the input at 10 m that is worth drawing."""
        residual = None if self.result is None else self.result.residual
        return residual is not None and float(residual.max()) >= RESIDUAL_SEEN

    @functools.cached_property
    def marked(self) -> dict[str, float]:
        """Shares of cloud, shadow and snow, 0..1; empty without a scene classification."""
        return {} if self.patch.scl is None else scl.shares(self.patch.scl)

    @property
    def has_map(self) -> bool:
        """True where there is a result and it can be placed on a map."""
        return self.result is not None and None not in (self.patch.crs, self.patch.transform)

    @property
    def files(self) -> tuple[str, ...]:
        """Those of FILES that there are."""
        if self.result is None:
            return ()
        there = (True, True, "detail" in self.overlays, self.uncertainty is not None)
        return tuple(name for name, has in zip(FILES, there, strict=True) if has)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, with room for the drawn pictures."""
        fine = self.patch.reflectance.nbytes * SCALE**2
        arrays = 0 if self.result is None else fine * (2.5 if self.refined else 1)
        page = fine // 3 if self.has_map else 0
        if self.uncertainty is not None:  # mean, deviation, scale, three maps; the samples' PNGs
            arrays += 3.75 * fine + sum(len(png) for one in self.samples for png in one.values())
        return self.patch.reflectance.nbytes + int(arrays) + fine + page

    @property
    def stem(self) -> str:
        """A file name made from the source, without suffix: letters, digits, - and _."""
        raw = Path(self.patch.source.name or self.sample or "patch").stem
        return (
            "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in raw)[:60]
            or "patch"
        )

    @property
    def report_name(self) -> str:
        """The report's file, named after place or scene and date: PLACE_2024-06-01_report.html."""
        acquired, stem = self.patch.source.acquired, self.stem
        if acquired and f"{acquired:%Y%m%d}" not in stem and f"{acquired:%Y-%m-%d}" not in stem:
            stem += f"_{acquired:%Y-%m-%d}"
        return f"{stem}_report.html"

    @functools.cached_property
    def change(self) -> np.ndarray:
        """Mean absolute difference of base and refined over the bands [4H, 4W], reflectance."""
        return render.difference(self.result.sr.reflectance, self.result.base.reflectance)

    def heat_values(self, overlay: str) -> tuple[np.ndarray, float]:
        """Give the map [4H, 4W] behind an overlay of numbers and the value of its last colour."""
        if overlay == "detail":
            return self.result.detail, self.result.settings.detail_cap or 1.0
        if overlay == "residual":
            fine = self.result.residual.repeat(SCALE, 0).repeat(SCALE, 1)
            return fine, max(render.heat_top(fine, self.result.sr.valid), RESIDUAL_TOP)
        if overlay == "uncertainty":
            values = 100 * self.uncertainty.relative_width(LEVEL)
        elif overlay == "edges":
            values = np.float32(PIXEL_M) * self.uncertainty.edge_spread
        else:
            values = self.change if overlay == "difference" else self.sensitivity.difference
        return values, render.heat_top(values, self.result.sr.valid)

    def sampled(self, result: SuperResolution, drawn: Sequence[Mapping[str, bytes]]) -> "Shown":
        """The same picture with what further samples say of it.

        Args:
            result: the same, with its uncertainty.
            drawn: the further samples as PNG by composite, in their order.
        """
        again = copy.copy(self)
        first = {name: self.png(self.pictures[-1], name) for name in COMPOSITES}
        again.result, again.samples = result, (first, *drawn)
        return again

    def draw(self, reflectance: np.ndarray, composite: str, *, level: int = 4) -> bytes:
        """Draw a 2.5 m picture of this place as PNG, with this input's stretch."""
        return render.encode_png(self.colour(reflectance, composite), level=level)

    def colour(self, reflectance: np.ndarray, composite: str) -> np.ndarray:
        """Draw a 2.5 m picture of this place: uint8 [4H, 4W, 3], or RGBA where not all is valid."""
        valid = render.enlarge_mask(self.patch.valid, SCALE)
        picture = COMPOSITES[composite](
            reflectance, self.stretch, valid=None if valid.all() else valid
        )
        return picture[..., :3] if valid.all() else picture

    def reflectance(self, picture: str) -> np.ndarray:
        """Give one of `pictures` at 2.5 m: float32 [4, 4H, 4W]."""
        if picture == "input":
            return render.upsample(self.patch, SCALE)
        return (self.result.base if picture == "base" else self.result.sr).reflectance

    def png(self, picture: str, composite: str) -> bytes:
        """Draw one of `pictures` at 2.5 m as PNG, once."""
        key = picture, composite
        if key not in self._pngs:
            with self.drawing(f"{picture}-{composite}"):
                self._pngs[key] = self.draw(self.reflectance(picture), composite)
        return self._pngs[key]

    def overlay_png(self, overlay: str) -> bytes:
        """Draw one of `overlays` as PNG, in the colours of `render.HEAT` or `render.CLASSES`."""
        with self.drawing(f"overlay-{overlay}"):
            if overlay == "scl":
                return render.encode_png(render.classes(self.patch.scl, SCALE))
            values, top = self.heat_values(overlay)
            return render.encode_png(render.heat(values, top, valid=self.result.sr.valid))

    @functools.cached_property
    def on_ground(self) -> tuple[bytes, Bounds]:
        """The input in true colour as a web map needs it: PNG, and its corners in degrees."""
        colours = self.colour(self.reflectance("input"), "true")
        fine = self.patch.transform @ Affine.scale(1 / SCALE)
        picture, bounds = to_mercator(colours, self.patch.crs, fine)
        return render.encode_png(picture), bounds

    def geotiff(self, which: str) -> bytes:
        """Write one of `files` as a GeoTIFF and give its bytes."""
        return encode_geotiff(self.result, picture=which)

    def sheet(self, page_seconds: Mapping[str, float] | None = None) -> bytes:
        """The run sheet as indented JSON.

        Args:
            page_seconds: what the page itself took (`ldsr.web.page_times`), where that is known.
        """
        sheet = self.result.run_sheet()
        if page_seconds:
            rounded = {name: round(value, 3) for name, value in page_seconds.items()}
            sheet |= {"page_seconds": rounded}
        return json.dumps(sheet, indent=2).encode()


class Frames:
    """What is drawn while further samples come: each of them, and the map of their spread so far.

    Attributes:
        samples: each as PNG by composite.
        spread: the newest map as PNG, or None.
        top: the value of its last colour, reflectance.
    """

    def __init__(self, patch: Patch) -> None:
        self.samples: list[Mapping[str, bytes]] = []
        self.spread: bytes | None = None
        self.top = 0.0
        self._frame = Shown(patch)
        self._valid = render.enlarge_mask(patch.valid, SCALE)

    def add(self, picture: np.ndarray, spread: np.ndarray) -> None:
        """Draw a sample [4, 4H, 4W] and the deviation of all so far [4H, 4W], reflectance."""
        self.top = render.heat_top(spread, self._valid)
        self.spread = render.encode_png(render.heat(spread, self.top, valid=self._valid), level=1)
        self.samples.append({name: self._frame.draw(picture, name) for name in COMPOSITES})
