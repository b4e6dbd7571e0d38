"""Files are written whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from al_core.errors import FileNotWritten
from al_core.files import atomic
from al_core.files.atomic import whole_file, whole_path, whole_text


def test_a_file_that_cannot_be_finished_leaves_the_former_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with whole_text(path) as file:
        file.write("one\n")

    def stopped_by(reason: BaseException) -> None:
        with whole_text(path) as file:
            file.write("two\n")
            raise reason

    with pytest.raises(FileNotWritten, match=r"labels\.csv cannot be written \(No space left"):
        stopped_by(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(KeyboardInterrupt):
        stopped_by(KeyboardInterrupt())
    assert path.read_text() == "one\n"
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "weights"
    seen: list[tuple[int, bool]] = []
    settle = os.fsync

    def fsync(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_ino, path.exists()))
        settle(descriptor)

    monkeypatch.setattr(atomic.os, "fsync", fsync)
    with whole_file(path) as file:
        file.write(b"all of it")
    assert seen == [(path.stat().st_ino, False), (path.parent.stat().st_ino, True)]


def test_a_folder_gives_way_only_where_that_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for name in ("mine", "theirs"):
        with whole_path(folder, instead=name == "theirs") as half:
            half.mkdir()
            (half / name).touch()
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    with pytest.raises(FileNotWritten, match="not empty"), whole_path(folder) as half:
        half.mkdir()
    assert [path.name for path in folder.iterdir()] == ["theirs"]
