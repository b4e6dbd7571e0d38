"""Labels by HTTP: on disk when they are answered, once, in order; and the log has the last word."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tiny import loaded, picture

from al_core.config import ExperimentConfig
from al_core.experiment.class_acts import change_classes, merge
from al_core.experiment.experiment import open_experiment
from al_core.experiment.leases import Holder, take_open_batch
from al_core.experiment.start import start_experiment
from al_core.store.erase import erase
from al_core.store.records import Annotation, Batch, now
from al_core.store.store import Store
from al_desk.routes import visitors
from al_desk.routes.app import routes
from al_desk.routes.events import ANY, CLEAR, HAND_IN, UNDO
from al_desk.routes.grids import Grid, token_of
from al_desk.server import resources

MOUNTS = (f"tab{number}" for number in itertools.count())


@dataclass
class Tab:
    """Somebody's browser with a grid in it, as far as the server knows it."""

    client: TestClient
    grid: Grid
    mount: str = field(default_factory=lambda: next(MOUNTS))
    sent: int = 0
    at: list[int] | None = None
    labels: dict[int, int] = field(default_factory=dict)

    def post(self, *events: list, images: tuple[int, ...] = (), status: int = 200) -> dict:
        message = {"grid": token_of(self.grid), "at": self.at, "images": list(images),
                   "mount": self.mount, "first": self.sent, "events": list(events)}  # fmt: skip
        answer = self.client.post("/labels", json=message)
        assert answer.status_code == status, answer.text
        told = answer.json()
        if status == 200:
            self.at = told["at"]
            self.sent = told["saved"]
            self.labels |= dict(told.get("labels", []))
        return told


@dataclass
class Opened:
    client: TestClient
    store: Store
    number: int
    images: list[int]

    def tab(self, annotator: str = "ada", kind: str = "batch") -> Tab:
        (batch, *_) = self.store.batches(self.number)
        of = batch.id if kind == "batch" else 0
        return Tab(self.client, Grid(self.number, kind, of, annotator))

    def rows(self) -> list[tuple[int, int | None, str]]:
        return [(a.image, a.label, a.annotator) for a in self.store.annotations(self.number)]


@pytest.fixture
def opened(home: Path) -> Iterator[Opened]:
    """An experiment of six images that ada labels."""
    folder = home / "mine"
    folder.mkdir(parents=True)
    for i in range(8):
        picture(20 * i).save(folder / f"{i}.png")
    settings = ExperimentConfig(
        str(folder), class_names=("a", "b", "c"), initial=6, per_round=1, rounds=1,
        image_size=8, initial_labels="person",
    )  # fmt: skip
    store = Store()
    resources._open_store.cache_clear()
    number = start_experiment(store, "mine", settings, loaded(folder, home / "cache"))
    batch = take_open_batch(store, open_experiment(store, number), Holder("tab", "ada"))
    with TestClient(Starlette(routes=routes()), base_url="http://localhost:8501") as client:
        assert client.post("/ticket", content=visitors.sign()).status_code == 204
        yield Opened(client, store, number, list(batch.images))


def test_what_a_person_does_is_in_the_log_when_it_is_answered(opened: Opened) -> None:
    one, two, three, four, *_ = opened.images
    tab = opened.tab()
    tab.post(images=tuple(opened.images))
    assert tab.labels == dict.fromkeys(opened.images, CLEAR)
    tab.post([one, 2, 500], [two, -7, 500], [three, 1, 500], [four, 0, 500])
    tab.post([three, UNDO, 500], [one, CLEAR, 500], [one, 1, 500])
    assert [tab.labels[i] for i in (one, two, three, four)] == [1, -7, CLEAR, 0]
    pool = open_experiment(opened.store, opened.number).pool
    assert {i: a.label for i, a in pool.answers.items()} == {one: 1, two: None, four: 0}
    assert pool.answers[two].reason == "none of these"
    first = opened.store.annotations(opened.number)[0]
    assert (first.key, first.milliseconds, first.annotator) == (first.key, 500, "ada")
    assert first.key.endswith(".png")


def test_an_event_that_comes_again_is_kept_once(opened: Opened) -> None:
    tab = opened.tab()
    events = [[image, i % 3, 9] for i, image in enumerate(opened.images)]
    tab.post(*events[:4])
    tab.sent = 2  # the answer was lost, and more was typed
    tab.post(*events[2:])
    assert opened.rows() == [(image, act, "ada") for image, act, _ in events]
    tab.post([ANY, HAND_IN, 9])
    tab.sent -= 1
    assert tab.post([ANY, HAND_IN, 9])["run"]
    assert len(opened.store.batches(opened.number)) == 1


