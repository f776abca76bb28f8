"""A result with samples whose numbers a test can compute again."""

import numpy as np

from ldsr.result import LEVELS, Place, SuperResolution, Uncertainty
from ldsr.web.pictures import COMPOSITES, Shown

SAMPLES = 5
FACTORS = {0.5: (0.8,) * 4, 0.8: (1.5,) * 4, 0.9: (2.0, 2.1, 2.2, 2.3)}
UNCALIBRATED = "there is no calibration for these weights with these parts"


def sampled(result: SuperResolution) -> dict:
    """Uncertainty and residual of a result: the mean is the picture, the deviation a slope."""
    height, width = result.sr.size
    assert tuple(FACTORS) == LEVELS
    slope = np.linspace(0.001, 0.02, width, dtype=np.float32)
    std = (
        np.broadcast_to(slope, (4, height, width))
        * np.array([1, 2, 3, 4], np.float32)[:, None, None]
    )
    edges = np.broadcast_to(np.linspace(0, 2, height, dtype=np.float32)[:, None], result.sr.size)
    corners = ((8.0, 8.0), (8.0, 24.0), (20.0, 24.0), (20.0, 8.0), (8.0, 8.0))
    check = np.zeros(result.sr.size, bool)
    check[8:20, 8:24] = True
    text = "The 90 % interval is wide: ± 52 % of the brightness on average."
    place = Place(reason="brightness", text=text, severity=1.4, area=192, outline=corners)
    uncertainty = Uncertainty(
        mean=result.sr.reflectance + np.float32(0.001),
        std=std,
        scale=std,
        edge_spread=edges,
        samples=SAMPLES,
        asked=8,
        ended="settled",
        change=0.01,
        factors=FACTORS,
        calibration=None,
        uncalibrated=UNCALIBRATED,
        places=(place,),
        check=check,
    )
    rows = np.arange(result.lr.size[0], dtype=np.float32)[:, None]
    residual = np.broadcast_to(rows * np.float32(1e-5), result.lr.size)
    return {"uncertainty": uncertainty, "residual": residual}


def drawn(shown: Shown) -> list[dict[str, bytes]]:
    """Its samples as pictures: each a little brighter than the one before."""
    picture = shown.result.sr.reflectance
    return [
        {name: shown.draw(picture + np.float32(0.02 * k), name) for name in COMPOSITES}
        for k in range(SAMPLES)
    ]
