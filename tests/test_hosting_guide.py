"""What is written about hosting is so: the Space's front matter, the guide, the unit."""

import ast
import configparser
import re
from pathlib import Path

import yaml
from starlette.applications import Starlette
from starlette.testclient import TestClient

import app
from ldsr.web.hosting import headers, health
from ldsr.web.studio import Studio
from tests.fakes import FakePipeline

ROOT = Path(__file__).parent.parent
HOSTING = ROOT / "assets" / "hosting"
GUIDE = (HOSTING / "README.md").read_text(encoding="utf-8")


def test_the_readme_makes_a_space() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("---\n")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["sdk"] == "gradio" and front["app_file"] == "app.py"
    assert front["license"] == "apache-2.0" and isinstance(front["pinned"], bool)
    assert len(front["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colours
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    least, below = re.search(r"^gradio>=([\d.]+),<(\d+) ", needed, re.MULTILINE).groups()
    version = [int(part) for part in front["sdk_version"].split(".")]
    assert [int(part) for part in least.split(".")] <= version < [int(below)]
    assert re.fullmatch(r"3\.1[1-9]", front["python_version"])
    assert text.split("---\n", 2)[2].lstrip().startswith("# LDSR Studio")


def told_in_code() -> set[str]:
    """Every environment variable that the product looks at or sets."""
    found = set()
    for path in [ROOT / "app.py", *(ROOT / "ldsr").rglob("*.py"), *ROOT.glob("evaluation/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(r'"(LDSR_[A-Z_]+)"', text))
        found |= set(re.findall(r'told\("([A-Z_]+)"\)', text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Subscript | ast.Call | ast.Compare):
                found |= _named(node)
    return found


def _named(node: ast.AST) -> set[str]:
    """Variables in os.environ["X"], environment.get("X"), "X" in os.environ, and so on."""
    text = ast.unparse(node)
    if not re.match(r"""(os\.environ|environment)[.\[]|'[A-Z_]+' (not )?in os\.environ""", text):
        return set()
    return set(re.findall(r"^[^']*'([A-Z][A-Z_]+)'", text))


def test_the_table_names_every_variable_of_the_environment() -> None:
    table = set(re.findall(r"^\| `([A-Z_]+)` \|", GUIDE, re.MULTILINE))
    code = told_in_code()
    assert {"LDSR_HOME", "LDSR_JOBS_GB", "SPACE_ID", "OMP_NUM_THREADS", "XDG_CACHE_HOME",
            "GRADIO_SERVER_NAME", "TORCHINDUCTOR_CACHE_DIR"} <= code  # fmt: skip
    assert code - table == set(), "add them to assets/hosting/README.md"
    assert table - code == set(), "no longer in the code"


def test_the_unit_is_hardened_and_waits_long_enough() -> None:
    class Unit(configparser.RawConfigParser):
        optionxform = staticmethod(str)

    unit = Unit(strict=True)
    unit.read(HOSTING / "ldsr-studio.service")
    service = unit["Service"]
    assert service["User"] == "ldsr" and service["Restart"] == "on-failure"
    assert service["EnvironmentFile"] and service["KillMode"] == "mixed"
    assert int(service["TimeoutStopSec"]) > 60 + 10
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "LockPersonality"):
        assert service[name] == "yes"
    assert service["ProtectSystem"] == "strict" and "PrivateDevices" not in service
    options = service["ExecStart"].split("app.py ")[1].replace("$LDSR_OPTIONS", "").split()
    assert app._parser().parse_args(options).log == "json"


def test_the_guide_says_what_is_so() -> None:
    told = re.findall(r"`?(ldsr_\w+|process_\w+)`", GUIDE)
    client = TestClient(Starlette(routes=health.health_routes(Studio(FakePipeline()))))
    text = client.get("/metrics").text
    for name in told:
        assert name.removesuffix("_total") in text or name == "ldsr_gpu_memory_bytes", name
    options = set(re.findall(r"(--(?:log|auth|root-path|metrics-open|compile|device))\b", GUIDE))
    assert len(options) == 6 and all(one in app._parser().format_help() for one in options)
    assert headers.ANCESTORS_VARIABLE in GUIDE
