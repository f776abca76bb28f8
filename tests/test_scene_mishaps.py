"""What goes wrong with scene jobs: on the server, in a window, in what a command says."""

# ruff: noqa: F811  (fixtures of another file)

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldsr.errors import SceneError
from ldsr.web.late_model import LateModel
from ldsr.web.scenes import jobs as scene_jobs
from ldsr.web.scenes import run as scene_run
from ldsr.web.scenes.jobs import PREVIEW, SceneJobs
from ldsr.web.scenes.run import Figures, machine_options
from ldsr.web.scenes.words import plain
from tests.fakes import wait_for
from tests.scene_stand_in import WINDOWS
from tests.test_scene_jobs import (  # noqa: F401
    ROOT,
    clock,
    gate,
    jobs,
    stand_in_command,
    state,
    wait_state,
    wish,
)


def test_a_job_that_cannot_be_run_fails_and_the_next_one_runs(gate, clock):
    def command(record) -> list[str]:
        if record.name == "broken.tif":
            raise OSError(12, "no memory for another process")
        return stand_in_command(record)

    gate(WINDOWS)
    jobs = SceneJobs(command=command, clock=clock)
    try:
        broken, sound = jobs.submit(wish("broken.tif")), jobs.submit(wish())
        wait_state(jobs, broken, "failed")
        assert jobs.look(broken.id)["message"] == scene_jobs.BROKEN
        wait_state(jobs, sound, "done")
        jobs.go_on(broken.id, broken.key)
        wait_for(lambda: jobs.before() == 0)
        assert state(jobs, broken) == "failed"
    finally:
        jobs.close()


def test_a_full_disk_ends_neither_the_line_nor_a_finished_job(jobs, gate, monkeypatch):
    monkeypatch.setattr(scene_jobs, "PAUSE", 0.05)
    full = OSError(28, "No space left on device")

    def write(record) -> None:
        if record.state != "waiting":
            raise full
        written(record)

    def write_whole(path, text) -> None:
        raise full

    first = jobs.submit(wish())
    wait_state(jobs, first, "computing")
    second = jobs.submit(wish("next.tif"))
    written = jobs._records.write
    monkeypatch.setattr(scene_run, "write_whole", write_whole)
    monkeypatch.setattr(jobs._records, "write", write)
    gate("fail")
    wait_state(jobs, first, "failed")
    assert jobs._records.read(first.id).state == "running", "that could not be written"
    assert jobs.look(first.id)["message"] == scene_jobs.BROKEN
    gate(WINDOWS)
    monkeypatch.setattr(jobs._records, "write", written)
    wait_state(jobs, second, "done")
    assert jobs._records.read(first.id).state == "failed"
    assert jobs.figures.seconds("cheap") is None


def test_a_figure_that_cannot_be_kept_is_no_fault(tmp_path):
    Figures(tmp_path / "missing" / "measured.json").note("cheap", {"rate": 2.0})


@pytest.mark.parametrize("left", [False, True])
def test_a_server_that_dies_at_the_last_moment_has_a_finished_job(jobs, gate, clock, left):
    """Between the command's end and the record's; with a folder left over it has to go on."""
    gate(WINDOWS)
    record = jobs.submit(wish())
    wait_state(jobs, record, "done")
    jobs.close()
    place = jobs.folder / record.id
    (place / PREVIEW).unlink()
    jobs._change(jobs._records.read(record.id), state="running")
    if left:
        (place / "field_sr.tif.job").mkdir()
    again = SceneJobs(command=stand_in_command, clock=clock)
    try:
        wait_state(again, record, "stopped" if left else "done")
        assert (place / PREVIEW).is_file() is not left
        assert bool(again.look(record.id)["files"]) is not left
    finally:
        again.close()


def test_failed_windows_can_be_left_empty(jobs, gate):
    gate("gap")
    record = jobs.submit(wish())
    wait_state(jobs, record, "failed")
    view = jobs.look(record.id)
    assert (view["done"], view["failed"]) == (WINDOWS - 1, 1)
    assert view["message"].endswith(
        'try those again with "Go on", or write the file without them with "Finish with gaps".'
    )
    jobs.go_on(record.id, record.key)
    wait_state(jobs, record, "failed")
    with pytest.raises(SceneError, match="Only who began"):
        jobs.finish(record.id, "another")
    jobs.finish(record.id, record.key)
    wait_state(jobs, record, "done")
    assert jobs.look(record.id)["message"] == "1 window failed and is empty in the file."


def test_while_the_preview_is_drawn_the_file_is_being_written(gate, clock):
    seen = []

    def draw(path) -> bytes:
        seen.append(jobs.look(path.parent.name)["state"])
        return b"a picture"

    gate(WINDOWS)
    jobs = SceneJobs(command=stand_in_command, clock=clock, draw=draw)
    try:
        record = jobs.submit(wish())
        wait_state(jobs, record, "done")
        assert seen == ["writing"]
    finally:
        jobs.close()


def test_without_locks_the_page_opens_and_says_where_jobs_run(gate):
    code = (
        "import sys\n"
        "sys.modules['fcntl'] = None\n"
        "import ldsr.web.scenes.guard\n"
        "from tests.test_scene_jobs import SceneError, SceneJobs, wish\n"
        "jobs = SceneJobs()\n"
        "assert jobs.before() == 0\n"
        "try:\n"
        "    jobs.submit(wish())\n"
        "except SceneError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "need Linux or macOS" in said


def test_paths_with_blanks_are_cut_off_whole():
    folder = Path("/srv/John Doe/jobs/abc")
    text = "No room in /srv/John Doe/jobs/abc/a.tif nor in /srv/John Doe/jobs; ask."
    assert plain(text, [folder, folder.parent]) == "No room in a.tif nor in jobs; ask."
    assert plain("Not '/media/my disk/b c.tif'.") == "Not 'b c.tif'."
    assert plain("Not /srv/John Doe/jobs2/a.tif.", [folder.parent]) != "Not 2/a.tif."


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "The file cannot be written (E); make room on the disk and go on with --resume.",
            'The file cannot be written (E); make room on the disk and press "Go on".',
        ),
        (
            "There is an unfinished job of a.tif; go on with --resume, or delete the folder "
            "a.tif.job and start anew.",
            'There is an unfinished job of a.tif; press "Go on", or discard this job and begin '
            "anew.",
        ),
        (
            "It may need 3.0 GB in /a/b; make room, choose another --out, or a smaller part.",
            "It may need 3.0 GB in b; make room, or choose a smaller part.",
        ),
        (
            "Cannot write into /a/b (full); choose another --out.",
            "Cannot write into b (full); ask whoever runs this server.",
        ),
        (
            "x has no classes; leave out --mask.",
            "x has no classes; discard this job and begin one with other choices.",
        ),
        ("--new is 3; expected 4.", "new is 3; expected 4."),
        ("It is damaged -- so be it; try again.", "It is damaged -- so be it; try again."),
    ],
)
def test_advice_is_what_the_page_offers(said, shown):
    assert plain(said) == shown


def test_a_job_computes_as_the_page_does():
    def options(**how) -> list[str]:
        return machine_options(SimpleNamespace(name="mini", device="cpu", **how))

    plain_options = ["--weights=mini", "--device=cpu"]
    assert options() == options(half=None, compiled=False) == plain_options
    assert options(half=True, compiled=True) == [*plain_options, "--compile", "--half"]
    assert options(half=False) == [*plain_options, "--no-half"]
    late = LateModel("mini", compiled=True, half=False)  # must not read the model
    assert machine_options(late) == [*plain_options, "--compile", "--no-half"]
