"""Local functions on pictures of any size: block by block, so that memory does not grow."""

from collections.abc import Callable

from torch import Tensor

TILE = 192
"""Side of the blocks, in low-resolution pixels, that the full-resolution parts are computed in."""
HALO = 24
"""Margin of a block: no less than the reach of the mini networks, so that blocks leave no seam."""


def in_blocks(
    function: Callable[..., tuple[Tensor, ...]],
    inputs: tuple[Tensor, ...],
    *,
    out_scales: tuple[int, ...],
    tile: int = TILE,
    halo: int = HALO,
) -> tuple[Tensor, ...]:
    """Apply a local function block by block, so that memory does not grow with the picture.

    Args:
        function: takes blocks of `inputs`, gives tensors `out_scales` times the first one's size.
        inputs: [B, C, s H, s W], the first with s = 1.
        out_scales: of the outputs.
        tile: side of a block without its margin, on the first input's grid.
        halo: margin on each side.

    Returns:
        The outputs as if `function` had seen everything at once.
    """
    height, width = inputs[0].shape[-2:]
    if height <= tile + halo and width <= tile + halo:
        return function(*inputs)
    outputs: tuple[Tensor, ...] | None = None
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            outer = (
                max(top - halo, 0),
                min(bottom + halo, height),
                max(left - halo, 0),
                min(right + halo, width),
            )
            parts = function(*(_window(x, outer, x.shape[-1] // width) for x in inputs))
            inner = (top - outer[0], bottom - outer[0], left - outer[2], right - outer[2])
            if outputs is None:
                outputs = tuple(
                    part.new_empty(*part.shape[:2], height * s, width * s)
                    for part, s in zip(parts, out_scales, strict=True)
                )
            for whole, part, s in zip(outputs, parts, out_scales, strict=True):
                _window(whole, (top, bottom, left, right), s).copy_(_window(part, inner, s))
    return outputs


def _window(x: Tensor, rows_columns: tuple[int, int, int, int], scale: int) -> Tensor:
    top, bottom, left, right = (scale * edge for edge in rows_columns)
    return x[..., top:bottom, left:right]
