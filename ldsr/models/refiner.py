"""The networks of stage 2: a second latent denoiser, its control branch, its weight map, its tags.

It speaks the latent language of the mini model, whose autoencoder brings any base into it.
"""

import dataclasses
from collections.abc import Sequence

from torch import Tensor, nn

from ldsr.models.control import ControlBranch
from ldsr.models.fusion import WeightAllocation, to_weight
from ldsr.models.latent_sr import Prepared
from ldsr.models.unet import BlockCache, UNet


@dataclasses.dataclass(frozen=True)
class Reference:
    """What of a base picture guides stage 2, computed once a run.

    Attributes:
        prepared: guide and condition of the base as seen at 10 m.
        z_ref: latent of the base [B, z, h, w].
        control: what the control branch adds, already scaled.
    """

    prepared: Prepared
    z_ref: Tensor
    control: Sequence[Tensor]


class Refiner(nn.Module):
    """Second denoiser, control branch, weight allocation and the embedding of the tags.

    Args:
        denoiser: arguments of UNet.
        control: arguments of ControlBranch.
        fusion: arguments of WeightAllocation.
        tags: size of the vocabulary.
    """

    def __init__(self, *, denoiser: dict, control: dict, fusion: dict, tags: int) -> None:
        super().__init__()
        self.denoiser = UNet(**denoiser)
        self.control = ControlBranch(**control)
        self.fusion = WeightAllocation(**fusion)
        self.tags = nn.Linear(tags, 4 * self.denoiser.channels)
        nn.init.zeros_(self.tags.weight)
        nn.init.zeros_(self.tags.bias)

    def refer(self, z_ref: Tensor, prepared: Prepared, *, control_scale: float = 1.0) -> Reference:
        """Evaluate the control branch on the base's latent [B, z, h, w]."""
        pad = self.denoiser.pad
        control = self.control(pad(z_ref), pad(prepared.cond))
        return Reference(prepared, z_ref, [control_scale * c for c in control])

    def embed(self, tags: Tensor | None) -> Tensor | None:
        """Embed tag probabilities [B, tags] as context [B, E]; rows of zeros and None say nothing.

        A row of zeros gives exactly zero, so that no tags need no parameter of their own.
        """
        if tags is None:
            return None
        known = (tags.sum(1, keepdim=True) > 0).to(tags)
        return self.tags(tags) * known

    def denoise(
        self,
        z_t: Tensor,
        t: Tensor,
        reference: Reference,
        *,
        context: Tensor | None = None,
        cache: BlockCache | None = None,
    ) -> Tensor:
        """Evaluate the denoiser on z_t [B, z, h, w] at t [B]."""
        return self.denoiser(
            z_t,
            t,
            reference.prepared.cond,
            context=context,
            control=reference.control,
            cache=cache,
        )

    def weight(self, z_t: Tensor, x0: Tensor, reference: Reference, t: Tensor) -> Tensor:
        """Give W in 0..1, [B, 1, h, w], the share of the base in the fused estimate."""
        return to_weight(self.fusion(z_t, x0, reference.z_ref, reference.prepared.cond, t))
