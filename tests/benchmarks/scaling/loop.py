"""The runner at work, measured from outside: what it does a second, and how long each call of the store takes."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from sqlalchemy import event, text

from hpsearch.executors.base import Executor
from hpsearch.records import Stage
from hpsearch.search.runner import Runner, Tick
from hpsearch.store import Store, open_store
from scaling.slots import SlotsExecutor
from scaling.work import Work, new_stage

CALLS = ("claim", "record", "counts", "report")
_NEVER = 10**9
_LEAST_ROUNDS = 2
"""A stretch has at least so many records, however long they take."""


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked of the store in a stretch of a run.

    Args:
        times: How often.
        items: Of how many trials (points of curves, for ``report``).
        wall: Seconds until it was done.
        cpu: CPU seconds of them, of this process and of the database's; the rest is waiting, for a disk or a core.
    """

    times: int = 0
    items: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    def __add__(self, other: Call) -> Call:
        return Call(self.times + other.times, self.items + other.items, self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Call) -> Call:
        return self + Call(-other.times, -other.items, -other.wall, -other.cpu)


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a run in which all slots are taken.

    Args:
        slots: Batches under way.
        lanes: Trials in each.
        trials: Trials recorded.
        seconds: How long it was.
        cpu: CPU seconds by process.
        calls: What was asked of the store.
        late_s: How long batches that were done waited for the runner: the median, and the 95th of 100.
    """

    slots: int
    lanes: int
    trials: int
    seconds: float
    cpu: Mapping[str, float]
    calls: Mapping[str, Call]
    late_s: tuple[float, float] = (0.0, 0.0)

    @property
    def rate(self) -> float:
        """Trials a second."""
        return self.trials / self.seconds

    @property
    def rate_cpu(self) -> float:
        """Trials a second of a machine that has nothing else to do: of CPU seconds, not of the clock's."""
        return self.trials / (self.cpu["runner"] + self.cpu.get("database", 0.0))

    @property
    def stretch(self) -> float:
        """How many times longer the store's calls took than their CPU seconds, as others used the cores too."""
        of = [call for call in self.calls.values() if call.times]
        return sum(call.wall for call in of) / max(sum(call.cpu for call in of), 1e-9)

    @property
    def other(self) -> float:
        """CPU seconds a batch of the runner's process outside of the store."""
        inside = sum(call.cpu for call in self.calls.values()) - self.cpu.get("database", 0.0)
        return max(self.cpu["runner"] - inside, 0.0) * self.lanes / max(self.trials, 1)


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
    stage: Stage | None = None,
    warm_up: float = 0.0,
) -> Run:
    """Run a stage for a while.

    Args:
        store: An open database.
        work: The objective.
        executor: Where it runs; it has a ``late_s``, or none.
        seconds: How long, from the first recorded batch on, and `warm_up` after it.
        pids: Other processes whose CPU seconds are told, by name.
        stage: The stage; None for a new one.
        warm_up: Seconds after the first recorded batch that are not counted.
    """
    pids = {"runner": os.getpid(), **(pids or {})}
    timed = Timed(store, pids.get("database"))
    stage = stage or store.create_stage(new_stage(1 + len(store.stages())))
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
        over = rounds >= _LEAST_ROUNDS and time.perf_counter() - marks[0][0] >= seconds
        if over and len(marks) == 1:
            mark()
        return over

    runner = Runner(
        cast("Store", timed), stage, work, executor, until=_NEVER, lanes=work.lanes_, on_tick=tick, stopping=stopping
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
        executor = SlotsExecutor(work, slots, together=together)
        return measured(store, work, executor, seconds=seconds, pids=pids, warm_up=warm_up)
    finally:
        store.close()


def _backend_pid(store: Store) -> int | None:
    """The process of the server that serves this store; None where there is no server."""
    assert isinstance(store, Store)
    if store.database.dialect != "postgresql":
        return None
    with store.database.engine.connect() as connection:  # the pool has one connection, which everybody gets
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


@contextlib.contextmanager
def counted(store: Store) -> Iterator[Counter[str]]:
    """Counts the statements (each row of a list counts), round trips and transactions of a store meanwhile.

    SQLite has no round trips; there statements are those that it runs itself.
    """
    assert isinstance(store, Store)
    engine, found = store.database.engine, Counter[str]()

    def executed(_: Any, __: Any, ___: str, parameters: Any, ____: Any, many: bool) -> None:
        found["round trips"] += 1
        found["statements"] += len(parameters) if many else 1

    def committed(_: Any) -> None:
        found["transactions"] += 1

    def traced(connection: Any, _: Any, __: Any) -> None:
        connection.set_trace_callback(lambda statement: found.update(statements=1))

    sqlite = store.database.dialect == "sqlite"
    engine.dispose()
    listeners = [("commit", committed), ("checkout", traced) if sqlite else ("before_cursor_execute", executed)]
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        yield found
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)
        engine.dispose()


def statements(url: str, work: Work, slots: int, *, seconds: float) -> dict[str, float]:
    """Statements, round trips and transactions a trial."""
    store = open_store(url, create=True, write=True)
    try:
        stage = store.create_stage(new_stage(1 + len(store.stages())))
        with counted(store) as found:
            run = measured(store, work, SlotsExecutor(work, slots, together=1), seconds=seconds, stage=stage)
            counts = store.counts(stage)
        return {name: many / max(counts.finished, run.trials, 1) for name, many in found.items()}
    finally:
        store.close()
