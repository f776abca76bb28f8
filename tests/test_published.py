"""The published network: every tensor of its checkpoint has a place, every number agrees.

The oracle is opensr-model 1.0.8 itself, with random weights (the real checkpoint needs a network).
"""

import json
import pathlib
import types

import pytest
import torch
from opensr_model.autoencoder.autoencoder import AutoencoderKL
from opensr_model.denoiser.unet import UNetModel
from opensr_model.diffusion.utils import DDIMSampler
from opensr_model.srmodel import SRLatentDiffusion
from torch.nn import functional as F

from ldsr.errors import WeightsError
from ldsr.models.autoencoder import Autoencoder
from ldsr.models.geometry import PUBLISHED
from ldsr.models.published import (
    AUTOENCODER_PREFIX,
    UNET_PREFIX,
    autoencoder_keys,
    convert_checkpoint,
    ema_key,
    unet_keys,
)
from ldsr.models.unet import UNet
from ldsr.sampling.ddim import ddim
from ldsr.sampling.noise import draw_noise, make_generators
from ldsr.sampling.schedule import Schedule, linear_schedule, timesteps
from tests.benchmarks.peer import oracle_config

SHAPES = json.loads((pathlib.Path(__file__).parent / "data/ldsr_s2_v1_shapes.json").read_text())
TINY = 32


def random_value(key: str, shape: list[int], generator: torch.Generator) -> torch.Tensor:
    """A weight that keeps activations near one and is nowhere zero."""
    value = torch.randn(shape, generator=generator)
    if len(shape) > 1:
        return value / value[0].numel() ** 0.5
    return 1 + 0.1 * value if key.endswith("weight") else 0.1 * value


def assert_close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> None:
    """Largest difference relative to the largest value."""
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < tolerance


def build(ae_width: int, unet_width: int) -> tuple[Autoencoder, UNet]:
    with torch.device("meta"):
        autoencoder = Autoencoder(**PUBLISHED["autoencoder"] | {"channels": ae_width})
        return autoencoder, UNet(**PUBLISHED["denoiser"] | {"channels": unet_width})


def load(state: dict, ae_width: int, unet_width: int) -> tuple[Autoencoder, UNet, Schedule]:
    autoencoder, unet = build(ae_width, unet_width)
    weights = convert_checkpoint(state, autoencoder=autoencoder, unet=unet)
    autoencoder.load_state_dict(weights.autoencoder, assign=True)
    unet.load_state_dict(weights.unet, assign=True)
    return autoencoder, unet, Schedule(weights.alphas_cumprod)


@pytest.fixture(scope="module")
def oracle() -> SRLatentDiffusion:
    """The whole published model, narrow, with random weights everywhere."""
    model = SRLatentDiffusion(oracle_config(TINY, TINY))
    generator = torch.Generator().manual_seed(0)
    state = model.model.state_dict()
    networks = (AUTOENCODER_PREFIX, UNET_PREFIX)
    drawn = {
        k: random_value(k, v.shape, generator) for k, v in state.items() if k.startswith(networks)
    }
    model.model.load_state_dict(state | drawn)
    return model


@pytest.fixture(scope="module")
def tiny(oracle: SRLatentDiffusion) -> tuple[Autoencoder, UNet, Schedule]:
    return load(oracle.model.state_dict(), TINY, TINY)


@pytest.fixture(scope="module")
def meta_state() -> dict[str, torch.Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in SHAPES.items()}


def test_every_tensor_of_the_checkpoint_has_a_place(meta_state) -> None:
    assert len(SHAPES) == 830
    autoencoder, unet = build(128, 160)
    weights = convert_checkpoint(meta_state, autoencoder=autoencoder, unet=unet)
    assert sum(value.numel() for value in weights.autoencoder.values()) == 55_328_232
    assert sum(value.numel() for value in weights.unet.values()) == 113_626_884
    assert weights.alphas_cumprod.shape == (1000,)
    sources = [
        AUTOENCODER_PREFIX + key for keys in autoencoder_keys(autoencoder).values() for key in keys
    ]
    sources += [UNET_PREFIX + key for keys in unet_keys(unet).values() for key in keys]
    assert len(sources) == len(set(sources)) == 204 + 306


