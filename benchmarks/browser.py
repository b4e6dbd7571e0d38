"""What measurements in a browser share: a Chromium, a server, and clocks in the page."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import streamlit
from playwright.sync_api import Browser, sync_playwright

APP = Path(__file__).parents[1] / "streamlit_app.py"

# Times of keys, of the frames that show them, and of the "saved" that covers each.
CLOCK = """
window.desk = {keys: [], echoes: [], saved: []};
document.addEventListener("keydown", (event) => {
    if (!/^[0-9]$/.test(event.key)) return;
    desk.keys.push(event.timeStamp);
    requestAnimationFrame(() => {
        const painted = new MessageChannel();
        painted.port1.onmessage = () => desk.echoes.push(performance.now() - event.timeStamp);
        painted.port2.postMessage(0);
    });
}, true);
"""
WATCH_SAVED = """(grid) => {
    Object.assign(window.desk, {keys: [], echoes: [], saved: []});
    const text = grid.querySelector(".saved");
    const before = parseInt(text.textContent);
    desk.watching?.disconnect();
    desk.watching = new MutationObserver(() => {
        const count = parseInt(text.textContent) - before;
        while (desk.saved.length < count) {
            desk.saved.push(performance.now() - desk.keys[desk.saved.length]);
        }
    });
    desk.watching.observe(text, {childList: true, characterData: true, subtree: true});
}"""


class Server(NamedTuple):
    """A server that runs."""

    url: str
    pid: int


def heading(about: str) -> None:
    """When, on what and with what a table was made."""
    print(f"{date.today()}, {os.cpu_count()} cores, Streamlit {streamlit.__version__}, "
          f"Python {platform.python_version()}, {about}\n", flush=True)  # fmt: skip


def report(what: str, where: str, values: list[float]) -> None:
    median, tail, worst = np.percentile(values, [50, 99, 100])
    print(f"| {what} | {where} | {len(values)} | {median:,.1f} | {tail:,.1f} | {worst:,.1f} |",
          flush=True)  # fmt: skip


def in_memory(what: str, pid: int | str = "self") -> int:
    """Bytes of a process, by the kernel's name for them: VmRSS now, VmHWM at most."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(what)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium that asks nobody outside for anything."""
    flags = ["--no-sandbox", "--no-first-run"] + [
        f"--disable-{what}"
        for what in ("gpu", "quic", "background-networking", "component-update", "sync")
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        yield browser
        browser.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(home: Path, app: Path = APP, port: int | None = None) -> Iterator[Server]:
    """The app with its files in ``home``, on ``port`` or a free one, until the block ends."""
    port = port or free_port()
    root = str(APP.parent)
    command = [
        sys.executable, "-m", "streamlit", "run", str(app), "--server.headless=true",
        "--server.address=127.0.0.1", f"--server.port={port}",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": root, "DESK_TIMES": str(home / "times.txt")}
    environment["AL_HOME"] = str(home)
    server = subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health").close()
                break
            time.sleep(0.1)
        yield Server(f"http://127.0.0.1:{port}", server.pid)
    finally:
        server.terminate()
        server.wait(20)
