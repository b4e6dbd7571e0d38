"""Every reader, given files that were damaged at random: it reads what it can, or says in a
sentence that it cannot. It raises nothing else, and takes no more memory than there is."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import READERS, Reader
from squares import of_squares

from al_core.errors import ActiveLearningError
from al_core.images.dataset import Dataset

EXAMPLES = 20  # for each reader
MEMORY = 6 << 30  # bytes of addresses; a header may claim far more


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """One to four changes: bytes overwritten, cut out, put in, said twice; or the end is missing.

    Half of them are near the beginning, where headers are."""
    changes = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["flip", "cut", "insert", "repeat", "end", "digit"]),
                st.floats(0, 1) | st.floats(0, 0.1),
                st.binary(min_size=1, max_size=8),
            ),
            min_size=1,
            max_size=4,
        )
    )

    def damaged(whole: bytes) -> bytes:
        for kind, where, new in changes:
            at = int(where * len(whole))
            match kind:
                case "flip":
                    whole = whole[:at] + new + whole[at + len(new) :]
                case "cut":
                    whole = whole[:at] + whole[at + len(new) :]
                case "insert":
                    whole = whole[:at] + new + whole[at:]
                case "repeat":
                    whole = whole[: at + 20 * len(new)] + whole[at:]
                case "end":
                    whole = whole[:at]
                case "digit":  # the next one is nine, many times over
                    after = next(
                        (i for i in range(at, len(whole)) if whole[i : i + 1].isdigit()), at
                    )
                    whole = whole[:after] + b"9" * len(new) + whole[after + 1 :]
        return whole

    return damaged


@pytest.fixture
def little_memory() -> Iterator[None]:
    """What asks for more fails, instead of taking the machine with it."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted by Linux here")
@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
def test_a_damaged_file_is_read_or_refused_in_a_sentence(
    make: Callable[[Path, Dataset], Reader],
    home: Path,
    little_memory: None,
) -> None:
    reader = make(home, of_squares())
    reader.read()
    whole = reader.path.read_bytes()

    @settings(max_examples=EXAMPLES)
    @given(damage())
    def read_damaged(how: Callable[[bytes], bytes]) -> None:
        reader.path.unlink(missing_ok=True)  # what is mapped of it stays as it was
        reader.path.write_bytes(how(whole))
        try:
            reader.read()
        except ActiveLearningError as error:
            text = str(error)
        else:
            text = "It was read."
        assert re.fullmatch(r"[^\r\n]+\.", text), text

    read_damaged()
