"""Uploads by HTTP: to the disk piece by piece, whole or not at all, and nothing but pictures."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from tiny import encoded, loaded, picture, shades, zipped

from al_core.files import locks
from al_core.files.paths import is_kept
from al_core.sources import uploads
from al_core.sources.uploads import left_out_of
from al_desk.routes import visitors
from al_desk.routes.app import routes
from al_desk.routes.uploads import upload
from al_desk.server import resources

Files = dict[str, bytes]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    """Somebody who has opened the page."""
    resources._open_store.cache_clear()
    with TestClient(Starlette(routes=routes()), base_url="http://localhost:8501") as client:
        assert client.post("/ticket", content=visitors.sign()).status_code == 204
        yield client


def body_of(files: Files, sizes: tuple[int, ...] = ()) -> bytes:
    told = sizes or tuple(map(len, files.values()))
    head = json.dumps(list(zip(files, told, strict=True))).encode()
    return b"\n".join([head, b"".join(files.values())])


def sent(client: TestClient, files: Files, **how: object) -> Path:
    """The folder that an upload became."""
    answer = client.post("/uploads", content=body_of(files), **how)
    assert answer.status_code == 201, answer.text
    return uploads_in() / answer.json()["folder"]


def refused(client: TestClient, body: bytes) -> str:
    """What an upload was refused with; nothing is left of it."""
    answer = client.post("/uploads", content=body)
    assert answer.status_code in (400, 507), answer.status_code
    assert nothing_left()
    assert answer.text.endswith(".")
    assert "\n" not in answer.text
    return answer.text


def uploads_in() -> Path:
    from al_core.files.paths import uploads

    return uploads()


def nothing_left() -> bool:
    return [path for path in uploads_in().rglob("*") if path.name != ".arriving"] == []


def names_in(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found} - {uploads.OF_UPLOAD}


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


def test_too_much_is_refused_in_a_sentence(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = shades("a.png", "b.png", "c.png")
    assert "can be uploaded at once" in refused(client, body_of(few, (1, 1, uploads.MOST_BYTES)))
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "MOST_FILES", 2)
        assert "can be uploaded at once" in refused(client, body_of(few))
        for files in ({"x.zip": zipped(few)}, {"x.zip": zipped(few), "a.png": b"x"}):
            assert "x.zip holds more than 2 files" in refused(client, body_of(files))
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "LEFT_FREE", 1 << 60)
        assert "has no room for this upload" in refused(client, body_of(few))


def test_a_zip_that_unpacks_to_too_much_is_refused(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    black = encoded(picture(0, (3000, 3000)), "BMP")  # 27 MB
    bomb = zipped({f"{i}.bmp": black for i in range(4)})
    assert len(bomb) < 200_000
    monkeypatch.setattr(uploads, "MOST_UNPACKED", 100_000_000)
    assert "GiB of pictures: upload it in parts" in refused(client, body_of({"x.zip": bomb}))
    one = {"a.zip": zipped({"a.bmp": black, "b.bmp": black})}
    assert len(names_in(sent(client, one))) == 2
    two = one | {"b.zip": one["a.zip"]}
    answer = client.post("/uploads", content=body_of(two))
    assert "b.zip holds more than" in answer.text


def test_a_zip_whose_list_of_files_would_fill_the_memory_is_not_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = zipped({f"{i}.txt": b"" for i in range(3000)} | shades("a.png"))
    monkeypatch.setattr(uploads, "MOST_OF_DIRECTORY", 100_000)
    assert "is damaged or is no .zip file" in refused(client, body_of({"x.zip": many}))


def test_a_member_is_never_read_beyond_what_the_list_of_files_says(client: TestClient) -> None:
    lying = bytearray(zipped(shades("a.png") | {"b.bmp": encoded(picture(0, (800, 800)), "BMP")}))
    last = lying.rindex(b"PK\x01\x02")
    lying[last + 24 : last + 28] = (1000).to_bytes(4, "little")  # its size, unpacked
    folder = sent(client, {"x.zip": bytes(lying)})
    assert names_in(folder) == {"a.png"}
    assert left_out_of(folder) == ["b.bmp"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"no json", b"[]\n", b'[["a.png"]]\nx', b'[["a.png", -1]]\nx', b'[[1, 1]]\nx',
        b'[["a.png", true]]\nx', b'{"a.png": 1}\nx', b"[" * 100_000, b'[["a.png", 1e400]]\n',
    ],
)  # fmt: skip
def test_what_is_no_upload_is_refused(client: TestClient, body: bytes) -> None:
    assert "This is no upload" in refused(client, body)


def test_a_body_that_ends_early_or_goes_on_leaves_nothing(client: TestClient) -> None:
    files = shades("a.png", "b.png")
    whole = body_of(files)
    for cut in (whole[:-1], whole[: -len(files["b.png"])], whole[: whole.index(b"\n") + 1]):
        assert "broke off" in refused(client, cut)
    assert "longer than it said" in refused(client, whole + b"x")


def test_an_upload_without_a_picture_is_refused(client: TestClient) -> None:
    broken = zipped(shades("a.png"))
    for files in ({"a.txt": b"text"}, {"a.zip": zipped({"a.txt": b"text"})}, {"a.png": b"no"}):
        assert "No picture that can be read was uploaded" in refused(client, body_of(files))
    assert "a.zip is damaged" in refused(client, body_of({"a.zip": broken[:-30]}))


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
