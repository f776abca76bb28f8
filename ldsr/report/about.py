"""What a report tells that its result does not know: handed in as plain data by who has it."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from ldsr.result import PromptSensitivity


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One score of every picture that was judged.

    Attributes:
        title: to show, with its unit.
        better: "higher is better", "lower is better" or "".
        cells: one for each column, as text.
        best: which of them are.
        meaning: what it sees and what it misses.
    """

    title: str
    better: str
    cells: Sequence[str]
    best: Sequence[bool]
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores that somebody had computed before; the report computes none.

    Attributes:
        truth: what the pictures were compared with.
        remark: one sentence on that, or "".
        date: when.
        columns: names of the pictures, bicubic enlargement among them.
        tables: rows by how the reference was prepared ("" where there is one table).
        absent: titles of scores without a value, each with its reason.
    """

    truth: str
    remark: str
    date: str
    columns: Sequence[str]
    tables: Mapping[str, Sequence[Row]]
    absent: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
    """What is told beside a result.

    Attributes:
        name: of the picture, where its source has none.
        machine: that computed it, one phrase, or "".
        scores: of it, or None.
        sensitivity: how much its land-cover tags matter, or None.
        made: when the report was.
    """

    name: str = ""
    machine: str = ""
    scores: Scores | None = None
    sensitivity: PromptSensitivity | None = None
    made: datetime = dataclasses.field(default_factory=lambda: datetime.now(UTC))
