"""Experiments of a version that had no manifest."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from folder_desk import NAMES, Desk, of_six, write
from sqlalchemy import delete

from al_core.store.tables import images


@pytest.fixture
def desk(home: Path) -> Desk:
    return of_six(home)


def forget_the_manifest(desk: Desk) -> None:
    """As in a database of an earlier version."""
    with desk.store.writing() as connection:
        connection.execute(delete(images))


def test_an_experiment_of_before_gets_its_manifest_when_it_is_opened(desk: Desk) -> None:
    rows = desk.experiment.manifest.rows
    forget_the_manifest(desk)
    assert desk.experiment.manifest is None
    assert desk.experiment.pool_size == len(NAMES)
    facts = [replace(row, created_at=rows[0].created_at) for row in desk.look().manifest.rows]
    assert facts == list(rows)


@pytest.mark.parametrize("cached", [True, False])
def test_one_that_changed_before_it_had_a_manifest_is_matched(desk: Desk, cached: bool) -> None:
    forget_the_manifest(desk)
    (folder,) = (path.parent for path in desk.home.glob("cache/*/index.json"))
    former = folder.rename(folder.with_name(24 * "f"))
    files = np.load(former / "files.npy")
    np.save(former / "files.npy", files[["digest", "width", "height"]])
    (desk.folder / "a.png").rename(desk.folder / "moved.png")
    write(desk.folder / "0.png", 60)
    if not cached:
        shutil.rmtree(former)
    desk.look()
    if cached:
        assert desk.told() == "1 new, 1 moved"
        assert desk.rows() == {"moved.png": "cat", "b.png": "dog"}
    else:  # by the names that labels carry; of the others nothing is known
        assert desk.told() == "6 new, 1 missing, 1 matched by name"
        assert desk.rows() == {"a.png": "cat", "b.png": "dog"}
