"""A Dask scheduler and workers in processes of their own, on the loopback interface."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from hpsearch.executors.base import Batch, Done, Evaluates, Event
from hpsearch.executors.blas import pinned_children
from hpsearch.store import open_store
from scaling.loop import Run, measured
from scaling.work import Work

_HERE = Path(__file__).parents[1]
_START_S = 120.0
_PROGRAM = """\
import sys
sys.path.insert(0, {here!r})  # where the work is imported from
import dask
dask.config.set({{"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}})
from distributed.cli import dask_{command} as program
program.main(args={words!r})
"""


@contextlib.contextmanager
def cluster(workers: int, processes: int) -> Iterator[tuple[str, dict[str, int]]]:
    """A scheduler's address, and its and its workers' process numbers by name.

    Args:
        workers: Threads that take a batch each.
        processes: Over so many processes.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as ending:
        file = Path(folder) / "scheduler.json"
        # Workers sleep: what a process has of threads costs nothing but the switch between them.
        at = ["--scheduler-file", str(file), "--no-dashboard"]
        parts = {
            "scheduler": ["scheduler", "--host", "127.0.0.1", "--port", "0", *at],
            **{
                f"workers {place}": [
                    "worker", "--host", "127.0.0.1", "--no-nanny", "--memory-limit", "0", *at,
                    "--nthreads", str(workers // processes + (place < workers % processes)),
                    "--local-directory", folder,
                ]
                for place in range(processes)
            },
        }  # fmt: skip
        pids = {}
        for name, words in parts.items():
            program = _PROGRAM.format(here=str(_HERE), command=words[0], words=words[1:])
            with pinned_children():
                process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
            ending.callback(_end, process)
            pids[name] = process.pid
            until = time.monotonic() + _START_S
            while name == "scheduler" and not _whole(file):
                assert process.poll() is None, "the Dask scheduler does not start"
                assert time.monotonic() < until, "the Dask scheduler is not there yet"
                time.sleep(0.05)
        yield str(file), pids


def _whole(file: Path) -> bool:
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # not there, or half written
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class _Watched:
    """An executor that tells how much longer a batch was away than it took."""

    def __init__(self, executor: object, work: Work) -> None:
        from hpsearch.executors.dask.executor import DaskExecutor

        assert isinstance(executor, DaskExecutor)
        self._executor, self._work = executor, work
        self._begun: dict[int, float] = {}
        self.late_s: list[float] = []
        self.slots = executor.slots  # all workers are there

    @property
    def free(self) -> int:
        return self._executor.free

    def load(self, objective: Evaluates) -> None:
        self._executor.load(objective)

    def expect(self, batches: int) -> None:
        self._executor.expect(batches)

    def submit(self, batch: Batch) -> None:
        self._begun[batch.key] = time.monotonic()
        self._executor.submit(batch)

    def wait(self, timeout: float) -> list[Event]:
        events = self._executor.wait(timeout)
        now = time.monotonic()
        for event in events:
            if isinstance(event, Done):
                took = self._work.duration(event.batch.trials[0].number)
                self.late_s.append(now - self._begun.pop(event.batch.key) - took)
        return events

    def close(self, *, kill: bool = False) -> None:
        self._executor.close(kill=kill)


def on_dask(url: str, work: Work, workers: int, *, seconds: float, processes: int = 2) -> Run:
    """One runner, a Dask scheduler and so many workers that sleep."""
    from hpsearch.executors.dask.executor import DaskExecutor

    store = open_store(url, create=True, write=True)
    with cluster(workers, min(processes, workers)) as (address, pids):
        executor = DaskExecutor(address)
        try:
            until = time.monotonic() + _START_S
            while executor.slots < workers:
                executor.wait(0.1)
                assert time.monotonic() < until, f"{executor.slots} of {workers} workers came"
            return measured(store, work, _Watched(executor, work), seconds=seconds, pids=pids, warm_up=2 * work.mean)
        finally:
            executor.close(kill=True)
            store.close()
