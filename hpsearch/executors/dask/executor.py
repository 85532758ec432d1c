"""Batches on Dask: workers of our own on this machine, or a cluster that is there, whose workers may come and go.

A batch is a task on one worker that has room for it, so nothing waits inside Dask: a worker's death costs the batches
that it was evaluating. Each of these may have caused it, so it goes to another worker and is alone there; the one with
which two workers have died is `Lost`, and the runner splits it. A batch whose worker was retired, or whose objective or
connection was lost, simply goes to another worker.

All of the executor's state belongs to the thread that calls it: Dask's reports wait in `hpsearch.executors.dask.link`
until `DaskExecutor.wait` has them delivered.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, final

from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Batch, Evaluates, Event, Lost, Progress
from hpsearch.executors.dask.cluster import CONNECT_S, OwnCluster, connect
from hpsearch.executors.dask.link import Link
from hpsearch.records import Argument, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from distributed import Future

_JOIN_S = 5.0
_START_S = 60.0  # workers of our own that are not up after so long do not start at all
_DEATHS, _MOST_RETURNS = 2, 10
"""A batch is lost with which so many workers have died, or that comes back more often for another reason."""


@dataclass(slots=True, eq=False)
class Submission:
    """A batch that was submitted and is not back."""

    batch: Batch  # the batch
    key: str | None = None  # of the task that evaluates it; None while it waits for a worker
    worker: str = ""  # the task's
    future: Future | None = None  # the task's
    deaths: list[str] = field(default_factory=list)  # the workers that have died while they evaluated it
    returns: int = 0  # the number of times that it came back for another reason
    # points of its curves that have been passed on: trial and step
    seen: set[tuple[int, int]] = field(default_factory=set)

    def fresh(self, points: Sequence[tuple[int, int, float]]) -> tuple[Report, ...]:
        """Return the points that are new: a batch that begins again repeats its first ones."""
        fresh = tuple(Report(*point) for point in points if tuple(point[:2]) not in self.seen)
        self.seen.update((report.number, report.step) for report in fresh)
        return fresh


class Workers:
    """Workers by address, each with room for as many tasks as it has threads, or for one that is to be alone there."""

    def __init__(self) -> None:
        self.threads = 0  # of all workers
        self._room: dict[str, int] = {}
        self._tasks: dict[str, set[str]] = {}
        self._idle: deque[str] = deque()  # a worker once for each thread that has come free, and perhaps more often
        self._reserved: dict[str, str | None] = {}  # for a task that is alone there; None: for one to come

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._room))

    def __len__(self) -> int:
        return len(self._room)

    def add(self, worker: str, threads: int) -> None:
        """Add a worker that has come."""
        if worker in self._room:
            return
        self.threads += threads
        self._room[worker], self._tasks[worker] = threads, set()
        self._idle.extend([worker] * threads)

    def remove(self, worker: str) -> set[str]:
        """Remove a worker that is gone; return the tasks that were there."""
        self.threads -= self._room.pop(worker, 0)
        self._reserved.pop(worker, None)
        return self._tasks.pop(worker, set())

    def with_room(self) -> str | None:
        """Return the worker that has had room longest; None: none has. No step scans all workers."""
        while self._idle:
            worker = self._idle[0]
            # It may have left since, or have come again.
            if worker in self._room and not self.is_reserved(worker) and len(self._tasks[worker]) < self._room[worker]:
                return worker
            self._idle.popleft()
        return None

    def is_reserved(self, worker: str) -> bool:
        """Return whether a worker is given no further task at the moment."""
        return worker in self._reserved

    def empty(self) -> str | None:
        """Return a worker without a task; None: there is none, and one is reserved until it has none."""
        empty = next((worker for worker in self._room if not self._tasks[worker]), None)
        if empty is None and None not in self._reserved.values():
            shared = (worker for worker in self._room if worker not in self._reserved)
            if (best := min(shared, key=lambda worker: len(self._tasks[worker]), default=None)) is not None:
                self._reserved[best] = None
        return empty

    def begin(self, task: str, worker: str) -> None:
        """Assign a task to the worker that `with_room` returned."""
        assert self._idle.popleft() == worker
        self._tasks[worker].add(task)

    def begin_alone(self, task: str, worker: str) -> None:
        """Assign a task to the worker that `empty` returned; it gets no other before that ends."""
        assert not self._tasks[worker]
        self._tasks[worker].add(task)
        # Another one that was reserved until it is empty may have its tasks again.
        for other in [other for other, reserved_for in self._reserved.items() if reserved_for is None]:
            self._open(other)
        self._reserved[worker] = task

    def end(self, task: str, worker: str) -> None:
        """Remove a task from a worker, which may be gone."""
        if worker not in self._tasks or task not in self._tasks[worker]:
            return
        self._tasks[worker].remove(task)
        if self._reserved.get(worker) == task:
            self._open(worker)
        else:
            self._idle.append(worker)

    def _open(self, worker: str) -> None:
        del self._reserved[worker]
        self._idle.extend([worker] * (self._room[worker] - len(self._tasks[worker])))


@final
class DaskExecutor:
    """Evaluates batches on the workers of a Dask scheduler.

    ``DaskExecutor(scheduler="tcp://127.0.0.1:8786")`` takes a cluster that is there, and ``slots`` follows the threads
    of its workers: none at first, hundreds later. ``DaskExecutor(jobs=2)`` starts two workers of its own, as processes.

    Args:
        scheduler: Address of a scheduler or path of its scheduler file; None: start one, with workers.
        jobs: Workers to start; without meaning where there is a scheduler.
        preload: A module that workers import before their first batch.
        note: Called with a line about the workers, once each: there are none yet, one is given no work, one died.

    Raises:
        MissingExtra: Dask is not installed.
        BadInput: No scheduler answers, or a worker has other versions than this process, or more BLAS threads.
        EvaluationFailure: This machine does not let a scheduler start.
    """

    def __init__(
        self,
        scheduler: str | None = None,
        *,
        jobs: int = 1,
        preload: str | None = None,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._note, self._noted = note, set[str]()
        self._cluster = OwnCluster(jobs) if scheduler is None else None
        self._least = jobs if scheduler is None else 0
        self.slots = self._least
        self._without_workers_since = time.monotonic()
        self._submissions: dict[int, Submission] = {}  # by the key of the batch
        self._tasks: dict[str, Submission] = {}  # by the key of the task: those at a worker
        self._waiting: deque[Submission] = deque()
        self._suspects: deque[Submission] = deque()  # waiting as well, and a worker died that had them
        self._workers = Workers()
        self._quarantined: set[str] = set()
        self._rounding = ""  # of the first worker that came
        self._closed = False
        self._events: list[Event] = []  # for the runner
        self._disconnected: str | None = None  # why, where that is known
        self._admitting = scheduler is not None  # a present worker that cannot be used is an error, a later one is not
        try:
            self._address = self._cluster.address if self._cluster is not None else str(scheduler)
            self._link = Link(connect(self._address), self, preload=preload, patience=1.5 * CONNECT_S)
        except BaseException:
            if self._cluster is not None:
                self._cluster.close(_JOIN_S, kill=True)
            raise
        if self._admitting:
            self._link.settle(CONNECT_S)
            self._link.deliver(0)
            self._admitting = False
            if not self.slots:
                self._note_once(
                    f"the Dask scheduler {self._address} has no workers yet; trials begin when the first one comes"
                )

    def _note_once(self, text: str, *, key: str | None = None) -> None:
        """Print a note about workers once for each key, however many workers it is about."""
        if (key or text) not in self._noted:
            self._noted.add(key or text)
            self._note(text)

    @property
    def free(self) -> int:
        return max(self.slots - len(self._submissions), 0)

    def load(self, objective: Evaluates) -> None:
        self._link.load(objective)
        self._link.send(list(self._workers))

    def expect(self, batches: int) -> None:
        """Tell an adaptive cluster how many workers the batches need."""
        if self._cluster is None:
            wanted = len(self._submissions) + batches if batches > self.free else 0
            self._link.ask_for_workers(wanted, there=self.slots)

    def submit(self, batch: Batch) -> None:
        submission = Submission(batch)
        self._submissions[batch.key] = submission
        self._waiting.append(submission)
        self._place()

    def wait(self, timeout: float) -> list[Event]:
        """Return the events since the last call; see `hpsearch.executors.base.Executor.wait`.

        Raises:
            EvaluationFailure: The connection to the scheduler is lost, or there will never be a worker.
        """
        if self._closed:
            return []
        self._link.deliver(timeout)
        self._place()
        events, self._events = self._events, []
        if not events:
            self._check()
        return events

    def _check(self) -> None:
        # Only where there are no events left: what came back before the end is recorded.
        if self._disconnected is not None:
            why = f" ({self._disconnected})" if self._disconnected else ""
            raise EvaluationFailure(
                f"the connection to the Dask scheduler {self._address} is lost{why}; what was recorded stays, and the "
                "same command goes on once there is a scheduler again"
            )
        if self._cluster is None:
            return
        if self._workers.threads:
            self._without_workers_since = time.monotonic()
        elif time.monotonic() - self._without_workers_since > _START_S:
            raise EvaluationFailure(
                f"none of {self._least} Dask workers has started in {_START_S:.0f} s; try {{}}", Argument("jobs", 1)
            )
        if self._workers.threads < self._least:
            self._cluster.restart_missing()

    def close(self, *, kill: bool = False) -> None:
        """Release all batches and disconnect; workers started here end, others stop at the end of an epoch."""
        if self._closed:
            return
        self._closed = True
        for submission in self._submissions.values():
            self._release(submission)
        self._submissions.clear()
        self._waiting.clear()
        self._suspects.clear()
        self._link.close(_JOIN_S)
        if self._cluster is not None:
            self._cluster.close(_JOIN_S, kill=kill)

    def quarantine(self, worker: str) -> bool:
        """Give a worker no further batches; those that are there go to others."""
        if worker not in self._workers or len(self._workers) == 1:
            return False
        threads = self._workers.threads
        self._quarantined.add(worker)
        self._leave(worker)
        self._least = max(self._least - (threads - self._workers.threads), 0)
        self.slots = max(self._least, self._workers.threads)
        return True

    def points(self, task: str, points: Sequence[tuple[int, int, float]]) -> None:
        if (submission := self._tasks.get(task)) is not None and (fresh := submission.fresh(points)):
            self._events.append(Progress(fresh))

    def back(self, task: str, event: bytes) -> None:
        if (submission := self._tasks.get(task)) is not None:
            self._release(submission)
            batch, worker = self._submissions.pop(submission.batch.key).batch, submission.worker
            self._events.append(replace(pickle.loads(event), batch=batch, worker=worker))

    def refused(self, worker: str, reason: str) -> None:
        if self._admitting:
            self.close(kill=True)
            raise BadInput(f"the Dask worker {worker} {reason}")
        self._note_once(f"the Dask worker {worker} {reason}. It is given no work")

    def left(self, worker: str, tasks: Collection[str], *, expected: bool) -> None:
        if not expected:
            self._note_once(f"the Dask worker {worker} died; its batches go to others", key="died")
        self._leave(worker, () if expected else tasks)
        if not self.slots:
            self._note_once(f"the Dask scheduler {self._address} has no workers any more; trials go on when one comes")

    def present(self, workers: Collection[str]) -> None:
        for worker in self._workers:
            if worker not in workers:
                self._leave(worker)

    def reconnected(self) -> None:
        self._note_once(f"the connection to the Dask scheduler {self._address} was restored; batches start again")
        for worker in self._workers:
            self._leave(worker)

    def disconnected(self, reason: str = "") -> None:
        self._disconnected = reason

    def joined(self, worker: str, threads: int, rounding: str) -> None:
        if worker in self._quarantined:  # after the connection was restored
            return
        if threads > 1:
            self._note_once(
                "Dask workers with several threads evaluate so many batches in one process, where they wait for each "
                "other; workers of one thread each are faster",
                key="threads",
            )
        if rounding != (self._rounding or rounding):
            self._note_once(
                f"the Dask worker {worker} has a processor of another kind than others: its results are as good, but "
                "not the same to the bit as they would be there",
                key="rounding",
            )
        self._rounding = self._rounding or rounding
        self._workers.add(worker, threads)
        self.slots = max(self._least, self._workers.threads)

    def _leave(self, worker: str, died_with: Collection[str] = ()) -> None:
        """Retry the tasks of a worker that is gone; some of them were under way when it died."""
        tasks = self._workers.remove(worker)
        self._link.resend(gone=worker)
        self.slots = max(self._least, self._workers.threads)
        for task in tasks:
            self.dropped(task, died=task in died_with)

    def dropped(self, task: str, *, died: bool) -> None:
        """Queue a batch for another worker, unless it has used up its attempts."""
        if (submission := self._tasks.get(task)) is None:
            return
        if died:
            submission.deaths.append(submission.worker)
        else:
            submission.returns += 1
        self._release(submission)
        if len(submission.deaths) < _DEATHS and submission.returns <= _MOST_RETURNS:
            (self._suspects if submission.deaths else self._waiting).append(submission)
            return
        del self._submissions[submission.batch.key]
        reason = f"its workers went away {submission.returns} times"
        if len(submission.deaths) >= _DEATHS:
            reason = f"its worker processes died ({', '.join(submission.deaths)})"
        self._events.append(Lost(submission.batch, reason))

    def _release(self, submission: Submission) -> None:
        """Detach a batch from its task, whose later reports are ignored."""
        if submission.key is None:
            return
        del self._tasks[submission.key]
        self._workers.end(submission.key, submission.worker)
        assert submission.future is not None
        submission.future.release()
        submission.key = submission.future = None

    def _place(self) -> None:
        """Assign batches to workers that have room; first those that must run alone."""
        while self._disconnected is None:
            if self._suspects and (empty := self._workers.empty()) is not None:
                waiting, worker = self._suspects, empty
            elif self._waiting and (idle := self._workers.with_room()) is not None:
                waiting, worker = self._waiting, idle
            else:
                return
            submission, key = waiting[0], f"hpsearch-{uuid.uuid4().hex}"
            future = self._link.submit(key, worker, submission.batch, workers=list(self._workers))
            if future is None:
                return
            waiting.popleft()
            submission.key, submission.worker, submission.future = key, worker, future
            self._tasks[key] = submission
            if submission.deaths:
                self._workers.begin_alone(key, worker)
            else:
                self._workers.begin(key, worker)
