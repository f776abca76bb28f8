"""LDSR Studio: Sentinel-2 from 10 m to 2.5 m by diffusion. A Patch goes in, a SuperResolution out.

The names are loaded when they are first used, so that `import ldsr` costs nothing and parts that
need torch alone import where rasterio is not installed.
"""

import importlib
import os

# Torch reads it once, when it first allocates: large tensors in pages of 2 MiB instead of 4 KiB,
# where Linux offers them (transparent_hugepage is madvise or always), are there sooner.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

_HOMES = {
    "Patch": "ldsr.data.patch",
    "Settings": "ldsr.settings",
    "SuperResolution": "ldsr.result",
    "Pipeline": "ldsr.pipeline",
    "read_patch": "ldsr.data.reader",
    "write_geotiff": "ldsr.data.geotiff",
    "WEIGHTS": "ldsr.weights",
}

__all__ = list(_HOMES)
__version__ = "0.1"


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ldsr' has no attribute {name!r}")
