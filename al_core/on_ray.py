"""The heavy work on a Ray cluster: the features of a pool, simulations, a round of a large pool.

Ray (Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", 2018) hands out the
work and does again what a lost worker had in hand. Needs requirements-ray.txt.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from al_core.errors import ActiveLearningError, ConfigError
from al_core.features import claim, frozen, needed
from al_core.images import SOURCES
from al_core.locking import wait_for_lock
from al_core.network import Pretrained, find_hardware
from al_core.partitions import part_path, rows_in, write_part
from al_core.parts import Part, digest_of, keys_of, parts_of, read_part
from al_core.pool_in_parts import Map
from al_core.predict import BATCH_SIZE, predict
from al_core.progress import Progress, Work, finish
from al_core.simulations import Simulation, merged, run_one
from al_core.store import home

if TYPE_CHECKING:
    from al_core.simulate import Row

ROOT = Path(__file__).parents[1]
PATIENCE = 5  # seconds until a cluster answers
WHOLE = 64  # images are embedded in multiples: few at a time are computed by other kernels
RETRIES = 3  # of a simulation whose worker was lost


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Ray: the cluster at ``address``, else one of this machine's own until the block ends.

    Raises ConfigError, in a sentence, where there is none.
    """
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # no cluster that nobody has asked for
    if address is None:
        # As Ray does it on other systems: its own cluster listens on 127.0.0.1 alone. Read once.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not there: pip install -r requirements-ray.txt.") from error
    host, _, port = (address or "").rpartition(":")
    if port.isdigit() and "://" not in host:  # Ray itself would try for minutes
        try:
            socket.create_connection((host, int(port)), PATIENCE).close()
        except OSError as error:
            raise ConfigError(f"No Ray cluster answers at {address} ({error}).") from error
    # Whoever computes finds this program, and its files.
    found = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    how: dict[str, Any] = {"address": address or "local", "log_to_driver": False}
    if address is None:
        how["include_dashboard"] = False
    variables = {"AL_HOME": str(home()), "PYTHONPATH": found}
    try:
        ray.init(logging_level=logging.ERROR, runtime_env={"env_vars": variables}, **how)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"answers at {address}" if address else "can be started here"
        ask = " If it asks for a token, set RAY_AUTH_MODE=token." if address else ""
        raise ConfigError(f"No Ray cluster {where} ({error}).{ask}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def embed_on_ray(
    source: str, weights: str, out: Path, image_size: int, address: str | None = None
) -> Work[tuple[int, int]]:
    """Write the features that ``weights`` see in all images of ``source`` into the folder ``out``,
    as :mod:`al_core.partitions` reads them; returns of how many images, and how many could not be
    read, which are left out.

    ``source`` is as for :func:`al_core.images.load`, or the address of a folder of images or
    parquet in an object store (s3://, gs://, ...). One actor for each GPU, or core, holds the
    weights; ``out`` must be a folder that all of them share. Stopped anywhere, it goes on with the
    files that are not there, or damaged; a worker that is lost costs what it had in hand. Raises
    ConfigError and WeightsError, in a sentence.
    """
    yield Progress("Listing", 0, 0, "files", 0)
    parts, fingerprint = yield from parts_of(source, image_size)
    if weights == "learned" and not fingerprint:
        raise ConfigError(
            "With the engine ray, learned weights are named by their file: pretrain --out."
        )
    pretrained = yield from needed(weights, fingerprint)
    claim(out, f"{digest_of(parts, fingerprint)}-{image_size}-{pretrained.digest}-{len(parts)}")
    lock = yield from wait_for_lock(out / "lock")
    try:
        files = [part_path(out, part["number"]) for part in parts]
        todo = [p for p, file in zip(parts, files, strict=True) if rows_in(file) is None]
        if todo:
            yield from _embed(todo, len(parts), pretrained, out, image_size, address)
        count = sum(rows_in(file) or 0 for file in files)
    finally:
        lock.release()
    return count, sum(len(keys_of(part)) for part in parts) - count


def _embed(
    todo: Sequence[Part],
    of: int,
    pretrained: Pretrained,
    out: Path,
    image_size: int,
    address: str | None,
) -> Work[None]:
    began, done = time.perf_counter(), of - len(todo)
    with cluster(address) as ray:
        from ray import data

        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of each step
        data.DataContext.get_current().enable_progress_bars = False
        gpus = int(ray.cluster_resources().get("GPU", 0))
        actors = gpus or int(ray.cluster_resources()["CPU"])
        parts = data.from_items(list(todo), override_num_blocks=len(todo))
        if gpus:  # as many cores as there are read for them
            parts = parts.map(_read, fn_args=(image_size,), num_cpus=1)
        embedded = parts.map(
            _Encoder,
            fn_constructor_args=(ray.put(pretrained), str(out.absolute()), image_size),
            compute=data.ActorPoolStrategy(size=min(actors, len(todo))),
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else 1,
        )
        with _sentences("The features cannot be computed"):
            # Not fetched ahead: stopped halfway, the thread for that goes on asking Ray, which
            # starts a cluster anew for it.
            for said in embedded.iter_batches(batch_size=1, prefetch_batches=0):
                if problem := str(said["problem"][0]):
                    raise ConfigError(f"The features cannot be computed ({problem}).")
                done += 1
                seconds = (time.perf_counter() - began) * done / (done - of + len(todo))
                yield Progress("Computing features", done, of, "files", seconds)


