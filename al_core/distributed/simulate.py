"""Simulations as tasks on a Ray cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from al_core.distributed.ray_cluster import RETRIES, cluster, sentences
from al_core.files.paths import located
from al_core.progress import Progress
from al_core.simulation.on_disk import Simulation
from al_core.simulation.runner import MEMORY, merged, run_one
from al_core.sources.sources import SOURCES

if TYPE_CHECKING:
    from al_core.simulation.simulate import Row


def simulate_on_ray(
    simulations: Sequence[Simulation], jobs: int | None = None, address: str | None = None
) -> Iterator[Progress | Row]:
    """Like :func:`al_core.simulation.runner.run_all`, each a task on a Ray cluster whose machines
    share ``$AL_HOME``; as many at a time as its cores, GPUs and memory allow, at most ``jobs``.
    One whose worker is lost resumes elsewhere from its last round."""
    with cluster(address) as ray:
        tasks = _in_tasks(ray, [_absolute(one) for one in simulations], jobs or len(simulations))
        yield from merged(simulations, tasks)


def _absolute(simulation: Simulation) -> Simulation:
    """The same with absolute paths, for a worker in another folder."""
    config, (file, colon, column) = simulation.config, simulation.annotator.rpartition(":")
    data = config.data if config.data in SOURCES else str(located(config.data))
    model = config.model.located()
    annotator = f"{located(file)}:{column}" if colon else simulation.annotator
    return replace(simulation, config=replace(config, data=data, model=model), annotator=annotator)


def _in_tasks(
    ray: Any, simulations: Sequence[Simulation], jobs: int
) -> Iterator[tuple[int, Progress | Row | None]]:
    from ray.util.queue import Queue

    reports = Queue(actor_options={"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1})
    gpu = 1 if ray.cluster_resources().get("GPU") else 0
    # Never ask for more than some machine has, or the task would wait for ever.
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    able = [has for has in machines if has.get("CPU", 0) >= 1 and has.get("GPU", 0) >= gpu]
    memory = min(MEMORY, max((has.get("memory", 0) for has in able), default=0))
    task = ray.remote(num_cpus=1, num_gpus=gpu, memory=memory, max_retries=RETRIES)(_simulate)
    waiting = deque(enumerate(simulations))
    pending: dict[Any, int] = {}  # the simulation of each task
    seen: set[tuple[int, int]] = set()  # a task run again reports its rounds again
    while waiting or pending:
        while waiting and len(pending) < jobs:
            i, simulation = waiting.popleft()
            pending[task.remote(i, simulation, reports)] = i
        ended, _ = ray.wait(list(pending), timeout=0.2)
        new = reports.get_nowait_batch(reports.qsize())
        for one in ended:
            with sentences("A simulation failed"):
                new += [(pending[one], row) for row in ray.get(one)]
        for i, report in new:
            if isinstance(report, Progress):
                yield i, report
            elif (i, report.round) not in seen:
                seen.add((i, report.round))
                yield i, report
        yield from ((pending.pop(one), None) for one in ended)


def _simulate(number: int, simulation: Simulation, reports: Any) -> list[Row]:
    """One simulation, in a worker. It does not wait for its reports to arrive, since a waiting task
    gives its core to the next one; so it also returns its rows."""
    rows: list[Row] = []
    reported = 0.0
    for report in run_one(simulation):
        if not isinstance(report, Progress):
            rows.append(report)
        elif time.monotonic() < reported + 0.2:  # nobody reads faster
            continue
        else:
            reported = time.monotonic()
        reports.actor.put_nowait.remote((number, report))
    return rows
