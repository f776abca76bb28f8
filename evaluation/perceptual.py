"""How a picture looks: LPIPS (AlexNet, v0.1) beside its reference, CLIP-IQA by itself.

Weights are looked for, hashed and loaded here; nothing is ever fetched.
"""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluation.score import Missing
from ldsr.data.bands import BANDS
from ldsr.errors import WeightsError
from ldsr.weights import WEIGHTS, find_weights, hash_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ALEXNET, HEADS = WEIGHTS["lpips-alexnet-features"], WEIGHTS["lpips-alex-head"]
FEATURES = "276812cc7430109e87ad2847e4409809bf867956c8a5e9621ae88a1bfcb08e76"
"""SHA-256 of the convolutions alone (see `hash_features`): other files may carry the same ones."""
CUTS = (2, 5, 8, 10, 12)
"""LPIPS compares what comes out of AlexNet's layers before these: its five ReLUs."""
SMALLEST = 32
"""Smallest side that AlexNet's five convolutions can take."""

TRUE_COLOUR = ("R", "G", "B")
FALSE_COLOUR = ("NIR", "R", "G")


class Lpips:
    """LPIPS (Zhang et al. 2018), pictures stretched by the reference.

    Args:
        device: to compute on.
        features_sha256, heads_sha256: of the weights, as published; tests give those of theirs.

    Raises:
        Missing: AlexNet's weights are not in the torch hub folder, or not what they should be;
            they are never fetched from here.
    """

    def __init__(
        self,
        *,
        device: "str | torch.device" = "cpu",
        features_sha256: str = FEATURES,
        heads_sha256: str = HEADS.sha256,
    ) -> None:
        import torch

        convolutions, self.sha256 = _load_alexnet(ALEXNET.path, features_sha256)
        heads = _load_heads(HEADS.path, heads_sha256)
        self.device = torch.device(device)
        self._features = _alexnet(convolutions).to(self.device)
        self._heads = [heads[f"lin{i}.model.1.weight"].to(self.device) for i in range(len(CUTS))]
        scaling = ((-0.030, -0.088, -0.188), (0.458, 0.448, 0.450))
        self._shift, self._scale = (
            torch.tensor(numbers, device=self.device)[:, None, None] for numbers in scaling
        )

    @property
    def provenance(self) -> dict[str, str]:
        """What the number is made with."""
        return {
            "network": "LPIPS v0.1, AlexNet",
            "weights": f"{ALEXNET.file} (convolutions' SHA-256 {self.sha256})",
            "heads": HEADS.file,
        }

    def __call__(self, sr: np.ndarray, hr: np.ndarray) -> float:
        """Distance of reflectance sr to hr in true colour, [C, H, W] each; 0 for equal pictures."""
        sr, hr = (stretch(x[:3], hr[:3]) for x in (sr, hr))
        return self.compare(sr[None], hr[None])[0]

    def composites(
        self, sr: np.ndarray, hr: np.ndarray, *, valid: np.ndarray | None = None
    ) -> tuple[float, float]:
        """Distance in true colour (R, G, B) and in false colour (NIR, R, G), in one batch.

        Args:
            sr, hr: reflectance [4, H, W] in the order R, G, B, NIR.
            valid: bool [H, W], the pixels that count; all by default.
        """
        pictures = [np.stack(both(x, hr, valid)) for x in (sr, hr)]
        mask = None if valid is None or valid.all() else np.stack([valid, valid])
        first, second = self.compare(*pictures, valid=mask)
        return first, second

    def compare(
        self, first: np.ndarray, second: np.ndarray, *, valid: np.ndarray | None = None
    ) -> list[float]:
        """Distance of pictures float32 [B, 3, H, W] in -1..1 to others, one by one.

        Args:
            first, second: the pictures; where not valid they must be the same.
            valid: bool [B, H, W]: each layer's differences are averaged over the share of each
                of its cells that is valid.
        """
        import torch
        from torch.nn import functional

        with torch.inference_mode():
            mask = None
            if valid is not None:
                mask = torch.from_numpy(valid).to(self.device, torch.float32)[:, None]
            tensors = [torch.from_numpy(x).to(self.device, torch.float32) for x in (first, second)]
            total: Tensor = torch.zeros(len(first), device=self.device)
            layers = zip(*(self._layers(x) for x in tensors), self._heads, strict=True)
            for one, other, head in layers:
                difference = functional.conv2d(torch.square(one - other), head)
                if mask is None:
                    total += difference.mean((1, 2, 3))
                else:
                    share = functional.adaptive_avg_pool2d(mask, difference.shape[-2:])
                    total += (difference * share).sum((1, 2, 3)) / share.sum((1, 2, 3))
            return total.tolist()

    def _layers(self, x: "Tensor") -> "list[Tensor]":
        """What AlexNet's five ReLUs put out, each pixel's features brought to length 1."""
        import torch

        found = []
        x = (x - self._shift) / self._scale
        for start, stop in zip((0, *CUTS), CUTS, strict=False):
            x = self._features[start:stop](x)
            found.append(x / (torch.sqrt(torch.square(x).sum(1, keepdim=True)) + 1e-10))
        return found


