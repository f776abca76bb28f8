"""The report as the page and the command line give it: name, rights, somebody's scores."""

import dataclasses

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from evaluation.metrics import METRICS
from evaluation.score import Score, unavailable
from ldsr.__main__ import main
from ldsr.report.scores import NOT_SCORED
from ldsr.result import SuperResolution
from ldsr.web.evaluate.evaluations import Evaluation, compared
from ldsr.web.evaluate.flows import WALD_RESULT
from ldsr.web.files import GONE
from ldsr.web.pictures import Shown
from ldsr.web.report import report_routes, scores_of
from ldsr.web.resolve.views import viewer_value
from ldsr.web.studio import Studio
from tests.fakes import FakePipeline
from tests.rasters import make_dn, write_tif
from tests.test_result_report import Read, placed, result_of


@pytest.fixture
def client(monkeypatch) -> TestClient:
    monkeypatch.setattr("ldsr.web.studio.list_samples", tuple)
    studio = Studio(FakePipeline())
    client = TestClient(Starlette(routes=report_routes(studio)))
    client.studio = studio
    return client


def evaluation_of(shown: Shown, key: str) -> Evaluation:
    methods = compared(shown.result)
    numbers = dict(zip(methods, (30.0, 31.0, 32.0), strict=False))
    scores = {
        name: (
            Score(metric=METRICS["psnr"], value=numbers[name]),
            unavailable(METRICS["lpips"], "Its weights are not here.", "Fetch them."),
        )
        for name in methods
    }
    return Evaluation(
        truth="wald",
        shown=key,
        name="S2A_31UDQ",
        stem="S2A_31UDQ",
        lr=shown.patch,
        methods=methods,
        references={"as given": shown.result.sr},
        remark=WALD_RESULT,
        sheet=shown.result.run_sheet(),
        line="",
        scores={"as given": scores},
    )


def test_the_page_gives_it_as_a_file_with_a_name_and_no_rights(client):
    shown = Shown(placed(), result_of())
    key = client.studio.keep(shown)
    page, _ = client.studio.hand_over(key, shown, None)
    address = viewer_value(key, shown, page=(page, client.studio.page_times(page)))["links"]
    answer = client.get(f"/{address['report']}")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    name = "S2A_31UDQ_2024-06-01_report.html"
    assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "CPU, " in answer.text and NOT_SCORED in answer.text
    assert client.get(f"/ldsr/r/{key}/report/other.html").status_code == 404
    assert client.get(f"/ldsr/r/unknown/report/{name}").text == GONE
    dated = placed(name="S2A_20240601_T31")
    assert Shown(dated).report_name == "S2A_20240601_T31_report.html", "a date once"
    foul = placed(name='a"b\r\n/c', acquired=None)
    assert Shown(foul).report_name == "c_report.html"
    assert "report" not in (viewer_value(key, Shown(placed()))["links"] or {})


def test_scores_go_to_whoever_had_them_computed_and_stay_when_samples_are_drawn(client):
    studio = client.studio
    shown = Shown(placed(), result_of())
    key = studio.keep(shown)
    mine, times = studio.hand_over(key, shown, None)
    theirs, _ = studio.hand_over(key, shown, None)
    times.evaluation = studio.store.put(evaluation_of(shown, key), 1)
    address = f"/ldsr/r/{key}/report/{shown.report_name}?page="
    told = client.get(address + mine).text
    for said in ("Wald&#x27;s protocol", "32.00 dB", "30.00 dB", "LPIPS", "not computed"):
        assert said in told, said
    assert NOT_SCORED not in told and NOT_SCORED in client.get(address + theirs).text
    assert NOT_SCORED in client.get(address + "nobody").text

    sampled = shown.sampled(result_of_samples(shown), ())
    later = studio.keep(sampled)
    page, times = studio.hand_over(later, sampled, mine)
    again = client.get(f"/ldsr/r/{later}/report/{sampled.report_name}?page={page}").text
    assert "32.00 dB" in again and "samples drawn" in again
    other = Shown(placed(), result_of(seed=9))
    new = studio.keep(other)
    page, _ = studio.hand_over(new, other, page)
    assert NOT_SCORED in client.get(f"/ldsr/r/{new}/report/{other.report_name}?page={page}").text


def result_of_samples(shown: Shown) -> SuperResolution:
    return FakePipeline().sample(shown.result, 2, lambda step: None)


def test_scores_without_a_truth_are_one_table():
    shown = Shown(placed(), result_of())
    judged = evaluation_of(shown, "key")
    scores = {
        name: (Score(metric=METRICS["input_reflectance"], value=1e-5),) for name in judged.methods
    }
    bare = dataclasses.replace(judged, truth="none", references={}, remark="", scores={"": scores})
    found = scores_of(bare)
    assert list(found.tables) == [""] and found.truth == "No reference" and not found.absent
    assert found.columns == ["Bicubic", "Base", "Refined"]


def test_the_command_line_writes_it(tmp_path, capsys):
    path = write_tif(tmp_path / "my field.tif", make_dn(), scale=(1e-4, 0.0))
    out = tmp_path / "out"
    wish = ["--base", "bicubic", "--no-refine", "--report"]
    assert main(["run", str(path), "--out", str(out), *wish]) == 0
    text = Read((out / "my field_report.html").read_text(encoding="utf-8")).text
    assert "my field.tif" in text and "nothing was generated" in text and "CPU, " in text
    assert main(["run", str(path), "--out", str(tmp_path / "other"), *wish[:-1]]) == 0
    assert not list((tmp_path / "other").glob("*.html")), "asked for, or not made"
