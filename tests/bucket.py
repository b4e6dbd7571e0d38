"""A folder as a bucket of an object store: as much of S3 as reading takes, slow to answer."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

WAIT = 0.02  # seconds until an object answers


class Bucket(ThreadingHTTPServer):
    """``at_once`` is the most objects that were asked for side by side."""

    request_queue_size = 64

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.root, self.now, self.at_once = root, 0, 0
        self.lock = threading.Lock()

    def address(self, path: str) -> str:
        store = f"127.0.0.1:{self.server_address[1]}"
        return f"s3://bucket/{path}?scheme=http&region=here&endpoint_override={store}"

    def files(self, prefix: str) -> list[str]:
        names = (str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file())
        return sorted(name for name in names if name.startswith(prefix))


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_HEAD(self) -> None:
        self._answer(200, self._object() or b"", there=self._object() is not None)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if "list-type" in asked.query:
            self._answer(200, self._listing(parse_qs(asked.query)))
            return
        with self.server.lock:
            self.server.now += 1
            self.server.at_once = max(self.server.at_once, self.server.now)
        time.sleep(WAIT)
        body = self._object()
        code = 200
        if body is not None and (part := self.headers.get("Range")):
            first, _, last = part.removeprefix("bytes=").partition("-")
            body, code = body[int(first) : int(last) + 1 if last else None], 206
        self._answer(code, body or b"", there=body is not None)
        with self.server.lock:
            self.server.now -= 1

    def _object(self) -> bytes | None:
        path = self.server.root / unquote(urlsplit(self.path).path).removeprefix("/bucket/")
        return path.read_bytes() if path.is_file() else None

    def _listing(self, asked: dict[str, list[str]]) -> bytes:
        found = self.server.files(asked.get("prefix", [""])[0])
        contents = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{(self.server.root / name).stat().st_size}"
            "</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name in found
        )
        return (
            f"<ListBucketResult><Name>bucket</Name><KeyCount>{len(found)}</KeyCount>"
            f"<MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
        ).encode()

    def _answer(self, code: int, body: bytes, there: bool = True) -> None:
        self.send_response(code if there else 404)
        self.send_header("Content-Length", str(len(body) if there else 0))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET" and there:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def bucket_of(root: Path) -> Iterator[Bucket]:
    with Bucket(root) as bucket:
        threading.Thread(target=bucket.serve_forever, daemon=True).start()
        try:
            yield bucket
        finally:
            bucket.shutdown()
