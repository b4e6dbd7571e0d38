"""The page labels the first batch while very many files are read."""

from pathlib import Path

from playwright.sync_api import BrowserContext, expect
from tabs import leave, more, tab
from tiny import encoded, picture

from al_core.experiment.experiment import open_experiment
from al_core.store.records import LISTED
from al_core.store.store import Store
from al_desk.server.images import MANY
from tests.servers import APP, serving

WAITS = 60_000  # milliseconds


def test_the_first_batch_is_labelled_while_many_images_are_read(
    browser: BrowserContext, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    body = encoded(picture(90, (90, 60)), "JPEG")
    for i in range(MANY):
        (folder / f"{i:05}.jpg").write_bytes(body + i.to_bytes(4, "big"))
    home = tmp_path / "home"
    with serving(home, APP, "--data", str(folder)) as server:
        page = tab(browser)
        page.goto(server.url)
        expect(page.get_by_text(f"{MANY:,} images")).to_be_visible(timeout=WAITS)
        page.get_by_role("textbox", name="Classes").fill("cat\ndog")
        more(page)
        page.get_by_role("spinbutton", name="Initial images").fill("4")
        page.get_by_role("spinbutton", name="Initial images").press("Tab")
        page.get_by_role("button", name="Start experiment").click()
        expect(page.get_by_text("0 of 4 saved")).to_be_visible(timeout=WAITS)
        for key in "1212":
            page.keyboard.press(key)
        expect(page.get_by_text("4 of 4 saved")).to_be_visible()
        expect(page.get_by_text("Reading the images of")).to_have_count(0, timeout=WAITS)
        expect(page.get_by_text("4 of 4 saved")).to_be_visible()
        manifest = open_experiment(Store(f"sqlite:///{home / 'al.db'}"), 1).manifest
        assert manifest.rows[0].state == LISTED
        assert not manifest.is_outline  # all are read by now
        page.keyboard.press("Enter")
        expect(page.get_by_text("Round 0").first).to_be_visible(timeout=WAITS)
        leave(page)
