"""The blocks that the autoencoder and the denoiser are built of.

Two normalisations: "group" (GroupNorm over space, as published) and "pixel" (over the channels of
one pixel only, so that a result does not depend on the size of the picture it is computed in).
"""

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PixelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


def make_norm(kind: str, channels: int, eps: float) -> nn.Module:
    """Build a normalisation layer: kind "group" (32 groups) or "pixel"."""
    if kind == "group":
        return nn.GroupNorm(min(32, channels), channels, eps=eps)
    return PixelNorm(channels)


class ResBlock(nn.Module):
    """norm - SiLU - conv, (+ time embedding), norm - SiLU - conv, plus the input.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output; a 1x1 convolution adapts the skip if they differ.
        embedding: size of the time embedding that is added between the convolutions, or None.
        norm: "group" or "pixel".
        eps: of the group normalisation.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        embedding: int | None = None,
        norm: str = "group",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = make_norm(norm, channels_in, eps)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.embed = nn.Linear(embedding, channels_out) if embedding else None
        self.norm2 = make_norm(norm, channels_out, eps)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        same = channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        h = self.conv1(activate(self.norm1(x)))
        if self.embed is not None:
            h = add(h, self.embed(F.silu(embedding))[:, :, None, None])
        return add(self.conv2(activate(self.norm2(h))), self.skip(x))


def activate(fresh: Tensor) -> Tensor:
    """SiLU of what nobody else holds: in place, unless gradients are wanted."""
    return F.silu(fresh, inplace=not torch.is_grad_enabled())


def add(fresh: Tensor, x: Tensor) -> Tensor:
    """Sum; the first, which nobody else holds, becomes it where precision allows."""
    if torch.is_grad_enabled() or torch.promote_types(fresh.dtype, x.dtype) != fresh.dtype:
        return fresh + x
    return fresh.add_(x)


class Attention(nn.Module):
    """Self-attention over all pixels, fused (never a T x T matrix in memory), with residual.

    `qkv` is laid out head by head: for each head its q, k and v channels.
    """

    def __init__(
        self, channels: int, *, heads: int = 1, norm: str = "group", eps: float = 1e-6
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm = make_norm(norm, channels, eps)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(
            batch, self.heads, 3, channels // self.heads, height * width
        )
        q, k, v = (part.transpose(-1, -2).contiguous() for part in qkv.unbind(2))
        h = attend(q, k, v)
        return x + self.proj(h.transpose(-1, -2).reshape(batch, channels, height, width))


LONG, ROWS = 4096, 1024
"""Tokens from which a CPU attends in rows of so many: matrix products are at their best there."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention of [B, heads, T, d] without a T x T matrix in memory.

    On a CPU PyTorch's fused kernel is slow for long sequences of wide heads; there a block of rows
    at a time is two matrix products with an exact softmax between them.
    """
    if q.device.type != "cpu" or q.shape[-2] < LONG or torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    result = torch.empty_like(q)
    for place in itertools.product(*map(range, q.shape[:2])):
        keys, values = k[place], v[place].T.contiguous()
        scaled = q[place] * q.shape[-1] ** -0.5
        for rows, out in zip(scaled.split(ROWS), result[place].split(ROWS), strict=True):
            out.copy_(product(product(rows, keys).softmax(-1), values))
    return result


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b^T of float [M, K] and [N, K].

    By oneDNN, which the convolutions are computed by: other than the library behind `torch.matmul`
    it is at its best on every x86 processor, AMD's too. `torch.compile` takes no such product of
    two tensors that are both computed.
    """
    plain = torch.compiler.is_compiling() or a.dtype != torch.float32
    if not plain and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return F.linear(a, b)


class Upsample(nn.Module):
    """Twice the size by interpolation ("nearest" or "bilinear"), then a 3x3 convolution."""

    def __init__(self, channels: int, *, mode: str = "nearest") -> None:
        super().__init__()
        self.mode = mode
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "nearest" and not self.training:
            return convolve_doubled(x, self.conv.weight, self.conv.bias)
        return self.conv(F.interpolate(x, scale_factor=2, mode=self.mode))


def convolve_doubled(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Double by nearest neighbour and convolve, in 4/9 of the operations and without the double.

    Of the nine pixels under a 3x3 kernel some are copies of one: each of the four phases of the
    result is a 2x2 convolution of x, whose weights are sums.

    Args:
        x: [B, C, H, W].
        weight: [C', C, 3, 3], of a convolution with zeros beyond the border.
        bias: [C'].

    Returns:
        [B, C', 2H, 2W].
    """
    batch, _, height, width = x.shape
    size = (batch, len(weight), 2 * height, 2 * width)
    result: Tensor | None = None
    for down in (0, 1):
        rows = _sum_copies(weight, 2, down)
        for right in (0, 1):
            kernel = _sum_copies(rows, 3, right)
            padded = F.pad(x, (1 - right, right, 1 - down, down))
            phase = F.conv2d(padded, kernel, bias)
            if result is None:
                result = torch.empty(
                    size, dtype=phase.dtype, device=x.device, memory_format=torch.channels_last
                )
            result[:, :, down::2, right::2] = phase
    return result


def _sum_copies(weight: Tensor, axis: int, phase: int) -> Tensor:
    """Three weights along an axis to two: those that meet copies of one pixel, added."""
    first, middle, last = weight.unbind(axis)
    pair = (first, middle + last) if phase == 0 else (first + middle, last)
    return torch.stack(pair, axis)


def suppress_nyquist(x: Tensor, *, order: int = 4) -> Tensor:
    """Take out what alternates from pixel to pixel, and little else.

    The response along each axis is 1 - sin(pi f)^(2 order) with f in cycles a pixel: exactly 0 at
    the period of two pixels, 0.94 at that of four (order 4).

    Args:
        x: [B, C, H, W].
        order: the higher, the narrower.

    Returns:
        [B, C, H, W].
    """
    taps = [math.comb(2 * order, j) * (-1) ** (order + j) / 4**order for j in range(2 * order + 1)]
    kernel = -x.new_tensor(taps)
    kernel[order] += 1
    channels = x.shape[1]
    row = kernel.expand(channels, 1, 1, -1)
    x = F.pad(x, (order,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(x, row, groups=channels), row.mT, groups=channels)


def time_embedding(t: Tensor, channels: int) -> Tensor:
    """Embed time steps as cosines then sines of geometric frequencies: [B] -> [B, channels]."""
    half = channels // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device)
    angles = t.float()[:, None] * torch.exp(-math.log(10000.0) * steps / half)[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)
