"""What a score is: a number or the reason why there is none, what it sees, and how it was made.

Every score of this package is one `Score`; every metric is one line of METRICS.
"""

import dataclasses
import math
from collections.abc import Mapping

from ldsr.errors import MetricError, WeightsError

ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
"""Which way is better, as drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """One thing that can be measured.

    Attributes:
        name: key, such as "psnr".
        title: to show.
        unit: "dB", "°", "px" or "".
        better: "higher", "lower" or "none".
        needs: "reference" (the true picture), "input" (the 10 m picture), "both" or "nothing".
        sees: one sentence: what it responds to.
        misses: one sentence: what it does not see, or rewards wrongly.
        digits: decimals to show.
    """

    name: str
    title: str
    unit: str = ""
    better: str
    needs: str
    sees: str
    misses: str
    digits: int = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One measurement.

    Attributes:
        metric: what was measured.
        value: the number, or None where there is none.
        status: "ok", "unavailable" (something is missing on this machine) or "not applicable"
            (something is missing in what was given, such as a reference).
        reason: why there is no number, one sentence, else "".
        fix: what to do about it, one sentence, else "".
        provenance: how it was made: package and version, weights and their SHA-256, settings.
        parts: further numbers by name, such as each band's.
    """

    metric: Metric
    value: float | None
    status: str = "ok"
    reason: str = ""
    fix: str = ""
    provenance: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> str:
        """The value as shown, "–" where there is none, "∞" for identical pictures' PSNR."""
        if self.value is None:
            return "–"
        unit = f" {self.metric.unit}" if self.metric.unit else ""
        if math.isinf(self.value):
            return f"∞{unit}"
        return f"{self.value:.{self.metric.digits}f}{unit}"


class Missing(MetricError):
    """Something that a score needs is not on this machine: becomes `unavailable`.

    Attributes:
        reason: one sentence.
        fix: one sentence.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason} {fix}")
        self.reason = reason
        self.fix = fix

    @classmethod
    def of(cls, error: WeightsError) -> "Missing":
        """The same of weights that were not found: "what is wrong; what to do."."""
        reason, _, fix = str(error).partition("; ")
        return cls(f"{reason.rstrip('.')}.", fix[:1].upper() + fix[1:])


class Unfit(MetricError):
    """The pictures do not allow a score: becomes `not_applicable`."""


def unavailable(metric: Metric, reason: str, fix: str) -> Score:
    """A score that this machine cannot compute."""
    return Score(metric=metric, value=None, status="unavailable", reason=reason, fix=fix)


def not_applicable(metric: Metric, reason: str, fix: str = "") -> Score:
    """A score that what was given does not allow."""
    return Score(metric=metric, value=None, status="not applicable", reason=reason, fix=fix)
