"""The images of a source in shards are those of the source as a whole, by the same keys."""

from pathlib import Path

import numpy as np
import pytest
from bucket import bucket_of
from tiny import folder_of, parquet_of

from al_core.distributed import image_shards
from al_core.distributed.image_shards import shards_of, with_images, write_pictures
from al_core.errors import ConfigError, SourceError
from al_core.images.dataset import identities
from al_core.images.dataset_cache import load
from al_core.pictures.square import Square
from al_core.progress import finish


def names(source: str) -> list[str]:
    return [shard["name"] for shard in finish(shards_of(source, Square(16)))[0]]


@pytest.mark.parametrize(
    "kind",
    [
        "folder",
        "parquet",
        "one parquet file",
        "digits",
        "address of a folder",
        "address of parquet",
    ],
)
def test_shards_hold_the_images_by_their_keys(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    monkeypatch.setattr(image_shards, "ROWS", 4)
    monkeypatch.setattr(image_shards, "MOST_ROWS", 5)
    source = tmp_path / "mine"
    if kind.endswith("folder"):
        folder_of(source, *(f"{name}/{i}.png" for i in range(6) for name in "ab"))
        (source / "a" / "broken.png").write_bytes(b"no picture")
    elif kind != "digits":
        parquet_of(source, group=None if kind == "one parquet file" else 2)
    if kind == "one parquet file":
        source /= "train.parquet"
    where = "digits" if kind == "digits" else str(source)
    dataset = finish(load(where, image_size=16, cache_dir=tmp_path / "cache"))
    if kind.startswith("address"):
        where = source.as_uri()
    if kind == "one parquet file":
        assert names(source.as_uri()) == names(where)
    found, _ = finish(shards_of(where, Square(16)))
    assert len({shard["name"] for shard in found}) == len(found) > 1
    images, digests = {}, {}
    for shard in found:
        whole = with_images(shard)
        images |= dict(zip(whole["keys"], whole["images"], strict=True))
        digests |= dict(zip(whole["keys"], whole["digests"], strict=True))
    assert len(images) == len(dataset.train) + len(dataset.test)
    for some in (dataset.train, dataset.test):
        assert all(np.array_equal(images[key], some.images[i]) for i, key in enumerate(some.keys))
        assert [digests[key] for key in some.keys] == identities(some).tolist()
    assert names(where) == [shard["name"] for shard in found]
    batch = [dataset.test.keys[0], *dataset.train.keys[3:7:2]]
    finish(write_pictures(where, batch, tmp_path / "batch.parquet"))
    opened = finish(load(str(tmp_path / "batch.parquet"), image_size=16, cache_dir=tmp_path / "c"))
    assert sorted([*opened.train.keys, *opened.test.keys]) == sorted(batch)
    assert opened.train.class_names == ()
    for i, key in enumerate(opened.train.keys):  # digits are written at 32 pixels
        assert kind == "digits" or np.array_equal(opened.train.images[i], images[key])
    with pytest.raises(ConfigError, match="1 of the images are not in"):
        finish(write_pictures(where, [*batch, "nowhere"], tmp_path / "batch.parquet"))
    if kind.endswith("folder"):
        (source / "b" / "6.png").write_bytes((source / "a" / "0.png").read_bytes())
        assert names(where)[:3] == [shard["name"] for shard in found[:3]]
        assert names(where)[3:] != [shard["name"] for shard in found[3:]]


@pytest.mark.slow
def test_an_object_store_is_read_side_by_side_by_the_same_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    folder_of(tmp_path / "images", *(f"{name}/{i} ü.png" for i in range(20) for name in "ab"))
    parquet_of(tmp_path / "table")
    with bucket_of(tmp_path) as bucket:
        for path in ("images", "table", "table/train.parquet"):
            bucket.at_once = 0
            there, here = (
                [with_images(shard) for shard in finish(shards_of(where, Square(16)))[0]]
                for where in (bucket.address(path), (tmp_path / path).as_uri())
            )
            assert len(there) == len(here) > 0
            for shard, same in zip(there, here, strict=True):
                assert shard["keys"] == same["keys"]
                assert np.array_equal(shard["images"], same["images"])
            assert path != "images" or bucket.at_once > 4
        with pytest.raises(ConfigError, match="cannot be listed"):
            finish(shards_of(bucket.address("nothing"), Square(16)))


def test_a_folder_that_a_worker_does_not_have_is_no_folder_without_images(tmp_path: Path) -> None:
    folder_of(tmp_path / "mine", "a.png", "b.png")
    (shard,), _ = finish(shards_of(str(tmp_path / "mine"), Square(16)))
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"There is no folder .*mine on "):
        with_images(shard)


def test_an_address_that_leads_nowhere_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be listed"):
        finish(shards_of((tmp_path / "nothing").as_uri(), Square(16)))
    with pytest.raises(ConfigError, match="cannot be listed"):
        finish(shards_of("nosuch://bucket/folder", Square(16)))
    with pytest.raises(SourceError, match="must be 8 to 512 pixels"):
        finish(shards_of("digits", Square(0)))
    with pytest.raises(ConfigError, match="holds no images"):
        finish(shards_of(tmp_path.as_uri(), Square(16)))
