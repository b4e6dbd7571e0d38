"""The labelling desk in a real browser: one person, ahead of the training and back again."""

import io
import re
import zipfile

from desk import (
    A_ROUND,
    BY_HAND,
    FOR_EVER,
    POOL,
    Desk,
    batch,
    hand_in,
    images,
    label_all,
    tiles,
    toggle,
)
from playwright.sync_api import Page, expect

TYPE = """(keys) => {
    for (const key of keys) document.body.dispatchEvent(
        new KeyboardEvent("keydown", {key, bubbles: true, composed: true}));
}"""  # in one moment


def test_a_training_that_ends_leaves_the_hand_alone_and_undo_goes_back_across_batches_and_reloads(
    desk: Desk,
) -> None:
    number = desk.start_trained()
    page = desk.open(number)
    batch(page, "Round 1")
    first = images(page)
    label_all(page, 6)
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    page.keyboard.press("4")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    expect(page.get_by_text("2 of 2", exact=True)).to_be_visible(
        timeout=A_ROUND
    )  # round 1 is trained
    expect(page.get_by_test_id("tile").first).to_have_attribute("data-label", "4")
    expect(page.get_by_test_id("tile").nth(2)).to_be_focused()

    page.reload()
    expect(page.get_by_text("1 of 6 saved")).to_be_visible(timeout=A_ROUND)
    page.keyboard.press("u")
    expect(page.get_by_text("0 of 6 saved")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    assert images(page) == first
    expect(page.get_by_test_id("tile").nth(5)).to_be_focused()
    page.keyboard.press("9")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    assert desk.rows(number, "image, label", "annotations")[-1] == (int(first[5]), 9)

    so_far = len(desk.rows(number, "id", "annotations"))
    page.evaluate(TYPE, "u97")  # typed before anybody sees where the undo leads to
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    expect(page.get_by_test_id("tile").nth(5)).to_be_focused()
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    page.keyboard.press("8")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    assert {int(image) for image in first} >= {
        image for (image,) in desk.rows(number, "image", "annotations")[so_far:]
    }
    assert desk.rows(number, "image, label", "annotations")[-1] == (int(first[5]), 8)


def test_a_person_labels_on_while_a_round_trains_which_an_undo_or_a_press_stops_and_starts_again(
    desk: Desk,
) -> None:
    number = desk.start_trained()
    page = desk.open(number)
    batch(page, "Round 1")
    desk.set_steps(number, FOR_EVER)
    first = images(page)
    label_all(page, 6)
    page.keyboard.press("Enter")
    training = page.get_by_text("Round 1: training. Training:")
    expect(training).to_be_visible(timeout=A_ROUND)
    batch(page, "Round 2")
    page.keyboard.press("u")
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    expect(page.get_by_role("heading", name="Round 1")).to_be_visible()
    expect(training).to_have_count(0)
    page.keyboard.press("9")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    page.keyboard.press("Enter")
    batch(page, "Round 2")
    assert desk.rows(number, "label", "annotations")[-1] == (9,)
    assert not set(first) & set(images(page))
    expect(training).to_be_visible(timeout=A_ROUND)
    label_all(page, 6)
    page.keyboard.press("Enter")

    expect(page.get_by_test_id("tile")).to_have_count(0)
    expect(page.get_by_role("heading", name="Round 1: training")).to_be_visible()
    training = page.get_by_text(re.compile("Training: .* left"))
    again = page.get_by_role("button", name="Start round 1 again")
    for stopped in range(2):
        expect(training).to_be_visible(timeout=A_ROUND)
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("Training was cancelled")).to_be_visible(timeout=A_ROUND)
        assert desk.rows(number, "labeled", "rounds") == [(12,)]  # nothing of it is kept
        if not stopped:
            again.click()
    desk.set_steps(number, 2)
    again.click()
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    assert desk.rows(number, "round, model", "batches") == [
        (1, 0), (2, 0), (3, 2)
    ]  # fmt: skip
    assert desk.rows(number, "labeled", "rounds") == [(12,), (18,), (24,)]


