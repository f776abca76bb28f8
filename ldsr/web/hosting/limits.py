"""What a server allows one person and one run, and how long it keeps what it made for somebody.

Numbers from the environment; standard library only.
"""

import dataclasses
import math
import os
from collections.abc import Mapping

from ldsr.errors import LdsrError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one server.

    Attributes:
        each: runs that one person may have running and waiting; 0: any number. Somebody on this
            machine itself may have any number.
        run_seconds: that one run may take.
        grace_seconds: that inputs and results outlive the page they are on.
        keep_seconds: that they are kept at most.
    """

    each: int = 5
    run_seconds: float = 7200.0
    grace_seconds: float = 1800.0
    keep_seconds: float = 86400.0


def read_limits(environment: Mapping[str, str] = os.environ) -> Limits:
    """The limits that the environment sets.

    Raises:
        LdsrError: a variable that is no number, or out of its range.
    """

    def number(name: str, default: float, unit: float = 1.0) -> float:
        text = environment.get(name, "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            value = math.nan
        if not 0 <= value < 1e6:
            raise LdsrError(f"{name} is {text!r}; expected a number, 0 or more.")
        return unit * value

    return Limits(
        each=round(number("LDSR_RUNS_EACH", 5)),
        run_seconds=number("LDSR_RUN_MINUTES", 120, 60.0),
        grace_seconds=number("LDSR_GRACE_MINUTES", 30, 60.0),
        keep_seconds=number("LDSR_KEEP_HOURS", 24, 3600.0),
    )
