"""People who vote in a study while the server is killed, and what is left of their votes."""

import dataclasses
import random
import sqlite3
import threading
import time
from pathlib import Path

import numpy as np
import requests

from evaluation.study.records import Place
from evaluation.study.store import StudyStore
from ldsr import render
from tests.reliability.caller import PATIENCE, Caller
from tests.reliability.deeds import in_threads, join, wait_until
from tests.reliability.server import Server

EXPOSURE = 0.5
METHODS = ("bicubic", "base", "refined")
PLACES = 6


@dataclasses.dataclass
class Given:
    """A vote that was sent: whose, what, and whether the server said that it counts."""

    rater: str
    choice: str
    counted: bool


class Votes:
    """Several people vote at once, in the calls that the page makes."""

    def __init__(self, voters: int = 4, seed: int = 0) -> None:
        self._voters, self._random = voters, random.Random(seed)
        self._given: dict[str, Given] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._study = ""
        self.refused: list[str] = []

    @property
    def counted(self) -> int:
        """Votes of which the server said that they count."""
        return sum(given.counted for given in list(self._given.values()))

    def begin(self, server: Server) -> None:
        if not self._study:
            self._study = make_study(server.home / "study")
        before = self.counted
        callers = [Caller(server.url) for _ in range(self._voters)]
        self._threads = in_threads(lambda: self._vote(callers.pop()), self._voters)
        wait_until(lambda: self.counted >= before + self._voters, "nobody can vote")

    def _vote(self, caller: Caller) -> None:
        def ask(what: str, **more: object) -> dict:
            said = caller.ask("study", "study", {"ask": what, **more})
            if said.get("refused"):
                raise ValueError(said["refused"])
            return said

        try:
            rater = ask("join", rater="", name="")["rater"]
            while True:
                trial = ask("next", study=self._study, task=1, rater=rater)["trial"]
                for side in ("left", "right", "input"):
                    address = f"{caller.url}ldsr/study/{trial}/{side}.png"
                    requests.get(address, timeout=PATIENCE).raise_for_status()
                time.sleep(EXPOSURE + 0.05)
                self._send(ask, trial, rater)
        except requests.RequestException:
            return  # the server has gone
        except ValueError as error:
            self.refused.append(str(error))

    def _send(self, ask, trial: str, rater: str) -> None:
        with self._lock:
            choice = self._random.choice(("left", "right"))
            given = self._given[trial] = Given(rater, choice, counted=False)
        said = ask("vote", trial=trial, rater=rater, choice=choice, ms=300)
        given.counted = said.get("counted") is True

    def check(self, server: Server) -> list[str]:
        join(self._threads)
        found = [f"a vote was refused: {sentence}" for sentence in self.refused]
        self.refused = []
        found += self._compare(read_votes(server.home / "study"))
        caller = Caller(server.url)
        for trial, given in self._given.items():  # the page sends it again until it counts
            if given.counted:
                continue
            asked = {"ask": "vote", "trial": trial, "rater": given.rater, "ms": 300}
            said = caller.ask("study", "study", asked | {"choice": given.choice})
            given.counted = said.get("counted") is True
        votes = read_votes(server.home / "study")
        found += self._compare(votes)
        if len(votes) != self.counted or len(votes) != len(self._given):
            found.append(f"{len(votes)} votes are kept of {len(self._given)} that were sent")
        said = caller.ask("study", "study", {"ask": "results", "study": self._study})
        answers = sum(rater["answers"] for rater in said.get("raters", ()))
        if answers != len(votes):
            found.append(f"the results count {answers} votes of {len(votes)}")
        return found

    def _compare(self, votes: list[tuple[str, str]]) -> list[str]:
        kept, found = dict(votes), []
        if len(kept) != len(votes):
            found.append("a vote is counted twice")
        for trial, given in self._given.items():
            if given.counted and trial not in kept:
                found.append("a vote that counted is lost")
            elif kept.get(trial, given.choice) != given.choice:
                found.append("a vote says something else than was sent")
        if set(kept) - set(self._given):
            found.append("there is a vote that nobody sent")
        return found


def make_study(folder: Path) -> str:
    """Put a small study into a server's folder; gives its id."""
    store = StudyStore(folder)
    draft, names = store.begin(), ("input", "degraded", "camera", *METHODS)
    grey = render.encode_png(np.full((8, 8, 3), 90, np.uint8))
    places = []
    for number in range(PLACES):
        for name in names:
            (draft / f"{number}-{name}.png").write_bytes(grey)
        places.append(Place(f"place {number}", {name: f"{number}-{name}.png" for name in names}))
    about = {"kind": "camera", "methods": METHODS, "exposure": EXPOSURE, "good": "camera"}
    return store.add(draft, places, title="A study", **about).id


def read_votes(folder: Path) -> list[tuple[str, str]]:
    """Trial and choice of each vote that is kept.

    Raises:
        RuntimeError: the file is damaged.
    """
    with sqlite3.connect(folder / "study.db", timeout=30) as db:
        if (said := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            raise RuntimeError(f"the file of the studies is damaged: {said}")
        return db.execute("SELECT trial, choice FROM votes").fetchall()
