"""Stage-1 pictures to train stage 2 on: a pool that is renewed bit by bit while training."""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from ldsr.consistency import back_project, degrade
from ldsr.models.geometry import REGRESSION
from ldsr.models.latent_sr import Prepared
from ldsr.models.regression import Regression
from ldsr.sampling.ddim import ddim
from ldsr.sampling.schedule import cosine_schedule, timesteps
from ldsr.semantics.spectral import spectral_tags_batch
from ldsr.training.recipes import GENTLY, MINI_SCHEDULE, Bench

KINDS = {"ldsr": 0.55, "regressor": 0.25, "guide": 0.08, "bicubic": 0.12}
"""Bases and how often each is drawn; "guide" is the mini model's own regression."""
SPOILED = 0.3
"""Share of the bases that are blurred and given noise, so that stage 2 meets unknown bases."""


@dataclasses.dataclass
class Batch:
    """Pictures of stage 1 with all that stage 2 needs of them.

    Attributes:
        hr, lr, base: reflectance [B, 4, S, S], [B, 4, S/4, S/4], [B, 4, S, S].
        guide, cond: what the mini model prepares from the base as seen at 10 m.
        z_hr, z_ref: latents of the true picture and of the base [B, z, S/4, S/4].
        decoded: `z_ref` decoded to reflectance [B, 4, S, S].
        tags: probabilities [B, K].
    """

    hr: Tensor
    lr: Tensor
    base: Tensor
    guide: Tensor
    cond: Tensor
    z_hr: Tensor
    z_ref: Tensor
    decoded: Tensor
    tags: Tensor

    def prepared(self) -> Prepared:
        """Guide and condition as the model's decoder and denoiser take them."""
        return Prepared(self.guide, self.cond)

    def pick(self, rows: Tensor | slice) -> "Batch":
        """Some of the pictures."""
        return Batch(**{f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self)})


class Pool:
    """A store of stage-1 pictures; every draw may renew a part of it.

    Args:
        bench: model, pairs and batch size; its folder may hold regressor_network.pt.
        chunks: the store holds so many times twice a batch.
        every: draws between two chunks.
    """

    def __init__(self, bench: Bench, *, chunks: int = 32, every: int = 24) -> None:
        self.bench = bench
        self.chunk = 2 * bench.batch
        self.every = every
        self.schedule = cosine_schedule(**MINI_SCHEDULE)
        self.regressor = self._load_regressor()
        self.draws, self.position = 0, 0
        parts = [self._make(self.chunk) for _ in range(chunks)]
        self.store = Batch(
            **{
                f.name: torch.cat([getattr(part, f.name) for part in parts])
                for f in dataclasses.fields(Batch)
            }
        )

    def draw(self) -> Batch:
        """Draw a batch at random, and renew a chunk now and then."""
        self.draws += 1
        if self.draws % self.every == 0:
            fresh = self._make(self.chunk)
            rows = (torch.arange(self.chunk) + self.position) % len(self.store.hr)
            for field in dataclasses.fields(Batch):
                getattr(self.store, field.name)[rows] = getattr(fresh, field.name)
            self.position = int(rows[-1]) + 1
        rows = torch.randint(
            len(self.store.hr), (self.bench.batch,), generator=self.bench.pairs.generator
        )
        return self.store.pick(rows)

    def renew(self) -> Batch:
        """Make a fresh chunk that does not enter the store."""
        return self._make(self.chunk)

    def _load_regressor(self) -> Regression | None:
        saved = self.bench.folder / "regressor_network.pt"
        if not saved.exists():
            return None
        regressor = Regression(**REGRESSION)
        regressor.load_state_dict(torch.load(saved, weights_only=True, map_location="cpu"))
        return regressor.eval().to(self.bench.device, memory_format=torch.channels_last)

    @torch.no_grad()
    def _make(self, count: int) -> Batch:
        bench, model = self.bench, self.bench.model
        hr, lr = bench.draw(strength=GENTLY, count=count)
        with bench.autocast():
            base = self._base(lr).float()
        base = back_project(base, lr, tol=3e-4, max_iterations=15).x
        base = self._spoil(base)
        with bench.autocast():
            prepared = model.prepare(degrade(base))
            prepared = Prepared(prepared.guide.float(), prepared.cond.float())
            z_ref = model.encode(model.to_range(base), prepared.guide).float()
            z_hr = model.encode(model.to_range(hr), prepared.guide).float()
            decoded = model.decode(z_ref, prepared).float()
        tags = torch.from_numpy(spectral_tags_batch(lr.cpu().numpy())).to(hr)
        return Batch(
            hr=hr, lr=lr, base=base, guide=prepared.guide, cond=prepared.cond,
            z_hr=z_hr, z_ref=z_ref, decoded=decoded, tags=tags,
        )  # fmt: skip

    def _base(self, lr: Tensor) -> Tensor:
        """Stage 1 of a random kind, reflectance."""
        model, generator = self.bench.model, self.bench.pairs.generator
        shares = torch.tensor(list(KINDS.values()))
        kind = list(KINDS)[torch.multinomial(shares, 1, generator=generator).item()]
        if kind == "bicubic":
            return F.interpolate(lr, scale_factor=4, mode="bicubic")
        if kind == "regressor" and self.regressor is not None:
            return model.to_reflectance(self.regressor(model.to_range(lr))[0].float())
        prepared = model.prepare(lr)
        prepared = Prepared(prepared.guide.float(), prepared.cond)
        if kind != "ldsr":
            return model.to_reflectance(prepared.guide)
        steps = 3 + torch.randint(4, (1,), generator=generator).item()
        temperature = 0.2 + 0.6 * torch.rand(1, generator=generator).item()
        noise = torch.randn(len(lr), 4, *lr.shape[-2:], generator=generator).to(lr)
        z = ddim(
            lambda z_t, t: model.denoise(z_t, t, prepared).float(),
            temperature * noise,
            schedule=self.schedule,
            timesteps=timesteps(self.schedule, steps),
        )
        return model.decode(z, prepared)

    def _spoil(self, base: Tensor) -> Tensor:
        """Blur some bases (sigma up to 1.3 px) and give them noise (up to 3 % of their mean)."""
        generator = self.bench.pairs.generator

        def uniform() -> Tensor:
            return torch.rand(len(base), 1, 1, 1, generator=generator).to(base)

        chosen = (uniform() < SPOILED).to(base)
        blurred = gaussian_blur(base, 1.3 * uniform().flatten() + 0.05)
        level = 0.03 * uniform() * base.mean((1, 2, 3), keepdim=True)
        noise = torch.randn(base.shape, generator=generator).to(base)
        return base + chosen * (blurred - base + level * noise)


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture [B, C, H, W] with a Gaussian of its own sigma [B] in pixels."""
    offsets = torch.arange(-5, 6).to(x)
    kernel = torch.exp(-0.5 * (offsets / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(x.shape[1], 0)
    flat = F.pad(x, (5,) * 4, mode="replicate").flatten(0, 1)[None]
    groups = flat.shape[1]
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=groups)
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=groups)
    return flat[0].unflatten(0, x.shape[:2])
