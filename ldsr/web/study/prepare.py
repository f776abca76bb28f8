"""Making a study's pictures, in the background: run after run in the studio's line of jobs.

One study at a time is prepared on a server; what others run comes in between. Knows nothing of
Gradio.
"""

import dataclasses
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.study.pictures import Ground, cut_pieces, make_ground
from evaluation.study.records import CAMERA, Place
from evaluation.study.store import StudyStore
from ldsr import render
from ldsr.data.samples import list_samples, load_sample
from ldsr.errors import LdsrError
from ldsr.result import SuperResolution
from ldsr.settings import Settings
from ldsr.web.ledger import fault
from ldsr.web.said import public
from ldsr.web.session import Cancelled
from ldsr.web.studio import Studio

METHODS = {
    "bicubic": "Bicubic",
    "regression": "Regression",
    "base": "Base (latent diffusion)",
    "refined": "Refined",
}
"""What can be compared, with its name on the page; the last one chosen is shown in catch trials."""
KIND_WORDS = {"camera": "Against the camera", "models": "Model against model"}
NOTES = {
    "camera": "The camera's picture is the 10 m picture; the model drew it from 40 m: the 10 m "
    "picture through Sentinel-2's point spread function, four times as wide.",
    "models": "Each model drew 2.5 m from the same 10 m picture. There is no true picture.",
}
POLL = 0.1

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Wish:
    """A study that somebody wants; `check_wish` says whether it can be made."""

    kind: str
    methods: tuple[str, ...]
    exposure: float
    seed: int


def offered(studio: Studio) -> tuple[str, ...]:
    """List those of METHODS that this server can make."""
    there = {"bicubic": True, "regression": "regression" in studio.bases, "base": True}
    return tuple(name for name in METHODS if there.get(name, studio.can_refine))


def check_wish(studio: Studio, wish: Wish) -> None:
    """Refuse what cannot be made.

    Raises:
        LdsrError: a value out of its range.
    """
    if wish.kind not in KIND_WORDS:
        raise LdsrError("Choose what is compared: a camera and models, or models.")
    if set(wish.methods) - set(offered(studio)):
        raise LdsrError("One of the methods is not on this server; reload the page.")
    if len(wish.methods) < 1 + (wish.kind == "models"):
        least = "two methods" if wish.kind == "models" else "one method"
        raise LdsrError(f"Choose at least {least}.")
    if not 0.5 <= wish.exposure <= 30:
        raise LdsrError("A pair is shown for 0.5 to 30 seconds.")
    dataclasses.replace(studio.preset(), seed=wish.seed)


