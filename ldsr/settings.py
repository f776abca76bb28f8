"""Every knob of one run, in one frozen record that checks itself.

Knows nothing of pictures, networks or the page: standard library only.
"""

import dataclasses
import json
import math

from ldsr.errors import LdsrError

BASES = ("ldsr", "regression", "bicubic")
SAMPLERS = ("ddim", "dpm")
CONSISTENCIES = ("psf", "box", "none")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """How one patch is super-resolved; equal settings and seed give equal pictures.

    Attributes:
        base: stage 1, one of BASES ("ldsr" is the latent diffusion).
        sampler: "ddim" or "dpm" (DPM-Solver++(2M)).
        steps: denoiser evaluations of stage 1, 1..1000.
        eta: DDIM noise, 0 (deterministic) .. 1 (ancestral); ignored by "dpm".
        temperature: amplitude of the noise that sampling starts from, 0 (one picture, near the
            most likely) .. 1 (as the model was trained); None takes what the weights recommend.
        consistency: the operator D of the back-projection: "psf" (Sentinel-2's point spread
            function), "box" (4 x 4 mean) or "none".
        seed: of the noise, 0..2**32 - 1.

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

    def __post_init__(self) -> None:
        _one_of("base", self.base, BASES)
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("consistency", self.consistency, CONSISTENCIES)
        _whole("steps", self.steps, 1, 1000)
        _whole("seed", self.seed, 0, 2**32 - 1)
        _real("eta", self.eta, 0.0, 1.0)
        if self.temperature is not None:
            _real("temperature", self.temperature, 0.0, 1.0)

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


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise LdsrError(f"{name} is {value!r}; expected a whole number from {low} to {high}.")


def _real(name: str, value: object, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high:
        raise LdsrError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}.")


PRESETS = {
    "fast": Settings(sampler="ddim", steps=4),
    "balanced": Settings(sampler="ddim", steps=8),
    "best": Settings(sampler="ddim", steps=20),
}
"""Named settings: half the default steps, the default, and as many as still change the picture."""
