"""Pixels larger than those they are read for: which of them a window touches, and where they lie.

Arrays alone. A coarse pixel is repeated, never interpolated.
"""

import numpy as np


def touched(first: int, length: int, times: int, end: int) -> tuple[int, int]:
    """Find the coarse pixels that a range of fine ones touches.

    Args:
        first: of the range, in fine pixels from where the coarse ones begin.
        length: of the range, in fine pixels.
        times: fine pixels in a coarse one.
        end: number of coarse pixels that there are.

    Returns:
        The first of them and the one after the last; not below the first where there is none.
    """
    return max(0, first // times), min(end, -((-first - length) // times))


def spread(
    coarse: np.ndarray, times: int, *, top: int, left: int, size: tuple[int, int]
) -> np.ndarray:
    """Lay coarse pixels [n, h, w] into a window [n, H, W], 0 where there is none.

    Args:
        coarse: the pixels.
        times: fine pixels in a coarse one.
        top: row of the window where the first one begins, negative before it.
        left: its column.
        size: height and width of the window.
    """
    height, width = size
    whole = np.zeros((len(coarse), height, width), coarse.dtype)
    fine = coarse.repeat(times, 1).repeat(times, 2)
    fine = fine[:, max(0, -top) :, max(0, -left) :]
    top, left = max(0, top), max(0, left)
    fine = fine[:, : height - top, : width - left]
    whole[:, top : top + fine.shape[1], left : left + fine.shape[2]] = fine
    return whole
