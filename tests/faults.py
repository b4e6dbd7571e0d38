"""What tests of bad days share: a cable that can be pulled, a disk that can fill up."""

import contextlib
import selectors
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


class Cable:
    """Between browser and server: ``pull()`` cuts what is connected and refuses what comes;
    ``hold()`` keeps back what the server says to draw; labels and pictures have their own way."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: list[socket.socket] = []
        self._pulled = False
        self._held = False
        self.kept = bytearray()  # of what the server said
        self._ear = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._ear.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def pull(self) -> None:
        self._pulled = True
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def plug_in(self) -> None:
        self._pulled = False

    def hold(self) -> None:
        self._held = True

    def let_go(self) -> None:
        self._held = False

    def close(self) -> None:
        self._ear.close()
        self.pull()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._ear.accept()
                if self._pulled:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """What comes from one end to the other, until one of them is closed."""
        with near, far, selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(near, selectors.EVENT_READ, far)
            selector.register(far, selectors.EVENT_READ, near)
            late = bytearray()  # what is kept back
            draws = False
            while True:
                for key, _ in selector.select(0.01 if late else None):
                    if not (data := key.fileobj.recv(65536)):
                        return
                    draws |= key.fileobj is near and data.startswith(b"GET /_stcore/stream")
                    if draws and key.fileobj is far and (self._held or late):
                        late += data
                        self.kept += data
                    else:
                        key.data.sendall(data)
                if late and not self._held:
                    near.sendall(late)
                    late.clear()


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "24m") -> Iterator[Path]:
    """A folder on a disk of its own, which may be full."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no disk can be mounted here: it takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def unwritable(files: list[Path]) -> Iterator[None]:
    """Files that nobody may write, not even whoever has them open."""
    frozen = subprocess.run(["chattr", "+i", *files], capture_output=True, check=False)
    try:
        if frozen.returncode:
            pytest.skip("files cannot be made immutable here: it takes root, and a disk that can")
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], capture_output=True, check=False)
