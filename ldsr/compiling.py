"""Networks compiled by torch.compile where a person asks for it, and the plain ones where it fails.

A network is compiled in the pieces between which something is decided in Python (the first-block
cache): each piece one graph. The first size is compiled as it is; the second other size makes one
for all sizes. What was compiled is kept on disk, so that a new process only traces.
"""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ldsr.machine import usable_cores
from ldsr.manifest import home
from ldsr.models.autoencoder import Decoder, Encoder
from ldsr.models.control import ControlBranch
from ldsr.models.fusion import WeightAllocation
from ldsr.models.regression import Regression
from ldsr.models.sr3 import SR3
from ldsr.models.unet import UNet

WHOLE = (Encoder, Decoder, ControlBranch, WeightAllocation, Regression, SR3)
"""Networks that are one piece."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
"""RMS of compiled minus plain, as a share of the plain RMS, up to which a piece is believed."""
TINY = 1e-7
"""RMS that counts as none, of a network that gives zeros."""
GRAPHS = 64
"""Graphs a piece may have: sizes that divide or do not, one sample or several, two networks."""
_log = logging.getLogger(__name__)


class Compiler:
    """Compiles networks when they are first called; the plain ones go on wherever that fails.

    At the first call of each piece with each size, compiled and plain results are compared. If
    they differ, or if compiling fails for any reason, everything runs plain from then on, and that
    is said once, in one sentence, as a warning.

    Args:
        backend: of `torch.compile`; None compiles nothing.

    Attributes:
        failed: why everything runs plain, or None.
    """

    def __init__(self, *, backend: str | Callable[..., Any] | None = "inductor") -> None:
        self.failed: str | None = None
        self._backend = backend
        self._calls = {"compiled": 0, "plain": 0}

    def prepare(self, network: nn.Module) -> None:
        """Have the pieces of a network compiled when they are first called; once for each."""
        for module in network.modules() if self._backend else ():
            names = UNet.PIECES if isinstance(module, UNet) else ("forward",)
            if isinstance(module, (UNet, *WHOLE)) and names[0] not in vars(module):
                for name in names:
                    setattr(module, name, self._piece(getattr(module, name)))

    @contextlib.contextmanager
    def watch(self) -> Iterator[Callable[[], bool]]:
        """Give what says whether all that ran since then ran compiled, and something did."""
        before = dict(self._calls)

        def all_compiled() -> bool:
            since = {name: count - before[name] for name, count in self._calls.items()}
            return since["compiled"] > 0 and since["plain"] == 0

        yield all_compiled

    def _piece(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] | None = None
        believed: set[tuple] = set()

        def piece(*arguments: Any) -> Any:
            nonlocal compiled
            if self.failed is None:
                try:
                    compiled = compiled or torch.compile(
                        plain, backend=self._backend, fullgraph=True
                    )
                    with torch._dynamo.config.patch(recompile_limit=GRAPHS):
                        result = compiled(*map(_channels_last, arguments))
                except torch.OutOfMemoryError:
                    raise  # as the plain one would
                except Exception as error:  # whatever compilers stumble on
                    self._give_up(_reason(error))
                else:
                    seen = _look(arguments)
                    if seen not in believed:
                        self._compare(result, plain(*arguments))
                        believed.add(seen)
                    if self.failed is None:
                        self._calls["compiled"] += 1
                        return result
            self._calls["plain"] += 1
            return plain(*arguments)

        return piece

    def _compare(self, result: Any, expected: Any) -> None:
        for one, other in zip(_tensors(result), _tensors(expected), strict=True):
            scale = other.float().square().mean().sqrt().item()
            wrong = (one.float() - other.float()).square().mean().sqrt().item()
            half = torch.bfloat16 in (one.dtype, other.dtype) or _autocast(other)
            allowed = TOLERANCE[torch.bfloat16 if half else torch.float32] * scale
            if not wrong <= max(allowed, TINY):
                self._give_up(f"a compiled network is off by {wrong / max(scale, TINY):.1%}")

    def _give_up(self, reason: str) -> None:
        if self.failed is None:
            self.failed = reason
            _log.warning(
                "The networks run as they are, not compiled: %s; the pictures are the same, they "
                "take longer.",
                reason,
            )


def make_compiler() -> Compiler:
    """A compiler that keeps what it compiles in $LDSR_HOME/compiled, and takes no more cores than
    this process may use; TORCHINDUCTOR_CACHE_DIR and TORCHINDUCTOR_COMPILE_THREADS come first.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(home() / "compiled"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(usable_cores()))
    return Compiler()


def _autocast(x: Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def _tensors(values: Any) -> Iterator[Tensor]:
    """The tensors within nested lists and tuples, in order."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


def _channels_last(value: Any) -> Any:
    """Pictures and features in the one layout, so that layouts need no graphs of their own."""
    if isinstance(value, Tensor):
        last = torch.channels_last if value.ndim == 4 else torch.contiguous_format
        return value.contiguous(memory_format=last)
    if isinstance(value, list | tuple):
        return [_channels_last(one) for one in value]
    return value


def _look(values: Sequence[Any]) -> tuple:
    """What of a call decides which graph it needs."""
    tensors = list(_tensors(values))
    return tuple((x.shape, x.dtype, _autocast(x)) for x in tensors)


def _reason(error: Exception) -> str:
    """What went wrong, for the person at the screen: what is missing, else the first line."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    text = " ".join(f"{type(one).__name__} {one}" for one in chain)
    if "InvalidCxxCompiler" in text or "No working C++ compiler" in text:
        return "there is no C++ compiler; install g++"
    if "TritonMissing" in text or "No module named 'triton'" in text:
        return "there is no Triton; install it as torch's notes for this system say"
    if "GPUTooOld" in text:
        return "this GPU is too old for Triton"
    if "Failed to find C compiler" in text:
        return "there is no C compiler; install gcc"
    if isinstance(chain[-1], OSError) and chain[-1].filename:
        return f"{chain[-1].filename} cannot be used ({chain[-1].strerror})"
    lines = [line.strip() for line in str(chain[-1] or error).splitlines() if line.strip()]
    return f"{type(chain[-1]).__name__}, {lines[0] if lines else 'no reason given'}".rstrip(".;: ")
