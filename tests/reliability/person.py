"""A little person before the page, in a browser of their own: runs, cancels, leaves, errs.

Says what came of each wish; knows nothing of the server but its address.
"""

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Error, Page, TimeoutError

from tests.browser.conftest import LEFT_BEHIND
from tests.reliability.tally import Tally, plain

RUN, CANCEL, LEAVE, ERR = "run", "cancel", "leave", "err"
SHARES = {RUN: 10, CANCEL: 4, LEAVE: 3, ERR: 3}
"""What a person does, and how often."""
RESULT = ".viewer[data-mode=result] [data-at=right] img.is-there[src*='ldsr/r/']"
SAMPLES = 6
POLL = 400
"""Milliseconds between two looks at a page."""
WATCH = """
(() => {
  const seen = (window.ldsrSeen = []);
  let asked = false;
  const note = () => {
    const box = document.querySelector("#status .status");
    if (!box) return;
    const { state } = box.dataset, text = box.querySelector(".status-text").textContent;
    const last = seen.findLast((one) => one.state);
    if (!asked && last && last.state === state && last.text === text) return;
    asked = false; // the same sentence again is an answer, too
    seen.push({ state, text, at: Date.now() });
  };
  const watcher = new MutationObserver(note);
  const begin = () => {
    const box = document.querySelector("#status");
    if (!box) return setTimeout(begin, 50);
    // the state is set at each word of ours; other attributes are Gradio's own
    watcher.observe(box, { subtree: true, attributeFilter: ["data-state"] });
    note();
  };
  addEventListener("DOMContentLoaded", begin);
  addEventListener("click", (event) => {
    const button = event.target.closest("#run, #cancel");
    if (!button) return;
    seen.push({ click: button.id, at: Date.now() });
    asked = button.id === "run";
  }, true);
})();
"""
"""Writes down all that the status line says, and when Run and Cancel are clicked."""
ENDED = """
(from) => window.ldsrSeen && window.ldsrSeen.slice(from)
  .find((one) => ["done", "error", "idle", "ask"].includes(one.state)) || false
"""
INPUT = "[data-pane=input] > img:first-child"
COMPUTED = """
(from) => {
  const said = window.ldsrSeen.slice(from).filter((one) => one.state);
  return said.some((one) => one.state !== "busy" || !/line|Starting/.test(one.text)) && said.at(-1);
}
"""
"""Whether a run has left the line, or has ended."""
TAKEN = """
([from, before, input]) => {
  const wrong = window.ldsrSeen.slice(from).find((one) => ["error", "ask"].includes(one.state));
  const image = document.querySelector(input);
  return wrong || (image && image.getAttribute("src") !== before && { state: "idle", text: "" });
}
"""
"""Whether another input is on the screen, or a sentence says why not."""
BUSY = """
(from) => window.ldsrSeen && window.ldsrSeen.slice(from).find((one) => one.state) || false
"""


