"""What the page shows before there is an experiment, without a browser."""

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from waiting import until

from al_core.config import ExperimentConfig, ModelConfig
from al_core.images.sources import SOURCES
from al_core.store.store import Store
from tests.servers import APP


def form() -> None:
    from al_core.store.store import Store
    from al_desk.setup.new_experiment import new_experiment

    new_experiment(Store(), None)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    # AppTest leaves its script there, and processes that are spawned later would begin with it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    return tmp_path


def test_every_source_can_be_chosen_on_a_plain_start() -> None:
    page = AppTest.from_function(form, default_timeout=120).run()
    images = page.selectbox[0]
    assert len(images.options) == len(SOURCES) + 1
    for place in range(len(images.options)):
        page.selectbox[0].select_index(place).run()
        assert not page.exception
    assert page.text_input[0].label == "Path"
    assert page.text_input[0].value == ""
    assert page.button[0].disabled


def test_a_database_that_cannot_be_opened_is_told_in_a_sentence(home: Path) -> None:
    (home / "al.db").write_text("a shopping list that is no database at all " * 30)
    page = AppTest.from_file(APP, default_timeout=120).run()
    assert not page.exception
    assert "not a database" in page.error[0].value


def test_weights_are_opened_before_the_first_image_is_labelled(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    page = AppTest.from_file(APP, default_timeout=120)

    def start(name: str) -> AppTest:
        model = ModelConfig(f"~/{name}.pth", head="linear")
        page.session_state["starting"] = (name, ExperimentConfig("digits", initial=5, model=model))
        return until(lambda: "starting" not in page.run().session_state and page)

    for name, sentence in (("gone", "There is no file of weights"), ("bad", "cannot be read as")):
        (home / "bad.pth").write_text("no weights")
        assert sentence in start(name).error[0].value
        assert f"/{name}.pth" in page.error[0].value
        assert Store(f"sqlite:///{home / 'al.db'}").experiments() == []
