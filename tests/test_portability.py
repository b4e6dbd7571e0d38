"""Windows and macOS lack some of what Linux has: nothing here needs it."""

import ast
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from al_core import jobs
from al_core.models.hardware import Hardware
from al_core.models.network import build
from al_core.models.weights import read_weights, save_backbone
from al_core.simulation import runner

ROOT = Path(__file__).parents[1]
FILES = [path for package in ("al_core", "al_desk") for path in (ROOT / package).rglob("*.py")]
# Modules of the standard library that one kind of system has.
NOT_EVERYWHERE = {
    *("curses", "fcntl", "grp", "posix", "posixpath", "pty", "pwd", "readline", "resource"),
    *("syslog", "termios", "tty", "msvcrt", "winreg", "winsound"),
}
# What may be used of these two; os.sysconf has a fallback, which is tested below, and os.chown and
# os.sync are asked for before they are used.
EVERYWHERE = {
    "os": "DirEntry O_RDONLY O_RDWR W_OK access chown close cpu_count dup environ fdopen fsencode "
    "fstat fsync getpid listdir open path pathsep replace scandir stat stat_result strerror sync "
    "sysconf utime walk write",
    "signal": "SIGINT signal",
}


def taken(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every module, and every name of it, that a file speaks of: ``("os", "path")``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_nothing_is_used_that_one_kind_of_system_lacks() -> None:
    """A new name of ``os`` belongs into the table, once its documentation lists no system."""
    used = {pair for path in FILES for pair in taken(ast.parse(path.read_text("utf-8")))}
    assert not NOT_EVERYWHERE & {module for module, _ in used}
    for module, names in EVERYWHERE.items():
        assert {name for m, name in used if m == module and name} <= set(names.split())


@pytest.mark.parametrize("tells", ["nothing", "not of memory"])
def test_simulations_go_side_by_side_where_the_system_does_not_tell_its_free_memory(
    tells: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    if tells == "nothing":  # Windows
        monkeypatch.delattr(os, "sysconf")
    else:
        monkeypatch.setattr(os, "sysconf", unknown)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(
        "al_core.models.hardware.find_hardware",
        lambda: Hardware(torch.device("cpu"), torch.float32),
    )
    assert [runner.jobs_that_fit(simulations) for simulations in (2, 9)] == [2, 4]


@pytest.mark.parametrize("error", [TypeError, OSError, AttributeError])
def test_a_job_ends_well_where_memory_cannot_be_given_back(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: None) -> None:
        asked.append(name)
        raise error

    asked: list[None] = []
    monkeypatch.setattr(ctypes, "CDLL", refuse)  # Windows has no C library without a name

    def work() -> Iterator[jobs.Progress]:
        yield jobs.Progress("Working", 1, 1, "things", 0)

    worker = jobs.Worker()  # whose thread would end with the first
    worker.submit("first", work)
    second = worker.submit("second", work)
    assert second.wait(30)
    assert second.state is jobs.JobState.DONE
    assert asked


def test_weights_are_kept_on_a_disk_that_knows_no_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("chmod")

    cpu = Hardware(torch.device("cpu"), torch.float32)
    images = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    network = build(2, "auto", cpu, images, torch.Generator().manual_seed(0))
    monkeypatch.setattr(Path, "chmod", refuse)
    save_backbone(network, tmp_path / "mine.safetensors", {})
    assert read_weights(tmp_path / "mine.safetensors").backbone
