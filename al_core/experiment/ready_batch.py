"""A batch chosen in advance, kept on disk until somebody asks for it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path

from al_core.files.atomic import whole_file
from al_core.store.records import Batch, LogPosition, Reasons


def save_ready(experiment: Path, batch: Batch) -> None:
    """Keep a batch chosen in advance, replacing the previous one; raises FileNotWritten."""
    with whole_file(_ready_path(experiment)) as file:
        body = json.dumps(asdict(replace(batch, created_at=None))).encode()
        file.write(_digest(body) + b"\n" + body)


def load_ready(experiment: Path, number: int) -> Batch | None:
    """The batch chosen in advance for round ``number``; None if there is none or it is damaged."""
    with suppress(OSError, KeyError, TypeError):  # or another version wrote it
        digest, _, body = _ready_path(experiment).read_bytes().partition(b"\n")
        kept = json.loads(body) if digest == _digest(body) else {}
        if kept.get("round") == number:
            types = {"reasons": Reasons, "log_position": LogPosition, "model_position": LogPosition}
            typed = {name: kind(**kept[name]) for name, kind in types.items() if kept[name]}
            return Batch(**kept | typed)
    return None


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).hexdigest().encode()


def _ready_path(experiment: Path) -> Path:
    return experiment / "ready.json"
