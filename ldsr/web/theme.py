"""How the page looks: theme, style sheet, scripts, and the options Gradio is launched with."""

import json
import os
from pathlib import Path
from typing import Any

# Gradio reads this when it is imported: nothing on this page calls out to the network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr  # noqa: E402

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "web"
TITLE = "LDSR Studio"
STYLES = (
    "studio.css",
    "times.css",
    "trust.css",
    "map.css",
    "compare.css",
    "evaluate.css",
    "study.css",
    "scene.css",
    "about.css",
    "help.css",
)
"""Our style sheets, joined in this order."""
MAX_UPLOAD = 200 * 2**20
"""Bytes of the files of one upload."""
MAX_SESSIONS = 1000
"""Visitors that Gradio remembers, 150 kB each; the least recently seen are forgotten."""
SANS = [
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Noto Sans",
    "DejaVu Sans",
    "sans-serif",
]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace"]


def asset(name: str) -> str:
    """Read one of our own .js, .css or .html files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """Write JSON that may stand inside a script element."""
    text = json.dumps(value)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def theme() -> gr.themes.Base:
    """One accent colour (teal) on neutral greys; system fonts, so that nothing is fetched."""
    return gr.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="md",
        text_size="md",
        spacing_size="md",
        font=SANS,
        font_mono=MONO,
    ).set(
        body_background_fill="#f6f8fa",
        body_background_fill_dark="#0d1420",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="600",
        block_title_text_size="13px",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0d9488",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        slider_color="#0f766e",
        slider_color_dark="#2dd4bf",
        input_background_fill="#ffffff",
        input_background_fill_dark="#111c2b",
        input_border_width="1px",
    )


def _script() -> str:
    """What every page runs as it opens."""
    known = f"window.ldsrMaxUpload = {MAX_UPLOAD};\nwindow.ldsrHelp = {asset('help.json')};"
    return "\n".join((known, asset("page.js"), asset("help.js")))


def launch_options() -> dict[str, Any]:
    """What `launch` is given besides address and routes."""
    return {
        "theme": theme(),
        "css": "\n".join(asset(name) for name in STYLES),
        "head": f"<script>{_script()}</script>",
        "favicon_path": str(ASSETS / "favicon.png"),
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "mcp_server": False,
        "ssr_mode": False,
        "pwa": False,
        "show_error": False,  # what Gradio itself raises names paths; our errors are shown always
        "max_file_size": MAX_UPLOAD,
        "state_session_capacity": MAX_SESSIONS,
        "quiet": True,
    }
