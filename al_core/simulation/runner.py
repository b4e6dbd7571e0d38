"""Many simulated experiments: side by side, kept on disk, resuming where they stopped."""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from al_core.errors import ActiveLearningError, ConfigError
from al_core.files.paths import home
from al_core.images.dataset_cache import load
from al_core.progress import Progress, finish
from al_core.simulation.on_disk import Simulation, open_simulation

if TYPE_CHECKING:
    from al_core.features.read import Features
    from al_core.models.network import Pretrained
    from al_core.simulation.simulate import Row

MEMORY = 3_000_000_000  # bytes a run may take, images included


def run_all(simulations: Sequence[Simulation], jobs: int) -> Iterator[Progress | Row]:
    """Run simulations, ``jobs`` processes at a time: progress reports, and rows as they come.

    Each round is kept under ``$AL_HOME/simulations`` and not run again; rows of earlier runs come
    first. Stopped anywhere, the processes end, and what they have finished is kept. Raises the
    first error of any of them.
    """
    with closing(_in_processes(simulations, jobs)) as reports:
        yield from merged(simulations, reports)


def merged(
    simulations: Sequence[Simulation], reports: Iterable[tuple[Any, Progress | Row | None]]
) -> Iterator[Progress | Row]:
    """Merge the reports of many simulations, each with its sender, into reports on all of them."""
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
        # Training is most of a round, which counts as done once its row arrives.
        begun = sum(
            one.fraction if one.phase.startswith("Training") else 1 for one in running.values()
        )
        yield Progress("Simulating", done + 0.9 * begun, rounds, "rounds", 0)


def _in_processes(
    simulations: Sequence[Simulation], jobs: int
) -> Generator[tuple[int, Progress | Row | None]]:
    """The reports of processes on this machine; None at the end of each simulation."""
    context = multiprocessing.get_context("spawn")  # threads of torch do not survive a fork
    tasks, reports = context.Queue(), context.Queue()
    for one in simulations:
        tasks.put(one)
    workers = [
        context.Process(target=_work, args=(tasks, reports, jobs), daemon=True)
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
    """How many simulations this machine can run side by side: one per core, as far as memory
    allows; one where there is a GPU to share."""
    from al_core.models.hardware import find_hardware

    if find_hardware().device.type != "cpu":
        return 1
    free = sys.maxsize
    with suppress(ValueError, OSError, AttributeError):  # unknown on macOS and Windows
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(simulations, os.cpu_count() or 1, int(free / MEMORY)))


def _work(tasks: Any, reports: Any, jobs: int) -> None:
    """In a process of its own, one of ``jobs``: run simulations until there are none left."""
    import torch

    # Programs that each use all cores mostly wait for one another.
    torch.set_num_threads(max(1, torch.get_num_threads() // jobs))
    who, parent = os.getpid(), multiprocessing.parent_process()
    try:
        while True:
            try:
                simulation = tasks.get(timeout=1)
            except queue.Empty:
                return
            for report in run_one(simulation):
                if parent is None or not parent.is_alive():
                    return  # it was killed, and nothing else would end this process
                reports.put((who, report))
            reports.put((who, None))
    except ActiveLearningError as error:
        reports.put((who, error))
    except KeyboardInterrupt:
        pass
    except Exception as error:
        reports.put((who, ConfigError(f"It failed ({type(error).__name__}: {error}).")))


def run_one(simulation: Simulation) -> Iterator[Progress | Row]:
    """Run a simulation in this process, from where it stopped: rows and progress reports."""
    from al_core.features.embed import features_of
    from al_core.models.hardware import find_hardware
    from al_core.models.weights import pretrained_weights
    from al_core.simulation.simulate import find_annotator, simulate

    config = simulation.config
    dataset = finish(
        load(
            config.data,
            image_size=config.size_in_memory,
            cache_dir=home() / "cache",
            folders_are_classes=config.folders_are_classes,
        )
    )
    annotator = find_annotator(simulation.annotator, dataset)
    source: Features | Pretrained | None = yield from features_of(config, dataset, find_hardware())
    if source is None and config.model.weights not in ("none", "imagenet"):
        source = yield from pretrained_weights(config.model.weights, dataset.fingerprint)
    digest = source.digest if source else ""
    store, experiment = open_simulation(simulation, dataset, digest)
    with closing(store):
        yield from simulate(store, experiment.id, dataset, annotator, find_hardware())
