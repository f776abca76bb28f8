"""How close a picture looks to its reference: LPIPS (AlexNet, v0.1), through torchmetrics."""

from pathlib import Path

import numpy as np

from ldsr.errors import MetricError

ALEXNET = "alexnet-owt-7be5be79.pth"


class Lpips:
    """LPIPS of R, G, B, both pictures stretched by the reference.

    Raises:
        MetricError: torchvision's AlexNet weights are not in the torch hub folder; they are never
            fetched from here.
    """

    def __init__(self) -> None:
        import torch
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        path = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
        if not path.is_file():
            raise MetricError(
                f"LPIPS needs {path}; fetch https://download.pytorch.org/models/{ALEXNET} to it."
            )
        self._torch = torch
        self._metric = LearnedPerceptualImagePatchSimilarity(net_type="alex")

    def __call__(self, sr: np.ndarray, hr: np.ndarray) -> float:
        """Distance of reflectance sr to hr, [4, H, W] each; 0 for equal pictures."""
        pictures = (self._torch.from_numpy(stretch(x[:3], hr[:3]))[None] for x in (sr, hr))
        with self._torch.inference_mode():
            self._metric.reset()
            return float(self._metric(*pictures))


def stretch(x: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Map the reference's 1st to 99th percentile (bands pooled) to -1..1, clipped; float32."""
    low, high = np.percentile(reference, [1, 99])
    return ((x - low) / max(high - low, 0.01) * 2 - 1).clip(-1, 1).astype(np.float32)
