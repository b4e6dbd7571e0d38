"""The package: what a wheel holds, and what ``al-desk`` does once it is installed."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner
from conftest import free_port

from al_core.cli.main import main as core
from al_desk import command
from al_desk.page import command_line

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


def dockerfile(word: str) -> list[str]:
    """What follows an instruction, each time."""
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.M)


COPIED = [name for line in dockerfile("COPY") for name in line.split()[:-1]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of what the container copies, and so of no folder ``build`` of before."""
    source = tmp_path_factory.mktemp("source")
    for path in [path for name in COPIED for path in ROOT.glob(name)]:
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / path.name, ignore=ignored)
        else:
            shutil.copy(path, source)
    target = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--wheel-dir", target, source)
    (built,) = target.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("installed")
    pip("install", "--no-compile", "--target", target, wheel)
    return target


def pip(what: str, *words: str | Path) -> None:
    pytest.importorskip("pip")
    quietly = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    ended = subprocess.run(
        [sys.executable, "-m", "pip", what, *quietly, *words], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def environment(installed: Path, **more: str) -> dict[str, str]:
    """What somebody has who installed it: the package on the path, no variable of Streamlit."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("STREAMLIT_")}
    return {**kept, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1", **more}


def run(installed: Path, elsewhere: Path, *words: str | Path) -> str:
    ended = subprocess.run(
        words, cwd=elsewhere, env=environment(installed), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_a_wheel_holds_every_module_script_and_style_and_the_settings(wheel: Path) -> None:
    ours = [path for package in ("al_core", "al_desk") for path in (ROOT / package).rglob("*.*")]
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in ours
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"al_desk/grid/label_grid.js", "al_desk/grid/tiles.css"} <= expected
    assert any("migrations/versions/" in name for name in expected)
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        for name in ("streamlit_app.py", ".streamlit/config.toml"):
            assert archive.read(f"al_desk/{name}") == (ROOT / name).read_bytes()
    assert held - expected == {"al_desk/streamlit_app.py", "al_desk/.streamlit/config.toml"}
    assert expected <= held


@pytest.mark.slow
def test_the_installed_command_does_what_al_core_does(installed: Path, tmp_path: Path) -> None:
    al_desk = installed / "bin" / "al-desk"
    assert run(installed, tmp_path, al_desk, "--version").split()[-1] == VERSION
    shown = run(installed, tmp_path, al_desk, "simulate", "--help")
    assert shown.startswith("Usage: al-desk simulate [OPTIONS]")
    assert "--per-round" in shown


def test_every_command_of_al_core_is_one_of_al_desk() -> None:
    shown = CliRunner().invoke(command.main, ["--help"]).output
    assert {"simulate", "import"} <= set(core.commands)
    for name in core.commands:
        assert f"\n  {name} " in shown


def test_options_of_the_desk_before_a_command_are_refused() -> None:
    ended = CliRunner().invoke(command.main, ["--port", "8600", "replay"])
    assert ended.exit_code == 2
    assert "write the options of “replay” after its name" in ended.output


def test_the_images_that_are_named_reach_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr("streamlit.web.cli.main", lambda words, **_: started.append(words))
    CliRunner().invoke(command.main, ["--data", "my pictures"])
    ((run, script, *options),) = started
    assert (run, Path(script)) == ("run", ROOT / "streamlit_app.py")
    monkeypatch.setattr(sys, "argv", [script, *options[options.index("--") + 1 :]])
    assert command_line().data == "my pictures"


@pytest.mark.slow
def test_the_installed_page_is_drawn_from_elsewhere(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from streamlit.testing.v1 import AppTest\n"
        "page = AppTest.from_file(sys.argv[1], default_timeout=60).run()\n"
        "print(*page.exception, *(title.value for title in page.title))"
    )
    app = str(installed / "al_desk" / "streamlit_app.py")
    shown = run(installed, tmp_path, sys.executable, "-c", code, app)
    assert shown.replace("\\", "") == "Active-learning desk\n"  # as Markdown it is written
    assert (tmp_path / ".al" / "al.db").exists()


@contextmanager
def desk(installed: Path, elsewhere: Path, *words: str, **more: str) -> Iterator[int]:
    """An installed desk, about to answer on the port that is given."""
    port = free_port()
    headless = {"STREAMLIT_SERVER_HEADLESS": "true"}
    with subprocess.Popen(
        [installed / "bin" / "al-desk", "--port", str(port), *words],
        cwd=elsewhere,
        env=environment(installed, **headless, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as server:
        try:
            yield port
        finally:
            server.kill()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while not answers("127.0.0.1", port):
        assert time.monotonic() < deadline, "the desk does not answer"
        time.sleep(0.05)


def answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False


@pytest.mark.slow
def test_it_listens_on_this_machine_alone_unless_it_is_told_otherwise(
    installed: Path, tmp_path: Path
) -> None:
    everywhere = {"STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}
    with ExitStack() as desks:  # all start at once, and each takes a second or two
        by_default = desks.enter_context(desk(installed, tmp_path))
        by_variable = desks.enter_context(desk(installed, tmp_path, **everywhere))
        by_option = desks.enter_context(
            desk(installed, tmp_path, "--address", "127.0.0.1", **everywhere)
        )
        for port in (by_default, by_variable, by_option):
            wait_for(port)
        if not answers("127.0.0.2", by_variable):
            pytest.skip("this system has no second address of its own")
        assert not answers("127.0.0.2", by_default)
        assert not answers("127.0.0.2", by_option)
        (check,) = dockerfile("HEALTHCHECK .*? CMD")
        words = shlex.split(check.replace("8501", str(by_default)))
        assert subprocess.run([sys.executable, *words[1:]]).returncode == 0


def test_the_container_is_no_root_and_keeps_its_home_in_a_volume() -> None:
    settings = dict(setting.split("=", 1) for line in dockerfile("ENV") for setting in line.split())
    assert dockerfile("USER") not in ([], ["root"], ["0"])
    assert dockerfile("VOLUME") == [settings["AL_HOME"]]
    assert settings["STREAMLIT_SERVER_ADDRESS"] == "0.0.0.0"  # a container's own
    assert dockerfile("ENTRYPOINT") == ['["al-desk"]']


def test_what_the_container_copies_is_there_and_is_not_ignored() -> None:
    kept = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    assert {"al_core", "al_desk", ".streamlit"} <= set(COPIED)
    for name in COPIED:
        assert list(ROOT.glob(name)), name
        assert any(fnmatch(name, pattern) for pattern in kept), name


def test_every_documented_command_publishes_the_container_to_this_machine_alone() -> None:
    """There is no login."""
    text = "".join(
        path.read_text("utf-8") for path in (*ROOT.glob("*.md"), ROOT / "Dockerfile")
    ).replace("\\\n", " ")
    commands = re.findall(r"^[ #]*(docker run .*)$", text, re.M)
    assert commands
    for line in commands:
        ports = re.findall(r"(?:-p|--publish)[ =](\S+)", line)
        assert ports == (["127.0.0.1:8501:8501"] if "-p" in line else []), line
        assert "--network" not in line
    assert any("-p 127.0.0.1:8501:8501" in line for line in commands)


def test_the_way_of_a_label_in_contributing_is_the_way_it_goes() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    steps = re.findall(r"^\|.*\| `(\S+)` \| (`.+`) \|$", text, re.M)
    assert len(steps) > 10
    for file, names in steps:
        source = (ROOT / file).read_text("utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\b", source), f"{name} is not in {file}"


def test_what_a_newcomer_types_is_what_the_linters_test_asks_for() -> None:
    justfile = (ROOT / "justfile").read_text("utf-8")
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    for words in ("ruff check", "ruff format", "mypy"):
        assert f"python -m {words}" in justfile
        assert f"entry: python -m {words}" in hooks
    for recipe in ("setup", "test", "fast", "lint", "desk"):
        assert re.search(rf"^{recipe}( \*options)?:$", justfile, re.M)
    assert "http" not in hooks
