"""Embeddings that somebody brings along, in files of several kinds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from squares import of_squares

from al_core.errors import ConfigError
from al_core.features.read import read_features


def test_embeddings_that_one_brings_along_are_found_by_key_or_by_place(home: Path) -> None:
    dataset, rng = of_squares(), np.random.default_rng(0)
    keys = [*dataset.train.keys, *dataset.test.keys]
    rows = rng.normal(size=(len(keys), 5)).astype(np.float16)
    shuffled = rng.permutation(len(keys))
    mixed = [keys[i] for i in shuffled]
    np.save(home / "rows.npy", rows)
    np.savez(home / "parts.npz", train=rows[:60], test=rows[60:])
    np.savez(home / "keyed.npz", keys=np.array(mixed), embeddings=rows[shuffled])
    lists = pa.array(rows[shuffled].astype(np.float32).tolist(), pa.list_(pa.float32()))
    pq.write_table(pa.table({"key": mixed, "vector": lists}), home / "keyed.parquet")
    for name in ("rows.npy", "parts.npz", "keyed.npz", "keyed.parquet"):
        features = read_features(home / name, dataset)
        assert np.array_equal(features.train, rows[:60]), name
        assert np.array_equal(features.test, rows[60:]), name

    np.save(home / "few.npy", rows[:7])
    pq.write_table(pa.table({"key": mixed[1:], "vector": lists[1:]}), home / "less.parquet")
    pq.write_table(pa.table({"key": mixed}), home / "keys.parquet")
    np.savez(home / "twice.npz", keys=np.array(mixed[:1] * 90), embeddings=rows)
    for name, sentence in (
        ("few.npy", r"it has 7 rows for 90 images"),
        ("less.parquet", rf"1 images have none, for one {mixed[0]}"),
        ("keys.parquet", "a column of keys and one of lists of numbers"),
        ("twice.npz", "some of them twice"),
        ("nowhere.npz", "cannot be read as embeddings"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            read_features(home / name, dataset)
