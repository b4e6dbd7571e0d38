"""Features are learned in the background while a person labels, on the real page."""

import re
from dataclasses import replace

from desk import A_ROUND, BY_HAND, Desk, hand_in, label_all
from playwright.sync_api import expect

from al_core.config import ModelConfig
from al_core.models.learned_weights import card

LEARN = ModelConfig("learned", head="linear", learn_minutes=0.12)
LEARNING = re.compile("Learning features from these images")


def test_a_person_labels_while_features_are_learned_and_a_head_picks_them_up(desk: Desk) -> None:
    number = desk.start(replace(BY_HAND, model=LEARN, rounds=1))
    page = desk.open(number)
    label_all(page, 6)
    progress = page.get_by_text(LEARNING)
    expect(progress).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    stopped = page.get_by_text("Learning features was stopped; what was learned so far is kept.")
    expect(stopped).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    hand_in(page)
    expect(page.get_by_role("heading", name="Round 1: Random")).to_be_visible(timeout=A_ROUND)
    page.get_by_role("button", name="Go on learning features").click()
    expect(progress).to_be_visible()
    expect(page.get_by_text("1 of 1", exact=True)).to_be_visible(timeout=A_ROUND)
    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    page.get_by_role("tab", name="Training").click()
    expect(page.get_by_text("learned from these images without labels, by EMP-SSL")).to_be_visible()
    (weights,) = (desk.home / "weights").glob("learned-*.safetensors")
    assert card(weights)["method"] == "EMP-SSL"
    assert desk.rows(number, "labeled", "rounds") == [(6,), (12,)]
    assert not list((desk.home / "weights").glob(f"{number}/*.safetensors"))  # no network trained

    again = desk.open(desk.start(replace(BY_HAND, model=LEARN, rounds=1)))
    label_all(again, 6)
    expect(again.get_by_text(LEARNING)).to_have_count(0)  # they are there
    hand_in(again)
    expect(again.get_by_role("heading", name="Round 1: Least confidence")).to_be_visible(
        timeout=A_ROUND
    )
