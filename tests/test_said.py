"""No message that leaves the server names a folder of it."""

from pathlib import Path

import pytest

from ldsr.errors import LdsrError, WeightsError
from ldsr.manifest import home
from ldsr.settings import Settings
from ldsr.web.remote.endpoints import _refusal
from ldsr.web.resolve import tags
from ldsr.web.said import public
from ldsr.web.studio import Studio
from tests.conftest import make_patch
from tests.fakes import FakePipeline, wait_for


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("The weights 'x' are not at /srv/a/x.pt; fetch them.", "are not at x.pt; fetch"),
        ("at none of /a/b/RN50.pt, /c/RN50.pt; fetch", "at none of RN50.pt, RN50.pt; fetch"),
        ("'/tmp/a b/c.tif' is empty", "is empty"),
        ("see /tmp/x/y: Permission denied", "see y: Permission denied"),
        (r"C:\Users\me\x.tif is empty", "x.tif is empty"),
    ],
)
def test_folders_are_left_out(text: str, told: str) -> None:
    assert told in public(LdsrError(text))
    assert "/" not in public(text) and "\\" not in public(text)


@pytest.mark.parametrize(
    "text",
    [
        "scale is dn/10000 or (dn-1000)/10000.",
        "1 MB from https://example.org/a/b/c.pt and 12 m/s",
        "s3://bucket/a/b; and/or",
        "expected a path such as /studio",
    ],
)
def test_addresses_and_units_stay(text: str) -> None:
    assert public(text) == text


def test_known_folders_are_found_although_they_have_blanks(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LDSR_HOME", str(tmp_path / "a home" / "of mine"))
    assert public(f"not at {home()}/weights/x.pt.") == "not at x.pt."
    assert str(tmp_path) not in public(f"in {home()}")


class Lacking(FakePipeline):
    """Its weights are not here, and it says where they should be."""

    def __call__(self, *arguments: object) -> None:
        raise WeightsError("The weights 'x' are not at /srv/secret/x.pt; fetch them.")

    def find_tags(self, *arguments: object) -> None:
        self()


def test_page_and_api_say_no_folder() -> None:
    studio = Studio(Lacking())
    _, job = studio.start("me", make_patch(), Settings())
    wait_for(lambda: job.ended)
    said = [job.message, tags.find(studio, make_patch(), "clip")["note"]]
    try:
        studio.pipeline()
    except LdsrError as error:
        said.append(str(_refusal(error)))
    assert len(said) == 3
    for sentence in said:
        assert "not at x.pt; fetch them" in sentence and "secret" not in sentence
