"""Parquet files in Hugging Face's image layout."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import folder_of, loaded, sentence, shard

from al_core.progress import finish
from al_core.sources.parquet import read_parquet

SHARED = Path(__file__).parents[2] / "shared" / "data" / "cifar10"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def test_shards_and_splits_are_found_by_name_and_columns_by_kind(tmp_path, cache):
    folder = tmp_path / "data"
    shard(folder / "train-00001-of-00002.parquet", [1, 1], image="photo", label="kind")
    shard(folder / "train-00000-of-00002.parquet", [0, 1], image="photo", label="kind")
    shard(folder / "test-00000-of-00001.parquet", [1], image="photo", label="kind")
    data = loaded(tmp_path, cache)
    assert data.train.class_names == ("cat", "dog")
    assert data.train.targets.tolist() == [0, 1, 1, 1]
    assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    assert data.test.targets.tolist() == [1]
    assert len({*data.train.keys, *data.test.keys}) == 5


def test_one_file_without_names_is_split_by_class_and_numbered(tmp_path, cache):
    file = shard(tmp_path / "all.parquet", [1, 100, 5, 1] * 5, names=())
    data = loaded(file, cache)
    assert data.train.class_names == ("1", "5", "100")
    assert np.bincount(data.test.targets).tolist() == [2, 2, 2]
    assert data.train.keys[0].endswith(".png")


def test_hidden_labels_are_unknown_and_test_nothing(tmp_path, cache):
    shard(tmp_path / "train.parquet", [0, 1, -1] * 5)
    shard(tmp_path / "test.parquet", [-1, -1])
    data = loaded(tmp_path, cache)
    assert not data.has_truth
    assert sorted(data.test.targets) == [0, 0, 1, 1]
    assert len(data.train) == 11


def test_test_images_with_hidden_labels_are_not_used(tmp_path, cache):
    shard(tmp_path / "train.parquet", [0, 1, -5])
    shard(tmp_path / "test.parquet", [-1, 1])
    data = loaded(tmp_path, cache)
    assert data.train.targets.tolist() == [0, 1, -1]
    assert data.test.targets.tolist() == [1]


def test_images_beside_a_parquet_file_are_read_and_damaged_ones_left_out(tmp_path, cache):
    home = folder_of(tmp_path / "home", "0.png", "1.png")
    rows = [
        {"bytes": None, "path": "0.png"},
        {"bytes": None, "path": "1.png"},
        {"bytes": b"damaged", "path": "2.png"},
        {"bytes": None, "path": "../outside.png"},
    ]
    folder_of(tmp_path, "outside.png")
    data = loaded(shard(home / "all.parquet", [0, 1, 0, 1], rows=rows).parent, cache)
    assert data.train.images[:, 0, 0, 0].tolist() == [10, 11]
    assert data.unreadable == ("2.png", "../outside.png")


def test_what_is_wrong_with_parquet_is_said_in_a_sentence(tmp_path, cache):
    file = tmp_path / "x.parquet"
    shard(file, [0, None])
    assert "without a label" in sentence(file, cache)
    shard(file, [0, 2])
    assert "label 2" in sentence(file, cache)
    shard(file, [*range(10_001)], names=(), rows=[{"bytes": b"", "path": ""}] * 10_001)
    assert "10,001 different labels" in sentence(file, cache)
    pq.write_table(pa.table({"label": [1]}), file)
    assert "no column of images" in sentence(file, cache)
    shard(file, [])
    assert "holds no images" in sentence(file, cache)
    shard(file, [0, 1] * 100)
    file.write_bytes(file.read_bytes()[:-100])
    assert "damaged" in sentence(file, cache)


def test_cifar10_in_hugging_face_layout_is_whole(cache):
    if not SHARED.exists():
        pytest.skip(f"{SHARED} is not here")
    content = finish(read_parquet(SHARED, sorted(path.name for path in SHARED.iterdir())))
    assert np.bincount(content.targets[~content.in_test]).tolist() == [5000] * 10
    assert np.bincount(content.targets[content.in_test]).tolist() == [1000] * 10
    assert content.class_names[::9] == ("airplane", "truck")
    assert len(set(content.keys)) == 60_000
    data = loaded(SHARED / "test-00000-of-00001.parquet", cache, image_size=32)
    assert data.unreadable == ()
    every_pixel = np.concatenate([data.train.images, data.test.images])
    assert abs(every_pixel.mean() / 255 - 0.48) < 0.01
