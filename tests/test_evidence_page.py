"""The page's evidence: held-out images, a start without labels, the random baseline."""

import json
import re
from dataclasses import replace
from pathlib import Path

from desk import A_ROUND, QUICK, Desk, hand_in, label_all, tiles
from playwright.sync_api import expect
from tabs import choose
from tiny import picture

from al_core.config import ExperimentConfig, ModelConfig, TrainConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish

BRIEF = TrainConfig(epochs=1, min_steps=2)


def pictures(folder: Path, count: int) -> Path:
    """Dark and light pictures that nobody has named."""
    folder.mkdir()
    for i in range(count):
        picture(40 + 3 * i if i % 2 else 250 - 3 * i).save(folder / f"{i:02}.png")
    return folder


def by_hand(desk: Desk, folder: Path, **changes) -> int:
    config = ExperimentConfig(
        data=str(folder), initial=10, initial_labels="person", per_round=10, rounds=2,
        train=BRIEF, class_names=("dark", "light"), held_out_share=0.2, image_size=16, **changes,
    )  # fmt: skip
    dataset = finish(load(str(folder), image_size=16, cache_dir=desk.home / "cache"))
    return start_experiment(desk.store, folder.name, config, dataset)


def test_images_drawn_at_random_measure_where_there_is_no_test_set(
    desk: Desk, tmp_path: Path
) -> None:
    experiment = by_hand(desk, pictures(tmp_path / "unnamed", 40))
    page = desk.open(experiment)
    tiles(page, 10)
    for key in "1212121212":
        page.keyboard.press(key)
    expect(page.get_by_text("10 of 10 saved")).to_be_visible()
    hand_in(page)
    expect(page.get_by_role("heading", name="Round 1: Least confidence")).to_be_visible(
        timeout=A_ROUND
    )
    expect(page.get_by_text("Accuracy on random images").first).to_be_visible()
    said = "Measured on 2 images drawn at random from the whole pool and labelled by people"
    expect(page.get_by_text(re.compile(said))).to_be_visible()
    marked, *_ = desk.rows(experiment, "held_out", "batches")
    assert len(json.loads(marked[0])) == 2


def test_an_experiment_begins_without_labels_and_a_strategy_chooses_the_first_batch(
    desk: Desk, tmp_path: Path
) -> None:
    experiment = by_hand(desk, pictures(tmp_path / "unseen", 40), start="typiclust")
    page = desk.open(experiment)
    expect(page.get_by_role("heading", name="Initial images, chosen by TypiClust")).to_be_visible(
        timeout=A_ROUND
    )
    tiles(page, 10)
    page.keyboard.press("w")
    expect(
        page.get_by_text(re.compile("TypiClust among .* before there was a model|to measure"))
    ).to_be_visible()


def test_as_many_random_labels_are_trained_on_in_the_background(desk: Desk) -> None:
    experiment = desk.start_trained(replace(QUICK, rounds=1, random_baseline=True))
    page = desk.open(experiment)
    label_all(page, 6)
    page.get_by_role("tab", name="Rounds").click()  # any tab will do
    hand_in(page)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    page.get_by_role("tab", name="Training").click()
    # A bar is ticking: of two tabs pressed before the first is drawn, the first may stay open.
    expect(page.get_by_test_id("stSlider")).to_be_visible()
    page.get_by_role("tab", name="Accuracy").click()
    expect(page.get_by_text(re.compile("Grey: the random baseline"))).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("18 random labels give")).to_be_visible()
    kept = list((desk.home / "weights" / str(experiment)).glob("random-1-18.json"))
    assert len(kept) == 1


def test_the_strategy_of_an_experiment_is_changed_and_its_next_batch_is_chosen_by_it(
    desk: Desk,
) -> None:
    experiment = desk.start_trained()
    page = desk.open(experiment)
    expect(page.get_by_role("heading", name="Round 1: Least confidence")).to_be_visible(
        timeout=A_ROUND
    )
    hint = page.get_by_text("While there are few labels, try")  # above the pictures
    expect(hint).to_be_visible()
    grid = page.get_by_test_id("label-grid")
    grid.evaluate("grid => { grid.isTheSame = true; }")
    choose(page, "Strategy", "MaxHerding")
    tiles(page, 6).first.click()  # back from the sidebar
    label_all(page, 6)
    expect(hint).to_have_count(0)
    # A grid that is taken off the page and drawn again would miss what is typed meanwhile.
    assert grid.evaluate("grid => grid.isTheSame")
    hand_in(page)
    expect(page.get_by_role("heading", name="Round 2: MaxHerding")).to_be_visible(timeout=A_ROUND)


def test_a_training_that_cannot_go_on_offers_its_settings_and_goes_on_with_others(
    desk: Desk,
) -> None:
    gone = ModelConfig(weights="gone.safetensors", head="linear")
    experiment = desk.start(replace(QUICK, initial=12, model=gone))
    page = desk.open(experiment)
    expect(page.get_by_text("gone.safetensors").first).to_be_visible(timeout=A_ROUND)
    page.get_by_role("button", name="Save settings").wait_for()
    choose(page, "Weights to start from", "None")
    page.get_by_role("spinbutton", name="Images per round").fill("7")
    page.get_by_role("spinbutton", name="Rounds", exact=True).fill("500")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("not enough unlabelled images")).to_be_visible()
    page.get_by_role("spinbutton", name="Rounds", exact=True).fill("3")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("of 3", exact=False).first).to_be_visible()
    page.get_by_role("button", name="Start round 0 again").click()
    tiles(page, 7)
    ((position,),) = desk.rows(experiment, "log_position", "rounds")
    used = json.loads(position)["settings"]
    assert (used["model"]["weights"], used["per_round"]) == ("none", 7)
