"""ruff and mypy have nothing to say, and every benchmark still finds what it measures."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command", ["ruff check", "ruff format --check", pytest.param("mypy", marks=pytest.mark.slow)]
)
def test_the_linters_have_nothing_to_say(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_benchmark_can_be_imported() -> None:
    for path in (ROOT / "benchmarks").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.stem == "timed_app":  # it runs the page, and changes Streamlit
            subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, check=True)
        else:
            import_module(name)
