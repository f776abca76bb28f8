"""opensr-model as its users run it, with random weights. Imports nothing of the product.

`import ldsr` asks torch for huge pages in the environment, which torch reads when it first
allocates: a peer measured after that import would run with pages that its users do not have.
"""

import types
from collections.abc import Callable
from typing import Any

import torch
from opensr_model.diffusion import utils as diffusion
from opensr_model.srmodel import SRLatentDiffusion

from tests.benchmarks.work import CHECKPOINT, SEED, Work


def oracle_config(ae_width: int, unet_width: int) -> types.SimpleNamespace:
    """Configure the published package; its own widths are 128 and 160."""
    return types.SimpleNamespace(
        apply_normalization=False,
        encode_conditioning=True,
        first_stage_config={
            "embed_dim": 4,
            "double_z": True,
            "z_channels": 4,
            "resolution": 512,
            "in_channels": 4,
            "out_ch": 4,
            "ch": ae_width,
            "ch_mult": [1, 2, 4],
            "num_res_blocks": 2,
            "attn_resolutions": [],
            "dropout": 0.0,
        },
        cond_stage_config={
            "image_size": 64,
            "in_channels": 8,
            "out_channels": 4,
            "model_channels": unet_width,
            "attention_resolutions": [16, 8],
            "num_res_blocks": 2,
            "channel_mult": [1, 2, 2, 4],
            "num_head_channels": 32,
        },
        denoiser_settings=types.SimpleNamespace(
            timesteps=1000, linear_start=0.0015, linear_end=0.0155
        ),
        other=types.SimpleNamespace(
            concat_mode=True,
            cond_stage_trainable=False,
            first_stage_key="image",
            cond_stage_key="LR_image",
        ),
    )


def make_checkpoint(work: Work) -> Callable[[], None]:
    """What saves random weights in the published layout.

    The package begins with zeros at the end of every residual and of the denoiser, which would
    make of it a function that is zero: nothing to compare. They get values like the others.
    """

    def run() -> None:
        torch.manual_seed(SEED)
        model = SRLatentDiffusion(oracle_config(*work.widths)).model
        with torch.no_grad():
            for weight in model.model.parameters():
                if weight.ndim > 1 and not weight.any():
                    weight.normal_(std=weight[0].numel() ** -0.5)
        torch.save({"state_dict": model.state_dict()}, work.folder / CHECKPOINT)

    return run


def make_run(work: Work) -> Callable[[], Any]:
    """The package as it is called, without its random posterior and its histogram matching.

    It enlarges inputs below 128 pixels to 128 itself. Steps that do not divide 1000, such as 3, it
    cannot do (IndexError: one step too many, beyond its schedule); here it is given only as many.
    """
    diffusion.make_ddim_timesteps = _no_more_than_asked(diffusion.make_ddim_timesteps)
    model = SRLatentDiffusion(oracle_config(*work.widths), device=work.device)
    state = torch.load(work.folder / CHECKPOINT, weights_only=True)["state_dict"]
    model.model.load_state_dict(state)
    del state
    lr = torch.from_numpy(work.input()).to(work.device)
    _take_the_mode(model, work.device)

    def run() -> Any:
        torch.manual_seed(SEED)
        sr = model(
            lr,
            sampling_eta=0.0,
            sampling_steps=work.steps,
            sampling_temperature=1.0,
            histogram_matching=False,
        )
        return sr.float().cpu().numpy()

    return run


def _no_more_than_asked(make_timesteps: Callable[..., Any]) -> Callable[..., Any]:
    def make(**knobs: Any) -> Any:
        return make_timesteps(**knobs)[: knobs["num_ddim_timesteps"]]

    return make


def _take_the_mode(model: SRLatentDiffusion, device: str) -> None:
    """Let the encoder's posterior give its mode instead of a sample, so that results compare."""
    with torch.no_grad():
        small = torch.zeros(1, 4, 32, 32, device=device)
        posterior = type(model.model.first_stage_model.encode(small))

    def mode(self: Any) -> torch.Tensor:
        return self.mode()

    posterior.sample = mode
