"""From *Start* to the first pictures where an encoder looks at photographs: ``python -m
benchmarks.first_batch --data FOLDER``.

A server that has just been started, a browser, and a person who gives a name, in five seconds. The
encoder has random weights and comes from a hub on this machine: the first time it is downloaded,
later it is there.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import click
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.browser import heading
from benchmarks.large_folder import WAITS, started, timed
from tests.hub import hub, weights_of
from tests.servers import APP, CHROMIUM, FLAGS, serving

FORM_MS = 5000


@click.command()
@click.option("--data", required=True)
@click.option("--encoder", default="timm/vit_small_patch14_dinov2.lvd142m", show_default=True)
@click.option("--repeat", default=5, show_default=True)
def main(data: str, encoder: str, repeat: int) -> None:
    """Print a line for each start."""
    heading(f"the first batch of {data}, seen by {encoder}")
    weights = weights_of(encoder)
    with tempfile.TemporaryDirectory() as name, hub() as served:
        served.offer(encoder, weights)
        seconds = []
        for number in range(repeat + 1):
            home, env = Path(name) / f"home{number}", {
                "HF_ENDPOINT": served.address, "HF_HOME": f"{name}/hub",
            }  # fmt: skip
            with (
                serving(home, APP, "--data", data, env=env) as server,
                sync_playwright() as play,
                play.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as chromium,
            ):
                page = chromium.new_page()
                page.goto(server.url)
                filled(page, encoder)
                page.wait_for_timeout(FORM_MS)
                begun = timed(lambda: started(page))  # noqa: B023
                chosen = page.get_by_text("Initial images, ").inner_text()
                print(f"{begun:.1f} s: {chosen}" + ", downloading" * (not number), flush=True)
                seconds.append(begun)
        there = seconds[1:]
        print(f"median {statistics.median(there):.1f} s ({min(there):.1f} to {max(there):.1f})")


def filled(page: Page, encoder: str) -> None:
    """Choose the encoder, unless the form has, and say who labels."""
    page.get_by_text("looks at the pictures").wait_for(timeout=WAITS)
    page.get_by_text("More", exact=True).click()
    field = page.get_by_role("combobox", name="Weights to start from")
    field.fill(encoder)
    field.press("Enter")
    page.get_by_role("textbox", name="Your name").fill("ada")
    page.get_by_role("textbox", name="Your name").press("Tab")
    expect(page.get_by_role("button", name="Start experiment")).to_be_enabled(timeout=WAITS)


if __name__ == "__main__":
    main()
