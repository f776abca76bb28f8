"""The store of human studies: pictures, pairs, trials and votes, in one SQLite file.

Safe for several processes and threads. The server decides which side a picture is on and tells
nobody; knows nothing of models, of the page or of statistics.
"""

import json
import secrets
import shutil
import sqlite3
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluation.study.file import StudyFile
from evaluation.study.records import (
    CAMERA,
    DEGRADED,
    INPUT,
    KINDS,
    SIDES,
    TASKS,
    Catches,
    Place,
    Study,
    Trial,
    Vote,
    label,
)
from ldsr.errors import LdsrError

MAX_STUDIES = 50
SERVE_SECONDS = 60.0
"""A pair's pictures are handed out for so long after the first request, then never again."""
NOT_YOURS = "This pair was not shown to you, or is no longer known; reload the page to go on."
GONE = "This study is no longer on the server; reload the page and choose another."


class StudyStore:
    """Studies under one folder: `study.db` and `pictures/`; made when it is first written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._file = StudyFile(self.folder / "study.db")

    def begin(self) -> Path:
        """Make a folder for a new study's pictures; `add` takes it over.

        Raises:
            LdsrError: the folder cannot be written, or there are too many studies.
        """
        if len(self.studies()) >= MAX_STUDIES:
            raise LdsrError(
                f"There are {MAX_STUDIES} studies on this server, and no more are kept; whoever "
                "runs it can move the folder 'study' (in LDSR_HOME) away, answers and all."
            )
        pictures = self.folder / "pictures"
        try:
            pictures.mkdir(parents=True, exist_ok=True)
            for old in pictures.glob(".new-*"):
                if time.time() - old.stat().st_mtime > 86400:
                    shutil.rmtree(old, ignore_errors=True)
            draft = pictures / f".new-{secrets.token_hex(8)}"
            draft.mkdir()
        except OSError as error:
            raise LdsrError(f"The study cannot be written ({error.strerror}).") from error
        return draft

    def add(
        self,
        draft: Path,
        places: Sequence[Place],
        *,
        title: str,
        kind: str,
        methods: Sequence[str],
        exposure: float,
        good: str,
        about: Mapping[str, str] | None = None,
    ) -> Study:
        """Take over a folder of pictures as a new study, whole or not at all.

        Args:
            draft: what `begin` gave; holds the files that the places name.
            places: at least one.
            title: to show.
            kind: one of KINDS.
            methods: compared; at least one, two for "models".
            exposure: seconds, 0.5..30.
            good: the picture that catch trials set against DEGRADED.
            about: words by heading.

        Raises:
            LdsrError: too little to compare, or an exposure out of its range.
        """
        methods = tuple(dict.fromkeys(methods))
        if kind not in KINDS or len(methods) < 1 + (kind == "models") or not places:
            raise LdsrError("There is nothing to compare; choose at least two kinds of pictures.")
        if not 0.5 <= exposure <= 30:
            raise LdsrError(f"Shown for {exposure:g} s; expected 0.5 to 30 s.")
        if kind == "camera":
            compared = [(CAMERA, method) for method in methods]
        else:
            compared = [(a, b) for i, a in enumerate(methods) for b in methods[i + 1 :]]
        key = secrets.token_urlsafe(9)
        created = time.time()
        final = self.folder / "pictures" / key
        with self._file.write() as db:
            db.execute(
                "INSERT INTO studies VALUES (?, ?, ?, ?, ?, ?, ?)",
                (key, title, kind, json.dumps(methods), exposure, json.dumps(dict(about or {})))
                + (created,),
            )
            for place in places:
                files = {name: f"{key}/{file}" for name, file in place.files.items()}
                cursor = db.execute(
                    "INSERT INTO places (study, name, files) VALUES (?, ?, ?)",
                    (key, place.name, json.dumps(files)),
                )
                rows = [(key, cursor.lastrowid, a, b, 0) for a, b in compared]
                rows.append((key, cursor.lastrowid, good, DEGRADED, 1))
                db.executemany(
                    "INSERT INTO pairs (study, place, a, b, is_catch) VALUES (?, ?, ?, ?, ?)", rows
                )
            draft.rename(final)
        return self.study(key)

    def studies(self) -> tuple[Study, ...]:
        """List the studies, the newest first."""
        if not self._file.exists:
            return ()
        with self._file.read() as db:
            return tuple(_study(row) for row in db.execute(_STUDIES + " ORDER BY created DESC"))

    def study(self, key: str) -> Study:
        """Find a study.

        Raises:
            LdsrError: no such study.
        """
        found = [study for study in self.studies() if study.id == key]
        if not found:
            raise LdsrError(GONE)
        return found[0]

    def join(self, rater: str | None = None, name: str = "") -> str:
        """Welcome a rater: the id of one who is known, else a new one; keep the name, if any."""
        name = " ".join("".join(c if c.isprintable() else " " for c in name).split())[:40]
        with self._file.write() as db:
            known = db.execute("SELECT id FROM raters WHERE id = ?", (rater,)).fetchone()
            if known is None:
                rater = secrets.token_urlsafe(16)
                row = (rater, name, secrets.token_hex(16), time.time())
                db.execute("INSERT INTO raters VALUES (?, ?, ?, ?)", row)
            elif name:
                db.execute("UPDATE raters SET name = ? WHERE id = ?", (name, rater))
        return rater

    def progress(self, study: str, task: int, rater: str) -> tuple[int, int]:
        """Say how far a rater is: answers given, and those to give until all pairs are shown.

        A rater whom the server does not know has given none.
        """
        pairs = self.study(study).pairs
        with self._file.read() as db:
            known = db.execute("SELECT salt FROM raters WHERE id = ?", (rater,)).fetchone()
            if known is None:
                return 0, pairs
            row = db.execute(
                "SELECT COUNT(*) FROM trials JOIN votes ON votes.trial = trials.id "
                "WHERE study = ? AND task = ? AND rater = ?",
                (study, task, rater),
            ).fetchone()
        catches = Catches(known[0], study, task)
        return row[0], catches.end_of_round(max(row[0], 1), pairs)

    def next(self, study: str, task: int, rater: str) -> Trial:
        """Give a rater's open trial, or open the next: a pair that they saw least often.

        Raises:
            LdsrError: no such study, task or rater.
        """
        pairs = self.study(study).pairs
        if task not in TASKS:
            raise LdsrError("There are tasks 1 and 2.")
        mine = (study, task, rater)
        with self._file.write() as db:
            catches = Catches(_salt(db, rater), study, task)
            row = db.execute(
                "SELECT id, number, served FROM trials LEFT JOIN votes ON votes.trial = trials.id "
                "WHERE study = ? AND task = ? AND rater = ? AND voided IS NULL AND choice IS NULL",
                mine,
            ).fetchone()
            if row is None:
                number = (
                    1
                    + db.execute(
                        "SELECT COUNT(*) FROM trials "
                        "WHERE study = ? AND task = ? AND rater = ? AND voided IS NULL",
                        mine,
                    ).fetchone()[0]
                )
                pair = _least_shown(db, mine, catches.at(number))
                row = (secrets.token_urlsafe(16), number, None)
                side = SIDES[secrets.randbelow(2)]
                db.execute(
                    "INSERT INTO trials VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                    (row[0], *mine, pair, side, number, time.time()),
                )
        end = catches.end_of_round(row[1], pairs)
        return Trial(row[0], row[1], end, row[2] is not None)

    def picture(self, trial: str, which: str) -> Path:
        """Find the file of a trial's "left", "right" or "input", while it may be seen.

        Raises:
            LdsrError: no such picture, answered, or shown before.
        """
        with self._file.write() as db:
            row = db.execute(
                "SELECT task, a_side, a, b, files, served, voided, choice FROM trials "
                "JOIN pairs ON pairs.id = trials.pair JOIN places ON places.id = pairs.place "
                "LEFT JOIN votes ON votes.trial = trials.id WHERE trials.id = ?",
                (trial,),
            ).fetchone()
            if row is None or which not in (*SIDES, INPUT) or (which == INPUT and row[0] != 1):
                raise LdsrError("There is no such picture.")
            task, a_side, a, b, files, served, voided, choice = row
            late = served is not None and time.time() - served > SERVE_SECONDS
            if late or voided is not None or choice is not None:
                raise LdsrError("This picture was shown already.")
            if served is None:
                db.execute("UPDATE trials SET served = ? WHERE id = ?", (time.time(), trial))
        method = INPUT if which == INPUT else a if which == a_side else b
        return self.folder / "pictures" / json.loads(files)[method]

    def vote(self, trial: str, rater: str, choice: str, *, answer_ms: int) -> None:
        """Count an answer; the same again changes nothing: the first one stays.

        Args:
            trial: its id.
            rater: who answers.
            choice: "left" or "right".
            answer_ms: from the end of the exposure to the answer.

        Raises:
            LdsrError: a trial of somebody else or of nobody, or not shown long enough yet.
        """
        if choice not in SIDES:
            raise LdsrError("The answer is left or right.")
        with self._file.write() as db:
            row = db.execute(
                "SELECT served, exposure, voided, choice FROM trials "
                "JOIN studies ON studies.id = trials.study "
                "LEFT JOIN votes ON votes.trial = trials.id WHERE trials.id = ? AND rater = ?",
                (trial, rater),
            ).fetchone()
            if row is None or row[2] is not None:
                raise LdsrError(NOT_YOURS)
            served, exposure, _, before = row
            if before is not None:
                return
            now = time.time()
            if served is None or now < served + exposure:
                raise LdsrError("This pair has not been shown to the end yet.")
            longest = round(1000 * (now - served - exposure))
            took = min(max(int(answer_ms), 0), longest)
            db.execute("INSERT INTO votes VALUES (?, ?, ?, ?)", (trial, choice, took, now))

    def skip(self, trial: str, rater: str) -> None:
        """Withdraw an open trial whose pictures were not seen; its pair is shown again later.

        Raises:
            LdsrError: a trial of somebody else or of nobody.
        """
        with self._file.write() as db:
            done = db.execute(
                "UPDATE trials SET voided = ? WHERE id = ? AND rater = ? AND voided IS NULL "
                "AND id NOT IN (SELECT trial FROM votes)",
                (time.time(), trial, rater),
            )
            if done.rowcount != 1:
                raise LdsrError(NOT_YOURS)

    def votes(self, study: str) -> tuple[Vote, ...]:
        """List all answers of a study, in the order in which they came."""
        with self._file.read() as db:
            rows = db.execute(
                "SELECT task, number, rater, raters.name, places.name, a, b, is_catch, "
                "CASE a_side WHEN 'left' THEN a ELSE b END, choice, answer_ms, voted "
                "FROM votes JOIN trials ON trials.id = votes.trial "
                "JOIN raters ON raters.id = rater JOIN pairs ON pairs.id = pair "
                "JOIN places ON places.id = place WHERE trials.study = ? "
                "ORDER BY voted, votes.rowid",
                (study,),
            ).fetchall()
        return tuple(
            Vote(task, number, label(rater), name, place, a, b, bool(is_catch), *rest)
            for task, number, rater, name, place, a, b, is_catch, *rest in rows
        )


_STUDIES = (
    "SELECT id, title, kind, methods, exposure, about, created, "
    "(SELECT COUNT(*) FROM pairs WHERE study = studies.id AND NOT is_catch) FROM studies"
)


def _study(row: tuple) -> Study:
    key, title, kind, methods, exposure, about, created, pairs = row
    return Study(
        id=key,
        title=title,
        kind=kind,
        methods=tuple(json.loads(methods)),
        exposure=exposure,
        about=json.loads(about),
        created=created,
        pairs=pairs,
    )


def _salt(db: sqlite3.Connection, rater: str) -> str:
    row = db.execute("SELECT salt FROM raters WHERE id = ?", (rater,)).fetchone()
    if row is None:
        raise LdsrError("This server does not know you yet; reload the page.")
    return row[0]


def _least_shown(db: sqlite3.Connection, mine: tuple[str, int, str], is_catch: bool) -> int:
    """Choose a pair at random among those that a rater saw least often in a task."""
    rows = db.execute(
        "SELECT pairs.id, COUNT(trials.id) FROM pairs LEFT JOIN trials ON trials.pair = pairs.id "
        "AND trials.task = ? AND trials.rater = ? AND voided IS NULL "
        "WHERE pairs.study = ? AND is_catch = ? GROUP BY pairs.id",
        (mine[1], mine[2], mine[0], int(is_catch)),
    ).fetchall()
    least = min(count for _, count in rows)
    return secrets.choice([pair for pair, count in rows if count == least])
