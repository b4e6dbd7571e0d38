"""Tables from elsewhere, and tables for spreadsheets: no row is lost, and no label is wrong."""

import csv
import io
import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tiny import encoded, loaded, picture, sentence

from al_core.analysis.curves import read_curves
from al_core.config import ExperimentConfig
from al_core.errors import ConfigError
from al_core.exchange.labels import export_labels, export_predictions, read_labels
from al_core.experiment.experiment import Experiment
from al_core.files.csv_cells import as_meant, write_row
from al_core.images.dataset import Dataset, ImageSet
from al_core.names import HIDDEN, check_class_names
from al_core.store.records import Annotation

LIVE = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CLASSES = ("cat", "dog")


def images(*keys: str) -> Dataset:
    n = len(keys)
    train = ImageSet(np.zeros((n, 3, 8, 8), np.uint8), np.full(n, -1), (), keys)
    nothing = ImageSet(np.zeros((0, 3, 8, 8), np.uint8), np.zeros(0, np.int64), (), ())
    return Dataset("pets", train, nothing, "f00d", ())


def of(dataset: Dataset, class_names: tuple[str, ...], annotator: str = "ada") -> Experiment:
    said = tuple(
        Annotation(i, i % len(class_names), 0, annotator, key=key)
        for i, key in enumerate(dataset.train.keys)
    )
    config = ExperimentConfig(data="pets", class_names=class_names)
    return Experiment(1, "mine", config, "f00d", len(said), said, (), ())


def exported(experiment: Experiment) -> str:
    file = io.StringIO()
    export_labels(experiment, file)
    return file.getvalue()


# As keys may be: anything but halves of characters, and zero bytes.
names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)
tricky = st.text(st.sampled_from("'=-\t\",\ra"), min_size=1, max_size=12)


def as_compared(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


class_names = st.lists(
    (names | tricky).map(lambda name: HIDDEN.sub("", name)).filter(str.strip),
    min_size=2,
    max_size=4,
    unique_by=as_compared,
)


@given(st.lists(names | tricky, min_size=2, max_size=5, unique=True), st.data())
@example(["=1+1", "'=1+1", "''=1+1", "'", "-"], None)
def test_whatever_the_names_an_export_is_imported_again_with_the_same_labels(
    keys: list[str], data: st.DataObject | None
) -> None:
    classes = tuple(data.draw(class_names)) if data else ("=a", "'=a")
    check_class_names(classes)
    dataset = images(*keys)
    table = read_labels(exported(of(dataset, classes)).encode(), dataset, classes)
    assert table.problems == []
    assert table.labels == {i: i % len(classes) for i in range(len(keys))}


@given(names | tricky, names | tricky, names | tricky)
@example("=HYPERLINK(1)", "@SUM(1)", "＝1")
def test_a_spreadsheet_gets_no_live_formula(key: str, class_name: str, annotator: str) -> None:
    experiment = of(images(key, "b"), (class_name, "dog"), annotator)
    predicted = io.StringIO()
    probs = np.array([[1, 0], [0, 1]], np.float32)
    export_predictions([key, "b"], np.arange(2), probs, (class_name, "dog"), predicted)
    for text in (exported(experiment), predicted.getvalue()):
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert [len(row) for row in rows] == [len(rows[0])] * 3
        assert as_meant(rows[1][0]) == key
        for delimiter in ",;\t":  # which one a spreadsheet takes depends on the country
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
            assert not [cell for row in rows for cell in row if cell.startswith(LIVE)]


def test_numbers_stay_numbers() -> None:
    file = io.StringIO()
    write_row(file, [-0.25, -3, "-3", None])
    assert file.getvalue() == "-0.25,-3,'-3,\n"


def test_curves_of_a_table_have_their_names_without_the_apostrophe() -> None:
    file = io.StringIO()
    write_row(file, ["strategy", "seed", "labeled", "test_accuracy"])
    write_row(file, ["=margin", 0, 10, 0.5])
    assert [curve.name for curve in read_curves(file.getvalue().encode(), "x.csv")] == ["=margin"]


@pytest.mark.parametrize(
    ("table", "labels"),
    [
        ("key,class_name\na.png,cat\n", {0: 0}),
        ("key,class_name\r\na.png,cat\r\n", {0: 0}),
        ('"key";"class_name"\n"a.png";"dog"\n', {0: 1}),
        ('key,class_name\n"two\nlines.png",dog\n', {1: 1}),
        ('class_name,key\n"dog","quo""te.png"\n', {2: 1}),
        ("key,class_name\n", {}),
        ("KEY , Label\n a.png , dog \n\n,\n", {0: 1}),
    ],
)
def test_tables_are_read_however_they_are_written(table: str, labels: dict[int, int]) -> None:
    dataset = images("a.png", "two\nlines.png", 'quo"te.png')
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        read = read_labels(table.encode(encoding), dataset, CLASSES)
        assert (read.labels, read.problems) == (labels, [])


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"\n\n",
        "key,class_name\na.png,caf\u00e9\n".encode("cp1252"),
        "key,class_name\na.png,cat\n".encode("utf-16-le"),  # without the mark at its beginning
        "key,class_name\na.png,cat\n".encode("utf-32"),
        b"key,class_name\na.png," + b"x" * 200_000 + b"\n",
        b"key,name\na.png,cat\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
)
def test_what_is_no_table_of_labels_is_one_sentence(table: bytes) -> None:
    with pytest.raises(ConfigError, match=r"\.$") as error:
        read_labels(table, images("a.png"), CLASSES)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 300


