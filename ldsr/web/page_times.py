"""What the page itself takes for a result: drawing, the way to the browser, scores.

Plain numbers; knows nothing of Gradio, of results or of how a picture is drawn.
"""

import contextlib
import math
import time
from collections.abc import Collection, Iterator
from typing import Any

from ldsr.errors import LdsrError

LONGEST = 3600.0
"""Seconds of a transfer that are believed, at most."""
SLACK = 0.1
"""Seconds by which the browser's clock may differ from the server's: some browsers round theirs."""
PARTS = ("drawing", "transfer", "metrics")

now = time.perf_counter


class Drawing:
    """When each picture of a result was drawn; threads may draw at once."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[float, float]] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Note the picture that is drawn within."""
        began = now()
        yield
        self._spans[name] = (began, now())

    def seconds(self, names: Collection[str] | None = None, *, since: float = -math.inf) -> float:
        """Time during which one of some pictures was being drawn: two at once count once.

        Args:
            names: of the pictures, unknown ones count nothing; None for all of them.
            since: leave out what was before, as `now` has it.
        """
        spans = [span for name, span in [*self._spans.items()] if names is None or name in names]
        total, reached = 0.0, since
        for began, ended in sorted(spans):
            total += max(ended - max(began, reached), 0.0)
            reached = max(reached, ended)
        return total

    @property
    def begun(self) -> bool:
        """True once something was drawn."""
        return bool(self._spans)


class PageTimes:
    """Seconds that the page took for one result, handed to one person.

    Attributes:
        key: id of the result.
        transfer: from its arrival in the browser until its pictures were fetched and decoded, less
            the drawing within; None where no browser has said.
        metrics: of its newest scores; None where there are none.
        evaluation: id of the evaluation that person had made of it last, or None.
        over: whether something newer is on that person's screen.
    """

    def __init__(self, key: str, drawing: Drawing) -> None:
        self.key = key
        self.transfer: float | None = None
        self.metrics: float | None = None
        self.evaluation: str | None = None
        self.over = False
        self._drawing = drawing
        self._drawn: float | None = None
        self._prepared = 0.0
        self._handed: float | None = None

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """Within, what the screen says is made; after that the result is handed over."""
        began = now()
        yield
        self._handed = now()
        self._prepared = self._handed - began

    def arrived(self, seconds: Any, pictures: Any) -> None:
        """Take the browser's word for how long the pictures on its screen were on their way.

        Args:
            seconds: from the result's arrival until all of them were decoded.
            pictures: their names, as they were drawn.

        Raises:
            LdsrError: what cannot be, or is not asked for any more.
        """
        if self.over or self.transfer is not None or self._handed is None:
            raise LdsrError("Nobody waits for the pictures of this result.")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not 0.0 <= seconds <= min(LONGEST, now() - self._handed + SLACK):
            raise LdsrError("The pictures cannot have been on their way for so long.")
        names = pictures if isinstance(pictures, list) else []
        names = {name for name in names if isinstance(name, str)}
        self._drawn = self._drawing.seconds(names)
        self.transfer = max(seconds - self._drawing.seconds(names, since=self._handed), 0.0)

    def seconds(self) -> dict[str, float]:
        """Those of PARTS that were measured."""
        drawn = self._drawn
        if drawn is None and self._handed is not None and self._drawing.begun:
            drawn = self._drawing.seconds()
        if drawn is not None:
            drawn += self._prepared
        found = zip(PARTS, (drawn, self.transfer, self.metrics), strict=True)
        return {name: value for name, value in found if value is not None}
