"""Labels and images that leave the experiment, and labels that come in."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from tiny import encoded, folder_of, loaded, shard

from al_core.config import ExperimentConfig
from al_core.errors import ConfigError, FileNotWritten, SourceError
from al_core.exchange.images import export_folders, export_parquet
from al_core.exchange.labels import export_labels, import_labels, read_labels
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.images.dataset import Dataset
from al_core.progress import finish
from al_core.store.records import Annotation, FirstRows
from al_core.store.store import Store

FILES = ("a/1.png", "a/2.png", "b/1.png", "b/2.png", "b/3.png")
NAMES = ("cat/dog", "cat_dog", "..")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder = folder_of(tmp_path / "pictures", *(name.replace("/", "-") for name in FILES))
    return loaded(folder, tmp_path / "cache")


def experiment(store: Store, dataset: Dataset, labels: list[int | None]) -> Experiment:
    config = ExperimentConfig(data=dataset.source, class_names=NAMES)
    said = [
        Annotation(i, label, 0, "ada", key=dataset.train.keys[i], milliseconds=1500)
        for i, label in enumerate(labels)
    ]
    return open_experiment(
        store,
        store.create_experiment(
            "mine", config.to_json(), "f00d", len(dataset.train), FirstRows(said)
        ),
    )


def test_images_are_copied_into_one_folder_per_class(
    store: Store, dataset: Dataset, tmp_path: Path
) -> None:
    opened = experiment(store, dataset, [0, 1, 2, None])
    assert finish(export_folders(opened, dataset, tmp_path / "out")) == 3
    written = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.png")}
    assert written == {"cat_dog/a-1.png", "cat_dog (2)/a-2.png", "_/b-1.png"}
    original = Path(dataset.source) / dataset.train.keys[0]
    assert (tmp_path / "out/cat_dog/a-1.png").read_bytes() == original.read_bytes()


@pytest.mark.parametrize("form", ["folder", "zip", "parquet"])
def test_files_are_exported_as_they_were_wherever_they_lie(
    store: Store, tmp_path: Path, form: str
) -> None:
    """Photographs larger than what a network sees, one of them without an ending."""
    contents = [
        encoded(Image.effect_noise((90, 60 + i), 50), "JPEG", quality=91 + i) for i in range(4)
    ]
    names = ["a.jpg", "b.JPEG", "c", "d.jpg"]
    source = tmp_path / f"mine.{form}"
    if form == "folder":
        source.mkdir()
        for name, content in zip(names, contents, strict=True):
            (source / name).write_bytes(content)
    elif form == "zip":
        with zipfile.ZipFile(source, "w") as archive:
            for name, content in zip(names, contents, strict=True):
                archive.writestr(name, content)
    else:
        rows = [{"bytes": c, "path": n} for n, c in zip(names, contents, strict=True)]
        shard(source, [-1] * 4, rows=rows)
    dataset = loaded(source, tmp_path / "cache")
    opened = experiment(store, dataset, [0] * len(dataset.train))
    assert finish(export_folders(opened, dataset, tmp_path / "out")) == len(dataset.train) == 4
    written = {path.name: path.read_bytes() for path in (tmp_path / "out" / "cat_dog").iterdir()}
    assert written == dict(zip(["a.jpg", "b.JPEG", "c.jpg", "d.jpg"], contents, strict=True))


def test_a_file_that_is_another_one_by_now_is_not_exported(
    store: Store, dataset: Dataset, tmp_path: Path
) -> None:
    opened = experiment(store, dataset, [0, 1])
    Image.new("RGB", (8, 8), "red").save(Path(dataset.source) / dataset.train.keys[1])
    with pytest.raises(SourceError, match=r"a-2\.png is not there any more, or is another file"):
        finish(export_folders(opened, dataset, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_before_any_label_a_folder_is_empty(store: Store, dataset: Dataset, tmp_path: Path) -> None:
    opened = experiment(store, dataset, [None])
    assert finish(export_folders(opened, dataset, tmp_path / "out")) == 0
    assert list((tmp_path / "out").iterdir()) == []


def test_a_zip_holds_the_same(store: Store, dataset: Dataset, tmp_path: Path) -> None:
    opened = experiment(store, dataset, [0, 1])
    finish(export_folders(opened, dataset, tmp_path / "out.zip"))
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert sorted(archive.namelist()) == ["cat_dog (2)/a-2.png", "cat_dog/a-1.png"]


def test_an_export_that_is_stopped_or_fails_leaves_nothing(
    store: Store, dataset: Dataset, tmp_path: Path
) -> None:
    opened = experiment(store, dataset, [0, 1])
    before = set(tmp_path.iterdir())
    for export in (export_folders, export_parquet):
        work = export(opened, dataset, tmp_path / "out")
        next(work)
        work.close()
    with pytest.raises(FileNotWritten, match=r"cannot be written \(No such file"):
        finish(export_folders(opened, dataset, tmp_path / "nowhere" / "out.zip"))
    assert set(tmp_path.iterdir()) == before


def test_parquet_is_read_again_with_the_same_labels_and_pixels(
    store: Store, dataset: Dataset, tmp_path: Path
) -> None:
    labels = [0, 1, 2, 1, 0]
    opened = experiment(store, dataset, labels)
    finish(export_parquet(opened, dataset, tmp_path / "out.parquet"))
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["image", "label", "key"]
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": list(NAMES), "_type": "ClassLabel"}
    again = loaded(tmp_path / "out.parquet", tmp_path / "cache")
    assert sorted([*again.train.targets, *again.test.targets]) == sorted(labels)
    assert again.train.class_names == NAMES
    picture = np.asarray(Image.open(io.BytesIO(table["image"][1].as_py()["bytes"])).convert("RGB"))
    assert np.array_equal(picture, dataset.train.images[1].transpose(1, 2, 0))


def test_an_export_is_imported_again_without_a_change(store: Store, dataset: Dataset) -> None:
    opened = experiment(store, dataset, [0, None, 2])
    file = io.StringIO()
    export_labels(opened, file)
    assert file.getvalue().splitlines()[1].endswith(",1.5")
    table = read_labels(file.getvalue().encode(), dataset, NAMES)
    assert table.labels == {0: 0, 1: None, 2: 2}
    assert import_labels(store, opened, table, dataset, "ben") == 0


@pytest.mark.parametrize(
    "text",
    [
        "key,class_name\n{0},cat_dog\n{3},..\n",
        "class_name;Key\ncat_dog;{0}\n..;{3}\n\n",
        "{0}\tcat_dog\n{3}\t..\n",
        "note,key,Class name\nx, {0} , cat_dog\ny,{3},..\ny,{3},..\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_keys_and_class_names_is_imported(
    store: Store, dataset: Dataset, text: str, encoding: str
) -> None:
    opened = experiment(store, dataset, [0])
    text = text.format(*dataset.train.keys)
    table = read_labels(text.encode(encoding), dataset, NAMES)
    assert (table.labels, table.problems) == ({0: 1, 3: 2}, [])
    assert import_labels(store, opened, table, dataset, "ben") == 2
    answers = open_experiment(store, opened.id).pool.answers
    assert {i: (a.label, a.annotator) for i, a in answers.items()} == {0: (1, "ben"), 3: (2, "ben")}


def test_rows_that_fit_nowhere_are_named_and_then_none_is_imported(
    store: Store, dataset: Dataset
) -> None:
    opened = experiment(store, dataset, [0])
    key = dataset.train.keys[1]
    text = f"key,class_name\n{key},..\nnobody,..\n{key},bird\n{key},cat_dog\nshort\n"
    table = read_labels(text.encode(), dataset, NAMES)
    assert table.problems == [
        (3, "No image has the key “nobody”."),
        (4, "There is no class “bird”."),
        (5, f"The key “{key}” stands above with another class."),
        (6, "No image has the key “short”."),
    ]
    with pytest.raises(ConfigError, match=r"fit no image or class: 4; nothing was imported\."):
        import_labels(store, opened, table, dataset, "ben")
    assert len(open_experiment(store, opened.id).annotations) == 1


@pytest.mark.parametrize(
    "table", [b"", b"a,b,c\n1,2,3\n", b"key\n1\n", b"\xff\xfe\x00", b"\x80abc"]
)
def test_what_is_no_table_is_told_in_a_sentence(dataset: Dataset, table: bytes) -> None:
    with pytest.raises(ConfigError, match=r"\.$"):
        read_labels(table, dataset, NAMES)
