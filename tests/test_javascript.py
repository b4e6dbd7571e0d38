"""TypeScript has nothing to say about the JavaScript of the page."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import ROOT

SCRIPTS = sorted((ROOT / "al_desk").rglob("*.js"))
# Types are inferred: only what is known to be wrong is an error, not what nobody has annotated.
OPTIONS = [
    *("--allowJs", "--checkJs", "--noEmit", "--strict", "--noImplicitAny", "false"),
    *("--target", "es2024", "--lib", "es2024,dom,dom.iterable"),
]
NPM = [
    *("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"),
    *("--fetch-retries=1", "--fetch-timeout=60000"),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_an_editor_checks_it_too(script: Path) -> None:
    assert script.read_text(encoding="utf-8").startswith("// @ts-check\n")


@pytest.mark.slow
def test_typescript_has_nothing_to_say(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("no Node.js found: apt-get install nodejs npm")
    installed = subprocess.run(
        [npm, "install", *NPM, "typescript@5"], cwd=tmp_path, capture_output=True, text=True
    )
    if installed.returncode:
        pytest.skip(f"npm could not install TypeScript: {installed.stderr.strip()[:200]}")
    wrong = tmp_path / "wrong.js"
    wrong.write_text("const one = 1;\none.length();\n")
    compiler = tmp_path / "node_modules" / "typescript" / "bin" / "tsc"
    said = subprocess.run(
        [node, compiler, *OPTIONS, *SCRIPTS, wrong], cwd=tmp_path, capture_output=True, text=True
    )
    (only,) = said.stdout.splitlines()  # what is wrong on purpose
    assert only.startswith("wrong.js(2,5): error TS2339")
