"""The door to everything: a Patch goes in, a SuperResolution comes out."""

import dataclasses

import numpy as np
import torch
from torch import nn

from ldsr.compiling import Compiler, make_compiler
from ldsr.data.patch import Patch
from ldsr.device import (
    choose_device,
    choose_half,
    gpu_memory,
    half_where_fast,
    keep_half,
    without_gradients,
)
from ldsr.errors import PatchError, WeightsError
from ldsr.loading import Loaded, Part, Parts, load_weights
from ldsr.memory import check_fits
from ldsr.pulse import Pulse
from ldsr.result import SCALE, PromptSensitivity, SuperResolution
from ldsr.run import Run
from ldsr.semantics import sources
from ldsr.semantics.vocabulary import contrast
from ldsr.settings import BASES, DEFAULT_SAMPLES, Settings
from ldsr.steps import OnStep, Step
from ldsr.tensors import to_patch, to_tensor
from ldsr.uncertainty import estimate
from ldsr.within import Within

__all__ = ["OnStep", "Pipeline", "Step"]


class Pipeline:
    """A loaded model, ready to super-resolve. One run at a time: it is not locked.

    Args:
        name: of the weights.
        loaded: the model.
        device: where it is.
        parts: networks beside it; by default those that ship, read when they are needed.
        half: see `load`.
        compiler: what compiles the networks; by default nothing does.
    """

    def __init__(
        self,
        name: str,
        loaded: Loaded,
        device: torch.device,
        *,
        parts: Parts | None = None,
        half: bool | None = None,
        compiler: Compiler | None = None,
    ) -> None:
        self.name = name
        self.sha256 = loaded.sha256
        self.device = str(device)
        self.half = half
        self.compiled = compiler is not None
        self.compiler = compiler or Compiler(backend=None)
        self.pulse = Pulse()
        self.temperature = loaded.temperature
        self.loaded = loaded
        self._place = device
        self._parts = parts or Parts(device)
        self._mini: Loaded | None = loaded if loaded.model.regression is not None else None
        self._prepare(loaded.model)

    @classmethod
    def load(
        cls,
        weights: str = "mini",
        *,
        device: str = "auto",
        compiled: bool = False,
        half: bool | None = None,
    ) -> "Pipeline":
        """Load weights by name.

        Args:
            weights: the name of a model in `ldsr.WEIGHTS`.
            device: "auto" (cuda if there is one, else cpu), "cpu", "cuda" or "cuda:N".
            compiled: compile the networks when they are first called, minutes for the first and
                the second size of patch; kept in $LDSR_HOME/compiled. Meant for GPUs. Where it
                fails the networks run as they are, after one warning.
            half: bfloat16 for all networks (True) or for none (False); by default for ours where
                the device computes in it, while LDSR-S2 is computed as published, in float32.

        Raises:
            WeightsError: weights that are missing or do not fit, a device that is not there, or
                half precision asked for where it would be emulated.
        """
        place = choose_device(device)
        half = choose_half(half, place)
        compiler = make_compiler() if compiled else None
        return cls(weights, load_weights(weights, place), place, half=half, compiler=compiler)

    @property
    def can_refine(self) -> bool:
        """Whether the weights of stage 2 are here."""
        return "refiner" in self._parts

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases whose weights are here."""
        own = ("ldsr", "bicubic")
        return tuple(base for base in BASES if base in own or base in self._parts)

    @without_gradients
    def __call__(
        self,
        patch: Patch,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
        *,
        within: Within | None = None,
    ) -> SuperResolution:
        """Super-resolve one patch.

        Args:
            patch: the input.
            settings: defaults to `Settings()`.
            on_step: called as the run goes on; what it raises ends the run (`ldsr.steps.OnStep`).
            within: of the larger picture, where the patch is a window of one: its noise and tags.

        Returns:
            The result, georeferenced as the input.

        Raises:
            PatchError: a patch without a single valid pixel.
            WeightsError: a base, stage 2 or a source of tags whose weights are not here.
        """
        run = Run(self, patch, settings or Settings(), on_step, within=within)
        base = run.base()
        sr = run.refined(base) if run.settings.refine else base
        return run.result(base, sr, estimate(run, base, sr) if run.settings.samples else None)

    @without_gradients
    def refine(
        self,
        patch: Patch,
        base: Patch,
        settings: Settings | None = None,
        on_step: OnStep | None = None,
    ) -> SuperResolution:
        """Give a base that was made elsewhere a second stage; it is left as it is.

        Args:
            patch: the input.
            base: a picture of the same ground, four times the size.
            settings: of stage 2; what concerns stage 1 is idle.
            on_step: called as the run goes on; what it raises ends the run.

        Raises:
            PatchError: a base of another size, or without a single valid pixel.
            WeightsError: stage 2 or a source of tags whose weights are not here.
        """
        expected = tuple(SCALE * side for side in patch.size)
        if base.size != expected:
            raise PatchError(
                "The base is {} x {} px, expected {} x {}, four times the input; resample it or "
                "choose the base of this input.".format(*base.size, *expected)
            )
        settings = dataclasses.replace(settings or Settings(), refine=True)
        run = Run(self, patch, settings, on_step)
        given = run.given_base(to_tensor(base, self.device))
        sr = run.refined(given)
        return run.result(given, sr, estimate(run, given, sr) if run.settings.samples else None)

    @without_gradients
    def sample(
        self,
        result: SuperResolution,
        samples: int = DEFAULT_SAMPLES,
        on_step: OnStep | None = None,
    ) -> SuperResolution:
        """Draw further samples of a finished run: the same result with its uncertainty.

        Args:
            result: of this pipeline; its picture is sample 0 and is not computed again.
            samples: at most, sample 0 included, 2..32.
            on_step: called as samples come; `ldsr.steps.Enough` raised in it keeps what there is.

        Raises:
            LdsrError: a number out of its range, or settings that draw nothing.
            WeightsError: weights that are not here.
        """
        settings = dataclasses.replace(result.settings, samples=samples)
        run = Run(self, result.lr, settings, on_step, tags=(result.tags, result.tags_source))
        base, sr = (to_tensor(x, self.device) for x in (result.base, result.sr))
        run.continue_from(base, given=result.base_given)
        uncertainty = estimate(run, base, sr if settings.refine else base)
        sampled = run.clock.finish()["sample"]
        total = result.seconds["total"] + sampled
        seconds = {**result.seconds, "sample": sampled, "total": total}
        return dataclasses.replace(
            result, settings=settings, uncertainty=uncertainty, seconds=seconds
        )

    def find_tags(self, patch: Patch, semantics: str) -> tuple[dict[str, float] | None, str]:
        """Land-cover tags of a patch and where they come from.

        Args:
            patch: the input.
            semantics: as in `Settings`.

        Raises:
            LdsrError: tags that do not exist, or a source whose weights are not here.
        """
        return sources.find_tags(semantics, patch)

    @without_gradients
    def prompt_sensitivity(
        self, result: SuperResolution, on_step: OnStep | None = None
    ) -> PromptSensitivity:
        """Refine a result's base again with contrasting tags: mean |SR(tags) - SR(other tags)|.

        Args:
            result: of a run with a second stage and tags.
            on_step: called as the run goes on; what it raises ends it.

        Raises:
            WeightsError: a result without tags or without a second stage.
        """
        if result.tags is None or result.detail is None:
            raise WeightsError(
                "This result was made without land-cover tags; run stage 2 with tags first."
            )
        other = contrast(result.tags)
        run = Run(self, result.lr, result.settings, on_step, tags=(other, "contrast"))
        again = to_patch(run.refined(to_tensor(result.base, self.device)), result.lr)
        difference = np.abs(again.reflectance - result.sr.reflectance).mean(0)
        invented = np.abs(result.sr.reflectance - result.base.reflectance).mean(0)
        valid = result.sr.valid
        return PromptSensitivity(
            other_tags=other,
            difference=difference,
            mean=float(difference[valid].mean()),
            refinement=float(invented[valid].mean()),
        )

    def check_memory(
        self, size: tuple[int, int], settings: Settings, *, kind: str = "picture"
    ) -> None:
        """See whether memory lasts for a run: the machine's, or the GPU's; computes nothing.

        Args:
            size: rows and columns of the input.
            settings: of the run.
            kind: as in `ldsr.memory.needed_bytes`.

        Raises:
            PatchError: it does not; says which size would fit.
        """
        published = self.loaded.model.regression is None
        half = half_where_fast(self._place, wanted=self.half is not False)
        free = gpu_memory(self._place) if self._place.type == "cuda" else None
        check_fits(size, settings, free=free, kind=kind, half=half, published=published)

    def part(self, role: str, wish: str) -> Part:
        """Give a network that works beside the model, or say what it would have been for."""
        if role not in self._parts:
            raise WeightsError(f"The weights {self.name!r} come without {wish}.")
        part = self._parts[role]
        self._prepare(part.network)
        return part

    def mini(self) -> Loaded:
        """The mini model, in whose latent language stage 2 works."""
        if self._mini is None:
            self._mini = load_weights("mini", self._place)
            self._prepare(self._mini.model)
        return self._mini

    def _prepare(self, network: nn.Module) -> None:
        """Have a network computed as this pipeline was asked to; more than once changes nothing."""
        if self.half:
            keep_half(network)
        self.compiler.prepare(network)
        if not self.compiled:  # a compiled network has no layers to look up at
            self.pulse.attach(network)
