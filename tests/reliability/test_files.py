"""The short form: mutated files through each door; the long form is `tests.reliability.files`.

Of what is made by hand in many copies every third is taken here; all the rest is there.
"""

import itertools
from collections.abc import Iterator

import pytest

from tests.reliability.canary import Canary, canary
from tests.reliability.case import Case
from tests.reliability.files import table, through, through_page
from tests.reliability.judge import Verdict, judge
from tests.reliability.mutations import by_chance, cases
from tests.reliability.served import page

COUNT, EVERY = 1500, 3
"""Inputs in all, and which of those made by hand in many copies."""
SCENES, PAGES = 4, 12
"""Every so many go through `open_scene` and through the page."""


@pytest.fixture(scope="module")
def bird(tmp_path_factory) -> Iterator[Canary]:
    with canary(tmp_path_factory.mktemp("files") / "canary") as found:
        yield found


@pytest.fixture(scope="module")
def listed(bird: Canary) -> list[Case]:
    return list(cases(COUNT, 0, bird, every=EVERY))


def test_a_thousand_files_are_read_or_refused_in_a_sentence(listed, bird, tmp_path) -> None:
    """No crash, no hang, no great memory, nothing of another file, in a process with a limit."""
    assert len(listed) >= 1000 and len({case.kind for case in listed}) > 30
    verdict = judge(through(listed, ["patch"]), bird.folder.parent / "in", bird)
    total = verdict.total()
    assert not verdict.findings, "\n".join([*verdict.findings, table(verdict)])
    assert total.count >= 1000 and total.read > 50 and total.refused > 500, table(verdict)


def test_scenes_too(listed, bird) -> None:
    verdict = judge(through(listed[::SCENES], ["scene"]), bird.folder.parent / "in", bird)
    assert not verdict.findings, "\n".join([*verdict.findings, table(verdict)])
    assert verdict.total().count >= 250 and verdict.total().read > 10


def test_uploads_too(listed, bird, tmp_path) -> None:
    """The page's own server, as a browser sends files to it."""
    verdict = Verdict()
    telling = [case for case in listed if case.kind in ("GDAL's own names", "item")]
    through_page(listed[::PAGES] + telling, tmp_path, bird, verdict, keep=None)
    assert not verdict.findings, "\n".join([*verdict.findings, table(verdict)])
    assert verdict.total().count >= 100 and verdict.total().refused > 50


def test_a_file_of_the_server_cannot_be_named_as_an_upload(bird, tmp_path) -> None:
    with page(tmp_path / "home") as served:
        for path in (bird.picture, "/etc/passwd", f"{bird.url}/a.tif", "../../../etc/passwd"):
            said, whole = served.take([path])
            assert said["state"] == "error" and "root:" not in whole, path
    assert not bird.asked


def test_chance_is_the_same_for_the_same_seed() -> None:
    first, again, other = (
        [(case.kind, case.files) for case in itertools.islice(by_chance(seed), 60)]
        for seed in (3, 3, 4)
    )
    assert first == again != other
