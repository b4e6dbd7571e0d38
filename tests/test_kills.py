"""The real server, killed at random moments; ``python -m benchmarks.faults`` does it more often."""

from pathlib import Path
from random import Random, SystemRandom

import pytest
from playwright.sync_api import BrowserContext

from tests.kills import Tally, while_training, while_typing


@pytest.mark.parametrize(("scenario", "kills"), [(while_typing, 1), (while_training, 1)])
def test_a_killed_server_loses_nothing_and_comes_back_where_it_was(
    browser: BrowserContext, tmp_path: Path, scenario, kills: int
) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    found: Tally = scenario(browser, tmp_path, kills, Random(seed))
    assert (found.kills, found.lost, found.twice, found.damaged) == (kills, 0, 0, 0)
    assert found.otherwise == 0
