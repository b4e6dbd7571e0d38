"""Uploads that are too much, damaged or none: each is refused in a sentence, and leaves nothing."""

import pytest
from starlette.testclient import TestClient
from tiny import encoded, picture, shades, zipped
from uploading import body_of, names_in, refused, sent

from al_core.sources import uploads
from al_core.sources.uploads import left_out_of


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
