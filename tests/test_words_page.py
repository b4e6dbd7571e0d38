"""Words in a browser: guesses before any label, images found by words and by a picture."""

import io
from pathlib import Path

import pytest
from clip import CLIP, offer_clip
from encoders import app_offering
from hub import hub
from PIL import Image
from playwright.sync_api import BrowserContext, expect
from tabs import leave, tab
from tiny import coloured, photographs_in
from waiting import until

from al_core.experiment.experiment import Experiment, open_experiment
from al_core.store.store import Store
from tests.servers import serving

pytest.importorskip("open_clip")
WAITS = 90_000
OFFERED = (CLIP, "Tiny CLIP", "colours", "MIT", 7, 32, 64, 0.1)


def test_class_names_guess_before_any_label_and_images_are_found_by_words_and_by_a_picture(
    browser: BrowserContext, tmp_path: Path
) -> None:
    photographs = photographs_in(tmp_path / "photographs", 120)
    home, app = tmp_path / "home", app_offering(tmp_path, *OFFERED)
    store = Store(f"sqlite:///{home / 'al.db'}")

    def now() -> Experiment:
        return open_experiment(store, 1, with_reasons=True)

    def colours(images: list[int]) -> list[str]:
        return [now().manifest.pool[image].key.partition("/")[0] for image in images]

    with hub() as served:
        offer_clip(served)
        env = {"HF_ENDPOINT": served.address, "HF_HOME": str(tmp_path / "hub")}
        with serving(home, app, "--data", str(photographs), env=env) as server:
            page = tab(browser)
            page.goto(server.url)
            page.get_by_text("Tiny CLIP looks at the pictures").wait_for(timeout=WAITS)
            page.get_by_role("textbox", name="Your name").fill("ada")
            page.get_by_role("textbox", name="Your name").press("Tab")
            page.get_by_role("button", name="Start experiment").click()
            expect(page.get_by_text("0 of 20 labelled")).to_be_visible(timeout=WAITS)
            names = now().classes.names
            asked = colours(now().open_batch.images)
            page.keyboard.type("".join(str(1 + names.index(one)) for one in asked))
            expect(page.get_by_text("20 of 20 saved")).to_be_visible()
            page.keyboard.press("Enter")
            expect(page.get_by_text("Round 1: ")).to_be_visible(timeout=WAITS)
            said = page.get_by_text("Grey, dashed: what the encoder makes of the class names")
            expect(said).to_be_visible(timeout=WAITS)
            assert now().rounds[0].metrics["words"]["accuracy"] == 1.0
            batch = now().open_batch
            guesses = [names[top[0][0]] for top in batch.reasons.top]
            assert guesses == colours(batch.images)

            page.get_by_role("radio", name="Find").click()
            page.get_by_role("textbox", name="In words").fill("a photo of a green.")
            page.get_by_role("textbox", name="In words").press("Enter")
            said = page.get_by_text("those most like “a photo of a green.” first")
            expect(said).to_be_visible(timeout=WAITS)
            tiles = page.get_by_test_id("tile")
            tiles.first.click()  # the keys are still those of the field
            before = now().annotations
            page.keyboard.type(f"{1 + names.index('green')}")
            until(lambda: len(now().annotations) == len(before) + 1)
            new = now().annotations[-1]
            assert colours([new.image]) == [names[new.label]] == ["green"]
            assert new.annotator == "ada"
            assert new.image not in now().held_out

            picture = io.BytesIO()
            Image.fromarray(coloured(1001)).save(picture, "PNG")
            dropped = {"name": "blue.png", "mimeType": "image/png", "buffer": picture.getvalue()}
            page.locator("input[type=file]").first.set_input_files(dropped)
            expect(page.get_by_text("those most like that picture first")).to_be_visible(
                timeout=WAITS
            )
            expect(page.get_by_text("0 of 60 labelled")).to_be_visible()
            page.keyboard.type(f"{1 + names.index('blue')}")
            until(lambda: len(now().annotations) == len(before) + 2)
            assert colours([now().annotations[-1].image]) == ["blue"]

            page.get_by_role("tab", name="Encoders").click(timeout=WAITS)
            page.get_by_role("button", name="Compare encoders").click()
            alone = page.get_by_text("Tiny CLIP, by the class names alone")
            expect(alone.first).to_be_visible(timeout=WAITS)
            leave(page)
