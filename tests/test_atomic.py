"""Files are written whole or not at all."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from al_core.errors import FileNotWritten
from al_core.files import atomic
from al_core.files.atomic import check_writable, whole_file, whole_path, whole_text


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


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_stays_and_what_it_leads_to_is_written_whole_or_not_at_all(
    tmp_path: Path, there: bool
) -> None:
    target, link = tmp_path / "there" / "labels.csv", tmp_path / "here" / "out.csv"
    target.parent.mkdir()
    link.parent.mkdir()
    (tmp_path / "between").symlink_to("there/labels.csv")
    link.symlink_to("../between")
    if there:
        target.write_text("one\n")
        target.chmod(0o640)

    def write(end: Exception | None) -> None:
        with whole_text(link) as file:
            file.write("two\n")
            assert len([*link.parent.iterdir()]) == 1  # half of it lies beside the target
            if end:
                raise end

    with pytest.raises(ZeroDivisionError):
        write(ZeroDivisionError())
    assert target.exists() == there
    assert not there or target.read_text() == "one\n"
    write(None)
    assert target.read_text() == "two\n"
    assert link.is_symlink()
    assert not there or stat.S_IMODE(target.stat().st_mode) == 0o640
    assert [*target.parent.iterdir()] == [target]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(FileNotWritten, match="symbolic links"), whole_text(loop):
        pass
    assert loop.is_symlink()


def test_a_pipe_is_written_through_and_stays_one(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with ThreadPoolExecutor() as reader:
            read = reader.submit(pipe.read_bytes)
            with whole_path(path) as half:
                half.write_bytes(b"all of it")
            assert read.result(timeout=30) == b"all of it"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    with pytest.raises(KeyboardInterrupt), whole_text(pipe):  # nobody reads, and nobody waits
        raise KeyboardInterrupt
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_an_open_file_is_written_where_it_stands(tmp_path: Path) -> None:
    path, link = tmp_path / "log", tmp_path / "link"
    with path.open("w") as file:
        file.write("before\n")
        file.flush()
        link.symlink_to(f"/dev/fd/{file.fileno()}")
        for name in (Path(f"/dev/fd/{file.fileno()}"), link):
            with whole_text(name) as out:
                out.write("table\n")
        file.write("after\n")
    assert path.read_text() == "before\ntable\ntable\nafter\n"


def test_a_file_of_two_names_keeps_both_and_one_that_cannot_be_replaced_is_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("long before\n")
    other.hardlink_to(one)
    with whole_text(one) as file:
        file.write("now\n")
    assert other.read_text() == one.read_text() == "now\n"

    def refuse(*_: object) -> None:
        raise OSError(errno.EBUSY, "busy")  # as where a container was given this one file

    other.unlink()
    monkeypatch.setattr(Path, "replace", refuse)
    with whole_text(one) as file:
        file.write("then\n")
    assert one.read_text() == "then\n"
    assert [*tmp_path.iterdir()] == [one]


def test_a_file_that_may_be_written_to_in_a_folder_that_may_not_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, allowed = tmp_path / "one", os.access
    one.write_text("long before\n")
    # Who runs the tests may be root, who may write to any folder.
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and allowed(path, mode))
    with whole_text(one) as file:
        file.write("now\n")
        assert [*tmp_path.iterdir()] == [one]  # nothing beside it meanwhile
    assert one.read_text() == "now\n"


def test_a_name_as_long_as_any_may_be_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"{'ä' * 125}.csv"  # 254 bytes
    check_writable(path)
    with whole_text(path) as file:
        file.write("labels\n")
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize("name", ["al.db", "al.db-wal", "weights/1/0.safetensors", "cache/x"])
def test_what_the_program_keeps_is_no_place_to_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("AL_HOME", str(tmp_path / "kept"))
    path = tmp_path / "kept" / name
    path.parent.mkdir(parents=True)
    (tmp_path / "link").symlink_to(path)
    for kept in (path, tmp_path / "link"):
        with pytest.raises(FileNotWritten, match="that this program keeps"):
            check_writable(kept)
    check_writable(tmp_path / "kept" / "curve.csv")
    check_writable(tmp_path / "kept" / "al.db.csv")
    # The program itself replaces it: a snapshot of hard links stays what it was.
    path.write_text("then")
    (tmp_path / "snapshot").hardlink_to(path)
    with whole_text(path) as file:
        file.write("now")
    assert (tmp_path / "snapshot").read_text() == "then"
    monkeypatch.setenv("AL_DATABASE_URL", f"sqlite:///{tmp_path / 'mine.db'}")
    with pytest.raises(FileNotWritten, match="that this program keeps"):
        check_writable(tmp_path / "mine.db")


def test_what_cannot_be_written_is_known_before(tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    (folder / "inside").mkdir(parents=True)
    file.touch()
    for path, is_folder, reason in (
        (tmp_path / "nowhere" / "x.csv", False, "No such file"),
        (file / "x.csv", False, "Not a directory"),
        (folder, False, "Is a directory"),
        (folder, True, "not empty"),
        (file, True, "Not a directory"),
        (tmp_path / ("x" * 256), False, "too long"),
    ):
        with pytest.raises(FileNotWritten, match=reason):
            check_writable(path, is_folder)
    check_writable(file)
    check_writable(tmp_path / "new")
    check_writable(folder / "inside", folder=True)
    assert sorted(tmp_path.iterdir()) == [file, folder]