class Preparer:
    """Prepares one study at a time, in a thread of its own."""

    def __init__(self, studio: Studio, store: StudyStore) -> None:
        self._studio, self._store = studio, store
        self._lock = threading.Lock()
        self._ticket = ""
        self._stop = threading.Event()
        self._state: dict[str, Any] = {"state": "idle", "text": "", "share": None, "study": None}

    def look(self) -> dict[str, Any]:
        """Say how it goes: state "idle", "busy", "done" or "error", text, share, study."""
        return dict(self._state)

    def start(self, wish: Wish) -> str:
        """Begin to prepare a study.

        Returns:
            A ticket to cancel it with.

        Raises:
            LdsrError: a wish that cannot be made, or another study is being prepared.
        """
        check_wish(self._studio, wish)
        with self._lock:
            if self._state["state"] == "busy":
                raise LdsrError("Another study is being prepared; please wait until it is there.")
            self._ticket, self._stop = secrets.token_urlsafe(12), threading.Event()
            self._say("busy", "Beginning …", 0.0)
        threading.Thread(target=self._work, args=[wish], name="ldsr-study", daemon=True).start()
        return self._ticket

    def cancel(self, ticket: str) -> None:
        """Stop preparing; needs the ticket of whoever began.

        Raises:
            LdsrError: somebody else's.
        """
        if not secrets.compare_digest(ticket.encode(), self._ticket.encode()):
            raise LdsrError("Only who began to prepare a study can stop it.")
        self._stop.set()

    def _say(
        self, state: str, text: str, share: float | None = None, study: str | None = None
    ) -> None:
        self._state = {"state": state, "text": text, "share": share, "study": study}

    def _work(self, wish: Wish) -> None:
        draft = None
        began = time.monotonic()
        try:
            draft = self._store.begin()
            key = self._make(wish, draft)
            took = time.monotonic() - began
            self._say("done", f"The study is ready; it took {took:.0f} s.", study=key)
        except Cancelled:
            self._say("idle", "Cancelled; nothing was kept.")
        except LdsrError as error:
            self._say("error", public(error))
        except Exception:
            sentence = "The study could not be prepared; the server's log tells more."
            self._say("error", fault(_log, "a study could not be prepared", sentence))
        finally:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)

    def _make(self, wish: Wish, draft: Path) -> str:
        samples = list_samples()
        good = CAMERA if wish.kind == "camera" else wish.methods[-1]
        runs = self._runs(wish)
        places: list[Place] = []
        for i, sample in enumerate(samples):
            patch = load_sample(sample.key)
            ground = make_ground(patch, wish.kind, name=sample.name)
            made = self._draw(wish, ground, runs, (i, len(samples)))
            for name, pictures in cut_pieces(ground, wish.kind, made, good=good):
                files = {method: f"{len(places):03d}-{method}.png" for method in pictures}
                for method, picture in pictures.items():
                    (draft / files[method]).write_bytes(picture)
                places.append(Place(name, files))
        pipeline = self._studio.pipeline
        day = time.strftime("%d %b %Y, %H:%M", time.localtime())
        study = self._store.add(
            draft,
            places,
            title=f"{KIND_WORDS[wish.kind]}, {day}",
            kind=wish.kind,
            methods=wish.methods,
            exposure=wish.exposure,
            good=good,
            about={
                "weights": f"{pipeline.name} {pipeline.sha256[:12]}",
                "seed": str(wish.seed),
                "settings": dataclasses.replace(self._studio.preset(), seed=wish.seed).to_json(),
            },
        )
        return study.id

    def _runs(self, wish: Wish) -> list[Settings]:
        """The runs that a place needs: one gives the base and the refined picture."""
        preset = dataclasses.replace(self._studio.preset(), seed=wish.seed)
        runs = []
        if "refined" in wish.methods or "base" in wish.methods:
            runs.append(dataclasses.replace(preset, refine="refined" in wish.methods))
        if "regression" in wish.methods:
            runs.append(dataclasses.replace(preset, base="regression", refine=False))
        return runs

    def _draw(
        self, wish: Wish, ground: Ground, runs: Sequence[Settings], place: tuple[int, int]
    ) -> dict[str, np.ndarray]:
        made = {"bicubic": render.upsample(ground.lr)}
        for j, settings in enumerate(runs):
            share = (place[0] + j / len(runs)) / place[1]
            result = self._run(
                ground, settings, f"{ground.name} ({place[0] + 1} of {place[1]})", share
            )
            if settings.base == "regression":
                made["regression"] = result.base.reflectance
            else:
                made |= {"base": result.base.reflectance, "refined": result.sr.reflectance}
        if self._stop.is_set():
            raise Cancelled
        return {method: made[method] for method in wish.methods}

    def _run(self, ground: Ground, settings: Settings, where: str, share: float) -> SuperResolution:
        visitor = f"study {self._ticket}"
        key, job = self._studio.start(visitor, ground.lr, settings)
        try:
            while not job.ended:
                if self._stop.wait(POLL):
                    raise Cancelled
                before = f"; {job.place} before it in line" if job.place else ""
                self._say("busy", f"Drawing {where}{before}", share)
        finally:
            self._studio.finish(key, visitor)
        if job.result is None:
            raise LdsrError(job.message or "A run was stopped; prepare the study again.")
        return job.result
