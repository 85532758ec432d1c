"""A Dask scheduler with workers on this machine, in processes of their own, for tests that may end them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from bounded import LIMIT_S
from faulty.process import Hook, warm

from hpsearch.executors.dask.cluster import silence_logs

if TYPE_CHECKING:
    from distributed import LocalCluster

TEND_EVERY_S = 0.5


@dataclass(frozen=True)
class Cluster:
    """A scheduler's address and process, with which its workers end, and the pipe to ask it for them."""

    address: str
    process: BaseProcess
    line: Connection[Any, Any]

    def ready(self) -> bool:
        """Whether all of its workers are there."""
        self.line.send("ready")
        return bool(self.line.recv())

    def workers(self) -> list[int]:
        """The processes of its workers, but for those that are about to start."""
        self.line.send("workers")
        found: list[int] = self.line.recv()
        return found


@contextlib.contextmanager
def cluster(workers: int = 2, *, threads: int = 1) -> Iterator[Cluster]:
    """A scheduler and workers, which start while the caller goes on, as copies of a process that has loaded Dask."""
    here, there = warm().Pipe()
    process = warm().Process(target=_serve, args=(there, workers, threads))
    process.start()
    there.close()
    try:
        assert here.poll(LIMIT_S), "no Dask scheduler"
        yield Cluster(here.recv(), process, here)
    finally:
        here.close()  # which ends it
        process.join(LIMIT_S)
        process.kill()
        process.join()


def _serve(line: Connection[Any, Any], workers: int, threads: int) -> None:
    import dask
    from distributed import LocalCluster

    silence_logs()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        made = LocalCluster(
            n_workers=0,
            threads_per_worker=threads,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            memory_limit=None,
        )
        made.scale(workers)
        line.send(made.scheduler_address)
        with contextlib.suppress(EOFError, OSError):
            while True:
                if not line.poll(TEND_EVERY_S):
                    made.scale(workers)  # starts those anew whose nannies have given them up
                elif line.recv() == "ready":
                    line.send(len(made.scheduler_info["workers"]) == workers)
                else:
                    line.send([nanny.pid for nanny in list(made.workers.values()) if nanny.pid is not None])
        made.close(timeout=5)


@contextlib.contextmanager
def worker(scheduler: str, *options: str, hooks: Sequence[Hook] = ()) -> Iterator[None]:
    """One more worker of a cluster, as the command line of Dask starts it; it is gone at the end."""
    process = warm().Process(target=_work, args=(scheduler, options, tuple(hooks)))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(LIMIT_S)
        process.kill()
        process.join()


def _work(scheduler: str, options: Sequence[str], hooks: Sequence[Hook]) -> None:
    from distributed.cli import dask_worker

    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    for hook in hooks:
        hook()
    dask_worker.main([scheduler, "--no-dashboard", "--host", "127.0.0.1", *options])


@contextlib.contextmanager
def adaptive(least: int, most: int) -> Iterator[LocalCluster]:
    """A cluster whose workers, threads of this process, come and go as it sees work."""
    from distributed import LocalCluster

    silence_logs()
    made = LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0")
    try:
        made.adapt(minimum=least, maximum=most, interval="50ms")
        yield made
    finally:
        made.close()
