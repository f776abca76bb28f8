"""The direction of imports (DESIGN section 3), read from the source, never run."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path for folder in ("ldsr", "evaluation") for path in (ROOT / folder).rglob("*.py")
) + [ROOT / "app.py"]

SIBLINGS = ("ldsr.data", "ldsr.models", "ldsr.sampling")
NUMPY_SEMANTICS = tuple(
    f"ldsr.semantics.{module}" for module in ("vocabulary", "spectral", "sources")
)
NETWORK = ("urllib.request", "http.client", "requests", "httpx", "pystac_client", "socket")


def module_name(path: Path) -> str:
    """Dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Every module a file imports, absolute; `from a import b` counts as a and a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert all(alias.name != "*" for alias in node.names), f"{path}: star import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def uses(path: Path, *packages: str) -> set[str]:
    return {name for name in imports(path) if within(name, *packages)}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    name = module_name(path)
    if not within(name, "ldsr.web", "app"):
        assert not uses(path, "gradio"), "gradio outside ldsr/web and app.py"
    numpy_rules = ("ldsr.data", "ldsr.result", "ldsr.render", "ldsr.settings", "ldsr.errors")
    if within(name, *numpy_rules, *NUMPY_SEMANTICS):
        assert not uses(path, "torch"), "torch where numpy rules"
    if within(name, *SIBLINGS, "ldsr.settings"):
        tags = uses(path, "ldsr.semantics") - {"ldsr.semantics"}
        assert all(within(tag, "ldsr.semantics.vocabulary") for tag in tags), "tags' names at most"
    if within(name, "ldsr.semantics"):
        upwards = ("ldsr.pipeline", "ldsr.settings", "ldsr.stages", "ldsr.training")
        assert not uses(path, *upwards), "semantics knows pictures, not what is made of them"
    if not within(name, "ldsr.data", "ldsr.scene"):
        allowed = {"ldsr.pipeline", "ldsr.training.pairs"}
        heavy = {
            n for n in uses(path, "rasterio") if not within(n, "rasterio.transform", "rasterio.crs")
        }
        assert not heavy or name in allowed, "files are read in ldsr/data alone"
    if not within(name, "ldsr.data.catalog", "ldsr.weights", "ldsr.web", "app"):
        assert not uses(path, *NETWORK), "network outside catalog and weights"
    if within(name, "ldsr") and not within(name, "ldsr.web"):
        assert not uses(path, "evaluation")
    if not within(name, "ldsr.web", "app"):
        assert not uses(path, "ldsr.web")
    if not within(name, "ldsr.training"):
        assert not uses(path, "ldsr.training"), "nobody imports training"
    for package in SIBLINGS:
        if within(name, package):
            others = [other for other in SIBLINGS if other != package]
            assert not uses(path, *others), "data, models and sampling never import each other"
    if within(name, "ldsr.settings", "ldsr.errors", "ldsr.semantics.vocabulary"):
        outside = {n.split(".")[0] for n in imports(path)} - {"ldsr"} - set(sys.stdlib_module_names)
        assert not outside, "standard library only"
    if within(name, "ldsr.models", "ldsr.sampling"):
        outside = {n.split(".")[0] for n in imports(path)} - {"ldsr", "torch"}
        assert outside <= set(sys.stdlib_module_names), "torch alone"


def test_torch_half_needs_neither_rasterio_nor_gradio() -> None:
    """Networks, samplers, stages and training import where only torch and numpy are installed."""
    code = (
        "import sys\n"
        "for name in ('rasterio', 'gradio', 'scipy', 'skimage', 'PIL', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "import ldsr.stages, ldsr.consistency, ldsr.models.published, ldsr.sampling.dpm_solver\n"
        "import ldsr.training.recipes, ldsr.training.__main__\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_names() -> None:
    import ldsr

    for name in ldsr.__all__:
        assert getattr(ldsr, name) is not None
    assert set(ldsr.__all__) == {
        "Patch",
        "Settings",
        "SuperResolution",
        "Pipeline",
        "read_patch",
        "write_geotiff",
        "WEIGHTS",
    }


def test_top_level_is_as_planned() -> None:
    """Only the planned files lie at the top (hidden ones and caches aside)."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    top = {name.split("/")[0] for name in tracked if not name.startswith(".")}
    assert top <= {
        "app.py",
        "ldsr",
        "evaluation",
        "assets",
        "tests",
        "requirements.txt",
        "README.md",
        "LICENSE",
        "pyproject.toml",
    }
