"""One run from numpy to torch and back: what it works on, what it counts, what it times."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ldsr import bases, stages
from ldsr.consistency import back_project, back_project_bounded, degrade
from ldsr.data.patch import Patch
from ldsr.device import Clock, bfloat16_where_fast
from ldsr.equipment import Equipment, Tags
from ldsr.loading import Part
from ldsr.models.fusion import gate
from ldsr.models.latent_sr import LatentSR, Prepared
from ldsr.result import StageFigures, SuperResolution, Uncertainty, out_of_range
from ldsr.sampling.cache import FirstBlockCache, cache_for, counts
from ldsr.sampling.noise import Noise, make_generators
from ldsr.semantics.vocabulary import to_vector
from ldsr.settings import FIXED, Settings
from ldsr.steps import OnStep, Step
from ldsr.tensors import finer, to_patch, to_tensor
from ldsr.within import ROUNDS, Within

TOLERANCE = 1e-4
"""RMSE in reflectance up to which a picture, seen again at 10 m, equals the input."""
BASE_TOLERANCE = 7e-5
"""The same of a base that will be refined."""

Estimate = TypeVar("Estimate")
"""What a stage gives after each step: a latent, or what draws a picture."""


class Run:
    """One run: call `base`, then (or not) `refined`, `draw` for further samples, then `result`.

    Args:
        equipment: the pipeline.
        patch: the input.
        settings: as asked for; what the weights recommend is put in.
        on_step: called as the run goes on; what it raises ends the run.
        tags: instead of those that `settings.semantics` gives.
        within: of the larger picture that the patch is a window of.

    Raises:
        PatchError: a patch without a single valid pixel.
        WeightsError: weights that are not here.
    """

    def __init__(
        self,
        equipment: Equipment,
        patch: Patch,
        settings: Settings,
        on_step: OnStep | None = None,
        *,
        tags: Tags | None = None,
        within: Within | None = None,
    ) -> None:
        self.equipment = equipment
        self.within = within
        self.patch = patch
        teller = equipment.pulse.follow(on_step)
        self.report: OnStep = teller
        self._look_up = teller.look_up
        self.clock = Clock()
        self.lr = to_tensor(patch, equipment.device)
        self.valid = torch.from_numpy(patch.valid)[None, None].to(equipment.device)
        self.files: dict[str, str] = {}
        self.figures: dict[str, StageFigures] = {}
        self._computed: dict[str, dict[str, str | bool]] = {}
        self.detail: np.ndarray | None = None
        self.samples = range(1)
        self._fixed: Tensor | None = None
        self.base_given = False
        self._base_is_input: bool | None = None
        self._prepared: dict[str, Prepared] = {}
        self._anchor: stages.Anchor | None = None
        self.tags: Tags = (None, "none")
        if settings.refine:
            self._use("refiner", "a second stage; run without refining")
            tags = within.tags if within else tags
            self.tags = tags or equipment.find_tags(patch, settings.semantics)
        self.settings = self._resolve(settings)

    def base(self) -> Tensor:
        """Stage 1: the base of each sample, reflectance [N, 4, 4H, 4W], back-projected.

        Where nothing is drawn ("regression", "bicubic") there is one base for all, [1, ...].
        """
        if self._fixed is not None:
            return self._fixed
        makers = {
            "ldsr": self._latent_base,
            "sr3": self._sr3_base,
            "regression": self._regression_base,
            "bicubic": lambda: (stages.bicubic(self.lr), (0, 0)),
        }
        picture, counts = makers[self.settings.base]()
        base = self._consistent(picture, counts)
        if self.settings.base in FIXED:
            self._fixed = base
        return base

    def given_base(self, base: Tensor) -> Tensor:
        """Take a base from elsewhere, reflectance [1, 4, 4H, 4W]; only its residual is measured."""
        residual = self._residual(base)
        self._note("base", (0, 0), residual, residual)
        self._fixed, self.base_given = base, True
        return base

    def continue_from(self, base: Tensor, *, given: bool) -> None:
        """Take up a run whose sample 0 is there: only what is drawn is drawn again.

        Args:
            base: of sample 0, reflectance [1, 4, 4H, 4W].
            given: whether it was made elsewhere.
        """
        self.base_given = given
        self._base_is_input = self._residual(base) <= TOLERANCE
        if given:
            self._fixed = base  # all others are made again: gaps of a result hold nothing

    def refined(self, base: Tensor) -> Tensor:
        """Stage 2: each base with bounded detail, reflectance [N, 4, 4H, 4W], back-projected."""
        refiner = self._use("refiner", "a second stage")
        mini = self.equipment.mini()
        caches = tuple(self._cache(self.settings.refine_steps) for _ in range(2))
        if self._base_is_input is None:
            self._base_is_input = self._residual(base) <= TOLERANCE
        with self._computing("refine"):
            with self.clock("refine encode"):
                self.report(Step("refine encode", 1, 1))
                anchor = self._look_at(base)
            with self.clock("refine denoise"):
                z, detail = stages.refine_stage(
                    refiner.network,
                    anchor,
                    settings=self.settings,
                    schedule=mini.schedule,
                    temperature=refiner.temperature,
                    tags=self._tag_vector(),
                    generators=self._generators(),
                    caches=caches,
                    on_step=self._reporter(
                        "refine denoise",
                        lambda z: stages.add_detail(mini.model, z, anchor),
                    ),
                )
                detail = stages.bilinear(detail.float())
            with self.clock("refine decode"):
                self.report(Step("refine decode", 1, 1))
                picture = stages.add_detail(mini.model, z, anchor)
        if self.samples.start == 0:
            fine = detail[0, 0].cpu().numpy()
            self.detail = np.where(finer(self.patch.valid), fine, np.float32(0))
        return self._bounded(picture, anchor.base, gate(detail), counts(caches))

    def draw(self, samples: range) -> Tensor:
        """Draw more samples of the same run, reflectance [N, 4, 4H, 4W]: i is that of seed + i.

        What depends on the input alone is not computed again.
        """
        self.samples = samples
        clock, self.clock = self.clock, Clock()  # the parts' times are those of sample 0
        try:
            base = self.base()
            picture = self.refined(base) if self.settings.refine else base
        finally:
            self.clock = clock
        return picture.expand(len(samples), -1, -1, -1)

    def tell_instead(self, told: Callable[[], Step]) -> None:
        """From now on tell `on_step` at each step what `told` gives instead."""
        report = self.report
        self.report = lambda step: report(told())

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of every file of weights that took part."""
        return (self.equipment.sha256, *self.files.values())

    def result(
        self, base: Tensor, sr: Tensor, uncertainty: Uncertainty | None = None
    ) -> SuperResolution:
        """All of the run in one record."""
        final = to_patch(sr, self.patch)
        return SuperResolution(
            lr=self.patch,
            base=final if sr is base else to_patch(base, self.patch),
            sr=final,
            settings=self.settings,
            weights=self.equipment.name,
            weights_sha256=self.equipment.sha256,
            weights_files=self.files,
            seconds=self.clock.finish(),
            figures=self.figures,
            out_of_range=out_of_range(final),
            detail=self.detail,
            tags=self.tags[0],
            tags_source=self.tags[1],
            residual=self.residual_map(sr),
            uncertainty=uncertainty,
            base_given=self.base_given,
        )

    def _latent_base(self) -> tuple[Tensor, tuple[int, int]]:
        loaded, cache = self.equipment.loaded, self._cache(self.settings.steps)
        with self._computing("base", published=loaded.model.regression is None):
            with self.clock("regress"):
                self.report(Step("regress", 1, 1))
                prepared = self._prepare("model", loaded.model).expand(len(self.samples))
            with self.clock("denoise"):
                z = stages.base_stage(
                    loaded.model,
                    self._inputs(),
                    prepared,
                    settings=self.settings,
                    schedule=loaded.schedule,
                    spacing=loaded.spacing,
                    last_alpha_cumprod=loaded.last_alpha_cumprod,
                    generators=self._generators(),
                    cache=cache,
                    on_step=self._reporter(
                        "denoise", lambda z: stages.decode(loaded.model, z, prepared)
                    ),
                )
            with self.clock("decode"):
                self.report(Step("decode", 1, 1))
                return stages.decode(loaded.model, z, prepared), counts((cache,))

    def _sr3_base(self) -> tuple[Tensor, tuple[int, int]]:
        network = self._use("sr3", "the base sr3; choose another").network
        with self._computing("base"), self.clock("denoise"):
            picture = bases.sr3_stage(
                network,
                self._inputs(),
                settings=self.settings,
                cascade=self.settings.cascade,
                generators=self._generators(),
                on_step=self._reporter("denoise", lambda draw: draw()),
            )
        return picture.float(), (self.settings.steps * (2 if self.settings.cascade else 1), 0)

    def _regression_base(self) -> tuple[Tensor, tuple[int, int]]:
        network = self._use("regression", "the base regression; choose another").network
        with self._computing("base"), self.clock("regress"):
            self.report(Step("regress", 1, 1))
            return bases.regression_stage(network, self.lr).float(), (0, 0)

    def _consistent(self, picture: Tensor, counts: tuple[int, int]) -> Tensor:
        """Back-project the base; "none" only measures the residual."""
        with self.clock("consistency"):
            self.report(Step("consistency", 1, 1))
            if self.settings.consistency == "none":
                before = after = self._residual(picture)
            else:
                # leave stage 2, which may not touch every pixel, some room
                tol = BASE_TOLERANCE if self.settings.refine else TOLERANCE
                lr = self.lr.expand(len(picture), -1, -1, -1)
                done = back_project(picture, lr, tol=tol, **self._operator())
                picture, before, after = done.x, done.before[0].item(), done.after[0].item()
        self._note("base", counts, before, after)
        return picture

    def _bounded(
        self, picture: Tensor, base: Tensor, freedom: Tensor, counts: tuple[int, int]
    ) -> Tensor:
        """Let what stage 2 drew into the base where it is free to change, and back-project."""
        with self.clock("refine consistency"):
            self.report(Step("refine consistency", 1, 1))
            if self.settings.consistency == "none":
                before = self._residual(picture)
                picture = base + freedom * (picture - base)
                after = self._residual(picture)
            else:
                bound = {"freedom": freedom, "tol": TOLERANCE, **self._operator()}
                done = back_project_bounded(picture, base, self._inputs(), **bound)
                picture, before, after = done.x, done.before[0].item(), done.after[0].item()
        self._note("refine", counts, before, after)
        return picture

    def _look_at(self, base: Tensor) -> stages.Anchor:
        """What stage 2 needs of the bases; once for all samples where there is but one base."""
        if self._anchor is not None:
            return self._anchor.expand(len(self.samples))
        mini, known = self.equipment.mini().model, None
        if self._base_is_input:  # seen at 10 m it is the input: guide and condition are the same
            known = self._prepare("mini", mini).expand(len(base))
        refiner = self._use("refiner", "a second stage").network
        scale = self.settings.control_scale
        how = {"control_scale": scale, "prepared": known, "look_up": self._look_up}
        anchor = stages.anchor(refiner, mini, base, **how)
        if self._fixed is None:
            return anchor
        self._anchor = anchor
        return anchor.expand(len(self.samples))

    def _prepare(self, name: str, model: LatentSR) -> Prepared:
        """Guide and condition of the input, computed once for each model."""
        if self.equipment.loaded.model is model:
            name = "model"
        if name not in self._prepared:
            self._prepared[name] = stages.prepare(model, self.lr)
        return self._prepared[name]

    def _inputs(self) -> Tensor:
        """The input once for each sample, [N, 4, H, W]."""
        return self.lr.expand(len(self.samples), -1, -1, -1)

    def _generators(self) -> Sequence[Noise]:
        """The noise of the samples: sample i is sample 0 of seed + i."""
        if self.within:
            return [self.within.noise(self.settings.seed + sample) for sample in self.samples]
        return make_generators(self.settings.seed + self.samples.start, len(self.samples))

    def _operator(self) -> dict:
        rounds = ROUNDS if self.within else None
        how = {"operator": self.settings.consistency, "valid": self.valid, "rounds": rounds}
        return how | {"look_up": self._look_up}

    def _note(self, stage: str, counts: tuple[int, int], before: float, after: float) -> None:
        if self.samples.start > 0:
            return
        self.figures[stage] = StageFigures(
            steps_computed=counts[0],
            steps_skipped=counts[1],
            residual_before=before,
            residual_after=after,
            **self._computed.get(stage, {}),
        )

    def _residual(self, picture: Tensor) -> float:
        """RMSE of a picture seen again at 10 m against the input, valid pixels."""
        wrong = (degrade(picture[:1]) - self.lr)[self.valid.expand_as(self.lr)]
        return wrong.square().mean().sqrt().item()

    def residual_map(self, picture: Tensor) -> np.ndarray:
        """RMS over the bands of the same, float32 [H, W]; 0 where the input is not valid."""
        wrong = (degrade(picture[:1]) - self.lr).square().mean(1, keepdim=True).sqrt()
        return torch.where(self.valid, wrong, 0)[0, 0].float().cpu().numpy()

    def _resolve(self, settings: Settings) -> Settings:
        """Put in what the weights recommend where the person has not chosen."""
        if settings.temperature is not None:
            return settings
        temperature = self.equipment.loaded.temperature
        if settings.base == "sr3":
            temperature = self._use("sr3", "the base sr3; choose another").temperature
        return dataclasses.replace(settings, temperature=temperature)

    def _use(self, role: str, wish: str) -> Part:
        part = self.equipment.part(role, wish)
        self.files[part.file] = part.sha256
        return part

    def _cache(self, steps: int) -> FirstBlockCache:
        settings = self.settings
        return cache_for(steps, threshold=settings.skip_threshold, form=settings.skip_form)

    def _tag_vector(self) -> Tensor | None:
        if self.tags[0] is None:
            return None
        return torch.tensor([to_vector(self.tags[0])], device=self.equipment.device)

    def _reporter(
        self, part: str, show: Callable[[Estimate], Tensor]
    ) -> Callable[[int, int, Estimate], None]:
        """Tell of each step of a stage, and offer the picture of its estimate (`show`)."""

        def on_step(step: int, steps: int, estimate: Estimate) -> None:
            def preview() -> np.ndarray:
                with torch.inference_mode(), self._precision():
                    return show(estimate)[0].float().cpu().numpy()

            self.report(Step(part, step, steps, preview))

        return on_step

    @contextlib.contextmanager
    def _computing(self, stage: str, *, published: bool = False) -> Iterator[None]:
        """Evaluate a stage's networks, and note in which precision and whether compiled."""
        place = torch.device(self.equipment.device).type
        compiler = self.equipment.compiler
        with compiler.watch() as all_compiled, self._precision(published=published):
            half = torch.is_autocast_enabled(place)
            yield
        precision = "bfloat16" if half else "float32"
        self._computed[stage] = {"precision": precision, "compiled": all_compiled()}

    def _precision(self, *, published: bool = False) -> torch.autocast:
        """Half precision as asked for; where nobody said, LDSR-S2 is computed as published."""
        half = self.equipment.half
        wanted = not published if half is None else half
        return bfloat16_where_fast(torch.device(self.equipment.device), wanted=wanted)
