"""Batches under way and the Dask workers there are. Pure bookkeeping."""

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
    """Workers by address, each with room for as many tasks as it has threads, or for one that is to be alone there."""

    def __init__(self) -> None:
        self.threads = 0
        """Of all workers."""
        self._room: dict[str, int] = {}
        self._at: dict[str, set[str]] = {}
        self._idle: deque[str] = deque()  # a worker once for each thread that has come free, and perhaps more often
        self._kept: dict[str, str | None] = {}  # workers given nothing else: for which task; None: for one to come

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
        self._kept.pop(worker, None)
        return self._at.pop(worker, set())

    def idle(self) -> str | None:
        """A worker that has room, if there is one: the one that has had it longest. No step looks at all workers."""
        while self._idle:
            worker = self._idle[0]
            # It may have left since, or have come again.
            if worker in self._room and not self.keeps(worker) and len(self._at[worker]) < self._room[worker]:
                return worker
            self._idle.popleft()
        return None

    def keeps(self, worker: str) -> bool:
        """Whether a worker is given no further task at the moment."""
        return worker in self._kept

    def empty(self) -> str | None:
        """A worker that has no task; None while there is none: then one gets nothing more until it has none."""
        empty = (one for one in self._room if not self._at[one])
        if (found := next(empty, None)) is None and None not in self._kept.values():
            open_ones = (one for one in self._room if one not in self._kept)
            if (best := min(open_ones, key=lambda one: len(self._at[one]), default=None)) is not None:
                self._kept[best] = None
        return found

    def begin(self, task: str, worker: str) -> None:
        """A task is at a worker now: the one that `idle` gave."""
        assert self._idle.popleft() == worker
        self._at[worker].add(task)

    def begin_alone(self, task: str, worker: str) -> None:
        """A task is at a worker now, the one that `empty` gave, and no other comes there before it ends."""
        assert not self._at[worker]
        self._at[worker].add(task)
        # Another one that was kept until it is empty may have its tasks again.
        for one in [one for one, kept_for in self._kept.items() if kept_for is None]:
            self._give_up(one)
        self._kept[worker] = task

    def end(self, task: str, worker: str) -> None:
        """A task is no longer at a worker, which may be gone."""
        if worker not in self._at or task not in self._at[worker]:
            return
        self._at[worker].remove(task)
        if self._kept.get(worker) == task:
            self._give_up(worker)
        else:
            self._idle.append(worker)

    def _give_up(self, worker: str) -> None:
        del self._kept[worker]
        self._idle.extend([worker] * (self._room[worker] - len(self._at[worker])))
