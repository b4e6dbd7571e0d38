"""Many simulated experiments: side by side, kept on disk, and going on where they stopped."""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from al_core.catalogue import titled
from al_core.config import ExperimentConfig
from al_core.curves import Curve, MeasuredOn
from al_core.errors import ActiveLearningError, ConfigError
from al_core.images import load
from al_core.predictions import whole_file
from al_core.progress import Progress, finish
from al_core.store import home

if TYPE_CHECKING:
    from al_core.simulate import Row, Step

MEMORY = 3_000_000_000  # bytes a run may take, images included
# The settings of an experiment that a simulated round is made from.
DEPENDS_ON = (
    "strategy", "initial", "start", "per_round", "model", "train", "seed", "image_size",
    "class_names",
)  # fmt: skip
DAMAGE = (OSError, LookupError, TypeError, ValueError, AttributeError)  # what a file of it raises
FORMAT = 5  # raised whenever a round or a strategy changes: older files are run anew


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulated experiment: its settings, who answers (see
    :func:`al_core.annotators.find_annotator`), and the file of embeddings that a linear head is
    trained on, empty where a network is."""

    config: ExperimentConfig
    annotator: str = "truth"
    embeddings: str = ""

    @property
    def settings(self) -> dict[str, Any]:
        """What a reader of the table wants to know beside strategy and seed."""
        config = self.config
        return {
            "data": config.data,
            "annotator": self.annotator,
            "head": "linear" if self.embeddings else config.model.head,
            "embeddings": self.embeddings,
            "start": config.start,
            "initial": config.initial,
            "per_round": config.per_round,
            "weights": config.model.weights,
            "stem": config.model.stem,
            "epochs": config.train.epochs,
            "min_steps": config.train.min_steps,
        }


def run_all(simulations: Sequence[Simulation], jobs: int) -> Iterator[Progress | Row]:
    """Run simulations, ``jobs`` processes at a time: reports of progress, and rows as they come.

    Each round is kept under ``$AL_HOME/simulations``. Whatever was kept before is not run again;
    its rows come first. Stopped anywhere, the processes end, and what they have finished stays.
    Raises the first error that any of them meets.
    """
    with closing(_in_processes(simulations, jobs)) as reports:
        yield from merged(simulations, reports)


def merged(
    simulations: Sequence[Simulation], reports: Iterable[tuple[Any, Progress | Row | None]]
) -> Iterator[Progress | Row]:
    """What many simulations report, each time with who does, as reports of all of them."""
    rounds = sum(one.config.rounds + 1 for one in simulations)
    done = 0
    running: dict[Any, Progress] = {}
    for who, report in reports:
        if isinstance(report, Progress):
            running[who] = report
        else:
            running.pop(who, None)
            if report is not None:
                done += 1
                yield report
        # Most of a round is its training; it counts as done when its row is there.
        parts = sum(
            one.fraction if one.phase.startswith("Training") else 1 for one in running.values()
        )
        yield Progress("Simulating", done + 0.9 * parts, rounds, "rounds", 0)


def _in_processes(
    simulations: Sequence[Simulation], jobs: int
) -> Generator[tuple[int, Progress | Row | None]]:
    """What processes of this machine report; None at the end of each simulation."""
    context = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
    tasks, reports = context.Queue(), context.Queue()
    for one in simulations:
        tasks.put(one)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    workers = [
        context.Process(target=_work, args=(tasks, reports, threads), daemon=True)
        for _ in range(min(jobs, len(simulations)))
    ]
    for worker in workers:
        worker.start()
    try:
        ended = 0
        while ended < len(simulations):
            try:
                who, report = reports.get(timeout=1)
            except queue.Empty:
                if any(worker.exitcode not in (None, 0) for worker in workers):
                    raise ConfigError(
                        "A simulation ended without a word, most often for want of memory: run "
                        "fewer side by side with --jobs."
                    ) from None
                continue
            if isinstance(report, Exception):
                raise report
            ended += report is None
            yield who, report
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def jobs_that_fit(simulations: int) -> int:
    """How many simulations this machine carries side by side: one a core, as far as memory goes;
    one where there is a GPU to share."""
    from al_core.network import find_hardware

    if find_hardware().device.type != "cpu":
        return 1
    free = float("inf")
    with suppress(ValueError, OSError, AttributeError):  # not every system tells
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(simulations, os.cpu_count() or 1, int(free / MEMORY)))


def _work(tasks: Any, reports: Any, threads: int) -> None:
    """In a process of its own: take simulations, until there are none left."""
    import torch

    # Two programs that both use all cores wait for each other most of the time.
    torch.set_num_threads(threads)
    who, parent = os.getpid(), multiprocessing.parent_process()
    try:
        while True:
            try:
                simulation = tasks.get(timeout=1)
            except queue.Empty:
                return
            for report in run_one(simulation):
                if parent is None or not parent.is_alive():
                    return  # it was killed, and nobody else ends this
                reports.put((who, report))
            reports.put((who, None))
    except ActiveLearningError as error:
        reports.put((who, error))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        reports.put((who, ConfigError(f"It failed ({type(error).__name__}: {error}).")))


def run_one(simulation: Simulation) -> Iterator[Progress | Row]:
    """Run one simulation in this process, from where it stopped: its rows, and its progress."""
    from al_core.annotators import find_annotator
    from al_core.features import frozen_features, read_features
    from al_core.network import find_hardware
    from al_core.simulate import Step, simulate
    from al_core.weights import pretrained_weights

    config = simulation.config
    dataset = finish(load(config.data, image_size=config.image_size, cache_dir=home() / "cache"))
    config = replace(config, class_names=dataset.train.class_names)
    annotator = find_annotator(simulation.annotator, dataset)
    features = None
    if simulation.embeddings:
        features = read_features(Path(simulation.embeddings), dataset)
    elif config.model.head == "linear":
        features = yield from frozen_features(config.model.weights, dataset, find_hardware())
    digest = features.digest if features else ""
    if features is None and config.model.weights not in ("none", "imagenet"):
        weights = yield from pretrained_weights(config.model.weights, dataset.fingerprint)
        digest = weights.digest if weights else ""
    depends_on = _depends_on(replace(simulation, config=config), dataset.fingerprint, digest)
    path = home() / "simulations" / f"{_digest(depends_on)}.json"
    steps = _read(path)[: config.rounds + 1]
    if any(max(step.asked, default=0) >= len(dataset.train) for step in steps):
        steps = []  # damaged
    yield from (step.row for step in steps)
    for report in simulate(config, dataset, annotator, find_hardware(), features, steps):
        if isinstance(report, Step):
            steps.append(report)
            _write(path, simulation, depends_on, steps)
            yield report.row
        else:
            yield report


def saved_curves() -> list[Curve]:
    """The curves of all simulations that are kept, one for each strategy and seed.

    Runs share a name where they differ in their seed alone.
    """
    curves = []
    taken: dict[str, str] = {}
    for path in sorted((home() / "simulations").glob("*.json")):
        with suppress(*DAMAGE):
            kept = json.loads(path.read_text(encoding="utf-8"))
            measured = [row for row in _rows(kept) if row["test_accuracy"] is not None]
            if kept["format"] == FORMAT and measured:
                name = first = _name(measured[0]["strategy"], kept["settings"])
                on = MeasuredOn("test", Path(kept["settings"]["data"]).name, kept.get("images", ""))
                number = 1
                while taken.setdefault(name, kept["runs_of"]) != kept["runs_of"]:
                    number += 1  # the same words for other files, or for other images
                    name = f"{first} [{number}]"
                curves.append(
                    Curve(
                        name=name,
                        seed=measured[0]["seed"],
                        labeled=tuple(row["labeled"] for row in measured),
                        accuracy=tuple(row["test_accuracy"] for row in measured),
                        on=on,
                    )
                )
    return curves


def _name(strategy: str, settings: dict[str, Any]) -> str:
    """What a person tells one group of curves from another by."""
    words = [titled(strategy), Path(settings["data"]).name]
    if settings["annotator"] != "truth":
        words.append(settings["annotator"].rpartition(":")[2])
    if settings["embeddings"]:
        words.append(f"linear on {Path(settings['embeddings']).stem}")
    if settings["weights"] != "none":
        words.append(settings["weights"])
    if settings["start"] != "random":
        words.append(f"started by {titled(settings['start'])}")
    if settings["stem"] != "auto":
        words.append(f"{settings['stem']} stem")
    if not settings["embeddings"]:
        words.append(f"{settings['epochs']:,} epochs, at least {settings['min_steps']:,} steps")
    return f"{', '.join(words)} ({settings['initial']:,} + {settings['per_round']:,} a round)"


def _depends_on(simulation: Simulation, images: str, embeddings: str) -> dict[str, Any]:
    """All that the rounds of a simulation depend on, with the digests of its files; how many rounds
    there are is not among it, nor what the page alone reads."""
    values = simulation.config.to_json()
    del values["model"]["learn_minutes"]  # what was learned is among the files
    annotator = simulation.annotator
    file, colon, _ = annotator.rpartition(":")
    if colon:
        with suppress(OSError):
            annotator += blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    more = {"annotator": annotator, "images": images, "embeddings": embeddings, "format": FORMAT}
    return {name: values[name] for name in DEPENDS_ON} | more


def _digest(values: dict[str, Any]) -> str:
    return blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=12).hexdigest()


def _read(path: Path) -> list[Step]:
    from al_core.simulate import Row, Step

    with suppress(*DAMAGE):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["format"] == FORMAT and _rows(kept):
            return [Step(**{**step, "row": Row(**step["row"])}) for step in kept["steps"]]
    return []


def _rows(kept: Any) -> list[dict[str, Any]]:
    """The rows in a file; raises one of DAMAGE where what is reckoned with is no number."""
    for step in kept["steps"]:
        row = step["row"]
        counts = [row["seed"], row["labeled"], *step["asked"], *step["guesses"]]
        shares = [row["test_accuracy"]] if row["test_accuracy"] is not None else []
        whole = all(type(count) is int and 0 <= count < 2**63 for count in counts)
        if not whole or not all(0 <= share <= 1 for share in shares) or not step["temperature"] > 0:
            raise ValueError("damaged")
    return [step["row"] for step in kept["steps"]]


def _write(
    path: Path, simulation: Simulation, depends_on: dict[str, Any], steps: Sequence[Step]
) -> None:
    kept = {
        "format": FORMAT,
        "settings": simulation.settings,
        "images": depends_on["images"],
        "runs_of": _digest({**depends_on, "strategy": "", "seed": ""}),
        "steps": [asdict(step) for step in steps],
    }
    with whole_file(path) as file:
        file.write(json.dumps(kept).encode())
