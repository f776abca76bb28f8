"""The published LDSR-S2 v1 checkpoint: its tensor names against ours.

The table is made from the modules themselves, so it holds for every width and depth. Knows no
files; whoever reads the checkpoint hands its state dict in.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ldsr.errors import WeightsError
from ldsr.models.autoencoder import Autoencoder, Decoder, Encoder
from ldsr.models.layers import Attention
from ldsr.models.unet import UNet

AUTOENCODER_PREFIX = "first_stage_model."
UNET_PREFIX = "model.diffusion_model."
EMA_PREFIX = "model_ema."
EMA_COUNTERS = ("model_ema.decay", "model_ema.num_updates")
SCHEDULE_BUFFERS = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
)

KeyTable = dict[str, tuple[str, ...]]
"""Our name of a tensor to the checkpoint's name, or to the names whose tensors are joined."""

_RES_AUTOENCODER = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "skip": "nin_shortcut",
}
_RES_UNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "embed": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "skip": "skip_connection",
}


@dataclasses.dataclass(frozen=True, eq=False)
class PublishedWeights:
    """A checkpoint in our names.

    Attributes:
        autoencoder: state dict of `Autoencoder`.
        unet: state dict of `UNet`.
        alphas_cumprod: [T], the noise schedule that the denoiser was trained with ("eps").
    """

    autoencoder: dict[str, Tensor]
    unet: dict[str, Tensor]
    alphas_cumprod: Tensor


def convert_checkpoint(
    state: Mapping[str, Tensor],
    *,
    autoencoder: Autoencoder,
    unet: UNet,
    use_ema: bool = False,
) -> PublishedWeights:
    """Translate a published state dict; nothing may be missing, left over or of another shape.

    Args:
        state: the checkpoint's "state_dict" as it is. Keys with "loss" in them are dropped.
        autoencoder: of the geometry to load (`ldsr.models.geometry.PUBLISHED`); only its names
            and shapes are read.
        unet: the same of the denoiser.
        use_ema: take the averaged copy of the denoiser. The published package does not.

    Returns:
        The tensors in our names, sharing memory with `state` where they need no joining.

    Raises:
        WeightsError: this is not such a checkpoint.
    """
    state = {key: value for key, value in state.items() if "loss" not in key}
    autoencoder_table = _prefixed(autoencoder_keys(autoencoder), AUTOENCODER_PREFIX)
    unet_table = _prefixed(unet_keys(unet), UNET_PREFIX)
    ema_table = {ours: tuple(map(ema_key, theirs)) for ours, theirs in unet_table.items()}
    has_ema = any(key.startswith(EMA_PREFIX) for key in state)
    required = {"alphas_cumprod", *_sources(autoencoder_table), *_sources(unet_table)}
    if has_ema or use_ema:
        required |= {*_sources(ema_table)}
    _check_keys(state, required, required | {*SCHEDULE_BUFFERS, *EMA_COUNTERS})
    if state["alphas_cumprod"].ndim != 1:
        shape = tuple(state["alphas_cumprod"].shape)
        raise WeightsError(f"alphas_cumprod has shape {shape}, expected one value per time step.")
    return PublishedWeights(
        autoencoder=_translate(state, autoencoder_table, autoencoder),
        unet=_translate(state, ema_table if use_ema else unet_table, unet),
        alphas_cumprod=state["alphas_cumprod"],
    )


def autoencoder_keys(model: Autoencoder) -> KeyTable:
    """Our autoencoder's tensor names to the checkpoint's, without its prefix."""
    layers = {"quant": "quant_conv", "post_quant": "post_quant_conv"}
    layers |= _coder_layers(model.encoder, "encoder", "down", "downsample")
    layers |= _coder_layers(model.decoder, "decoder", "up", "upsample")
    return _expand(model, layers)


def unet_keys(model: UNet) -> KeyTable:
    """Our denoiser's tensor names to the checkpoint's, without its prefix."""
    layers = {"time.0": "time_embed.0", "time.2": "time_embed.2", "conv_in": "input_blocks.0.0"}
    layers |= {"norm_out": "out.0", "conv_out": "out.2"}
    number = 0
    for level, stage in enumerate(model.down):
        for block in range(len(stage["blocks"])):
            number += 1
            layers |= _unet_block(f"down.{level}", block, f"input_blocks.{number}")
        if "down" in stage:
            number += 1
            layers[f"down.{level}.down"] = f"input_blocks.{number}.0.op"
    layers |= _res("middle1", "middle_block.0", _RES_UNET)
    layers |= _attention("middle_attention", "middle_block.1")
    layers |= _res("middle2", "middle_block.2", _RES_UNET)
    number = -1
    for level, stage in enumerate(model.up):
        for block in range(len(stage["blocks"])):
            number += 1
            layers |= _unet_block(f"up.{level}", block, f"output_blocks.{number}")
        # the upsampling follows the last block and, where there is one, its attention
        place = 2 if isinstance(stage["attention"][-1], Attention) else 1
        layers[f"up.{level}.up.conv"] = f"output_blocks.{number}.{place}.conv"
    return _expand(model, layers)


