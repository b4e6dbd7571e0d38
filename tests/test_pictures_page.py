"""A person sees whole pictures, in a real browser."""

import shutil
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from tiny import loaded, of_all_shapes
from waiting import until

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.store.store import Store


def start(home: Path, folder: Path, name: str) -> tuple[Store, int, list[str]]:
    """An experiment of four images that a person labels, and their keys."""
    dataset = loaded(folder, home / "cache")
    settings = ExperimentConfig(
        str(folder), class_names=("a", "b"), image_size=8,
        initial=4, per_round=1, rounds=0, initial_labels="person",
    )  # fmt: skip
    store = Store(f"sqlite:///{home / 'al.db'}")
    number = start_experiment(store, name, settings, dataset)
    return store, number, [dataset.train.keys[i] for i in store.batches(number)[0].images]


def label_all(page: Page) -> None:
    for _ in range(4):
        page.keyboard.press("1")
    expect(page.get_by_text("4 of 4 saved")).to_be_visible()


def test_a_person_sees_whole_pictures_and_one_of_them_large(app, tmp_path: Path) -> None:
    _, experiment, keys = start(tmp_path, of_all_shapes(tmp_path / "mine"), "mine")
    with app(path=f"/?experiment={experiment}") as page:
        pictures = page.get_by_test_id("tile").locator("img")
        shape = "images => images.map((i) => i.naturalWidth && [i.naturalWidth, i.naturalHeight])"
        until(lambda: sum(map(bool, pictures.evaluate_all(shape))) == 4)
        seen = dict(zip(keys, pictures.evaluate_all(shape), strict=True))
        assert seen == {
            "a/wide.png": [320, 107], "a/turned.jpg": [320, 107], "b/nothing.png": [40, 80],
            "b/blue.tif": [320, 320],
        }  # fmt: skip
        names = page.get_by_test_id("tile").locator(".picture")
        titles = names.evaluate_all("all => all.map((one) => one.title)")
        assert titles == [key.split("/")[1] for key in keys]  # the folder is the answer
        for _ in range(keys.index("a/wide.png")):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("z")
        large = page.get_by_test_id("large").locator("img").last  # over the thumbnail
        until(lambda: large.evaluate("i => [i.naturalWidth, i.naturalHeight]") == [600, 200])
        assert large.evaluate("i => Math.round(10 * i.clientWidth / i.clientHeight)") == 30
        label_all(page)


@pytest.mark.parametrize("side", [16, 200])
def test_a_file_that_vanishes_says_so_in_its_tile_and_the_batch_goes_on(
    app, tmp_path: Path, side: int
) -> None:
    """Small pictures are asked for together, larger ones by themselves."""
    folder = tmp_path / "mine"
    for i in range(12):
        path = folder / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side), (20 * i, 99, 200)).save(path)
    _, first, _ = start(tmp_path, folder, "first")
    store, second, asked = start(tmp_path, folder, "second")
    sides = "images => images.map((image) => image.naturalWidth)"
    with app(path=f"/?experiment={first}") as page:
        pictures = page.get_by_test_id("tile").locator("img")
        until(lambda: pictures.evaluate_all(sides) == 4 * [side])  # the source is open
        (folder / asked[1]).unlink()
        shutil.rmtree(tmp_path / "cache" / "thumbnails")
        page.goto(page.url.replace(f"experiment={first}", f"experiment={second}"))
        until(lambda: pictures.evaluate_all(sides) == [side, 160, side, side])
        said = "async (image) => (await fetch(image.src)).text()"
        assert "This picture is not there any more." in pictures.nth(1).evaluate(said)
        label_all(page)
        assert len(store.annotations(second)) == 4
