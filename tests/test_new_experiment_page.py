"""What the page shows where no batch can be labelled yet, without a browser."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from tiny import folder_of
from waiting import until

from al_core.config import ExperimentConfig, ModelConfig
from al_core.errors import ConfigError
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from al_core.sources.sources import SOURCES
from al_core.store.store import Store
from al_desk.server.images import SURVEY, images_key, look_again, look_at
from al_desk.server.resources import loader
from tests.servers import APP


def form() -> None:
    from al_core.store.store import Store
    from al_desk.setup.new_experiment import new_experiment
    from al_desk.widgets.formatting import errors_shown

    with errors_shown():
        new_experiment(Store(), None)


@pytest.fixture(autouse=True)
def main_module(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # AppTest leaves its script there, and processes that are spawned later would begin with it.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


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


def words(element) -> str:
    """What a reader sees of Markdown."""
    return element.value.replace("\\", "")


def test_what_was_found_is_said_and_what_cannot_be_known_is_asked(tmp_path: Path) -> None:
    months = [f"2024-0{month}/{i}.png" for month in (1, 2) for i in range(6)]
    folder = folder_of(tmp_path / "mine", *months)
    (folder / "notes.txt").write_text("no picture")
    (folder / "2024-01" / "1.orf").write_text("a picture that nothing reads")
    page = AppTest.from_function(form, default_timeout=120).run()
    page.selectbox[0].select_index(len(SOURCES)).run()
    page.text_input[0].set_value(f"'{folder}'").run()
    page = until(lambda: len(page.run().radio) > 1 and page)
    assert page.text_input(key="new-name").placeholder == "mine 1"  # without the quote
    assert "2024-01, 2024-02: are these folders classes, or only dates?" in words(page.warning[0])
    said = next(words(c) for c in page.caption if "12 images" in c.value)
    assert "8 to label, 4 to measure with (drawn from each class)" in said
    assert "Classes: 2024-01 6, 2024-02 6." in said
    assert "Left out: .txt 1; .orf 1, such as 2024-01/1.orf." in said
    assert "In folders" not in said
    (start,) = (button for button in page.button if button.label == "Start experiment")
    assert page.radio[0].value is None  # nobody but a person knows
    start.click().run()
    assert page.error[0].value == "Say first whether the folders are classes."
    page.radio[0].set_value(True).run()
    assert not page.error
    page.radio[0].set_value(False).run()
    said = next(words(c) for c in page.caption if "12 images" in c.value)
    assert "12 images**, copies included: none to measure with" in said
    assert "In folders: 2024-01 6, 2024-02 6." in said


def test_nothing_starts_before_it_is_known_what_is_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", *(f"2024-0{month}/1.png" for month in (1, 2)))

    def work():
        while True:
            yield Progress("Listing", 0, 0, "files", 0.0)

    job = loader().submit(f"{SURVEY}with classes: {folder}", work)
    page = AppTest.from_function(form, default_timeout=120).run()
    page.selectbox[0].select_index(len(SOURCES)).run()
    page.text_input[0].set_value(str(folder)).run()
    next(button for button in page.button if button.label == "Start experiment").click().run()
    assert "It is not known yet what is there" in page.error[0].value
    job.cancel()
    assert job.wait(60)


def test_the_list_that_an_experiment_began_with_stays_while_its_images_are_read(
    tmp_path: Path,
) -> None:
    def reading():
        while True:
            yield Progress("Reading", 0, 0, "images", 0.0)

    here, elsewhere = (str(folder_of(tmp_path / name, "1.png", "2.png")) for name in "ab")
    for source in (here, elsewhere):
        assert look_at(source, True).wait(60)
    job = loader().submit(images_key(ExperimentConfig(here)), reading)
    look_again()
    assert loader().ended(SURVEY) == [f"{SURVEY}with classes: {here}"]
    job.cancel()
    assert job.wait(60)
    look_again()
    assert loader().ended(SURVEY) == []


def test_what_is_left_without_copies_is_no_contradiction_to_what_was_found(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", *(f"{name}/{i}.png" for name in "ab" for i in range(6)))
    for i in (0, 1):
        shutil.copy(folder / "a" / f"{i}.png", folder / "a" / f"again {i}.png")
    dataset = finish(load(str(folder), image_size=8, cache_dir=tmp_path / "cache"))
    settings = ExperimentConfig(str(folder), initial=2, per_round=1, rounds=50, image_size=8)
    with pytest.raises(ConfigError, match="only 8 to label now that copies and what cannot be"):
        start_experiment(Store(), "mine", settings, dataset)


def test_where_labels_are_few_the_form_says_what_comes_of_them(tmp_path: Path) -> None:
    labelled = [f"{name}/{i}.png" for name in "ab" for i in range(3)]
    some = folder_of(tmp_path / "some", *labelled, *(f"{i}.png" for i in range(20)))
    one = folder_of(tmp_path / "one", *labelled[:3])
    page = AppTest.from_function(form, default_timeout=120).run()
    page.selectbox[0].select_index(len(SOURCES)).run()
    page.text_input[0].set_value(str(some)).run()
    page = until(lambda: page.run().checkbox and page)
    said = next(words(c) for c in page.caption if "26 images" in c.value)
    assert "20 images have no class yet. Labelled by the truth, all labels that are there" in said
    assert not page.warning
    page.text_input[0].set_value(str(one)).run()
    page = until(lambda: page.run().warning and page)
    assert "one class alone, and two are needed. Add a folder" in page.warning[0].value


def test_named_classes_win_or_are_refused_never_dropped(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine", *(f"{name}/{i}.png" for name in "ab" for i in range(6)))
    settings = ExperimentConfig(
        str(folder), class_names=("cat", "dog"), initial=2, per_round=1, rounds=1,
        image_size=8, initial_labels="person",
    )  # fmt: skip

    def start(config: ExperimentConfig) -> int:
        dataset = finish(
            load(
                config.data, image_size=8, cache_dir=tmp_path / "cache",
                folders_are_classes=config.folders_are_classes,
            )
        )  # fmt: skip
        return start_experiment(Store(), f"mine {config.folders_are_classes}", config, dataset)

    with pytest.raises(ConfigError, match=r"come with classes \(a, b\), and others were named"):
        start(settings)
    number = start(replace(settings, folders_are_classes=False))
    assert open_experiment(Store(), number).config.class_names == ("cat", "dog")


def test_labels_that_some_images_came_with_are_kept_and_the_rest_is_the_pool(
    tmp_path: Path,
) -> None:
    labelled = [f"{name}/{i}.png" for name in "ab" for i in range(8)]
    folder = folder_of(tmp_path / "mine", *labelled, *(f"{i}.png" for i in range(44)))
    dataset = finish(load(str(folder), image_size=8, cache_dir=tmp_path / "cache"))
    settings = ExperimentConfig(str(folder), per_round=5, rounds=2, image_size=8)
    number = start_experiment(Store(), "mine", settings, dataset)
    opened = open_experiment(Store(), number)
    assert (len(opened.pool.labeled), len(opened.pool.unlabeled)) == (12, 44)
    assert all(opened.pool.labels == dataset.train.targets[opened.pool.labeled])
    assert len(dataset.test) == 4


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


def test_who_has_cancelled_the_reading_is_offered_to_try_again_and_no_new_path(
    home: Path, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "mine", *(f"{i}.png" for i in range(8)))
    config = ExperimentConfig(
        str(folder), class_names=("a", "b"), initial=2, per_round=1, rounds=1, image_size=8,
        initial_labels="person",
    )  # fmt: skip
    dataset = finish(load(config.data, image_size=8, cache_dir=home / "cache"))
    number = start_experiment(Store(f"sqlite:///{home / 'al.db'}"), "mine", config, dataset)

    def work():
        while True:
            yield Progress("Decoding", 0, 0, "images", 0.0)

    job = loader().submit(images_key(config), work)
    job.cancel()
    assert job.wait(60)
    page = AppTest.from_file(APP, default_timeout=120)
    page.query_params["experiment"] = str(number)
    page.run()
    assert [info.value for info in page.info] == ["Reading the images was cancelled."]
    assert not page.error
    labels = [button.label for button in page.button]
    assert "Try again" in labels
    assert "Look there" not in labels
