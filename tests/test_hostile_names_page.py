"""Names that try to be code, in a real browser: they are shown as they are, and run nothing."""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from desk import A_ROUND, QUICK, Desk, hand_in, tiles
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from tabs import choose
from tiny import encoded

from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.progress import finish

SCRIPT = "<script>window.hacked=1</script>"
PICTURE = "<img src=x onerror='window.hacked=1'>"
CLASSES = (
    SCRIPT, PICTURE, "[a](javascript:window.hacked=1)", "../../etc/passwd", "**bold** :red[x] $x$",
    "=HYPERLINK(1)", "🐈 \"quoted\" 'cat'", "שלום", "&lt;b&gt; -> -- `code`", "x" * 200,
)  # fmt: skip
WAIT = 30_000  # milliseconds the page may take to draw on a busy machine
EXPERIMENT = f"{PICTURE} **b** :red[x] $x$ &lt; ../=1"
ANNOTATOR = f"=1 {SCRIPT} :smile: שלום"


def folder_with_classes_of_those_names(folder: Path) -> Path:
    """Eight pictures of each class, told apart by their shade, as parquet: a path holds no "/"."""
    labels = [i % len(CLASSES) for i in range(8 * len(CLASSES))]
    noise = np.random.default_rng(0)  # or they would be copies, of which none measures
    pictures = [
        encoded(Image.fromarray(noise.integers(25 * label, 25 * label + 20, (8, 8, 3), np.uint8)))
        for label in labels
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": content, "path": f"={i} {SCRIPT}"} for i, content in enumerate(pictures)]
    features = {"img": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": CLASSES}}
    table = pa.table({"img": pa.array(rows, kind), "label": pa.array(labels, pa.int64())})
    table = table.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    folder.mkdir()
    pq.write_table(table, folder / "train.parquet")
    return folder


def test_names_that_try_to_be_code_are_shown_and_run_nothing(desk: Desk, tmp_path: Path) -> None:
    source = folder_with_classes_of_those_names(tmp_path / "pictures")
    dataset = finish(load(str(source), image_size=16, cache_dir=desk.home / "cache"))
    config = replace(QUICK, data=str(source), initial=20, rounds=1)
    number = start_experiment(desk.store, EXPERIMENT, config, dataset)
    page = desk.open(number)
    page.context.add_cookies(
        [{"name": "annotator", "value": quote(ANNOTATOR, safe=""), "url": page.url.split("?")[0]}]
    )
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    page.reload()

    tiles(page, 6)
    expect(page.get_by_role("heading", name=EXPERIMENT, exact=True)).to_be_visible(timeout=WAIT)
    expect(page.get_by_role("textbox", name="Your name")).to_have_value(ANNOTATOR)
    for name in CLASSES:
        expect(page.locator(".legend button").filter(has_text=name)).to_have_count(1)
    for key in "123456":
        page.keyboard.press(key)
    expect(page.get_by_text("6 of 6 saved")).to_be_visible(timeout=WAIT)
    shown = [tile.get_attribute("data-label") for tile in page.get_by_test_id("tile").all()]
    assert shown == list(CLASSES[:6])
    hand_in(page)
    expect(page.get_by_text("All rounds are done")).to_be_visible(timeout=A_ROUND)

    for tab in ("Classes", "Mistakes", "Map"):
        page.get_by_role("tab", name=tab).click()
        if tab == "Map":
            page.get_by_role("button", name="Draw the map").click()
        panel = page.get_by_role("tabpanel", name=tab)
        expect(panel.get_by_test_id("stVegaLiteChart").first).to_be_visible(timeout=A_ROUND)
        hover_over_the_chart(panel)
        nothing_ran(page, wrong)
        if tab == "Classes":
            show_toolbar(panel)
            expect(panel.get_by_role("button", name="Download as CSV")).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download labels").click()
    table = download.value.path().read_text(encoding="utf-8")
    assert ",'=HYPERLINK(1)," in table
    assert "/" not in download.value.suggested_filename

    page.get_by_text("Review", exact=True).click()
    expect(page.get_by_test_id("tile").first).to_be_visible(timeout=WAIT)
    choose(page, "Annotator", ANNOTATOR)
    nothing_ran(page, wrong)
    page.get_by_text("Compare", exact=True).click()
    expect(page.get_by_text("How to read this")).to_be_visible(timeout=WAIT)
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(1)  # those before it are gone
    hover_over_the_chart(page.locator("body"))
    nothing_ran(page, wrong)


def show_toolbar(panel: Locator) -> None:
    """The table is drawn anew while its chart gets ready, and then the pointer is on nothing."""
    search = panel.get_by_role("button", name="Search")
    for turn in range(20):
        panel.get_by_test_id("stDataFrame").hover(position={"x": 30 + turn, "y": 50})
        if search.is_visible():
            return
        panel.page.wait_for_timeout(250)
    expect(search).to_be_visible()


def hover_over_the_chart(within: Locator) -> None:
    """Over some of its marks, which have tooltips."""
    chart = within.get_by_test_id("stVegaLiteChart").first.locator("canvas, svg").first
    for x, y in ((150, 100), (220, 150), (300, 120)):
        chart.hover(position={"x": x, "y": y}, timeout=A_ROUND)


def nothing_ran(page: Page, wrong: list[str]) -> None:
    assert page.evaluate("window.hacked") is None
    assert wrong == []
    expect(page.get_by_test_id("stException")).to_have_count(0)
    assert page.locator("a[href^='javascript'], img[src='x']").count() == 0
