"""Settings check themselves and survive a round trip."""

import pytest

from ldsr.errors import LdsrError
from ldsr.settings import PRESETS, Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 1001},
        {"steps": 2.0},
        {"steps": True},
        {"eta": -0.1},
        {"eta": 1.1},
        {"eta": float("nan")},
        {"seed": -1},
        {"seed": 2**32},
        {"sampler": "euler"},
        {"base": "magic"},
        {"consistency": "no"},
        {"eta": "0"},
        {"temperature": 1.5},
    ],
)
def test_wrong_values_are_refused_in_one_sentence(wrong: dict) -> None:
    with pytest.raises(LdsrError) as error:
        Settings(**wrong)
    name = next(iter(wrong))
    assert name in str(error.value) and "expected" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings", [Settings(), *PRESETS.values(), Settings(steps=1000, eta=1, seed=7)]
)
def test_json_round_trip(settings: Settings) -> None:
    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize("text", ["", "[]", '{"magic": 1}', '{"steps": 0}', "{"])
def test_bad_json_is_refused(text: str) -> None:
    with pytest.raises(LdsrError):
        Settings.from_json(text)


def test_presets_grow_in_steps() -> None:
    steps = [PRESETS[name].steps for name in ("fast", "balanced", "best")]
    assert steps == sorted(set(steps))