def test_the_log_has_the_last_word(opened: Opened) -> None:
    one, two, *_ = opened.images
    ada, bob = opened.tab(), opened.tab("bob", "review")
    ada.post([one, 0, 9], [two, 0, 9], images=tuple(opened.images))
    bob.post([one, 2, 9])
    told = ada.post([two, 1, 9])
    assert dict(told["labels"]) == {one: 2, two: 1}
    change_classes(opened.store, opened.number, "bob", merge(["b"], "c"))
    told = ada.post()
    assert (told["run"], told["classes"], told["shown"]) == (True, ["a", "b", "c"], [0, 2])
    ada.post(images=tuple(opened.images))
    assert ada.labels[two] == 2


def test_an_opinion_is_given_blind_and_changes_nothing_of_others(opened: Opened) -> None:
    one, two, *_ = opened.images
    opened.tab().post([one, 0, 9], [two, -1, 9])
    bob = opened.tab("bob", "opinion")
    bob.post([two, 1, 9], images=(one, two))
    assert bob.labels == {one: CLEAR, two: 1}
    bob.post([two, CLEAR, 9])
    assert bob.labels == {one: CLEAR, two: CLEAR}
    assert open_experiment(opened.store, opened.number).pool.answers[two].annotator == "ada"


def leased(batch: Batch, holder: str, who: str, until: datetime) -> Batch:
    return replace(batch, holder=holder, annotator=who, leased_until=until)


def test_a_batch_that_went_to_another_tab_is_told_and_its_labels_are_kept(opened: Opened) -> None:
    one, *_ = opened.images
    tab = opened.tab()
    (batch,) = opened.store.batches(opened.number)
    opened.store.lease(batch, leased(batch, "tab", "ada", now() + timedelta(minutes=1)))
    held = tab.post([one, 0, 9])["holder"]
    (batch,) = opened.store.batches(opened.number)
    assert batch.leased_until > now() + timedelta(minutes=9)  # a label renews the lease
    opened.store.lease(batch, leased(batch, "other tab", "ada", batch.leased_until))
    assert tab.post([one, 1, 9])["holder"] not in ("", held)
    (batch,) = opened.store.batches(opened.number)
    opened.store.lease(batch, leased(batch, "other tab", "bob", batch.leased_until))
    assert "holder" not in tab.post([one, 2, 9])
    assert [label for _, label, _ in opened.rows()] == [0, 1, 2]


def test_undo_leads_back_across_batches(opened: Opened) -> None:
    tab = opened.tab()
    tab.post(*[[image, i % 3, 9] for i, image in enumerate(opened.images)], [ANY, HAND_IN, 9])
    assert opened.store.batches(opened.number)[0].handed_in_at
    told = tab.post([ANY, UNDO, 9])
    assert (told["run"], told["focus"][0]) == (True, opened.images[-1])
    assert not opened.store.batches(opened.number)[0].handed_in_at
    assert told["undone"] == [[opened.images[5], 2]]  # what redo gives again
    opened.store.append(opened.number, [Annotation(opened.images[4], 0, 0, "bob")])
    told = tab.post([ANY, UNDO, 9], [ANY, UNDO, 9])
    assert told["undone"] == [[opened.images[4], 1], [opened.images[3], 0]]
    for _ in range(3):
        tab.post([ANY, UNDO, 9])
    assert tab.post([ANY, UNDO, 9])["refused"] == "There is nothing to undo."


def test_a_hand_in_of_what_is_not_all_answered_is_refused(opened: Opened) -> None:
    told = opened.tab().post([opened.images[0], 0, 9], [ANY, HAND_IN, 9])
    assert told["refused"] == "Neither labelled nor skipped in this batch: 5."


def test_a_class_that_is_typed_is_added(opened: Opened) -> None:
    one, two, *_ = opened.images
    tab = opened.tab()
    tab.post(images=(one, two))
    told = tab.post([one, "an owl", 9], [two, "an owl", 9], [two, "a\x07", 9])
    assert told["run"]
    assert "refused" in told
    assert {tab.labels[one], tab.labels[two]} == {3}
    assert open_experiment(opened.store, opened.number).classes.names[3] == "an owl"


def test_a_deleted_experiment_keeps_a_label_that_came_late_and_one_that_is_gone_takes_none(
    opened: Opened,
) -> None:
    tab = opened.tab()
    opened.store.delete_experiment(opened.number)
    assert tab.post([opened.images[0], 0, 9])["run"]  # the page says what has happened
    assert len(opened.rows()) == 1
    erase(opened.store, opened.number)
    assert tab.post([opened.images[0], 1, 9], status=410)["problem"]


def test_tokens_last_as_long_as_their_page_and_no_flood_comes_through(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = opened.tab()
    for name, value in (("AT_ONCE", 3), ("A_SECOND", 0)):
        monkeypatch.setattr(f"al_desk.routes.labels.{name}", value)
    answers = [tab.client.post("/labels", json={"grid": token_of(tab.grid)}) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 5
    monkeypatch.setattr("al_desk.routes.grids.ENDS", -1)
    assert tab.post([opened.images[0], 0, 9], status=401)