class Person:
    """Somebody with a browser.

    Args:
        context: their browser.
        url: of the page.
        tally: where they write down what came of what they asked for.
        name: of theirs, for what is lost.
        files: a patch to upload, and files that are none.
        limit: seconds after which an answer is lost.
        slow: seed that holds a run until it is cancelled, where there is one.
        seed: of all they decide.
    """

    def __init__(
        self,
        context: BrowserContext,
        url: str,
        tally: Tally,
        *,
        name: str,
        files: tuple[Path, list[Path]],
        limit: float,
        slow: int | None = None,
        seed: int = 0,
    ) -> None:
        self._context, self._url, self._tally, self._name = context, url, tally, name
        self._patch, self._bad = files
        self._limit, self._slow = limit, slow
        self._random = random.Random(seed)
        self._page: Page | None = None

    async def live(self, end: float, wishes: int | None = None) -> None:
        """Do one thing after the other until a moment (`time.monotonic`), or so many of them."""
        done = 0
        while time.monotonic() < end and (wishes is None or done < wishes):
            wish = self._random.choices(list(SHARES), list(SHARES.values()))[0]
            if wishes is not None:  # few: each is done in its turn
                wish = list(SHARES)[done % len(SHARES)]
            done += 1
            try:
                if self._page is None:
                    await self._open()
                await getattr(self, f"_{wish}")()
            except TimeoutError as error:
                self._lose(wish, f"{str(error).splitlines()[0]} {await self._last_words()}")
                await self._close()
            except Error as error:
                self._tally.page_errors.append(f"{wish}: {str(error).splitlines()[0]}")
                await self._close()
            await asyncio.sleep(self._random.uniform(0.2, 2.0) if wishes is None else 0.1)
        await self._close()

    def _lose(self, wish: str, what: str) -> None:
        self._tally.lost.append(f"{self._name}, {wish}: {what}")

    async def _last_words(self) -> str:
        """What the page said last, for whoever looks for what was lost."""
        try:
            return json.dumps(await self._page.evaluate("window.ldsrSeen.slice(-6)"))
        except (Error, AttributeError):
            return ""

    async def _open(self) -> None:
        """Open the page, and wait until it is there with its first picture."""
        page = self._page = await self._context.new_page()
        page.set_default_timeout(1000 * self._limit)
        tally = self._tally
        tally.pages += 1

        def note(errors: list[str], text: str) -> None:
            if not any(known in text for known in LEFT_BEHIND):
                errors.append(text[:300])

        page.on("pageerror", lambda error: note(tally.page_errors, str(error)))
        page.on(
            "console",
            lambda line: (
                line.type == "error"
                and note(tally.console_errors, f"{line.text} {line.location.get('url', '')}")
            ),
        )
        await page.add_init_script(WATCH)
        await page.goto(self._url)
        await self._ready()

    async def _ready(self) -> None:
        """Wait until the page has its first picture."""
        await self._page.wait_for_selector(f"{INPUT}[src*='ldsr/r/']", state="attached")
        await self._page.wait_for_selector("#run:not([disabled])")

    async def _close(self) -> None:
        if self._page is not None:
            page, self._page = self._page, None
            await page.close()

    async def _wait(self, what: str, begun: Any) -> dict[str, Any]:
        found = await self._page.wait_for_function(what, arg=begun, polling=POLL)
        return await found.json_value()

    async def _choose(self) -> None:
        """Sometimes take another picture, always other numbers."""
        page, dice = self._page, self._random.random()
        if dice < 0.2:
            await self._upload(self._patch)
        elif dice < 0.5:
            # not the last one, which has more than six times the pixels of the others
            await page.click("#inputs button[role=tab]:has-text('Samples')")
            before = await self._before()
            which = page.locator("#samples input[type=radio]").nth(
                self._random.randrange(SAMPLES - 1)
            )
            if not await which.is_checked():
                await which.check(force=True)
                await self._wait(TAKEN, before)
        await page.check("#preset input[value=fast]", force=True)
        await self._type("seed", self._random.randrange(1000))

    async def _type(self, knob: str, value: object) -> None:
        field = self._page.locator(f"#{knob} input:not([type=range])")
        await field.fill(str(value))
        await field.press("Tab")

    async def _upload(self, path: Path) -> dict[str, Any]:
        """Upload a file under a name of its own, so that what is said of it is new."""
        page = self._page
        await page.click("#inputs button[role=tab]:has-text('Upload')")
        before = await self._before()
        name = f"{path.stem}_{self._random.randrange(10**6)}.tif"
        sent = {"name": name, "mimeType": "image/tiff", "buffer": path.read_bytes()}
        await page.set_input_files("#upload input[type=file]", files=[sent])
        said = await self._wait(TAKEN, before)
        if said["state"] == "error":
            self._tally.refused["upload", plain(said["text"])] += 1
        return said

    async def _before(self) -> list[Any]:
        """What `TAKEN` compares with."""
        return [await self._mark(), await self._page.get_attribute(INPUT, "src"), INPUT]

    async def _mark(self) -> int:
        """How much the status line has said until now."""
        return await self._page.evaluate("window.ldsrSeen.length")

    async def _begin(self) -> tuple[int, float]:
        """Press Run: what the line had said until then, and when that was."""
        begun = await self._mark()
        await self._page.click("#run:not([disabled])")
        self._tally.asked += 1
        return begun, time.monotonic()

    async def _run(self) -> None:
        await self._choose()
        begun, at = await self._begin()
        seen = await self._outcome(begun)
        if seen["state"] == "done":
            await self._page.wait_for_selector(RESULT)
            self._tally.finished += 1
            self._tally.waits.append(time.monotonic() - at)

    async def _outcome(self, begun: int) -> dict[str, Any]:
        """Wait for the last word of a run; count it unless it is a result."""
        seen = await self._wait(ENDED, begun)
        if seen["state"] == "error":
            self._tally.refused["run", plain(seen["text"])] += 1
        elif seen["state"] == "idle":
            self._tally.cancelled += 1
        return seen

    async def _cancel(self) -> None:
        await self._choose()
        if self._slow is not None:
            await self._type("seed", self._slow)
        begun, _ = await self._begin()
        first = await self._wait(BUSY, begun)
        if first["state"] == "busy":
            if self._random.random() < 0.6:
                await self._wait(COMPUTED, begun)
            elif self._slow is None:
                await asyncio.sleep(self._random.uniform(0, 4))
            await self._press_cancel(begun)
        if (await self._outcome(begun))["state"] == "done":
            self._tally.finished += 1  # it was faster than the finger

    async def _press_cancel(self, begun: int) -> None:
        try:
            await self._page.click("#cancel:not([disabled])", timeout=3000)
        except TimeoutError:
            return  # it has ended
        said = await self._page.evaluate("from => window.ldsrSeen.slice(from)", begun)
        clicks = [i for i, one in enumerate(said) if one.get("click") == "cancel"]
        before = [one["text"] for one in said[: clicks[-1]] if "text" in one] if clicks else []
        if before and "in line" not in before[-1]:
            self._tally.cancels.append(said[clicks[-1]]["at"] / 1000)

    async def _leave(self) -> None:
        """Go away in the middle of a run, and come back."""
        await self._choose()
        if self._slow is not None:
            await self._type("seed", self._slow)
        begun, _ = await self._begin()
        await self._wait(BUSY, begun)
        await asyncio.sleep(self._random.uniform(0, 3) if self._slow is None else 0.2)
        self._tally.left += 1
        if self._random.random() < 0.5:
            await self._page.reload()
            self._tally.pages += 1
            await self._ready()
        else:
            await self._close()
            await self._open()

    async def _err(self) -> None:
        """Ask for what cannot be had: a sentence must come back."""
        dice = self._random.random()
        if dice < 0.4:
            said = await self._upload(self._random.choice(self._bad))
            if said["state"] != "error":
                self._lose(ERR, f"a file that is none was taken: {said['text']}")
        elif dice < 0.7:
            await self._choose()
            await self._type(
                "steps", self._random.choice((-1, 1)) * self._random.randrange(2000, 10**6)
            )
            begun, _ = await self._begin()
            if (await self._outcome(begun))["state"] == "done":
                self._tally.finished += 1
                self._lose(ERR, "a number of steps that there is not was taken")
            await self._page.check("#preset input[value=fast]", force=True)
        else:
            gone = await self._context.request.get(f"{self._url}ldsr/r/{'x' * 22}/sr.tif")
            text = (await gone.text()).strip()
            if gone.status == 404 and text.endswith("."):
                self._tally.refused["address", plain(text)] += 1
            else:
                self._lose(ERR, f"a result that is gone: {gone.status} {text[:80]!r}")
