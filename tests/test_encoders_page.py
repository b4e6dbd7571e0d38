"""Encoders side by side in a browser, and switching to another with every label kept."""

from pathlib import Path

import pytest
from encoders import frozen
from hub import RESNET, VIT, hub, use, weights_of
from playwright.sync_api import BrowserContext, expect
from squares import CPU
from tabs import leave, tab
from tiny import photographs_in

from al_core.config import ExperimentConfig
from al_core.experiment.experiment import Experiment, open_experiment
from al_core.experiment.start import start_experiment
from al_core.features.embed import frozen_features
from al_core.images.dataset_cache import load
from al_core.loop.advance import advance
from al_core.progress import finish
from al_core.store.store import Store
from tests.servers import APP, serving

WAITS = 90_000


def test_encoders_are_compared_and_another_one_is_chosen_with_every_label_kept(
    browser: BrowserContext, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs = str(photographs_in(home / "photographs", 60))
    with hub() as served:
        for name in (VIT, RESNET):
            served.offer(name, weights_of(name))
        use(served.address, str(home / "hub" / "hub"), monkeypatch)
        store = Store()
        dataset = finish(load(photographs, image_size=64, cache_dir=home / "cache"))
        settings = ExperimentConfig(
            data=photographs, initial=24, per_round=4, rounds=2, model=frozen(VIT),
            random_baseline=False,
        )  # fmt: skip
        number = start_experiment(store, "photographs", settings, dataset)
        finish(advance(store, number, dataset, CPU))

        def now() -> Experiment:
            return open_experiment(store, number)

        before = now()
        env = {"HF_ENDPOINT": served.address, "HF_HOME": str(home / "hub")}
        with serving(home, APP, env=env) as server:
            page = tab(browser)
            page.goto(f"{server.url}?experiment={number}")
            page.get_by_role("textbox", name="Your name").fill("ada")
            page.get_by_role("textbox", name="Your name").press("Tab")
            page.get_by_role("tab", name="Encoders").click(timeout=WAITS)
            page.get_by_role("button", name="Compare encoders").click()
            alone = page.get_by_text("alone has looked at all 24")
            expect(alone).to_contain_text("Weights to start from", timeout=WAITS)

            finish(frozen_features(frozen(RESNET), dataset, CPU))
            page.get_by_role("button", name="Compare again, by 24 labels").click()
            expect(page.get_by_text("on 24 labelled images")).to_be_visible(timeout=WAITS)
            expect(page.get_by_text("does not measure the model")).to_be_visible()
            expect(page.get_by_text(f"{VIT}: ")).to_contain_text("In use.")
            page.get_by_role("button", name=f"Use {RESNET}").click()
            expect(page.get_by_text(f"{RESNET}: ")).to_contain_text("In use.", timeout=WAITS)
            expect(page.get_by_role("button", name=f"Use {VIT}")).to_be_visible()
            assert now().config.model.weights == RESNET
            assert now().annotations == before.annotations
            leave(page)
