"""Zero-shot land-cover tags by CLIP (Radford et al. 2021), if its weights are on this machine.

Nothing is fetched here. The package is openai-clip, imported when a tagger is made; with its
archive format and classes this was tried on a tiny random model only. How good the tags of the
published RN50 are on Sentinel-2 pictures has not been measured here.
"""

from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from PIL import Image

from ldsr.data.patch import Patch
from ldsr.errors import LdsrError, PatchError, WeightsError
from ldsr.render import stretch_of, true_colour
from ldsr.semantics.vocabulary import VOCABULARY
from ldsr.weights import WEIGHTS, hash_file

ENTRY = WEIGHTS["clip-rn50"]
SHA256, URL = ENTRY.sha256, ENTRY.url

TEMPLATES = (
    "a centered satellite photo of {}.",
    "a satellite photo of {} seen from above.",
    "an aerial view of {}.",
)
"""The first is one of CLIP's own for EuroSAT (the paper's prompts for 10 m Sentinel-2)."""
PHRASES = {
    "water": "a river, a lake or the sea",
    "forest": "a forest",
    "grassland": "grassland and pastures",
    "cropland": "crop fields and farmland",
    "built-up": "buildings, roads and houses",
    "bare soil": "bare soil and rock",
    "sand": "sand and dunes",
    "snow": "snow and ice",
    "cloud": "clouds",
    "shadow": "dark shadow",
}
"""What a tag is called in a sentence."""
SCALE = 100.0
"""Inverse temperature of the softmax: CLIP's trained logit scale."""


class ClipTagger:
    """CLIP and what it makes of the vocabulary's sentences, both computed once.

    Args:
        path: of RN50.pt.
        sha256: the file must have.

    Raises:
        WeightsError: another hash, or a file that is not a CLIP archive.
        LdsrError: the package openai-clip is missing.
    """

    def __init__(self, path: Path, *, sha256: str = SHA256) -> None:
        clip = _import_clip()
        digest = hash_file(path)
        if digest != sha256:
            raise WeightsError(
                f"{path} has the hash {digest[:12]}..., expected {sha256[:12]}...; it is damaged "
                f"or another file: fetch it again with: python -m ldsr weights fetch {ENTRY.name}."
            )
        try:
            self.model, self.preprocess = clip.load(str(path), device="cpu")
        except Exception as error:  # torch.jit and the package raise whatever they stumble on
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise WeightsError(f"{path} is not a CLIP archive ({reason}).") from error
        self.model.eval().requires_grad_(False)
        sentences = [form.format(PHRASES[tag]) for tag in VOCABULARY for form in TEMPLATES]
        features = _unit(self.model.encode_text(clip.tokenize(sentences)))
        self.text = _unit(features.unflatten(0, (len(VOCABULARY), len(TEMPLATES))).mean(1))
        """[K, D], unit length: the mean over the templates."""

    def __call__(self, patch: Patch) -> dict[str, float]:
        """Tag a patch: softmax(100 cos(picture, text)).

        Returns:
            Every tag of VOCABULARY in its order; probabilities 0..1, sum 1.

        Raises:
            PatchError: no pixel is valid.
        """
        side = self.model.visual.input_resolution
        picture = self.preprocess(to_picture(patch).resize((side, side), Image.Resampling.BICUBIC))
        cosine = _unit(self.model.encode_image(picture[None])) @ self.text.T
        shares = torch.softmax(SCALE * cosine[0].double(), 0)
        return dict(zip(VOCABULARY, shares.tolist(), strict=True))


def find_weights() -> Path:
    """Find RN50.pt in one of the folders that pyiqa, openai-clip and we keep it in.

    Raises:
        WeightsError: it is in none of them.
    """
    if ENTRY.path.is_file():
        return ENTRY.path
    places = ", ".join(str(path) for path in ENTRY.places)
    raise WeightsError(
        f"CLIP's weights are at none of {places}; fetch them with: "
        f"python -m ldsr weights fetch {ENTRY.name} (from {URL})."
    )


def to_picture(patch: Patch) -> Image.Image:
    """Draw a patch in true colour as the screen shows it, invalid pixels black.

    Raises:
        PatchError: no pixel is valid.
    """
    if not patch.valid.any():
        raise PatchError("The picture has no valid pixel; there is nothing to find tags in.")
    colour = true_colour(patch.reflectance, stretch_of(patch))[..., :3]
    return Image.fromarray(np.where(patch.valid[..., None], colour, np.uint8(0)))


def _import_clip() -> ModuleType:
    """The package openai-clip, or what to install."""
    try:
        import clip
    except ImportError as error:
        raise LdsrError(
            f"CLIP tags need the package openai-clip ({error}); "
            'install it with: pip install openai-clip "setuptools<81".'
        ) from error
    return clip


def _unit(features: torch.Tensor) -> torch.Tensor:
    """Rows of length 1, float32."""
    return torch.nn.functional.normalize(features.float(), dim=-1)
