"""What somebody elsewhere is told of an error: its sentence, without the folders of this server."""

import re
import tempfile
from pathlib import Path

from ldsr.manifest import ASSETS, home, torch_hub

_PATH = re.compile(r"(?<![\w:/.)])(?:/[^\s/'\":;,]+)+/([^\s/'\":;,]*)")
_QUOTED = re.compile(r"(['\"])/[^'\"]*?([^'\"/]*)/*\1")
_WINDOWS = re.compile(r"\b[A-Za-z]:\\(?:[^\\\s'\"]+\\)*([^\\\s'\"]*)")


def public(error: object) -> str:
    """Write a sentence so that of each file on this server only its name is told.

    Addresses of the web stay as they are, and so do units and ratios.

    Args:
        error: an LdsrError, or its sentence.
    """
    text = str(error)
    folders = {home(), torch_hub(), ASSETS.parents[1], Path.home(), Path(tempfile.gettempdir())}
    known = {str(form) for folder in folders for form in (folder, folder.resolve())}
    for folder in sorted(known - {"/"}, key=len, reverse=True):  # they may have blanks
        text = text.replace(f"{folder}/", "/.../")
        text = re.sub(rf"{re.escape(folder)}(?![\w-])", f"/.../{Path(folder).name}", text)
    text = _PATH.sub(r"\1", _QUOTED.sub(r"\1\2\1", text))
    return _WINDOWS.sub(r"\1", text)
