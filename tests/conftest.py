"""What tests share: a log of its own for each, databases, a browser, a server for a page."""

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

# Two workers on two cores: with two threads each, they would wait for each other. Set before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from al_core.store.store import Store

# Whatever benchmarks use too is imported by its full name.
from tests.narrow import full_width_resnet18  # first: networks are narrow from here on
from tests.postgres import Postgres, installed, running
from tests.servers import APP, CHROMIUM, free_port, one_profile, run, wait_for

# A timing is no assertion; what reproduces a failure is printed with it.
settings.register_profile("tests", deadline=None, print_blob=True)
settings.load_profile("tests")


HEAVY = {"browser", "serve", "postgres"}  # fixtures that start another program


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``pytest -m fast``: what starts no other program and is marked neither slow nor gpu. Files
    that start one come first, those that are all fast last: they fill the cores at the end."""
    first = {}
    for item in items:
        parameters = getattr(item, "callspec", None)
        on_postgres = parameters is not None and parameters.params.get("database") == "postgresql"
        place = 2
        if HEAVY & set(item.fixturenames):
            place = 0
        elif on_postgres or item.get_closest_marker("slow") or item.get_closest_marker("gpu"):
            place = 1
        else:
            item.add_marker("fast")
        first[item.path] = min(place, first.get(item.path, 2))
    items.sort(key=lambda item: first[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator:
    """A test that fails with a page open shows what the page said."""
    report = yield
    browser = getattr(item, "funcargs", {}).get("browser")
    if report.failed and browser is not None:
        for page in browser.pages:
            try:
                says = page.locator("body").inner_text(timeout=5_000)
            except Exception as error:  # the page hangs; the test's own failure counts
                says = str(error)
            report.sections.append((f"the page {page.url}", says))
    return report


@pytest.fixture
def full_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks as users have them: for what depends on their width, such as fast convolutions."""
    monkeypatch.setattr("al_core.models.network.resnet18", full_width_resnet18)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program keeps its files within this test: the test's own folder."""
    monkeypatch.setenv("AL_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def store(home: Path) -> Store:
    """The log there, with nothing in it."""
    return Store()


@pytest.fixture
def client(home: Path) -> Iterator:
    """Somebody who has opened the page, for requests without a browser."""
    from starlette.applications import Starlette
    from starlette.testclient import TestClient

    from al_desk.routes import visitors
    from al_desk.routes.app import routes
    from al_desk.server import resources

    resources._open_store.cache_clear()
    with TestClient(Starlette(routes=routes()), base_url="http://localhost:8501") as client:
        assert client.post("/ticket", content=visitors.sign()).status_code == 204
        yield client


@pytest.fixture
def set_option() -> Iterator[Callable[[str, object], None]]:
    """Sets an option of Streamlit until the test ends."""
    from streamlit import config

    before: dict[str, object] = {}

    def setting(name: str, value: object) -> None:
        before.setdefault(name, config.get_option(name))
        config.set_option(name, value)

    yield setting
    for name, value in before.items():
        config.set_option(name, value)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights that nobody trained."""
    from tests.house import untrained

    return untrained(tmp_path_factory.mktemp("weights") / "mine.safetensors")


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
    """Chromium, driven by Playwright: a context whose pages share a profile."""
    if CHROMIUM is None:
        pytest.skip("no Chromium found: apt-get install chromium")
    from playwright.sync_api import expect

    expect.set_options(timeout=60_000)  # milliseconds; five seconds are short on a busy machine
    with one_profile() as started:
        yield started


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[str]]:
    """``with serve(script, *arguments, env={}) as url:`` runs a Streamlit script on a free port, if
    it can on one that a server has left: the browser knows the scripts there."""
    from tests.warm import start  # there is no fork server on Windows

    left: set[int] = set()

    @contextlib.contextmanager
    def started(
        script: Path, *args: str, env: dict[str, str] | None = None, port: int | None = None
    ) -> Iterator[str]:
        log = tmp_path_factory.mktemp("server") / "log.txt"
        port = port or (left.pop() if left else free_port())
        left.discard(port)
        server = start(run(script, port, *args), {**os.environ, **(env or {})}, log)
        try:
            yield wait_for(port, server.is_alive)
        except BaseException:
            print(log.read_text())
            raise
        finally:
            server.terminate()
            server.join(10)
            server.kill()
            server.join()
        left.add(port)

    return started


@pytest.fixture(scope="session")
def desk_server(browser, serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    from desk import Desk

    home = tmp_path_factory.mktemp("desk")
    with serve(APP, env={"AL_HOME": str(home)}) as url:
        yield Desk(browser, url, home)


@pytest.fixture
def desk(desk_server) -> Iterator:
    """One server for all tests of the desk; each has experiments and pages of its own."""
    yield desk_server
    desk_server.close()


@pytest.fixture
def app(browser, serve, tmp_path: Path) -> Callable[..., AbstractContextManager]:
    """``with app() as page:`` a server on this test's own folder, and its page in a new tab."""

    from tabs import leave, tab

    @contextlib.contextmanager
    def opened(*arguments: str, path: str = "") -> Iterator:
        with serve(APP, *arguments, env={"AL_HOME": str(tmp_path)}) as url:
            page = tab(browser)
            page.goto(url + path)
            yield page
            leave(page)

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
        desk.close()
        assert desk.errors == []
