"""Uploads by HTTP: to the disk piece by piece, whole or not at all, and nothing but pictures."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from tiny import encoded, loaded, picture, shades, zipped
from uploading import body_of, names_in, nothing_left, sent, uploads_in

from al_core.files import locks
from al_core.files.paths import is_kept
from al_core.sources import uploads
from al_core.sources.uploads import left_out_of
from al_desk.routes import visitors
from al_desk.routes.app import routes
from al_desk.routes.uploads import upload


def test_a_zip_keeps_its_folders_and_what_is_no_picture_is_left_out_and_listed(
    client: TestClient, tmp_path: Path
) -> None:
    pets = shades(*(f"pets/{kind}/{i}.png" for kind in ("cat", "dog") for i in range(5)))
    others = {
        "pets/readme.txt": b"pets",
        "pets/cat/fake.jpg": b"<html>",
        "pets/cat/inner.zip": zipped(pets),
        "__MACOSX/pets/._1.png": b"x",
        "pets/.hidden.png": encoded(picture(1)),
    }
    folder = sent(client, {"my pets.zip": zipped(pets | others)})
    assert folder.name == "my pets"
    assert names_in(folder) == set(pets)
    assert all((folder / name).read_bytes() == content for name, content in pets.items())
    assert left_out_of(folder) == [
        "pets/readme.txt", "pets/cat/inner.zip", "__MACOSX/pets/._1.png", "pets/.hidden.png",
        "pets/cat/fake.jpg",
    ]  # fmt: skip
    data = loaded(folder, tmp_path / "cache")
    assert (data.train.class_names, len(data.train) + len(data.test)) == (("cat", "dog"), 10)
    assert sent(client, {"my pets.zip": zipped(pets)}).name == "my pets 2"
    assert is_kept(folder / "any.csv")


def test_pictures_lie_beside_each_other_with_their_table_of_labels(client: TestClient) -> None:
    files = shades("a.png", "b.png", "without") | {
        "metadata.csv": b"file_name,label\na.png,x\n", "notes.doc": b"notes", "empty.png": b"",
        ".secret.png": encoded(picture(1)),
        "more.zip": zipped(shades("deep/c.png")),
    }  # fmt: skip
    folder = sent(client, files)
    assert folder.name == "pictures"
    assert names_in(folder) == {"a.png", "b.png", "without", "metadata.csv", "deep/c.png"}
    assert left_out_of(folder) == ["notes.doc", "empty.png", ".secret.png"]


@pytest.mark.parametrize(
    ("archives", "kept"),
    [
        ([["cat/1.png", "dog/2.png"]], ["cat/1.png", "dog/2.png"]),
        ([["pets/cat/1.png", "pets/dog/2.png"]], ["cat/1.png", "dog/2.png"]),
        ([["train/cat/1.png", "train/dog/2.png"]], ["train/cat/1.png", "train/dog/2.png"]),
        ([["1.png", "2.png"]], ["1.png", "2.png"]),
        ([["cat/1.png", "dog/2.png"], ["cat/1.png"]], ["cat/1.png", "dog/2.png", "cat/1 (2).png"]),
        ([["1.png"], ["1.png"]], ["archive 0/1.png", "archive 1/1.png"]),
        ([["1.png", "metadata.csv"]], ["archive 0/1.png", "archive 0/metadata.csv"]),
    ],
)
def test_an_archive_beside_others_keeps_the_folders_that_may_be_classes(
    client: TestClient, archives: list[list[str]], kept: list[str]
) -> None:
    packed = {
        f"archive {i}.zip": zipped(
            {n: b"file_name,label\n" if n.endswith("csv") else encoded(picture(i)) for n in names}
        )
        for i, names in enumerate(archives)
    }
    assert names_in(sent(client, shades("loose.png") | packed)) == {"loose.png", *kept}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../evil.png", None),
        ("/etc/evil.png", None),
        ("..\\evil.png", None),
        ("C:\\evil.png", "C_/evil.png"),
        ("con/nul.png", "_con/_nul.png"),
        ("COM1.tar.png", "_COM1.tar.png"),
        ("cafe\u0301/e\u0301.png", "caf\u00e9/\u00e9.png"),
        ("a:b|c?.png", "a_b_c_.png"),
        ("dot. /x .png", "dot/x .png"),
        (f"{'long' * 60}.png", f"{'long' * 29}.png"),
    ],
)
def test_names_are_made_safe(client: TestClient, name: str, kept: str | None) -> None:
    folder = sent(client, {"mine.zip": zipped(shades("fine.png", name))})
    assert names_in(folder) == {"fine.png", kept} - {None}
    assert len(left_out_of(folder)) == (kept is None)
    loose = sent(client, shades("fine.png", name))  # of which browsers send no folders
    assert len(names_in(loose)) == 2
    evil = set(uploads_in().parent.parent.rglob("*evil*"))
    assert evil == set(folder.rglob("*evil*")) | set(loose.rglob("*evil*"))


def test_two_names_that_a_file_system_may_take_for_one_are_both_kept(client: TestClient) -> None:
    folder = sent(client, {"x.zip": zipped(shades("A.png", "a.png", "a (2).png", "b/c", "b.png"))})
    assert names_in(folder) == {"A.png", "a (2).png", "a (2) (2).png", "b/c", "b.png"}
    files = shades("x/y.png")
    folder = sent(client, {"x.zip": zipped(shades("x", "x/y.png"))})  # a file and a folder
    assert names_in(folder) == {"x"}
    assert left_out_of(folder) == list(files)


def test_an_upload_is_for_who_has_opened_the_page_and_comes_from_there(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = body_of(shades("a.png"))
    for headers in ({"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post("/uploads", content=body, headers=headers).status_code == 403
    monkeypatch.setattr(visitors, "is_host_allowed", lambda host: host == "desk.example")
    assert client.post("/uploads", content=body).status_code == 403
    monkeypatch.undo()
    client.cookies.clear()
    assert client.post("/uploads", content=body).status_code == 403
    assert client.get("/uploads").status_code == 405


def test_without_its_cookie_nothing_of_an_upload_is_read(home: Path) -> None:
    async def receive() -> dict:
        raise AssertionError("it was read")

    assert answer_to(receive).status_code == 403
    assert not uploads_in().exists()


def test_uploads_lie_below_the_path_of_the_page(home: Path, set_option) -> None:
    set_option("server.baseUrlPath", "desk")
    with TestClient(Starlette(routes=routes()), base_url="http://localhost") as client:
        assert client.post("/desk/ticket", content=visitors.sign()).status_code == 204
        body = body_of(shades("a.png"))
        assert client.post("/desk/uploads", content=body).status_code == 201
        assert client.post("/uploads", content=body).status_code == 404


def answer_to(receive, cookie: str = "", name: str = ""):
    """What the route says to a request whose body comes from ``receive``."""
    headers = [(b"host", b"localhost:8501"), (b"cookie", cookie.encode())]
    headers.append((b"x-upload-name", name.encode()))
    scope = {"type": "http", "method": "POST", "path": "/uploads", "headers": headers,
             "query_string": b"", "scheme": "http", "server": ("localhost", 8501)}  # fmt: skip
    with ThreadPoolExecutor(1) as thread:  # a loop of its own: this one may have that of a browser
        return thread.submit(asyncio.run, upload(Request(scope, receive))).result()


@pytest.mark.parametrize("when", ["half of it has come", "it is looked at", "it is all there"])
def test_an_upload_that_is_cancelled_leaves_nothing(
    client: TestClient, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "REPORTED_S", -1 if when == "it is looked at" else 60)
    monkeypatch.setattr("al_desk.routes.uploads.AT_ONCE", 1)
    body = body_of(shades("a.png", "b.png"))
    part = body[:-10] if when == "half of it has come" else body
    messages = [
        {"type": "http.request", "body": part, "more_body": part is not body},
        {"type": "http.disconnect"},
    ]
    seen = []

    async def receive() -> dict:
        if len(messages) == 1:
            seen.extend(uploads_in().rglob("*"))
        return messages.pop(0)

    cookie = f"{visitors.cookie_name()}={visitors.sign()}"
    assert answer_to(receive, cookie).status_code == 400
    assert messages == []
    assert seen  # it had begun
    assert nothing_left()


def test_while_an_upload_is_unpacked_its_page_is_told_how_far_it_is(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "REPORTED_S", -1)
    body = body_of({"pets.zip": zipped(shades("a.png", "b.png", "c.png"))})
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    told = []

    async def receive() -> dict:
        if messages:
            return messages.pop()
        told.append(client.get("/uploads/mine").json())  # another request, while this one waits
        await asyncio.Event().wait()
        raise AssertionError

    cookie = f"{visitors.cookie_name()}={visitors.sign()}"
    assert answer_to(receive, cookie, "mine").status_code == 201
    assert [(one["phase"], one["done"], one["total"]) for one in told if one] == [
        *(("Unpacking", i, 3) for i in range(3)), *[("Looking", 1, 1)] * 2,
    ]  # fmt: skip
    assert client.get("/uploads/mine").json() is None
    client.cookies.clear()
    assert client.get("/uploads/mine").status_code == 403


def test_what_a_killed_server_has_left_is_swept_and_nothing_that_still_comes(
    client: TestClient,
) -> None:
    arriving = uploads_in() / ".arriving"
    for name in ("dead", "alive"):
        (arriving / f"{name}.part").mkdir(parents=True)
    lock = locks.try_lock(arriving / "alive.lock")
    assert lock is not None
    sent(client, shades("a.png"))
    assert {path.name for path in arriving.iterdir()} == {"alive.part", "alive.lock"}
    lock.release()
