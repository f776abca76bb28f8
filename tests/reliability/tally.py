"""What came of what people asked for: counted by `person`, judged by `figures`."""

import dataclasses
import re
from collections import Counter


@dataclasses.dataclass(kw_only=True)
class Tally:
    """What came of what people asked for.

    Attributes:
        asked, finished, cancelled, left: runs that were asked for, and what came of them; one
            that was left behind with its page counts as left.
        pages: times that a page was opened.
        refused: sentences by what was asked ("run" or "err"), each with its number.
        lost: what got neither a result nor a sentence, a line each.
        page_errors, console_errors: as the browser tells of them.
        waits: seconds from the click on Run to the result.
        cancels: when Cancel was clicked on a run that was being computed, seconds since 1970.
    """

    asked: int = 0
    finished: int = 0
    cancelled: int = 0
    left: int = 0
    pages: int = 0
    refused: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    lost: list[str] = dataclasses.field(default_factory=list)
    page_errors: list[str] = dataclasses.field(default_factory=list)
    console_errors: list[str] = dataclasses.field(default_factory=list)
    waits: list[float] = dataclasses.field(default_factory=list)
    cancels: list[float] = dataclasses.field(default_factory=list)


def plain(sentence: str) -> str:
    """A sentence without what differs from one time to another."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"\w+_\d+\.tif", "FILE", sentence))
