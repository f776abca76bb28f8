"""The denoiser: a time-conditioned U-Net on latents, one class for both sizes.

The published geometry (LDSR-S2) is the default. Any latent size works: it is padded inside.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ldsr.models.layers import (
    Attention,
    ResBlock,
    Upsample,
    activate,
    make_norm,
    time_embedding,
)

EPS = 1e-5


class BlockCache(Protocol):
    """What decides whether deep features of an earlier step will do (`ldsr.sampling.cache`).

    Attributes:
        form: "residual" or "literal" (all but the first block is reused or left out), or
            "shallow" (only the levels below the first are reused) or "finest" (all between the
            first block and the last).
    """

    form: str

    def __call__(
        self, change: Tensor, compute: Callable[[Tensor | None], Tensor], *, anchor: Tensor | None
    ) -> Tensor:
        """Give compute(rows) for the samples that need it, what was stored for the others.

        Args:
            change: what the first block added to its input [B, C, h, w]; the gate looks at it.
            compute: computes the samples `rows` (indices [n]; None for all).
            anchor: [B, ...] the stored value is relative to, or None.
        """


class UNet(nn.Module):
    """Predicts noise or velocity of a noisy latent that is concatenated to its condition.

    Args:
        channels_in: channels of the noisy latent and the condition together.
        channels_out: channels of the prediction.
        channels: width of the first level; `mults` gives the widths of the levels.
        blocks: ResBlocks of a level on the way down; one more on the way up.
        attention_levels: levels with self-attention.
        middle_attention: self-attention in the middle.
        head_channels: channels of an attention head.
        norm: "group" as published, or "pixel".
        upsample: "nearest" as published, or "bilinear".
    """

    PIECES = ("_enter", "_top", "_deep", "_rise", "_last", "_leave")
    """Methods with nothing but tensors in and out, which together are all that is computed."""

    def __init__(
        self,
        *,
        channels_in: int = 8,
        channels_out: int = 4,
        channels: int = 160,
        mults: tuple[int, ...] = (1, 2, 2, 4),
        blocks: int = 2,
        attention_levels: tuple[int, ...] = (3,),
        middle_attention: bool = True,
        head_channels: int = 32,
        norm: str = "group",
        upsample: str = "nearest",
    ) -> None:
        super().__init__()
        self.channels = channels
        self.factor = 2 ** (len(mults) - 1)
        embedding = 4 * channels
        self.time = nn.Sequential(
            nn.Linear(channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )

        def res(width_in: int, width_out: int) -> ResBlock:
            return ResBlock(width_in, width_out, embedding=embedding, norm=norm, eps=EPS)

        def attend(width: int, wanted: bool) -> nn.Module:
            if not wanted:
                return nn.Identity()
            return Attention(width, heads=width // head_channels, norm=norm, eps=EPS)

        self.conv_in = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.down = nn.ModuleList()
        width, skips = channels, [channels]
        for level, mult in enumerate(mults):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks):
                stage["blocks"].append(res(width, channels * mult))
                width = channels * mult
                stage["attention"].append(attend(width, level in attention_levels))
                skips.append(width)
            if level < len(mults) - 1:
                stage["down"] = nn.Conv2d(width, width, 3, stride=2, padding=1)
                skips.append(width)
            self.down.append(stage)

        self.middle1 = res(width, width)
        self.middle_attention = attend(width, middle_attention)
        self.middle2 = res(width, width)

        self.up = nn.ModuleList()
        for level, mult in reversed(list(enumerate(mults))):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks + 1):
                stage["blocks"].append(res(width + skips.pop(), channels * mult))
                width = channels * mult
                stage["attention"].append(attend(width, level in attention_levels))
            if level > 0:
                stage["up"] = Upsample(width, mode=upsample)
            self.up.append(stage)

        self.norm_out = make_norm(norm, width, EPS)
        self.conv_out = nn.Conv2d(width, channels_out, 3, padding=1)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        cond: Tensor,
        *,
        context: Tensor | None = None,
        control: Sequence[Tensor] | None = None,
        cache: BlockCache | None = None,
    ) -> Tensor:
        """Predict noise or velocity.

        Args:
            z_t: noisy latent [B, z, h, w].
            t: time steps [B], or [1] for all: then a sample is computed as if it were alone.
            cond: condition [B, channels_in - z, h, w].
            context: added to the time embedding [B, 4 channels], or [1, 4 channels].
            control: added to what each level hands over, one [B, width, h / 2^i, w / 2^i] a level
                (of the padded size, see `pad`), and last one for the middle.
            cache: of the run, or None to compute everything.

        Returns:
            [B, channels_out, h, w].
        """
        height, width = z_t.shape[-2:]
        entry, first, embedding = self._enter(z_t, t, cond, context)

        def rest(rows: Tensor | None) -> Tensor:
            return self._after_first(
                *_pick(rows, entry, first, embedding), _pick_control(rows, control), cache=None
            )

        if cache is None or cache.form in ("shallow", "finest"):
            h = self._after_first(entry, first, embedding, control, cache=cache)
        else:
            h = cache(first - entry, rest, anchor=first)
        return self._leave(h)[..., :height, :width]

    def pad(self, x: Tensor) -> Tensor:
        """Repeat the last row and column until every level has a whole size."""
        height, width = x.shape[-2:]
        if height % self.factor == 0 and width % self.factor == 0:
            return x
        return F.pad(x, (0, -width % self.factor, 0, -height % self.factor), mode="replicate")

    def _after_first(
        self,
        entry: Tensor,
        first: Tensor,
        embedding: Tensor,
        control: Sequence[Tensor] | None,
        *,
        cache: BlockCache | None,
    ) -> Tensor:
        """All between the first block and the head; what is deep goes through the cache."""

        def before_last(rows: Tensor | None, cache: BlockCache | None = None) -> Tensor:
            at_entry, at_first, time = _pick(rows, entry, first, embedding)
            picked = _pick_control(rows, control)
            h, skips = self._top(at_entry, at_first, time, picked)

            def deep(rows: Tensor | None) -> Tensor:
                return self._deep(*_pick(rows, h, time), _pick_control(rows, picked))

            low = deep(None) if cache is None else cache(first - entry, deep, anchor=None)
            return self._rise(low, skips, time)

        if cache is not None and cache.form == "finest":
            h = cache(first - entry, before_last, anchor=None)
        else:
            h = before_last(None, cache)
        return self._last(h, entry if control is None else entry + control[0], embedding)

    def _enter(
        self, z_t: Tensor, t: Tensor, cond: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the first block is given, what it gives, and the embedding of the time."""
        embedding = self.time(time_embedding(t, self.channels).to(z_t.dtype))
        if context is not None:
            embedding = embedding + context
        entry = self.conv_in(self.pad(torch.cat([z_t, cond], dim=1)))
        first = self.down[0]["attention"][0](self.down[0]["blocks"][0](entry, embedding))
        return entry, first, embedding

    def _top(
        self, entry: Tensor, first: Tensor, embedding: Tensor, control: Sequence[Tensor] | None
    ) -> tuple[Tensor, list[Tensor]]:
        """The rest of the first level on the way down, and its skips."""
        h, skips, top = first, [entry, first], self.down[0]
        for block, attention in zip(top["blocks"][1:], top["attention"][1:], strict=True):
            h = attention(block(h, embedding))
            skips.append(h)
        if control is not None:
            skips = [skip + control[0] for skip in skips]
        return h, skips

    def _deep(self, h: Tensor, embedding: Tensor, control: Sequence[Tensor] | None) -> Tensor:
        """The levels below the first, down and up again: [B, width, h, w] to [B, width', h, w]."""
        levels = []
        for i, stage in enumerate(self.down[1:], start=1):
            h = self.down[i - 1]["down"](h)
            skips = [h]
            for block, attention in zip(stage["blocks"], stage["attention"], strict=True):
                h = attention(block(h, embedding))
                skips.append(h)
            if control is not None:
                # the first skip comes from the level above
                skips[1:] = [skip + control[i] for skip in skips[1:]]
            levels.append(skips)
        h = self.middle2(self.middle_attention(self.middle1(h, embedding)), embedding)
        if control is not None:
            h = h + control[-1]
        for stage, skips in zip(self.up[:-1], reversed(levels), strict=True):
            h = stage["up"](self._climb(stage, h, skips, embedding))
        return h

    def _rise(self, h: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """The first level on the way up, but for the last block, whose skip is the first."""
        return self._climb(self.up[-1], h, skips[1:], embedding)

    def _last(self, h: Tensor, skip: Tensor, embedding: Tensor) -> Tensor:
        """The last block."""
        top = self.up[-1]
        h = top["blocks"][-1](torch.cat([h, skip], dim=1), embedding)
        return top["attention"][-1](h)

    def _leave(self, h: Tensor) -> Tensor:
        """The head."""
        return self.conv_out(activate(self.norm_out(h)))

    @staticmethod
    def _climb(stage: nn.ModuleDict, h: Tensor, skips: list[Tensor], embedding: Tensor) -> Tensor:
        """Blocks of one level on the way up, one for each skip, the last one first."""
        for i, skip in enumerate(reversed(skips)):
            h = stage["blocks"][i](torch.cat([h, skip], dim=1), embedding)
            h = stage["attention"][i](h)
        return h


def _pick(rows: Tensor | None, *values: Tensor) -> tuple[Tensor, ...]:
    """The given samples of each tensor; all of them for None; what is the same for all stays."""
    if rows is None:
        return values
    return tuple(value if len(value) == 1 else value[rows] for value in values)


def _pick_control(rows: Tensor | None, control: Sequence[Tensor] | None) -> Sequence[Tensor] | None:
    return None if control is None else _pick(rows, *control)
