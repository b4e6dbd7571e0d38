"""The real server, killed at random moments; ``python -m benchmarks.faults`` does it more often."""

from pathlib import Path
from random import Random

import pytest
from playwright.sync_api import Browser

from benchmarks.faults.page import while_training, while_typing
from benchmarks.faults.tally import Tally


@pytest.mark.parametrize(("scenario", "kills"), [(while_typing, 1), (while_training, 1)])
def test_a_killed_server_loses_nothing_and_comes_back_where_it_was(
    browser: Browser, tmp_path: Path, scenario, kills: int
) -> None:
    found: Tally = scenario(browser, tmp_path, kills, Random())
    assert (found.kills, found.lost, found.twice, found.damaged) == (kills, 0, 0, 0)
    assert found.otherwise == 0
