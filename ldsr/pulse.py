"""Looks up between the layers of a network, so that a run can be ended within a long step too.

Knows steps and layers; knows nothing of runs or of what a network computes.
"""

import time
import weakref
from collections.abc import Callable

from torch import Tensor, nn

from ldsr.steps import OnStep, Step

EVERY = 0.5
"""Seconds between two looks, about: they come before a layer, never within one."""
LAYERS = nn.Conv2d | nn.Linear
"""Before which layers; they take most of the time."""


class Teller:
    """Tells of steps, and looks up between them.

    Args:
        on_step: is told each step once. Where it has a method `look_up`, that is called within long
            steps. What either raises ends whatever is computed.
    """

    def __init__(self, on_step: OnStep | None) -> None:
        self._on_step = on_step
        self._look_up: Callable[[], None] | None = getattr(on_step, "look_up", None)
        self._due = time.monotonic() + EVERY

    def __call__(self, step: Step) -> None:
        """Tell of a step."""
        if self._on_step is not None:
            self._on_step(step)
        self._due = time.monotonic() + EVERY

    def look_up(self) -> None:
        """Look up, where there was nothing to tell for a while."""
        if self._look_up is not None and time.monotonic() >= self._due:
            self._look_up()
            self._due = time.monotonic() + EVERY


class Pulse:
    """Looks up while the networks that it is attached to are evaluated, for one run at a time."""

    def __init__(self) -> None:
        self._attached: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._teller: weakref.ref[Teller] | None = None

    def attach(self, network: nn.Module) -> None:
        """Look up before the layers of a network; more than once changes nothing."""
        for module in network.modules():
            if isinstance(module, LAYERS) and module not in self._attached:
                module.register_forward_pre_hook(self._look)
                self._attached.add(module)

    def follow(self, on_step: OnStep | None) -> Teller:
        """A run begins: from now on its steps are told, for as long as it keeps the teller."""
        teller = Teller(on_step)
        self._teller = weakref.ref(teller)
        return teller

    def _look(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        teller = self._teller() if self._teller is not None else None
        if teller is not None:
            teller.look_up()
