"""Which labels look wrong, how far people agree, and what happened meanwhile."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from al_core.analysis.label_quality import agreement, disagrees_strongly, self_confidence
from al_core.config import ExperimentConfig
from al_core.experiment.activity import since
from al_core.experiment.disagreement import disagreement
from al_core.experiment.experiment import Experiment
from al_core.store.records import Annotation, Batch, Reasons, RoundRecord

PROBS = np.array(
    [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.3, 0.7], [0.55, 0.45]], dtype=np.float32
)  # fmt: skip
LABELS = np.array([0, 1, 1, 1, 0])


def experiment(annotations=(), rounds=(), batches=()) -> Experiment:
    config = ExperimentConfig(class_names=("a", "b"))
    return Experiment(
        1, "mine", config, "", 10, tuple(annotations), tuple(batches), tuple(rounds)
    )  # fmt: skip


def test_the_label_the_model_holds_least_likely_is_the_most_suspicious() -> None:
    assert self_confidence(PROBS, LABELS).argmin() == 1


def test_disagreement_is_strong_where_the_model_is_as_sure_as_it_usually_is() -> None:
    # The mean of class 0 is (0.9 + 0.55) / 2 = 0.725: the second image reaches it, with label 1.
    assert disagrees_strongly(PROBS, LABELS).tolist() == [False, True, False, False, False]


def test_a_class_nobody_used_is_no_reason_to_doubt() -> None:
    assert not disagrees_strongly(PROBS, np.zeros(5, dtype=np.int64)).any()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=10))
def test_agreement_is_cohens_kappa_of_the_last_labels(pairs) -> None:
    first = [Annotation(i, a, 0, "ada") for i, (a, _) in enumerate(pairs)]
    second = [Annotation(i, b, 0, "ben") for i, (_, b) in enumerate(pairs)]
    early = [Annotation(0, 2, 0, "ada"), Annotation(0, None, 0, "ben")]
    (found,) = agreement(experiment([*early, *first, *second]))
    assert (found.first, found.second, found.images) == ("ada", "ben", len(pairs))
    assert found.share == pytest.approx(np.mean([a == b for a, b in pairs]))
    if len({label for pair in pairs for label in pair}) == 1:
        assert found.kappa is None
    else:
        a, b = zip(*pairs, strict=True)
        assert found.kappa == pytest.approx(cohen_kappa_score(a, b))


def test_agreement_counts_blind_labels_that_were_not_undone() -> None:
    ada, ben = Annotation(0, 1, 0, "ada"), Annotation(0, 1, 0, "ben")
    assert agreement(experiment([ada, replace(ben, guess_shown=True)])) == []
    assert agreement(experiment([ada, ben, replace(ben, undoes=True)])) == []


def test_people_without_images_in_common_are_not_compared() -> None:
    assert agreement(experiment([Annotation(0, 1, 0, "ada"), Annotation(1, 1, 0, "ben")])) == []


def test_the_rate_of_disagreement_counts_the_labels_that_had_a_guess() -> None:
    reasons = Reasons(8, [[(0, 0.6)], [(1, 0.7)], [(1, 0.5)]], None, [[], [], []])
    batches = [
        Batch(0, "random", [0], None),
        Batch(1, "margin", [1, 2, 3], None, model=0, reasons=reasons),
    ]
    said = [
        Annotation(0, 0, 0, "ada"),
        Annotation(1, 0, 1, "ada"),
        Annotation(2, 0, 1, "ada"),
        Annotation(3, None, 1, "ada"),
    ]
    opened = experiment(said, batches=batches)
    assert disagreement(opened, 0) == (0, 0, False)
    assert disagreement(opened, 1) == (2, 1, False)
    after_the_guess = [*said, Annotation(2, 1, 1, "ada")]
    assert disagreement(experiment(after_the_guess, batches=batches), 1) == (2, 1, False)
    shown = [replace(a, guess_shown=True) for a in said]
    assert disagreement(experiment(shown, batches=batches), 1) == (2, 1, True)


def test_somebody_who_comes_back_is_told_what_others_did() -> None:
    record = RoundRecord(0, 1, None, [], 0, 0, 0, 0, 0)
    first = Annotation(0, 1, 0, "ada")
    later = [Annotation(i, 1, 0, "ben") for i in (1, 2, 2)]
    past = since(experiment([first, *later], [record]), "ada")
    assert past.at == first.created_at
    assert past.others == {"ben": 2}
    assert since(experiment([first, *later]), "cleo") is None
