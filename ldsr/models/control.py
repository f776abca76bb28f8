"""The branch that carries a base picture's structure into the second denoiser.

After ControlNet (Zhang et al., 2023), but it looks at the base alone, not at the noise: it is
evaluated once a run. Its outputs begin at zero, so that an untrained branch changes nothing.
"""

import torch
from torch import Tensor, nn

from ldsr.models.layers import ResBlock


def zero(conv: nn.Conv2d) -> nn.Conv2d:
    """Set a convolution to zero."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


class ControlBranch(nn.Module):
    """From the base's latent and the condition to what is added to a UNet's skips.

    Args:
        channels_in: channels of the base's latent and the condition together.
        channels: width of the UNet's first level; `mults` gives the widths of its levels.
        norm: "group" or "pixel".
    """

    def __init__(
        self, *, channels_in: int, channels: int, mults: tuple[int, ...], norm: str = "pixel"
    ) -> None:
        super().__init__()
        widths = [channels * mult for mult in mults]
        self.conv_in = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            ResBlock(before, width, norm=norm)
            for before, width in zip([channels, *widths[:-1]], widths, strict=True)
        )
        self.down = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for width in widths[:-1]
        )
        self.out = nn.ModuleList(zero(nn.Conv2d(width, width, 1)) for width in widths)
        self.middle = zero(nn.Conv2d(widths[-1], widths[-1], 1))

    def forward(self, z_ref: Tensor, cond: Tensor) -> list[Tensor]:
        """Compute the control.

        Args:
            z_ref: latent of the base [B, z, h, w], padded as `UNet.pad` does.
            cond: the UNet's condition, padded alike.

        Returns:
            One [B, width, h / 2^i, w / 2^i] a level, and one for the middle.
        """
        h = self.conv_in(torch.cat([z_ref, cond], dim=1))
        control = []
        for i, block in enumerate(self.blocks):
            h = block(h)
            control.append(self.out[i](h))
            if i < len(self.down):
                h = self.down[i](h)
        return [*control, self.middle(h)]
