"""The form for a new experiment, without a browser."""

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from al_core.images.sources import SOURCES


def form() -> None:
    from al_core.store.store import Store
    from al_desk.setup.new_experiment import new_experiment

    new_experiment(Store(), None)


def test_every_source_can_be_chosen_on_a_plain_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    # AppTest leaves its script there, and processes that are spawned later would begin with it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    page = AppTest.from_function(form).run()
    images = page.selectbox[0]
    assert len(images.options) == len(SOURCES) + 1
    for place in range(len(images.options)):
        page.selectbox[0].select_index(place).run()
        assert not page.exception
    assert page.text_input[0].label == "Path"
    assert page.text_input[0].value == ""
    assert page.button[0].disabled
