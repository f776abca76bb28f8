"""Segment Anything (Kirillov et al. 2023) and MobileSAM (Zhang et al. 2023), from hashed weights.

Answers points with masks; knows nothing of scores. Nothing is fetched here.
"""

import functools
import importlib.util
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evaluation.score import Missing
from ldsr.errors import WeightsError
from ldsr.weights import WEIGHTS, find_weights, hash_file

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam
    from torch import Tensor

ORDER = {"cpu": ("mobile-sam", "sam-vit-b"), "cuda": ("sam-vit-b", "mobile-sam")}
"""Which is taken first: the reference where it is fast, the small one on a processor."""


class Embedding(NamedTuple):
    """What the encoder made of a picture.

    Attributes:
        features: [1, D, h, w].
        scaled: height and width in which the encoder saw the picture.
        size: height and width of the picture.
    """

    features: "Tensor"
    scaled: tuple[int, int]
    size: tuple[int, int]


class SegmentAnything:
    """A loaded SAM.

    Args:
        name: "sam-vit-b" or "mobile-sam".
        path: of its weights.
        device: to compute on.
        sha256: the file must have; the published one's by default, tests give that of theirs.
        build: makes the network without weights; tests give a small one.

    Raises:
        Missing: a package is missing, or the file is not the published one.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        device: "str | torch.device" = "cpu",
        sha256: str | None = None,
        build: "Callable[[], Sam] | None" = None,
    ) -> None:
        import torch

        self.name = name
        self.sha256 = hash_file(path)
        expected = sha256 or WEIGHTS[name].sha256
        if self.sha256 != expected:
            raise Missing(
                f"{path.name} is not the published {name} (hash {self.sha256[:12]}..., expected "
                f"{expected[:12]}...).",
                f"Fetch it again: python -m ldsr weights fetch {name}.",
            )
        network = (build or BUILDERS[name])()
        try:
            network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except Exception as error:  # torch raises whatever it stumbles on
            raise Missing(
                f"{path.name} does not fit {name} ({type(error).__name__}).",
                f"Fetch it again: python -m ldsr weights fetch {name}.",
            ) from error
        self.device = torch.device(device)
        self.network = network.eval().requires_grad_(False).to(self.device)

    @property
    def provenance(self) -> dict[str, str]:
        """What the masks are made with."""
        return {
            "encoder": f"{self.name}, {self.network.image_encoder.img_size} pixels",
            "package": f"segment-anything {version('segment-anything')}",
            "weights": f"SHA-256 {self.sha256}",
        }

    def embed(self, picture: np.ndarray) -> Embedding:
        """Encode a picture, uint8 [H, W, 3], red, green, blue; its longer side is scaled."""
        import torch
        from segment_anything.utils.transforms import ResizeLongestSide

        side = self.network.image_encoder.img_size
        scaled = ResizeLongestSide(side).apply_image(picture)
        with torch.inference_mode():
            x = torch.from_numpy(np.array(scaled)).to(self.device).permute(2, 0, 1)[None].float()
            features = self.network.image_encoder(self.network.preprocess(x))
        return Embedding(features, scaled.shape[:2], picture.shape[:2])

    def answer(self, embedding: Embedding, points: np.ndarray) -> "tuple[Tensor, Tensor]":
        """Three masks a point, each point a prompt by itself.

        Args:
            embedding: of `embed`.
            points: [K, 2], x and y as shares of width and height.

        Returns:
            Logits [K, 3, h, w] (small; see `enlarge`) and predicted IoU [K, 3].
        """
        import torch

        height, width = embedding.scaled
        with torch.inference_mode():
            places = torch.from_numpy(points * np.array([width, height])).to(self.device).float()
            labels = torch.ones(len(points), 1, dtype=torch.int, device=self.device)
            sparse, dense = self.network.prompt_encoder(
                points=(places[:, None], labels), boxes=None, masks=None
            )
            return self.network.mask_decoder(
                image_embeddings=embedding.features,
                image_pe=self.network.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )

    def enlarge(self, embedding: Embedding, logits: "Tensor") -> "Tensor":
        """Bring logits [K, h, w] to the picture's size, [K, H, W]."""
        masks = self.network.postprocess_masks(logits[:, None], embedding.scaled, embedding.size)
        return masks[:, 0]


def find_sam(device: "str | torch.device" = "cpu") -> SegmentAnything:
    """Load what is on this machine: on a GPU the reference first, on a processor MobileSAM.

    Raises:
        Missing: neither can be loaded.
    """
    kind = str(device).split(":")[0]
    reasons = []
    for name in ORDER.get(kind, ORDER["cpu"]):
        try:
            path, _ = find_weights(name)
            return SegmentAnything(name, path, device=device)
        except WeightsError as error:
            reasons.append(str(error).split(";")[0].rstrip("."))
        except Missing as error:
            reasons.append(str(error).rstrip("."))
    raise Missing(
        f"SMS needs Segment Anything, of which nothing is ready here ({'; '.join(reasons)}).",
        "Fetch one: python -m ldsr weights fetch mobile-sam (40 MB) or sam-vit-b (375 MB).",
    )


def build_vit_b() -> "Sam":
    """SAM with its smallest encoder, vit_b, without weights."""
    _need("segment_anything", "segment-anything")
    from segment_anything import sam_model_registry

    return sam_model_registry["vit_b"]()


def build_mobile() -> "Sam":
    """MobileSAM without weights: SAM's prompt encoder and mask decoder behind a TinyViT."""
    _need("segment_anything", "segment-anything")
    _need("timm", "timm")
    _need("mobile_sam", "mobilesam-mirror")
    from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # timm's new names
        from mobile_sam.modeling import TinyViT

    encoder = TinyViT(
        img_size=1024,
        in_chans=3,
        num_classes=1000,
        embed_dims=[64, 128, 160, 320],
        depths=[2, 2, 6, 2],
        num_heads=[2, 4, 5, 10],
        window_sizes=[7, 7, 14, 7],
        mlp_ratio=4.0,
        drop_rate=0.0,
        drop_path_rate=0.0,
        use_checkpoint=False,
        mbconv_expand_ratio=4.0,
        local_conv_size=3,
        layer_lr_decay=0.8,
    )
    transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
    return Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(
            embed_dim=256,
            image_embedding_size=(64, 64),
            input_image_size=(1024, 1024),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=transformer,
            transformer_dim=256,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
    )


BUILDERS: "Mapping[str, Callable[[], Sam]]" = MappingProxyType(
    {"sam-vit-b": build_vit_b, "mobile-sam": build_mobile}
)


@functools.cache
def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _need(module: str, package: str) -> None:
    if not _importable(module):
        raise Missing(f"The package {package} is missing.", f"Install it: pip install {package}.")
