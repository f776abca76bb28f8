"""One evaluation: results beside bicubic, their truth and scores; its pictures and its files.

Knows patches and scores; knows nothing of Gradio or of addresses.
"""

import csv
import dataclasses
import functools
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from evaluation.judge import Judge
from evaluation.pair_scores import to_dict
from evaluation.score import Score
from ldsr import render
from ldsr.data.patch import Patch
from ldsr.result import SuperResolution
from ldsr.web.evaluate.leaderboard import plain

TRUTHS = {
    "none": "No reference",
    "wald": "Wald's protocol",
    "reference": "Your reference",
}
"""Ways to a truth, with their names on the page."""
MAPS = ("error", "improvement", "omission", "hallucination")


@dataclasses.dataclass(kw_only=True, eq=False)
class Evaluation:
    """What was judged and how.

    Attributes:
        truth: of TRUTHS.
        shown: id of the result it is of, on the Super-resolve tab.
        name, stem: of the input, to show and for file names.
        lr: the input that the methods had.
        methods: results by name, of METHODS.
        references: the true picture by how it was prepared; empty without one.
        remark: one sentence on the truth.
        sheet: the run sheet of the result.
        line: what it was made with, to show.
        scores: of each reference ("" without one), of each method.
        seconds: that computing them took.
        date: when it was made.
    """

    truth: str
    shown: str
    name: str
    stem: str
    lr: Patch
    methods: Mapping[str, Patch]
    references: Mapping[str, Patch]
    remark: str
    sheet: Mapping[str, Any]
    line: str
    scores: dict[str, dict[str, Sequence[Score]]] = dataclasses.field(default_factory=dict)
    seconds: float | None = None
    date: datetime = dataclasses.field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.png = functools.lru_cache(64)(self._png)
        self.maps = functools.cache(self._maps)

    @property
    def labels(self) -> tuple[str, ...]:
        """How the references were prepared; one empty text where there are none."""
        return tuple(self.references) or ("",)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, with room for the maps and the drawn pictures."""
        each = [patch.reflectance.nbytes for patch in (*self.methods.values(), self.lr)]
        fine = sum(patch.reflectance.nbytes for patch in self.references.values())
        return sum(each) + fine * (1 + len(self.methods))

    @functools.cached_property
    def stretch(self) -> render.Stretch:
        """Of all pictures."""
        return render.stretch_of(self.lr)

    @functools.cached_property
    def error_top(self) -> float:
        """The last colour of every map of error: of the first reference and the last method."""
        label, method = self.labels[0], list(self.methods)[-1]
        values = self.maps(label, method)["error"]
        return render.heat_top(np.nan_to_num(values), np.isfinite(values))

    def top(self, name: str) -> float:
        """The value of a map's last colour."""
        return self.error_top if name == "error" else 1.0

    def _maps(self, label: str, method: str) -> dict[str, np.ndarray]:
        judge = Judge(metrics=())
        return judge.maps(self.methods[method], lr=self.lr, hr=self.references[label])

    def _png(self, name: str) -> bytes | None:
        """Draw METHOD.png, truth-N.png or MAP-METHOD-N.png; None where there is no such picture."""
        first, *rest = name.removesuffix(".png").split("-")
        pictures = dict(self.methods)
        pictures |= {f"truth-{i}": hr for i, hr in enumerate(self.references.values())}
        found = pictures.get("-".join([first, *rest]))
        if found is not None:
            valid = None if found.valid.all() else found.valid
            return render.encode_png(
                render.true_colour(found.reflectance, self.stretch, valid=valid)
            )
        known = {str(i): label for i, label in enumerate(self.references)}
        if first not in MAPS or len(rest) != 2 or rest[0] not in self.methods:
            return None
        if rest[1] not in known:
            return None
        values = self.maps(known[rest[1]], rest[0])[first]
        there = np.isfinite(values)
        return render.encode_png(render.heat(np.nan_to_num(values), self.top(first), valid=there))

    def to_csv(self) -> str:
        """Write the scores as CSV: a line for each reference, metric and method."""
        sink = io.StringIO()
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(
            ["picture", "truth", "reference", "metric", "title", "unit", "better", "method"]
            + ["value", "status", "reason", "weights", "weights_sha256", "provenance"]
        )
        weights = self.sheet["weights"]
        for label in self.labels:
            for scores in zip(*self.scores[label].values(), strict=True):
                for method, score in zip(self.scores[label], scores, strict=True):
                    metric = score.metric
                    made = "; ".join(f"{k}: {v}" for k, v in score.provenance.items())
                    row = [plain(self.name), self.truth, label, metric.name, metric.title]
                    row += [metric.unit, metric.better, method, score.value, score.status]
                    row += [score.reason, weights["name"], weights["sha256"], made]
                    writer.writerow(["" if item is None else item for item in row])
        return sink.getvalue()

    def to_json(self) -> str:
        """Write scores, their provenance, and the run sheet of the result."""
        found = {
            label or "no reference": {
                method: [to_dict(score) for score in scores]
                for method, scores in self.scores[label].items()
            }
            for label in self.labels
        }
        about = {
            "picture": self.name,
            "truth": self.truth,
            "remark": self.remark,
            "date": self.date.isoformat(timespec="seconds"),
            "scores": found,
            "run": self.sheet,
        }
        return json.dumps(about, indent=2)


def compared(result: SuperResolution) -> dict[str, Patch]:
    """What a result is compared as: bicubic always, base, and refined where there was stage 2."""
    bicubic = dataclasses.replace(result.base, reflectance=render.upsample(result.lr))
    found = {"bicubic": bicubic, "base": result.base}
    return found | ({"refined": result.sr} if "refine" in result.figures else {})
