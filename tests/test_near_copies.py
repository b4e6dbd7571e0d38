"""Pictures that nearly show the same are found, lie on one side, and measure only if asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from squares import CPU
from tiny import encoded, loaded

from al_core.config import ExperimentConfig, TrainConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.settings import change_settings
from al_core.experiment.source import bring_up_to_date, images_of
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.images.near_copies import copies_among, joined, leaking
from al_core.loop.advance import advance
from al_core.progress import finish
from al_core.store.store import Store

SIZE = 32


def photograph(number: int, size: tuple[int, int] = (120, 90)) -> Image.Image:
    """Something with the frequencies of a photograph: smooth shapes, and detail on them."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8)).resize(size)
    fine = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    return Image.blend(coarse, fine.filter(ImageFilter.GaussianBlur(2)), 0.3)


def cut(image: Image.Image) -> Image.Image:
    return image.crop((1, 1, image.width - 1, image.height - 1))


COPIES = {
    "smaller.png": lambda image: encoded(image.resize((60, 45))),
    "larger.png": lambda image: encoded(image.resize((300, 225))),
    "compressed.jpg": lambda image: encoded(image, "JPEG", quality=40),
    "cut.png": lambda image: encoded(cut(image)),
    "lighter.png": lambda image: encoded(image.point(lambda value: value * 0.8 + 40)),
}


def save(path: Path, picture: Image.Image | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture if isinstance(picture, bytes) else encoded(picture))


def read(folder: Path) -> Dataset:
    return loaded(folder, folder.parent / "cache", SIZE)


