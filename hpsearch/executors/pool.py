"""Batches in a pool of processes, one BLAS thread each.

Each worker has a pipe of its own, unlike those of ``concurrent.futures``: curves come back through it while a batch
runs, the death of one worker costs its own batch only and names it, and a worker whose runner was killed notices,
because its pipe ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, final

from hpsearch.executors.base import Batch, Evaluates, Event, Lost, Progress, drive
from hpsearch.executors.blas import pinned_children

_JOIN_S = 5.0


class _Worker:
    def __init__(self, objective: Evaluates) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.batch: Batch | None = None
        # daemon: the interpreter ends its workers at exit even if nobody called close.
        self.process = context.Process(target=_work, args=(theirs, objective), daemon=True)
        with pinned_children(), _without_interrupts():
            self.process.start()
        theirs.close()

    def end(self, *, kill: bool) -> None:
        with contextlib.suppress(OSError):
            if kill:
                self.process.kill()
            else:
                self.connection.send(None)
        self.process.join(_JOIN_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()
        self.process.close()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    # Ctrl-C goes to the whole process group. A worker that is born ignoring it stays silent, from its first
    # instruction on, while the runner winds up.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _work(connection: Connection[Any, Any], objective: Evaluates) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):  # the runner is gone
        while (batch := connection.recv()) is not None:
            for event in drive(objective, batch):
                if event is not None:
                    connection.send(event)


@final
class PoolExecutor:
    """Evaluates batches in ``jobs`` processes, started at once.

    Args:
        objective: What evaluates a batch; sent to each worker once.
        jobs: How many processes.
    """

    def __init__(self, objective: Evaluates, jobs: int) -> None:
        self.slots = jobs
        self._objective = objective
        self._workers = [_Worker(objective) for _ in range(jobs)]

    @property
    def free(self) -> int:
        """How many workers have no batch."""
        return sum(worker.batch is None for worker in self._workers)

    def submit(self, batch: Batch) -> None:
        """Hand a batch to a worker that has none."""
        worker = next(worker for worker in self._workers if worker.batch is None)
        worker.batch = batch
        # A worker that has died while idle is found by `wait`, with this batch on its account.
        with contextlib.suppress(OSError):
            worker.connection.send(batch)

    def wait(self, timeout: float) -> list[Event]:
        """What the workers have sent."""
        busy = {worker.connection: worker for worker in self._workers if worker.batch is not None}
        events: list[Event] = []
        for ready in wait(list(busy), timeout):
            worker = busy[ready]  # type: ignore[index]  # only connections were waited for
            try:
                event = worker.connection.recv()
            except (EOFError, OSError):
                event = self._replace(worker)
            if not isinstance(event, Progress):
                worker.batch = None
            events.append(event)
        return events

    def _replace(self, worker: _Worker) -> Lost:
        batch = worker.batch
        assert batch is not None
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        worker.end(kill=True)
        self._workers[self._workers.index(worker)] = _Worker(self._objective)
        return Lost(batch, f"the worker process died ({how})")

    def close(self, *, kill: bool = False) -> None:
        """End the workers; see `hpsearch.executors.base.Executor.close`."""
        for worker in self._workers:
            worker.end(kill=kill)
        self._workers = []
