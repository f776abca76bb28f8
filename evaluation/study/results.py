"""What the answers of a study say: fool rates, strengths, and which raters can be relied on.

Numbers in, numbers out; knows nothing of files or of the page.
"""

import csv
import dataclasses
import datetime
import io
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from evaluation.study.records import CAMERA, Vote

Z95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""
FEW = 30
"""Answers for each method below which nothing is ranked."""
CATCH_SHARE = 0.8
"""Share of catch trials that a rater shall answer rightly; one mistake is forgiven."""
FAST_MS = 150
"""Median time to an answer, from the end of the exposure, below which nobody has chosen."""
BIAS_P = 0.001
BIAS_ANSWERS = 16
"""A rater's sides are looked at from so many answers on."""
RULE = (
    "Left out: who fails two or more catch trials and answers fewer than 80 % of them rightly; "
    f"whose median answer takes less than {FAST_MS} ms; who prefers one side beyond chance "
    f"(binomial test, p < {BIAS_P:g}, from {BIAS_ANSWERS} answers on)."
)
PRIOR = 0.5
"""Wins added to both sides of every pair that was compared: keeps strengths finite."""


@dataclasses.dataclass(frozen=True)
class Share:
    """A share of answers with its 95 % interval.

    Attributes:
        count: answers counted.
        of: all answers.
        low, high: Wilson's interval.
    """

    count: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """count / of."""
        return self.count / self.of


@dataclasses.dataclass(frozen=True)
class Strength:
    """A method's Bradley-Terry strength.

    Attributes:
        method: its name.
        value: logarithm of the strength; those of all methods sum to 0.
        low, high: 95 % interval.
        wins, of: times it was chosen, and shown.
    """

    method: str
    value: float
    low: float
    high: float
    wins: int
    of: int


@dataclasses.dataclass(frozen=True)
class Rater:
    """One rater, and what speaks against relying on them.

    Attributes:
        label, name: who.
        answers: given, catch trials included.
        catches, caught: catch trials, and how many were answered rightly.
        median_ms: to an answer, from the end of the exposure.
        left: share of answers "left", 0..1.
        reasons: to leave them out, by RULE.
    """

    label: str
    name: str
    answers: int
    catches: int
    caught: int
    median_ms: float
    left: float
    reasons: tuple[str, ...]


def wilson(count: int, of: int, *, z: float = Z95) -> Share:
    """Give a share and its interval (Wilson, JASA 22, 1927).

    (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    """
    if of == 0:
        return Share(0, 0, 0.0, 1.0)
    p, zz = count / of, z * z / of
    middle, half = p + zz / 2, z * math.sqrt(p * (1 - p) / of + zz / (4 * of))
    low = 0.0 if count == 0 else (middle - half) / (1 + zz)
    high = 1.0 if count == of else (middle + half) / (1 + zz)
    return Share(count, of, low, high)


def binomial_p(count: int, of: int) -> float:
    """Two-sided exact p of `count` out of `of` when both outcomes are equally likely."""
    tail = sum(math.comb(of, k) for k in range(min(count, of - count) + 1))
    return min(1.0, 2 * tail / 2**of)


def fool_rates(votes: Iterable[Vote], methods: Sequence[str]) -> dict[tuple[int, str], Share]:
    """Count how often a method's picture was taken for the camera's, by task and method."""
    seen: dict[tuple[int, str], list[bool]] = defaultdict(list)
    for vote in votes:
        if not vote.is_catch and vote.a == CAMERA:
            seen[vote.task, vote.b].append(vote.chosen != CAMERA)
    keys = [(task, method) for task in (1, 2) for method in methods if (task, method) in seen]
    return {key: wilson(sum(seen[key]), len(seen[key])) for key in keys}


def win_table(votes: Iterable[Vote], methods: Sequence[str]) -> np.ndarray:
    """Count wins: [n, n], how often the row's method was chosen over the column's."""
    place = {method: i for i, method in enumerate(methods)}
    wins = np.zeros((len(methods), len(methods)))
    for vote in votes:
        if not vote.is_catch and vote.a in place and vote.b in place:
            lost = vote.b if vote.chosen == vote.a else vote.a
            wins[place[vote.chosen], place[lost]] += 1
    return wins


