"""What may come in by the page: how much at a time, how many pixels, and nothing that leads on."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from ldsr.errors import LdsrError, SceneError
from ldsr.web.hosting.upload_limit import FRAME, PLAIN, UploadLimit
from ldsr.web.resolve import flows
from ldsr.web.scenes import offer as scene_offer
from ldsr.web.scenes.offer import offer_upload
from tests.fakes import make_named_patch, one_sample_studio
from tests.rasters import make_dn, write_tif
from tests.reliability import seeds
from tests.reliability.canary import Canary, canary

MOST = 1000


@pytest.fixture
def bird(tmp_path) -> Iterator[Canary]:
    with canary(tmp_path / "canary") as found:
        yield found


def sent(path: str, body: list[bytes], *, stated: int | None = None) -> tuple[int, int]:
    """Send a request through the limit: the status of its answer, and bytes that arrived."""
    arrived, answers = 0, []

    async def inside(scope, receive, send) -> None:
        nonlocal arrived
        while (message := await receive())["type"] == "http.request":
            arrived += len(message["body"])
            if not message["more_body"]:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                return

    async def receive():
        return {"type": "http.request", "body": body.pop(0), "more_body": bool(body)}

    async def send(message) -> None:
        answers.append(message)

    length = [] if stated is None else [(b"content-length", str(stated).encode())]
    scope = {"type": "http", "method": "POST", "path": path, "headers": length}
    asyncio.run(UploadLimit(inside, MOST)(scope, receive, send))
    return answers[0]["status"] if answers else 0, arrived


def test_an_upload_within_the_limit_passes() -> None:
    assert sent("/gradio_api/upload", [b"a" * MOST], stated=MOST) == (200, MOST)
    assert sent("/studio/gradio_api/upload", [b"a" * MOST] * 3) == (200, 3 * MOST)


def test_one_that_says_it_is_larger_is_refused_unread() -> None:
    assert sent("/gradio_api/upload", [b"a"], stated=MOST + FRAME + 1) == (413, 0)
    assert sent("/gradio_api/queue/join", [b"a"], stated=PLAIN + 1) == (413, 0)
    assert sent("/gradio_api/upload", [b"a"], stated="-5") == (413, 0)


def test_one_that_turns_out_to_be_larger_is_cut_off() -> None:
    status, arrived = sent("/gradio_api/upload", [b"a" * FRAME] * 9)
    assert status == 0 and arrived <= MOST + FRAME
    status, arrived = sent("/gradio_api/queue/join", [b"a" * FRAME] * 99, stated=5)
    assert status == 0 and arrived <= PLAIN


def test_an_item_that_was_uploaded_leads_nowhere(bird, tmp_path, monkeypatch) -> None:
    """A STAC item is for the command line: the server fetches nothing that a stranger names."""
    document = json.loads(json.dumps(seeds.item()))
    for asset in document["assets"].values():
        asset["href"] = f"{bird.url}/a.tif"
    path = tmp_path / "item.json"
    path.write_text(json.dumps(document))
    assert offer_upload([str(path)], {}) is None
    studio = one_sample_studio(monkeypatch, make_named_patch())
    line = flows.read_upload(studio, dict(flows.EMPTY), {"paths": [str(path)], "answers": {}})[2]
    assert line["state"] == "error" and "not a picture of a known format" in line["text"]
    assert not bird.asked


def test_an_upload_of_too_many_pixels_is_not_offered(tmp_path, monkeypatch) -> None:
    path = write_tif(tmp_path / "a.tif", make_dn(20, 1100))
    assert offer_upload([str(path)], {}).size == (20, 1100)
    monkeypatch.setattr(scene_offer, "MAX_PIXELS", 20 * 1100 - 1)
    with pytest.raises(SceneError, match="million pixels"):
        offer_upload([str(path)], {})


def test_a_reference_has_most_pixels(tmp_path) -> None:
    from ldsr.data.fine import read_fine

    with pytest.raises(LdsrError, match="expected 64 to 4096 a side"):
        read_fine(write_tif(tmp_path / "a.tif", make_dn(64, 4097)))
