"""Where to look in a picture that is too large to be looked at whole: windows spread over it.

Numbers alone, the same each time; knows nothing of files.
"""

import math
from collections.abc import Iterator

from ldsr.data.grid import Window
from ldsr.data.patch import MAX_SIDE

MOST = 16
"""Windows that are enough to know a picture by."""
SIDE = 256
"""Of such a window, in pixels: MOST of them side by side are a patch of the largest size."""
_GOLDEN = (math.sqrt(5) - 1) / 2


def rounds(width: int, height: int) -> Iterator[list[Window]]:
    """Spread windows over a picture, in rounds that grow denser; the last leaves nothing out.

    Args:
        width, height: of the picture, in pixels.

    Yields:
        Windows of one size; the first ones of each round are spread as well as all of them. A
        picture that is a patch by its size is one window.
    """
    if max(width, height) <= MAX_SIDE:
        yield [(0, 0, width, height)]
        return
    wide, high = min(SIDE, width), min(SIDE, height)
    most = math.ceil(width / wide), math.ceil(height / high)
    each = math.isqrt(MOST)
    while True:
        across, down = min(each, most[0]), min(each, most[1])
        windows = [
            (col, row, wide, high)
            for row in _starts(height, high, down)
            for col in _starts(width, wide, across)
        ]
        yield [windows[i] for i in sorted(range(len(windows)), key=lambda i: i * _GOLDEN % 1)]
        if (across, down) == most:
            return
        each *= 2


def side_by_side(count: int) -> list[tuple[int, int]]:
    """Column and row of each of some windows laid side by side, nearly square."""
    across = math.ceil(math.sqrt(count))
    return [(index % across, index // across) for index in range(count)]


def _starts(side: int, length: int, count: int) -> list[int]:
    """Where windows begin, one in each of equal parts of a side.

    At multiples of their length, so that they lie across as few blocks of a file as can be.
    """
    cells = math.ceil(side / length)
    firsts = (length * int((index + 0.5) * cells / count) for index in range(count))
    return [min(first, side - length) for first in firsts]
