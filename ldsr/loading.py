"""How files of weights become networks, and networks files.

One safetensors file holds one network or one model; its header says how to build it.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ldsr.errors import WeightsError
from ldsr.models.geometry import PUBLISHED
from ldsr.models.latent_sr import LatentSR
from ldsr.models.published import convert_checkpoint
from ldsr.models.refiner import Refiner
from ldsr.models.regression import Regression
from ldsr.models.sr3 import SR3
from ldsr.sampling.schedule import Schedule, cosine_schedule
from ldsr.weights import WEIGHTS, find_model, find_weights, hash_file

PARTS: Mapping[str, Callable[..., nn.Module]] = {
    "refiner": Refiner,
    "sr3": SR3,
    "regression": Regression,
}
"""Networks that work beside a model, by their role in WEIGHTS."""


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """A network that works beside a model.

    Attributes:
        network: in evaluation mode, on the device.
        temperature: recommended amplitude of the first noise, 0..1; 0 where there is none.
        file: name of its file.
        sha256: of the file.
    """

    network: nn.Module
    temperature: float
    file: str
    sha256: str


class Parts:
    """The networks beside a model, each read when it is first asked for.

    Args:
        device: where they go.
        given: networks by role that need no file.
    """

    def __init__(self, device: torch.device, given: Mapping[str, Part] | None = None) -> None:
        self._device = device
        self._ready: dict[str, Part] = dict(given or {})

    def __contains__(self, role: str) -> bool:
        """Whether a role can be served: its network is ready or its file lies where it should."""
        return role in self._ready or any(
            entry.role == role and entry.path.is_file() for entry in WEIGHTS.values()
        )

    def __getitem__(self, role: str) -> Part:
        """Give a role's network.

        Raises:
            WeightsError: no such weights here, or damaged ones.
        """
        if role not in self._ready:
            names = [entry.name for entry in WEIGHTS.values() if entry.role == role]
            if not names:
                raise WeightsError(f"There are no weights for {role!r} in this version.")
            path, digest = find_weights(names[0])
            self._ready[role] = load_part(path, role, digest, self._device)
        return self._ready[role]


def load_weights(name: str, device: torch.device) -> Loaded:
    """Load a model by its name in WEIGHTS.

    Raises:
        WeightsError: unknown name, missing file, wrong hash, or tensors that do not fit.
    """
    path, digest = find_model(name)
    return (load_mini if WEIGHTS[name].embedded else load_published)(path, digest, device)


def load_mini(path: Path, digest: str, device: torch.device) -> Loaded:
    """Build a model from a safetensors file whose header holds its geometry and schedule."""
    model, header = _build(path, LatentSR, "mini weights", keys=("schedule",))
    return Loaded(
        model=_ready(model, device),
        schedule=cosine_schedule(**json.loads(header["schedule"])),
        spacing="trailing",
        last_alpha_cumprod=1.0,
        temperature=float(header["temperature"]),
        sha256=digest,
    )


def load_part(path: Path, role: str, digest: str, device: torch.device) -> Part:
    """Build a network that works beside a model from its file.

    Raises:
        WeightsError: another kind of file.
    """
    network, header = _build(path, PARTS[role], f"{role} weights")
    return Part(
        network=_ready(network, device),
        temperature=float(header["temperature"]),
        file=path.name,
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
    return _save(model, path, geometry, temperature, {"schedule": json.dumps(schedule)})


def save_part(network: nn.Module, path: Path, *, geometry: dict, temperature: float = 0.0) -> str:
    """Write a network that works beside a model in half precision; return the file's hash.

    Args:
        network: what `load_part` will build again.
        path: of the safetensors file.
        geometry: its arguments.
        temperature: recommended amplitude of the first noise, 0..1.
    """
    return _save(network, path, geometry, temperature, {})


def _save(
    network: nn.Module, path: Path, geometry: dict, temperature: float, more: dict[str, str]
) -> str:
    state = {key: value.detach().half().contiguous() for key, value in network.state_dict().items()}
    header = {"geometry": json.dumps(geometry), "temperature": str(temperature), **more}
    save_file(state, path, metadata=header)
    path.chmod(0o644)
    return hash_file(path)


def _build(
    path: Path, kind: Callable[..., nn.Module], what: str, *, keys: Sequence[str] = ()
) -> tuple[nn.Module, dict[str, str]]:
    """A network with the tensors of a file, and the file's header, which has to have the keys."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key).float() for key in file.keys()}
        network = kind(**json.loads(header["geometry"]))
        network.load_state_dict(state)
        float(header["temperature"])
        if missing := [key for key in keys if key not in header]:
            raise KeyError(missing[0])
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"{path.name} is not a file of {what} ({reason}).") from error
    return network, header


def _ready(network: nn.Module, device: torch.device) -> nn.Module:
    return network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
