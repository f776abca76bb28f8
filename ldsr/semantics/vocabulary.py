"""The fixed vocabulary of land-cover tags, and how people write them.

Every source of tags speaks this vocabulary. Knows nothing of pictures or networks.
"""

import difflib
import math
from collections.abc import Mapping

from ldsr.errors import LdsrError

VOCABULARY = (
    "water",
    "forest",
    "grassland",
    "cropland",
    "built-up",
    "bare soil",
    "sand",
    "snow",
    "cloud",
    "shadow",
)
"""The tags; their order is the order of the vectors that networks see."""

Tags = Mapping[str, float]
"""Probabilities 0..1 by tag, sum 1; a tag that is missing has probability 0."""

SHOWN = 0.005
"""Probabilities at or below this are not written by `format_tags`."""


def parse_tags(text: str) -> dict[str, float]:
    """Read tags as a person writes them.

    Args:
        text: "forest:0.6, water:0.4" (weights of any size), or "forest, water" (equal shares).
            Upper and lower case, spaces, hyphens and underscores do not matter.

    Returns:
        Every tag of VOCABULARY in its order; probabilities 0..1, sum 1.

    Raises:
        LdsrError: no tag, an unknown or repeated tag, a weight that is no number or is negative,
            weights for some tags only, or weights that are all zero.
    """
    entries = [entry.strip() for entry in text.split(",") if entry.strip()]
    if not entries:
        raise LdsrError("There is no tag; write for example 'forest:0.6, water:0.4'.")
    weighted = [":" in entry for entry in entries]
    if any(weighted) and not all(weighted):
        raise LdsrError(
            f"Some tags in {text!r} have a weight and some have none; give all or none."
        )
    weights: dict[str, float] = {}
    for entry in entries:
        name, colon, number = entry.partition(":")
        tag = _known(name)
        if tag in weights:
            raise LdsrError(f"The tag {tag!r} is given twice; give each tag once.")
        weights[tag] = _weight(tag, number) if colon else 1.0
    return normalise(weights)


def normalise(weights: Tags) -> dict[str, float]:
    """Scale weights >= 0 by tag to probabilities of the whole vocabulary, in its order.

    Raises:
        LdsrError: the weights are all zero.
    """
    largest = max(weights.values(), default=0.0)
    if largest <= 0:
        raise LdsrError("The weights of the tags are all zero; give one tag more than zero.")
    shares = [weights.get(tag, 0.0) / largest for tag in VOCABULARY]
    return {tag: share / sum(shares) for tag, share in zip(VOCABULARY, shares, strict=True)}


def format_tags(tags: Tags) -> str:
    """Write tags as `parse_tags` reads them, the most probable first: "forest:0.60, water:0.40"."""
    ranked = [tag for tag in _ranking(tags) if tags.get(tag, 0.0) > SHOWN]
    return ", ".join(f"{tag}:{tags[tag]:.2f}" for tag in ranked)


def to_vector(tags: Tags) -> tuple[float, ...]:
    """Probabilities in the order of VOCABULARY, as networks take them."""
    return tuple(float(tags.get(tag, 0.0)) for tag in VOCABULARY)


def contrast(tags: Tags) -> dict[str, float]:
    """Make the opposite tags, to measure how much a picture follows its tags.

    The ranking is reversed: the probability of the most probable tag goes to the least probable
    one and so on; among equals the order of VOCABULARY decides. Differs from `tags` unless those
    are uniform.

    Returns:
        Every tag of VOCABULARY in its order, with the same probabilities otherwise distributed.
    """
    ranking = _ranking(tags)
    given = {
        tag: float(tags.get(other, 0.0))
        for tag, other in zip(ranking, reversed(ranking), strict=True)
    }
    return {tag: given[tag] for tag in VOCABULARY}


def _ranking(tags: Tags) -> list[str]:
    """The vocabulary, most probable first, ties in the order of VOCABULARY."""
    return sorted(VOCABULARY, key=lambda tag: -tags.get(tag, 0.0))


def _known(name: str) -> str:
    """The tag of VOCABULARY that a person means, or an error with the nearest one."""
    plain = {tag.replace("-", " "): tag for tag in VOCABULARY}
    written = " ".join(name.lower().replace("-", " ").replace("_", " ").split())
    if written in plain:
        return plain[written]
    near = difflib.get_close_matches(written, plain, n=1)
    hint = f" Did you mean {plain[near[0]]!r}?" if near else ""
    raise LdsrError(f"Unknown tag {name.strip()!r}; known are {', '.join(VOCABULARY)}.{hint}")


def _weight(tag: str, number: str) -> float:
    """A weight >= 0 that is a finite number."""
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise LdsrError(f"The weight of {tag!r} is {number.strip()!r}; expected a number.")
    if weight < 0:
        raise LdsrError(f"The weight of {tag!r} is {weight:g}; expected zero or more.")
    return weight
