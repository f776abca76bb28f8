"""The model behind the page, read only once the page is up: a person sees it two seconds sooner.

The same door as `ldsr.pipeline.Pipeline`; knows nothing of Gradio.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldsr.data.patch import Patch
from ldsr.machine import limit_threads
from ldsr.semantics import sources
from ldsr.settings import BASES
from ldsr.weights import WEIGHTS, find_model

if TYPE_CHECKING:
    from ldsr.pipeline import Pipeline

DRIVERS = (Path("/dev/nvidia0"), Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Where a GPU that torch could use would show."""


def may_wait(device: str) -> bool:
    """Whether it is certain without torch that a device is the CPU."""
    return device == "cpu" or (device == "auto" and not any(path.exists() for path in DRIVERS))


class LateModel:
    """A pipeline on the CPU whose files are checked now, and read when `begin` was called.

    Args:
        name: of the weights.
        compiled, half: as of `Pipeline.load`; half precision that may not be there does not fit
            here, since only torch knows.

    Attributes:
        name, sha256, device, compiled, half, can_refine, bases: as of the pipeline it will be.
        state: "loading", "loaded", or "failed" where the last attempt to read it did.

    Raises:
        WeightsError: unknown weights, or files that are missing or damaged.
    """

    def __init__(self, name: str, *, compiled: bool = False, half: bool | None = None) -> None:
        _, self.sha256 = find_model(name)
        self.name, self.device = name, "cpu"
        self.compiled, self.half = compiled, half
        self._choices = {"device": "cpu", "compiled": compiled, "half": half}
        here = {entry.role for entry in WEIGHTS.values() if entry.path.is_file()}
        self.can_refine = "refiner" in here
        self.bases = tuple(base for base in BASES if base in ("ldsr", "bicubic") or base in here)
        self._may_begin = threading.Event()
        self._lock = threading.Lock()
        self._loaded: Pipeline | None = None
        self.state = "loading"

    def begin(self) -> None:
        """The page is up: from now on the model may be read."""
        self._may_begin.set()

    @property
    def pipeline(self) -> "Pipeline":
        """The pipeline; whoever asks first waits until it is read.

        Raises:
            WeightsError: files that are not what they should be.
        """
        self._may_begin.wait()
        with self._lock:
            if self._loaded is None:
                from ldsr.pipeline import Pipeline

                limit_threads()
                try:
                    self._loaded = Pipeline.load(self.name, **self._choices)
                except Exception:
                    self.state = "failed"
                    raise
                self.state = "loaded"
            return self._loaded

    def find_tags(self, patch: Patch, semantics: str) -> tuple[dict[str, float] | None, str]:
        """Land-cover tags of a patch and where they come from; needs no model."""
        return sources.find_tags(semantics, patch)

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """Super-resolve one patch."""
        return self.pipeline(*arguments, **more)

    def __getattr__(self, name: str) -> Any:
        """All else is the pipeline's."""
        if name.startswith("_") or name == "pipeline":  # reading it has failed
            raise AttributeError(name)
        return getattr(self.pipeline, name)
