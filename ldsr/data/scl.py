"""Sentinel-2's scene classification (SCL): which pixels are cloud, shadow or snow.

Classes as in the Level-2A product definition (ESA, S2-PDGS-MPC-L2A-PDD). Arrays only.
"""

import numpy as np

NO_DATA = 0
CLOUD = (8, 9, 10)
"""Medium and high probability of cloud, thin cirrus."""
SHADOW = (3,)
SNOW = (11,)
MARKED = {"cloud": CLOUD, "shadow": SHADOW, "snow": SNOW}
"""What is marked on the page, with its classes."""
CLOUDY = 0.1
"""A box with a larger share of cloud is worth a warning."""


def shares(scl: np.ndarray) -> dict[str, float]:
    """Measure how much of a scene classification is cloud, shadow and snow.

    Args:
        scl: uint8 [H, W].

    Returns:
        Of each of MARKED, its share of the pixels that have data, 0..1 (0 where none has).
    """
    there = int((scl != NO_DATA).sum())
    return {name: int(np.isin(scl, of).sum()) / max(there, 1) for name, of in MARKED.items()}


def covered(scl: np.ndarray) -> float:
    """Share of the pixels that have data, 0..1."""
    return float((scl != NO_DATA).mean())
