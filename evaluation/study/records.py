"""What a human study is made of: plain records, and where a rater's catch trials are."""

import dataclasses
import hashlib
from collections.abc import Mapping

KINDS = ("camera", "models")
"""A camera's picture against each method's; or each method's against each other's."""
TASKS = (1, 2)
"""1: the input is shown beside the pair; 2: it is not (SR3, section 4)."""
SIDES = ("left", "right")
CATCH_EVERY = 8
"""One trial of so many is a catch trial, at a random place among them."""
CAMERA, INPUT, DEGRADED = "camera", "input", "degraded"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What a study is made of.

    Attributes:
        id: cannot be guessed.
        title: to show.
        kind: one of KINDS.
        methods: compared, by name; CAMERA is not among them.
        exposure: seconds for which a pair is shown.
        about: what else is to be known of the pictures, words by heading.
        created: seconds since 1970.
        pairs: number of pairs, catch trials aside.
    """

    id: str
    title: str
    kind: str
    methods: tuple[str, ...]
    exposure: float
    about: Mapping[str, str]
    created: float
    pairs: int


@dataclasses.dataclass(frozen=True)
class Place:
    """One piece of ground: its name, and the file of each picture of it by method.

    INPUT, DEGRADED and, in a study of kind "camera", CAMERA are among the pictures.
    """

    name: str
    files: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Trial:
    """One pair as it is shown to one rater; does not say which side is which.

    Attributes:
        id: cannot be guessed; the pictures' addresses are made of it.
        number: of this rater in this task, from 1.
        of: number of the trial with which all pairs have been shown equally often.
        seen: whether its pictures were handed out before: it is not shown again.
    """

    id: str
    number: int
    of: int
    seen: bool


@dataclasses.dataclass(frozen=True)
class Vote:
    """One answer.

    Attributes:
        task, number: of the trial.
        rater: a label made of the rater's id; the id itself stays secret.
        name: that the rater gave, or "".
        place: name of the place.
        a, b: the two pictures; of a catch trial `b` is DEGRADED.
        is_catch: whether it was a catch trial.
        left: which of the two was on the left.
        choice: "left" or "right".
        answer_ms: from the end of the exposure to the answer.
        voted: seconds since 1970.
    """

    task: int
    number: int
    rater: str
    name: str
    place: str
    a: str
    b: str
    is_catch: bool
    left: str
    choice: str
    answer_ms: int
    voted: float

    @property
    def right(self) -> str:
        """Which of the two was on the right."""
        return self.b if self.left == self.a else self.a

    @property
    def chosen(self) -> str:
        """Which of the two was chosen."""
        return self.left if self.choice == "left" else self.right


def label(rater: str) -> str:
    """Name a rater in results without giving their id away."""
    return "r-" + hashlib.sha256(rater.encode()).hexdigest()[:8]


class Catches:
    """Where one rater's catch trials are: fixed for them, to be guessed by nobody."""

    def __init__(self, salt: str, study: str, task: int) -> None:
        self._key = f"{salt} {study} {task}"

    def at(self, number: int) -> bool:
        """Whether a rater's trial of this number (from 1) is a catch trial."""
        block, place = divmod(number - 1, CATCH_EVERY)
        digest = hashlib.sha256(f"{self._key} {block}".encode()).digest()
        return int.from_bytes(digest[:8]) % CATCH_EVERY == place

    def end_of_round(self, number: int, pairs: int) -> int:
        """Number of the trial, this one or later, with which all pairs were shown equally often."""
        shown = sum(not self.at(earlier) for earlier in range(1, number))
        whole = (shown // pairs + 1) * pairs
        end = number - 1
        while shown < whole:
            end += 1
            shown += not self.at(end)
        return end
