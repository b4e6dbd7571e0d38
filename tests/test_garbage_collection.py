"""Garbage is collected when a training has ended, not after each label."""

import gc
import threading
import tomllib
import weakref
from pathlib import Path

import pytest

from al_core.progress import Progress, Work
from al_desk.server.resources import trainer


class Loop:
    """Something that only a collection frees."""

    def __init__(self) -> None:
        self.itself = self


def test_streamlit_collects_nothing_after_a_run_of_the_script() -> None:
    path = Path(__file__).parents[1] / ".streamlit" / "config.toml"
    assert tomllib.loads(path.read_text())["runner"]["postScriptGC"] is False


def test_what_a_training_leaves_goes_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("al_core.jobs.BRIEF", -1)
    loops = [Loop()]
    gone, ended = weakref.ref(loops[0]), threading.Event()

    def training() -> Work[None]:
        loops.clear()
        yield Progress("Training", 1, 1, "steps", 0)

    weakref.finalize(loops[0], ended.set)
    gc.disable()
    try:
        trainer.__wrapped__().submit("a", training)
        assert ended.wait(60)
    finally:
        gc.enable()
    assert gone() is None
