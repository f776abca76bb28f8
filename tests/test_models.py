"""Networks: sizes, locality, and that equal settings mean equal pictures."""

import pytest
import torch

from ldsr.models import layers
from ldsr.models.autoencoder import Autoencoder
from ldsr.models.geometry import MINI, PUBLISHED
from ldsr.models.latent_sr import LatentSR
from ldsr.models.layers import Attention, Upsample, suppress_nyquist, time_embedding
from ldsr.models.regression import Regression
from ldsr.models.unet import UNet


def test_mini_fits_the_budget() -> None:
    with torch.device("meta"):
        model = LatentSR(**MINI)
    elements = sum(tensor.numel() for tensor in model.state_dict().values())
    assert elements * 2 <= 25e6, "25 MB in half precision"


def test_published_geometry_has_the_published_size() -> None:
    with torch.device("meta"):
        model = LatentSR(**PUBLISHED)
    assert sum(p.numel() for p in model.denoiser.parameters()) == 113_626_884
    assert sum(p.numel() for p in model.autoencoder.parameters()) == 55_328_232


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (130, 20)])
def test_any_size(tiny_model: LatentSR, size: tuple[int, int]) -> None:
    lr = torch.rand(1, 4, *size) * 0.3
    with torch.inference_mode():
        prepared = tiny_model.prepare(lr)
        v = tiny_model.denoise(torch.randn(1, 4, *size), torch.tensor([500]), prepared)
        picture = tiny_model.decode(v, prepared)
    assert v.shape == (1, 4, *size)
    assert picture.shape == (1, 4, 4 * size[0], 4 * size[1])


def test_published_classes_take_odd_sizes() -> None:
    unet = UNet(channels=32, mults=(1, 2, 2, 4), attention_levels=(3,)).eval()
    with torch.inference_mode():
        out = unet(torch.randn(2, 4, 13, 18), torch.tensor([1, 999]), torch.randn(2, 4, 13, 18))
    assert out.shape == (2, 4, 13, 18)


def test_a_pixel_depends_on_its_surroundings_only(tiny_model: LatentSR) -> None:
    """The left part of a picture is the same whatever lies far to its right."""
    left, right = torch.rand(1, 4, 32, 64) * 0.3, torch.rand(1, 4, 32, 64) * 0.9
    alone = torch.cat([left, left], dim=3)
    beside = torch.cat([left, right], dim=3)
    z = torch.randn(1, 4, 32, 128)
    with torch.inference_mode():
        pictures = []
        for lr in (alone, beside):
            prepared = tiny_model.prepare(lr)
            v = tiny_model.denoise(z, torch.tensor([700]), prepared)
            pictures.append(tiny_model.decode(v, prepared))
    assert torch.allclose(pictures[0][..., :100], pictures[1][..., :100], atol=1e-5)
    assert not torch.allclose(pictures[0][..., -100:], pictures[1][..., -100:], atol=1e-3)


def test_range_round_trip(tiny_model: LatentSR) -> None:
    reflectance = torch.linspace(-0.008, 1.8, 100)
    assert torch.allclose(
        tiny_model.to_reflectance(tiny_model.to_range(reflectance)), reflectance, atol=1e-6
    )
    assert torch.isfinite(tiny_model.to_range(torch.tensor([-1.0, 0.0]))).all()


def test_encode_undoes_the_normalisation_of_decode(tiny_model: LatentSR) -> None:
    """Latent statistics cancel: scaling them leaves encode-decode as it is."""
    hr, lr = torch.rand(1, 4, 64, 64) * 0.3, torch.rand(1, 4, 16, 16) * 0.3
    with torch.inference_mode():
        prepared = tiny_model.prepare(lr)
        before = tiny_model.decode(tiny_model.encode(hr, prepared.guide), prepared)
        tiny_model.latent_mean.fill_(0.3), tiny_model.latent_std.fill_(2.0)
        after = tiny_model.decode(tiny_model.encode(hr, prepared.guide), prepared)
        tiny_model.latent_mean.zero_(), tiny_model.latent_std.fill_(1.0)
    assert torch.allclose(before, after, atol=1e-5)


def test_constant_in_constant_out() -> None:
    """Upsampling leaves no grid: a constant field stays one, away from the border."""
    torch.manual_seed(1)
    regression = Regression(channels=8, blocks=2, head=8).eval()
    coder = Autoencoder(
        channels=8,
        mults=(1, 2, 2),
        blocks=1,
        attention=False,
        norm="pixel",
        upsample="bilinear",
        guided=True,
    ).eval()
    with torch.inference_mode():
        guide, _ = regression(torch.full((1, 4, 40, 40), 0.3))
        decoded = coder.decode(torch.full((1, 4, 40, 40), 0.5), torch.full((1, 4, 160, 160), 0.3))
    for picture in (guide, decoded):
        middle = picture[..., 64:96, 64:96]
        assert (middle.amax((2, 3)) - middle.amin((2, 3))).max() < 1e-5


def test_attention_equals_the_textbook() -> None:
    torch.manual_seed(2)
    attention = Attention(16, heads=2)
    x = torch.randn(2, 16, 3, 5)
    qkv = attention.qkv(attention.norm(x)).reshape(2, 2, 3, 8, 15)
    q, k, v = qkv.unbind(2)
    weights = torch.softmax(torch.einsum("bhct,bhcs->bhts", q, k) / 8**0.5, dim=-1)
    h = torch.einsum("bhts,bhcs->bhct", weights, v).reshape(2, 16, 3, 5)
    assert torch.allclose(attention(x), x + attention.proj(h), atol=1e-5)


def test_nyquist_is_taken_out_and_the_rest_kept() -> None:
    place = torch.arange(64.0)
    for period, kept in ((2, 0.0), (4, 0.9375), (8, 0.9995), (64, 1.0)):
        wave = torch.cos(2 * torch.pi * place / period)
        for picture in (wave.expand(1, 1, 64, 64), wave[:, None].expand(1, 1, 64, 64)):
            filtered = suppress_nyquist(picture)[..., 8:-8, 8:-8]
            assert torch.allclose(filtered, kept * picture[..., 8:-8, 8:-8], atol=1e-3)


def test_time_embedding_starts_with_ones_at_zero() -> None:
    embedding = time_embedding(torch.tensor([0, 1]), 8)
    assert torch.equal(embedding[0], torch.tensor([1.0] * 4 + [0.0] * 4))
    assert torch.allclose(embedding[1, 0], torch.tensor(1.0).cos())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_doubling_by_phases_is_the_convolution_of_the_double(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    upsample = Upsample(6).eval()
    x = torch.randn(2, 6, 5, 8).contiguous(memory_format=layout)
    double = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    with torch.inference_mode():
        assert torch.allclose(upsample(x), upsample.conv(double), atol=1e-5)
        assert torch.allclose(upsample.train()(x), upsample.conv(double), atol=1e-5)


def test_attention_in_rows_is_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 50, 8) for _ in range(3))
    whole = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    monkeypatch.setattr(layers, "LONG", 10)
    monkeypatch.setattr(layers, "ROWS", 7)
    assert torch.allclose(layers.attend(q, k, v), whole, atol=1e-6)
