"""The report of one result: what it says, that it needs nothing else and trusts no text."""

import base64
import dataclasses
import io
import json
import math
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from ldsr import __version__
from ldsr.data.patch import Patch, Source
from ldsr.data.samples import load_sample
from ldsr.errors import LdsrError
from ldsr.report.about import About, Row, Scores
from ldsr.report.ground import distance, find_ground
from ldsr.report.page import POLICY, to_html
from ldsr.report.passages import UNKNOWN_LICENCE, free_share
from ldsr.report.pictures import BYTES, CROP_SIDE, choose_crop, draw, to_webp
from ldsr.report.scores import NOT_SCORED
from ldsr.result import SuperResolution
from ldsr.settings import Settings
from ldsr.words import NO_PLACE
from tests.fakes import PLACE, FakePipeline

FOUL = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{7*7}}\u202e"


def placed(side: int = 48, **source) -> Patch:
    values = np.random.default_rng(0).uniform(0.02, 0.4, (4, side, side)).astype(np.float32)
    acquired = datetime(2024, 6, 1, 10, 30, tzinfo=UTC)
    return Patch(
        reflectance=values,
        valid=np.ones((side, side), bool),
        crs=CRS.from_epsg(32631),
        transform=from_origin(450000, 5410000, 10, 10),
        source=Source(**{"kind": "scene", "name": "S2A_31UDQ", "acquired": acquired} | source),
    )


def plain(**source) -> Patch:
    """A picture without a place."""
    return dataclasses.replace(placed(24, **source), crs=None, transform=None)


def result_of(patch: Patch | None = None, *, samples: int = 0, **settings) -> SuperResolution:
    pipeline, wish = FakePipeline(), Settings(**{"steps": 3, "refine_steps": 2} | settings)
    result = pipeline(patch or placed(), wish, lambda step: None)
    return pipeline.sample(result, samples, lambda step: None) if samples else result


