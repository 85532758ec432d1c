"""The runner at work, measured from outside: trials a second, and how long each call of the store takes.

It runs on an executor that costs nothing (`Slots`), or on a Dask scheduler with workers that sleep.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, cast, final

from clusters import cluster
from scale_model import Call, Run, Work, flushes, new_stage
from sqlalchemy import text

from hpsearch.executors.base import Batch, Done, Evaluates, Event, Executor, Progress
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.records import Report
from hpsearch.search.runner import Runner, Tick
from hpsearch.store import Store, open_store

CALLS = ("claim", "record", "counts", "report")
NEVER = 10**9
LEAST_ROUNDS = 2
"""A stretch has at least so many records, however long they take."""
START_S = 120.0


@final
class Slots:
    """An executor without workers: batches are under way because a clock says so, and are done when it does.

    Args:
        work: How long each takes, and what comes of it.
        slots: How many are under way at a time.
        together: So many events come back at a time, by a clock that passes only where somebody waits for it: the
            runner is never idle. None: go by the real clock, and sleep while nothing is due.
    """

    def __init__(self, work: Work, slots: int, *, together: int | None) -> None:
        self.slots = slots
        self._work, self._together = work, together
        self._now = 0.0
        self._flying = 0
        self._due: list[tuple[float, int, Batch, int, int]] = []  # time, a tie's order, batch, epochs before and now
        self._order = count()
        self.late_s: list[float] = []
        """How long each batch that was done waited for the runner to look."""

    @property
    def free(self) -> int:
        """How many may be submitted now."""
        return self.slots - self._flying

    def load(self, objective: Evaluates) -> None:
        """Nothing: the work is known."""

    def expect(self, batches: int) -> None:
        pass

    def submit(self, batch: Batch) -> None:
        """Begin a batch."""
        self._flying += 1
        began, whole = self._clock(), self._work.duration(batch.trials[0].number)
        before = 0
        for at, epoch in flushes(whole, self._work.epochs):
            heapq.heappush(self._due, (began + at, next(self._order), batch, before, epoch))
            before = epoch
        heapq.heappush(self._due, (began + whole, next(self._order), batch, -1, -1))

    def wait(self, timeout: float) -> list[Event]:
        """Events that are due; the next one, by a clock that is not real."""
        if not self._due:
            return []
        if self._together is not None:
            if timeout == 0:  # whoever stops takes what is there, not what is to come
                return []
            events: list[Event] = []
            while self._due and len(events) < self._together:
                self._now = max(self._now, self._due[0][0])
                events.append(self._pop())
            return events
        time.sleep(max(0.0, min(timeout, self._due[0][0] - self._clock())))
        events, now = [], self._clock()
        while self._due and self._due[0][0] <= now:
            events.append(self._pop())
        return events

    def _clock(self) -> float:
        return time.monotonic() if self._together is None else self._now

    def _pop(self) -> Event:
        at, _, batch, before, epoch = heapq.heappop(self._due)
        if epoch < 0:
            self._flying -= 1
            self.late_s.append(self._clock() - at)
            return Done(batch, tuple(self._work.outcome(trial.number) for trial in batch.trials))
        steps = range(before + 1, epoch + 1)
        return Progress(tuple(Report(trial.number, step, 0.5) for trial in batch.trials for step in steps))

    def close(self, *, kill: bool = False) -> None:
        """Nothing to end."""


@dataclass(slots=True)
class Timed:
    """A store whose calls are timed; ``pid`` is the database's process, if it has one."""

    store: Store
    pid: int | None = None
    calls: dict[str, Call] = field(default_factory=lambda: dict.fromkeys(CALLS, Call()))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if name not in CALLS:
            return found

        def timed(*args: Any, **named: Any) -> Any:
            began, cpu = time.perf_counter(), self._cpu()
            given = found(*args, **named)
            wall, cpu = time.perf_counter() - began, self._cpu() - cpu
            items = len(given.trials) if name == "claim" else 1 if name == "counts" else len(args[1])
            self.calls[name] += Call(1, items, wall, cpu)
            return given

        return timed

    def _cpu(self) -> float:
        # Of this thread: an engine's own threads, Dask's say, are no part of the store's work.
        return time.thread_time() + (0.0 if self.pid is None else cpu_seconds(self.pid))


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, all its threads together."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def measured(
    store: Store,
    work: Work,
    executor: Executor,
    *,
    seconds: float,
    pids: Mapping[str, int] | None = None,
    warm_up: float = 0.0,
) -> Run:
    """Run a stage for a while.

    Args:
        store: An open database.
        work: The objective.
        executor: Where it runs; it has a ``late_s``, or none.
        seconds: How long, from the first recorded batch on, and `warm_up` after it.
        pids: Other processes whose CPU seconds are told, by name.
        warm_up: Seconds after the first recorded batch that are not counted.
    """
    pids = {"runner": os.getpid(), **(pids or {})}
    timed = Timed(store, pids.get("database"))
    stage = store.create_stage(new_stage(1 + len(store.stages())))
    marks: list[tuple[float, int, dict[str, float], dict[str, Call]]] = []
    late: list[float] = getattr(executor, "late_s", [])
    recorded, rounds, begun, skipped = 0, 0, 0.0, 0

    def mark() -> None:
        spent = {name: cpu_seconds(pid) for name, pid in pids.items()}
        marks.append((time.perf_counter(), recorded, spent, dict(timed.calls)))

    def tick(tick: Tick) -> None:
        nonlocal recorded, rounds, begun, skipped
        recorded += len(tick.recorded)
        rounds += bool(marks) and bool(tick.recorded)
        if recorded and not begun:
            begun = time.perf_counter()
        if begun and not marks and time.perf_counter() - begun >= warm_up:
            skipped = len(late)
            mark()

    def stopping() -> bool:
        over = rounds >= LEAST_ROUNDS and time.perf_counter() - marks[0][0] >= seconds
        if over and len(marks) == 1:
            mark()
        return over

    runner = Runner(
        cast("Store", timed), stage, work, executor, until=NEVER, lanes=work.lanes_, on_tick=tick, stopping=stopping
    )
    runner.run()
    (began, before, cpu, calls), (ended, after, cpu_after, calls_after) = marks
    waited = sorted(late[skipped:]) or [0.0]
    return Run(
        slots=executor.slots,
        lanes=work.lanes_,
        trials=after - before,
        seconds=ended - began,
        cpu={name: cpu_after[name] - cpu[name] for name in pids},
        calls={name: calls_after[name] - calls[name] for name in CALLS},
        late_s=(waited[(len(waited) - 1) // 2], waited[int(0.95 * (len(waited) - 1))]),
    )


def on_slots(url: str, work: Work, slots: int, *, seconds: float, together: int | None) -> Run:
    """One runner with so many slots that cost nothing, on a database of its own or on a stage of its own."""
    store = open_store(url, create=True, write=True)
    try:
        pids = {}
        if (backend := _backend_pid(store)) is not None:
            pids["database"] = backend
        warm_up = 2 * work.mean if together is None else 0.0
        executor = Slots(work, slots, together=together)
        return measured(store, work, executor, seconds=seconds, pids=pids, warm_up=warm_up)
    finally:
        store.close()


def _backend_pid(store: Store) -> int | None:
    """The process of the server that serves this store; None where there is no server."""
    if store.database.dialect != "postgresql":
        return None
    with store.database.engine.connect() as connection:  # the pool has one connection, which everybody gets
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


class Late:
    """A Dask executor that notes how much longer each batch was away than it took."""

    def __init__(self, executor: DaskExecutor, work: Work) -> None:
        self._executor, self._work = executor, work
        self._begun: dict[int, float] = {}
        self.late_s: list[float] = []
        self.slots = executor.slots  # all workers are there

    def __getattr__(self, name: str) -> Any:
        return getattr(self._executor, name)

    def submit(self, batch: Batch) -> None:
        self._begun[batch.key] = time.monotonic()
        self._executor.submit(batch)

    def wait(self, timeout: float) -> list[Event]:
        events, now = self._executor.wait(timeout), time.monotonic()
        for done in (one for one in events if isinstance(one, Done)):
            took = self._work.duration(done.batch.trials[0].number)
            self.late_s.append(now - self._begun.pop(done.batch.key) - took)
        return events


def on_dask(url: str, work: Work, workers: int, *, seconds: float, processes: int = 2) -> Run:
    """Run one runner with a Dask scheduler and so many workers that sleep."""
    store = open_store(url, create=True, write=True)
    processes = min(processes, workers)
    with cluster(processes, threads=-(-workers // processes)) as made:
        until = time.monotonic() + START_S
        while not made.ready():
            assert time.monotonic() < until, "not all Dask workers came"
            time.sleep(0.1)
        executor = DaskExecutor(made.address)
        assert made.process.pid is not None
        pids = {"scheduler": made.process.pid, **{f"workers {n}": pid for n, pid in enumerate(made.workers())}}
        try:
            late = cast("Executor", Late(executor, work))
            return measured(store, work, late, seconds=seconds, pids=pids, warm_up=2 * work.mean)
        finally:
            executor.close(kill=True)
            store.close()
