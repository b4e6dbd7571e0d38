"""What tests share: a browser, a server for a Streamlit script, databases of both kinds."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import settings

from benchmarks.postgres import Postgres, installed, running

settings.register_profile("no deadline", deadline=None)  # a timing is no assertion
settings.load_profile("no deadline")

# Two workers on two cores: with two threads each, they would wait for each other. Set before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator:
    """A test that fails with a page open shows what the page said."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if report.failed and browser is not None:
        for page in [page for context in browser.contexts for page in context.pages]:
            report.sections.append((f"the page {page.url}", page.locator("body").inner_text()))
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server that runs while tests need one."""
    programs = installed()
    if programs is None:
        pytest.skip("no PostgreSQL found: apt-get install postgresql")
    with running(programs, free_port()) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'al.db'}"
    return request.getfixturevalue("postgres").database()


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """Chromium, driven by Playwright."""
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium found: apt-get install chromium")
    flags = ["--no-sandbox", "--no-first-run"] + [
        f"--disable-{what}"
        for what in ("gpu", "quic", "background-networking", "component-update", "sync")
    ]
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[str]]:
    """``with serve(script, *arguments, env={}) as url:`` runs a Streamlit script on a free port."""

    @contextlib.contextmanager
    def serving(
        script: Path | str, *args: str, env: dict[str, str] | None = None, port: int | None = None
    ) -> Iterator[str]:
        port = port or free_port()
        options = {
            "server.headless": "true",
            "server.address": "127.0.0.1",
            "server.port": port,
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false",
        }
        command = [sys.executable, "-m", "streamlit", "run", str(script)]
        command += [f"--{name}={value}" for name, value in options.items()]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        log = tmp_path_factory.mktemp("server") / "log.txt"
        with (
            log.open("w") as output,
            subprocess.Popen(
                [*command, "--", *args],
                cwd=ROOT,
                # One thread: two wait for each other wherever a core is busy, here with Chromium.
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as server,
        ):
            try:
                _wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, log)
                yield f"http://127.0.0.1:{port}"
            finally:
                server.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(10)
                server.kill()

    return serving


@pytest.fixture(scope="session")
def desk_server(browser, serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from desk import Desk

    home = tmp_path_factory.mktemp("desk")
    with serve(ROOT / "streamlit_app.py", env={"AL_HOME": str(home)}) as url:
        yield Desk(browser, url, home)


@pytest.fixture
def desk(desk_server) -> Iterator:
    """One server for all tests of the desk; each has experiments and pages of its own."""
    yield desk_server
    desk_server.close()


@pytest.fixture
def app(browser, serve, tmp_path: Path) -> Callable[..., AbstractContextManager]:
    """``with app() as page:`` a server on this test's own folder, and its page in a new tab."""

    @contextlib.contextmanager
    def opened(*arguments: str, path: str = "") -> Iterator:
        with serve(ROOT / "streamlit_app.py", *arguments, env={"AL_HOME": str(tmp_path)}) as url:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(url + path)
            yield page
            page.close()

    return opened


@pytest.fixture(scope="session")
def grid_url(browser, serve, tmp_path_factory) -> Iterator[str]:
    from grid import SCRIPT

    script = tmp_path_factory.mktemp("app") / "grid_app.py"
    script.write_text(SCRIPT)
    with serve(script) as address:
        yield address


@pytest.fixture
def open_desk(browser, grid_url, tmp_path) -> Iterator[Callable]:
    """``open_desk(n=6)`` opens a page with the grid on it; see tests/grid.py for what else."""
    from grid import Grid

    desks = []

    def opening(**query: object) -> Grid:
        desks.append(Grid(browser, grid_url, tmp_path / "events.jsonl", **query))
        return desks[-1]

    yield opening
    for desk in desks:
        desk.page.close()
        assert desk.errors == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, server: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), opener.open(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"Streamlit did not start:\n{log.read_text()}")