def test_rounds_run_to_the_last_say_how_often_person_and_model_disagree_and_one_more_can_follow(
    desk: Desk,
) -> None:
    number = desk.start_trained()
    page = desk.open(number)
    batch(page, "Round 1: Least confidence")
    grid = page.get_by_test_id("label-grid")
    expect(grid.get_by_text(re.compile(r"\d%"))).to_have_count(0)  # blind first
    why_this_image_names_classes_only_once_there_is_a_label(page)
    label_all(page, 6)
    marks = grid.get_by_text(re.compile(r"^≠ \d · \d+%$")).count()
    hand_in(page)
    batch(page, "Round 2: Least confidence")
    toggle(page, "Show the model's guesses")
    expect(grid.get_by_text(re.compile(r"^\d · \d+%$"))).to_have_count(6)
    page.wait_for_timeout(300)  # what a label takes
    label_all(page, 6)
    hand_in(page)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)
    page.get_by_role("tab", name="Rounds").click()
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    records = desk.rows(number, "compared, disagreed, guesses_shown", "rounds")
    assert records[:2] == [(0, 0, 0), (6, marks, 0)]
    assert (records[2][0], records[2][2]) == (6, 1)
    assert desk.rows(number, "labeled", "rounds") == [(12,), (18,), (24,)]
    times = desk.rows(number, "milliseconds", "annotations")[-6:]
    assert max(times)[0] >= 300

    page.get_by_role("button", name="Undo the last label").click()  # where there is no grid
    expect(page.get_by_text("5 of 6 saved")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_text("6 of 6 saved")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text("All rounds are done")).to_be_visible()
    expect(grid).to_have_count(0)  # what is below has moved up, and can be clicked

    page.get_by_role("button", name="Predictions for the rest").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download predictions").click(timeout=A_ROUND)
    table = download.value.path().read_text().splitlines()
    assert table[0] == "key,image,label,class_name,probability"
    assert len(table) == 1 + POOL - 24
    page.get_by_role("button", name="Label another round").click()
    tiles(page, 6)
    expect(page.get_by_text("3 of 3", exact=True)).to_be_visible()


def why_this_image_names_classes_only_once_there_is_a_label(page: Page) -> None:
    page.keyboard.press("w")
    panel = page.get_by_role("complementary", name="Why this image")
    of = "rank 1 of 228 unlabelled images, by the model of round 0"
    expect(panel).to_contain_text(of)
    expect(panel).to_contain_text("Shown once the image has a label.")
    expect(panel.locator("figure")).to_have_count(5)
    expect(panel.locator("figcaption").first).to_have_text(re.compile(r"^\d$"))
    page.keyboard.press("0")  # as it will be labelled: of several labels the first is compared
    expect(panel).to_contain_text("rank 2 of 228")
    page.keyboard.press("ArrowLeft")
    expect(panel.locator(".prob")).to_have_count(3)
    page.keyboard.press("w")
    expect(panel).to_have_count(0)


def test_labels_and_images_are_taken_away_and_labels_brought_in(desk: Desk) -> None:
    number = desk.start_trained()
    page = desk.open(number)
    batch(page, "Round 1")
    for name, suffix in (("Images by class", "zip"), ("Hugging Face parquet", "parquet")):
        page.get_by_role("button", name=name, exact=False).click()
        with page.expect_download() as download:
            page.get_by_role("button", name=re.compile(f"Download {name}", re.I)).click()
        content = download.value.path().read_bytes()
        assert download.value.suggested_filename.endswith(f".{suffix}")
        if suffix == "zip":
            names = zipfile.ZipFile(io.BytesIO(content)).namelist()
            assert len(names) == 12
            assert all(re.fullmatch(r"\d/\d+\.png", name) for name in names)
        else:
            assert content[:4] == b"PAR1"

    page.get_by_role("button", name="Import labels").click()
    chooser = page.locator("input[type=file]")
    taken = desk.rows(number, "key", "annotations")[0][0]
    for text, answer in (
        (f"key,class_name\n{taken},4\nnobody,4\n", "Rows that cannot be matched: 1"),
        ("a,b,c\n1,2,3\n", "needs the columns"),
    ):
        chooser.set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": text.encode()})
        expect(page.get_by_text(answer)).to_be_visible()
    text = f"key,class_name\n{taken},4\n"
    chooser.set_input_files({"name": "b.csv", "mimeType": "text/csv", "buffer": text.encode()})
    page.get_by_role("button", name="Import 1 label").click()
    expect(page.get_by_text(re.compile("1 label imported"))).to_be_visible()
    assert desk.rows(number, "key, label", "annotations")[-1] == (taken, 4)


def test_undo_typed_quickly_across_a_reload_takes_back_one_act_a_press(desk: Desk) -> None:
    number = desk.start(BY_HAND)
    page = desk.open(number)
    tiles(page, 6)
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    page.reload()
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    page.keyboard.press("3")
    page.evaluate(TYPE, "uuu")
    expect(page.get_by_text("0 of 6 saved")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("There is nothing to undo.")).to_be_visible()
    assert desk.rows(number, "undoes", "annotations") == [(0,)] * 3 + [(1,)] * 3
