"""Imports run one way between folders, and what must start fast stays light."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "al_core").rglob("*.py"))
DESK = sorted((ROOT / "al_desk").rglob("*.py"))
PACKAGES = [path for path in (*CORE, *DESK) if path.name == "__init__.py"]

# What each folder of al_core, and each file beside them, imports of the others: nothing else.
IN_THE_CORE = {
    "errors": "",
    "progress": "",
    "seeds": "",
    "names": "errors",
    "limits": "errors",
    "jobs": "errors progress",
    "files": "errors progress",
    "strategies": "errors",
    "sources": "errors progress files",
    "pictures": "errors progress files sources",
    "images": "errors progress seeds files sources pictures",
    "store": "errors names files",
    "config": "errors names limits files images strategies",
    "models": "errors progress seeds files config",
    "features": "errors progress seeds names limits files pictures images config models",
    "experiment": "errors progress seeds names files sources pictures images store config models",
    "exchange": "errors progress files sources pictures images store experiment",
    "storage": "errors progress files sources images store features",
    "analysis": "errors progress seeds names files store strategies models experiment",
    "loop": "errors progress seeds files pictures images store strategies config models features "
    "experiment",
    "simulation": "errors progress files images store strategies config models features experiment "
    "analysis loop",
    "distributed": "errors progress seeds files sources pictures images strategies config models "
    "features loop simulation",
    "cli": "errors progress names files images store strategies config models features experiment "
    "exchange storage analysis loop simulation distributed",
    "__main__": "cli",
}
# What each folder of al_desk imports of the others; al_core they may all see.
IN_THE_DESK = {
    "context": "",
    "grid": "context routes widgets",
    "routes": "server",
    "server": "",
    "widgets": "routes server",
    "results": "routes server widgets",
    "setup": "context routes server widgets",
    "labelling": "context routes server widgets grid setup results",
    "page": "context routes server widgets setup results labelling",
    "command": "",  # it starts the page by its script's path
}
NOT_FOR_THE_DESK = {"cli", "distributed", "__main__"}
MOST_PARAMETERS = 5
# The functions that still take more. Those of cli have a parameter for each option of a command.
TAKE_MORE = {
    "cli": "choose embed pretrain simulate",
    "loop": "score_images look_again",
    "models": "fit_heads build fit",
}


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


def room(path: Path) -> str:
    """The folder below al_core or al_desk in which a file lies, or the file itself."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def rooms_seen(path: Path, package: str) -> Iterator[str]:
    """The folders of a package that a file imports from."""
    for name in imported(path):
        top, _, rest = name.partition(".")
        if top == package and rest:
            yield rest.partition(".")[0]


@pytest.mark.parametrize(
    ("package", "files", "table"),
    [("al_core", CORE, IN_THE_CORE), ("al_desk", DESK, IN_THE_DESK)],
    ids=["al_core", "al_desk"],
)
def test_a_folder_imports_from_those_it_may_and_from_no_other(
    package: str, files: list[Path], table: dict[str, str]
) -> None:
    may = {name: set(others.split()) for name, others in table.items()}
    seen: dict[str, set[str]] = {name: set() for name in table}
    for path in files:
        if room(path) == "__init__":
            assert not set(rooms_seen(path, package)), path
            continue
        others = set(rooms_seen(path, package)) - {room(path)}
        assert others <= may[room(path)], f"{path}: {others - may[room(path)]}"
        seen[room(path)] |= others
    assert seen == may, "the table allows what nobody needs"


@pytest.mark.parametrize("table", [IN_THE_CORE, IN_THE_DESK], ids=["al_core", "al_desk"])
def test_the_folders_import_each_other_in_no_circle(table: dict[str, str]) -> None:
    order = TopologicalSorter({name: others.split() for name, others in table.items()})
    assert set(order.static_order()) == set(table)


def test_the_core_knows_nothing_of_the_page() -> None:
    for path in CORE:
        roots = {name.split(".")[0] for name in imported(path)}
        assert not roots & {"streamlit", "al_desk", "streamlit_app"}, path


def test_the_page_knows_neither_the_command_line_nor_the_cluster() -> None:
    for path in DESK:
        may = {"cli"} if room(path) == "command" else set()
        assert NOT_FOR_THE_DESK & set(rooms_seen(path, "al_core")) <= may, path


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.parent.name)
def test_a_package_is_a_docstring_alone_and_names_its_files(path: Path) -> None:
    """Else whoever imports one of its files would import more than that file needs."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (only,) = tree.body
    text = ast.get_docstring(tree)
    assert isinstance(only, ast.Expr)
    assert text
    files = {other.stem for other in path.parent.glob("*.py")} - {"__init__", "__main__"}
    folders = {other.parent.name for other in path.parent.glob("*/__init__.py")}
    missing = {name for name in files | folders if name not in text}
    assert not missing, missing


def test_a_function_takes_few_parameters_or_a_type() -> None:
    """More than five hide a type, such as DeskContext."""
    many: dict[str, set[str]] = {}
    for path in (*CORE, *DESK):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                if sum(one.arg not in ("self", "cls") for one in every) > MOST_PARAMETERS:
                    many.setdefault(room(path), set()).add(node.name)
    assert many == {folder: set(names.split()) for folder, names in TAKE_MORE.items()}


def test_chance_has_a_name_everywhere() -> None:
    """Two that begin from the same number would draw the same."""
    for path in CORE:
        text = path.read_text(encoding="utf-8")
        assert room(path) == "seeds" or not {"default_rng", "manual_seed"} & set(
            re.findall(r"\w+", text)
        ), path


def test_settings_are_imported_without_torch_and_without_a_database() -> None:
    code = "import sys, al_core.config; assert not {'torch', 'sqlalchemy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_only_the_store_and_the_commands_need_a_database() -> None:
    """Records are plain: a round, a strategy or a curve is imported without SQLAlchemy."""
    others = [path for path in CORE if room(path) not in ("store", "cli", "__main__")]
    for path in (*others, *DESK):
        assert "sqlalchemy" not in {name.split(".")[0] for name in imported(path)}, path
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in others]
    modules.append("al_core.store.records")
    code = f"import sys, {', '.join(modules)}; assert 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_page_waits_for_neither_torch_nor_what_draws_charts() -> None:
    """The first batch is shown before there is a curve, and without two seconds of torch.

    What needs torch is imported within the functions that the worker runs.
    """
    lazily = {
        f"al_core.{name}"
        for name in (
            "features.encoders.find",
            "features.encoders.timm_weights",
            "loop.search",
            "features.pretrain",
            "features.words",
            "loop.advance",
            "loop.embed_rest",
            "loop.encoders_compared",
            "loop.kinds",
            "loop.speed",
            "models.hardware",
            "models.speed",
            "models.weights",
        )
    }
    names = {name for path in DESK for name in imported(path)} - lazily
    modules = [n for n in names if (ROOT / (n.replace(".", "/") + ".py")).exists()]
    assert "al_core.store.store" in modules
    code = "import sys, al_desk.page; assert 'altair' not in sys.modules, 'what draws charts'; "
    code += f"import {', '.join(modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
