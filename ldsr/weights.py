"""Which weights there are, where they lie, and how they become a model.

Files are read, hashed and checked here; nothing is fetched behind the person's back.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ldsr.errors import WeightsError
from ldsr.models.geometry import PUBLISHED
from ldsr.models.latent_sr import LatentSR
from ldsr.models.published import convert_checkpoint
from ldsr.sampling.schedule import Schedule, cosine_schedule

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "weights"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """One entry of the registry.

    Attributes:
        name: as `Pipeline.load` takes it.
        file: file name, in assets/weights (embedded) or in the person's weights folder.
        embedded: ships with the product.
        url: where the person can get it, or None.
        sha256: of the file, or None where it is not known before the first trusted download.
        licence: of the weights.
        bands: the bands they were trained for.
        normalisation: what the network sees.
        citation: one line.
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

    @property
    def path(self) -> Path:
        """Where the file lies, or would lie."""
        return (ASSETS if self.embedded else home() / "weights") / self.file


WEIGHTS: Mapping[str, Weights] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Weights(
                name="mini",
                file="mini-v1.safetensors",
                embedded=True,
                url=None,
                sha256="44cf2904a5e7959ee389ef6e355ce1446121bf241cec4b61dafa9bceee9d1fce",
                licence="Apache-2.0",
                bands="B04, B03, B02, B08 (R, G, B, NIR), L2A surface reflectance",
                normalisation="square root of reflectance",
                citation="LDSR Studio, assets/weights/MODEL_CARD.md",
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loaded:
    """Weights that became a model.

    Attributes:
        model: in evaluation mode, on the device.
        schedule: the noise schedule it was trained with.
        spacing: time-step spacing that fits the schedule, "trailing" or "leading".
        last_alpha_cumprod: what the last DDIM step ends at.
        temperature: recommended amplitude of the first noise, 0..1.
        sha256: of the file.
    """

    model: LatentSR
    schedule: Schedule
    spacing: str
    last_alpha_cumprod: float
    temperature: float
    sha256: str


def home() -> Path:
    """The person's folder for weights: $LDSR_HOME, else ~/.cache/ldsr."""
    return Path(os.environ.get("LDSR_HOME", Path.home() / ".cache" / "ldsr"))


def hash_file(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(name: str, device: torch.device) -> Loaded:
    """Load a model by its name in WEIGHTS.

    Raises:
        WeightsError: unknown name, missing file, wrong hash, or tensors that do not fit.
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
    return (load_mini if entry.embedded else load_published)(entry.path, digest, device)


def load_mini(path: Path, digest: str, device: torch.device) -> Loaded:
    """Build a model from a safetensors file whose header holds its geometry and schedule."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key).float() for key in file.keys()}
        geometry, schedule = json.loads(header["geometry"]), json.loads(header["schedule"])
        temperature = float(header["temperature"])
        model = LatentSR(**geometry)
        model.load_state_dict(state)
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path.name} is not a file of mini weights ({reason}).") from error
    return Loaded(
        model=_ready(model, device),
        schedule=cosine_schedule(**schedule),
        spacing="trailing",
        last_alpha_cumprod=1.0,
        temperature=temperature,
        sha256=digest,
    )


def load_published(path: Path, digest: str, device: torch.device) -> Loaded:
    """Build the published model (LDSR-S2 v1) from its checkpoint, schedule included."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception as error:  # on foreign bytes torch.load raises whatever it stumbles on
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{path.name} is not a checkpoint with a state_dict ({reason})."
        ) from error
    model = LatentSR(**PUBLISHED)
    weights = convert_checkpoint(state, autoencoder=model.autoencoder, unet=model.denoiser)
    model.autoencoder.load_state_dict(weights.autoencoder)
    model.denoiser.load_state_dict(weights.unet)
    try:
        schedule = Schedule(weights.alphas_cumprod, "eps")
    except ValueError as error:
        raise WeightsError(f"{path.name} holds no usable noise schedule: {error}") from error
    return Loaded(
        model=_ready(model, device),
        schedule=schedule,
        spacing="leading",
        last_alpha_cumprod=float(schedule.alphas_cumprod[0]),
        temperature=1.0,
        sha256=digest,
    )


def save_mini(
    model: LatentSR, path: Path, *, geometry: dict, schedule: dict, temperature: float
) -> str:
    """Write a model in half precision, all that describes it in the header; return the file's hash.

    Args:
        model: the networks.
        path: of the safetensors file.
        geometry: arguments of LatentSR.
        schedule: arguments of `cosine_schedule`.
        temperature: recommended amplitude of the first noise, 0..1.
    """
    state = {key: value.detach().half().contiguous() for key, value in model.state_dict().items()}
    header = {
        "geometry": json.dumps(geometry),
        "schedule": json.dumps(schedule),
        "temperature": str(temperature),
    }
    save_file(state, path, metadata=header)
    path.chmod(0o644)
    return hash_file(path)


def _ready(model: LatentSR, device: torch.device) -> LatentSR:
    return model.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
