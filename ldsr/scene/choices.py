"""What a person may choose for a scene, what goes together, and the windows that follow."""

import dataclasses

from ldsr.data import scl
from ldsr.errors import LdsrError
from ldsr.scene.cog import DTYPES
from ldsr.scene.scene import Scene
from ldsr.scene.windows import Plan
from ldsr.scene.worker import Machine
from ldsr.settings import Settings

SIDE = 384
"""Side of a window's own block, in pixels of 10 m: with its margin it takes less than 3 GB."""
MARGIN, EXACT_MARGIN = 32, 56
"""Seen around it: how near windows come to the picture done at once with either, measures
`python -m tests.benchmarks.scene --exactness 320`."""
RAMP = 16
PUBLISHED_SIDE, PUBLISHED_MARGIN = 96, 16
"""LDSR-S2 looks at all of its picture at once: it gets the 128 pixels it was trained with."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choices:
    """What a person may choose for a scene.

    Attributes:
        machine: weights and how they are computed.
        settings: of every window; with `samples` the half widths of the intervals are written.
        dtype: of the file, one of `ldsr.scene.cog.DTYPES`.
        detail: whether generated detail is written, too.
        mask: kinds of `ldsr.data.scl.MARKED` that become no-data.
        exact: windows equal the whole picture within 1e-4: float32, no skipped steps, wide margins.
        side: most pixels of a window's own block, or None.
        resume: go on with an unfinished job.
        gaps: write the file even if windows failed; they are no-data in it.
    """

    machine: Machine = dataclasses.field(default_factory=Machine)
    settings: Settings = dataclasses.field(default_factory=Settings)
    dtype: str = "uint16"
    detail: bool = False
    mask: tuple[str, ...] = ()
    exact: bool = False
    side: int | None = None
    resume: bool = False
    gaps: bool = False


def make_plan(size: tuple[int, int], choices: Choices, *, local: bool) -> Plan:
    """Cut a scene into windows.

    Args:
        size: rows and columns.
        choices: `exact` and `side` count.
        local: whether the model's pixels depend on their neighbourhood alone.

    Raises:
        LdsrError: a side that windows cannot have, exactness of a model that is not local.
    """
    if choices.exact and not local:
        raise LdsrError(
            f"The weights {choices.machine.weights!r} look at a whole picture at once, so that no "
            "window can equal it; leave out --exact, or use mini."
        )
    side = choices.side or (SIDE if local else PUBLISHED_SIDE)
    margin = (EXACT_MARGIN if choices.exact else MARGIN) if local else PUBLISHED_MARGIN
    if side % 8 or not 4 * RAMP <= side <= 1024:
        raise LdsrError(
            f"--side is {side}; expected a multiple of 8 from {4 * RAMP} to 1024, such as {SIDE}."
        )
    return Plan(size, side=side, margin=margin, ramp=RAMP)


def agreed(scene: Scene, choices: Choices) -> Choices:
    """Check that the choices go together, and put in what follows from them.

    Raises:
        LdsrError: they do not.
    """
    settings, machine = choices.settings, choices.machine
    if choices.dtype not in DTYPES:
        raise LdsrError(f"The type is {choices.dtype!r}; expected {' or '.join(DTYPES)}.")
    if choices.detail and not settings.refine:
        raise LdsrError("Without stage 2 nothing is generated; leave out --detail, or --no-refine.")
    if settings.semantics in ("clip", "llava"):
        raise LdsrError(
            f"Tags by {settings.semantics} are of one picture and cost minutes; for a scene choose "
            "--semantics spectral, none, or tags of your own."
        )
    unknown = [kind for kind in choices.mask if kind not in scl.MARKED]
    if unknown:
        raise LdsrError(
            f"--mask names {', '.join(unknown)}; expected some of {', '.join(scl.MARKED)}."
        )
    if choices.mask and not scene.has_classes:
        raise LdsrError(
            f"{scene.name} comes without a scene classification (SCL), so that nobody knows its "
            f"{' and '.join(choices.mask)}; leave out --mask."
        )
    if settings.samples:  # every pixel from as many samples as any other
        settings = dataclasses.replace(settings, settle=0.0)
    if choices.exact:
        if machine.half:
            raise LdsrError("--exact needs float32; leave out --half.")
        machine = dataclasses.replace(machine, half=False)
        settings = dataclasses.replace(settings, skip_threshold=0.0)
    return dataclasses.replace(choices, settings=settings, machine=machine)
