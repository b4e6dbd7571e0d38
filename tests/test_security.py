"""What must never stand in the program: code that runs what a file or a name says."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_core.errors import ActiveLearningError
from al_core.images.dataset_cache import load
from al_core.models.weights import read_weights
from al_core.progress import finish
from tests.servers import ROOT

HOUSE = (ROOT / "al_core", ROOT / "al_desk")
PYTHON = [ROOT / "streamlit_app.py", *(path for top in HOUSE for path in top.rglob("*.py"))]
SCRIPTS = sorted((ROOT / "al_desk").rglob("*.js"))
NEVER = {"eval", "exec", "compile", "__import__", "system", "popen"}
ALLOWED_HTML = {"page.py"}  # a constant
RUNS_TEXT = re.compile(r"(inner|outer)HTML|insertAdjacent|document\.write|\beval\(|Function\(")


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """The name of everything that is called in a file, with what is passed by name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: k.value for k in node.keywords if k.arg}


def says(value: ast.expr | None, expected: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is expected


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_no_file_is_unpickled_and_no_text_is_run(path: Path) -> None:
    for name, options in calls(path):
        last = name.rpartition(".")[2]
        # torch's own eval() is a method of a network.
        assert last not in NEVER or (last in ("eval", "compile") and "." in name), name
        assert name != "torch.load" or says(options.get("weights_only"), True), name
        assert not says(options.get("allow_pickle"), True), name
        assert not says(options.get("shell"), True), name
        assert "pickle" not in name, name
        assert "unsafe_allow_html" not in options, name
        assert not name.endswith(".html") or path.name in ALLOWED_HTML, name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_elements_of_text(path: Path) -> None:
    assert RUNS_TEXT.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "cifar-10-python.tar.gz"])
def test_a_pickle_that_calls_itself_something_else_is_not_run(tmp_path: Path, name: str) -> None:
    file, trace = tmp_path / name, tmp_path / "ran"
    file.write_bytes(pickle.dumps(Bomb(trace)))
    read = read_weights if name.startswith("weights") else None
    with pytest.raises(ActiveLearningError):
        read(file) if read else finish(load(str(file), cache_dir=tmp_path / "cache"))
    assert not trace.exists()
