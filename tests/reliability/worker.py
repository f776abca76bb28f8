"""Reads files in a process of its own, whose memory is limited: `python -m ...worker CANARY`.

One line of JSON in, one out. Whoever started it looks at the clock.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ldsr.data.patch import MAX_SIDE, MIN_SIDE, Patch
from ldsr.data.reader import read_patch
from ldsr.data.whole import open_scene
from ldsr.errors import AmbiguousPatchError, LdsrError
from tests.reliability.canary import SECRET, leaked
from tests.reliability.crafted_others import ARMED

ROOM = 5 * 2**30
"""Bytes of address space that a reading may take beyond what the process has: so far above what
it may grow by that growing is seen."""
LONGEST = 400
BRIGHTEST = 1e6
WINDOW = 256


def main() -> int:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _limit()
    base = _status("VmRSS")
    for line in sys.stdin:
        asked = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5")
        began = time.monotonic()
        answer = _judged(asked)
        answer["seconds"] = time.monotonic() - began
        answer["grown"] = max(0, _status("VmHWM") - base)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    return 0


def _limit() -> None:
    most = _status("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _status(name: str) -> int:
    """Bytes, as the kernel counts them."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    return 0


def _judged(asked: dict[str, Any]) -> dict[str, Any]:
    """Read once, and say what came of it."""
    read = _read_patch if asked["door"] == "patch" else _read_scene
    answer: dict[str, Any] = {"result": "read", "message": "", "finding": ""}
    try:
        answer["finding"] = wrong_patch(_answered(read, asked["paths"]))
    except LdsrError as error:
        answer |= {"result": "refused", "message": str(error)}
        answer["finding"] = wrong_sentence(str(error), asked["hidden"])
    except BaseException as error:
        answer |= {"result": "fault", "finding": f"{type(error).__name__}: {error}"[:300]}
    if hasattr(json, ARMED):
        delattr(json, ARMED)
        answer["finding"] = "a pickle was loaded"
    return answer


def _answered(read: Any, paths: list[str]) -> Patch:
    """Read; questions are answered by the first choice."""
    answers: dict[str, str] = {}
    while True:
        try:
            return read(paths, answers)
        except AmbiguousPatchError as error:
            if error.question in answers or wrong_sentence(str(error), []):
                raise
            answers[error.question] = error.choices[0]


def _read_patch(paths: list[str], answers: dict[str, str]) -> Patch:
    return read_patch(paths[0] if len(paths) == 1 else paths, **answers)


def _read_scene(paths: list[str], answers: dict[str, str]) -> Patch:
    with open_scene(paths[0], most_pixels=2**28, **answers) as scene:
        rows, columns = scene.size
        return scene.read((0, 0, min(WINDOW, columns), min(WINDOW, rows)))


def wrong_sentence(text: str, hidden: list[str]) -> str:
    """Say what is wrong with a message to a person, "" for nothing."""
    if not text.endswith(".") or len(text) > LONGEST or not text.isprintable():
        return f"no sentence: {text[:300]!r}"
    if SECRET in text or any(path in text for path in hidden):
        return f"says too much: {text[:300]!r}"
    return ""


def wrong_patch(patch: Patch) -> str:
    """Say what is wrong with a patch that was read, "" for nothing."""
    reflectance, valid, source = patch.reflectance, patch.valid, patch.source
    high, wide = valid.shape
    if not (min(high, wide) >= 1 and max(high, wide) <= MAX_SIDE):
        return f"{wide} x {high} pixels, expected {MIN_SIDE} to {MAX_SIDE}"
    if not np.isfinite(reflectance).all() or np.abs(reflectance).max() > BRIGHTEST:
        return f"reflectance up to {np.abs(reflectance).max():g}"
    if reflectance[:, ~valid].any():
        return "numbers where there is no data"
    if patch.transform is not None and not np.isfinite(tuple(patch.transform)).all():
        return "a transform that is not finite"
    for text in (source.name, source.licence, source.baseline, source.radiometry):
        if text is not None and (not text.isprintable() or len(text) > LONGEST or SECRET in text):
            return f"an odd text in its source: {text[:100]!r}"
    return leaked(reflectance, valid)


if __name__ == "__main__":
    sys.exit(main())
