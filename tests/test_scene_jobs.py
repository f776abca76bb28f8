"""Scene jobs without a page: the line, restarts, what expires, what is refused, what is served."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ldsr.errors import SceneError
from ldsr.settings import Settings
from ldsr.web.scenes import jobs as scene_jobs
from ldsr.web.scenes import run as scene_run
from ldsr.web.scenes.jobs import PREVIEW, SceneJobs
from ldsr.web.scenes.records import Wish, stem_of
from ldsr.web.scenes.run import scene_command, setting_options
from ldsr.web.scenes.words import plain
from tests.fakes import wait_for
from tests.scene_stand_in import WINDOWS

ROOT = Path(__file__).parent.parent
STAND_IN = str(ROOT / "tests" / "scene_stand_in.py")


def stand_in_command(record) -> list[str]:
    """The real command line, but another program."""
    python, _, _, _, *rest = scene_command(record)
    return [python, STAND_IN, *rest]


@pytest.fixture
def gate(tmp_path, monkeypatch):
    """Decides how many windows the stand-in may do."""
    monkeypatch.setenv("LDSR_HOME", str(tmp_path))

    def set_gate(value: object) -> None:
        part = tmp_path / "gate.part"
        part.write_text(str(value))
        part.replace(tmp_path / "gate")

    set_gate(0)
    return set_gate


@pytest.fixture
def clock():
    """Seconds since 1970, as a test sets them."""
    now = [1_000_000.0]

    def read() -> float:
        now[0] += 0.001
        return now[0]

    read.now = now
    return read


@pytest.fixture
def jobs(gate, clock):
    store = SceneJobs(command=stand_in_command, clock=clock)
    yield store
    store.close()


def wish(name: str = "field.tif", **changes) -> Wish:
    plain_wish = Wish(
        name=name,
        scene=f"input/{name}",
        files={name: b"pixels"},
        size=(1100, 1040),
        windows=9,
        options=["--weights=mini"],
        cost="cheap",
        bytes=10**6,
        about={"settings": "base ldsr"},
    )
    return dataclasses.replace(plain_wish, **changes)


def state(jobs: SceneJobs, record) -> str:
    return jobs.look(record.id)["state"]


def wait_state(jobs: SceneJobs, record, wanted: str) -> None:
    wait_for(lambda: state(jobs, record) == wanted)


def test_a_job_goes_from_the_line_to_its_files(jobs, gate):
    record = jobs.submit(wish())
    wait_state(jobs, record, "computing")
    gate(2)
    wait_for(lambda: jobs.look(record.id)["done"] == 2)
    view = jobs.look(record.id)
    assert (view["windows"], view["rate"], view["left"]) == (WINDOWS, 0.5, 4.0)
    assert view["name"] == "field.tif" and view["size"] == [1100, 1040] and not view["files"]
    with pytest.raises(SceneError, match="no longer kept"):
        jobs.file(record.id, "field_sr.tif")
    gate(WINDOWS)
    wait_state(jobs, record, "done")
    view = jobs.look(record.id)
    names = {kind: file["name"] for kind, file in view["files"].items()}
    assert names == {
        "cog": "field_sr.tif",
        "sheet": "field_sr.json",
        "stac": "field_sr.stac.json",
    }
    assert all(jobs.file(record.id, name)[0].is_file() for name in names.values())
    path, media_type = jobs.file(record.id, PREVIEW)
    assert media_type == "image/png" and path.read_bytes().startswith(b"\x89PNG")
    assert not any((path.parent / "input").iterdir()), "the input is no longer kept"
    assert jobs.figures.seconds("cheap") == 2.0 and jobs.figures.seconds("dear") is None


def test_one_at_a_time_in_their_order(jobs, gate):
    records = [jobs.submit(wish(f"{letter}.tif")) for letter in "abc"]
    wait_state(jobs, records[0], "computing")
    assert [state(jobs, record) for record in records[1:]] == ["waiting", "waiting"]
    assert [jobs.look(record.id)["place"] for record in records] == [0, 1, 2]
    jobs.cancel(records[1].id, records[1].key)
    assert state(jobs, records[1]) == "stopped" and jobs.look(records[2].id)["place"] == 1
    gate(WINDOWS)
    wait_state(jobs, records[2], "done")
    assert state(jobs, records[0]) == "done"
    ended = [jobs.look(records[i].id)["expires"] for i in (0, 2)]
    assert ended[0] < ended[1]


def test_cancelled_while_it_runs_it_goes_on_where_it_was(jobs, gate):
    record, other = jobs.submit(wish()), jobs.submit(wish("other.tif"))
    gate(2)
    wait_for(lambda: jobs.look(record.id)["done"] == 2)
    jobs.cancel(record.id, record.key)
    wait_state(jobs, record, "stopped")
    assert jobs.look(record.id)["done"] == 2 and "kept" in jobs.look(record.id)["message"]
    jobs.go_on(record.id, record.key)
    wait_state(jobs, other, "computing")
    assert state(jobs, record) == "waiting", "at the end of the line"
    gate(WINDOWS)
    wait_state(jobs, record, "done")
    log = json.loads((jobs.folder / record.id / "progress.json").read_text())
    assert log["done"] == WINDOWS


def test_what_does_not_stop_is_made_to(jobs, gate, monkeypatch):
    monkeypatch.setattr(scene_run, "GRACE", 0.3)
    record = jobs.submit(wish())
    gate("deaf")
    wait_state(jobs, record, "computing")
    jobs.cancel(record.id, record.key)
    assert jobs.look(record.id)["stopping"]
    wait_state(jobs, record, "stopped")


def test_a_failure_is_its_sentence_without_a_path(jobs, gate, tmp_path):
    gate("fail")
    record = jobs.submit(wish())
    wait_state(jobs, record, "failed")
    message = jobs.look(record.id)["message"]
    assert message == "No room in field_sr.tif; make some." and str(tmp_path) not in message
    missing = jobs.submit(wish("gone.tif", scene="input/nothing.tif"))
    wait_state(jobs, missing, "failed")
    assert jobs.look(missing.id)["message"] == "nothing.tif is not there; hand it in."
    gate(WINDOWS)
    jobs.go_on(record.id, record.key)
    wait_state(jobs, record, "done")


def test_a_new_server_shows_what_was_cut_off_and_runs_what_waited(jobs, gate, clock):
    running, waiting = jobs.submit(wish()), jobs.submit(wish("next.tif"))
    gate(1)
    wait_for(lambda: jobs.look(running.id)["done"] == 1)
    jobs.close()
    gate(WINDOWS)
    again = SceneJobs(command=stand_in_command, clock=clock)
    try:
        view = again.look(running.id)
        assert view["state"] == "stopped" and "server was stopped" in view["message"]
        assert view["done"] == 1
        wait_state(again, waiting, "done")
        again.go_on(running.id, running.key)
        wait_state(again, running, "done")
    finally:
        again.close()


def test_a_server_that_is_killed_takes_its_command_with_it(gate, tmp_path):
    code = (
        "import sys, time\n"
        "from tests.test_scene_jobs import SceneJobs, stand_in_command, wish\n"
        "jobs = SceneJobs(command=stand_in_command)\n"
        "record = jobs.submit(wish())\n"
        "print(record.id, record.key, flush=True)\n"
        "time.sleep(600)\n"
    )
    server = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    job, key = server.stdout.readline().decode().split()
    progress = tmp_path / "jobs" / job / "progress.json"
    gate(1)
    wait_for(lambda: progress.exists() and json.loads(progress.read_text())["done"] == 1)
    second = SceneJobs(command=stand_in_command)
    try:
        assert second.look(job)["state"] == "computing", "another server of the folder runs it"
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()
        wait_for(lambda: second.look(job)["state"] == "stopped")
        wait_for(lambda: json.loads(progress.read_text())["state"] == "stopped")
        gate(WINDOWS)
        second.go_on(job, key)
        wait_for(lambda: second.look(job)["state"] == "done")
    finally:
        second.close()


def test_the_line_and_the_disk_have_an_end(jobs, monkeypatch):
    jobs.submit(wish())
    wait_for(lambda: jobs.before() == 1)
    wait_for(lambda: any(record.state == "running" for record in jobs._records.all()))
    for i in range(scene_jobs.MOST_WAITING):
        jobs.submit(wish(f"{i}.tif"))
    with pytest.raises(SceneError, match="8 scene jobs are already waiting"):
        jobs.submit(wish())
    with pytest.raises(SceneError, match="up to 30.0 GB, and scene jobs may keep 20.0 GB"):
        jobs.submit(wish(bytes=3 * 10**10))
    monkeypatch.setenv("LDSR_JOBS_GB", "0.000001")
    with pytest.raises(SceneError, match="choose a smaller area"):
        jobs.submit(wish())


def test_ended_jobs_expire(jobs, gate, clock, monkeypatch):
    gate(WINDOWS)
    first = jobs.submit(wish())
    wait_state(jobs, first, "done")
    monkeypatch.setenv("LDSR_JOBS_HOURS", "2")
    clock.now[0] += 1.9 * 3600
    second = jobs.submit(wish("second.tif"))
    wait_state(jobs, second, "done")
    clock.now[0] += 0.2 * 3600
    with pytest.raises(SceneError, match="no longer kept"):
        jobs.look(first.id)
    with pytest.raises(SceneError, match="no longer kept"):
        jobs.file(first.id, PREVIEW)
    jobs.sweep()
    assert not (jobs.folder / first.id).exists() and state(jobs, second) == "done"


def test_when_the_disk_is_full_what_ended_first_goes_first(jobs, gate, monkeypatch):
    gate(WINDOWS)
    records = [jobs.submit(wish(f"{letter}.tif")) for letter in "abc"]
    wait_state(jobs, records[-1], "done")
    monkeypatch.setenv("LDSR_JOBS_GB", "0.00006")
    sizes = [jobs._records.bytes(record.id) for record in records]
    assert sizes[2] < 60_000 < sum(sizes)
    jobs.sweep()
    left = [(jobs.folder / record.id).exists() for record in records]
    assert left[-1] and not left[0]


def test_one_person_has_so_many_jobs_and_others_still_come_in(jobs, gate):
    first, _ = (jobs.submit(wish(), person="ann") for _ in range(2))
    with pytest.raises(SceneError, match="^2 scene jobs of yours, or from your network, are"):
        jobs.submit(wish(), person="ann")
    assert jobs.submit(wish(), person="bob") and jobs.submit(wish())
    jobs.cancel(first.id, first.key)
    wait_state(jobs, first, "stopped")
    assert jobs.submit(wish(), person="ann")
    kept = [path.read_text() for path in jobs.folder.rglob("*.json")]
    assert kept and not any("ann" in text for text in kept), "an address is never written down"


def test_nobody_changes_or_finds_anothers_job(jobs, gate):
    first, second = jobs.submit(wish()), jobs.submit(wish("other.tif"))
    assert len({first.id, first.key, second.id, second.key}) == 4
    assert all(len(secret) == 22 for secret in (first.id, first.key))
    for deed in (jobs.cancel, jobs.go_on, jobs.discard):
        for key in (second.key, "", None, first.id):
            with pytest.raises(SceneError, match="Only who began"):
                deed(first.id, key)
    wait_state(jobs, first, "computing")
    with pytest.raises(SceneError, match="cancel it first"):
        jobs.discard(first.id, first.key)
    for job in ("", "..", "../jobs", first.id[:-1], f"{first.id}/..", None, "a" * 22):
        with pytest.raises(SceneError, match="no longer kept"):
            jobs.look(job)
    text = json.dumps(jobs.look(first.id))
    assert first.key not in text and str(jobs.folder) not in text


def test_only_the_files_of_a_job_are_served(jobs, gate):
    gate(WINDOWS)
    first, second = jobs.submit(wish()), jobs.submit(wish("other.tif"))
    wait_state(jobs, second, "done")
    names = ("job.json", "log.txt", "progress.json", "../other_sr.tif", "other_sr.tif", "", ".")
    for name in (*names, "/etc/hostname", f"../{second.id}/other_sr.tif", "field_sr.tif.kept"):
        with pytest.raises(SceneError, match="no such file"):
            jobs.file(first.id, name)
    jobs.discard(first.id, first.key)
    assert not (jobs.folder / first.id).exists()
    with pytest.raises(SceneError, match="no longer kept"):
        jobs.file(first.id, "field_sr.tif")


def test_names_paths_and_settings_are_written_safely():
    assert stem_of("S2B_T32TPS.SAFE.zip") == "S2B_T32TPS_sr"
    assert stem_of("../a b/c<d>.tif") == "c_d_sr" and stem_of("...") == "scene_sr"
    assert plain("No /tmp/a/b.tif and '/x/y z' there\nnow") == "No b.tif and 'y z' there now"
    given = Settings(refine=False, cascade=True, temperature=None, semantics="forest:0.6, water:1")
    options = setting_options(given)
    assert {"--no-refine", "--cascade", "--base=ldsr", "--steps=8"} <= set(options)
    assert "--semantics=forest:0.6, water:1" in options
    assert not any(option.startswith(("--refine=", "--temperature")) for option in options)


def test_the_command_reads_its_options(gate):
    """Every option that the page passes is one of `python -m ldsr scene`."""
    command = [sys.executable, "-m", "ldsr", "scene", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    given = [*setting_options(Settings()), *setting_options(Settings(refine=False, cascade=True))]
    given += ["--bounds", "--catalogue", "--bands", "--scale", "--weights", "--device"]
    given += ["--out", "--progress", "--resume", "--detail", "--uncertainty"]
    given += ["--with-gaps", "--compile", "--half", "--no-half"]
    missing = [option for option in given if option.partition("=")[0] not in text]
    assert missing == []


def test_nothing_in_the_folder_of_a_job_is_imported(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    run = scene_run.Run(tmp_path, [sys.executable, "-c", "import json; print(json.__name__)"])
    wait_for(lambda: run.ended(timeout=0.1))
    assert run.status == 0 and "json" in (tmp_path / "log.txt").read_text()
    assert os.getpriority(os.PRIO_PROCESS, 0) < 10, "the server itself is not slowed down"