@pytest.mark.parametrize("name", COPIES)
def test_a_picture_that_was_changed_a_little_is_told_of_and_no_other(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "pictures"
    for number in range(30):
        save(folder / f"{number}.png", photograph(number))
    save(folder / name, COPIES[name](photograph(7)))
    save(folder / "same pixels.bmp", encoded(photograph(8), "BMP"))
    data = read(folder)
    assert data.near_copies == (("7.png", name),)
    assert data.copies == (("8.png", "same pixels.bmp"),)
    again = read(folder)  # from the cache
    assert again.near_copies == data.near_copies


def test_an_odd_shape_is_not_taken_for_a_copy_by_what_fills_its_square(tmp_path: Path) -> None:
    for number in range(30):
        save(tmp_path / "pictures" / f"{number}.png", photograph(number, (160, 40)))
    assert read(tmp_path / "pictures").near_copies == ()


def test_digits_are_no_copies_of_each_other(tmp_path: Path) -> None:
    data = loaded("digits", tmp_path / "cache", SIZE)
    assert data.copies == data.near_copies == ()
    for number, pixels in enumerate(data.train.images[:200, 0, ::4, ::4]):
        save(tmp_path / "digits" / f"{number}.png", Image.fromarray(pixels))
    assert read(tmp_path / "digits").near_copies == ()


def test_a_crowd_of_copies_is_one_group(tmp_path: Path) -> None:
    for quality in range(30, 90):
        save(tmp_path / "crowd" / f"{quality}.jpg", encoded(photograph(1), "JPEG", quality=quality))
    (group,) = read(tmp_path / "crowd").near_copies
    assert len(group) == 60


def test_groups_that_share_a_row_become_one() -> None:
    assert joined([[3, 1], [5, 4], [7], [1, 9], [4, 5]]) == [[1, 3, 9], [4, 5]]
    assert joined([[0, 1], [2, 3], [1, 2]]) == [[0, 1, 2, 3]]


def test_near_copies_lie_on_one_side_of_a_split_of_ours(tmp_path: Path) -> None:
    folder = tmp_path / "classes"
    for number in range(40):
        save(folder / "ab"[number % 2] / f"{number}.png", photograph(number))
        small = encoded(photograph(number), "JPEG", quality=50)
        save(folder / "ab"[number % 2] / f"{number} again.jpg", small)
    data = read(folder)
    assert len(data.near_copies) == 40
    test = {*data.test.keys}
    assert len(test) == 16
    for group in data.near_copies:
        assert {*group} <= test or not test & {*group}
    assert leaking(data) == ()


def with_leaks(folder: Path) -> Dataset:
    """Six images to test with, one of them a copy and one a near-copy of one to train on."""
    for number in range(20):
        save(folder / "train" / "ab"[number % 2] / f"{number}.png", photograph(number))
    for number in range(4):
        save(folder / "test" / "ab"[number % 2] / f"{number}.png", photograph(100 + number))
    save(folder / "test" / "a" / "copy.bmp", encoded(photograph(2), "BMP"))
    save(folder / "test" / "b" / "near.jpg", encoded(photograph(3), "JPEG", quality=60))
    return read(folder)


def settings(folder: Path, **changes) -> ExperimentConfig:
    quick = TrainConfig(epochs=1, min_steps=2)
    return ExperimentConfig(
        str(folder), initial=6, per_round=4, rounds=2, train=quick, image_size=SIZE,
        random_baseline=False, **changes,
    )  # fmt: skip


def measured_on(store: Store, number: int, data: Dataset) -> int:
    """How many images the next round measures on."""
    finish(advance(store, number, data, CPU))
    return sum(map(sum, store.rounds(number)[-1].metrics["confusion"]))


def test_a_copy_of_a_training_image_measures_only_once_somebody_has_said_so(tmp_path: Path) -> None:
    data = with_leaks(tmp_path / "parts")
    assert [data.test.keys[i] for i in leaking(data)] == ["test/a/copy.bmp", "test/b/near.jpg"]
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    number = start_experiment(store, "mine", settings(tmp_path / "parts"), data)
    assert measured_on(store, number, data) == 4
    for says, count in ((True, 6), (False, 4)):
        experiment = open_experiment(store, number)
        change_settings(store, experiment, replace(experiment.config, copies_measure=says))
        experiment = open_experiment(store, number)
        shown = images_of(experiment, data)
        assert (shown.test.targets >= 0).sum() == count
        assert leaking(shown) == leaking(data)  # so that the page can go on asking
    position = store.rounds(number)[0].log_position
    assert position.settings["copies_measure"] is False


def test_a_log_from_before_anybody_was_asked_goes_on_as_it_was() -> None:
    values = ExperimentConfig().to_json()
    del values["copies_measure"]
    assert ExperimentConfig.from_json(values).copies_measure


def test_a_near_copy_that_comes_later_takes_the_test_image_out_of_the_measure(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "classes"
    for number in range(20):
        save(folder / "ab"[number % 2] / f"{number}.png", photograph(number))
    store, data = Store(f"sqlite:///{tmp_path / 'al.db'}"), read(folder)
    number = start_experiment(store, "mine", settings(folder), data)
    tested = data.test.keys[0]
    with Image.open(folder / tested) as picture:
        save(folder / "a" / "later.jpg", encoded(picture, "JPEG", quality=70))
    data = read(folder)
    bring_up_to_date(store, number, data)
    experiment = open_experiment(store, number)
    assert experiment.manifest.pool[-1].key == "a/later.jpg"
    shown = images_of(experiment, data)
    assert [shown.test.keys[i] for i in leaking(shown)] == [tested]
    assert (shown.test.targets >= 0).sum() == len(shown.test) - 1


def test_a_held_out_image_does_not_measure_what_a_copy_of_it_taught(tmp_path: Path) -> None:
    folder = tmp_path / "loose"
    for number in range(20):
        save(folder / f"{number}.png", photograph(number))
    save(folder / "near.jpg", encoded(photograph(3), "JPEG", quality=60))
    data = read(folder)
    at = {key: i for i, key in enumerate(data.train.keys)}
    held_out = [at["3.png"], at["4.png"]]
    assert copies_among(data, held_out, [at["near.jpg"], at["5.png"]]) == {at["3.png"]}
    assert copies_among(data, held_out, [at["5.png"]]) == set()


def test_pictures_too_small_to_judge_are_not_looked_at(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / "small" / f"{number}.png", photograph(1, (24, 18 + number)))
    assert read(tmp_path / "small").near_copies == ()
    assert loaded(tmp_path / "small", tmp_path / "cache", 8).near_copies == ()
