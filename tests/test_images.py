"""The split and the cache of a loaded source."""

import errno
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import folder_of, loaded, picture, sentence

from al_core.images import cache_files
from al_core.images.dataset_cache import load
from al_core.images.split import split
from al_core.progress import finish
from al_core.sources.content import Content


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def pets(tmp_path):
    return folder_of(
        tmp_path / "pets", *(f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(10))
    )


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=60), st.randoms())
def test_the_share_for_testing_is_fair_whatever_the_classes(targets, random):
    keys = [f"{random.random()}/{i}" for i in range(len(targets))]
    content = Content(
        keys=keys,
        targets=np.array(targets),
        in_test=np.zeros(len(keys), dtype=bool),
        class_names=("a", "b", "c", "d", "e"),
        pictures=(),
    )
    parts = split(content)
    assert sorted([*parts.train, *parts.test]) == list(range(len(keys)))
    for target in set(targets):
        in_test = int((content.targets[parts.test] == target).sum())
        known = targets.count(target) if target >= 0 else 0
        # At least two, that they say anything; none of a class too small to give two away.
        fair = max(2, round(known / 5)) if known >= 4 else 0
        assert in_test == fair


def files_of(cache):
    return sorted(cache.glob("*/*.npy")) + sorted(cache.glob("*/index.json"))


def test_a_second_load_decodes_nothing(pets, cache, monkeypatch):
    first = loaded(pets, cache)
    monkeypatch.setattr(cache_files, "decode_all", None)
    second = loaded(pets, cache)
    assert second.fingerprint == first.fingerprint
    assert (second.train.images == first.train.images).all()
    assert list(second.train.keys) == list(first.train.keys)
    with pytest.raises(ValueError, match="read-only"):
        second.train.images[0] = 0


def test_the_fingerprint_follows_the_content_not_the_place_or_the_time(pets, cache):
    before = loaded(pets, cache).fingerprint
    shutil.copytree(pets, pets.parent / "copy")
    assert loaded(pets.parent / "copy", cache).fingerprint == before
    os.utime(pets / "cat" / "1.png", (1, 1))
    assert loaded(pets, cache).fingerprint == before
    picture(200).save(pets / "cat" / "1.png")
    assert loaded(pets, cache).fingerprint != before


def test_another_size_is_another_cache(pets, cache):
    assert loaded(pets, cache, 8).train.images.shape[2] == 8
    assert loaded(pets, cache, 16).train.images.shape[2] == 16


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_damaged_cache_is_made_again(pets, cache, which):
    first = loaded(pets, cache)
    path = files_of(cache)[which]
    whole = path.read_bytes()
    for damaged in (whole.replace(b"cat", b"cow"), whole[:-1], whole[::-1], b""):
        path.unlink()  # the arrays above still read the old file
        path.write_bytes(damaged)
        again = loaded(pets, cache)
        assert (again.fingerprint, again.train.keys) == (first.fingerprint, first.train.keys)
        assert (again.train.images == first.train.images).all()
        assert path.read_bytes() == whole or path.name == "index.json"


@pytest.mark.parametrize("reports", [1, 2, 3])
def test_closing_leaves_nothing_behind_and_locks_nothing(pets, cache, reports):
    with closing(load(str(pets), image_size=8, cache_dir=cache)) as work:
        for _ in range(reports):
            next(work)
    assert not [path for path in cache.glob("*") if path.is_dir()]
    assert len(loaded(pets, cache).train) == 16


def test_what_a_crashed_run_left_is_removed_and_what_a_living_one_writes_is_not(pets, cache):
    (cache / "crashed.0.part").mkdir(parents=True)
    with closing(load("digits", cache_dir=cache)) as living:
        while next(living).phase != "Decoding":
            pass
        loaded(pets, cache)
        assert not (cache / "crashed.0.part").exists()
        assert len(list(cache.glob("*.part"))) == 1
        assert len(finish(living).test) > 0


@pytest.mark.slow
def test_two_processes_that_load_at_once_both_end_right(pets, cache):
    script = (
        "import sys; from pathlib import Path; from al_core.images.dataset_cache import load;"
        "from al_core.progress import finish;"
        "print(finish(load(sys.argv[1], cache_dir=Path(sys.argv[2]))).fingerprint)"
    )
    command = [sys.executable, "-c", script, str(pets), str(cache)]
    root = Path(__file__).parents[1]
    both = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE) for _ in range(2)]
    prints = [process.communicate(timeout=60)[0] for process in both]
    assert prints[0] == prints[1] != b""


def test_a_cache_that_cannot_be_written_is_said_in_a_sentence(pets, cache, monkeypatch):
    cache.write_text("a file, no folder")
    assert str(cache) in sentence(pets, cache)
    cache.unlink()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_files, "decode_all", full)
    assert "No space left on device); make room on the disk" in sentence(pets, cache)
    assert not list(cache.glob("*.part"))


def test_a_source_that_went_away_is_missed_even_where_it_is_cached(pets, cache):
    loaded(pets, cache)
    pets.rename(pets.parent / "elsewhere")
    assert "There is no file or folder" in sentence(pets, cache)


def test_the_module_is_imported_without_anything_heavy():
    heavy = "torch", "torchvision", "streamlit", "pyarrow", "sklearn", "PIL", "requests"
    script = f"import sys, al_core.images.dataset_cache; print(*(set({heavy}) & set(sys.modules)))"
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
