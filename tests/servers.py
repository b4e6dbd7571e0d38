"""A Chromium, and servers of a Streamlit script; benchmarks use them too."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, BrowserContext, sync_playwright

ROOT = Path(__file__).parents[1]
APP = ROOT / "streamlit_app.py"
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
STARTS = 120  # seconds that a server may take on a busy machine


class Server(NamedTuple):
    """A server that runs."""

    url: str
    pid: int


# It asks nobody outside for anything.
FLAGS = ["--no-sandbox", "--no-first-run"] + [
    f"--disable-{what}"
    for what in ("gpu", "quic", "background-networking", "component-update", "sync")
]


# Nobody looks: what fades, slides and pulses costs a tenth of the browser's time.
STILL = """(() => {
    const still = new CSSStyleSheet();
    const rule = "animation: none !important; transition: none !important";
    still.replaceSync(`*, ::before, ::after { ${rule} }`);
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, still];
})()"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium in which each page is that of another person."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def one_profile() -> Iterator[BrowserContext]:
    """A Chromium in which all pages are of one person. It keeps compiled scripts, as everybody's
    does: the second page costs two thirds of the first. Nothing in them moves."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1280, "height": 900}
        )
        context.add_init_script(STILL)
        yield context
        context.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def serving(
    home: Path | None = None,
    app: Path = APP,
    *arguments: str,
    port: int | None = None,
    env: dict[str, str] | None = None,
) -> Iterator[Server]:
    """``app`` with its files in ``home``, on ``port`` or a free one, until the block ends."""
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", *run(app, port, *arguments)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path, **(env or {})}
    if home is not None:
        environment["AL_HOME"] = str(home)
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=nowhere, stderr=nowhere
    ) as server:
        try:
            yield Server(wait_for(port, lambda: server.poll() is None), server.pid)
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def run(app: Path, port: int, *arguments: str) -> list[str]:
    """The words after ``streamlit`` that run ``app``."""
    return [
        "run", str(app), "--server.headless=true", "--server.address=127.0.0.1",
        f"--server.port={port}", "--server.fileWatcherType=none",
        "--browser.gatherUsageStats=false", "--", *arguments,
    ]  # fmt: skip


def wait_for(port: int, lives: Callable[[], bool]) -> str:
    """The address of a server that ``lives``, once it answers."""
    url = f"http://127.0.0.1:{port}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + STARTS
    while time.monotonic() < deadline and lives():
        with contextlib.suppress(OSError), opener.open(f"{url}/_stcore/health", timeout=2) as said:
            if said.status == 200:
                return url
        time.sleep(0.05)
    raise RuntimeError(f"Streamlit did not start on port {port}.")
