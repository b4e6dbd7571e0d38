"""The pool is a fold over the annotations."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from al_core.experiment.pool import Pool
from al_core.store.records import Annotation, what_stands


def said(image: int, label: int | None, cleared: bool = False) -> Annotation:
    return Annotation(image, label, 1, "ada", cleared=cleared)


def test_the_last_word_on_an_image_counts() -> None:
    pool = Pool.fold(5, [said(3, 1), said(0, 2), said(3, 0)])
    assert pool.labeled.tolist() == [0, 3]
    assert pool.labels.tolist() == [2, 0]
    assert pool.unlabeled.tolist() == [1, 2, 4]


def test_a_skipped_image_is_neither_labelled_nor_asked_again() -> None:
    pool = Pool.fold(3, [said(1, None)])
    assert pool.skipped.tolist() == [1]
    assert pool.labeled.tolist() == []
    assert pool.unlabeled.tolist() == [0, 2]


def test_clearing_an_image_opens_it_again() -> None:
    pool = Pool.fold(2, [said(0, 1), said(0, None, cleared=True)])
    assert pool.unlabeled.tolist() == [0, 1]


events = st.builds(
    said, st.integers(0, 9), st.one_of(st.none(), st.integers(0, 3)), cleared=st.booleans()
)


@given(st.lists(events))
def test_every_image_is_always_in_exactly_one_of_three_places(log: list[Annotation]) -> None:
    pool = Pool.fold(10, log)
    places = [*pool.labeled.tolist(), *pool.skipped.tolist(), *pool.unlabeled.tolist()]
    assert sorted(places) == list(range(10))
    assert len(pool.labels) == len(pool.labeled)


@given(st.lists(events), events)
def test_one_more_annotation_changes_one_image_only(
    log: list[Annotation], last: Annotation
) -> None:
    before, after = Pool.fold(10, log).answers, Pool.fold(10, [*log, last]).answers
    before.pop(last.image, None)
    assert after.pop(last.image, None) == (None if last.cleared else last)
    assert before == after


undos = st.builds(replace, events, undoes=st.booleans(), annotator=st.sampled_from(["ada", "bo"]))


@given(st.lists(undos))
def test_what_counts_is_the_last_of_what_still_stands(log: list[Annotation]) -> None:
    standing = {image: said[-1] for image, said in what_stands(log).items() if said}
    counts = [said for said in standing.values() if not said.cleared]
    assert list(Pool.fold(10, log).answers.values()) == counts
