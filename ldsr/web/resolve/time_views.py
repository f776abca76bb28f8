"""Where the time of a result went, as plain data: the first chip beside the picture.

Knows results and what the page measured; knows nothing of Gradio.
"""

from collections.abc import Mapping
from typing import Any

from ldsr.errors import LdsrError
from ldsr.result import SuperResolution
from ldsr.web.page_times import PageTimes
from ldsr.web.pictures import Shown
from ldsr.web.studio import Studio

GROUPS = {
    "base": ("Base", ("regress", "denoise", "decode", "consistency")),
    "refine": (
        "Refinement",
        ("refine encode", "refine denoise", "refine decode", "refine consistency"),
    ),
    "samples": ("Samples", ("sample",)),
}
"""Of the parts of a run: the colour of their group, its name, and `SuperResolution.seconds`."""
REST = ("rest", "Other")
PAGE = ("page", "Page")
HELP = {
    "rest": "Other: finding land cover, converting and measuring the picture.",
    "drawing": "Drawing: the server made the pictures on the screen and what stands beside them.",
    "transfer": "Transfer: your connection, from the result's arrival in this browser until its "
    "pictures were fetched and decoded; drawing does not count.",
    "metrics": "Metrics: the newest scores on the Evaluate tab.",
}
SLOW_LINE = "Time, mostly your connection"


def times_value(
    result: SuperResolution, page: PageTimes | None = None, page_id: str | None = None
) -> dict[str, Any]:
    """Describe where the time went; the parts add up to the total.

    Args:
        result: of the run.
        page: what the page measured of it for this person, where it did.
        page_id: under which that is kept.
    """
    measured = {} if page is None else page.seconds()
    groups = _model(result)
    model = sum(part["seconds"] for group in groups for part in group["parts"])
    if measured:
        groups.append(_group(PAGE, measured))
    total = model + sum(measured.values())
    said = {"model": model} | measured
    note = ", ".join(
        f"{name} {brief(value)}".replace(" ", "\u00a0") for name, value in said.items()
    )
    slow = 2 * measured.get("transfer", 0.0) > total
    tones = [group["tone"] for group in groups]
    keys = [key for key in HELP if key in (*tones, *measured)]
    return {
        "id": page_id,
        "label": SLOW_LINE if slow else "Time",
        "total": brief(total),
        "note": note[:1].upper() + note[1:],
        "groups": groups,
        "help": [HELP[key] for key in keys],
    }


def answer(studio: Studio, ask: Any) -> dict[str, Any]:
    """Answer the page: note what the browser measured, where it says so, and give `times_value`.

    Args:
        studio: the server's state.
        ask: {"id"} of what is on the screen, and once {"seconds", "pictures"}, see
            `PageTimes.arrived`. Anything else gives {"refused": sentence}.
    """
    ask = ask if isinstance(ask, dict) else {}
    page = studio.page_times(ask.get("id"))
    shown = None if page is None else studio.store.get(page.key)
    if not isinstance(shown, Shown):
        return {"refused": "This result is no longer kept on the server."}
    try:
        if "seconds" in ask:
            page.arrived(ask["seconds"], ask.get("pictures"))
    except LdsrError as error:
        return {"refused": str(error)}
    return times_value(shown.result, page, ask["id"])


def brief(seconds: float) -> str:
    """Write a time with as many digits as matter: "12.3 s", "0.07 s"."""
    if seconds >= 0.995:
        return f"{seconds:.1f} s"
    return exact(seconds)


def exact(seconds: float) -> str:
    """Write a time with two decimals."""
    return f"{seconds:.2f} s" if seconds >= 0.005 or seconds == 0 else "< 0.01 s"


def _model(result: SuperResolution) -> list[dict[str, Any]]:
    """The parts of a run in groups; what is left of its total is a group of its own."""
    seconds = result.seconds
    groups = []
    for tone, (title, parts) in GROUPS.items():
        found = {_named(part, result): seconds[part] for part in parts if part in seconds}
        if found:
            groups.append(_group((tone, title), found))
    known = sum(part["seconds"] for group in groups for part in group["parts"])
    rest = seconds.get("total", known) - known
    if rest > 0:
        groups.append(_group(REST, {"other": rest}))
    return groups


def _named(part: str, result: SuperResolution) -> str:
    """What a part of a run is called within its group."""
    if part == "regress":
        return "estimate" if result.settings.base == "regression" else "encode"
    if part == "sample":
        return "samples"
    return part.removeprefix("refine ")


def _group(about: tuple[str, str], seconds: Mapping[str, float]) -> dict[str, Any]:
    tone, title = about
    parts = [
        {"name": name, "seconds": value, "text": exact(value)} for name, value in seconds.items()
    ]
    return {"tone": tone, "name": title, "text": exact(sum(seconds.values())), "parts": parts}
