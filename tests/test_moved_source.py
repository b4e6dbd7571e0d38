"""A source as a whole is elsewhere, or not what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from folder_desk import NAMES, Desk, of_six, write

from al_core.cli.main import main
from al_core.errors import ConfigError, SourceError
from al_core.experiment.moved import move


@pytest.fixture
def desk(home: Path) -> Desk:
    return of_six(home)


def test_a_source_of_which_nothing_is_left_is_refused(desk: Desk) -> None:
    rows = [*desk.experiment.manifest.rows]
    for path in desk.folder.iterdir():
        path.unlink()
    write(desk.folder / "other.png", 99)
    with pytest.raises(SourceError, match="None of the images of “mine” is at"):
        desk.look()
    assert [*desk.experiment.manifest.rows] == rows


def test_a_folder_that_moved_is_checked_by_what_is_in_its_files(desk: Desk) -> None:
    there = desk.home / "elsewhere"
    desk.folder.rename(there)
    for name in NAMES[:4]:
        (there / name).rename(desk.home / name)
    with pytest.raises(ConfigError, match="Of the 6 images of “mine” 2 are at"):
        move(desk.store, desk.number, desk.read(there))
    assert desk.experiment.config.data == str(desk.folder)
    for name in NAMES[:4]:
        (desk.home / name).rename(there / f"renamed {name}")
    (there / "f.png").unlink()
    write(there / "g.png", 80)
    found = move(desk.store, desk.number, desk.read(there))
    assert found == "5 of its 6 images were found there: 1 new, 1 missing, 4 moved."
    assert desk.experiment.config.data == str(there)
    assert desk.rows() == {"renamed a.png": "cat", "renamed b.png": "dog"}


def test_the_command_tells_of_a_new_path(desk: Desk) -> None:
    there = desk.home / "elsewhere"
    desk.folder.rename(there)
    said = CliRunner().invoke(main, ["move", "mine", str(there)])
    assert said.exit_code == 0
    assert f"are at {there} now. 6 of its 6 images were found there.\n" in said.output
    assert desk.experiment.config.data == str(there)
    others = desk.home / "others"
    write(others / "1.png", 90)
    write(others / "2.png", 91)
    refused = CliRunner().invoke(main, ["move", "mine", str(others)])
    assert refused.exit_code != 0
    assert desk.experiment.config.data == str(there)
