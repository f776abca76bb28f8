"""Whether a picture carries a grid: power at the periods that upsampling by four can imprint."""

import numpy as np

PERIODS = (4, 2)


def grid_power(picture: np.ndarray) -> np.ndarray:
    """Power at periods of 4 and 2 pixels against the median of the neighbouring frequencies.

    Each line is windowed (Hann) and transformed; power is averaged over the lines. Neighbours are
    the frequencies within a sixteenth of the line's length, the two nearest on each side left out.
    A natural picture is near 1; a visible grid is far above 2.

    Args:
        picture: reflectance [C, H, W], sides of at least 64.

    Returns:
        [axis (vertical, horizontal), C, period (4, 2)].
    """
    return np.stack([_along_last(np.swapaxes(picture, 1, 2)), _along_last(picture)])


def _along_last(picture: np.ndarray) -> np.ndarray:
    length = picture.shape[-1] // 4 * 4
    lines = picture[..., :length].astype(np.float64)
    lines = (lines - lines.mean(-1, keepdims=True)) * np.hanning(length)
    power = (np.abs(np.fft.rfft(lines, axis=-1)) ** 2).mean(1)
    reach = length // 16
    ratios = []
    for period in PERIODS:
        place = length // period
        near = [k for k in range(place - reach, place + reach + 1) if abs(k - place) > 2]
        near = [k for k in near if k < power.shape[-1]]
        ratios.append(power[:, place] / np.median(power[:, near], axis=1))
    return np.stack(ratios, axis=-1)
