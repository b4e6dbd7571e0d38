"""The real server, killed at random moments; ``python -m benchmarks.faults`` does it more often."""

from pathlib import Path
from random import Random, SystemRandom

import pytest
from playwright.sync_api import BrowserContext

from tests.kills import Tally, while_changing, while_training, while_typing


@pytest.mark.usefixtures("full_width")  # as the server has it
@pytest.mark.parametrize("scenario", [while_typing, while_training, while_changing])
def test_a_killed_server_loses_nothing_and_comes_back_where_it_was(
    browser: BrowserContext, tmp_path: Path, scenario
) -> None:
    seed = SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    found: Tally = scenario(browser, tmp_path, 1, Random(seed))
    assert (found.kills, found.lost, found.twice, found.damaged) == (1, 0, 0, 0)
    assert found.otherwise == 0
