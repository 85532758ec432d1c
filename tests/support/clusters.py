"""A Dask scheduler with workers on this machine, in processes of their own, for tests that may end them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import LocalCluster

SUPPORT = Path(__file__).parent
_SCRIPT = """
import sys
from hpsearch.executors.dask.cluster import OwnCluster
if __name__ == "__main__":
    cluster = OwnCluster(int(sys.argv[1]))
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.close(5.0)
"""


@dataclass(frozen=True)
class Cluster:
    """What there is to reach, and to kill.

    Args:
        address: The scheduler's.
        process: The scheduler's process; with it the workers end.
    """

    address: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def cluster(workers: int = 2) -> Iterator[Cluster]:
    """A scheduler and workers of one thread each, which start while the caller goes on."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(workers)],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Cluster(process.stdout.readline().strip(), process)
    finally:
        process.communicate()  # closes its input, which ends it


@contextlib.contextmanager
def worker(scheduler: str, *options: str, environment: dict[str, str] | None = None) -> Iterator[None]:
    """One more worker of a cluster, started by the command line of Dask; it is gone at the end."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-dashboard", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": path, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def adaptive(least: int, most: int) -> Iterator[LocalCluster]:
    """A cluster whose workers, threads of this process, come and go as it sees work."""
    from distributed import LocalCluster

    from hpsearch.executors.dask.cluster import silence

    silence()
    made = LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None)
    try:
        made.adapt(minimum=least, maximum=most, interval="50ms")
        yield made
    finally:
        made.close()
