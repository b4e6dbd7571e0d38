"""Classes that change while somebody labels, in a real browser."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from desk import A_ROUND, BY_HAND, QUICK, Desk, batch, hand_in, images
from PIL import Image
from playwright.sync_api import Page, expect
from tabs import choose
from tiny import encoded
from waiting import until

from al_core.experiment.experiment import open_experiment

NAMES = [f"class {letter}" for letter in "abcdefghijklmnop"]


def of_sixteen_colours(folder: Path) -> Path:
    """Pictures of sixteen kinds, without any folder that says so."""
    rng = np.random.default_rng(0)
    for kind in range(16):
        for number in range(4):
            noise = rng.integers(0, 60, (24, 32, 3))
            noise[..., kind % 3] += 12 * kind
            path = folder / f"{number:02}-{kind:02}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(encoded(Image.fromarray(noise.astype(np.uint8)), "JPEG"))
    return folder


def name_in_list(page: Page, name: str) -> None:
    page.keyboard.press("l")
    page.keyboard.type(name)
    page.keyboard.press("Enter")


def labels(page: Page) -> list[str]:
    return page.get_by_test_id("tile").evaluate_all(
        "tiles => tiles.map(tile => tile.dataset.label)"
    )


def change(page: Page, act: str, **fields: str) -> None:
    """What somebody does in the sidebar."""
    side = page.get_by_test_id("stSidebar")
    # Streamlit fetches the code of a table late, and what is below it moves: not in the middle of a
    # press.
    expect(side.get_by_test_id("stDataFrame").locator("canvas").first).to_be_visible()
    side.get_by_role("radio", name=act, exact=True).click()
    for field, value in fields.items():
        if "\n" in value:
            side.get_by_role("textbox", name=field).fill(value)
        else:
            choose(page, field, value)
    side.get_by_role("button", name=act, exact=True).click()


def test_four_classes_become_sixteen_by_keyboard_and_two_merge_and_one_parts(
    desk: Desk, tmp_path: Path
) -> None:
    folder = of_sixteen_colours(tmp_path / "colours")
    settings = replace(
        BY_HAND, data=str(folder), class_names=tuple(NAMES[:4]), initial=32, per_round=4, rounds=1
    )
    number = desk.start(settings)
    page = desk.open(number)
    keys = [row.key for row in open_experiment(desk.store, number).manifest.pool]
    kinds = [int(keys[int(image)][3:5]) for image in images(page, 32)]
    for kind in kinds:
        if kind < 4:
            page.keyboard.press(str(1 + kind))
        else:
            name_in_list(page, NAMES[kind])
    expect(page.get_by_text("32 of 32 saved")).to_be_visible(timeout=A_ROUND)
    assert labels(page) == [NAMES[kind] for kind in kinds]
    experiment = open_experiment(desk.store, number)
    assert {*experiment.classes.named.values()} == {*NAMES[:4], *(NAMES[kind] for kind in kinds)}

    page.get_by_test_id("stSidebar").get_by_text("Classes", exact=True).click()
    first, second = NAMES[kinds[0]], next(NAMES[kind] for kind in kinds if kind != kinds[0])
    change(page, "Merge", Classes=first, Into=second)
    expect(page.get_by_text(f"“{first}” merged into “{second}”")).to_be_visible()
    expect(page.locator(f'[data-testid=tile][data-label="{first}"]')).to_have_count(0)
    change(page, "Split", Class=second, Into="light\ndark")
    parted = sum(NAMES[kind] in (first, second) for kind in kinds)
    expect(page.get_by_text(f"{32 - parted} of 32 saved")).to_be_visible(timeout=A_ROUND)
    undo, redo = (
        page.get_by_test_id("stSidebar").get_by_role("button", name=name, exact=True)
        for name in ("Undo", "Redo")
    )
    undo.click()
    expect(page.get_by_text("32 of 32 saved")).to_be_visible(timeout=A_ROUND)
    undo.click()
    until(lambda: labels(page) == [NAMES[kind] for kind in kinds])
    redo.click()
    expect(page.locator(f'[data-testid=tile][data-label="{first}"]')).to_have_count(0)
    redo.click()
    expect(page.get_by_text(f"{32 - parted} of 32 saved")).to_be_visible(timeout=A_ROUND)


def test_the_curve_says_where_classes_changed_and_test_images_of_a_split_one_are_asked_about(
    desk: Desk,
) -> None:
    number = desk.start_trained(replace(QUICK, rounds=1))
    page = desk.open(number)
    batch(page, "Round 1")
    page.get_by_test_id("stSidebar").get_by_text("Classes", exact=True).click()
    change(page, "Split", Class="7", Into="7 with a bar\n7 without")
    asked = page.get_by_text("Test images of a class that was split: label")
    expect(asked).to_be_visible(timeout=A_ROUND)
    page.get_by_test_id("stSidebar").get_by_text("Classes", exact=True).click()
    for key in "123456":
        page.keyboard.press(key)
    hand_in(page)
    expect(page.get_by_text("The classes changed:")).to_contain_text(
        "“7” split into “7 with a bar” and “7 without” (round 1)", timeout=A_ROUND
    )
    expect(page.get_by_text(re.compile("54 test images"))).to_be_visible()
    asked.click()
    truths = page.get_by_test_id("label-grid").last.get_by_test_id("tile")
    expect(truths).to_have_count(6, timeout=A_ROUND)
    truths.first.click()
    for _ in range(6):
        name_in_list(page, "7 without")
    expect(page.get_by_text("All have a class again")).to_be_visible(timeout=A_ROUND)
    expect(page.get_by_text(re.compile("60 test images"))).to_be_visible()
