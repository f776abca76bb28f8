"""The About tab: what this is, what is invented, weights, data, licences, how to cite.

The text is assets/web/about.md: each of its sections folds. The model card is the file itself.
"""

import html
import re
from collections.abc import Iterable
from pathlib import Path

import gradio as gr

from ldsr import __version__
from ldsr.data.samples import Sample, list_samples
from ldsr.web.theme import asset

CARD = Path(__file__).resolve().parents[2] / "assets" / "weights" / "MODEL_CARD.md"
OPEN = ("What this is", "What is measured and what is invented")
"""Sections that are open at first."""
NO_CARD = "There is no model card here; it lies beside the weights, `assets/weights/MODEL_CARD.md`."
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ENTRY = re.compile(r'<pre><code class="language-bibtex">(.*?)</code></pre>', re.DOTALL)
_TITLE = re.compile(r"@\w+\{(\w+),")


def build_about(weights: str, sha256: str, licence: str) -> None:
    """Lay out the tab.

    Args:
        weights: name of the weights in use.
        sha256: their hash.
        licence: their licence.
    """
    gr.HTML(
        about_page(weights, sha256, licence),
        js_on_load=asset("about.js"),
        apply_default_css=False,
        elem_id="about",
    )


def about_page(weights: str, sha256: str, licence: str) -> str:
    """Write the tab as HTML; arguments as `build_about` takes them."""
    text = asset("about.md")
    known = {
        "WEIGHTS_NAME": weights,
        "WEIGHTS_SHA256": sha256,
        "WEIGHTS_SHORT": sha256[:12],
        "WEIGHTS_LICENCE": licence,
        "VERSION": __version__,
        "SAMPLES": sample_list(list_samples()),
        "MODEL_CARD": model_card(),
    }
    words = re.compile(rf"\b({'|'.join(known)})\b(?!\.md)")
    _, *parts = _SECTION.split(words.sub(lambda found: known[found[1]], text))
    return "".join(_section(*pair) for pair in zip(parts[::2], parts[1::2], strict=True))


def sample_list(samples: Iterable[Sample]) -> str:
    """List the bundled samples by what their makers ask for, in Markdown."""
    asked: dict[tuple[str, str], list[str]] = {}
    for one in samples:
        seen = f" ({one.date:%Y-%m-%d})" if one.date else ""
        asked.setdefault((one.licence, one.attribution), []).append(one.name + seen)
    return "\n".join(
        f'- **{licence}**: {"; ".join(names)}. Name as source: "{attribution}".'
        for (licence, attribution), names in asked.items()
    )


def model_card() -> str:
    """Read the card of the bundled weights, its headings below those of a section."""
    if not CARD.is_file():
        return NO_CARD
    return re.sub(r"^(#+) ", r"##\1 ", CARD.read_text(encoding="utf-8"), flags=re.MULTILINE)


def _section(title: str, text: str) -> str:
    key = re.sub(r"\W+", "-", title.lower())
    opened = " open" if title in OPEN else ""
    return (
        f'<details class="about-part" id="about-{key}"{opened}><summary><h2>{html.escape(title)}'
        f'</h2></summary><div class="about-text">{_render(text)}</div></details>'
    )


def _render(text: str) -> str:
    """Turn Markdown into HTML; a table can be scrolled, an entry of a bibliography copied."""
    from markdown_it import MarkdownIt

    made = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    made = made.replace(
        "<table>", '<div class="about-table" tabindex="0" role="group" aria-label="Table"><table>'
    ).replace("</table>", "</table></div>")
    made = made.replace("<th></th>", "<td></td>")
    made = _ENTRY.sub(_entry, made)
    return made.replace("<pre>", '<pre tabindex="0" role="group" aria-label="To be typed or read">')


def _entry(found: re.Match[str]) -> str:
    name = _TITLE.search(found[1])
    label = f"Copy the entry {name[1]}" if name else "Copy this entry"
    return (
        '<div class="about-entry"><button type="button" class="button about-copy" '
        f'aria-label="{label}">Copy</button>'
        f'<pre tabindex="0" aria-label="BibTeX entry" role="group">{found[1]}</pre></div>'
    )
