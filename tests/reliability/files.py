"""The long form, by hand: `python -m tests.reliability.files --count 10000 --seed 1`.

Status 1 on any finding; its files are kept in --keep.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.reliability.canary import Canary, canary
from tests.reliability.case import Case
from tests.reliability.judge import Verdict, judge
from tests.reliability.mutations import cases
from tests.reliability.served import page


def main(arguments: list[str] | None = None) -> int:
    """Judge as many inputs as are asked for, and print a table."""
    parser = argparse.ArgumentParser(prog="tests.reliability.files", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="inputs, of which some by hand")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--doors", default="patch,scene,page")
    parser.add_argument("--page-every", type=int, default=10, help="upload one in so many")
    parser.add_argument("--keep", type=Path, default=Path("reliability-findings"))
    options = parser.parse_args(arguments)
    began, doors = time.monotonic(), options.doors.split(",")
    with (
        tempfile.TemporaryDirectory(prefix="ldsr-files-") as name,
        canary(Path(name) / "canary") as bird,
    ):
        listed = list(cases(options.count, options.seed, bird))
        jobs = through(listed, [door for door in doors if door != "page"])
        verdict = judge(jobs, Path(name) / "in", bird, workers=options.workers, keep=options.keep)
        if "page" in doors:
            few = listed[:: options.page_every]
            through_page(few, Path(name), bird, verdict, keep=options.keep)
    print(table(verdict))
    print(f"{len(listed)} inputs, seed {options.seed}, {time.monotonic() - began:.0f} s")
    print(*verdict.findings, sep="\n")
    return 1 if verdict.findings else 0


def through(listed: list[Case], doors: list[str]) -> Iterator[tuple[int, Case, str]]:
    """Number each input, and lead it through the doors that it is for."""
    for number, case in enumerate(listed):
        for door in doors:
            if door in case.doors:
                yield number, case, door


def through_page(
    listed: list[Case], folder: Path, bird: Canary, verdict: Verdict, *, keep: Path | None
) -> None:
    """Upload inputs, one after the other."""
    before = len(bird.asked)
    with page(folder / "home") as served:
        for number, case in enumerate(listed):
            if "page" not in case.doors:
                continue
            place = folder / "in" / f"{number:06}-page"
            answer = served.send(case, place)
            verdict.tallies[case.kind, "page"].add(answer)
            if answer["finding"]:
                what = case.address if case.address is not None else " ".join(case.hand[:2])
                line = f"{number} page: {case.kind} of {case.seed} ({what[:80]!r})"
                verdict.findings.append(f"{line}: {answer['finding']}")
                if keep is not None and place.is_dir():
                    shutil.copytree(place, keep / place.name, dirs_exist_ok=True)
            shutil.rmtree(place, ignore_errors=True)
            if not served.alive:
                verdict.findings.append("the server is gone")
                break
    verdict.findings += [f"the canary's server was asked: {asked}" for asked in bird.asked[before:]]


def table(verdict: Verdict) -> str:
    """Lay out what came of each kind."""
    head = f"{'kind':26} {'door':6} {'inputs':>7} {'read':>6} {'refused':>8} "
    head += f"{'seconds':>8} {'slowest':>8} {'most MB':>8}"
    lines = [head]
    keys = sorted(verdict.tallies)
    rows = [(kind, door, verdict.tallies[kind, door]) for kind, door in keys]
    for door in ("patch", "scene", "page"):
        if verdict.total(door).count:
            rows.append(("all", door, verdict.total(door)))
    for kind, door, one in rows:
        lines.append(
            f"{kind:26} {door:6} {one.count:7} {one.read:6} {one.refused:8} "
            f"{one.seconds:8.1f} {one.slowest:8.2f} {one.grown / 2**20:8.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
