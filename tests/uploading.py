"""Uploads that tests send to the routes, and what lies there afterwards."""

import json
from pathlib import Path

from starlette.testclient import TestClient

from al_core.sources import uploads

Files = dict[str, bytes]


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
