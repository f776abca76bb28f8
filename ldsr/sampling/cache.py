"""First-block caching: leave out the deep part of a denoiser where its input hardly changed.

Knows the network only as a function that computes some samples of a batch. Sources: ParaAttention
(the gate), its U-Net port in WaveSpeed ("residual"), DeepCache (Ma et al., 2024; "shallow", and
"finest", its first branch).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

FORMS = ("residual", "shallow", "finest", "literal")
MAX_HITS = 3
"""Consecutive steps of one sample that may be skipped before one is computed again."""
LONG = 50
"""Steps up to which a run is short: `cache_for` uses more again in longer ones."""


def cache_for(steps: int, *, threshold: float, form: str) -> "FirstBlockCache":
    """The cache of a run of so many steps.

    The more steps, the less one differs from the next: beyond LONG "shallow" becomes "finest", and
    one step in 16 may follow another unseen.

    Args:
        steps: of the sampler.
        threshold: see `FirstBlockCache`.
        form: "shallow", "residual" or "literal".
    """
    if form == "shallow" and steps > LONG:
        form = "finest"
    return FirstBlockCache(threshold, form=form, max_hits=max(MAX_HITS, steps // 16))


class FirstBlockCache:
    """Decides step by step and sample by sample whether deep features are used again.

    With r the residual of the first block and r_last that of the sample's last computed step,
    d = mean|r_last - r| / mean|r_last|; a step is a hit where d < threshold. Comparing with the
    last *computed* step lets the drift add up until it is noticed.

    An object belongs to one run of one batch: the first step fills it, the last leaves it to be
    read. It is called once a step.

    Args:
        threshold: largest relative change that counts as none; 0 computes everything.
        form: what a hit gives. "residual": the first block's output plus what the rest added to
            it; "shallow": the features of the deeper levels; "finest": those before the last block;
            "literal": the first block's output itself, the seed paper's h_out = h_1.
        max_hits: consecutive hits of a sample, 1 or more.

    Attributes:
        form: as given; the network places the cache by it.

    Raises:
        ValueError: a value out of its range.
    """

    def __init__(
        self, threshold: float, *, form: str = "residual", max_hits: int = MAX_HITS
    ) -> None:
        if not threshold >= 0:
            raise ValueError(f"threshold is {threshold!r}; expected a number of 0 or more.")
        if form not in FORMS:
            raise ValueError(f"form is {form!r}; expected one of {', '.join(FORMS)}.")
        if max_hits < 1:
            raise ValueError(f"max_hits is {max_hits!r}; expected 1 or more.")
        self.threshold = threshold
        self.form = form
        self.max_hits = max_hits
        self._shape: torch.Size | None = None
        self._change: Tensor | None = None
        self._stored: Tensor | None = None
        self._hits: list[Tensor] = []
        self._streak = torch.zeros(0, dtype=torch.long)

    @property
    def hits(self) -> Tensor:
        """Which steps used stored features: bool [steps, B] on the CPU, in the order of the run."""
        return torch.stack(self._hits) if self._hits else torch.zeros(0, 0, dtype=torch.bool)

    @property
    def computed(self) -> list[int]:
        """Steps computed in full, of each sample [B]."""
        return (~self.hits).sum(0).tolist()

    @property
    def skipped(self) -> list[int]:
        """Steps that used stored features, of each sample [B]."""
        return self.hits.sum(0).tolist()

    def __call__(
        self, change: Tensor, compute: Callable[[Tensor | None], Tensor], *, anchor: Tensor | None
    ) -> Tensor:
        """Take one step: compute(rows) for the samples that need it, the stored for the others.

        Args:
            change: residual of the first block [B, C, h, w]; of any float type.
            compute: computes the samples `rows` (indices [n] on the device of `change`; None for
                all): [n, ...].
            anchor: [B, ...], of the shape of what `compute` gives, which the stored value is
                relative to; None to store the value itself.

        Returns:
            [B, ...]; what was computed is given back untouched.

        Raises:
            ValueError: another shape than at the first step.
        """
        hit = self._gate(change)
        self._hits.append(hit)
        self._streak = torch.where(hit, self._streak + 1, 0)
        if not hit.any():
            value = compute(None)
            self._store_all(change, value, anchor)
            return value
        reused = self._reuse(anchor)
        if hit.all():
            return reused
        rows = (~hit).nonzero()[:, 0].to(change.device)
        value = compute(rows)
        self._store_rows(rows, change, value, anchor)
        return reused.index_copy(0, rows, value.to(reused.dtype))

    def _gate(self, change: Tensor) -> Tensor:
        """Which samples may use what is stored: bool [B] on the CPU. NaN is a miss."""
        if self._shape is None:
            self._shape = change.shape
            self._streak = torch.zeros(len(change), dtype=torch.long)
        if change.shape != self._shape:
            raise ValueError(
                f"The first block gives {tuple(change.shape)} after {tuple(self._shape)}; a cache "
                "belongs to one run, make a new one for another patch."
            )
        if self._change is None:
            return torch.zeros(len(change), dtype=torch.bool)
        last = self._change
        difference = (last - change.float()).abs().flatten(1).mean(1)
        distance = difference / last.abs().flatten(1).mean(1)
        return (distance < self.threshold).cpu() & (self._streak < self.max_hits)

    def _store_all(self, change: Tensor, value: Tensor, anchor: Tensor | None) -> None:
        """Remember a step that was computed for every sample, in tensors of our own."""
        if self.threshold == 0:
            return
        self._change = change.detach().to(torch.float32, copy=True)
        if self.form != "literal":
            self._stored = self._relative(value, anchor).clone()

    def _store_rows(
        self, rows: Tensor, change: Tensor, value: Tensor, anchor: Tensor | None
    ) -> None:
        """Remember a step that was computed for some samples only."""
        self._change = self._change.index_copy(0, rows, change[rows].float())
        if self.form != "literal":
            picked = None if anchor is None else anchor[rows]
            self._stored = self._stored.index_copy(0, rows, self._relative(value, picked))

    def _relative(self, value: Tensor, anchor: Tensor | None) -> Tensor:
        return value if anchor is None else value - anchor

    def _reuse(self, anchor: Tensor | None) -> Tensor:
        """What a hit gives, for every sample, in a tensor of its own."""
        if self.form == "literal":
            return anchor.clone()
        return self._stored.clone() if anchor is None else anchor + self._stored


def counts(caches: Sequence[FirstBlockCache]) -> tuple[int, int]:
    """Count evaluations computed and skipped, of the caches of one stage together."""
    used = [cache for cache in caches if cache.computed]
    return sum(c.computed[0] for c in used), sum(c.skipped[0] for c in used)
