"""The SQLite file of the studies: its tables, and transactions that wait for each other.

A connection lives for one transaction, so that any thread and any process may use the file.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from ldsr.errors import LdsrError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS studies (id TEXT PRIMARY KEY, title TEXT NOT NULL, kind TEXT NOT NULL,
    methods TEXT NOT NULL, exposure REAL NOT NULL, about TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS places (id INTEGER PRIMARY KEY, study TEXT NOT NULL REFERENCES studies,
    name TEXT NOT NULL, files TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pairs (id INTEGER PRIMARY KEY, study TEXT NOT NULL REFERENCES studies,
    place INTEGER NOT NULL REFERENCES places, a TEXT NOT NULL, b TEXT NOT NULL,
    is_catch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS raters (id TEXT PRIMARY KEY, name TEXT NOT NULL, salt TEXT NOT NULL,
    created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS trials (id TEXT PRIMARY KEY, study TEXT NOT NULL REFERENCES studies,
    task INTEGER NOT NULL, rater TEXT NOT NULL REFERENCES raters,
    pair INTEGER NOT NULL REFERENCES pairs, a_side TEXT NOT NULL, number INTEGER NOT NULL,
    created REAL NOT NULL, served REAL, voided REAL);
CREATE UNIQUE INDEX IF NOT EXISTS trial_numbers ON trials (study, task, rater, number)
    WHERE voided IS NULL;
CREATE TABLE IF NOT EXISTS votes (trial TEXT PRIMARY KEY REFERENCES trials, choice TEXT NOT NULL,
    answer_ms INTEGER NOT NULL, voted REAL NOT NULL);
"""


class StudyFile:
    """One file, made with its folder when it is first used."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ready = False

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self._file.exists()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on the disk at the end, or nothing."""
        self._prepare()
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A look at what is there."""
        self._prepare()
        with self._open() as db:
            yield db

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(
                sqlite3.connect(self._file, timeout=30, isolation_level=None)
            ) as db:
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA synchronous = FULL")
                yield db
        except (sqlite3.Error, OSError) as error:
            raise LdsrError(f"The studies of this server cannot be reached ({error}).") from error

    def _prepare(self) -> None:
        if self._ready and self._file.exists():
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LdsrError(
                f"The studies of this server cannot be written ({error.strerror})."
            ) from error
        with self._open() as db:
            for attempt in range(100):  # switching to WAL does not wait for others by itself
                try:
                    db.execute("PRAGMA journal_mode = WAL")
                    break
                except sqlite3.OperationalError:
                    if attempt == 99:
                        raise
                    time.sleep(0.05)
            db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
        self._ready = True
