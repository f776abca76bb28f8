"""Where edges lie, and how far they move from one picture to the next; blind to brightness.

Knows arrays alone.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_gradient_magnitude, uniform_filter
from skimage.feature import canny

FAR = 4.0
"""Pixels beyond which an edge counts as gone."""
SIGMA = 1.5
"""Of the Gaussian that pictures are smoothed with before edges are looked for, pixels."""
SHARE, CONTRAST = 0.85, 0.04
"""An edge begins above this quantile of the first picture's gradients, and above this change of
the logarithm of brightness per pixel."""
DARK = 0.02
"""Reflectance added before the logarithm: the noise of dark water makes no edges."""
WINDOW, FEWEST = 9, 5
"""Side of the window that the edges' movement is averaged over, and edge pixels it must hold."""
_SOBEL = 8.0
"""What skimage's Canny has as the gradient of a slope of 1."""


class EdgeSpread:
    """How far edges move between pictures, as they come; memory does not grow.

    An edge of one picture is looked for in the other with half the threshold, in both directions,
    so that an edge that is only a little weaker has not moved. Distances are taken to the first
    picture, and with E (x_i - x_1)^2 = 2 sigma^2 they give the deviation of an edge's place.
    """

    def __init__(self) -> None:
        self._count = 0
        self._threshold = 0.0

    def add(self, picture: np.ndarray) -> None:
        """See one more picture, reflectance [C, H, W]."""
        grey = np.log(np.maximum(picture.mean(0), 0) + DARK)
        self._count += 1
        if self._count == 1:
            steepness = gaussian_gradient_magnitude(grey, SIGMA)
            self._threshold = max(float(np.quantile(steepness, SHARE)), CONTRAST)
            self._first = find_edges(grey, self._threshold)
            self._to_first = distance_to(find_edges(grey, self._threshold / 2))
            self._any = self._first.copy()
            self._squares = np.zeros(grey.shape, np.float32)
            return
        edges = find_edges(grey, self._threshold)
        to_this = distance_to(find_edges(grey, self._threshold / 2))
        moved = np.maximum(np.where(self._first, to_this, 0), np.where(edges, self._to_first, 0))
        self._squares += moved**2
        self._any |= edges

    @property
    def pixels(self) -> np.ndarray:
        """Deviation of the edges' places in pixels, float32 [H, W]; 0 where there are no edges.

        A mean over the edge pixels within WINDOW x WINDOW.
        """
        deviation = np.sqrt(self._squares / max(2 * (self._count - 1), 1))
        area = WINDOW**2
        edges = area * uniform_filter(self._any.astype(np.float32), WINDOW, mode="constant")
        moved = area * uniform_filter(deviation, WINDOW, mode="constant")
        enough = edges > FEWEST - 0.5
        return np.where(enough, moved / np.where(enough, edges, 1), 0).astype(np.float32)


def find_edges(grey: np.ndarray, threshold: float) -> np.ndarray:
    """Canny's edges: bool [H, W].

    Args:
        grey: a picture [H, W].
        threshold: gradient per pixel that begins an edge; half of it continues one.
    """
    high = _SOBEL * threshold
    return canny(grey, sigma=SIGMA, low_threshold=high / 2, high_threshold=high)


def distance_to(edges: np.ndarray) -> np.ndarray:
    """Distance to the nearest edge in pixels, at most FAR: float32 [H, W]."""
    if not edges.any():
        return np.full(edges.shape, FAR, np.float32)
    return np.minimum(distance_transform_edt(~edges), FAR).astype(np.float32)