def _read(part: Part, image_size: int) -> Part:
    """In a task: the images of a part, with which it is a part like those that hold their own."""
    try:
        keys, images = read_part(part, image_size)
    except Exception as error:
        return {"number": part["number"], "problem": f"{type(error).__name__}: {error}"}
    return {"number": part["number"], "keys": keys, "images": images}


class _Encoder:
    """The weights, in an actor of their own: reads a part, embeds it, writes its file."""

    def __init__(self, pretrained: Any, out: str, image_size: int) -> None:
        import ray

        hardware = find_hardware()
        if hardware.device.type == "cpu":
            torch.set_num_threads(1)  # an actor for each core
        self._hardware = hardware
        weights: Pretrained = ray.get(pretrained)  # of the cluster, once for each machine
        self._network = frozen(weights, hardware.exact)
        self._out, self._size = Path(out), image_size

    def __call__(self, part: Part) -> dict[str, Any]:
        """What went wrong comes as an answer: Ray wraps what is raised in words of its own."""
        problem = part.get("problem") or ""
        try:
            if not problem:
                self._embed(part)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
        return {"number": part["number"], "problem": problem}

    def _embed(self, part: Part) -> None:
        keys, images = read_part(part, self._size)
        embeddings = np.empty((len(keys), self._network.head.in_features), np.float16)
        for start in range(0, len(keys), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(keys)))
            whole = np.resize(rows, -(-len(rows) // WHOLE) * WHOLE)
            said = finish(predict(self._network, images, whole, self._hardware, ""))
            embeddings[rows] = said.embeddings[: len(rows)].numpy()
        write_part(part_path(self._out, part["number"]), keys, embeddings)


@contextmanager
def tasks(address: str | None = None) -> Iterator[Map]:
    """``map`` on a cluster: each item is a task, a few ahead of the answer that is waited for."""
    with cluster(address) as ray:
        ahead = 2 * int(ray.cluster_resources()["CPU"])
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_answer)

        def run(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            shared, pending = ray.put(work), deque[Any]()
            for item in chain(items, repeat(None, ahead)):
                if item is not None:
                    pending.append(task.remote(shared, item))
                if pending and (item is None or len(pending) > ahead):
                    with _sentences("The work on a part failed"):
                        answer = ray.get(pending.popleft())
                    yield answer

        yield run


def _answer(work: Callable[[Any], Any], item: Any) -> Any:
    torch.set_num_threads(1)
    return work(item)


def simulate_on_ray(
    simulations: Sequence[Simulation], address: str | None = None
) -> Iterator[Progress | Row]:
    """As :func:`al_core.simulations.run_all`, each a task of a Ray cluster whose machines share
    ``$AL_HOME``. A simulation whose worker is lost goes on elsewhere from its last round."""
    with cluster(address) as ray:
        yield from merged(simulations, _in_tasks(ray, [_absolute(one) for one in simulations]))


def _absolute(simulation: Simulation) -> Simulation:
    """The same, for a worker in another folder."""
    config, (file, colon, column) = simulation.config, simulation.annotator.rpartition(":")
    data = config.data if config.data in SOURCES else str(Path(config.data).expanduser().absolute())
    model = config.model
    if model.weights.endswith(".safetensors"):
        model = replace(model, weights=str(Path(model.weights).absolute()))
    annotator = f"{Path(file).absolute()}:{column}" if colon else simulation.annotator
    return replace(simulation, config=replace(config, data=data, model=model), annotator=annotator)


def _in_tasks(
    ray: Any, simulations: Sequence[Simulation]
) -> Iterator[tuple[int, Progress | Row | None]]:
    reports = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Reports).remote()
    gpu = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_cpus=1, num_gpus=gpu, max_retries=RETRIES)(_simulate)
    pending = {task.remote(i, one, reports): i for i, one in enumerate(simulations)}
    seen: set[tuple[int, int]] = set()  # what is run again reports its rounds again
    while pending:
        ended, _ = ray.wait(list(pending), timeout=0.2)
        said = ray.get(reports.take.remote())
        for one in ended:
            with _sentences("A simulation failed"):
                said += [(pending[one], row) for row in ray.get(one)]
        for i, report in said:
            if isinstance(report, Progress):
                yield i, report
            elif (i, report.round) not in seen:
                seen.add((i, report.round))
                yield i, report
        yield from ((pending.pop(one), None) for one in ended)


class _Reports:
    """What simulations say before their end, in an actor, until it is asked for."""

    def __init__(self) -> None:
        self._said: list[tuple[int, Progress | Row]] = []

    def say(self, number: int, report: Progress | Row) -> None:
        self._said.append((number, report))

    def take(self) -> list[tuple[int, Progress | Row]]:
        said, self._said = self._said, []
        return said


def _simulate(number: int, simulation: Simulation, reports: Any) -> list[Row]:
    """One simulation, in a worker. It does not wait until its reports have arrived: a task that
    waits gives its core to the next one. So its rows are its answer as well."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    told = 0.0
    for report in run_one(simulation):
        if not isinstance(report, Progress):
            rows.append(report)
        elif time.monotonic() < told + 0.2:  # nobody reads faster
            continue
        else:
            told = time.monotonic()
        reports.say.remote(number, report)
    return rows


@contextmanager
def _sentences(what: str) -> Iterator[None]:
    """What went wrong in a worker, as it would be said here."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, ActiveLearningError):
            raise cause from None
        last = str(cause).splitlines()[-1]
        raise ConfigError(f"{what} ({type(cause).__name__}: {last}).") from None
