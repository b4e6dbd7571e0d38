"""Labels that tables beside images give, and images in the rows of tables of other kinds."""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import encoded, folder_of, loaded, picture, sentence

from al_core.images.dataset import Dataset

FLAT = [f"{i}.png" for i in range(20)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def truth(data: Dataset) -> dict[str, str]:
    names = (*data.train.class_names, "")
    pairs = [zip(half.keys, half.targets, strict=True) for half in data.splits]
    return {key: names[target] for half in pairs for key, target in half}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "semicolons", "windows"])
def test_metadata_beside_images_gives_their_classes(tmp_path: Path, cache: Path, kind: str) -> None:
    folder = folder_of(tmp_path / "flat", *FLAT, "deep/ü.png", "none.png")
    labels = {name: str(i % 12) for i, name in enumerate(FLAT)} | {"deep/ü.png": "5"}
    if kind == "jsonl":
        lines = [json.dumps({"file_name": n, "label": int(t)}) for n, t in labels.items()]
    else:
        mark = ";" if kind == "semicolons" else ","
        lines = [mark.join(row) for row in [("file_name", "text", "label")]]
        lines += [mark.join((name, "a picture", label)) for name, label in labels.items()]
        lines += [mark.join(("gone.png", "", "1"))]
    text = "\n".join(lines)
    if kind == "windows":
        text = "\ufeff" + text.replace("\n", "\r\n").replace("deep/ü", ".\\deep\\u\u0308")
    ending = "jsonl" if kind == "jsonl" else "csv"
    (folder / f"metadata.{ending}").write_text(text + "\n", "utf-8", newline="")
    data = loaded(folder, cache)
    assert truth(data) == labels | {"none.png": ""}
    assert data.train.class_names == tuple(map(str, range(12)))
    assert data.unreadable == (() if kind == "jsonl" else ("gone.png",))
    (folder / f"metadata.{ending}").unlink()  # the pictures are cached, but not as they are now
    assert loaded(folder, cache).train.class_names == ()


def test_metadata_may_lie_in_each_part_and_without_labels_is_told_of(
    tmp_path: Path, cache: Path
) -> None:
    parts = folder_of(tmp_path / "parts", "train/1.png", "train/2.png", "test/1.png")
    (parts / "train" / "metadata.csv").write_text("file_name,label\n1.png,cat\n2.png,dog\n")
    (parts / "test" / "metadata.csv").write_text("file_name,label\n1.png,cat\n")
    data = loaded(parts, cache)
    assert truth(data) == {"train/1.png": "cat", "train/2.png": "dog", "test/1.png": "cat"}
    assert list(data.test.keys) == ["test/1.png"]
    for part in ("train", "test"):
        (parts / part / "metadata.csv").write_text("file_name,text\n1.png,a cat\n")
    assert "has file_name, text" in loaded(parts, cache).notes[0]
    for part in ("train", "test"):
        (parts / part / "metadata.csv").write_text("file_name,label\nanother.png,cat\n1.png,\n")
    data = loaded(parts, cache)
    assert "No image is named with a label" in data.notes[0]
    assert data.unreadable == ("test/1.png", "test/another.png", "train/another.png")
    (parts / "train" / "metadata.csv").write_text("file_name,label\n1.png,cat\n1.png,dog\n")
    assert "two classes: cat and dog" in sentence(parts, cache)
    (parts / "train" / "metadata.csv").unlink()
    for damaged in (b"\xff\xfe\x00", b'{"file_name": "1.png"'):
        (parts / "train" / "metadata.jsonl").write_bytes(damaged)
        assert "damaged" in sentence(parts, cache)