def test_averaged_weights_are_taken_only_when_asked_for(meta_state) -> None:
    autoencoder, unet = build(128, 160)
    raw = convert_checkpoint(meta_state, autoencoder=autoencoder, unet=unet)
    averaged = convert_checkpoint(meta_state, autoencoder=autoencoder, unet=unet, use_ema=True)
    assert raw.unet["time.0.weight"] is meta_state[UNET_PREFIX + "time_embed.0.weight"]
    name = "model_ema.diffusion_modeltime_embed0weight"
    assert ema_key(UNET_PREFIX + "time_embed.0.weight") == name
    assert averaged.unet["time.0.weight"] is meta_state[name]


def test_the_averaged_copy_and_loss_keys_may_be_absent_or_present(meta_state) -> None:
    autoencoder, unet = build(128, 160)
    lean = {key: value for key, value in meta_state.items() if not key.startswith("model_ema.")}
    lean["first_stage_model.loss.logvar"] = torch.zeros(())
    convert_checkpoint(lean, autoencoder=autoencoder, unet=unet)
    with pytest.raises(WeightsError, match="lacks 306 tensors"):
        convert_checkpoint(lean, autoencoder=autoencoder, unet=unet, use_ema=True)


@pytest.mark.parametrize(
    "lost", ["alphas_cumprod", "first_stage_model.encoder.mid.attn_1.k.weight"]
)
def test_a_missing_tensor_is_refused(meta_state, lost: str) -> None:
    autoencoder, unet = build(128, 160)
    state = {key: value for key, value in meta_state.items() if key != lost}
    with pytest.raises(WeightsError, match=f"lacks 1 tensors .such as {lost}"):
        convert_checkpoint(state, autoencoder=autoencoder, unet=unet)


def test_a_schedule_of_another_shape_is_refused(meta_state) -> None:
    autoencoder, unet = build(128, 160)
    state = meta_state | {"alphas_cumprod": torch.ones(10, 100)}
    with pytest.raises(WeightsError, match="one value per time step"):
        convert_checkpoint(state, autoencoder=autoencoder, unet=unet)


def test_a_surplus_tensor_is_refused(meta_state) -> None:
    autoencoder, unet = build(128, 160)
    state = meta_state | {"model.extra": torch.zeros(1)}
    with pytest.raises(WeightsError, match="also has 1 tensors .such as model.extra"):
        convert_checkpoint(state, autoencoder=autoencoder, unet=unet)


def test_another_width_is_refused(meta_state) -> None:
    autoencoder, unet = build(128, 192)
    with pytest.raises(WeightsError, match="another geometry"):
        convert_checkpoint(meta_state, autoencoder=autoencoder, unet=unet)


def test_a_model_of_another_build_is_refused(meta_state) -> None:
    _, unet = build(128, 160)
    with torch.device("meta"):
        guided = Autoencoder(guided=True)
    with pytest.raises(WeightsError, match="guide"):
        convert_checkpoint(meta_state, autoencoder=guided, unet=unet)


def run_ours(
    unet: UNet, schedule: Schedule, cond: torch.Tensor, noise: torch.Tensor, **how
) -> torch.Tensor:
    """Four steps as LDSR-S2 takes them."""
    visited = timesteps(schedule, 4, spacing="leading")
    last = float(schedule.alphas_cumprod[0])
    return ddim(
        lambda z_t, t: unet(z_t, t, cond),
        noise,
        schedule=schedule,
        timesteps=visited,
        last_alpha_cumprod=last,
        **how,
    )


