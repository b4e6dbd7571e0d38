"""Pictures by HTTP: whole, in their own shape, to who has opened the page and to nobody else."""

import io
import os
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit import config
from tiny import loaded, of_all_shapes, wide

from al_core.config import ExperimentConfig
from al_core.experiment.start import start_experiment
from al_core.images.dataset import Dataset
from al_core.store.store import Store
from al_desk.routes import visitors
from al_desk.routes.app import lifespan, routes
from al_desk.routes.pictures import address, remembered, shown
from al_desk.server import resources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return of_all_shapes(tmp_path / "mine")


@pytest.fixture
def opened(home: Path, folder: Path) -> Iterator[tuple[TestClient, Dataset, int]]:
    """A visitor without a ticket, and an experiment on the folder."""
    settings = ExperimentConfig(
        str(folder), class_names=("a", "b"), initial=2, per_round=1, rounds=1, image_size=8
    )
    dataset = loaded(folder, home / "cache")
    experiment = start_experiment(Store(), "mine", settings, dataset)
    with TestClient(Starlette(routes=routes()), base_url="http://localhost:8501") as client:
        yield client, dataset, experiment


def addresses(dataset: Dataset, experiment: int) -> dict[str, str]:
    """Where each picture is, by the last part of its key."""
    pictures = shown(dataset.train, range(len(dataset.train)))
    return {
        key.rpartition("/")[2]: f"{address(experiment)}{digest}"
        for key, (digest, *_) in zip(dataset.train.keys, pictures, strict=True)
    }


def let_in(client: TestClient) -> None:
    assert client.post("/ticket", content=visitors.sign()).status_code == 204


