"""The files of a result: pictures as GeoTIFF, run sheet, report, whichever command made it.

Knows names of files; what is in them, `ldsr.data.geotiff` and the result itself know.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ldsr.appearing import appearing
from ldsr.errors import LdsrError

if TYPE_CHECKING:
    from ldsr.result import SuperResolution


def write_result(
    result: "SuperResolution", stem: Path, *, save_base: bool = False
) -> dict[str, Path]:
    """Write every picture of a result.

    Args:
        result: of a run.
        stem: folder and name that all files begin with.
        save_base: write the picture of stage 1 too.

    Returns:
        By what they show ("sr", "base", "detail", "uncertainty"), the files that were written:
        STEM_sr.tif and so on.

    Raises:
        LdsrError: the place cannot be written.
    """
    from ldsr.data.geotiff import write_geotiff

    wanted = {
        "sr": True,
        "base": save_base,
        "detail": result.detail is not None,
        "uncertainty": result.uncertainty is not None,
    }
    return {
        picture: write_geotiff(result, beside(stem, f"_{picture}.tif"), picture=picture)
        for picture, is_wanted in wanted.items()
        if is_wanted
    }


def write_sheet(
    result: "SuperResolution", stem: Path, *, more: Mapping[str, Any] | None = None
) -> Path:
    """Write the run sheet of a result to STEM.json, complete or not at all.

    Args:
        result: of a run.
        stem: folder and name without ending.
        more: what is to stand in it besides.

    Raises:
        LdsrError: the place cannot be written.
    """
    sheet = json.dumps({**result.run_sheet(), **(more or {})}, indent=2)
    return write_complete(beside(stem, ".json"), f"{sheet}\n".encode())


def write_report(result: "SuperResolution", stem: Path, *, machine: str = "") -> Path:
    """Write the report of a result to STEM_report.html, complete or not at all.

    Args:
        result: of a run.
        stem: folder and name without ending.
        machine: that computed it, one phrase.

    Raises:
        LdsrError: the place cannot be written.
    """
    from ldsr.report.about import About
    from ldsr.report.page import to_html

    page = to_html(result, About(name=stem.name, machine=machine))
    return write_complete(beside(stem, "_report.html"), page.encode())


def write_complete(path: Path, content: bytes) -> Path:
    """Write a file complete or not at all; one that is there is replaced.

    Raises:
        LdsrError: the place cannot be written.
    """
    try:
        with appearing(path) as unfinished:
            unfinished.write_bytes(content)
    except OSError as error:
        raise LdsrError(
            f"{path.name} cannot be written into {path.parent} ({error.strerror}); check that the "
            "folder exists, may be written and has room."
        ) from error
    return path


def beside(stem: Path, ending: str) -> Path:
    """Add an ending to a name that may have points in it."""
    return stem.with_name(stem.name + ending)


def make_folder(folder: Path) -> None:
    """Make a folder for results, unless it is there.

    Raises:
        LdsrError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LdsrError(
            f"Cannot make the folder {folder} ({error.strerror}); choose another --out."
        ) from error
