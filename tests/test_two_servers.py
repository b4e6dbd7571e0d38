"""Two servers, each with files of its own, on one database."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from desk import A_ROUND, BY_HAND, hand_in, images, label_all, label_in_both, read
from playwright.sync_api import BrowserContext, Page, expect
from tiny import folder_of, loaded, picture
from waiting import until

from al_core.config import ExperimentConfig
from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.store.store import Store
from tests.postgres import Postgres
from tests.servers import APP


def test_labels_of_both_count_a_round_trains_once_and_one_goes_on_where_the_other_ends(
    browser: BrowserContext, serve: Callable, postgres: Postgres, tmp_path: Path
) -> None:
    address = postgres.database()
    store = Store(address)
    config, dataset = read(tmp_path, BY_HAND)
    config = replace(config, label_while_training=False, random_baseline=True)
    number = start_experiment(store, "team", config, dataset)

    def opened(url: str) -> Page:
        page = browser.new_page()
        page.goto(f"{url}/?experiment={number}")
        return page

    def environment(name: str) -> dict[str, str]:
        return {"AL_HOME": str(tmp_path / name), "AL_DATABASE_URL": address}

    with serve(APP, env=environment("one")) as one:
        with serve(APP, env=environment("other")) as other:
            pages = [opened(one), opened(other)]
            asked = label_in_both(pages, "1 of 2")
            assert [record.labeled for record in store.rounds(number)] == [12]
            for page in pages:  # the round is counted before its batch is drawn
                expect(page.get_by_text("0 of 6 labelled")).to_be_visible(timeout=A_ROUND)
            again = [image for page in pages for image in images(page)]
            assert len(set(again)) == 12
            pages[1].keyboard.type("123")
            expect(pages[1].get_by_text("3 of 6 saved")).to_be_visible(timeout=A_ROUND)
        label_all(pages[0], 6)
        hand_in(pages[0])
        expect(pages[0].get_by_text("3 of 6 labelled")).to_be_visible(timeout=A_ROUND)
        assert images(pages[0]) == again[6:]
        for page in pages:
            page.close()
    said = store.annotations(number)
    assert sorted(row.image for row in said) == sorted(map(int, asked + again[:9]))
    store.close()


def test_a_server_reads_a_folder_again_when_another_has_found_images_in_it(
    browser: BrowserContext, serve: Callable, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path / "pictures", *(f"{i}.png" for i in range(12)))
    config = ExperimentConfig(
        str(folder), class_names=("cat", "dog"), initial=4, initial_labels="person",
        per_round=2, rounds=1, image_size=8, held_out_share=0.0, random_baseline=False,
    )  # fmt: skip
    address = f"sqlite:///{tmp_path / 'al.db'}"
    store = Store(address)
    number = start_experiment(store, "mine", config, loaded(folder, tmp_path / "cache"))
    homes = [{"AL_HOME": str(tmp_path / name), "AL_DATABASE_URL": address} for name in "ab"]
    with serve(APP, env=homes[0]) as one, serve(APP, env=homes[1]) as other:
        pages = []
        for url in (one, other):
            pages.append(browser.new_page())
            pages[-1].goto(f"{url}/?experiment={number}")
            expect(pages[-1].get_by_test_id("tile")).to_have_count(4, timeout=A_ROUND)
        picture(200).save(folder / "new.png")
        pages[0].get_by_role("button", name="Look for new images").click()
        expect(pages[0].get_by_text("1 new: show")).to_be_visible(timeout=A_ROUND)
        new = open_experiment(store, number).manifest.pool[12]
        # The other server's own list of the folder is older: it has no picture of that digest yet.
        pages[1].reload()
        expect(pages[1].get_by_text("1 new: show")).to_be_visible(timeout=A_ROUND)
        shown = "address => fetch(address).then((answer) => answer.ok)"
        there = f"pictures/{number}/{new.digest}/thumbnail"
        until(lambda: pages[1].evaluate(shown, there))
        for page in pages:
            page.close()
    store.close()
