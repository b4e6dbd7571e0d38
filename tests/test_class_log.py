"""An experiment whose classes change while it is labelled: what is learned, asked and measured."""

from __future__ import annotations

import io

import numpy as np
import pytest
from click.testing import CliRunner
from squares import CPU, config, of_squares, train

from al_core.cli.main import main
from al_core.exchange.labels import export_labels, import_labels, read_labels
from al_core.experiment.class_acts import add, change_classes, merge, rename, retire, split, undo
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.leases import Holder, take_new_batch
from al_core.experiment.predictions import load_measured
from al_core.experiment.source import images_of
from al_core.experiment.start import start_experiment
from al_core.loop.advance import choose_batch
from al_core.loop.measured_anew import measured_anew, where_classes_changed
from al_core.progress import finish
from al_core.store.records import Annotation, Batch
from al_core.store.store import Store


class Team:
    """Two servers on one database, and an experiment on squares of three colours."""

    def __init__(self, database: str) -> None:
        self.stores = [Store(database), Store(database)]
        self.squares = of_squares()
        self.number = start_experiment(
            self.stores[0], "mine", config(initial=12, rounds=3), self.squares
        )
        train(self.stores[0], self.squares, self.number)

    @property
    def now(self) -> Experiment:
        first, second = (open_experiment(store, self.number) for store in self.stores)
        assert first == second
        assert first.classes == second.classes
        return second

    def change(self, server: int, make) -> None:
        change_classes(self.stores[server], self.number, "ada", make)

    def batch(self) -> Batch:
        def choose(experiment: Experiment, number: int):
            return choose_batch(experiment, number, self.squares, CPU)

        work = take_new_batch(self.stores[0], self.number, Holder("tab", "ada"), choose)
        return finish(work)

    def say(self, image: int, label: int) -> None:
        self.stores[0].append(self.number, [Annotation(image, label, 1, "ada")])

    def labels(self) -> list[str]:
        names, answers = self.now.classes.names, self.now.pool.answers.values()
        return sorted(names[a.label] for a in answers if a.label is not None)

    def confusion(self) -> np.ndarray:
        measured = measured_anew(self.now, images_of(self.now, self.squares))
        return np.array(measured.rounds[0].metrics["confusion"])


@pytest.fixture
def team(database: str) -> Team:
    return Team(database)


def test_labels_follow_what_two_servers_do_with_the_classes(team: Team) -> None:
    of = {name: team.labels().count(name) for name in ("red", "green", "blue")}
    team.change(0, merge(["red"], "green"))
    team.change(1, rename("green", "warm"))
    assert team.labels() == ["blue"] * of["blue"] + ["warm"] * (of["red"] + of["green"])
    team.change(0, split("warm", ["rosy", "grassy"]))
    assert team.labels() == ["blue"] * of["blue"]
    assert len(team.now.asked_again) == of["red"] + of["green"]
    team.change(1, undo())
    team.change(1, add(["black"]))
    team.change(0, retire("blue"))
    assert team.labels() == ["warm"] * (of["red"] + of["green"])
    assert len(team.now.pool.skipped) == of["blue"]
    for _ in range(4):
        team.change(1, undo())
    assert team.labels() == sorted(name for name, count in of.items() for _ in range(count))


def test_the_images_of_a_class_that_was_split_are_asked_about_first(team: Team) -> None:
    red = {i for i, a in team.now.pool.answers.items() if a.label == 0}
    team.change(0, split("red", ["light", "dark"]))
    batch = finish(choose_batch(team.now, 2, team.squares, CPU))
    assert set(batch.images[: len(red)]) == red
    assert len(batch.images) == max(len(red), 4)
    for image in red:
        team.say(image, 3)
    assert team.labels().count("light") == len(red)
    assert team.now.asked_again == frozenset()


