"""Undo as rows of the log: whatever was said and taken back, the log tells the same as a stack."""

from hypothesis import given
from hypothesis import strategies as st

from al_core.experiment.pool import Pool
from al_core.experiment.undo import undo
from al_core.store.records import Annotation

ASKED = [0, 1, 2]


def labels(log: list[Annotation]) -> dict[int, int | None]:
    return {image: said.label for image, said in Pool.fold(5, log).answers.items()}


acts = st.lists(
    st.one_of(
        st.just("undo"),
        st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 2, None, "clear"])),
    ),
    max_size=25,
)


@given(acts)
def test_undo_goes_back_one_act_at_a_time_to_the_very_beginning(acts) -> None:
    log: list[Annotation] = []
    states = [labels(log)]
    for act in acts:
        if act == "undo":
            row = undo(log, "ada", ASKED)
            assert (row is None) == (len(states) == 1)
            if row is not None:
                log.append(row)
                states.pop()
        else:
            image, said = act
            label = None if said == "clear" else said
            log.append(Annotation(image, label, 1, "ada", cleared=said == "clear"))
            states.append(labels(log))
        assert labels(log) == states[-1]


def test_undo_takes_back_nothing_that_somebody_else_said() -> None:
    log = [Annotation(0, 1, 1, "ben"), Annotation(0, 2, 1, "ada"), Annotation(1, 0, 1, "ben")]
    row = undo(log, "ada", ASKED)
    assert (row.image, row.label) == (0, 1)
    assert undo([*log, row], "ada", ASKED) is None


def test_where_somebody_has_spoken_since_the_last_word_stays_theirs() -> None:
    log = [Annotation(0, 2, 1, "ada"), Annotation(0, 1, 1, "ben")]
    row = undo(log, "ada", ASKED)
    assert labels([*log, row]) == {0: 1}
    assert Pool.fold(5, [*log, row]).answers[0].annotator == "ben"


def test_one_image_can_be_named() -> None:
    log = [Annotation(0, 2, 1, "ada"), Annotation(1, 1, 1, "ada")]
    assert labels([*log, undo(log, "ada", [0])]) == {1: 1}


def test_what_no_batch_asked_about_is_left_alone() -> None:
    log = [Annotation(4, 2, 1, "ada")]
    assert undo(log, "ada", ASKED) is None
    assert undo(log, "ada", [4]).cleared
