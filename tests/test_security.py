"""Nobody gets in, and nothing runs what a file or a name says."""

import ast
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from tiny import loaded, picture

from al_core.config import ExperimentConfig
from al_core.errors import ActiveLearningError
from al_core.experiment.start import start_experiment
from al_core.images.dataset_cache import load
from al_core.models.weights import read_weights
from al_core.progress import finish
from al_core.store.store import Store
from al_desk.routes import visitors
from al_desk.routes.app import routes
from al_desk.routes.grids import Grid, token_of
from al_desk.server import resources
from tests.servers import ROOT

HOUSE = (ROOT / "al_core", ROOT / "al_desk")
PYTHON = [ROOT / "streamlit_app.py", *(path for top in HOUSE for path in top.rglob("*.py"))]
SCRIPTS = sorted((ROOT / "al_desk").rglob("*.js"))
NEVER = {"eval", "exec", "compile", "__import__", "system", "popen"}
ALLOWED_HTML = {"page.py"}  # a constant
RUNS_TEXT = re.compile(r"(inner|outer)HTML|insertAdjacent|document\.write|\beval\(|Function\(")


class Bomb:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def calls(path: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """The name of everything that is called in a file, with what is passed by name."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {k.arg: k.value for k in node.keywords if k.arg}


def says(value: ast.expr | None, expected: bool) -> bool:
    return isinstance(value, ast.Constant) and value.value is expected


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.name)
def test_no_file_is_unpickled_and_no_text_is_run(path: Path) -> None:
    for name, options in calls(path):
        last = name.rpartition(".")[2]
        # torch's own eval() is a method of a network.
        assert last not in NEVER or (last in ("eval", "compile") and "." in name), name
        assert name != "torch.load" or says(options.get("weights_only"), True), name
        assert not says(options.get("allow_pickle"), True), name
        assert not says(options.get("shell"), True), name
        assert "pickle" not in name, name
        assert "unsafe_allow_html" not in options, name
        assert not name.endswith(".html") or path.name in ALLOWED_HTML, name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_makes_elements_of_text(path: Path) -> None:
    assert RUNS_TEXT.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "cifar-10-python.tar.gz"])
def test_a_pickle_that_calls_itself_something_else_is_not_run(tmp_path: Path, name: str) -> None:
    file, trace = tmp_path / name, tmp_path / "ran"
    file.write_bytes(pickle.dumps(Bomb(trace)))
    read = read_weights if name.startswith("weights") else None
    with pytest.raises(ActiveLearningError):
        read(file) if read else finish(load(str(file), cache_dir=tmp_path / "cache"))
    assert not trace.exists()


# Each route beside the page: how it is asked for.
ASKED = {
    "labels": ("POST", "/labels"),
    "why": ("GET", "/why/{image}?grid={token}"),
    "picture": ("GET", "/pictures/{experiment}/{digest}/thumbnail"),
    "original": ("GET", "/pictures/{experiment}/{digest}/original"),
    "small pictures": ("GET", "/pictures/{experiment}/{digest}"),
    "upload": ("POST", "/uploads"),
    "how far an upload is": ("GET", "/uploads/mine"),
}
NOT_FROM_HERE = (
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "elsewhere.example"},
)


@dataclass
class House:
    """A server, two experiments, and who has opened the page."""

    client: TestClient
    store: Store
    numbers: list[int]
    digest: str

    def grid(self, which: int = 0, annotator: str = "ada") -> Grid:
        number = self.numbers[which]
        return Grid(number, "batch", self.store.batches(number)[0].id, annotator)

    def ask(self, what: str, token: str = "", message: object = None, **how: Any) -> Any:
        method, where = ASKED[what]
        (batch, *_) = self.store.batches(self.numbers[0])
        where = where.format(
            experiment=self.numbers[0], digest=self.digest, image=batch.images[0],
            token=token or token_of(self.grid()),
        )  # fmt: skip
        if what == "labels" and "content" not in how:
            told = {"grid": token or token_of(self.grid()), "mount": "a", "first": 0}
            how["json"] = told | {"events": [[batch.images[0], 0, 9]]} | (message or {})
        return self.client.request(method, where, **how)

    def labels(self) -> int:
        return sum(len(self.store.annotations(number)) for number in self.numbers)


@pytest.fixture
def house(home: Path, set_option) -> Iterator[House]:
    set_option("server.allowedHosts", ["localhost"])
    resources._open_store.cache_clear()
    store, numbers = Store(), []
    for name in ("one", "other"):
        folder = home / name
        folder.mkdir()
        for i in range(4):
            picture(50 * i + len(name)).save(folder / f"{i}.png")
        dataset = loaded(folder, home / "cache")
        settings = ExperimentConfig(
            str(folder), class_names=("a", "b"), initial=2, per_round=1, rounds=1, image_size=8,
            initial_labels="person",
        )  # fmt: skip
        numbers.append(start_experiment(store, name, settings, dataset))
        if name == "one":
            digest = dataset.train.files["digest"][0].tobytes().hex()
    with TestClient(Starlette(routes=routes()), base_url="http://localhost:8501") as client:
        yield House(client, store, numbers, digest)


def let_in(client: TestClient) -> None:
    assert client.post("/ticket", content=visitors.sign()).status_code == 204


@pytest.mark.parametrize("what", ASKED)
def test_nobody_gets_in_who_was_not_shown_the_page(house: House, what: str) -> None:
    assert house.ask(what).status_code == 403
    for value in ("", "me", visitors.sign()[:-5] + "xxxxx", token_of(house.grid())):
        house.client.cookies.set(visitors.cookie_name(), value)
        assert house.ask(what).status_code == 403, value
    house.client.cookies.clear()
    let_in(house.client)
    for headers in NOT_FROM_HERE:
        assert house.ask(what, headers=headers).status_code == 403, headers
    assert house.labels() == 0
    assert house.ask(what).status_code in (200, 400, 404)  # in, at last


@pytest.mark.parametrize("what", ["labels", "why"])
def test_a_grid_is_for_who_has_its_token(house: House, what: str, monkeypatch) -> None:
    let_in(house.client)
    token = token_of(house.grid())
    text, signed = token.split(".", 1)
    other = token_of(house.grid(1)).split(".", 1)
    wrong = ["x", token[:-3] + "xxx", f"{other[0]}.{signed}", f"{text}.{other[1]}",
             visitors.sign(), "../" * 20, 5, None, [token]]  # fmt: skip
    for one in wrong if what == "labels" else wrong[:6]:
        answer = house.ask(what, one if isinstance(one, str) else "", {"grid": one})
        assert answer.status_code == 401, one
    someone = token_of(replace(house.grid(), login="somebody"))
    assert house.ask(what, someone).status_code == 401
    monkeypatch.setattr("al_desk.routes.grids.ENDS", -1)
    assert house.ask(what).status_code == 401
    assert house.labels() == 0


def test_a_token_opens_its_own_grid_alone(house: House) -> None:
    let_in(house.client)
    (other,) = house.store.batches(house.numbers[1])
    foreign = next(i for i in range(9) if i not in house.store.batches(house.numbers[0])[0].images)
    events = [[foreign, 0, 9], [10**12, 0, 9], [-5, 0, 9], [other.images[0], 77, 9]]
    assert house.ask("labels", message={"events": events, "images": [foreign, -1]}).json()["saved"]
    assert house.labels() == 0
    assert house.client.get(f"/why/{foreign}?grid={token_of(house.grid())}").status_code == 404
    for path in ("/why/../labels", "/why/%2e%2e/1", "/pictures/1/../../al.db/original"):
        assert house.client.get(path).status_code in (403, 404, 405), path


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"x" * 2_000_000, 413), (b"[" * 60_000, 400), (b"", 400), (b"\xff\x00", 400), (b"[]", 400),
     (b'{"grid": 1}', 401), (b"NaN", 400)],
)  # fmt: skip
def test_what_is_no_message_is_refused(house: House, content: bytes, status: int) -> None:
    let_in(house.client)
    assert house.ask("labels", content=content).status_code == status


@pytest.mark.parametrize(
    "message",
    [{"events": [[0, 0]] * 4000}, {"events": "x"}, {"mount": "../a"}, {"first": -1},
     {"at": [10**30, 0]}, {"at": "x"}, {"at": [True, None]}, {"images": "abc"},
     {"images": [None, 1.5, "x", True, 10**30]}, {"events": [[0, "x" * 9000, 9]]}],
    ids=lambda message: str(message)[:24],
)  # fmt: skip
def test_what_no_browser_would_send_writes_nothing(house: House, message: dict) -> None:
    let_in(house.client)
    answer = house.ask("labels", message={"events": []} | message)
    assert answer.status_code == 200, answer.text
    assert house.labels() == 0
