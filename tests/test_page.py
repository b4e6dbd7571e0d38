"""The real page in a real browser: what a person does, from the first visit to the next day."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import requests
from desk import (
    A_ROUND,
    BY_HAND,
    QUICK,
    Desk,
    hand_in,
    images,
    label_all,
    prepared,
    read,
    rows,
    tiles,
)
from itsdangerous import URLSafeTimedSerializer
from playwright.sync_api import BrowserContext, Locator, expect
from playwright.sync_api import Error as PlaywrightError
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from tabs import leave, more, tab
from waiting import until

from al_core.config import ExperimentConfig
from al_core.store.store import Store
from tests.servers import APP, free_port


def test_a_person_starts_labels_hands_in_sees_the_curve_grow_reloads_and_goes_on(
    desk: Desk,
) -> None:
    page = desk.open()
    more(page)
    page.get_by_role("textbox", name="Name", exact=True).fill("My digits")
    page.get_by_role("spinbutton", name="Initial images").fill("12")
    page.get_by_role("spinbutton", name="Images per round").fill("6")
    page.get_by_role("spinbutton", name="At least steps").fill("5")
    page.get_by_role("spinbutton", name="Epochs").fill("1")
    page.get_by_role("spinbutton", name="Epochs").press("Tab")
    page.get_by_role("button", name="Start experiment").click()

    typed = label_all(page, 6)
    expect(page.get_by_role("heading", name="My digits")).to_be_visible()
    number = next(e.id for e in desk.store.experiments() if e.name == "My digits")
    expect(page.get_by_text("1 of 5", exact=True)).to_be_visible()
    asked = [tile.get_attribute("data-image") for tile in page.get_by_test_id("tile").all()]
    saved = desk.rows(number, "image, label", "annotations")[12:]
    assert saved == [(int(i), int(k)) for i, k in zip(asked, typed, strict=True)]
    assert len(desk.rows(number, "*", "rounds")) == 1

    hand_in(page)
    expect(page.get_by_text("2 of 5", exact=True)).to_be_visible(timeout=A_ROUND)
    assert len(desk.rows(number, "*", "rounds")) == 2
    tiles(page, 6)
    page.keyboard.press("7")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()

    page.reload()
    first = tiles(page, 6).first
    expect(first).to_have_attribute("data-label", "7")
    expect(page.get_by_text("1 of 6 saved")).to_be_visible()
    expect(page.get_by_role("button", name="Hand in batch")).to_be_disabled()
    page.keyboard.press("8")
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    expect(page.get_by_test_id("tile").nth(1)).to_have_attribute("data-label", "8")


def test_labels_typed_while_the_server_is_away_or_has_just_come_back_are_saved(
    browser: BrowserContext, serve: Callable, tmp_path: Path
) -> None:
    port = free_port()
    desk = Desk(browser, f"http://127.0.0.1:{port}", tmp_path)
    number, another = desk.start_trained(), desk.start_trained()
    with serve(APP, port=port, env={"AL_HOME": str(tmp_path)}):
        page, other = desk.open(number), desk.open(another)
        asked = images(page)
        page.keyboard.press("1")
        page.keyboard.press("s")
        expect(page.get_by_text("2 of 6 saved")).to_be_visible(timeout=A_ROUND)
        tiles(other, 6)
    page.keyboard.press("2")
    page.keyboard.press("3")
    expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=A_ROUND)
    with serve(APP, port=port, env={"AL_HOME": str(tmp_path)}):
        # This server has never drawn the other page, and nothing was asked of it there yet.
        other.locator('[data-test-connection-state="CONNECTED"]').wait_for(timeout=A_ROUND)
        other.keyboard.press("4")
        expect(other.get_by_text("1 of 6 saved")).to_be_visible(timeout=A_ROUND)
        expect(page.get_by_text("4 of 6 saved")).to_be_visible(timeout=A_ROUND)
        expect(page.get_by_text("3 of 6 labelled, 1 skipped")).to_be_visible()
        expect(page.get_by_text("The server does not answer.")).to_be_hidden()
        page.keyboard.press("4")
        expect(page.get_by_text("5 of 6 saved")).to_be_visible(timeout=A_ROUND)
        page.reload()
        assert images(page) == asked
        expect(page.get_by_test_id("tile").nth(0)).to_have_attribute("data-label", "1")
        expect(page.get_by_test_id("tile").nth(1)).to_have_attribute("data-skipped", "true")
    desk.close()
    labels = desk.rows(number, "label", "annotations")[12:]
    assert labels == [(1,), (None,), (2,), (3,), (4,)]
    assert desk.rows(another, "label", "annotations")[12:] == [(4,)]
    assert len(desk.rows(number, "*", "rounds")) == 1  # trained once


def is_filled(field: Locator, text: str) -> bool:
    """Whether this text could be typed: not while there are two such fields."""
    with suppress(PlaywrightError):
        field.fill(text, timeout=2000)
        return True
    return False


def test_sources_that_cannot_be_used_are_told_and_a_folder_that_knows_no_classes_is_labelled(
    app: Callable, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    write_pictures(folder, 30)
    (tmp_path / "empty").mkdir()
    write_pictures(tmp_path / "one" / "cats", 3)
    with app("--data", str(folder)) as page:
        source = page.get_by_role("textbox", name="Path")
        start = page.get_by_role("button", name="Start experiment")
        expect(source).to_have_value(str(folder))
        sentences = {"nowhere/at/all": "nowhere/at/all", "empty": "empty", "one": "one class only"}
        for wrong, sentence in sentences.items():
            source.fill(str(tmp_path / wrong))
            source.press("Tab")
            start.click()
            # The form says it as soon as the path is given, Start once more.
            expect(page.get_by_test_id("stAlert").last).to_contain_text(sentence)
            expect(page.get_by_text("Traceback")).to_have_count(0)
            expect(start).to_be_enabled()
        assert rows(tmp_path, "SELECT * FROM experiments") == []
        source.fill(str(folder))
        source.press("Tab")
        expect(page.get_by_text("30 images")).to_be_visible(timeout=A_ROUND)
        more(page)
        # The fields of another source are other fields: they come with its name.
        name = page.get_by_role("textbox", name="Name", exact=True)
        expect(name).to_have_attribute("placeholder", re.compile("pictures"))
        classes = page.get_by_role("textbox", name="Classes")
        # Until a run has ended, those of before stand there too; and what was typed before may
        # begin another.
        expect(page.locator("[data-test-script-state=running]")).to_have_count(0)
        until(lambda: is_filled(classes, "dark\nlight <b>\n"))
        expect(page.locator("[data-test-script-state=running]")).to_have_count(0)
        page.get_by_role("spinbutton", name="Initial images").fill("4")
        page.get_by_role("spinbutton", name="Images per round").fill("3")
        page.get_by_role("spinbutton", name="At least steps").fill("5")
        page.get_by_role("spinbutton", name="Images per round").press("Tab")
        # These images know no classes, so nobody else could label the first ones.
        expect(page.get_by_test_id("stRadio").get_by_text("me", exact=True)).to_be_visible()
        expect(page.get_by_text("the truth", exact=True)).to_have_count(0)
        expect(page.get_by_role("combobox", name="Chosen by")).to_be_enabled()
        start.click()
        tiles(page, 4)
        expect(page.get_by_text("Initial images, drawn at random")).to_be_visible()
        for key in "1212":
            page.keyboard.press(key)
        expect(page.get_by_text("4 of 4 saved")).to_be_visible()
        expect(page.get_by_test_id("tile").nth(1)).to_have_attribute("data-label", "light <b>")
        hand_in(page)
        expect(page.get_by_text("Round 1: least confidence")).to_be_visible(timeout=A_ROUND)
        expect(page.get_by_text("Known once images drawn at random").first).to_be_visible()


def test_names_are_shown_as_they_are_the_truth_if_it_is_asked_for_and_experiments_are_managed(
    desk: Desk,
) -> None:
    name = "my *cat* $a$ :red[x] <b>"
    number = desk.start(BY_HAND, name)
    page = desk.open(number)
    tiles(page, 6)
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.get_by_text(re.compile("^Truth: "))).to_have_count(0)
    page.keyboard.press("1")
    page.keyboard.press("2")
    expect(page.get_by_text("2 of 6 saved")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download labels").click()
    assert len(download.value.path().read_text().splitlines()) == 3
    page.get_by_text("Show the truth").click()
    expect(page.get_by_text(re.compile("^Truth: "))).to_have_count(6)

    page.get_by_role("button", name="Rename").click()
    page.get_by_role("textbox", name="New name").fill("second")
    page.get_by_role("textbox", name="New name").press("Enter")
    page.get_by_role("button", name="Save name").click()
    expect(page.get_by_role("heading", name="second")).to_be_visible()
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_role("button", name="Delete experiment").click()
    expect(page.get_by_role("heading", name="Active-learning desk")).to_be_visible()
    assert number not in [record.id for record in desk.store.experiments()]
    expect(page.get_by_text("“second” was deleted by me a moment ago.")).to_be_visible()
    page.get_by_text("Deleted experiments").click()
    page.get_by_test_id("stSidebar").get_by_role("button", name="Restore “second”").click()
    expect(page.get_by_role("button", name="Restore “second”")).to_have_count(0)
    assert desk.store.experiment(number).name == "second"
    assert number in [record.id for record in desk.store.experiments()]


def test_an_experiment_whose_images_vanished_says_so_and_its_labels_can_be_taken_away(
    desk: Desk, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    write_pictures(folder, 30)
    config = ExperimentConfig(
        data=str(folder), initial=4, initial_labels="person", class_names=("a", "b"), per_round=2
    )
    number = desk.start(config)
    folder.rename(tmp_path / "elsewhere")
    page = desk.open(number)
    expect(page.get_by_test_id("stAlert")).to_contain_text(str(folder))
    expect(page.get_by_role("button", name="Download labels")).to_be_visible()
    (tmp_path / "elsewhere").rename(folder)
    page.get_by_role("button", name="Try again").click()
    tiles(page, 4)


def write_pictures(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    for i in range(count):
        pixels = np.full((8, 8, 3), 8 * i % 256, np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")


def test_a_stranger_sees_nothing_where_a_login_is_asked_for(
    browser: BrowserContext, serve: Callable, tmp_path: Path
) -> None:
    prepared(tmp_path, "a secret")
    secrets = tmp_path / "secrets.toml"
    secrets.write_text(
        '[auth]\nredirect_uri = "http://localhost/oauth2callback"\ncookie_secret = "crumbs"\n'
        'client_id = "desk"\nclient_secret = "hush"\n'
        'server_metadata_url = "http://127.0.0.1:9/.well-known/openid-configuration"\n'
    )
    env = {"AL_HOME": str(tmp_path), "STREAMLIT_SECRETS_FILES": str(secrets)}
    with serve(APP, env=env) as url:
        page = tab(browser)
        page.goto(f"{url}/?experiment=1")
        expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=A_ROUND)
        expect(page.get_by_text("a secret")).to_have_count(0)
        expect(page.get_by_text("Experiment")).to_have_count(0)
        leave(page)
        # Nor pictures, with the ticket of somebody who has logged out meanwhile.
        key = Store(f"sqlite:///{tmp_path / 'al.db'}").key("pictures")
        ticket = URLSafeTimedSerializer(key, salt="pictures").dumps("pictures")
        _, digits = read(tmp_path, QUICK)
        with requests.Session() as stranger:
            assert stranger.post(f"{url}/ticket", data=ticket).status_code == 204
            digest = digits.train.files["digest"][0].tobytes().hex()
            picture = f"{url}/pictures/1/{digest}/thumbnail"
            assert stranger.get(picture).status_code == 403
            login = json.dumps({"is_logged_in": True, "origin": url})
            stranger.cookies.set(
                USER_COOKIE_NAME, create_signed_value("crumbs", USER_COOKIE_NAME, login).decode()
            )
            assert stranger.get(picture).status_code == 200
    secrets.write_text("[auth\n")
    with serve(APP, env=env) as url:
        page = tab(browser)
        page.goto(f"{url}/?experiment=1")
        expect(page.get_by_text("so nobody is let in")).to_be_visible(timeout=A_ROUND)
        expect(page.get_by_text("a secret")).to_have_count(0)
        leave(page)
