"""The product's fast paths, switched off one by one. Each has the plain form it stands for.

Switched from here, by putting the plain form into every module that holds the fast one; the
product knows nothing of it.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F


def doubled(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Double by nearest neighbour, then convolve: what `convolve_doubled` is a short cut of."""
    return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=1)


PATHS: dict[str, dict[str, Callable]] = {
    "attention in rows": {"ldsr.models.layers.attend": F.scaled_dot_product_attention},
    "oneDNN products": {"ldsr.models.layers.product": F.linear},
    "doubling by phases": {"ldsr.models.layers.convolve_doubled": doubled},
    "in place": {"ldsr.models.layers.activate": F.silu, "ldsr.models.layers.add": torch.add},
}
"""Fast functions of the product and their plain forms, by the name of the path."""


@contextlib.contextmanager
def without(names: Sequence[str]) -> Iterator[None]:
    """Compute without some of PATHS.

    Raises:
        AttributeError: a path that the product no longer has.
    """
    with contextlib.ExitStack() as stack:
        for name in names:
            for place, plain in PATHS[name].items():
                module, _, attribute = place.rpartition(".")
                fast = getattr(importlib.import_module(module), attribute)
                for holder in _holders(attribute, fast):
                    stack.enter_context(mock.patch.object(holder, attribute, plain))
        yield


def _holders(attribute: str, function: Callable) -> list:
    """Modules of the product that know a function by its name."""
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] == "ldsr"]
    return [module for module in ours if vars(module).get(attribute) is function]
