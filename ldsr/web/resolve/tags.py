"""The land-cover editor: where the tags come from, what they are, what the person made of them.

Its value is one JSON object, made by `tags_value`; knows nothing of Gradio.
"""

from collections.abc import Mapping
from typing import Any

from ldsr.data.patch import Patch
from ldsr.errors import LdsrError
from ldsr.semantics.vocabulary import VOCABULARY, format_tags, parse_tags
from ldsr.settings import PRESETS, SEMANTICS, Settings
from ldsr.web.resolve import knobs
from ldsr.web.said import public
from ldsr.web.studio import Studio

EDITED = "edited"
SOURCE_NAMES = {
    "spectral": "Spectral",
    "clip": "CLIP",
    "llava": "LLaVA",
    "none": "None",
    EDITED: "Edited",
}
OWN = PRESETS["balanced"].semantics
NOTES = {
    "none": "Stage 2 is told nothing about the ground.",
    EDITED: "Edited by you; the next run uses these tags.",
}


def tags_value(
    source: str,
    tags: Mapping[str, float] | None,
    *,
    note: str = "",
    wrong: bool = False,
    text: str | None = None,
    own: str = OWN,
) -> dict[str, Any]:
    """Describe the editor.

    Args:
        source: one of SOURCE_NAMES.
        tags: probabilities, or None where there are none.
        note: one sentence below the tags.
        wrong: the sentence says what is wrong.
        text: what stands in the field; made of the tags when not given.
        own: the source that "reset" goes back to.
    """
    return {
        "source": source,
        "tags": None if tags is None else {tag: round(tags[tag], 4) for tag in VOCABULARY},
        "text": (format_tags(tags) if tags else "") if text is None else text,
        "note": note or NOTES.get(source, ""),
        "wrong": wrong,
        "own": own,
    }


def semantics_of(value: Mapping[str, Any] | None) -> str:
    """Say what the editor asks a run for: a source, or the person's own tags."""
    value = value or {}
    source = value.get("source", OWN)
    return value.get("text", "") if source == EDITED else source


def find(studio: Studio, patch: Patch, semantics: str) -> dict[str, Any]:
    """Find the tags of a patch, or read the person's; what goes wrong is told in the editor.

    Args:
        studio: whose pipeline finds them.
        patch: the input.
        semantics: as in Settings.
    """
    source = semantics if semantics in SEMANTICS else EDITED
    own = OWN if source in (EDITED, "none") else source
    try:
        if source == EDITED:
            return tags_value(source, parse_tags(semantics))
        tags, _ = studio.find_tags(patch, semantics)
    except LdsrError as error:
        text = semantics if source == EDITED else None
        return tags_value(source, None, note=public(error), wrong=True, text=text)
    return tags_value(source, tags, own=own)


def answer(studio: Studio, patch: Patch | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """Respond to what the person did in the editor.

    Args:
        studio: whose pipeline finds tags.
        patch: the input on the screen, or None.
        value: the editor's, with "act": "source", "text" or "reset".
    """
    own = value.get("own", OWN)
    if value.get("act") == "reset":
        value = {**value, "source": own}
    if value.get("source") != EDITED and patch is None:
        return tags_value(value["source"], None, note="Choose a patch first.", own=own)
    found = find(studio, patch, semantics_of(value))
    return found | {"own": own} if found["source"] in (EDITED, "none") else found


def renew(studio: Studio, patch: Patch | None, value: Mapping[str, Any]) -> dict[str, Any]:
    """Find the tags of a new patch by the chosen source; what was edited belonged to the old."""
    source = value.get("source", OWN)
    source = value.get("own", OWN) if source == EDITED else source
    if patch is None:
        return tags_value(source, None)
    return find(studio, patch, source)


def read_settings(
    main: dict[str, Any] | None, more: dict[str, Any] | None, land_cover: dict[str, Any] | None
) -> Settings:
    """Make Settings of the values of the two panels and of the land-cover editor.

    Raises:
        LdsrError: a value that is missing or out of its range, or tags that cannot be read.
    """
    return knobs.to_settings({**(main or {}), **(more or {})}, semantics_of(land_cover))
