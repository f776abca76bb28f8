"""Many patches: files as of single runs, failures told apart, nothing computed twice."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio

from ldsr.__main__ import main
from ldsr.batch import job as batch
from ldsr.batch.inputs import list_entries
from ldsr.data.reader import read_patch
from ldsr.errors import LdsrError
from ldsr.settings import Settings
from tests.batches import do, make_pictures, sheet, table, use_tiny
from tests.rasters import make_dn, write_tif

COLUMNS = "name,state,sentence,size,seconds,steps,steps_skipped,residual_before,residual_after,"
COLUMNS += "mean_detail,out_of_range,valid_share,cloud_share,lon,lat,acquired,scene"


@pytest.fixture
def tiny(monkeypatch, tiny_pipeline):
    return use_tiny(monkeypatch, tiny_pipeline)


@pytest.fixture
def pictures(tmp_path) -> Path:
    return make_pictures(tmp_path / "in", "a.tif", "b.tif", "c.tif")


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_folder_gives_the_files_of_single_runs(
    pictures, tiny, tiny_pipeline, tmp_path, capsys
) -> None:
    (pictures / "notes.txt").write_text("no picture, and none of our business")
    (pictures / ".hidden.tif").write_text("neither")
    out = tmp_path / "out"
    assert do(pictures, out) == 0
    kinds = ("{}_sr.tif", "{}_detail.tif", "{}.json", "pictures/{}_input.png")
    kinds += tuple(f"pictures/{{}}_{view}.jpg" for view in ("base", "refined", "detail"))
    expected = {kind.format(stem) for kind in kinds for stem in "abc"}
    assert names(out) == expected | {"batch.csv", "index.html"}
    for stem in "abc":
        alone = tiny_pipeline(
            read_patch(pictures / f"{stem}.tif"), Settings(steps=1, refine_steps=1)
        )
        with rasterio.open(out / f"{stem}_sr.tif") as raster:
            assert np.array_equal(raster.read(), alone.sr.reflectance)
            assert raster.bounds == alone.lr.bounds and raster.crs == alone.lr.crs
        told = sheet(out, stem)
        assert Settings(**told["settings"]).seed == 0
        rest = {key: told[key] for key in told if key not in ("batch", "seconds")}
        assert rest == {key: json.loads(json.dumps(alone.run_sheet()))[key] for key in rest}
    said = capsys.readouterr()
    assert said.out.strip().endswith("index.html: 3 done")
    assert "3 of 3 pictures" in said.err


def test_the_table_has_what_the_run_sheets_have(pictures, tiny, tmp_path) -> None:
    out = tmp_path / "out"
    assert do(pictures, out) == 0
    assert (out / "batch.csv").read_text(encoding="utf-8").splitlines()[0] == COLUMNS
    rows = table(out)
    assert list(rows) == ["a", "b", "c"]
    for stem, row in rows.items():
        told = sheet(out, stem)
        assert row["state"] == "done" and row["size"] == "16 x 20" and row["sentence"] == ""
        assert float(row["seconds"]) == told["seconds"]["total"]
        assert int(row["steps"]) == told["steps_computed"] == 2
        assert float(row["residual_before"]) == told["consistency"]["before"]
        assert float(row["residual_after"]) == told["consistency"]["after"]
        assert float(row["mean_detail"]) == told["detail"]["mean"]
        assert float(row["out_of_range"]) == told["out_of_range"]
        assert float(row["valid_share"]) == 1 and row["cloud_share"] == ""
        with rasterio.open(out / f"{stem}_sr.tif") as raster:
            west, south, east, north = rasterio.warp.transform_bounds(
                raster.crs, 4326, *raster.bounds
            )
        assert west < float(row["lon"]) < east and south < float(row["lat"]) < north
        assert row["scene"] == f"{stem}.tif"


def test_one_that_fails_does_not_end_the_others(pictures, tiny, tmp_path, capsys) -> None:
    (pictures / "b.tif").write_text("no picture")

    def fail(name: str) -> None:
        if name == "c.tif":
            raise LdsrError("Nothing can be seen here; choose another.")

    tiny.before = fail
    make_pictures(pictures, "d.tif")
    out = tmp_path / "out"
    assert do(pictures, out) == 2
    rows = table(out)
    assert [row["state"] for row in rows.values()] == ["done", "failed", "failed", "done"]
    assert rows["c"]["sentence"] == "Nothing can be seen here; choose another."
    assert "not a picture of a known format" in rows["b"]["sentence"] and rows["b"]["size"] == ""
    assert (out / "d_sr.tif").exists() and not (out / "c.json").exists()
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("ldsr: b: b.tif is not a picture")]
    assert "ldsr: c: Nothing can be seen here; choose another." in said
    assert tiny.seen.count("c.tif") == 1, "what says why is not tried again"


def test_one_that_memory_does_not_last_for_is_told(tiny, tmp_path, monkeypatch) -> None:
    source = make_pictures(tmp_path / "in", "a.tif")
    make_pictures(source, "large.tif", size=(64, 64))
    monkeypatch.setattr("ldsr.memory.free_memory", lambda: 120_000_000)
    assert do(source, tmp_path / "out") == 2
    rows = table(tmp_path / "out")
    assert [rows[name]["state"] for name in ("a", "large")] == ["done", "failed"]
    assert "A picture of 64 x 64 pixels" in rows["large"]["sentence"]
    assert "0.1 GB are free; up to " in rows["large"]["sentence"] and tiny.seen == ["a.tif"]


def test_an_accident_is_tried_again_and_then_told_on_one_line(
    pictures, tiny, tmp_path, capsys
) -> None:
    def stumble(name: str) -> None:
        if name == "b.tif" or (name == "a.tif" and tiny.seen.count(name) == 1):
            raise RuntimeError("two\nlines")

    tiny.before = stumble
    assert do(pictures, tmp_path / "out") == 2
    states = {name: row["state"] for name, row in table(tmp_path / "out").items()}
    assert states == {"a": "done", "b": "failed", "c": "done"}
    assert "ldsr: b: RuntimeError: two lines\n" in capsys.readouterr().err


def test_no_room_for_one_is_its_failure(pictures, tiny, tmp_path, monkeypatch) -> None:
    def write(result, stem, **more):
        if stem.name == "b":
            raise LdsrError("b_sr.tif cannot be written; make room.")
        return real(result, stem, **more)

    real = batch.write_result
    monkeypatch.setattr(batch, "write_result", write)
    out = tmp_path / "out"
    assert do(pictures, out) == 2
    assert {name: row["state"] for name, row in table(out).items()} == {
        "a": "done",
        "b": "failed",
        "c": "done",
    }
    assert not (out / "b.json").exists()


def test_resume_computes_what_is_not_complete_and_the_same(pictures, tiny, tmp_path) -> None:
    out = tmp_path / "out"

    def again(*more: str) -> list[str]:
        tiny.seen.clear()
        assert do(pictures, out, *more) == 0
        return sorted(tiny.seen)

    assert again() == ["a.tif", "b.tif", "c.tif"]
    first = (out / "a_sr.tif").read_bytes()
    assert again("--resume") == []
    assert {row["state"] for row in table(out).values()} == {"kept"}
    assert (out / "a_sr.tif").read_bytes() == first
    (out / "a_sr.tif").unlink()
    (out / "b_detail.tif").write_bytes((out / "b_detail.tif").read_bytes()[:-1])
    assert again("--resume") == ["a.tif", "b.tif"]
    (out / "c.json").write_text("{")
    (out / "pictures/b_base.jpg").unlink()
    assert again("--resume") == ["b.tif", "c.tif"]
    write_tif(pictures / "b.tif", make_dn(16, 20, seed=9))
    assert again("--resume") == ["b.tif"]
    assert again("--resume", "--seed", "1") == ["a.tif", "b.tif", "c.tif"]
    assert again("--resume", "--seed", "1", "--save-base") == ["a.tif", "b.tif", "c.tif"]
    assert again("--resume", "--seed", "1") == [], "more files than wanted do no harm"
    assert again() == ["a.tif", "b.tif", "c.tif"], "without --resume all is done again"
    assert not (out / "a_base.tif").exists(), "what was made otherwise does not stay beside it"


def test_other_weights_are_not_the_same(
    pictures, tiny, tmp_path, monkeypatch, tiny_pipeline
) -> None:
    out = tmp_path / "out"
    assert do(pictures, out) == 0
    told = sheet(out, "b")
    told["weights"]["files"] = {"mini-v1.safetensors": "0" * 64}
    (out / "b.json").write_text(json.dumps(told))
    tiny.seen.clear()
    assert do(pictures, out, "--resume") == 0
    assert "b.tif" in tiny.seen
    monkeypatch.setattr(batch, "find_model", lambda name: (Path("tiny"), "2" * 64))
    assert do(pictures, out) == 2
    assert all("install the same version" in row["sentence"] for row in table(out).values())


def test_stopped_it_tells_what_there_is_and_goes_on(pictures, tiny, tmp_path, capsys) -> None:
    def stop(name: str) -> None:
        if name == "b.tif":
            raise KeyboardInterrupt

    out, tiny.before = tmp_path / "out", stop
    assert do(pictures, out) == 2
    assert "ldsr: Stopped after 1 of 3 pictures; the same command with --resume goes on." in (
        capsys.readouterr().err
    )
    assert [row["state"] for row in table(out).values()] == ["done", "left", "left"]
    tiny.before = lambda name: None
    tiny.seen.clear()
    assert do(pictures, out, "--resume") == 0
    assert tiny.seen == ["b.tif", "c.tif"]
    assert [row["state"] for row in table(out).values()] == ["kept", "done", "done"]


def test_names_are_made_unique_and_fit_for_files(tmp_path, tiny) -> None:
    folder = make_pictures(
        tmp_path / "in", "a.tif", "a.tiff", "A.TIF", "a_2.tif", "<script>alert(1)<.tif", "=1+1.tif"
    )
    stems = [entry.stem for entry in list_entries(folder)]
    assert len({stem.casefold() for stem in stems}) == 6
    assert all(not set(stem) & set("<>/\\:\"'|?*") for stem in stems)
    out = tmp_path / "out"
    assert do(folder, out) == 0
    rows = table(out)
    assert "'=1+1" in rows, "no formula for a spreadsheet"
    assert "<script>alert(1)<" in rows
    assert len(list(out.glob("*_sr.tif"))) == 6


def test_very_long_and_undecodable_names_end_nothing(tmp_path, tiny, capsys) -> None:
    folder = make_pictures(tmp_path / "in", "ä" * 120 + ".tif", "x.tif")
    (folder / "x.tif").rename(folder / b"\xff\xfe.tif".decode("utf-8", "surrogateescape"))
    do(folder, tmp_path / "out")
    rows = table(tmp_path / "out")
    assert rows["ä" * 120]["state"] == "done" and len(rows) == 2
    assert len(list((tmp_path / "out").glob("ä*_sr.tif"))) == 1


def test_other_formats_and_grids_stand_side_by_side(tmp_path, tiny) -> None:
    folder = make_pictures(tmp_path / "in", "a.tif")
    np.save(folder / "b.npy", make_dn(24, 16).astype(np.uint16))
    write_tif(folder / "c.tif", make_dn(16, 16), crs="EPSG:32720")
    out = tmp_path / "out"
    assert do(folder, out, "--scale", "dn/10000") == 0
    rows = table(out)
    assert rows["b"]["lon"] == "" and rows["b"]["size"] == "24 x 16"
    assert float(rows["a"]["lat"]) > 0 > float(rows["c"]["lat"])


def test_samples_give_uncertainty(tmp_path, tiny) -> None:
    folder = make_pictures(tmp_path / "in", "a.tif")
    assert do(folder, tmp_path / "out", "--samples", "2") == 0
    with rasterio.open(tmp_path / "out" / "a_uncertainty.tif") as raster:
        assert raster.count == 22
    assert batch.BANDS["uncertainty"] == 22
    assert do(folder, tmp_path / "out", "--no-refine") == 0
    assert names(tmp_path / "out") >= {"a_sr.tif", "a.json"}
    assert not (tmp_path / "out" / "a_uncertainty.tif").exists()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (None, "There is no 'places.csv'; expected a folder of pictures, or a CSV"),
        (b"", "places.csv has no column lon, lat and date (its first row has: none)"),
        (b"x,y,date\n1,2,3\n", "has no column lon and lat (its first row has: x, y, date)"),
        (b"lon,lat,date\n", "has no rows below its first"),
        (b"\x00\xff\xfe\x80", "places.csv is no CSV file in UTF-8"),
        (b"lon,lat,date\n10,46,2026-09-14\nten,46,2026-09-14\n", "Row 3 of places.csv: lon is "),
        (b"lon;lat;date\n10,5;46;2026-09-14\n", "Row 2 of places.csv: lon is '10,5', expected a"),
        (b"lon,lat,date\n\n10,46,14.9.2026\n", "Row 3 of places.csv: date is '14.9.2026', exp"),
        (b"lon,lat,date\n10,46\n", "Row 2 of places.csv: date is '', expected a day such as"),
        (b"lon,lat,date\n10,46,1999-01-01\n", "not before 2015-06-23"),
        (b"lon,lat,date\n10,nan,2026-09-14\n", "lat is 'nan', expected a number from -90 to 90"),
        (b"lon,lat,date\n10,88,2026-09-14\n", "Row 2 of places.csv: Latitude 88.00 lies beyond"),
        (b"lon,lat,date,side\n1,4,2026-09-14,99\n", "A box has a side of 99 m, expected one of"),
        (b"lon,lat,date,days\n1,4,2026-09-14,1.5\n", "days is '1.5', expected a whole number"),
        (b"lon,lat,date,cloud\n1,4,2026-09-14,101\n", "cloud is '101', expected a number from"),
        (b"lon,lat,date\na,1,1\nb,1,1\n", "(and 1 more rows)."),
    ],
)
def test_a_table_with_something_wrong_is_one_sentence(rows, said, tiny, tmp_path, capsys) -> None:
    source = tmp_path / "places.csv"
    if rows is not None:
        source.write_bytes(rows)
    assert do(source, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error and "Traceback" not in error
    assert not (tmp_path / "out").exists() and tiny.seen == []


def test_what_cannot_be_begun_is_one_sentence(pictures, tiny, tmp_path, capsys, monkeypatch):
    def said(source: Path, out: Path, *more: str) -> str:
        assert do(source, out, *more) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and tiny.seen == [], error
        return error

    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no pictures in empty (it is empty)" in said(empty, tmp_path / "out")
    (empty / "a.txt").write_text("")
    assert "(one other file); expected files ending in .tif" in said(empty, tmp_path / "out")
    assert "folder of the pictures themselves" in said(pictures, pictures)
    assert "Cannot make the folder" in said(pictures, pictures / "a.tif")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "index.html").write_text("<h1>My page</h1>")
    assert "index.html in theirs that no batch has written" in said(pictures, theirs)
    assert "no catalogue 'nowhere'" in said(pictures, tmp_path / "out", "--catalogue", "nowhere")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**26))
    text = said(pictures, tmp_path / "out")
    assert "free, but 3 pictures may need" in text and "make room" in text
    assert names(tmp_path / "out") == set(), "nothing is left under a final name"


def test_unknown_weights_are_told_before_anything_is_read(pictures, tmp_path, capsys) -> None:
    assert main(["batch", str(pictures), "--out", str(tmp_path / "out"), "--weights", "magic"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no weights named 'magic'" in error


def test_worker_processes_give_the_same_files(pictures, tmp_path, monkeypatch) -> None:
    """The real weights, in this process and in one of its own."""
    how = ["--steps", "1", "--refine-steps", "1", "--no-half"]
    for workers in ("0", "1"):
        out = ["--out", str(tmp_path / workers), "--workers", workers]
        assert main(["batch", str(pictures), *out, *how]) == 0
    for name in ("a_sr.tif", "c_detail.tif"):
        with (
            rasterio.open(tmp_path / "0" / name) as here,
            rasterio.open(tmp_path / "1" / name) as there,
        ):
            assert np.allclose(here.read(), there.read(), atol=1e-6)
    assert names(tmp_path / "0") == names(tmp_path / "1")
