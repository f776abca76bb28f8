"""What a person does on the page, for the browser tests."""

from pathlib import Path

BEYOND = """width => {
  const holds = box => box !== document.body && !box.matches('html, gradio-app, .gradio-container')
    && getComputedStyle(box).overflowX !== 'visible'
    && box.getBoundingClientRect().right <= width + 1
  const held = box => { for (let at = box.parentElement; at; at = at.parentElement)
    if (holds(at)) return true
    return false }
  return [...document.body.querySelectorAll('*')]
    .filter(box => box.checkVisibility({visibilityProperty: true, contentVisibilityAuto: true}))
    .filter(box => box.getBoundingClientRect().right > width + 1 && !held(box))
    .map(box => `${box.tagName.toLowerCase()}.${box.getAttribute('class') || box.id}`) }"""
"""Parts of the page that end beyond the right edge of the window, and would be cut off."""
RESULT = ".viewer[data-mode=result] [data-at=right] img.is-there[src*='ldsr/r/']"


def wait_result(page) -> None:
    """Wait until a run has ended well and its picture is on the screen."""
    page.wait_for_selector(RESULT)
    page.wait_for_selector("#run:not([disabled])")


def run(page) -> None:
    page.click("#run:not([disabled])")
    page.wait_for_selector(".viewer[data-mode=busy]")
    wait_result(page)


def type_number(page, knob: str, value: object) -> None:
    field = page.locator(f"#{knob} input[type=number]")
    field.fill(str(value))
    field.press("Tab")


def status(page) -> str:
    return page.inner_text(".status-text")


def wait_status(page, text: str) -> None:
    page.wait_for_function(
        "text => document.querySelector('.status-text').textContent.includes(text)", arg=text
    )


def tab(page, name: str) -> None:
    """Open one of the tabs Samples, Map, Upload."""
    page.click(f"#inputs button[role=tab]:has-text('{name}')")


def upload(page, *paths: Path) -> None:
    tab(page, "Upload")
    page.set_input_files("#upload input[type=file]", [str(path) for path in paths])


def source(page, pane: str) -> str:
    """Address of a picture, "" where it is not there."""
    return page.get_attribute(f"[data-pane={pane}] > img:first-child", "src") or ""


def shown(page) -> str:
    """Address of the right-hand picture."""
    return page.get_attribute("[data-at=right] > img:first-child", "src")


def at(page, pane: str) -> str:
    """Where a picture is: "left", "right", "alone" or "off"."""
    return page.get_attribute(f"[data-pane={pane}]", "data-at")


def beyond(page, *, width: int = 390) -> list[str]:
    """What is wider than the window: the page itself, or parts that are not in a box that scrolls.

    Args:
        page: the page, on a phone.
        width: of the phone, in pixels.
    """
    wide = page.evaluate("document.documentElement.scrollWidth")
    return [f"the page: {wide} px"] * (wide > width) + page.evaluate(BEYOND, width)


def choose(page, group: str, value: str) -> None:
    page.check(f"input[name=ldsr-{group}][value={value}]", force=True)