def both(x: np.ndarray, reference: np.ndarray, valid: np.ndarray | None) -> list[np.ndarray]:
    """Draw [4, H, W] in true and in false colour, each [3, H, W] in -1..1, black where not valid.

    The stretch is the reference's: visible bands share one, near infrared has its own.
    """
    counted = np.ones(x.shape[1:], bool) if valid is None else valid
    names = [BANDS.index(band) for band in TRUE_COLOUR]
    visible = stretch(x[names], reference[names][:, counted])
    nir = BANDS.index("NIR")
    infrared = stretch(x[nir], reference[nir][counted])
    bands = dict(zip(TRUE_COLOUR, visible, strict=True)) | {"NIR": infrared}
    bands = {band: np.where(counted, values, np.float32(-1)) for band, values in bands.items()}
    return [np.stack([bands[band] for band in names]) for names in (TRUE_COLOUR, FALSE_COLOUR)]


def stretch(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Map the reference's 1st to 99th percentile (bands pooled) to -1..1, clipped; float32."""
    low, high = np.percentile(reference, [1, 99])
    return ((x - low) / max(high - low, 0.01) * 2 - 1).clip(-1, 1).astype(np.float32)


def hash_features(state: "Mapping[str, Tensor]") -> str:
    """SHA-256 of AlexNet's ten convolution tensors, float32, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(name for name in state if name.startswith("features.")):
        digest.update(state[name].float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _load_alexnet(path: Path, expected: str) -> "tuple[dict[str, Tensor], str]":
    """The convolutions and their hash, checked."""
    if not path.is_file():
        raise Missing(
            f"LPIPS needs AlexNet's weights, which are not at {path}.",
            "Fetch them: python -m ldsr weights fetch lpips-alexnet-features.",
        )
    state = _load(path)
    digest = hash_features(state)
    if digest != expected and hash_file(path) != ALEXNET.sha256:
        raise Missing(
            f"{path} does not hold the published AlexNet (its convolutions have the hash "
            f"{digest[:12]}..., expected {expected[:12]}...).",
            "Fetch them again: python -m ldsr weights fetch lpips-alexnet-features.",
        )
    return state, digest


def _load_heads(path: Path, expected: str) -> "dict[str, Tensor]":
    """LPIPS' own weights: from the hub folder, else those that torchmetrics carries."""
    spec = importlib.util.find_spec("torchmetrics")
    places = [path]
    if spec is not None and spec.origin is not None:
        inside = ("functional", "image", "lpips_models", "alex.pth")
        places.append(Path(spec.origin).parent.joinpath(*inside))
    for place in places:
        if place.is_file() and hash_file(place) == expected:
            return _load(place)
    raise Missing(
        f"LPIPS' own weights are neither at {path} nor in the package torchmetrics as published.",
        "Install torchmetrics again: pip install --force-reinstall --no-deps torchmetrics.",
    )


def _load(path: Path) -> "dict[str, Tensor]":
    """Read tensors, and nothing but tensors."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever it stumbles on
        raise Missing(f"{path} is damaged ({type(error).__name__}).", "Fetch it again.") from error


def _alexnet(state: "Mapping[str, Tensor]") -> "torch.nn.Sequential":
    """AlexNet's convolutions (Krizhevsky 2014), as torchvision numbers them."""
    from torch import nn

    network = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
    )
    prefix = "features."
    network.load_state_dict(
        {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
    )
    return network.eval().requires_grad_(False)


class ClipIqa:
    """CLIP-IQA (Wang et al. 2023) through pyiqa's 'clipiqa': CLIP RN50, five pairs of words.

    pyiqa is licensed for noncommercial use only; nothing else here needs it.

    Args:
        device: to compute on.
        path: of CLIP's RN50.pt; looked for by default.
        sha256: the file must have; tests give that of theirs.

    Raises:
        Missing: pyiqa or CLIP's weights are not there, or the file is another one.
    """

    def __init__(
        self,
        *,
        device: "str | torch.device" = "cpu",
        path: Path | None = None,
        sha256: str | None = None,
    ) -> None:
        if importlib.util.find_spec("pyiqa") is None:
            raise Missing(
                "CLIP-IQA needs the package pyiqa.",
                "Install it, for noncommercial use: pip install pyiqa.",
            )
        if path is None:
            try:
                path, self.sha256 = find_weights("clip-rn50")
            except WeightsError as error:
                raise Missing.of(error) from error
        else:
            self.sha256 = hash_file(path)
        expected = sha256 or WEIGHTS["clip-rn50"].sha256
        if self.sha256 != expected:
            raise Missing(
                f"{path} is not CLIP's published RN50 (hash {self.sha256[:12]}..., expected "
                f"{expected[:12]}...).",
                "Fetch it again: python -m ldsr weights fetch clip-rn50.",
            )
        import pyiqa

        try:
            self._metric = pyiqa.create_metric("clipiqa", backbone=str(path), device=device)
        except Exception as error:  # whatever the package and torch.jit stumble on
            raise Missing(
                f"CLIP-IQA cannot be loaded ({type(error).__name__}: {_first_line(error)}).",
                'Check the packages: pip install pyiqa "setuptools<81".',
            ) from error
        self.device = device

    @property
    def provenance(self) -> dict[str, str]:
        """What the number is made with."""
        return {
            "package": f"pyiqa {version('pyiqa')}, clipiqa",
            "weights": f"CLIP RN50 (SHA-256 {self.sha256})",
        }

    def __call__(self, pictures: Sequence[np.ndarray]) -> list[float]:
        """Score pictures [3, H, W] in 0..1, red, green, blue, all of one size: 0..1, 1 is best."""
        import torch

        batch = torch.from_numpy(np.stack(pictures)).to(self.device, torch.float32)
        with torch.inference_mode():
            return self._metric(batch).flatten().tolist()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