class Read(HTMLParser):
    """The text of a page, its headings, pictures, and everything a browser would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.fetched, self.headings, self.images = "", [], [], [], []
        self.ids: list[str] = []
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._inside = tag
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append([int(tag[1]), ""])
        if tag == "img":
            self.images.append(dict(attrs))
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "srcset", "data", "poster", "action", "xlink:href"):
                self.fetched.append(value)
            self.fetched += re.findall(r"url\(([^)]*)\)", value or "")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "style":
            self.fetched += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", data)
            return
        self.text += data
        if self.headings and re.fullmatch("h[1-6]|bdi", self._inside):
            self.headings[-1][1] += data


def read(result: SuperResolution, about: About | None = None) -> Read:
    return Read(to_html(result, about))


def pictures(found: Read) -> list[Image.Image]:
    encoded = [image["src"].partition(",")[2] for image in found.images]
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in encoded]


def test_it_says_what_was_made_of_what_and_where_not_to_believe_it():
    made = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
    found = read(result_of(samples=4, seed=5), About(machine="CPU, 2 threads", made=made))
    for fact in (
        "S2A_31UDQ",
        "2024-06-01 10:30 UTC",
        "EPSG:32631",
        "A Sentinel-2 picture of 480 m × 480 m on the ground",
        "48 × 48 pixels of 10 m became 192 × 192 of 2.5 m",
        "It is no photograph with pixels of 2.5 m.",
        "no evidence that a single small object exists",
        "Seen again at 10 m, the result differs from the input by 0.00004 in reflectance (RMSE), "
        "0.0123 before",
        "Refined is not more exact",
        "another seed gives another picture",
        "latent diffusion; DDIM, 3 steps, eta 0, temperature 0.8",
        "DDIM, 2 steps, strength 0.3, detail at most 0.9",
        "Sentinel-2's point spread function",
        "mini-v1.safetensors, licence Apache-2.0, SHA-256 " + "ab" * 32,
        "forest 60%, water 40% (spectral rules)",
        "1.5 s (base 1.0 s, refinement 0.4 s)",
        "CPU, 2 threads",
        f"LDSR Studio {__version__}",
        "Contains modified Copernicus Sentinel data 2024.",
        "Donike et al. 2025",
        "Sui et al. 2024",
        "Sung et al. 2025",
        "Song et al. 2021",
        "4 of 4 samples drawn. The intervals are calibrated for balanced.",
        "4 samples, 1 place to check",
        PLACE.text,
        NOT_SCORED,
        "2026-11-22 08:15 UTC",
        '"seed": 5',
    ):
        assert fact in found.text, fact
    sheet = found.text[found.text.index('{\n  "settings"') : found.text.rindex("}") + 1]
    assert json.loads(sheet) == result_of(samples=4, seed=5).run_sheet(), "the whole run sheet"


def test_it_needs_nothing_else_and_can_be_read_by_all():
    page = to_html(result_of(samples=2))
    found = Read(page)
    assert "script" not in found.tags and "link" not in found.tags and "iframe" not in found.tags
    assert found.fetched and all(one.startswith("data:image/webp;base64,") for one in found.fetched)
    assert not re.findall(r"https?://", re.sub(r"base64,[\w+/=]+", "", page))
    assert f'content="{POLICY}"'.replace("'", "&#x27;") in page, "it forbids itself all requests"
    assert '<html lang="en">' in page and found.tags.count("main") == 1
    assert found.tags.count("h1") == 1
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), found.headings
    assert all(len(image["alt"]) > 10 for image in found.images)
    assert "prefers-color-scheme: dark" in page and "@page { size: A4" in page


def test_the_pictures_are_those_of_the_result_at_equal_size_and_stretch():
    found = read(result_of())
    drawn = pictures(found)
    alts = [image["alt"] for image in found.images]
    assert [alt.partition(":")[0] for alt in alts[:8]] == 2 * [
        "Input", "Input, bicubic", "Base", "Refined",
    ]  # fmt: skip
    assert alts[8].startswith("Map of generated detail") and len(alts) == 10
    assert {picture.size for picture in drawn[:4]} == {(192, 192)}
    assert {picture.size for picture in drawn[4:8]} == {(512, 512)}
    means = [np.asarray(picture).mean() for picture in drawn[:4]]
    assert abs(means[0] - means[1]) < 4, "the input twice"
    assert means[1] + 2 < means[2] < means[3] - 0.5, "base is brighter, refined brighter still"
    nearest = np.asarray(drawn[0])
    assert (nearest[::4, ::4] == nearest[3::4, 3::4]).all(), "squares of the input's pixels"


def test_without_stage_two_nothing_is_said_of_it():
    found = read(result_of(base="regression", refine=False))
    alts = [image["alt"] for image in found.images]
    assert not any("Refined" in alt or "generated detail" in alt for alt in alts)
    assert "There was no second stage" in found.text and "Refined is not" not in found.text
    assert "another seed gives another" not in found.text and "Sui et al." not in found.text
    assert "Nothing is drawn at random with base regression" in found.text, "why no samples"
    assert "Weightsnone took part" in found.text
    plain_text = read(result_of(base="bicubic", refine=False)).text
    assert "nothing was generated" in plain_text and "A roof" not in plain_text


def test_without_a_position_there_is_neither_scale_nor_north():
    page = to_html(result_of(plain()))
    found = Read(page)
    assert 'class="bar"' not in page and 'class="north"' not in page
    assert "On the groundnot known: no position" in found.text
    before_sheet = found.text.partition("Run sheet")[0]
    assert "24 × 24 pixels became 96 × 96." in before_sheet and "10 m" not in before_sheet
    scaled = read(result_of(dataclasses.replace(placed(24), crs=None))).text
    assert "24 × 24 pixels of 10 m became" in scaled, "a transform without a CRS has a pixel"
    placed_page = to_html(result_of())
    assert 'style="width:20.83%"' in placed_page and "<b>100 m</b>" in placed_page, "of 480 m"
    assert placed_page.count('class="north"') == len(Read(placed_page).images)


def test_how_much_was_generated_is_counted():
    result = result_of(detail_cap=0.9)
    detail = np.zeros(result.sr.size, np.float32)
    detail[:48] = 0.5  # a quarter of 192 rows
    result = dataclasses.replace(result, detail=detail)
    assert free_share(result) == 0.25
    text = read(result).text
    assert "In 25% of the picture stage 2 was free to invent half of a pixel or more" in text
    assert "0.12 is the mean" in text and "0.9 was the most allowed" in text
    assert "stage 2 changed the base by 0.0100 in reflectance" in text
    detail[:] = 0
    detail[0, 0] = 1
    text = read(dataclasses.replace(result, detail=detail)).text
    assert "In less than 1% of the picture" in text


def test_the_magnified_part_is_where_most_was_added_without_cloud_and_gaps():
    patch = placed(120)
    result = result_of(patch)
    added = np.zeros(result.sr.size, np.float32)
    added[4 * 80 : 4 * 90, 4 * 20 : 4 * 30] = 0.2
    crop = choose_crop(result, added)
    assert crop.side == CROP_SIDE and crop.clear
    assert crop.row <= 80 and crop.row + crop.side >= 90 and crop.col <= 20 <= 30 <= crop.col + 32
    assert math.isclose(crop.added, 0.2 * 100 / 32**2, rel_tol=1e-6)
    scl = np.full((120, 120), 4, np.uint8)
    scl[85, 25] = 9
    cloudy = dataclasses.replace(result, lr=dataclasses.replace(patch, scl=scl))
    crop = choose_crop(cloudy, added)
    inside = crop.row <= 85 < crop.row + crop.side and crop.col <= 25 < crop.col + crop.side
    assert crop.clear and not inside, "no square with cloud, as long as there is another"
    scl[:] = 9
    assert not choose_crop(cloudy, added).clear
    found = read(dataclasses.replace(result, lr=dataclasses.replace(patch, scl=scl)))
    assert "None is free of gaps and cloud." in found.text


def test_clouds_and_gaps_are_shown_and_warned_of():
    scl = np.full((48, 48), 4, np.uint8)
    scl[:24] = 9
    patch = placed()
    valid = patch.valid.copy()
    valid[:, :12] = False
    gappy = dataclasses.replace(patch, scl=scl, valid=valid, reflectance=patch.reflectance * valid)
    found = read(result_of(gappy))
    assert "50\u00a0% of this box is cloud" in found.text
    assert "75.0% of the pixels hold data" in found.text
    assert any("cloud 50%, no data 25.0%" in image["alt"] for image in found.images)
    assert "Clouds and gaps" not in read(result_of()).text
    result = result_of()
    blind = dataclasses.replace(result.sr, valid=np.zeros((192, 192), bool))
    with pytest.raises(LdsrError, match="No pixel"):
        to_html(dataclasses.replace(result, sr=blind))


def test_without_samples_it_says_how_to_get_them():
    found = read(result_of())
    assert "No further pictures were drawn" in found.text and "--samples 8" in found.text
    assert "Places to check" not in found.text
    sampled = result_of(samples=2, base="regression")
    nowhere = dataclasses.replace(sampled.uncertainty, places=())
    text = read(dataclasses.replace(sampled, uncertainty=nowhere)).text
    assert NO_PLACE in text and "The intervals are uncalibrated" in text


def test_numbers_of_close_places_stand_beside_each_other():
    sampled = result_of(samples=2)
    corners = [(0, 4), (20, 20), (22, 30), (34, 22), (150, 150)]  # in pixels of 192
    places = tuple(
        dataclasses.replace(PLACE, outline=((row, col), (row + 5, col), (row + 5, col + 5)))
        for row, col in corners
    )
    found = dataclasses.replace(sampled.uncertainty, places=places)
    page = to_html(dataclasses.replace(sampled, uncertainty=found))
    pin = r'class="pin (\w+)" style="left:([\d.]+)%;top:([\d.]+)%".*?>(\d)</span>'
    pins = re.findall(pin, page)
    assert [pin[0] for pin in pins[:2]] == ["below", "above"] and pins[4][0::3] == ("above", "5")
    ways = {"above": (0, -3.5), "below": (0, 3.5), "left": (-3.5, 0), "right": (3.5, 0)}
    middles = np.array([np.add([float(x), float(y)], ways[side]) for side, x, y, _ in pins])
    apart = np.abs(middles[:, None] - middles).max(-1) + 100 * np.eye(len(pins))
    assert apart.min() >= 6 and middles.min() >= 0


def test_an_unknown_licence_is_said_to_be_unknown():
    text = read(result_of(placed(kind="upload", name="field.tif", acquired=None))).text
    assert UNKNOWN_LICENCE in text and "Copernicus" not in text.partition("Run sheet")[0]
    assert "A satellite picture in four bands" in text and "date not known" in text
    told = read(result_of(placed(kind="upload", licence="CC BY 4.0"))).text
    assert "CC BY 4.0" in told and UNKNOWN_LICENCE not in told
    safe = placed(kind="upload", licence="Copernicus Sentinel data, free and open")
    assert "Contains modified Copernicus Sentinel data 2024." in read(result_of(safe)).text


def test_a_sample_names_its_makers():
    text = read(result_of(load_sample("finland_lake"))).text
    assert "BigEarthNet (Sumbul et al., 2019), TU Berlin." in text
    assert "CDLA-Permissive-1.0" in text and "North Karelia, Finland" in text
    assert "Taken fromBigEarthNet-S2 example patches" in text


def test_no_text_of_the_data_becomes_part_of_the_page():
    source = {"name": FOUL, "licence": FOUL, "radiometry": FOUL, "catalogue": FOUL}
    result = result_of(placed(kind="upload", baseline=FOUL, **source), samples=2)
    place = dataclasses.replace(PLACE, text=FOUL)
    result = dataclasses.replace(
        result,
        weights=FOUL,
        weights_files={FOUL: FOUL},
        tags={FOUL: 1.0},
        tags_source=FOUL,
        uncertainty=dataclasses.replace(
            result.uncertainty, places=(place,), calibration=None, uncalibrated=FOUL
        ),
    )
    row = Row(title=FOUL, better=FOUL, cells=[FOUL], best=[True], meaning=FOUL)
    scores = Scores(
        truth=FOUL,
        remark=FOUL,
        date=FOUL,
        columns=[FOUL],
        tables={FOUL: [row]},
        absent={FOUL: FOUL},
    )
    other = SimpleNamespace(other_tags={FOUL: 1.0}, mean=0.1, refinement=0.2, difference=None)
    page = to_html(result, About(name=FOUL, machine=FOUL, scores=scores, sensitivity=other))
    found = Read(page)
    assert "script" not in found.tags and page.count("<style>") == page.count("</style>") == 1
    assert all(image["src"].startswith("data:image/webp") for image in found.images)
    assert found.tags.count("title") == 1 and found.tags.count("img") == len(found.images) == 11
    assert found.text.count("<script>alert(1)</script>") >= 15, "shown as it is written"
    style = page[page.index("<style>") + 7 : page.index("</style>")]
    assert "alert\\28 1\\29 " in style and "<" not in style


def test_scores_are_those_that_were_computed():
    row = Row(
        title="PSNR",
        better="higher is better",
        cells=["30.1 dB", "31.2 dB"],
        best=[False, True],
        meaning="Sees.",
    )
    scores = Scores(
        truth="Wald's protocol",
        remark="40 m to 10 m.",
        date="2026-11-22",
        columns=["Bicubic", "Base"],
        tables={"As given": [row]},
        absent={"LPIPS": "Its weights are not here."},
    )
    page = to_html(result_of(), About(scores=scores))
    text = Read(page).text
    assert NOT_SCORED not in text and "<b>31.2 dB</b>" in page and "<td>30.1 dB</td>" in page
    assert "LPIPS not computed: Its weights are not here." in text
    assert "higher is better" in text


def test_tags_that_were_measured_are_told():
    found = SimpleNamespace(other_tags={"water": 1.0}, mean=0.002, refinement=0.01, difference=None)
    text = read(result_of(), About(sensitivity=found)).text
    assert "With water 100% in place of forest 60%, water 40%" in text
    assert "20% of what refinement changed" in text


def test_a_file_can_be_sent_by_mail():
    noise = result_of(placed(300), samples=2)
    assert len(to_html(noise)) < 4e6, "pure noise, the worst case"
    drawn = draw(noise)
    assert max(map(len, drawn.whole.values())) <= BYTES["picture"] and drawn.size == (1024, 1024)
    side = np.random.default_rng(1).integers(0, 255, (2000, 300, 3), np.uint8)
    assert len(to_webp(side, "crop", exact=True)) <= BYTES["crop"]


def test_pictures_that_are_not_square_keep_their_shape():
    patch = placed()
    wide = dataclasses.replace(patch, reflectance=patch.reflectance[:, :20], valid=patch.valid[:20])
    page = to_html(result_of(wide))
    assert 'style="--ratio:2.4000"' in page and "480 m × 200 m" in Read(page).text


@pytest.mark.parametrize(
    ("crs", "transform", "metres", "north"),
    [
        (32631, from_origin(450000, 5410000, 10, 10), (480, 480), 0.5),
        (4326, from_origin(15, 60, 1e-4, 1e-4), (266.9, 533.7), 0.0),
        (3857, from_origin(1_500_000, 8_400_000, 10, 10), (239, 239), 0.0),
        (32631, Affine(0, 10, 500000, 10, 0, 5410000), (480, 480), 90.0),
    ],
)
def test_scale_and_north_on_the_ground(crs, transform, metres, north):
    patch = dataclasses.replace(placed(), crs=CRS.from_epsg(crs), transform=transform)
    ground = find_ground(patch)
    assert (ground.width, ground.height) == pytest.approx(metres, rel=0.01)
    assert ground.north == pytest.approx(north, abs=0.1)
    share, text = ground.bar()
    assert 0.1 < share <= 0.3 + 1e-9 and text == distance(share * ground.width)
    assert find_ground(plain()) is None
