"""The only door between numpy and torch: a Patch goes in, a SuperResolution comes out."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from rasterio.transform import Affine
from torch import Tensor

from ldsr import stages
from ldsr.consistency import back_project, degrade
from ldsr.data.fill import fill_invalid
from ldsr.data.patch import Patch
from ldsr.errors import PatchError, WeightsError
from ldsr.models.latent_sr import Prepared
from ldsr.result import SCALE, SuperResolution
from ldsr.sampling.noise import make_generators
from ldsr.settings import Settings
from ldsr.weights import Loaded, load_weights


@dataclasses.dataclass(frozen=True)
class Step:
    """Progress of a run.

    Attributes:
        part: "regress", "denoise", "decode" or "consistency".
        step: within the part, from 1.
        steps: of the part.
        preview: decodes the emerging picture on request: reflectance float32 [4, 4H, 4W].
    """

    part: str
    step: int
    steps: int
    preview: Callable[[], np.ndarray] | None = None


OnStep = Callable[[Step], None]


class Pipeline:
    """A loaded model, ready to super-resolve. One run at a time: it is not locked."""

    def __init__(self, name: str, loaded: Loaded, device: torch.device) -> None:
        self.name = name
        self.sha256 = loaded.sha256
        self.device = str(device)
        self.temperature = loaded.temperature
        self._loaded = loaded

    @classmethod
    def load(cls, weights: str = "mini", *, device: str = "auto") -> "Pipeline":
        """Load weights by name.

        Args:
            weights: a name in `ldsr.WEIGHTS`.
            device: "auto" (cuda if there is one, else cpu), "cpu", "cuda" or "cuda:N".

        Raises:
            WeightsError: weights that are missing or do not fit, or a device that is not there.
        """
        place = _choose_device(device)
        return cls(weights, load_weights(weights, place), place)

    @torch.inference_mode()
    def __call__(
        self, patch: Patch, settings: Settings | None = None, on_step: OnStep | None = None
    ) -> SuperResolution:
        """Super-resolve one patch.

        Args:
            patch: the input.
            settings: defaults to `Settings()`.
            on_step: called as the run goes on; what it raises ends the run.

        Returns:
            The result, georeferenced as the input.

        Raises:
            PatchError: a patch without a single valid pixel.
        """
        settings = self._resolve(settings or Settings())
        report = on_step or (lambda step: None)
        clock = _Clock()
        lr = self._to_tensor(patch)
        valid = torch.from_numpy(patch.valid)[None, None].to(self.device)

        with self._precision():
            picture, computed = self._base(lr, settings, report, clock)
        with clock("consistency"):
            report(Step("consistency", 1, 1))
            picture, before, after = _consistent(picture, lr, valid, settings.consistency)
        base = _to_patch(picture, patch)
        return SuperResolution(
            lr=patch,
            base=base,
            sr=base,
            settings=settings,
            weights=self.name,
            weights_sha256=self.sha256,
            seconds=clock.finish(),
            steps_computed=computed,
            residual_before=before,
            residual_after=after,
            out_of_range=_out_of_range(base),
        )

    def _resolve(self, settings: Settings) -> Settings:
        """Put in what the weights recommend where the person has not chosen."""
        if settings.temperature is not None:
            return settings
        return dataclasses.replace(settings, temperature=self.temperature)

    def _base(
        self, lr: Tensor, settings: Settings, report: OnStep, clock: "_Clock"
    ) -> tuple[Tensor, int]:
        """Stage 1: the base picture in reflectance and the denoiser evaluations it took."""
        loaded = self._loaded
        if settings.base == "bicubic":
            return stages.bicubic(lr), 0
        if settings.base == "regression" and loaded.model.regression is None:
            raise WeightsError(
                f"The weights {self.name!r} have no regression; choose another base."
            )
        with clock("regress"):
            report(Step("regress", 1, 1))
            prepared = stages.prepare(loaded.model, lr)
        if settings.base == "regression":
            return loaded.model.to_reflectance(prepared.guide), 0
        with clock("denoise"):
            z = stages.base_stage(
                loaded.model,
                lr,
                prepared,
                settings=settings,
                schedule=loaded.schedule,
                spacing=loaded.spacing,
                last_alpha_cumprod=loaded.last_alpha_cumprod,
                generators=make_generators(settings.seed),
                on_step=lambda step, steps, x0: report(
                    Step("denoise", step, steps, lambda: self._preview(x0, prepared))
                ),
            )
        with clock("decode"):
            report(Step("decode", 1, 1))
            return stages.decode(loaded.model, z, prepared), settings.steps

    def _preview(self, x0: Tensor, prepared: Prepared) -> np.ndarray:
        with torch.inference_mode(), self._precision():
            return stages.decode(self._loaded.model, x0, prepared)[0].cpu().numpy()

    def _to_tensor(self, patch: Patch) -> Tensor:
        if not patch.valid.any():
            raise PatchError("Every pixel is marked as no-data; expected at least one valid pixel.")
        filled = np.ascontiguousarray(fill_invalid(patch.reflectance, patch.valid))
        lr = torch.from_numpy(filled)[None].to(self.device)
        return lr.contiguous(memory_format=torch.channels_last)

    def _precision(self) -> contextlib.AbstractContextManager:
        """Compute the mini networks in bfloat16 where the processor does; LDSR-S2 in float32."""
        fast = self._loaded.model.regression is not None and _has_bfloat16(self.device)
        return torch.autocast(self.device.split(":")[0], dtype=torch.bfloat16, enabled=fast)


class _Clock:
    """Seconds of each named part of a run."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._seconds[part] = time.perf_counter() - started

    def finish(self) -> dict[str, float]:
        return {**self._seconds, "total": time.perf_counter() - self._started}


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError as error:
        raise WeightsError(f"There is no device {device!r}; use auto, cpu or cuda.") from error
    if place.type == "cuda" and not torch.cuda.is_available():
        raise WeightsError("cuda was asked for, but torch finds no GPU here; use auto or cpu.")
    return place


def _has_bfloat16(device: str) -> bool:
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported()
    abilities = torch.cpu.get_capabilities()
    return bool(abilities.get("avx512_bf16") or abilities.get("amx_bf16"))


def _consistent(
    picture: Tensor, lr: Tensor, valid: Tensor, operator: str
) -> tuple[Tensor, float, float]:
    """Back-project; with "none" only measure the residual (through the point spread function)."""
    if operator == "none":
        wrong = (degrade(picture, operator="psf") - lr)[valid.expand_as(lr)]
        residual = wrong.square().mean().sqrt().item()
        return picture, residual, residual
    done = back_project(picture, lr, operator=operator, valid=valid)
    return done.x, done.before.item(), done.after.item()


def _to_patch(picture: Tensor, lr: Patch) -> Patch:
    """A result on the input's ground: a quarter of the pixel size, the same bounds."""
    valid = lr.valid.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    reflectance = np.where(valid, picture[0].float().cpu().numpy(), np.float32(0))
    fine = None if lr.transform is None else lr.transform @ Affine.scale(1 / SCALE)
    return Patch(
        reflectance=np.ascontiguousarray(reflectance),
        valid=valid,
        crs=lr.crs,
        transform=fine,
        source=lr.source,
    )


def _out_of_range(patch: Patch) -> float:
    values = patch.reflectance[:, patch.valid]
    return float(((values < 0) | (values > 1)).mean())
