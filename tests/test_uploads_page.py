"""Somebody without a path on the server uploads pictures in the page."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect
from tabs import choose
from tiny import folder_of, loaded, shades, zipped
from waiting import until

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.store.store import Store


def upload_box(page: Page) -> Locator:
    choose(page, "Images", "My own folder or parquet file")
    return page.get_by_test_id("upload")


def test_a_person_uploads_a_zip_and_sees_what_was_found(app, tmp_path: Path) -> None:
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(6)]
    archive = tmp_path / "pets.zip"
    archive.write_bytes(zipped(shades(*names) | {"read.me": b"pets"}))
    (tmp_path / "note.txt").write_text("no picture")
    with app() as page:
        box = upload_box(page)
        expect(box.get_by_role("button", name="Upload a .zip or pictures")).to_be_visible()
        box.locator("input[type=file]").set_input_files([tmp_path / "note.txt"])
        expect(box.get_by_role("alert")).to_have_text(
            "No picture that can be read was uploaded (note.txt)."
        )
        box.locator("input[type=file]").set_input_files([archive])
        expect(page.get_by_text("12 images")).to_be_visible()
        expect(page.get_by_text("Classes: cat 6, dog 6.")).to_be_visible()
        expect(page.get_by_text("Left out of the upload: 1")).to_be_visible()
        samples = page.locator("figure img")
        sides = "images => images.map((image) => image.naturalWidth)"
        until(lambda: samples.evaluate_all(sides) == 6 * [8])
        expect(page.locator("figure").first).to_have_text("cat")
        expect(box.get_by_role("alert")).to_be_hidden()
        folder = tmp_path / "uploads" / "pets"
        expect(page.get_by_role("textbox", name="Path")).to_have_value(str(folder))
        pictures = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
        assert pictures == set(names)
        assert not (folder / "read.me").exists()


def test_who_deletes_an_experiment_may_delete_what_was_uploaded_for_it_alone(
    app, tmp_path: Path
) -> None:
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    for name, of in (("one", "pets"), ("two", "pets"), ("three", "cars")):
        folder = folder_of(tmp_path / "uploads" / of, *(f"{i}.png" for i in range(8)))
        config = ExperimentConfig(
            str(folder), class_names=("a", "b"), initial=2, initial_labels="person", per_round=2,
            rounds=1, image_size=8, random_baseline=False,
        )  # fmt: skip
        start_experiment(store, name, config, loaded(folder, tmp_path / "cache"))
    with app() as page:
        for number, offered in ((1, False), (3, True)):
            page.goto(f"{page.url.partition('?')[0]}?experiment={number}")
            expect(page.get_by_test_id("tile").first).to_be_visible()
            page.get_by_role("button", name="Delete", exact=True).click()
            expect(page.get_by_role("button", name="Delete experiment")).to_be_visible()
            too = page.get_by_text("And the pictures that were uploaded for it")
            expect(too).to_have_count(int(offered))
            if offered:
                too.click()
                expect(page.get_by_role("checkbox", name="And the pictures")).to_be_checked()
            page.get_by_role("button", name="Delete experiment").click()
            expect(page.get_by_text("was deleted by me a moment ago")).to_be_visible()
    assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["pets"]
    assert [record.id for record in store.experiments()] == [2]
    store.close()


def test_a_person_cancels_an_upload(app, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(1 << 30)
    with app() as page:
        box = upload_box(page)
        page.context.set_offline(False)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1e6}
        session.send("Network.emulateNetworkConditions", slow)
        box.locator("input[type=file]").set_input_files(large)
        arriving = tmp_path / "uploads" / ".arriving"
        until(lambda: list(arriving.glob("*.part/0")))
        expect(box.get_by_role("status")).to_contain_text("of 1024 MB")
        box.get_by_role("button", name="Cancel").click()
        expect(box.get_by_role("button", name="Upload a .zip or pictures")).to_be_visible()
        until(lambda: not list(arriving.iterdir()))
        session.detach()