@torch.no_grad()
@pytest.mark.parametrize("eta", [0.0, 0.95])
def test_a_run_of_four_steps_agrees_with_the_published_package(oracle, tiny, eta: float) -> None:
    autoencoder, unet, schedule = tiny
    lr = torch.rand(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    steps = 4

    torch.manual_seed(2)
    cond_theirs = oracle._tensor_encode(lr)
    sampler, z_theirs, order = oracle._prepare_model(X=cond_theirs, eta=eta, custom_steps=steps)
    for i, t in enumerate(order):
        z_theirs, _ = sampler.p_sample_ddim(x=z_theirs, c=cond_theirs, t=t, index=steps - i - 1)

    generators = make_generators(2)
    up = F.interpolate(lr, scale_factor=4, mode="bilinear")
    mean, log_variance = autoencoder.encode(up)
    cond = mean + (0.5 * log_variance).exp() * draw_noise(mean.shape[1:], generators)
    noise = draw_noise(mean.shape[1:], generators)
    z = run_ours(unet, schedule, cond, noise, eta=eta, generators=generators)
    assert_close(cond, cond_theirs)
    assert_close(z, z_theirs)
    sr = autoencoder.decode(z).clamp(min=0)
    assert_close(sr, oracle._tensor_decode(z_theirs, spe_cor=False))


@torch.no_grad()
def test_the_published_geometry_agrees_with_the_published_package() -> None:
    """169 million random weights in both, shared memory, small pictures."""
    generator = torch.Generator().manual_seed(0)
    networks = (AUTOENCODER_PREFIX, UNET_PREFIX)
    state = {k: random_value(k, v, generator) for k, v in SHAPES.items() if k.startswith(networks)}
    config = oracle_config(128, 160)
    with torch.device("meta"):
        theirs = AutoencoderKL(config.first_stage_config, embed_dim=4)
        unet_theirs = UNetModel(**config.cond_stage_config)
    for network, prefix in ((theirs, AUTOENCODER_PREFIX), (unet_theirs, UNET_PREFIX)):
        part = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        network.load_state_dict(part, assign=True)
    buffers = {"alphas_cumprod": linear_schedule().alphas_cumprod.float()}
    ours, unet, schedule = load(state | buffers, 128, 160)

    x = torch.rand(1, 4, 64, 64, generator=generator)
    z = torch.randn(2, 4, 16, 16, generator=generator)
    cond = torch.randn(2, 4, 16, 16, generator=generator)
    t = torch.tensor([1, 751])
    posterior = theirs.encode(x)
    mean, log_variance = ours.encode(x)
    assert_close(mean, posterior.mean)
    assert_close(log_variance, posterior.logvar)
    assert_close(ours.decode(z[:1]), theirs.decode(z[:1]))
    assert_close(unet(z, t, cond), unet_theirs(torch.cat([z, cond], dim=1), t))

    def denoise_theirs(z_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        return unet_theirs(torch.cat([z_t, cond], dim=1), t)

    run = run_theirs(denoise_theirs, buffers["alphas_cumprod"], cond[:1], z[:1])
    assert_close(run_ours(unet, schedule, cond[:1], z[:1]), run)


def run_theirs(denoise, alphas_cumprod, cond: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Four steps of the published package's own sampler."""
    before = torch.cat([torch.ones(1), alphas_cumprod[:-1]])
    model = types.SimpleNamespace(
        num_timesteps=1000,
        device="cpu",
        alphas_cumprod=alphas_cumprod,
        alphas_cumprod_prev=before,
        betas=1 - alphas_cumprod / before,
        apply_model=denoise,
    )
    sampler = DDIMSampler(model)
    sampler.make_schedule(ddim_num_steps=4, ddim_eta=0.0, verbose=False)
    z = noise
    for index, t in reversed(list(enumerate(sampler.ddim_timesteps))):
        z, _ = sampler.p_sample_ddim(x=z, c=cond, t=int(t), index=index)
    return z


@torch.no_grad()
@pytest.mark.parametrize(("size", "steps"), [((16, 24), 3), ((24, 16), 7), ((13, 18), 15)])
def test_what_the_published_package_gets_wrong_works_here(tiny, size, steps: int) -> None:
    """Pictures that are not square, sides that 8 does not divide, steps that do not divide 1000."""
    autoencoder, unet, schedule = tiny
    generator = torch.Generator().manual_seed(3)
    lr = torch.rand(1, 4, *size, generator=generator)
    cond, _ = autoencoder.encode(F.interpolate(lr, scale_factor=4))
    assert cond.shape == (1, 4, *size)
    visited = timesteps(schedule, steps, spacing="leading")
    assert len(visited) == steps
    noise = torch.randn(cond.shape, generator=generator)
    z = ddim(lambda z_t, t: unet(z_t, t, cond), noise, schedule=schedule, timesteps=visited)
    sr = autoencoder.decode(z)
    assert sr.shape == (1, 4, 4 * size[0], 4 * size[1])
    assert bool(sr.isfinite().all())


@torch.no_grad()
def test_a_latent_of_130_pixels_works_here(tiny) -> None:
    """The published U-Net crashes there."""
    _, unet, _ = tiny
    z = torch.randn(1, 4, 130, 131, generator=torch.Generator().manual_seed(4))
    assert unet(z, torch.tensor([500]), z).shape == z.shape
