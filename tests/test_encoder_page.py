"""A folder of photographs in a browser, from the form to its last round, on a tiny encoder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from encoders import app_offering
from hub import VIT, Hub, hub, weights_of
from playwright.sync_api import BrowserContext, expect
from tabs import choose, leave, more, tab
from tiny import photographs_in
from waiting import until

from al_core.experiment.experiment import open_experiment
from al_core.store.store import Store
from tests.servers import APP, serving

WAITS = 90_000
OFFERED = (VIT, "Tiny ViT", "tests", "Apache 2.0", 2, 64, 160, 0.1)


@pytest.fixture
def served() -> Iterator[Hub]:
    with hub() as started:
        started.offer(VIT, weights_of(VIT))
        yield started


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    return photographs_in(tmp_path / "photographs", 120)


def test_photographs_start_with_an_encoder_and_are_labelled_while_it_sees_them(
    browser: BrowserContext, served: Hub, photographs: Path, tmp_path: Path
) -> None:
    home, app = tmp_path / "home", app_offering(tmp_path, *OFFERED)
    env = {"HF_ENDPOINT": served.address, "HF_HOME": str(tmp_path / "hub")}
    with serving(home, app, "--data", str(photographs), env=env) as server:
        page = tab(browser)
        page.goto(server.url)
        said = page.get_by_text("Tiny ViT looks at the pictures: about")
        expect(said).to_contain_text("once 2 MB are downloaded; meanwhile you label", timeout=WAITS)
        assert served.sent == []  # nobody has asked for it yet
        page.get_by_role("textbox", name="Your name").fill("ada")
        page.get_by_role("textbox", name="Your name").press("Tab")
        more(page)
        chosen = page.get_by_role("combobox", name="Weights to start from")
        expect(chosen).to_have_value("Tiny ViT")
        page.get_by_role("spinbutton", name="Images per round").fill("4")
        page.get_by_role("spinbutton", name="Images per round").press("Tab")
        page.get_by_role("button", name="Start experiment").click()
        expect(page.get_by_text("0 of 20 labelled")).to_be_visible(timeout=WAITS)
        store = Store(f"sqlite:///{home / 'al.db'}")
        for asked in (20, 4):
            expect(page.get_by_text(f"0 of {asked} labelled")).to_be_visible(timeout=WAITS)
            batch = open_experiment(store, 1).open_batch
            names = open_experiment(store, 1).config.class_names
            keys = [row.key.partition("/")[0] for row in open_experiment(store, 1).manifest.pool]
            for image in batch.images:
                page.keyboard.press(str(1 + names.index(keys[image])))
            expect(page.get_by_text(f"{asked} of {asked} saved")).to_be_visible()
            page.keyboard.press("Enter")
        expect(page.get_by_text("2 of 5", exact=True)).to_be_visible(timeout=WAITS)
        expect(page.get_by_text("Looking at the images")).to_have_count(0, timeout=WAITS)
        opened = open_experiment(store, 1)
        assert {a.annotator for a in opened.annotations} == {"ada"}
        assert opened.config.model.weights == VIT
        assert opened.rounds[-1].metrics["accuracy"] > 0.8
        assert len(served.sent) == 1
        leave(page)


def test_while_an_encoder_comes_one_more_batch_is_drawn_at_random(
    browser: BrowserContext, served: Hub, photographs: Path, tmp_path: Path
) -> None:
    home, app = tmp_path / "home", app_offering(tmp_path, *OFFERED)
    env = {"HF_ENDPOINT": served.address, "HF_HOME": str(tmp_path / "hub")}
    store = Store(f"sqlite:///{home / 'al.db'}")
    served.flows.clear()
    with serving(home, app, "--data", str(photographs), env=env) as server:
        page = tab(browser)
        page.goto(server.url)
        expect(page.get_by_text("once 2 MB are downloaded")).to_be_visible(timeout=WAITS)
        page.get_by_role("button", name="Start experiment").click()
        for asked, heading in ((20, "Initial images, drawn at random"), (15, "Round 1: Random")):
            expect(page.get_by_role("heading", name=heading)).to_be_visible(timeout=WAITS)
            expect(page.get_by_text(f"0 of {asked} labelled")).to_be_visible(timeout=WAITS)
            now = open_experiment(store, 1)
            assert not now.rounds
            kinds = [row.key.partition("/")[0] for row in now.manifest.pool]
            for image in now.open_batch.images:
                page.keyboard.press(str(1 + now.config.class_names.index(kinds[image])))
            expect(page.get_by_text(f"{asked} of {asked} saved")).to_be_visible()
            page.keyboard.press("Enter")
        # With more, all rounds would be over before anything was learned.
        expect(page.get_by_text("Downloading").first).to_be_visible(timeout=WAITS)
        assert len(open_experiment(store, 1).batches) == 2
        served.flows.set()
        expect(page.get_by_role("heading", name="Round 2: ")).to_be_visible(timeout=WAITS)
        until(lambda: [r.labeled for r in open_experiment(store, 1).rounds] == [20, 35])
        leave(page)


def test_without_a_hub_the_form_says_so_and_starts_without_an_encoder(
    browser: BrowserContext, photographs: Path, tmp_path: Path
) -> None:
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")}
    with serving(tmp_path / "home", APP, "--data", str(photographs), env=env) as server:
        page = tab(browser)
        page.goto(server.url)
        expect(page.get_by_text("can be had here")).to_be_visible(timeout=WAITS)
        more(page)
        weights = page.get_by_role("combobox", name="Weights to start from")
        expect(weights).to_have_value("None")
        choose(page, "Weights to start from", "DINOv2 small")
        expect(page.get_by_text("few labels go far. 88 MB. Licence: Apache 2.0")).to_be_visible()
        page.get_by_role("button", name="Start experiment").click()
        told = page.get_by_test_id("stAlert").filter(has_text="The encoder cannot be had")
        expect(told).to_contain_text("set HF_ENDPOINT to a mirror", timeout=WAITS)
        assert Store(f"sqlite:///{tmp_path / 'home' / 'al.db'}").experiments() == []
        leave(page)
