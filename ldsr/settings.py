"""Every knob of one run, in one frozen record that checks itself.

Knows nothing of pictures, networks or the page: standard library only.
"""

import dataclasses
import json
import math

from ldsr.errors import LdsrError
from ldsr.semantics.vocabulary import parse_tags

BASES = ("ldsr", "sr3", "regression", "bicubic")
FIXED = ("regression", "bicubic")
"""Bases in which nothing is drawn at random."""
SAMPLERS = ("ddim", "dpm")
SKIP_FORMS = ("residual", "shallow", "literal")
SEMANTICS = ("spectral", "clip", "llava", "none")
CONSISTENCIES = ("psf", "box", "none")
MAX_SAMPLES = 32
DEFAULT_SAMPLES = 8
"""Pictures drawn where somebody asks for uncertainty and not for a number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How one patch is super-resolved; equal settings and seed give equal pictures.

    Attributes:
        base: stage 1, one of BASES ("ldsr" is the latent diffusion).
        sampler: of both stages, "ddim" or "dpm" (DPM-Solver++(2M)).
        steps: denoiser evaluations of stage 1, 1..1000.
        eta: DDIM noise, 0 (deterministic) .. 1 (ancestral); ignored by "dpm".
        temperature: amplitude of the noise that stage 1 starts from, 0 (one picture, near the
            most likely) .. 1 (as the model was trained); None takes what the weights recommend.
        consistency: the operator D of the back-projection: "psf" (Sentinel-2's point spread
            function), "box" (4 x 4 mean) or "none".
        seed: of the noise, 0..2**32 - 1.
        samples: pictures drawn to see how far they differ, of seed, seed + 1, ...; 0 (none) or
            2..32.
        settle: sampling ends early once the map of their spread changes by less than this share
            with a further sample, 0 (never) .. 1.
        skip_threshold: relative change of a denoiser's first block below which a step uses deep
            features of an earlier one again, 0 (never) .. 1.
        skip_form: what it uses again: "residual" (all but the first block), "shallow" (the lower
            levels; in runs of more than 50 steps all between the first and the last block) or
            "literal" (the first block's output is the output).

    Raises:
        LdsrError: a value out of its range.
    """

    base: str = "ldsr"
    sampler: str = "ddim"
    steps: int = 8
    eta: float = 0.0
    temperature: float | None = None
    consistency: str = "psf"
    seed: int = 0
    samples: int = 0
    settle: float = 0.02
    cascade: bool = False
    refine: bool = True
    refine_steps: int = 3
    refine_strength: float = 0.3
    detail_cap: float = 0.9
    control_scale: float = 1.0
    semantics: str = "spectral"
    tag_weight: float = 1.0
    skip_threshold: float = 0.15
    skip_form: str = "shallow"

    def __post_init__(self) -> None:
        _one_of("base", self.base, BASES)
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("consistency", self.consistency, CONSISTENCIES)
        _whole("steps", self.steps, 1, 1000)
        _whole("seed", self.seed, 0, 2**32 - 1)
        if self.samples != 0:
            _whole("samples", self.samples, 2, MAX_SAMPLES)
        _real("settle", self.settle, 0.0, 1.0)
        _real("eta", self.eta, 0.0, 1.0)
        if self.temperature is not None:
            _real("temperature", self.temperature, 0.0, 1.0)
        _flag("cascade", self.cascade)
        _flag("refine", self.refine)
        _whole("refine_steps", self.refine_steps, 1, 1000)
        _real("refine_strength", self.refine_strength, 0.0, 1.0)
        _real("detail_cap", self.detail_cap, 0.0, 1.0)
        _real("control_scale", self.control_scale, 0.0, 2.0)
        _real("tag_weight", self.tag_weight, 0.0, 4.0)
        _real("skip_threshold", self.skip_threshold, 0.0, 1.0)
        _one_of("skip_form", self.skip_form, SKIP_FORMS)
        if self.samples and not self.draws:
            raise LdsrError(
                f"samples is {self.samples}, but base {self.base} without refining draws nothing "
                "with these settings: all samples would be the same; refine, or choose base ldsr "
                "or sr3 with a temperature above 0."
            )
        if self.semantics not in SEMANTICS:
            parse_tags(self.semantics)

    @property
    def draws(self) -> bool:
        """Whether anything is drawn at random, so that another seed gives another picture."""
        noise = self.temperature != 0 or (self.eta > 0 and self.sampler == "ddim")
        return self.refine or (self.base not in FIXED and noise)

    def to_json(self) -> str:
        """Write the settings as a JSON object, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """Read what `to_json` wrote.

        Raises:
            LdsrError: not a JSON object, an unknown key, or a value out of its range.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise LdsrError(
                f"The settings are not JSON ({error}); use a run sheet's 'settings'."
            ) from error
        if not isinstance(values, dict):
            raise LdsrError(f"The settings are a JSON {type(values).__name__}, expected an object.")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise LdsrError(
                f"Unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}."
            )
        return cls(**values)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise LdsrError(f"{name} is {value!r}; expected one of {', '.join(allowed)}.")


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise LdsrError(f"{name} is {value!r}; expected true or false.")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise LdsrError(f"{name} is {value!r}; expected a whole number from {low} to {high}.")


def _real(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:
        raise LdsrError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")


PRESETS = {
    "fast": Settings(base="regression", steps=4, refine_steps=3, detail_cap=0.8),
    "balanced": Settings(),
    "best": Settings(steps=20, refine_steps=6),
}
"""Named settings. With three or four evaluations of a denoiser in all, stage 2 on the regression is
better than the latent diffusion alone; with more, the latent diffusion is the better base: see the
scores in assets/weights/MODEL_CARD.md."""
