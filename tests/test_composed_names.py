"""An é is one code point or two: a file's name is the same, however it is composed."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from test_manifest import Desk, write
from tiny import folder_of, loaded

from al_core.exchange.labels import read_labels
from al_core.experiment.changes import changes_since
from al_core.sources.listing import keys_of
from al_core.store.records import HERE, MISSING, ImageRow, now

ONE, TWO = "caf\u00e9.png", "cafe\u0301.png"  # the same to read


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Four pictures, of which the café, written as on a Mac, is labelled."""
    made = Desk(tmp_path)
    for picture, name in enumerate(("a.png", TWO, "y.png", "z.png")):
        write(made.folder / name, picture)
    made.start()
    made.say(ONE, 0)
    return made


def test_a_key_is_composed_however_the_file_is_called(desk: Desk) -> None:
    assert desk.source.train.keys == ["a.png", ONE, "y.png", "z.png"]
    assert desk.rows() == {ONE: "cat"}
    assert isinstance(
        desk.source.pictures.find(desk.source.train.files["digest"][1].tobytes()), bytes
    )


def test_a_file_that_is_composed_otherwise_later_has_not_moved(desk: Desk) -> None:
    before = len(desk.experiment.manifest.rows)
    (desk.folder / TWO).rename(desk.folder / ONE)
    desk.look()
    assert len(desk.experiment.manifest.rows) == before
    write(desk.folder / ONE, 1, rating=5)
    desk.look()
    assert desk.told() == "1 rewritten"
    assert desk.rows() == {ONE: "cat"}


def test_a_log_with_a_key_of_two_code_points_goes_on(desk: Desk) -> None:
    """Keys were not composed before."""
    image = desk.at(ONE)
    row = desk.experiment.manifest.pool[image]
    former = ImageRow(row.split, row.position, TWO, digest="", shows="", created_at=now())
    desk.store.add_images(desk.number, [former], len(desk.experiment.manifest.rows))
    experiment = desk.look()
    assert (desk.state(image), experiment.manifest.pool[image].key) == (HERE, ONE)
    assert MISSING not in {one.state for one in experiment.manifest.pool}
    assert "moved" not in {change.kind for change in changes_since(experiment.manifest, 0)}


def test_two_files_that_differ_in_that_alone_are_both_kept(desk: Desk) -> None:
    shutil.rmtree(desk.folder)
    for picture, name in enumerate((ONE, TWO, "z.png"), start=1):
        write(desk.folder / name, picture + 10 * (name == TWO))
    if len(list(desk.folder.iterdir())) < 3:
        pytest.skip("this file system takes them for one")
    data = desk.read()
    assert sorted(data.train.keys) == sorted([ONE, TWO, "z.png"])
    shown = {
        key: image.tobytes() for key, image in zip(data.train.keys, data.train.images, strict=True)
    }
    assert shown[ONE] != shown[TWO]
    write(desk.folder / TWO, 50)
    again = desk.read()
    assert again.train.images[again.train.keys.index(ONE)].tobytes() == shown[ONE]
    assert again.train.images[again.train.keys.index(TWO)].tobytes() != shown[TWO]


def test_keys_keep_what_tells_two_files_apart_and_what_is_no_text() -> None:
    assert keys_of(["b", TWO, "\udcff"]) == ["b", ONE, "\\xff"]
    assert keys_of([ONE, TWO]) == [ONE, TWO]
    assert keys_of([TWO, ONE]) == [TWO, ONE]


def test_a_class_and_a_table_may_be_composed_otherwise(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", "cafe\u0301/1.png", "caf\u00e9/2.png", "bar/3.png")
    data = loaded(folder, tmp_path / "cache")
    assert data.train.class_names == ("bar", "caf\u00e9")
    assert np.bincount(data.train.targets).tolist() == [1, 2]
    beside = folder_of(tmp_path / "b", TWO, "bar.png")
    text = f"file_name,label\n{ONE},cafe\u0301\nbar.png,bar\n"
    (beside / "metadata.csv").write_text(text, "utf-8")
    data = loaded(beside, tmp_path / "cache")
    assert (data.train.keys, data.train.targets.tolist()) == (["bar.png", ONE], [0, 1])
    assert data.train.class_names == ("bar", "caf\u00e9")


def test_labels_are_imported_by_a_name_that_is_composed_otherwise(desk: Desk) -> None:
    table = f"key,class_name\n{TWO},dog\n".encode()
    found = read_labels(table, desk.images, desk.experiment.config.class_names)
    assert found.labels == {desk.at(ONE): 1}
    assert found.problems == []
