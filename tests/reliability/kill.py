"""The server is killed at bad moments: `python -m tests.reliability.kill --rounds 20 --seed 1`.

In each round a run is computed, files are fetched, people vote, a scene job runs and an evaluation
is saved; all is killed after a random time, started again, and looked at. Status 1 on any finding.
"""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import requests

from tests.reliability.deeds import Downloads, Evaluations, Runs, SceneJob
from tests.reliability.server import REAL, STAND_IN, Server
from tests.reliability.voters import Votes

LONGEST = 3.0
"""Seconds after which it is killed, at most, once all goes on."""


def main(arguments: list[str] | None = None) -> int:
    """Kill as often as is asked for, and count."""
    parser = argparse.ArgumentParser(prog="tests.reliability.kill", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true", help="the real model, no scene job")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ldsr-kill-") as name:
        counts, findings = kill(
            Path(name), rounds=options.rounds, seed=options.seed, real=options.real
        )
    seconds = time.monotonic() - began
    print(f"killed {options.rounds} times, seed {options.seed}, {seconds:.0f} s")
    for what, count in counts.items():
        print(f"{what:36} {count}")
    print(*findings, sep="\n")
    return 1 if findings else 0


def kill(
    folder: Path, *, rounds: int, seed: int, real: bool = False
) -> tuple[Counter[str], list[str]]:
    """Kill a server again and again over one folder.

    Args:
        folder: for all it writes.
        rounds: how often.
        seed: of the moments.
        real: with the real model instead of a stand-in; then no scene job runs.

    Returns:
        What was counted, and what should not have happened.
    """
    dice, findings = random.Random(seed), []
    server = Server(folder, REAL if real else STAND_IN)
    downloads, votes, evaluations, scene = Downloads(), Votes(seed=seed), Evaluations(), SceneJob()
    runs = Runs(held=not real)
    try:
        for number in range(rounds):
            if not real:
                scene.begin(server)
            if not server.alive:
                server.start()
            for deed in (downloads, votes, evaluations, runs):
                deed.begin(server)
            if not real:
                scene.wait(server)
            time.sleep(dice.uniform(0, LONGEST))
            server.kill()
            evaluations.end()
            server.start()
            deeds = [downloads, votes, evaluations, runs] + ([] if real else [scene])
            for deed in deeds:
                what = f"round {number}, {type(deed).__name__}"
                findings += [f"{what}: {line}" for line in checked(deed, server)]
            findings += [f"round {number}: {line}" for line in server.faults()]
            server.stop()
    finally:
        evaluations.end()
        server.stop()
    counts = Counter({"files fetched whole": downloads.whole, "votes counted": votes.counted})
    return counts, findings


def checked(deed: object, server: Server) -> list[str]:
    """What is wrong with a deed; a server that does not answer is wrong, too."""
    try:
        return deed.check(server)
    except (requests.RequestException, RuntimeError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"[:300]]


if __name__ == "__main__":
    sys.exit(main())
