"""A small server that speaks the protocol of Hugging Face's hub, for files that a test names."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import timm
import torch
from safetensors.torch import save

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VIT, RESNET = "timm/test_vit.r160_in1k", "timm/test_resnet.r160_in1k"  # timm's own, tiny


def weights_of(name: str) -> bytes:
    """A file of random weights, always the same, of one of timm's networks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model(name.removeprefix("timm/").partition(".")[0])
    return save({key: tensor.contiguous() for key, tensor in network.state_dict().items()})


class Hub:
    """Its ``files`` by repository and name; those ``gated`` are refused. It counts in ``sent`` what
    was asked for, and stops in the middle of an answer where a test has set ``breaks_after``; while
    ``flows`` is not set, it sends nothing."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.files: dict[str, bytes] = {}
        self.gated: set[str] = set()
        self.sent: list[str] = []
        self.breaks_after: int | None = None
        self.flows = threading.Event()
        self.flows.set()

    def offer(self, repository: str, content: bytes, name: str = "model.safetensors") -> None:
        self.files[f"{repository}/{name}"] = content

    def find(self, path: str) -> tuple[str, bytes | None]:
        repository, _, name = path.strip("/").partition("/resolve/main/")
        return repository, self.files.get(f"{repository}/{name}")


@contextmanager
def hub() -> Iterator[Hub]:
    """A hub on this machine, while it is needed."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            if self.path == "/":
                return self.head(200, 0)
            repository, content = served.find(self.path.partition("?")[0])
            if repository in served.gated:
                return self.head(403, 0, {"X-Error-Code": "GatedRepo"})
            if content is None:
                known = any(key.startswith(f"{repository}/") for key in served.files)
                code = "EntryNotFound" if known else "RepoNotFound"
                return self.head(404, 0, {"X-Error-Code": code, "X-Repo-Commit": COMMIT})
            start = int((self.headers.get("Range") or "bytes=0-")[6:].partition("-")[0])
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            about = {"ETag": etag, "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if start:
                about["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.head(206 if start else 200, len(content) - start, about)
            if body:
                served.sent.append(f"{self.path} from {start}")
                served.flows.wait(60)
                self.wfile.write(content[start : served.breaks_after])
                if served.breaks_after is not None:
                    self.close_connection = True
            return None

        def head(self, status: int, length: int, about: dict[str, str] | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            for name, value in (about or {}).items():
                self.send_header(name, value)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        served = Hub(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()


def use(address: str, cache: str, patch: pytest.MonkeyPatch) -> None:
    """Let this process know the hub at ``address`` alone, and keep what it gives in ``cache``."""
    from huggingface_hub import constants

    patch.setattr(constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "HF_HUB_CACHE", cache)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
