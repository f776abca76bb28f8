"""Which weights there are, where they lie, and whether they are what they should be.

Files are found and hashed here; nothing is fetched behind the person's back.
"""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ldsr.errors import WeightsError

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "weights"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """One entry of the registry.

    Attributes:
        name: what they are asked for by.
        file: file name, in assets/weights (embedded) or in the person's weights folder.
        embedded: ships with the product.
        url: where the person can get it, or None.
        sha256: of the file, or None where it is not known before the first trusted download.
        licence: of the weights.
        bands: the bands they were trained for.
        normalisation: what the network sees.
        citation: one line.
        role: "model" (what `Pipeline.load` takes), or the part of a run they serve beside one:
            "refiner", "sr3" or "regression".
    """

    name: str
    file: str
    embedded: bool
    url: str | None
    sha256: str | None
    licence: str
    bands: str
    normalisation: str
    citation: str
    role: str = "model"

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie."""
        return (ASSETS if self.embedded else home() / "weights") / self.file


_OURS = {
    "embedded": True,
    "url": None,
    "licence": "Apache-2.0",
    "bands": "B04, B03, B02, B08 (R, G, B, NIR), L2A surface reflectance",
    "normalisation": "square root of reflectance",
    "citation": "LDSR Studio, assets/weights/MODEL_CARD.md",
}
"""What all weights that ship have in common."""

WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Weights(
                name="mini",
                file="mini-v1.safetensors",
                sha256="44cf2904a5e7959ee389ef6e355ce1446121bf241cec4b61dafa9bceee9d1fce",
                **_OURS,
            ),
            Weights(
                name="mini-refiner",
                file="mini-refiner-v1.safetensors",
                sha256="d2fc7edb1e298e6f1833acbfc6166e95ab08bf139e7d63046543a425ef4f16ce",
                role="refiner",
                **_OURS,
            ),
            Weights(
                name="mini-sr3",
                file="mini-sr3-v1.safetensors",
                sha256="4992ab95a45ed596c9ab2904fba9b62c1e6be322ef983c8bf8629649871dcec2",
                role="sr3",
                **_OURS,
            ),
            Weights(
                name="mini-regression",
                file="mini-regression-v1.safetensors",
                sha256="7d5a781b4f108fa683130e17f2560bad2a81c15d3994911a869800cd3c26483d",
                role="regression",
                **_OURS,
            ),
            Weights(
                name="ldsr-s2",
                file="opensr-ldsrs2_v1_0_0.ckpt",
                embedded=False,
                url="https://huggingface.co/simon-donike/RS-SR-LTDF/resolve/main/opensr-ldsrs2_v1_0_0.ckpt",
                sha256=None,
                licence="see the model's page; code MIT",
                bands="B04, B03, B02, B08 (R, G, B, NIR), L2A surface reflectance",
                normalisation="reflectance as is",
                citation="Donike et al. 2025, Trustworthy Super-Resolution of Multispectral "
                "Sentinel-2 Imagery with Latent Diffusion, IEEE JSTARS",
            ),
        )
    }
)


def home() -> Path:
    """The person's folder for weights: $LDSR_HOME, else ~/.cache/ldsr."""
    return Path(os.environ.get("LDSR_HOME", Path.home() / ".cache" / "ldsr"))


def hash_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_weights(name: str) -> tuple[Path, str]:
    """Find the file of a name in WEIGHTS and check it: its path and SHA-256.

    Raises:
        WeightsError: unknown name, missing file or wrong hash.
    """
    if name not in WEIGHTS:
        raise WeightsError(f"There are no weights named {name!r}; known are {', '.join(WEIGHTS)}.")
    entry = WEIGHTS[name]
    if not entry.path.is_file():
        how = (
            f"fetch {entry.url} to {entry.path}" if entry.url else "check out the repository again"
        )
        raise WeightsError(f"The weights {name!r} are not at {entry.path}; {how}.")
    digest = hash_file(entry.path)
    if entry.sha256 is not None and digest != entry.sha256:
        raise WeightsError(
            f"{entry.path.name} has the hash {digest[:12]}..., expected {entry.sha256[:12]}...; "
            "it is damaged or another version: fetch it again."
        )
    return entry.path, digest
