"""The heavy work on a Ray cluster: the features of a pool, simulations.

Ray (Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", 2018) hands out the
work and does again what a lost worker had in hand. Needs requirements-ray.txt.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from al_core.errors import ActiveLearningError, ConfigError
from al_core.features import claim, frozen, needed
from al_core.images import SOURCES
from al_core.network import Pretrained, find_hardware
from al_core.partitions import part_path, write_part
from al_core.parts import Part, digest_of, parts_of, read_part
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
    how: dict[str, Any] = {"address": address, "log_to_driver": False}
    if address is None:  # one that listens to this machine only
        how |= {"address": "local", "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    variables = {"AL_HOME": str(home()), "PYTHONPATH": found}
    try:
        ray.init(logging_level=logging.ERROR, runtime_env={"env_vars": variables}, **how)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"No Ray cluster answers at {address} ({error}).") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def embed_on_ray(
    source: str, weights: str, out: Path, image_size: int, address: str | None = None
) -> Work[int]:
    """Write the features that ``weights`` see in all images of ``source`` into the folder ``out``,
    as :mod:`al_core.partitions` reads them; returns of how many images.

    ``source`` is as for :func:`al_core.images.load`, or the address of a folder of images or
    parquet in an object store (s3://, gs://, ...). One actor for each GPU, or core, holds the
    weights; ``out`` must be a folder that all of them share. Stopped anywhere, it goes on with the
    files that are not there; a worker that is lost costs what it had in hand. What cannot be read
    is left out. Raises ConfigError and WeightsError, in a sentence.
    """
    yield Progress("Listing", 0, 0, "files", 0)
    parts, fingerprint = yield from parts_of(source, image_size)
    pretrained = yield from needed(weights, fingerprint)
    claim(out, f"{digest_of(parts, fingerprint)}-{image_size}-{pretrained.digest}")
    todo = [part for part in parts if not part_path(out, part["number"]).exists()]
    began, done = time.perf_counter(), len(parts) - len(todo)
    with cluster(address) as ray:
        from ray import data

        data.DataContext.get_current().enable_progress_bars = False
        gpus = int(ray.cluster_resources().get("GPU", 0))
        actors = gpus or int(ray.cluster_resources()["CPU"])
        rows = data.from_items(todo, override_num_blocks=max(1, len(todo)))
        embedded = rows.map(
            _Encoder,
            fn_constructor_args=(ray.put(pretrained), str(out.absolute()), image_size),
            compute=data.ActorPoolStrategy(size=min(actors, max(1, len(todo)))),
            num_gpus=1 if gpus else 0,
            num_cpus=0 if gpus else 1,
        )
        with _sentences("The features cannot be computed"):
            for _ in embedded.iter_rows():
                done += 1
                seconds = (time.perf_counter() - began) * done / (done - len(parts) + len(todo))
                yield Progress("Computing features", done, len(parts), "files", seconds)
    return sum(_rows_in(part_path(out, part["number"])) for part in parts)


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

    def __call__(self, part: Part) -> dict[str, int]:
        keys, images = read_part(part, self._size)
        width = self._network.head.in_features
        embeddings = np.empty((len(keys), width), np.float16)
        for start in range(0, len(keys), BATCH_SIZE):
            rows = np.arange(start, min(start + BATCH_SIZE, len(keys)))
            whole = np.resize(rows, -(-len(rows) // WHOLE) * WHOLE)
            said = finish(predict(self._network, images, whole, self._hardware, ""))
            embeddings[rows] = said.embeddings[: len(rows)].numpy()
        write_part(part_path(self._out, part["number"]), keys, embeddings)
        return {"number": part["number"]}


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
    from ray.util.queue import Queue

    reports = Queue(actor_options={"num_cpus": 0})
    gpu = 1 if ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_cpus=1, num_gpus=gpu, max_retries=RETRIES)(_simulate)
    pending = {task.remote(i, one, reports): i for i, one in enumerate(simulations)}
    seen: set[tuple[int, int]] = set()  # what is run again reports its rounds again
    while pending or not reports.empty():
        for i, report in reports.get_nowait_batch(min(reports.qsize(), 1000)):
            if isinstance(report, Progress):
                yield i, report
            elif (i, report.round) not in seen:
                seen.add((i, report.round))
                yield i, report
        ended, _ = ray.wait(list(pending), timeout=0.2) if pending else ([], [])
        for one in ended:
            with _sentences("A simulation failed"):
                ray.get(one)
            yield pending.pop(one), None


def _simulate(number: int, simulation: Simulation, reports: Any) -> None:
    """One simulation, in a worker: what it reports goes to the queue."""
    torch.set_num_threads(1)
    for report in run_one(simulation):
        reports.put((number, report))


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


def _rows_in(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
