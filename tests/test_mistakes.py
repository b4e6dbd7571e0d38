"""Recall by class, and which mistakes are shown first."""

import numpy as np

from al_core.models.metrics import class_recall, confident_mistakes

PROBS = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0.3, 0.7], [0.6, 0, 0.4], [0.1, 0, 0.9]])
TARGETS = np.array([0, 0, 1, 2, 1])


def test_recall_is_the_share_of_a_class_that_was_recognised() -> None:
    recall = class_recall([[3, 1, 0], [0, 0, 0], [1, 1, 0]])
    np.testing.assert_array_equal(recall, [0.75, np.nan, 0])


def test_mistakes_come_the_most_confident_first_and_what_is_right_is_none() -> None:
    assert confident_mistakes(PROBS, TARGETS).tolist() == [4, 1, 2, 3]


def test_mistakes_are_filtered_by_what_it_is_and_by_what_the_model_said() -> None:
    assert confident_mistakes(PROBS, TARGETS, truth=1).tolist() == [4, 2]
    assert confident_mistakes(PROBS, TARGETS, predicted=1).tolist() == [1]
    assert confident_mistakes(PROBS, TARGETS, truth=2, predicted=1).tolist() == []


def test_mistakes_of_the_same_confidence_in_half_precision_keep_their_order() -> None:
    probs = np.full((5, 2), (1, 0), np.float16)
    assert confident_mistakes(probs, np.ones(5, dtype=np.int64)).tolist() == [0, 1, 2, 3, 4]
