"""What the Study tab asks its server, and the answers: plain JSON objects in and out.

Each ask is one small dictionary with "ask" and what it needs; a refusal is {"refused": sentence}.
Nothing that is answered before a vote tells which side is which.
"""

import logging
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from evaluation.study import results as study_results
from evaluation.study.records import TASKS, Study, Trial, Vote
from evaluation.study.results import FEW, Share, Strength
from evaluation.study.store import StudyStore
from ldsr.errors import LdsrError
from ldsr.web.ledger import fault
from ldsr.web.said import public
from ldsr.web.studio import Studio
from ldsr.web.study.prepare import KIND_WORDS, METHODS, NOTES, Preparer, Wish, offered

QUESTIONS = {
    1: "Which is the better high-resolution picture of the input?",
    2: "Which one came from a camera?",
}
MODELS_QUESTION = "Which one looks more like a picture from a camera?"
TASK_WORDS = {1: "Task 1, input shown", 2: "Task 2, input not shown"}

_log = logging.getLogger(__name__)


class StudyCalls:
    """Answers the page; called from any thread."""

    def __init__(self, studio: Studio, store: StudyStore) -> None:
        self._studio, self._store = studio, store
        self._preparer = Preparer(studio, store)
        self._asks: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "hello": self._hello,
            "join": self._join,
            "where": self._where,
            "next": self._next,
            "vote": self._vote,
            "skip": self._skip,
            "prepare": self._prepare,
            "look": lambda ask: self._preparer.look(),
            "cancel": self._cancel,
            "results": self._results,
            "csv": self._csv,
        }

    def answer(self, ask: Any) -> dict[str, Any]:
        """Answer one ask; what is wrong with it is said in a sentence."""
        try:
            if not isinstance(ask, dict) or ask.get("ask") not in self._asks:
                raise LdsrError("The page is older than the server; reload it.")
            return self._asks[ask["ask"]](ask)
        except LdsrError as error:
            return {"refused": public(error)}
        except Exception:
            sentence = "A fault in the program; the server's log tells more."
            return {"refused": fault(_log, "the study tab could not be answered", sentence)}

    def _hello(self, ask: dict[str, Any]) -> dict[str, Any]:
        methods = offered(self._studio)
        return {
            "studies": [_described(study) for study in self._store.studies()],
            "methods": [{"key": key, "name": METHODS[key]} for key in methods],
            "preparing": self._preparer.look(),
        }

    def _join(self, ask: dict[str, Any]) -> dict[str, Any]:
        return {"rater": self._store.join(_text(ask, "rater"), _text(ask, "name"))}

    def _where(self, ask: dict[str, Any]) -> dict[str, Any]:
        study, task, rater = _place(ask)
        answered, of = self._store.progress(study, task, rater)
        return {"answered": answered, "of": of}

    def _next(self, ask: dict[str, Any]) -> dict[str, Any]:
        return _shown(self._store.next(*_place(ask)))

    def _vote(self, ask: dict[str, Any]) -> dict[str, Any]:
        took = _number(ask, "ms")
        trial, rater = _text(ask, "trial"), _text(ask, "rater")
        self._store.vote(trial, rater, _text(ask, "choice"), answer_ms=round(took))
        return {"counted": True}

    def _skip(self, ask: dict[str, Any]) -> dict[str, Any]:
        self._store.skip(_text(ask, "trial"), _text(ask, "rater"))
        return {}

    def _prepare(self, ask: dict[str, Any]) -> dict[str, Any]:
        chosen = ask.get("methods")
        chosen = chosen if isinstance(chosen, list) else []
        wish = Wish(
            _text(ask, "kind"),
            tuple(key for key in METHODS if key in chosen),
            _number(ask, "exposure"),
            round(_number(ask, "seed")),
        )
        return {"ticket": self._preparer.start(wish)}

    def _cancel(self, ask: dict[str, Any]) -> dict[str, Any]:
        self._preparer.cancel(_text(ask, "ticket"))
        return {}

    def _results(self, ask: dict[str, Any]) -> dict[str, Any]:
        study = self._store.study(_text(ask, "study"))
        return results(study, self._store.votes(study.id), leave_out=ask.get("leave_out") is True)

    def _csv(self, ask: dict[str, Any]) -> dict[str, Any]:
        study = self._store.study(_text(ask, "study"))
        about = {"study": study.id, "kind": study.kind, "shown_s": study.exposure}
        text = study_results.to_csv(self._store.votes(study.id), about=about | dict(study.about))
        stem = re.sub(r"[^A-Za-z0-9]+", "_", study.title).strip("_").lower()
        return {"name": f"study_{stem}.csv", "text": text}


