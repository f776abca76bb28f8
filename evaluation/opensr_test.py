"""The data sets of opensr-test (Aybar et al. 2024), read from where that package keeps them.

Fetched through the package, and only when asked for. Their files are pickles: here they are read
by a reader that knows arrays and nothing else, so that a file cannot run code.
"""

import importlib
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.pairs import AS_GIVEN, Case, Dataset
from ldsr.data.patch import Patch, Source
from ldsr.errors import MetricError

NAMES = ("naip", "spot", "venus", "spain_urban", "spain_crops")
BANDS = (3, 2, 1, 7)
"""R, G, B, NIR among the twelve bands of `L2A`."""
HARMONISED = "harmonised (opensr-test)"
DESCRIPTION = (
    "The data set {name} of opensr-test: real Sentinel-2 L2A beside pictures of another sensor, "
    "aligned by its authors; their harmonised reference stands beside the reference as given."
)
MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy._core.numeric")
ARRAYS = ("_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer")


def load_opensr(name: str, *, fetch: bool = False, folder: Path | None = None) -> Dataset:
    """Read a data set.

    Args:
        name: of NAMES.
        fetch: whether to download it where it is missing.
        folder: where the package keeps its files; by default its own.

    Raises:
        MetricError: another name, no such file, no network, or another layout.
    """
    if name not in NAMES:
        raise MetricError(f"opensr-test has no data set {name!r}; known are {', '.join(NAMES)}.")
    path = (folder or Path.home() / ".config" / "opensr_test") / f"{name}.pkl"
    if not path.is_file():
        _fetch(name, path, allowed=fetch)
    data = _read(path)
    try:
        low = np.asarray(data["L2A"])[:, list(BANDS)]
        references = {AS_GIVEN: data["HR"], HARMONISED: data["HRharm"]}
        high = {key: np.asarray(x)[:, :4] for key, x in references.items()}
    except (KeyError, IndexError, TypeError) as error:
        raise MetricError(
            f"{path} is not laid out as opensr-test 1.3 does ({type(error).__name__}: {error}); "
            "expected L2A, HR and HRharm."
        ) from error
    expected = (len(low), 4, 4 * low.shape[2], 4 * low.shape[3])
    for x in high.values():
        if x.shape != expected:
            raise MetricError(
                f"The data set {name} has references of {x.shape}, expected {expected}: only a "
                "factor of four is judged here."
            )
    cases = [
        Case(
            name=f"{name}_{i:03}",
            lr=_patch(x, f"{name}_{i:03}"),
            references={key: _patch(y[i], f"{name}_{i:03}") for key, y in high.items()},
            group=f"{name} {i}",
        )
        for i, x in enumerate(low)
    ]
    return Dataset(
        title=f"opensr-test, {name}", description=DESCRIPTION.format(name=name), cases=cases
    )


def _fetch(name: str, path: Path, *, allowed: bool) -> None:
    """Let the package download a file; beside its place until it is whole."""
    if not allowed:
        raise MetricError(
            f"The data set {name} of opensr-test is not at {path}; add --fetch to download it from "
            "the Hugging Face hub (some hundred MB), or copy it there."
        )
    if importlib.util.find_spec("opensr_test") is None:
        raise MetricError("The data sets need the package opensr-test: pip install opensr-test.")
    source = importlib.import_module("opensr_test.dataset")
    url = "https://huggingface.co/datasets/isp-uv-es/opensr-test/resolve/main"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".pkl.part")
    try:
        source.download(f"{url}/021/{name}/{name}.pkl", str(part))
        with part.open("rb") as file:
            if not file.read(1).startswith(b"\x80"):
                raise MetricError(f"The hub answered something that is no data set {name}.")
        part.replace(path)
    except OSError as error:  # requests' errors are OSErrors
        raise MetricError(
            f"The data set {name} cannot be fetched ({type(error).__name__}); is there a network?"
        ) from error
    finally:
        part.unlink(missing_ok=True)


class _Nothing:
    """Stands for everything in a file that is no array: tables of metadata."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __call__(self, *_: object, **__: object) -> "_Nothing":
        return self


class _Arrays(pickle.Unpickler):
    """Reads NumPy arrays; whatever else a file names becomes nothing and is never called."""

    def find_class(self, module: str, name: str) -> Any:
        if module in MODULES and name in ARRAYS:
            return getattr(
                importlib.import_module(module.replace("numpy.core", "numpy._core")), name
            )
        return _Nothing


def _read(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            data = _Arrays(file).load()
    except Exception as error:  # a damaged pickle raises whatever it stumbles on
        raise MetricError(
            f"{path} is damaged ({type(error).__name__}); delete it and fetch it again."
        ) from error
    if not isinstance(data, dict):
        raise MetricError(f"{path} holds a {type(data).__name__}, expected a table of arrays.")
    return data


def _patch(dn: np.ndarray, name: str) -> Patch:
    """Digital numbers [4, H, W], reflectance times 10000, to a patch without a place."""
    valid = np.isfinite(dn).all(0) & (dn > 0).any(0)
    reflectance = np.where(valid, dn, 0).astype(np.float32) / 10_000
    return Patch(
        reflectance=reflectance, valid=valid, source=Source(kind="scene", name=name, scale=1e-4)
    )
