"""Copies and near-copies in the real page: shown beside each other, and asked about."""

from pathlib import Path

from playwright.sync_api import BrowserContext, expect
from tabs import leave, tab
from test_near_copies import photograph, read, save, settings, with_leaks

from al_core.experiment.experiment import open_experiment
from al_core.experiment.start import start_experiment
from al_core.store.store import Store
from tests.servers import ROOT, serving

WAITS = 60_000  # milliseconds


def test_copies_are_shown_beside_each_other_and_measure_when_somebody_says_so(
    browser: BrowserContext, tmp_path: Path
) -> None:
    data = with_leaks(tmp_path / "parts")
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    by_hand = settings(tmp_path / "parts", initial_labels="person")
    number = start_experiment(store, "mine", by_hand, data)
    with serving(tmp_path) as server:
        page = tab(browser)
        page.goto(f"{server.url}/?experiment={number}")
        expect(page.get_by_test_id("tile")).to_have_count(6, timeout=WAITS)
        asks = page.get_by_role("button", name="2 test copies: answer")
        asks.click()
        shown = page.get_by_test_id("stPopoverBody")
        what = "Test images that show, or nearly show, what an image to train on shows: 2 of 6"
        expect(shown.get_by_text(what)).to_contain_text("measure nothing")
        for title in (
            "The same picture more than once: 1",
            "Nearly the same picture more than once: 1",
        ):
            expect(shown.get_by_text(title, exact=True)).to_be_visible()
        pictures = shown.locator("figure")
        expect(pictures).to_have_count(4, timeout=WAITS)
        for first, name in ((0, "train/a/2.png"), (2, "train/b/3.png")):
            expect(pictures.nth(first)).to_contain_text(name)
            expect(pictures.nth(first)).to_contain_text("to train on")
        for second, name in ((1, "test/a/copy.bmp"), (3, "test/b/near.jpg")):
            expect(pictures.nth(second)).to_contain_text(name)
            expect(pictures.nth(second)).to_contain_text("to test with")
        for picture in pictures.locator("img").all():
            is_drawn = "image => image.naturalWidth > 0"
            page.wait_for_function(is_drawn, arg=picture.element_handle(), timeout=WAITS)
        page.get_by_role("button", name="Let them measure").click()
        expect(asks).to_have_count(0, timeout=WAITS)
        page.get_by_role("button", name="2 test copies measured: show").click()
        expect(page.get_by_text("as in published figures")).to_be_visible(timeout=WAITS)
        assert open_experiment(store, number).config.copies_measure
        page.get_by_role("button", name="Leave them out").click()
        expect(asks).to_be_visible(timeout=WAITS)
        assert not open_experiment(store, number).config.copies_measure
        expect(page.get_by_test_id("tile")).to_have_count(6)
        leave(page)
    store.close()


def test_files_that_are_left_out_as_their_classes_differ_are_shown(
    browser: BrowserContext, tmp_path: Path
) -> None:
    folder = tmp_path / "classes"
    for number in range(20):
        save(folder / "ab"[number % 2] / f"{number}.png", photograph(number))
    for number in (100, 101):
        for name in "ab":
            save(folder / name / f"{number}.png", photograph(number))
    data = read(folder)
    assert list(data.disputed.keys) == ["a/100.png", "a/101.png"]
    store = Store(f"sqlite:///{tmp_path / 'al.db'}")
    number = start_experiment(store, "mine", settings(folder, initial_labels="person"), data)
    with serving(tmp_path) as server:
        page = tab(browser)
        page.goto(f"{server.url}/?experiment={number}")
        expect(page.get_by_test_id("tile")).to_have_count(6, timeout=WAITS)
        page.get_by_role("button", name="2 with copies").click()
        pictures = page.get_by_test_id("stPopoverBody").locator("figure")
        expect(pictures).to_have_count(2, timeout=WAITS)
        for picture, name in zip(pictures.all(), ("100", "101"), strict=True):
            expect(picture).to_contain_text(f"a/{name}.png")
            expect(picture).to_contain_text("left out")
            expect(picture).to_contain_text(f"= b/{name}.png")
            drawn = picture.locator("img").element_handle()
            page.wait_for_function("image => image.naturalWidth > 0", arg=drawn, timeout=WAITS)
        leave(page)
    store.close()


def test_of_names_that_begin_alike_the_part_is_shown_in_which_they_differ(
    browser: BrowserContext,
) -> None:
    script = (ROOT / "al_desk/widgets/picture_wall.js").read_text(encoding="utf-8")
    run = (
        script.replace("export default function", "function wall")
        + """
        const shared = sharedStart(names);
        return names.map((name) => shortened(name, shared));
    """
    )
    page = tab(browser)
    page.goto("about:blank")

    def shown(*names: str) -> list[str]:
        return page.evaluate(f"names => {{ {run} }}", list(names))

    long, rest = "a photograph archive/" * 3, "/" + "and so on/" * 5
    assert shown("a/2.png", "b/copy.bmp") == ["a/2.png", "b/copy.bmp"]
    for name in (f"{long}1.png", f"{long}22.png"):
        assert shown(f"{long}1.png", f"{long}22.png").count(f"…{name[-42:]}") == 1
    summer, winter = shown(f"{long}summer{rest}", f"{long}winter{rest}")
    assert "summer/and" in summer
    assert "winter/and" in winter
    assert shown(*2 * [f"{long}1.png"]) == 2 * ["…" + f"{long}1.png"[-42:]]
    leave(page)
