"""Training pictures: from aerial and Sentinel-2 tiles to random batches of fine reflectance.

`prepare` gathers everything in one file, so that training itself needs torch and numpy alone.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

TRAINING_CITIES = ("claremont", "riverside", "palm_springs", "long_beach")
VALIDATION_CITY = "santa_monica"
SENTINEL2_TRAINING = ("austria_danube_l2a_t1",)
SEA_PREFIX = "ben_S2A_MSIL2A_20170613T101031_0_"

AERIAL_MEDIAN = (0.46, 0.44, 0.42, 0.49)
"""Medians of R, G, B, NIR of the training cities' 8-bit tiles, 0..1."""
REFLECTANCE_MEDIAN = (0.10, 0.10, 0.08, 0.24)
"""Reflectance the medians are brought to: those of built-up land in Sentinel-2 L2A."""


@dataclasses.dataclass(frozen=True)
class Sources:
    """Training pictures by kind; all arrays in the order R, G, B, NIR.

    Attributes:
        aerial: uint8 tiles [n, 4, 128, 128] of 1.2 m.
        rural: uint8 pictures [4, H, W] of 5 m.
        sentinel2: reflectance pictures [4, H, W] of 10 m.
    """

    aerial: np.ndarray
    rural: tuple[np.ndarray, ...]
    sentinel2: tuple[np.ndarray, ...]


def prepare(data: Path, out: Path) -> None:
    """Gather the training pictures below `data` in one .npz."""
    import rasterio

    def read(path: Path) -> np.ndarray:
        with rasterio.open(path) as raster:
            return raster.read()

    tiles = [np.load(data / "naip" / f"{city}.npz")["image"] for city in TRAINING_CITIES]
    arrays = {"aerial": np.concatenate(tiles)}
    for i, path in enumerate(sorted((data / "naip_5m").glob("*.tif"))):
        arrays[f"rural_{i}"] = read(path)
    for path in sorted((data / "sentinel2").glob("*.tif")):
        wanted = path.stem in SENTINEL2_TRAINING or path.stem.startswith(SEA_PREFIX)
        if wanted:
            arrays[f"sentinel2_{path.stem}"] = read(path)
    np.savez(out, **arrays)


def load(path: Path) -> Sources:
    """Read what `prepare` wrote."""
    with np.load(path) as file:
        names = sorted(file.files)
        return Sources(
            aerial=file["aerial"],
            rural=tuple(file[name] for name in names if name.startswith("rural_")),
            sentinel2=tuple(
                file[name].astype(np.float32) / 10000
                for name in names
                if name.startswith("sentinel2_")
            ),
        )


class Pairs:
    """Endless random batches of fine reflectance.

    Args:
        sources: training pictures.
        size: side of a crop in fine pixels.
        seed: of all randomness.
        shares: of aerial, rural and Sentinel-2 crops in a batch.
        aerial_scale: range of the factor that aerial pictures are averaged down by.
    """

    def __init__(
        self,
        sources: Sources,
        *,
        size: int = 64,
        seed: int = 0,
        shares: tuple[float, float, float] = (0.62, 0.12, 0.26),
        aerial_scale: tuple[float, float] = (1.0, 2.0),
    ) -> None:
        self.sources = sources
        self.size = size
        self.shares = shares
        self.aerial_scale = aerial_scale
        self.generator = torch.Generator().manual_seed(seed)
        areas = np.array([picture[0].size for picture in sources.sentinel2], dtype=float)
        self.weights = torch.from_numpy(np.sqrt(areas / areas.sum()))

    def batch(self, count: int) -> Tensor:
        """Draw fine reflectance [count, 4, size, size]."""
        return torch.stack([self._crop() for _ in range(count)])

    def _crop(self) -> Tensor:
        kind = torch.multinomial(torch.tensor(self.shares), 1, generator=self.generator).item()
        if kind == 2:
            i = torch.multinomial(self.weights, 1, generator=self.generator).item()
            crop = self._window(self.sources.sentinel2[i], self._uniform(1.3, 1.875))
            crop = crop * self._gain(0.25, 0.08)
        else:
            pictures = self.sources.aerial if kind == 0 else self.sources.rural
            crop = self._window(
                pictures[self._integer(len(pictures))], self._uniform(*self.aerial_scale)
            )
            crop = self._aerial(crop / 255)
        return self._turn(crop)

    def _aerial(self, crop: Tensor) -> Tensor:
        """Aerial 0..1 to reflectance with a random response, gain and, at times, low contrast."""
        middle = torch.tensor(AERIAL_MEDIAN)[:, None, None]
        target = torch.tensor(REFLECTANCE_MEDIAN)[:, None, None]
        crop = target * (crop / middle) ** self._uniform(1.0, 2.0) * self._gain(0.4, 0.15)
        if self._uniform(0, 1) < 0.15:
            mean = crop.mean((1, 2), keepdim=True)
            crop = mean + (crop - mean) * self._uniform(0.1, 0.6)
        return crop

    def _window(self, picture: np.ndarray, scale: float) -> Tensor:
        """Cut size * scale pixels and average them down to size."""
        side = min(round(self.size * scale), *picture.shape[-2:])
        top = self._integer(picture.shape[-2] - side + 1)
        left = self._integer(picture.shape[-1] - side + 1)
        crop = torch.from_numpy(picture[:, top : top + side, left : left + side].astype(np.float32))
        if side == self.size:
            return crop
        size = (self.size, self.size)
        return F.interpolate(crop[None], size=size, mode="bilinear", antialias=True)[0]

    def _turn(self, crop: Tensor) -> Tensor:
        crop = torch.rot90(crop, self._integer(4), dims=(1, 2))
        return crop.flip(2) if self._integer(2) else crop

    def _gain(self, picture: float, band: float) -> Tensor:
        logs = torch.randn(1, generator=self.generator) * picture
        return torch.exp(logs + torch.randn(4, generator=self.generator) * band)[:, None, None]

    def _uniform(self, low: float, high: float) -> float:
        return torch.rand(1, generator=self.generator).item() * (high - low) + low

    def _integer(self, high: int) -> int:
        return torch.randint(high, (1,), generator=self.generator).item()
