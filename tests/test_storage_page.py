"""What a desk keeps, in the page: shown, cleaned, deleted for good; and exported without places."""

import io
import re
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect
from tabs import settled
from test_metadata import SECRET, photograph
from tiny import folder_of, loaded
from waiting import until

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.store.records import Annotation
from al_core.store.store import Store


def started(home: Path, name: str, folder: Path) -> int:
    config = ExperimentConfig(
        str(folder), class_names=("a", "b"), initial=2, initial_labels="person", per_round=2,
        rounds=1, image_size=8, random_baseline=False,
    )  # fmt: skip
    store = Store(f"sqlite:///{home / 'al.db'}")
    number = start_experiment(store, name, config, loaded(folder, home / "cache"))
    store.close()
    return number


def open_storage(page: Page) -> None:
    page.get_by_text("Storage", exact=True).click()
    expect(page.get_by_role("button", name="Clean", exact=True)).to_be_visible()
    settled(page)


def test_a_person_sees_what_is_kept_cleans_it_and_deletes_for_good(app, tmp_path: Path) -> None:
    folders = [
        folder_of(tmp_path / "uploads" / of, *(f"{of}-{i}.png" for i in range(8)))
        for of in ("pets", "cars")
    ]
    pets, cars = (started(tmp_path, folder.name, folder) for folder in folders)
    unused = tmp_path / "cache" / "thumbnails" / "ab" / f"{'ab' * 16}-320.webp"
    unused.parent.mkdir(parents=True)
    unused.write_bytes(bytes(3_000_000))
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    with app(path=f"/?experiment={pets}") as page:
        expect(page.get_by_test_id("tile").first).to_be_visible()
        open_storage(page)
        expect(page.get_by_text("3.0 MB of the caches are used by no experiment.")).to_be_visible()
        page.get_by_role("button", name="Clean", exact=True).click()
        expect(page.get_by_text("3.0 MB removed; caches take")).to_be_visible()
        assert not unused.exists()

        page.get_by_role("button", name="Delete", exact=True).click()
        page.get_by_role("button", name="Delete experiment").click()
        expect(page.get_by_text("“pets” was deleted by me")).to_be_visible()
        page.get_by_text("Deleted experiments").click()
        expect(page.get_by_role("button", name="Delete for good")).to_be_visible()
        settled(page)
        page.get_by_role("button", name="Delete for good").click()
        expect(page.get_by_text("The pictures that were uploaded for it go")).to_be_visible()
        assert [record.id for record in store.experiments(deleted=True)] == [pets]
        page.get_by_role("button", name="Delete “pets” for good").click()
        until(lambda: not store.experiments(deleted=True))
        expect(page.get_by_text("Deleted experiments")).to_have_count(0)
        assert [path.name for path in (tmp_path / "uploads").iterdir()] == ["cars"]
        page.goto(f"{page.url.partition('?')[0]}?experiment={cars}")
        expect(page.get_by_test_id("tile").first).to_be_visible()
    store.close()


def test_exported_photographs_say_where_they_were_taken_only_if_asked(app, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "photos", *(f"{i}.png" for i in range(8)))
    (folder / "at home.jpg").write_bytes(photograph("JPEG", 6))
    number = started(tmp_path, "photos", folder)
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    rows = store.images(number)
    (image,) = (row.position for row in rows if row.key == "at home.jpg")
    store.append(number, [Annotation(image, 0, 0, "me", key="at home.jpg")])
    store.close()
    with app(path=f"/?experiment={number}") as page:
        expect(page.get_by_test_id("tile").first).to_be_visible()
        for keeps in (False, True):
            if keeps:
                page.get_by_text("Keep what cameras wrote").click()
            page.get_by_role("button", name=re.compile("Images by class")).click()
            with page.expect_download() as download:
                page.get_by_role("button", name=re.compile("Download images by class")).click()
            with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
                assert (SECRET in archive.read("a/at home.jpg")) == keeps