def image_of(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_picture_is_shown_whole_in_its_own_shape_and_an_original_as_it_is(opened, folder) -> None:
    client, dataset, experiment = opened
    let_in(client)
    at = addresses(dataset, experiment)
    widths = {d: (w, h) for d, w, h, _ in shown(dataset.train, range(len(dataset.train)))}
    assert sorted(widths.values()) == [(40, 80), (500, 500), (600, 200), (600, 200)]
    for name in ("wide.png", "turned.jpg"):
        image = image_of(client.get(f"{at[name]}/thumbnail").content).convert("RGB")
        assert image.size == (320, 107)
        (red, green, _), (other, *_) = image.getpixel((10, 50)), image.getpixel((200, 50))
        assert green > red
        assert other > 200
    assert image_of(client.get(f"{at['nothing.png']}/thumbnail").content).getpixel((1, 1))[3] == 0
    same = client.get(f"{at['wide.png']}/original")
    assert same.content == (folder / "a" / "wide.png").read_bytes()
    assert same.headers["content-type"] == "image/png"
    large = client.get(f"{at['blue.tif']}/original")  # no browser shows these
    assert (image_of(large.content).format, image_of(large.content).size) == ("WEBP", (500, 500))


def test_browsers_may_keep_a_picture_and_nobody_else(opened) -> None:
    client, dataset, experiment = opened
    let_in(client)
    where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
    answer = client.get(where)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    again = client.get(where, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_picture_is_for_who_has_a_ticket_that_a_server_of_this_database_has_signed(
    opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, dataset, experiment = opened
    where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
    assert client.get(where).status_code == 403
    for ticket in ("", "me", visitors.sign()[:-20] + 20 * "_", "x" * 5000):
        assert client.post("/ticket", content=ticket).status_code in (403, 413)
    assert client.get(where).status_code == 403
    let_in(client)
    (cookie,) = client.cookies.jar
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    resources._open_store.cache_clear()  # as on a server that was started again
    assert client.get(where).status_code == 200
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # another port of this host
        {"Origin": "https://elsewhere.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
    ):
        assert client.get(where, headers=headers).status_code == 403, headers
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost:8501"}):
        assert client.get(where, headers=headers).status_code == 200, headers


@pytest.fixture
def options(set_option) -> Callable[[str, object], None]:
    # A server that starts sets this one.
    set_option("server.allowedHosts", config.get_option("server.allowedHosts"))
    return set_option


def test_a_desk_on_its_own_machine_is_known_by_no_other_name(opened, options) -> None:
    """Else any page whose name leads here by now could open the desk, and read what it shows."""
    client, dataset, experiment = opened
    let_in(client)
    where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
    rebound = {"Host": "elsewhere.example:8501", "Origin": "http://elsewhere.example:8501"}
    options("server.headless", True)
    options("server.address", "localhost")
    options("browser.serverAddress", "desk.example")
    with TestClient(Starlette(lifespan=lifespan)):
        assert client.get(where, headers=rebound).status_code == 403
        ticket = client.post("/ticket", content=visitors.sign(), headers=rebound)
        assert ticket.status_code == 403
        for host in ("localhost:8501", "127.0.0.1:8501", "[::1]:8501", "desk.example"):
            assert client.get(where, headers={"Host": host}).status_code == 200, host
        # Whoever lets others in says by which names, or needs none.
        options("server.allowedHosts", ["elsewhere.example"])
        assert client.get(where, headers=rebound).status_code == 200
        options("server.allowedHosts", [])
        config._on_config_parsed.send()  # somebody has changed config.toml
        assert client.get(where, headers=rebound).status_code == 403
    options("server.allowedHosts", [])
    options("server.address", "0.0.0.0")
    with TestClient(Starlette(lifespan=lifespan)):
        assert client.get(where, headers=rebound).status_code == 200


def test_an_origin_that_the_server_names_is_let_in(opened, options) -> None:
    client, dataset, experiment = opened
    let_in(client)
    where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
    options("server.corsAllowedOrigins", ["https://desk.example"])
    options("server.enableCORS", False)  # whatever else Streamlit lets in by then
    for origin, status in (("https://desk.example", 200), ("https://elsewhere.example", 403)):
        assert client.get(where, headers={"Origin": origin}).status_code == status


def test_pictures_and_tickets_lie_below_the_path_of_the_page(opened, set_option) -> None:
    _, dataset, experiment = opened
    set_option("server.baseUrlPath", "desk/")
    with TestClient(Starlette(routes=routes()), base_url="http://localhost") as client:
        assert client.post("/desk/ticket", content=visitors.sign()).status_code == 204
        (cookie,) = client.cookies.jar
        assert cookie.path == "/desk/"
        where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
        assert where.startswith("/desk/pictures/")
        assert client.get(where).status_code == 200


@pytest.mark.parametrize("headless", [False, True])
def test_a_browser_is_opened_unless_there_is_none(
    monkeypatch: pytest.MonkeyPatch, options, headless: bool
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("streamlit.cli_util.open_browser", opened.append)
    options("server.headless", headless)
    options("server.port", 8765)
    with TestClient(Starlette(lifespan=lifespan)):
        assert opened == ([] if headless else ["http://localhost:8765"])


def test_a_ticket_ends(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    client, dataset, experiment = opened
    let_in(client)
    where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
    monkeypatch.setattr(visitors, "ENDS", -1)
    assert client.get(where).status_code == 403


@pytest.mark.parametrize("read_before", [True, False])
def test_what_is_missing_damaged_or_another_picture_by_now_is_a_tile_that_says_so(
    opened, folder: Path, read_before: bool
) -> None:
    """Whether the source was read when that happened, or is read since."""
    client, dataset, experiment = opened
    let_in(client)
    at = addresses(dataset, experiment)
    if read_before:
        assert client.get(f"{at['turned.jpg']}/thumbnail").status_code == 200
    (folder / "a" / "wide.png").unlink()
    (folder / "b" / "nothing.png").write_bytes(b"damaged")
    wide().save(folder / "b" / "blue.tif")
    for name, says in (
        ("wide.png", "This picture is not there any more."),
        ("nothing.png", "This picture cannot be read: its file is damaged"),
        ("blue.tif", "The file of this picture has changed since it was read."),
    ):
        for size in ("thumbnail", "original"):
            answer = client.get(f"{at[name]}/{size}")
            assert answer.headers["content-type"] == "image/svg+xml"
            assert says in answer.text
            assert answer.headers["cache-control"] == "no-store"
    for digest in ("00" * 16, "zz", "../../etc/passwd"):
        assert client.get(f"{address(experiment)}{digest}/thumbnail").status_code == 404


def test_small_pictures_come_together_and_each_that_is_missing_by_itself(opened, folder) -> None:
    client, dataset, experiment = opened
    at = addresses(dataset, experiment)
    assert {data for *_, data in shown(dataset.train, range(4))} == {""}  # these may change
    digests = [at[name].rpartition("/")[2] for name in ("nothing.png", "wide.png")]
    where = f"{address(experiment)}{','.join(digests)}"
    assert client.get(where).status_code == 403
    let_in(client)
    assert client.get(where, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    answer = client.get(where)
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for name, data in zip(("nothing.png", "wide.png"), answer.json(), strict=True):
        start, _, content = data.partition(",")
        assert start == "data:image/webp;base64"
        assert b64decode(content) == client.get(f"{at[name]}/thumbnail").content
    gone = client.get(f"{where},{'00' * 16}")
    assert gone.json() == [*answer.json(), None]
    assert gone.headers["cache-control"] == "no-store"
    for wrong in ("zz", "", ",", ",".join(["00" * 16] * 101)):
        assert client.get(f"{address(experiment)}{wrong}").status_code == 404


def test_room_for_thumbnails_is_made_behind_a_request(
    opened, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, dataset, experiment = opened
    let_in(client)
    kept = home / "cache" / "thumbnails" / "00"
    kept.mkdir(parents=True)
    for age in range(20):
        (kept / f"{age}.webp").write_bytes(bytes(1000))
        os.utime(kept / f"{age}.webp", (1e9 - age, 1e9 - age))
    monkeypatch.setenv("AL_CACHE_GB", "a few")
    where = f"{addresses(dataset, experiment)['wide.png']}/thumbnail"
    assert "AL_CACHE_GB must be a number of gigabytes" in client.get(where).text
    monkeypatch.setenv("AL_CACHE_GB", "0.00001")
    assert client.get(where).status_code == 200
    job = resources.loader().job("room for thumbnails")
    assert job.wait(60)
    newest, *left = sorted(kept.parent.rglob("*.webp"), key=lambda path: -path.stat().st_mtime)
    assert newest.parent != kept
    assert [path.name for path in left] == [f"{age}.webp" for age in range(len(left))]
    assert 0 < len(left) < 10


def test_a_picture_that_is_gone_is_shown_in_its_own_shape_from_what_is_in_memory(opened) -> None:
    _, dataset, _ = opened
    row = [key.rpartition("/")[2] for key in dataset.train.keys].index("wide.png")
    _, width, height, data = remembered(dataset.train, row)
    drawn = image_of(b64decode(data.partition(",")[2])).convert("RGB")
    assert (width, height) == drawn.size == (8, 3)  # of 600 x 200, in a square of 8
    pixels = np.asarray(drawn)[:, 2:]  # right of the green edge
    assert (pixels[..., 0] > 200).all()
    assert (pixels[..., 1] < 50).all()
