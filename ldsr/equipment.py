"""What a run works with: the part of a `ldsr.pipeline.Pipeline` that it knows."""

from collections.abc import Mapping
from typing import Protocol

from ldsr.compiling import Compiler
from ldsr.data.patch import Patch
from ldsr.loading import Loaded, Part
from ldsr.pulse import Pulse

Tags = tuple[Mapping[str, float] | None, str]
"""Tags with their probabilities, and where they come from."""


class Equipment(Protocol):
    """Models, networks beside them, and how they are computed.

    Attributes:
        name, sha256: of the weights.
        device: where they are.
        half: bfloat16 for everything, for nothing, or (None) for all but LDSR-S2.
        compiler: what compiles the networks.
        loaded: the model.
        pulse: looks up while its networks are evaluated.
    """

    name: str
    sha256: str
    device: str
    half: bool | None
    compiler: Compiler
    loaded: Loaded
    pulse: Pulse

    def mini(self) -> Loaded:
        """The mini model."""

    def part(self, role: str, wish: str) -> Part:
        """A network beside the model."""

    def find_tags(self, patch: Patch, semantics: str) -> Tags:
        """Tags of a patch."""