def test_a_quote_that_is_never_closed_swallows_rows_and_is_told_in_short() -> None:
    table = 'key,class_name\n"a.png,cat\n' + "b.png,dog\n" * 1000
    read = read_labels(table.encode(), images("a.png", "b.png"), CLASSES)
    assert read.labels == {}
    ((row, why),) = read.problems
    assert (row, len(why) < 300) == (2, True)


def test_a_class_name_of_any_length_is_told_in_short() -> None:
    table = f"key,class_name\na.png,{'x' * 10_000}\n"
    ((_, why),) = read_labels(table.encode(), images("a.png"), CLASSES).problems
    assert len(why) < 300


@pytest.mark.parametrize(
    "row",
    ["a,inf,10,0.5", "a,0,1e400,0.5", "a,0,-5,0.5", "a,0.5,10,0.5", "a,0,10,nan", "a,0,10,2",
     "a,0," + "9" * 400 + ",0.5"],
)  # fmt: skip
def test_numbers_that_cannot_be_in_a_curve_are_one_sentence(row: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.csv .*\.$"):
        read_curves(f"strategy,seed,labeled,test_accuracy\n{row}\n".encode(), "x.csv")


def parquet(path: Path, metadata: object = None, **columns: pa.Array) -> Path:
    rows = [{"bytes": encoded(picture(i)), "path": f"{i}.png"} for i in range(4)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"img": pa.array(rows, kind), **columns})
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path)
    return path


LABEL = pa.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    "metadata",
    [None, 5, [], {"info": []}, {"info": {"features": [1]}}, {"info": {"features": {"img": 3}}},
     {"info": {"features": {"label": {"_type": "ClassLabel", "names": 7}}}},
     {"info": {"features": {"label": {"_type": "ClassLabel", "names": {"0": "cat"}}}}}],
)  # fmt: skip
def test_metadata_that_says_nothing_leaves_the_labels_numbered(
    tmp_path: Path, metadata: object
) -> None:
    data = loaded(parquet(tmp_path / "x.parquet", metadata, label=LABEL), tmp_path / "cache")
    assert data.train.class_names == ("0", "1")
    assert sorted([*data.train.targets, *data.test.targets]) == [0, 0, 1, 1]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary("int8", "string")])
def test_labels_that_are_texts_name_their_classes(tmp_path: Path, kind: pa.DataType) -> None:
    folder, cache = tmp_path / "data", tmp_path / "cache"
    folder.mkdir()
    parquet(folder / "train-0.parquet", label=pa.array(["emu", "cat", "cat", "emu"]).cast(kind))
    parquet(folder / "train-1.parquet", label=pa.array(["dog", "cat", "dog", "cat"]).cast(kind))
    parquet(folder / "test-0.parquet", label=pa.array(["emu", "dog", "cat", "emu"]).cast(kind))
    data = loaded(folder, cache)
    assert data.train.class_names == ("cat", "dog", "emu")
    assert data.train.targets.tolist() == [2, 0, 0, 2, 1, 0, 1, 0]
    assert data.test.targets.tolist() == [2, 1, 0, 2]
    for missing in (None, " "):
        path = parquet(tmp_path / "x.parquet", label=pa.array(["a", missing, "a", "b"]).cast(kind))
        assert "rows without a label" in sentence(path, cache)


def test_columns_that_are_no_labels_and_labels_out_of_range_are_a_sentence(tmp_path: Path) -> None:
    path, cache = tmp_path / "x.parquet", tmp_path / "cache"
    fractions = parquet(path, label=pa.array([0.0, float("nan"), 1.0, 1.0]))
    assert "has double in its column label" in sentence(fractions, cache)
    other = parquet(path, weight=pa.array([0.0, float("nan"), 1.0, 1.0]))
    assert not loaded(other, cache).has_truth
    huge = parquet(path, label=pa.array([0, 1, 2**63 + 5, 1], pa.uint64()))
    assert loaded(huge, cache).train.class_names == ("0", "1", str(2**63 + 5))
    kind = pa.struct([("bytes", pa.list_(pa.int8())), ("path", pa.int64())])
    pq.write_table(pa.table({"img": pa.array([{"bytes": [1], "path": 1}], kind)}), path)
    assert "no column of images" in sentence(path, cache)


def test_a_path_that_no_file_can_have_is_one_unreadable_image(tmp_path: Path) -> None:
    paths = ["0.png", "1.png", "2\0.png", "3" * 300, "4.png", "5.png"]
    rows = [{"bytes": encoded(picture(i)), "path": path} for i, path in enumerate(paths)]
    rows[2]["bytes"] = rows[3]["bytes"] = None
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"img": pa.array(rows, kind)}), tmp_path / "x.parquet")
    data = loaded(tmp_path / "x.parquet", tmp_path / "cache")
    assert data.unreadable == ("2\\x00.png", "3" * 300)
    assert len(data.train) == 4


def test_a_key_with_a_zero_byte_is_one_that_every_database_keeps(tmp_path: Path) -> None:
    rows = [{"bytes": encoded(picture(i)), "path": f"{i}\0.png"} for i in range(4)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"img": pa.array(rows, kind)}), tmp_path / "x.parquet")
    data = loaded(tmp_path / "x.parquet", tmp_path / "cache")
    assert list(data.train.keys) == [f"{i}\\x00.png" for i in range(4)]