def bradley_terry(
    wins: np.ndarray, methods: Sequence[str], *, prior: float = PRIOR
) -> list[Strength]:
    """Estimate strengths: the row beats the column with probability s_i / (s_i + s_j).

    Minorisation-maximisation (Hunter, Annals of Statistics 32, 2004); intervals from the inverse
    of the Fisher information under the constraint that the logarithms sum to 0.

    Args:
        wins: [n, n], how often the row was chosen over the column.
        methods: n names.
        prior: wins added to both sides of every pair that was compared.

    Returns:
        In the order of `methods`; empty where not all can be compared with each other.
    """
    wins = np.asarray(wins, np.float64)
    games = wins + wins.T
    if not _connected(games):
        return []
    full = wins + prior * (games > 0)
    total, won = full + full.T, full.sum(1)
    strength = np.ones(len(methods))
    for _ in range(10_000):
        new = won / (total / (strength[:, None] + strength[None])).sum(1)
        new /= np.exp(np.log(new).mean())
        done = np.abs(np.log(new / strength)).max() < 1e-10
        strength = new
        if done:
            break
    chance = strength[:, None] / (strength[:, None] + strength[None])
    information = -total * chance * (1 - chance)
    np.fill_diagonal(information, 0.0)
    np.fill_diagonal(information, -information.sum(1))
    spread = Z95 * np.sqrt(np.diag(np.linalg.pinv(information)))
    values = np.log(strength)
    return [
        Strength(
            method,
            float(values[i]),
            float(values[i] - spread[i]),
            float(values[i] + spread[i]),
            int(wins[i].sum()),
            int(games[i].sum()),
        )
        for i, method in enumerate(methods)
    ]


def check_raters(votes: Iterable[Vote]) -> list[Rater]:
    """Look at each rater: catch trials, time, sides; in the order of their first answer."""
    theirs: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        theirs[vote.rater].append(vote)
    return [_check(rater, answers) for rater, answers in theirs.items()]


def reliable(votes: Sequence[Vote]) -> list[Vote]:
    """Leave out the answers of those raters against whom something speaks, by RULE."""
    out = {rater.label for rater in check_raters(votes) if rater.reasons}
    return [vote for vote in votes if vote.rater not in out]


def to_csv(votes: Sequence[Vote], *, about: Mapping[str, object]) -> str:
    """Write one row an answer.

    Args:
        votes: all of a study.
        about: further columns, the same in each row.
    """
    out = {rater.label for rater in check_raters(votes) if rater.reasons}
    sink = io.StringIO()
    names = ("task", "rater", "name", "trial", "place", "picture_a", "picture_b", "catch")
    rest = ("left", "right", "answer", "chosen", "answer_ms", "answered_utc", "rater_left_out")
    writer = csv.writer(sink, lineterminator="\r\n")
    writer.writerow([*about, *names, *rest])
    for vote in votes:
        when = datetime.datetime.fromtimestamp(vote.voted, datetime.UTC)
        row = [
            *about.values(),
            *(vote.task, vote.rater, vote.name, vote.number, vote.place, vote.a, vote.b),
            *(int(vote.is_catch), vote.left, vote.right, vote.choice, vote.chosen, vote.answer_ms),
            *(when.isoformat(timespec="milliseconds"), int(vote.rater in out)),
        ]
        writer.writerow([_harmless(cell) for cell in row])
    return sink.getvalue()


def _check(rater: str, answers: Sequence[Vote]) -> Rater:
    catches = [vote.chosen == vote.a for vote in answers if vote.is_catch]
    caught, failed = sum(catches), len(catches) - sum(catches)
    median = float(statistics.median(vote.answer_ms for vote in answers))
    left = sum(vote.choice == "left" for vote in answers)
    reasons = []
    if failed >= 2 and caught < CATCH_SHARE * len(catches):
        reasons.append(f"{failed} of {len(catches)} catch trials failed")
    if median < FAST_MS:
        reasons.append(f"answers within {median:.0f} ms")
    if len(answers) >= BIAS_ANSWERS and binomial_p(left, len(answers)) < BIAS_P:
        side, count = ("left", left) if 2 * left > len(answers) else ("right", len(answers) - left)
        reasons.append(f"{count} of {len(answers)} answers {side}")
    share, name = left / len(answers), answers[-1].name
    return Rater(rater, name, len(answers), len(catches), caught, median, share, tuple(reasons))


def _connected(games: np.ndarray) -> bool:
    """Whether a chain of comparisons leads from each method to each other."""
    reached = {0}
    while True:
        more = {int(j) for i in reached for j in np.flatnonzero(games[i])} - reached
        if not more:
            return len(reached) == len(games) > 1
        reached |= more


def _harmless(cell: object) -> object:
    """Keep a spreadsheet from taking somebody's words for a formula."""
    return (
        f"'{cell}"
        if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r")
        else cell
    )
