"""Batches under way and the Dask workers there are. Pure bookkeeping: no step looks at all workers."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hpsearch.records import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from distributed import Future

    from hpsearch.executors.base import Batch


@dataclass(slots=True, eq=False)
class Flight:
    """A batch that was submitted and is not back.

    Args:
        batch: The batch.
        key: Of the task that evaluates it; None while it waits for a worker.
        worker: Where that is.
        future: The task's.
        deaths: The workers that have died while they evaluated it.
        returns: How often it came back for another's fault.
        seen: Points of its curves that have been passed on: trial and step.
    """

    batch: Batch
    key: str | None = None
    worker: str = ""
    future: Future | None = None
    deaths: list[str] = field(default_factory=list)
    returns: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)

    def fresh(self, points: Iterable[tuple[int, int, float]]) -> tuple[Report, ...]:
        """Those of the points that are new: a batch that begins again shows its first ones again."""
        fresh = tuple(Report(*point) for point in points if point[:2] not in self.seen)
        self.seen.update((report.number, report.step) for report in fresh)
        return fresh


class Fleet:
    """Workers by address, each with room for as many tasks as it has threads."""

    def __init__(self) -> None:
        self.threads = 0
        """Of all workers."""
        self._room: dict[str, int] = {}
        self._at: dict[str, set[str]] = {}
        self._idle: deque[str] = deque()  # a worker once for each thread that has come free, and perhaps more often

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._room))

    def __len__(self) -> int:
        return len(self._room)

    def __contains__(self, worker: str) -> bool:
        return worker in self._room

    def join(self, worker: str, threads: int) -> None:
        """A worker has come."""
        if worker in self._room:
            return
        self.threads += threads
        self._room[worker], self._at[worker] = threads, set()
        self._idle.extend([worker] * threads)

    def leave(self, worker: str) -> set[str]:
        """A worker is gone; gives the tasks that were at it."""
        self.threads -= self._room.pop(worker, 0)
        return self._at.pop(worker, set())

    def idle(self) -> str | None:
        """A worker that has room, if there is one: the one that has had it longest."""
        while self._idle:
            worker = self._idle[0]
            # It may have left since, or have come again.
            if worker in self._room and len(self._at[worker]) < self._room[worker]:
                return worker
            self._idle.popleft()
        return None

    def begin(self, task: str, worker: str) -> None:
        """A task is at a worker now: the one that `idle` gave."""
        assert self._idle.popleft() == worker
        self._at[worker].add(task)

    def end(self, task: str, worker: str) -> None:
        """A task is no longer at a worker, which may be gone."""
        if worker in self._at and task in self._at[worker]:
            self._at[worker].remove(task)
            self._idle.append(worker)