def results(study: Study, votes: Sequence[Vote], *, leave_out: bool) -> dict[str, Any]:
    """Describe the results for the page.

    Args:
        study: asked about.
        votes: all of it.
        leave_out: leave out raters by `study_results.RULE`.
    """
    raters = study_results.check_raters(votes)
    counted = study_results.reliable(votes) if leave_out else list(votes)
    asked = [vote for vote in counted if not vote.is_catch]
    people = len({vote.rater for vote in counted})
    tables, notes = [], []
    for task in TASKS:
        in_task = [vote for vote in asked if vote.task == task]
        if in_task:
            make = _fooled if study.kind == "camera" else _ranked
            table, note = make(study, task, in_task)
            tables += [table] if table["rows"] else []
            notes += [f"{TASK_WORDS[task]}: {note}"] if note else []
    catches = len(counted) - len(asked)
    words = (
        _plural(len(asked), "answer"),
        _plural(people, "rater"),
        _plural(catches, "catch trial"),
    )
    return {
        "summary": "{} from {}; {} besides.".format(*words),
        "tables": tables,
        "notes": notes,
        "rule": study_results.RULE,
        "raters": [
            {
                "who": f"{rater.name} ({rater.label})" if rater.name else rater.label,
                "answers": rater.answers,
                "catches": f"{rater.caught} of {rater.catches}",
                "median": f"{rater.median_ms / 1000:.1f} s",
                "left": f"{100 * rater.left:.0f} %",
                "check": "; ".join(rater.reasons) or ("passed" if rater.catches else "too early"),
                "state": "bad" if rater.reasons else "good" if rater.catches else "open",
            }
            for rater in raters
        ],
    }


def _fooled(study: Study, task: int, votes: Sequence[Vote]) -> tuple[dict[str, Any], str]:
    rates = study_results.fool_rates(votes, study.methods)
    rows = [_share_row(method, share) for (_, method), share in rates.items()]
    fewest = min(share.of for share in rates.values())
    table = {
        "title": f"Fool rate. {TASK_WORDS[task]}",
        "help": "Share of pairs in which the model's picture was taken for the better or the real "
        "one; 50 % means that nobody can tell. Bars: 95 % Wilson intervals.",
        "marks": [
            {"at": 0.0, "text": "0 %"},
            {"at": 0.5, "text": "50 %"},
            {"at": 1, "text": "100 %"},
        ],
        "rows": rows,
    }
    return table, "" if fewest >= FEW else _few(fewest)


def _share_row(method: str, share: Share) -> dict[str, Any]:
    low, high = 100 * share.low, 100 * share.high
    return {
        "name": METHODS.get(method, method),
        "at": [share.low, share.value, share.high],
        "text": f"{100 * share.value:.0f} %",
        "range": f"{low:.0f} to {high:.0f} %",
        "detail": f"{share.count} of {share.of}",
    }


def _ranked(study: Study, task: int, votes: Sequence[Vote]) -> tuple[dict[str, Any], str]:
    wins = study_results.win_table(votes, study.methods)
    found = study_results.bradley_terry(wins, study.methods)
    enough = bool(found) and min(strength.of for strength in found) >= FEW
    if enough:
        found.sort(key=lambda strength: -strength.value)
    table = {
        "title": f"{'Ranking' if enough else 'Strengths'}. {TASK_WORDS[task]}",
        "help": "Bradley-Terry: how often a method would be chosen over one of average strength. "
        "Bars: 95 % intervals; where they overlap, the order may be chance.",
        "marks": [
            {"at": 0.0, "text": "0 %"},
            {"at": 0.5, "text": "50 %"},
            {"at": 1, "text": "100 %"},
        ],
        "rows": [_strength_row(one, i if enough else None) for i, one in enumerate(found, 1)],
    }
    if not found:
        return table, "not all methods have been compared with each other yet."
    return table, "" if enough else _few(min(strength.of for strength in found))


def _strength_row(strength: Strength, rank: int | None) -> dict[str, Any]:
    low, at, high = (_over_average(v) for v in (strength.low, strength.value, strength.high))
    name = METHODS.get(strength.method, strength.method)
    return {
        "name": name if rank is None else f"{rank}. {name}",
        "at": [low, at, high],
        "text": f"{100 * at:.0f} %",
        "range": f"{100 * low:.0f} to {100 * high:.0f} %",
        "detail": f"{strength.wins} of {strength.of}",
    }


def _over_average(log_strength: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_strength))


def _few(votes: int) -> str:
    least = f"{_plural(votes, 'answer')} on a method so far"
    return f"{least}: the intervals are wide; nothing is ranked before there are {FEW}."


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _described(study: Study) -> dict[str, Any]:
    camera = study.kind == "camera"
    questions = QUESTIONS if camera else QUESTIONS | {2: MODELS_QUESTION}
    return {
        "id": study.id,
        "title": study.title,
        "kind": KIND_WORDS[study.kind],
        "note": NOTES[study.kind],
        "pairs": study.pairs,
        "exposure": study.exposure,
        "methods": ", ".join(METHODS.get(method, method) for method in study.methods),
        "questions": {str(task): question for task, question in questions.items()},
    }


def _shown(trial: Trial) -> dict[str, Any]:
    return {"trial": trial.id, "number": trial.number, "of": trial.of, "seen": trial.seen}


def _place(ask: dict[str, Any]) -> tuple[str, int, str]:
    task = ask.get("task")
    if task not in TASKS:
        raise LdsrError("There are tasks 1 and 2.")
    return _text(ask, "study"), int(task), _text(ask, "rater")


def _text(ask: dict[str, Any], key: str) -> str:
    """Take a short text; "" where there is none."""
    value = ask.get(key)
    return value[:200] if isinstance(value, str) else ""


def _number(ask: dict[str, Any], key: str) -> float:
    value = ask.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise LdsrError(f"{key} needs a number.")
    return value
