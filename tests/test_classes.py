"""Classes that come, go, merge and part: a fold over what people did, played against a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
from class_model import OPEN, SKIPPED, ClassModel, an_act
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from al_core.errors import ConfigError
from al_core.experiment.class_acts import (
    TAKEN,
    add,
    change_classes,
    merge,
    put_on,
    redo,
    rename,
    reorder,
    retire,
    split,
    undo,
)
from al_core.experiment.classes import Classes, fold
from al_core.experiment.pool import Pool
from al_core.store.records import Annotation, ClassChange
from tests.servers import ROOT

FIRST = ("cat", "dog", "bird")
IMAGES = 6


@dataclass
class Log:
    """As a store, but in memory, and another one writes between a look and a write."""

    changes: tuple[ClassChange, ...] = ()
    between: list[ClassChange] = field(default_factory=list)

    def experiment(self, number):
        return type("Record", (), {"config": {"class_names": FIRST}})

    def class_changes(self, number):
        return self.changes

    def add_class_change(self, number, change, place):
        if self.between:
            self.changes += (self.between.pop(),)
        if place != len(self.changes):
            return False
        self.changes += (change,)
        return True


def after(*makes) -> Classes:
    log = Log()
    for make in makes:
        change_classes(log, 1, "me", make)
    return fold(FIRST, log.changes)


def called(classes: Classes, label: int) -> str:
    counts = classes.counts_as[label]
    return classes.names[counts] if counts >= 0 else {-1: "open", -2: "skipped"}[counts]


@pytest.mark.parametrize(
    ("makes", "shown", "labels"),
    [
        ([add(["fish"])], "cat dog bird fish", "cat dog bird fish"),
        ([rename("cat", "feline")], "feline dog bird", "feline dog bird"),
        ([reorder(["bird", "cat"])], "bird cat dog", "cat dog bird"),
        ([merge(["cat"], "dog")], "dog bird", "dog dog bird"),
        ([add(["cow"]), merge(["cat"], "dog"), merge(["dog"], "bird")],
         "bird cow", "bird bird bird cow"),
        ([split("cat", ["tabby", "black"])], "tabby black dog bird", "open dog bird tabby black"),
        ([split("cat", ["tabby", "black"]), undo()], "cat dog bird", "cat dog bird cat cat"),
        ([split("cat", ["tabby", "black"]), undo(), redo()],
         "tabby black dog bird", "open dog bird tabby black"),
        ([retire("cat")], "dog bird", "skipped dog bird"),
        ([add(["fish"]), undo()], "cat dog bird", "cat dog bird open"),
        ([add(["fish"]), merge(["cat"], "fish"), undo(), undo(), redo(), redo()],
         "dog bird fish", "fish dog bird fish"),
        ([merge(["cat"], "dog"), undo(), redo(), undo()], "cat dog bird", "cat dog bird"),
        ([rename("cat", "a"), rename("dog", "cat"), add(["dog"])],
         "a cat bird dog", "a cat bird dog"),
    ],
)  # fmt: skip
def test_classes_are_shown_and_labels_count_as_the_log_says(makes, shown, labels) -> None:
    classes = after(*makes)
    assert [classes.names[one] for one in classes.shown] == shown.split()
    assert [called(classes, i) for i in range(len(classes.names))] == labels.split()


@pytest.mark.parametrize(
    ("makes", "keys"),
    [
        ([put_on("cat", " C ")], ["c", "", ""]),
        ([put_on("cat", "7"), rename("cat", "tom"), add(["cow"])], ["7", "", "", ""]),
        ([put_on("cat", "c"), put_on("dog", "c")], ["", "c", ""]),
        ([put_on("cat", "c"), put_on("dog", "c"), undo()], ["c", "", ""]),
        ([put_on("cat", "c"), put_on("cat", "")], ["", "", ""]),
    ],
)
def test_a_class_has_the_key_that_somebody_gave_it_last(makes, keys) -> None:
    assert [*after(*makes).keys] == keys


def test_no_class_takes_a_letter_that_does_something_else_in_the_grid() -> None:
    script = (ROOT / "al_desk" / "grid" / "label_grid.js").read_text("utf-8")
    commands = script[script.index("commands: {") : script.index("focus: ()")]
    assert "".join(sorted(re.findall(r"\b([a-z]): ", commands))) == TAKEN


@pytest.mark.parametrize(
    ("makes", "sentence"),
    [
        ([add(["cat"])], "a class “cat” already"),
        ([add([" "])], "A class needs a name"),
        ([add(["e\u0301", "\u00e9"])], "Two classes have the same name"),
        ([rename("cat", "dog")], "Two classes have the same name"),
        ([rename("cow", "dog")], "no class “cow”; there are: cat, dog, bird"),
        ([merge(["cat", "dog"], "bird")], "at least two classes"),
        ([merge(["cat"], "cat")], "A merge needs two classes"),
        ([split("cat", ["tabby"])], "two others at least"),
        ([split("cat", ["tabby", "dog"])], "Two classes have the same name"),
        ([retire("cat"), retire("dog")], "at least two classes"),
        ([put_on("cat", "S")], "S does something else while you label"),
        ([put_on("cat", "ж")], "A key is a letter from A to Z, or a digit: “ж”"),
        ([put_on("cow", "c")], "no class “cow”"),
        ([undo()], "no change of the classes to undo"),
        ([add(["fish"]), redo()], "no change of the classes to do again"),
        ([add(["fish"]), undo(), add(["cow"]), redo()], "to do again"),
        ([add(["fish"]), undo(), redo(), redo()], "to do again"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence_and_changes_nothing(makes, sentence) -> None:
    log = Log()
    for make in makes[:-1]:
        change_classes(log, 1, "me", make)
    before = log.changes
    with pytest.raises(ConfigError, match=sentence):
        change_classes(log, 1, "me", makes[-1])
    assert log.changes == before


def test_two_people_at_the_same_moment_are_one_after_the_other() -> None:
    log = Log(between=[ClassChange("add", names=("fish",), annotator="you")])
    after = change_classes(log, 1, "me", add(["cow"]))
    assert [after.names[one] for one in after.shown] == ["cat", "dog", "bird", "fish", "cow"]
    log = Log(between=[ClassChange("add", names=("cow",), annotator="you")])
    with pytest.raises(ConfigError, match="already"):
        change_classes(log, 1, "me", add(["cow"]))


def test_what_a_model_said_before_is_read_by_the_classes_of_now() -> None:
    said = np.array([[0.5, 0.3, 0.2], [0, 0, 1]], np.float32)
    for makes, expected in (
        ([add(["fish"])], [[0.5, 0.3, 0.2, 0], [0, 0, 1, 0]]),
        ([merge(["cat"], "dog")], [[0, 0.8, 0.2], [0, 0, 1]]),
        ([split("cat", ["tabby", "black"])], [[0, 0.3, 0.2, 0.25, 0.25], [0, 0, 1, 0, 0]]),
        ([retire("bird")], [[0.625, 0.375, 0], [0.5, 0.5, 0]]),
        ([split("cat", ["a", "b"]), merge(["a"], "dog")], [[0, 0.55, 0.2, 0, 0.25],
                                                             [0, 0, 1, 0, 0]]),
    ):  # fmt: skip
        now = after(*makes).probabilities(said)
        np.testing.assert_allclose(now, expected, atol=1e-6)
        np.testing.assert_allclose(after(*makes).probabilities(now), now, atol=1e-6)


class Players(RuleBasedStateMachine):
    """Whatever is done with classes, each label counts as the model says."""

    def __init__(self) -> None:
        super().__init__()
        self.log, self.model = Log(), ClassModel(len(FIRST))
        self.given: dict[int, int] = {}  # by the image

    @property
    def classes(self) -> Classes:
        return fold(FIRST, self.log.changes)

    @rule(image=st.integers(0, IMAGES - 1), data=st.data())
    def label(self, image: int, data: st.DataObject) -> None:
        self.given[image] = data.draw(st.sampled_from(self.classes.shown))

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        kind, make = an_act(self.classes, data)
        try:
            change_classes(self.log, 1, "me", make)
        except ConfigError:
            return
        self.model.take(kind, self.log.changes[-1])

    @invariant()
    def labels_count_as_the_model_says(self) -> None:
        classes = self.classes
        rows = [Annotation(image, label, 0, "me") for image, label in self.given.items()]
        answers = Pool.fold(IMAGES, classes.mapped(rows)).answers
        for image, label in self.given.items():
            counts = self.model.counts_as(label)
            if counts == OPEN:
                assert image not in answers
            else:
                assert answers[image].label == (None if counts == SKIPPED else counts)
        assert len({classes.names[one] for one in classes.shown}) == len(classes.shown) >= 2


TestPlayers = Players.TestCase
TestPlayers.settings = settings(max_examples=100, stateful_step_count=25, deadline=None)
