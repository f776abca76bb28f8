"""Where the tags of a patch come from: rules, CLIP, a LLaVA caption, the person, or nowhere.

Knows the sources by name; CLIP and LLaVA are imported when they are asked for, and stay loaded.
"""

import functools
from collections.abc import Callable

from ldsr.data.patch import Patch
from ldsr.semantics.spectral import spectral_tags
from ldsr.semantics.vocabulary import parse_tags

SOURCES = ("spectral", "clip", "llava", "none")
PERSON = "person"
"""The source of tags that someone wrote."""


def find_tags(semantics: str, patch: Patch) -> tuple[dict[str, float] | None, str]:
    """Find the tags of a patch.

    Args:
        semantics: one of SOURCES, or tags as `parse_tags` reads them.
        patch: the low-resolution input.

    Returns:
        Probabilities of the whole VOCABULARY, sum 1, or None for "none"; and the source, one of
        SOURCES or PERSON.

    Raises:
        LdsrError: tags that cannot be read; a source whose package, weights or device is missing;
            no valid pixel.
    """
    match semantics:
        case "none":
            return None, semantics
        case "spectral":
            return spectral_tags(patch.reflectance, patch.valid), semantics
        case "clip":
            return _clip_tags(patch), semantics
        case "llava":
            return _llava_tags(patch), semantics
    return parse_tags(semantics), PERSON


def _clip_tags(patch: Patch) -> dict[str, float]:
    return _clip()(patch)


def _llava_tags(patch: Patch) -> dict[str, float]:
    from ldsr.semantics.llava import caption_to_tags

    return caption_to_tags(_llava()(patch))


@functools.cache
def _clip() -> Callable[[Patch], dict[str, float]]:
    """The CLIP tagger, loaded once; a failure is not remembered."""
    from ldsr.semantics.clip import ClipTagger, find_weights

    return ClipTagger(find_weights())


@functools.cache
def _llava() -> Callable[[Patch], str]:
    """The LLaVA captioner, loaded once; a failure is not remembered."""
    from ldsr.semantics.llava import LlavaCaptioner

    return LlavaCaptioner()
