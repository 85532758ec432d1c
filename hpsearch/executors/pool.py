"""Batches in a pool of processes, one BLAS thread each.

Each worker has a pipe of its own, unlike those of ``concurrent.futures``: curves come back through it while a batch
runs, the death of one worker costs its own batch only and names it, and a worker whose runner was killed notices,
because its pipe ends.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import signal
import sys
import time
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, final

from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Batch, Evaluates, Event, Lost, Progress, drive, pinned_children
from hpsearch.records import Argument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.context import SpawnProcess

_JOIN_S = 5.0
_UNGUARDED = 78  # exit code of a worker in which the script that starts the workers begins to start its own
_INTERRUPTS = (signal.SIGINT, signal.SIGHUP)
_spawning = multiprocessing.get_context("spawn")


def start_process(target: Callable[..., object], *args: object) -> SpawnProcess:
    """Start a process with one BLAS thread that ignores Ctrl-C. The interpreter ends it at exit if nobody else does."""
    process = _spawning.Process(target=target, args=args, daemon=True)
    try:
        with pinned_children(), without_interrupts():
            process.start()
    except RuntimeError:  # a worker that imports the script which starts it: the runner says so
        sys.exit(_UNGUARDED)
    return process


def check_guarded(code: int | None) -> None:
    """Check the exit code of a process. BadInput if it imported a script that starts processes as it is imported."""
    if code == _UNGUARDED:
        raise BadInput(
            "processes import the script that starts them: put what starts them below `if __name__ == '__main__':`"
        )


class _Worker:
    def __init__(self, preload: str | None) -> None:
        self.connection, theirs = _spawning.Pipe()
        self.batch: Batch | None = None
        self.quarantined = False
        self.process = start_process(_work, theirs, preload)
        self.name = f"process {self.process.pid}"  # what people can find it by
        theirs.close()

    @property
    def free(self) -> bool:
        """Return whether it may be given a batch."""
        return self.batch is None and not self.quarantined


def _end(workers: Sequence[_Worker], *, kill: bool) -> None:
    # Request every end before waiting for one: interpreters take a while to end, and do so in parallel.
    for worker in workers:
        with contextlib.suppress(OSError):
            if kill:
                worker.process.kill()
            else:
                worker.connection.send(None)
    until = time.monotonic() + _JOIN_S
    for worker in workers:
        worker.process.join(max(until - time.monotonic(), 0.0))
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        worker.process.close()


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Start processes and threads inside that ignore Ctrl-C and a closed terminal."""
    # These go to the whole process group. A worker that starts with them blocked hears nothing of them
    # from its first instruction on, while the runner stops; the runner itself receives them a moment later.
    resource_tracker.ensure_running()  # starting it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hear_no_interrupts() -> None:
    """Do nothing at these signals in a process that was started so; commands that it starts receive them."""
    for number in _INTERRUPTS:  # neither ignored nor blocked, which commands would inherit
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def _work(connection: Connection[Any, Any], preload: str | None) -> None:
    hear_no_interrupts()
    if preload is not None:
        importlib.import_module(preload)
    objective: Evaluates | None = None
    with contextlib.suppress(EOFError, OSError):  # the runner is gone
        while (message := connection.recv()) is not None:
            if not isinstance(message, Batch):
                objective = message
                continue
            assert objective is not None
            for event in drive(objective, message):
                if event is not None:
                    # The runner has the batch: neither trials nor where they paused go back.
                    bare = event if isinstance(event, Progress) else replace(event, batch=Batch(message.key, ()))
                    connection.send(bare)
                elif connection.poll():
                    break  # the runner is gone: nobody waits for this batch


@final
class PoolExecutor:
    """Evaluates batches in ``jobs`` processes, which start at once and get ready while the caller does too.

    Args:
        jobs: The number of processes.
        preload: A module that workers import while they wait for their objective.

    Raises:
        EvaluationFailure: The machine does not allow so many processes.
    """

    def __init__(self, jobs: int, *, preload: str | None = None) -> None:
        self.slots = jobs
        self._preload = preload
        self._objective: Evaluates | None = None
        self._workers: list[_Worker] = []
        try:
            for _ in range(jobs):
                self._workers.append(self._start())
        except EvaluationFailure:
            self.close(kill=True)
            raise

    def _start(self) -> _Worker:
        try:
            return _Worker(self._preload)
        except OSError as error:
            raise EvaluationFailure(
                f"cannot start {self.slots} processes ({error.strerror}); use fewer {{}}", Argument("jobs")
            ) from error

    @property
    def free(self) -> int:
        return sum(worker.free for worker in self._workers)

    def load(self, objective: Evaluates) -> None:
        self._objective = objective
        for worker in self._workers:
            self._send(worker, objective)

    def _send(self, worker: _Worker, message: object) -> None:
        # `wait` notices a worker that died while idle, once it has a batch.
        with contextlib.suppress(OSError):
            worker.connection.send(message)

    def expect(self, batches: int) -> None:
        """Do nothing: the number of workers is fixed."""

    def submit(self, batch: Batch) -> None:
        worker = next(worker for worker in self._workers if worker.free)
        worker.batch = batch
        self._send(worker, batch)

    def wait(self, timeout: float) -> list[Event]:
        """Return what the workers have sent."""
        busy = {worker.connection: worker for worker in self._workers if worker.batch is not None}
        events: list[Event] = []
        for ready in wait(list(busy), timeout):
            worker = busy[ready]  # type: ignore[index]  # only connections were waited for
            try:
                event = worker.connection.recv()
            except (EOFError, OSError):
                event = None
            event = event or self._replace(worker)
            if not isinstance(event, Progress):
                assert worker.batch is not None
                event = replace(event, batch=worker.batch, worker=worker.name)
                worker.batch = None
            events.append(event)
        return events

    def _replace(self, worker: _Worker) -> Lost:
        batch = worker.batch
        assert batch is not None
        worker.process.join()
        code = worker.process.exitcode or 0
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        _end([worker], kill=True)
        self._workers.remove(worker)
        check_guarded(code)
        self.slots += worker.quarantined
        self._workers.append(self._start())
        self._send(self._workers[-1], self._objective)
        return Lost(batch, f"the worker process died ({how})")

    def quarantine(self, worker: str) -> bool:
        """Let a worker idle: what it holds, such as a broken GPU, goes to nobody else."""
        here = next((one for one in self._workers if one.name == worker and not one.quarantined), None)
        if here is None or self.slots == 1:
            return False
        here.quarantined = True
        self.slots -= 1
        return True

    def close(self, *, kill: bool = False) -> None:
        _end(self._workers, kill=kill)
        self._workers = []