def test_rounds_are_measured_by_the_classes_of_now(team: Team) -> None:
    before = team.confusion()
    assert before.sum() == 30
    team.change(0, merge(["red"], "green"))
    merged = team.confusion()
    probs = load_measured(team.now.folder, 0).probs
    is_blue = probs[:, 2] > probs[:, 0] + probs[:, 1]
    truth = team.squares.test.targets == 2
    assert merged[1:, 1:].tolist() == [
        [(~truth & ~is_blue).sum(), (~truth & is_blue).sum()],
        [(truth & ~is_blue).sum(), (truth & is_blue).sum()],
    ]
    assert merged.sum() == 30
    team.change(0, add(["black"]))
    assert team.confusion().shape == (4, 4)
    team.change(0, split("blue", ["sky", "sea"]))
    assert team.confusion().sum() == 20  # nobody has said which of the blue ones are which
    assert measured_anew(team.now, None).rounds[0].metrics is None
    assert team.now.rounds[0].metrics["confusion"] == before.tolist()  # its record stays
    for _ in range(3):
        team.change(0, undo())
    assert (team.confusion()[:3, :3] == before).all()


def test_the_next_round_learns_the_classes_of_now_and_the_curve_says_where(team: Team) -> None:
    team.change(0, merge(["red"], "green"))
    team.change(0, add(["black"]))
    team.change(0, undo())
    batch = team.batch()
    for image in batch.images:
        team.say(image, int(team.squares.train.targets[image]))
    team.stores[0].hand_in(batch.id)
    train(team.stores[0], team.squares, team.number)
    (round_,) = team.now.rounds[1:]
    assert np.array(round_.metrics["confusion"])[0].sum() == 0
    assert round_.labeled == 16
    assert where_classes_changed(team.now) == [(1, "“red” merged into “green”")]


def test_tables_of_labels_name_the_classes_of_now(team: Team) -> None:
    team.change(0, rename("blue", "sky"))
    team.change(0, merge(["red"], "green"))
    file = io.StringIO()
    export_labels(team.now, file)
    assert {row.split(",")[3] for row in file.getvalue().splitlines()[1:]} == {"green", "sky"}
    free = [str(i) for i in team.now.free_images[:3]]
    rows = "".join(
        f"{key},{name}\n" for key, name in zip(free, ("red", "sky", "blue"), strict=True)
    )
    table = read_labels(f"key,class_name\n{rows}".encode(), team.squares, team.now.classes.numbers)
    assert list(table.labels.values()) == [1, 2]
    assert table.problems == [(4, "There is no class “blue”.")]
    import_labels(team.stores[0], team.now, type(table)(table.labels, []), team.squares, "ben")
    assert team.labels().count("sky") == team.now.pool.labels.tolist().count(2)


def test_classes_are_changed_by_command(home, store: Store) -> None:
    start_experiment(store, "mine", config(), of_squares())

    def run(*words: str) -> str:
        result = CliRunner().invoke(main, ["classes", *words, "--experiment", "mine"])
        return result.output.strip()

    assert run("add", "black", "white") == "The classes are now: red, green, blue, black, white."
    assert run("merge", "red", "black", "--into", "blue") == (
        "The classes are now: green, blue, white."
    )
    assert run("split", "white", "snow", "milk").endswith("green, blue, snow, milk.")
    assert run("order", "milk", "blue").endswith("milk, blue, green, snow.")
    assert run("rename", "green", "grass").endswith("milk, blue, grass, snow.")
    assert run("retire", "snow").endswith("milk, blue, grass.")
    assert run("undo").endswith("milk, blue, grass, snow.")
    assert run("redo").endswith("milk, blue, grass.")
    assert run("redo") == "Error: There is no change of the classes to do again."
    assert run("rename", "red", "x") == (
        "Error: There is no class “red”; there are: milk, blue, grass."
    )
    assert run("key", "milk", "M").endswith("milk, blue, grass.")
    listed = run("list").splitlines()
    assert listed[-1].endswith("“milk” put on the key M")
    assert [line.partition(":")[0] for line in listed[:3]] == ["milk", "blue", "grass"]
    assert listed[3].endswith("me: “black” and “white” added")