def rows(count: int) -> pa.Array:
    pictures = [{"bytes": encoded(picture(i)), "path": f"{i}.png"} for i in range(count)]
    return pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def save_to_disk(folder: Path, table: pa.Table) -> None:
    """What Hugging Face's ``save_to_disk`` writes."""
    folder.mkdir(parents=True)
    for number, half in enumerate((table[:7], table[7:])):
        name = str(folder / f"data-0000{number}-of-00002.arrow")
        with pa.OSFile(name, "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(half)
    (folder / "cache-0f.arrow").write_bytes(b"what map() has computed")
    (folder / "state.json").write_text("{}")
    (folder / "dataset_info.json").write_text("{}")


def test_a_dataset_that_hugging_face_saved_is_read(tmp_path: Path, cache: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    table = pa.table({"image": rows(12), "label": pa.array([0, 1] * 6)})
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = table.replace_schema_metadata(about)
    for part in ("train", "test"):
        save_to_disk(tmp_path / "saved" / part, table)
    (tmp_path / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    data = loaded(tmp_path / "saved", cache)
    assert data.train.class_names == ("cat", "dog")
    assert data.train.targets.tolist() == data.test.targets.tolist() == [0, 1] * 6
    assert data.train.images[:, 0, 0, 0].tolist() == list(range(12))
    alone = loaded(tmp_path / "saved" / "test", cache)
    assert len(alone.train) + len(alone.test) == 12
    file = tmp_path / "saved" / "train" / "data-00000-of-00002.arrow"
    file.write_bytes(file.read_bytes()[:300])
    assert "damaged" in sentence(tmp_path / "saved", cache)


@pytest.mark.parametrize("column", ["file_name", "image", "bytes"])
def test_a_table_may_name_its_pictures_or_hold_their_bytes_alone(
    tmp_path: Path, cache: Path, column: str
) -> None:
    home = folder_of(tmp_path / "home", *(f"images/{i}.png" for i in range(4)))
    folder_of(tmp_path, "outside.png")
    names = [f"images/{i}.png" for i in range(4)] + ["../outside.png"]
    whole = [(home / name).read_bytes() for name in names]
    held = pa.array(whole, pa.binary()) if column == "bytes" else pa.array(names)
    pq.write_table(pa.table({column: held, "label": list("aabba")}), home / "all.parquet")
    data = loaded(home, cache)
    assert data.train.class_names == ("a", "b")
    assert data.unreadable == (() if column == "bytes" else ("../outside.png",))
    assert data.train.images[:4, 0, 0, 0].tolist() == [10, 11, 12, 13]


def test_pictures_without_any_path_are_read(tmp_path: Path, cache: Path) -> None:
    """As pandas writes them: a column of nothing has a type of its own."""
    held = [{**row, "path": None} for row in rows(4).to_pylist()]
    image = pa.array(held, pa.struct({"bytes": pa.binary(), "path": pa.null()}))
    pq.write_table(pa.table({"image": image, "label": list("aabb")}), tmp_path / "x.parquet")
    data = loaded(tmp_path / "x.parquet", cache)
    assert (data.train.class_names, len(data.train) + len(data.test)) == (("a", "b"), 4)
    assert data.unreadable == ()


def test_texts_of_numbers_are_in_their_natural_order(tmp_path: Path, cache: Path) -> None:
    labels = [str(i) for i in range(12)]
    pq.write_table(pa.table({"image": rows(12), "label": labels}), tmp_path / "x.parquet")
    data = loaded(tmp_path / "x.parquet", cache)
    assert data.train.class_names == tuple(labels)
    assert data.train.targets.tolist() == list(range(12))


@pytest.mark.parametrize(
    "names",
    [
        ("mydata-train", "mydata-test"),
        ("Training", "Evaluation"),
        ("train-00000-of-00001", "dev-00000-of-00001"),
        ("train/0", "valid/0"),
        ("mine", "mine_test"),
    ],
)
def test_tables_are_parts_by_the_words_of_splits(
    tmp_path: Path, cache: Path, names: tuple[str, str]
) -> None:
    home = tmp_path / "home"
    for name, label in zip(names, (["a", "b"], ["b", "b"]), strict=True):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": rows(2), "label": label}), home / f"{name}.parquet")
    data = loaded(home, cache)
    assert (data.train.targets.tolist(), data.test.targets.tolist()) == ([0, 1], [1, 1])
    for name in names:
        path = home / f"{name}.parquet"
        path.rename(path.with_name(f"{'test' if name == names[0] else 'val'}.parquet"))
    if home in (home / names[0]).parents and "/" not in names[0]:
        assert "none to train on" in sentence(home, cache)


def test_tables_that_are_not_used_are_listed(tmp_path: Path, cache: Path) -> None:
    for name in ("train", "notes", "test", "validation"):
        table = pa.table({"image": rows(4), "label": list("abab")})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    assert loaded(tmp_path, cache).unreadable == ("notes.parquet", "validation.parquet")


@pytest.mark.parametrize("how", ["'{}'", '"{}"', "“{}”", "file://{}", "file://localhost{}"])
def test_a_path_may_be_quoted_or_an_address(tmp_path: Path, cache: Path, how: str) -> None:
    folder = folder_of(tmp_path / "my pets", "1.png", "2.png")
    path = str(folder).replace(" ", "%20") if how.startswith("file") else str(folder)
    assert len(loaded(f" {how.format(path)} ", cache).train) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="a backslash is no letter of a name there")
def test_a_path_may_come_from_a_shell_and_a_literal_one_wins(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "my (old) pets"
    escaped = str(path).replace(" ", "\\ ").replace("(", "\\(").replace(")", "\\)")
    assert escaped in sentence(escaped, cache)  # named as it was given
    folder_of(path, "1.png", "2.png")
    assert len(loaded(escaped, cache).train) == 2
    folder_of(Path(escaped), "1.png", "2.png", "3.png")
    assert len(loaded(escaped, cache).train) == 3
