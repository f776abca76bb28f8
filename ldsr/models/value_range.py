"""What a network sees of reflectance: as it is, or its square root, which evens out the noise."""

from torch import Tensor

SQRT_SHIFT = 0.01
"""Added before the square root, so that dark noise is not blown up."""


def to_range(reflectance: Tensor, kind: str) -> Tensor:
    """Map reflectance to a network's range: kind "reflectance" or "sqrt"."""
    if kind == "sqrt":
        return (reflectance.clamp(min=-0.9 * SQRT_SHIFT) + SQRT_SHIFT).sqrt()
    return reflectance


def to_reflectance(x: Tensor, kind: str) -> Tensor:
    """Map a network's range to reflectance; the inverse of `to_range`."""
    if kind == "sqrt":
        return x.clamp(min=0).square() - SQRT_SHIFT
    return x
