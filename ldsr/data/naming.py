"""Which band is which: Sentinel-2 band names in descriptions, file names and stated orders.

Knows text only, no pixels and no files.
"""

import re
from collections.abc import Sequence

from ldsr.data.bands import BANDS, SENTINEL2
from ldsr.errors import AmbiguousPatchError, PatchError

WANTED = tuple(SENTINEL2[band] for band in BANDS)
"""B04, B03, B02, B08: the Sentinel-2 bands of a patch, in its order."""

ORDERS = {
    10: ("B02,B03,B04,B05,B06,B07,B08,B8A,B11,B12", "B02,B03,B04,B08,B05,B06,B07,B8A,B11,B12"),
    12: ("B01,B02,B03,B04,B05,B06,B07,B08,B8A,B09,B11,B12",),
    13: (
        "B01,B02,B03,B04,B05,B06,B07,B08,B8A,B09,B10,B11,B12",
        "B01,B02,B03,B04,B05,B06,B07,B08,B09,B10,B11,B12,B8A",
    ),
}
"""Usual band orders of Sentinel-2 files by number of bands, as `read_patch` takes them."""

_NUMBERED = re.compile(r"(?<![A-Z0-9])B(?:AND)?[ _-]?0?(8A|1[0-2]|[1-9])(?![A-Z0-9])")
_WORDS = {
    "B04": {"R", "RED"},
    "B03": {"G", "GREEN"},
    "B02": {"B", "BLUE"},
    "B08": {"N", "NIR", "NEARINFRARED", "NEARIR", "INFRARED"},
}


def band_named(text: str | None) -> str | None:
    """Find the Sentinel-2 band that a description or a file name speaks of.

    Args:
        text: such as "B04", "Band 4", "B8 - NIR", "red", "T33UUP_20200601T101031_B02_10m".

    Returns:
        "B01" .. "B12" or "B8A"; None when the text names no band.
    """
    if not text:
        return None
    found = _NUMBERED.findall(text.upper())
    if found:
        return "B8A" if found[-1] == "8A" else f"B{int(found[-1]):02d}"
    bare = re.sub(r"[^A-Z0-9]", "", text.upper())
    return next((band for band, words in _WORDS.items() if bare in words), None)


def stated_order(bands: str | Sequence[str]) -> tuple[str, ...]:
    """Read a stated order, "B02,B03,B04,B08" or a sequence of names.

    Raises:
        PatchError: a name that is no band, a band named twice, or one of the four 10 m bands
            missing.
    """
    names = [part.strip() for part in bands.split(",")] if isinstance(bands, str) else list(bands)
    order = []
    for name in names:
        band = band_named(str(name))
        if band is None:
            raise PatchError(
                f"The stated band order names '{name}', which is no Sentinel-2 band; "
                "use names such as B02,B03,B04,B08."
            )
        order.append(band)
    _pick(order, "The stated band order")
    return tuple(order)


def choose_bands(
    descriptions: Sequence[str | None],
    colours: Sequence[str],
    *,
    stated: str | Sequence[str] | None,
    what: str,
) -> tuple[int, int, int, int]:
    """Find R, G, B and NIR among the bands of a file.

    Args:
        descriptions: of each band, None where there is none.
        colours: colour interpretation of each band ("red", "gray", "undefined", "alpha", ...).
        stated: the order the person states, or None.
        what: the file, as a message names it.

    Returns:
        Zero-based indices of B04, B03, B02 and B08.

    Raises:
        AmbiguousPatchError: several orders are usual for this number of bands.
        PatchError: bands are missing, doubled or cannot be told apart.
    """
    count = len(descriptions)
    if stated is not None:
        order = stated_order(stated)
        if len(order) != count:
            raise PatchError(
                f"{what} has {count} bands but the stated order names {len(order)}; "
                "name every band of the file, in its order."
            )
        return _pick(order, what)
    named = [band_named(text) for text in descriptions]
    if any(named):
        return _pick(named, what)
    return _undescribed(list(colours), what)


def _undescribed(colours: list[str], what: str) -> tuple[int, int, int, int]:
    """Choose by colour interpretation, then by the number of bands."""
    picture = [index for index, colour in enumerate(colours) if colour != "alpha"]
    count = len(picture)
    if count == 3:
        extra = " and a transparency (alpha) band" if len(colours) > 3 else ""
        raise PatchError(
            f"{what} has three bands{extra}, but near infrared (B08) is missing and cannot be "
            "made up from the others; add B08 so that the bands are R, G, B, NIR."
        )
    if count < 4:
        raise PatchError(
            f"{what} has {count} band{'s' if count != 1 else ''}, expected four (R, G, B, NIR); "
            "hand in one file with the four, or the four files B02, B03, B04 and B08 together."
        )
    if count == 4:
        by_colour = {colours[index]: index for index in picture}
        if {"red", "green", "blue"} <= set(by_colour):
            red, green, blue = (by_colour[name] for name in ("red", "green", "blue"))
            nir = next(index for index in picture if index not in (red, green, blue))
            return red, green, blue, nir
        return tuple(picture)
    if count in ORDERS and count == len(colours):
        raise AmbiguousPatchError(
            f"{what} has {count} bands without names, so which is which cannot be known; "
            "say in which order they are.",
            question="bands",
            choices=ORDERS[count],
        )
    raise PatchError(
        f"{what} has {count} bands without names, expected four (R, G, B, NIR); "
        "state the order of all its bands, or keep only B04, B03, B02, B08."
    )


def _pick(named: Sequence[str | None], what: str) -> tuple[int, int, int, int]:
    """Find the four wanted bands, each exactly once."""
    missing = [band for band in WANTED if band not in named]
    if missing:
        known = ", ".join(band for band in named if band) or "none"
        raise PatchError(
            f"{what} lacks {', '.join(missing)} (found: {known}); "
            "the four 10 m bands B02, B03, B04 and B08 are all needed."
        )
    doubled = [band for band in WANTED if list(named).count(band) > 1]
    if doubled:
        raise PatchError(
            f"{what} has {doubled[0]} more than once, so which one to use cannot be known; "
            "keep each of B02, B03, B04 and B08 once, at 10 m."
        )
    return tuple(list(named).index(band) for band in WANTED)
