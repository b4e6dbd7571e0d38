"""A worker of a Ray cluster of this program is killed; benchmarks do so too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path


def kill_a_worker(name: str) -> None:
    """SIGKILL one of the processes that Ray has named so, of the cluster that we have begun."""
    found: list[int] = []
    deadline = time.monotonic() + 60
    while not found:  # between two tasks it has another name
        if time.monotonic() > deadline:
            raise RuntimeError(f"No worker of Ray's does {name}.")
        said = subprocess.run(["pgrep", "-f", f"^ray::{name}"], capture_output=True, text=True)
        found = [int(worker) for worker in said.stdout.split() if _is_ours(int(worker))]
    os.kill(found[0], signal.SIGKILL)


def _is_ours(process: int) -> bool:
    while process > 1 and process != os.getpid():
        stat = Path(f"/proc/{process}/stat")
        try:
            process = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            return False
    return process == os.getpid()
