"""A Ray cluster, existing or started on this machine; ``map`` on it.

Ray (Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", 2018) distributes
the work, and repeats what a lost worker had in hand. Needs requirements-ray.txt.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from al_core.distributed.embedding_pool import Map
from al_core.errors import ActiveLearningError, ConfigError
from al_core.files.paths import home

ROOT = Path(__file__).parents[2]
PATIENCE = 5  # seconds for a cluster to answer
RETRIES = 3  # of a task whose worker was lost


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Ray, on the cluster at ``address``, else on one started here until the block ends. Raises
    ConfigError where there is none."""
    address = address or None
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # no cluster unasked
    if address is None:
        # As Ray does on other systems: its own cluster listens on 127.0.0.1 alone. Read only once.
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
    # So that workers find this program and its files, and each keeps to its one core.
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    how: dict[str, Any] = {"address": address or "local", "log_to_driver": False}
    if address is None:
        how["include_dashboard"] = False
    variables = {"AL_HOME": str(home()), "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1"}
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


def cores(ray: Any) -> int:
    """The cores of the whole cluster; one where it has none yet."""
    return max(1, int(ray.cluster_resources().get("CPU", 0)))


@contextmanager
def tasks(address: str | None = None) -> Iterator[Map]:
    """``map`` on a cluster: each item is a task, submitted a few ahead of the awaited answer."""
    with cluster(address) as ray:
        ahead = 2 * cores(ray)
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_answer)

        def run(work: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
            shared, pending = ray.put(work), deque[Any]()
            for item in chain(items, repeat(None, ahead)):
                if item is not None:
                    pending.append(task.remote(shared, item))
                if pending and (item is None or len(pending) > ahead):
                    with sentences("A task failed"):
                        answer = ray.get(pending.popleft())
                    yield answer

        yield run


def _answer(work: Callable[[Any], Any], item: Any) -> Any:
    return work(item)


@contextmanager
def sentences(what: str) -> Iterator[None]:
    """Raise errors from a worker as this process would."""
    from ray.exceptions import RayError, RayTaskError

    try:
        yield
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, ActiveLearningError):
            raise cause from None
        last = "".join(str(cause).splitlines()[-1:])
        raise ConfigError(f"{what} ({type(cause).__name__}: {last}).") from None
