"""Commands that look after what is kept, killed; ``python -m benchmarks.faults`` does it at every
step."""

from pathlib import Path
from random import SystemRandom

import pytest

from tests.cut_short import amid_a_backup, amid_a_cleaning, amid_a_deletion, amid_a_restore

EVERY = {amid_a_deletion: 24, amid_a_cleaning: 20, amid_a_backup: 4, amid_a_restore: 5}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", EVERY)
def test_what_is_kept_is_whole_after_a_kill_and_the_command_goes_on(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, scenario
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("AL_HOME", str(home))
    every = EVERY[scenario]
    first = SystemRandom().randrange(every) + 1
    print(f"every {every} from {first}")
    found = scenario(home, weights, first, every)
    assert found.kills
    assert (found.lost, found.twice, found.damaged, found.otherwise) == (0, 0, 0, 0)
