"""A shared desk reads only the folders that its owner lists, however a path is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import expect
from tabs import choose, settled
from tiny import folder_of, loaded, shades, shard, zipped

from al_core.cli.main import main
from al_core.config import ExperimentConfig, ModelConfig
from al_core.experiment.start import start_experiment
from al_core.jobs import Job, JobState
from al_core.store.store import Store
from al_desk.server.images import load_images, look_at, open_weights, pictures_of
from al_desk.server.resources import loader

NAMES = [f"{i}.png" for i in range(8)]
SETTINGS = {
    "class_names": ("a", "b"), "initial": 2, "initial_labels": "person", "per_round": 2,
    "rounds": 1, "image_size": 8, "random_baseline": False,
}  # fmt: skip


@pytest.fixture
def listed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders that may be named; beside them lies one that may not, with a file of each kind.
    The first of the two is returned."""
    for name in ("photos", "scans", "private", "photos of others"):
        folder_of(home / name, *NAMES)
    (home / "private" / "all.zip").write_bytes(zipped(shades(*NAMES)))
    shard(home / "private" / "rows.parquet", [0, 1] * 4)
    (home / "photos" / "link").symlink_to(home / "private")
    (home / "photos" / "inside").symlink_to(home / "photos")
    (home / "photos" / "all.zip").symlink_to(home / "private" / "all.zip")
    monkeypatch.setenv("AL_FOLDERS", os.pathsep.join(map(str, (home / "photos", home / "scans"))))
    monkeypatch.chdir(home)
    loader().forget("")
    return home / "photos"


def ended(job: Job) -> Job:
    assert job.wait(60)
    return job


ELSEWHERE = (
    "{home}/private", "{home}/private/all.zip", "{home}/private/rows.parquet", "{home}",
    "{home}/photos of others", "{home}/photos/../private", "{home}/photos/link",
    "{home}/photos/link/..", "{home}/photos/all.zip", "file://{home}/private",
    "FILE://{home}/photos/%2e%2e/private", "“{home}/private”", "private", "photos/../private",
    "{home}/uploads", "{home}/uploads/../private", "{home}/nowhere", "/", "~",
    "/proc/self/root{home}/private",
)  # fmt: skip


@pytest.mark.parametrize("path", ELSEWHERE)
def test_no_other_path_is_read_however_it_is_written(listed: Path, path: str) -> None:
    path = path.format(home=listed.parent)
    config = ExperimentConfig(data=path, **SETTINGS)
    # What is in the folder of uploads may be read, though the folder may not.
    weights = f"{path}.pth" if path.endswith("/uploads") else f"{path}/mine.pth"
    for job in (
        look_at(path, True),
        look_at(path, False),
        load_images(config),
        load_images(config, fresh=True, moved_from=str(listed)),
        open_weights(ModelConfig(weights)),
    ):
        assert ended(job).state is JobState.FAILED
        assert job.error == (
            f"This desk reads files in {listed} and {listed.parent}/scans alone, and uploads: name "
            "one of these folders, or one within, or upload the pictures."
        )
    assert not list((listed.parent / "cache").glob("*/index.json"))


@pytest.mark.parametrize(
    "path",
    ["{home}/photos", "{home}/scans/", "photos", "file://{home}/photos", "{home}/photos/inside",
     "{home}/private/../photos", "{home}/photos/deeper", "{home}/uploads/mine"],
)  # fmt: skip
def test_a_folder_that_is_listed_is_read_and_so_is_an_upload(listed: Path, path: str) -> None:
    for name in ("photos/deeper", "uploads/mine"):
        folder_of(listed.parent / name, *NAMES)
    path = path.format(home=listed.parent)
    assert ended(look_at(path, True)).state is JobState.DONE
    job = ended(load_images(ExperimentConfig(data=path, **SETTINGS)))
    assert job.state is JobState.DONE, job.error


def test_the_digits_may_always_be_named(listed: Path) -> None:
    assert ended(look_at("digits", True)).state is JobState.DONE


def test_pictures_of_an_experiment_elsewhere_are_not_shown_and_its_owner_has_a_command_line(
    listed: Path,
) -> None:
    """As of one that was started before the folders were listed."""
    private = listed.parent / "private"
    for path in private.glob("[ar]*"):
        path.unlink()
    store = Store()
    source = loaded(private, listed.parent / "cache")
    number = start_experiment(
        store, "mine", ExperimentConfig(data=str(private), **SETTINGS), source
    )
    with pytest.raises(Exception, match="This desk reads files in"):
        pictures_of(number)
    moved = listed.parent / "moved"
    shutil.move(private, moved)
    done = CliRunner().invoke(main, ["move", "mine", str(moved)])
    assert done.exit_code == 0, done.output
    store.close()


def test_the_form_offers_those_folders_and_refuses_any_other(
    listed: Path, app, tmp_path: Path
) -> None:
    (listed / "all.zip").unlink()
    with app() as page:
        choose(page, "Images", "My own folder or parquet file")
        expect(page.get_by_text("8 images")).to_be_visible()
        path = page.get_by_role("combobox", name="Path")
        path.click()
        expect(page.get_by_role("option", name=f"{listed}", exact=True)).to_be_visible()
        expect(page.get_by_role("option", name=f"{listed.parent}/scans")).to_be_visible()
        choose(page, "Path", f"{listed}/../private")
        expect(page.get_by_text("This desk reads files in")).to_be_visible()
        settled(page)
        box = page.get_by_test_id("upload")
        archive = tmp_path / "pets.zip"
        archive.write_bytes(zipped(shades(*NAMES)))
        box.locator("input[type=file]").set_input_files([archive])
        expect(page.get_by_text("8 images")).to_be_visible()
        expect(page.get_by_text("This desk reads files in")).to_have_count(0)
