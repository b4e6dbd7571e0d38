"""What was read before is not read again, and never stands in for what is in the database."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_core.store.records import Annotation
from al_core.store.store import Store

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 3)),
        st.tuples(st.sampled_from(["skip a number", "come late", "put back"]), st.integers(0, 9)),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def databases(tmp_path_factory) -> Iterator[tuple[Store, Store, sqlite3.Connection]]:
    """One database, as two servers and a stranger see it."""
    path: Path = tmp_path_factory.mktemp("log") / "al.db"
    one, other = Store(f"sqlite:///{path}"), Store(f"sqlite:///{path}")
    stranger = sqlite3.connect(path, isolation_level=None)
    yield one, other, stranger
    one.close(), other.close(), stranger.close()


@given(ACTS)
@settings(max_examples=50)
def test_the_log_is_always_what_the_database_holds(databases, acts) -> None:
    """Rows may come from another server, or late, as PostgreSQL shows those whose numbers were
    given first but that were committed last; or somebody puts another database in the place."""
    one, other, stranger = databases
    experiment = one.create_experiment(uuid4().hex, {}, "", 99)
    gaps: list[int] = []

    def insert(number: int, image: int) -> None:
        stranger.execute(
            "INSERT INTO annotations (id, experiment_id, round, image, key, label, cleared, "
            "annotator, created_at, undoes, guess_shown) "
            "VALUES (?, ?, 0, ?, '', 1, 0, 'ada', '2026-01-01 00:00:00', 0, 0)",
            (number, experiment, image),
        )

    for act, number in acts:
        (last,) = stranger.execute("SELECT coalesce(max(id), 0) FROM annotations").fetchone()
        if act == "append":
            other.append(experiment, [Annotation(i, 1, 0, "me") for i in range(number)])
        elif act == "skip a number":
            gaps.append(last + 1)
            insert(last + 2, number)
        elif act == "come late" and gaps:
            insert(gaps.pop(), number)
        elif act == "put back":
            stranger.execute(
                "UPDATE annotations SET image = ?, created_at = '2026-02-02 00:00:00' "
                "WHERE experiment_id = ?",
                (number, experiment),
            )
        assert list(one.log(experiment)) == other.annotations(experiment)


def test_what_is_known_is_not_read_again(databases) -> None:
    one, other, _ = databases
    experiment = one.create_experiment("twice", {}, "", 99)
    other.append(experiment, [Annotation(i, 1, 0, "me") for i in range(3)])
    before = one.log(experiment)
    other.append(experiment, [Annotation(3, 1, 0, "me")])
    after = one.log(experiment)
    assert [said.image for said in after] == [0, 1, 2, 3]
    assert all(a is b for a, b in zip(before, after, strict=False))
