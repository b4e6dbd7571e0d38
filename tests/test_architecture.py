"""Imports run one way, and what must start fast stays light."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ["streamlit_app.py", *(str(p.relative_to(ROOT)) for p in (ROOT / "ui").glob("*.py"))]

CORE = sorted((ROOT / "al_core").rglob("*.py"))

# Each module may import the ones before it, and none of its own line or after.
LAYERS = [
    ["errors", "progress"],
    ["files", "jobs", "names", "strategies"],
    ["images", "store"],
    ["config"],
    ["models"],
    ["experiment", "features"],
    ["analysis", "exchange", "loop"],
    ["simulation"],
    ["distributed"],
    ["cli"],
    ["__main__"],
]


def imported(path: Path) -> set[str]:
    """Every module a file names in an import, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute here"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_module_of_the_core_imports_only_what_lies_below_it() -> None:
    level = {name: i for i, names in enumerate(LAYERS) for name in names}
    core = ROOT / "al_core"
    files = {path: path.relative_to(core).parts[0].removesuffix(".py") for path in CORE}
    assert set(level) == set(files.values()) - {"__init__"}
    for path, name in files.items():
        for other in imported(path):
            below = other.removeprefix("al_core.").split(".")[0]
            if other.startswith("al_core.") and below in level and below != name:
                assert level[below] < level[name], f"{name} imports {below}"


def test_the_core_knows_nothing_of_the_page() -> None:
    for path in CORE:
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"streamlit", "ui", "streamlit_app"}, path.name


def test_the_page_is_imported_without_torch() -> None:
    """A page that shows a batch and a curve should not wait two seconds for torch.

    What needs torch is imported within the functions that the worker runs.
    """
    lazily = {
        f"al_core.{name}"
        for name in ("features.pretrain", "loop.advance", "loop.speed", "models.hardware")
    }
    names = {name for page in PAGE for name in imported(ROOT / page)} - lazily
    modules = [n for n in names if (ROOT / (n.replace(".", "/") + ".py")).exists()]
    assert "al_core.store.store" in modules
    code = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_first_batch_does_not_wait_for_what_draws_charts() -> None:
    page = ast.parse((ROOT / "streamlit_app.py").read_text(encoding="utf-8"))
    first = [node.module for node in page.body if isinstance(node, ast.ImportFrom)]
    assert "ui.round" in first
    code = f"import sys, {', '.join(first[1:])}; assert 'altair' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