def ema_key(key: str) -> str:
    """Name of the averaged copy of a denoiser tensor: "model." and every dot are gone."""
    return EMA_PREFIX + key.removeprefix("model.").replace(".", "")


def _coder_layers(coder: Encoder | Decoder, name: str, side: str, resample: str) -> dict[str, str]:
    """Layers of an encoder ("down") or a decoder ("up", counted from the highest resolution)."""
    layers = {f"{name}.{layer}": f"{name}.{layer}" for layer in ("conv_in", "norm_out", "conv_out")}
    layers |= _res(f"{name}.middle.block1", f"{name}.mid.block_1", _RES_AUTOENCODER)
    layers |= _res(f"{name}.middle.block2", f"{name}.mid.block_2", _RES_AUTOENCODER)
    for part, theirs in (("norm", "norm"), ("proj", "proj_out"), ("qkv", "q+k+v")):
        layers[f"{name}.middle.attention.{part}"] = f"{name}.mid.attn_1.{theirs}"
    levels = len(coder.levels)
    for level, stage in enumerate(coder.levels):
        theirs = f"{name}.{side}.{level if side == 'down' else levels - 1 - level}"
        for block in range(len(stage["blocks"])):
            ours = f"{name}.levels.{level}.blocks.{block}"
            layers |= _res(ours, f"{theirs}.block.{block}", _RES_AUTOENCODER)
        layers[f"{name}.levels.{level}.{side}.conv"] = f"{theirs}.{resample}.conv"
    return layers


def _unet_block(stage: str, block: int, theirs: str) -> dict[str, str]:
    layers = _res(f"{stage}.blocks.{block}", f"{theirs}.0", _RES_UNET)
    return layers | _attention(f"{stage}.attention.{block}", f"{theirs}.1")


def _res(ours: str, theirs: str, parts: Mapping[str, str]) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{name}" for part, name in parts.items()}


def _attention(ours: str, theirs: str) -> dict[str, str]:
    return _res(ours, theirs, {"norm": "norm", "qkv": "qkv", "proj": "proj_out"})


def _expand(model: nn.Module, layers: Mapping[str, str]) -> KeyTable:
    """Look up every tensor of a model; "a.q+k+v" stands for three layers joined.

    Raises:
        WeightsError: the model has a layer that the published network lacks.
    """
    table = {}
    for ours in model.state_dict():
        layer, _, part = ours.rpartition(".")
        if layer not in layers:
            raise WeightsError(f"The published network has no layer like {layer} of this model.")
        parent, _, leaf = layers[layer].rpartition(".")
        stem = parent + "." if parent else ""
        table[ours] = tuple(f"{stem}{name}.{part}" for name in leaf.split("+"))
    return table


def _prefixed(table: KeyTable, prefix: str) -> KeyTable:
    return {ours: tuple(prefix + key for key in theirs) for ours, theirs in table.items()}


def _sources(table: KeyTable) -> Iterator[str]:
    return (key for theirs in table.values() for key in theirs)


def _check_keys(state: Mapping[str, Tensor], required: set[str], known: set[str]) -> None:
    """Raise unless required <= state <= known."""
    for keys, what in ((required - state.keys(), "lacks"), (state.keys() - known, "also has")):
        if keys:
            raise WeightsError(
                f"The checkpoint {what} {len(keys)} tensors (such as {min(keys)}); expected the "
                "names of the LDSR-S2 v1 checkpoint, opensr-ldsrs2_v1_0_0.ckpt."
            )


def _translate(state: Mapping[str, Tensor], table: KeyTable, model: nn.Module) -> dict[str, Tensor]:
    """Collect a model's tensors; attention layers may be stored with fewer trailing ones."""
    translated = {}
    for ours, target in model.state_dict().items():
        parts = [state[key] for key in table[ours]]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if (*value.shape, 1) == tuple(target.shape):
            value = value[..., None]
        if value.shape != target.shape:
            raise WeightsError(
                f"{table[ours][0]} gives shape {tuple(value.shape)}, expected "
                f"{tuple(target.shape)}: the checkpoint is of another geometry."
            )
        translated[ours] = value
    return translated
