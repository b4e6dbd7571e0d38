"""Rows of manifests are read as they were written, by whichever server."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from al_core.errors import StoreError
from al_core.store import image_rows
from al_core.store.records import ImageRow
from al_core.store.store import Store
from al_core.store.tables import images

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ROWS = st.builds(
    ImageRow,
    st.sampled_from(["train", "test", "drawn"]),
    st.integers(0, 2**40),
    TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
    TEXT,
    TEXT,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["here", "missing"]),
    TEXT,
    st.datetimes(timezones=st.just(UTC)),
    TEXT,
)


def started(path: Path) -> tuple[Store, int]:
    store = Store(f"sqlite:///{path}")
    return store, store.create_experiment("mine", {}, "f", 2)


@given(blocks=st.lists(st.lists(ROWS, min_size=1, max_size=5), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_two_servers_read_what_either_has_written(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[ImageRow]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "al.db"
    one, number = started(path)
    other = Store(f"sqlite:///{path}")
    written: list[ImageRow] = []
    for turn, block in enumerate(blocks):
        writer = (one, other)[turn % 2]
        assert writer.add_images(number, block, len(written))
        assert not writer.add_images(number, block, len(written))
        written += block
        for reader in (one, other):
            assert [*reader.images(number)] == written
            assert reader.images(number) is reader.images(number)
    one.close()
    other.close()


def test_a_database_that_was_put_in_the_place_of_another_is_read_anew(tmp_path: Path) -> None:
    path, saved = tmp_path / "al.db", tmp_path / "saved.db"
    store, number = started(path)
    first, second, third = (ImageRow("train", 0, name, created_at=NOON) for name in "abc")
    store.add_images(number, [first], 0)
    store.close()
    shutil.copy(path, saved)
    store = Store(f"sqlite:///{path}")
    store.add_images(number, [second], 1)
    assert [*store.images(number)] == [first, second]
    store.close()
    shutil.copy(saved, path)
    beside = Store(f"sqlite:///{path}")
    beside.add_images(number, [third], 1)
    beside.close()
    assert [*store.images(number)] == [first, third]


def test_a_damaged_manifest_is_told_in_a_sentence(tmp_path: Path) -> None:
    store, number = started(tmp_path / "al.db")
    store.add_images(number, [ImageRow("train", 0, "a")], 0)
    with store.writing() as connection:
        connection.execute(update(images).values(body=b"nothing of ours"))
    with pytest.raises(StoreError, match="manifest in the database is damaged"):
        Store(f"sqlite:///{tmp_path / 'al.db'}").images(number)


def test_a_block_of_an_earlier_version_lacks_the_last_column(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ImageRow("train", 0, "a.png", ("b.png",), 32 * "a", "", 3, 4, "here", "cat", NOON)
    store, number = started(tmp_path / "al.db")
    schema = image_rows.schema()
    with monkeypatch.context() as of_before:
        without = schema.remove(schema.get_field_index("stamp"))
        of_before.setattr(image_rows, "schema", lambda: without)
        store.add_images(number, [row], 0)
    other = Store(f"sqlite:///{tmp_path / 'al.db'}")
    assert [*other.images(number)] == [row]
    store.close()
    other.close()
