"""Whatever happens to a folder, no label points at another picture."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from folder_desk import Desk, pixels, write
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from al_core.experiment.source import (
    answer_changes,
)
from al_core.store.records import CHANGED, HERE, MISSING


class Folder(RuleBasedStateMachine):
    """What may happen to a folder, and what its labels ought to be afterwards."""

    names = st.integers(0, 6).map(lambda i: f"{i}.png")

    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.desk = Desk(self.home)
        self.files: dict[str, int] = {}  # what each file shows
        self.gone: list[int] = []
        self.count = 0
        self.shown: dict[int, int] = {}  # what was labelled at each position
        for name in ("anchor.png", "0.png", "1.png", "2.png"):
            self.put(name, self.another())
        self.desk.start()
        self.changed = False

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    def another(self) -> int:
        self.count += 1
        return self.count

    def put(self, name: str, picture: int, rating: int = 0) -> None:
        write(self.desk.folder / name, picture, rating)
        # All have the same time, as from an archive.
        os.utime(self.desk.folder / name, ns=(10**18, 10**18))
        self.files[name] = picture
        self.changed = True

    @rule(name=names)
    def add_or_replace(self, name: str) -> None:
        self.put(name, self.another())

    @rule(name=names, rating=st.integers(0, 2))
    def bring_back(self, name: str, rating: int) -> None:
        if self.gone and name not in self.files:
            self.put(name, self.gone[-1], rating)

    @rule(name=names)
    def delete(self, name: str) -> None:
        if name in self.files:
            (self.desk.folder / name).unlink()
            self.gone.append(self.files.pop(name))
            self.changed = True

    @rule(name=names, other=names)
    def rename(self, name: str, other: str) -> None:
        if name in self.files and name != other:
            (self.desk.folder / name).replace(self.desk.folder / other)
            self.files[other] = self.files.pop(name)
            self.changed = True

    @rule(name=names, other=names)
    def swap(self, name: str, other: str) -> None:
        if name in self.files and other in self.files and name != other:
            folder = self.desk.folder
            (folder / name).rename(folder / "aside")
            (folder / other).rename(folder / name)
            (folder / "aside").rename(folder / other)
            files = self.files
            files[name], files[other] = files[other], files[name]
            self.changed = True

    @rule(name=names, other=names, rating=st.sampled_from([None, 1]))
    def copy(self, name: str, other: str, rating: int | None) -> None:
        if name in self.files and name != other:
            if rating is None:
                shutil.copy2(self.desk.folder / name, self.desk.folder / other)
                self.files[other] = self.files[name]
                self.changed = True
            else:
                self.put(other, self.files[name], rating)

    @rule(name=names)
    def touch(self, name: str) -> None:
        if name in self.files:
            os.utime(self.desk.folder / name)
            self.changed = True

    @rule(name=names, rating=st.integers(1, 3))
    def rate(self, name: str, rating: int) -> None:
        if name in self.files:
            self.put(name, self.files[name], rating)

    @rule()
    def look(self) -> None:
        self.desk.look()
        self.changed = False

    @precondition(lambda self: not self.changed)
    @rule(name=names)
    def label(self, name: str) -> None:
        """Only what was looked at is shown."""
        row = self.row_of(name)
        if row is not None and row.state == HERE:
            image = self.desk.say(name, 0)
            assert image == row.position
            self.shown[image] = self.files[name]

    @precondition(lambda self: not self.changed)
    @rule(same=st.booleans())
    def answer(self, same: bool) -> None:
        for row in self.desk.experiment.manifest.pool:
            if row.state == CHANGED:
                desk, place = self.desk, (True, row.position)
                answer_changes(desk.store, desk.number, desk.images, [place], same)
                if same and row.position in self.shown:
                    self.shown[row.position] = self.files[row.key]
                return

    def row_of(self, name: str):
        rows = [
            row
            for row in self.desk.experiment.manifest.pool
            if row.state != MISSING and name in (row.key, *row.other_names)
        ]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None

    @precondition(lambda self: not self.changed)
    @invariant()
    def no_label_points_at_another_picture(self) -> None:
        train = self.desk.images.train
        pool = self.desk.experiment.manifest.pool
        for image, picture in self.shown.items():
            row = pool[image]
            assert (train.images[image] == pixels(picture).transpose(2, 0, 1)).all()
            if row.state == HERE:
                assert {self.files[key] for key in (row.key, *row.other_names)} == {picture}
            else:
                assert picture not in self.files.values()
        asked = {self.files[row.key] for row in pool if row.state == CHANGED}
        for name, picture in self.files.items():
            assert self.row_of(name) is not None or picture in asked, name
        here = [row for row in pool if row.state == HERE]
        pictures = [self.files[row.key] for row in here]
        assert len(set(pictures)) == len(pictures)


@pytest.mark.slow
def test_whatever_happens_to_a_folder_no_label_points_at_another_picture() -> None:
    run_state_machine_as_test(
        Folder, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )
