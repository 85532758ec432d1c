"""Batches on Dask: workers of our own on this machine, or a cluster that is there, whose workers may come and go.

A batch is a task on one worker that has room for it, so nothing waits inside Dask: what a worker's death costs is the
batches that it was evaluating, and these alone are suspected of it. Such a batch goes to another worker, where it is
alone from then on; the one that has taken two down is `Lost`, and the runner splits it. A batch whose worker was sent
home, or whose data or connection was lost, goes to another worker without blame.

All of the executor's state belongs to the thread that calls it: what Dask reports arrives in a queue, as messages of
`hpsearch.executors.dask.messages`, and `DaskExecutor.wait` reads it.
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections import deque
from typing import TYPE_CHECKING, final

from hpsearch.errors import BadInput, EvaluationFailure
from hpsearch.executors.base import Batch, Done, Evaluates, Event, Lost, Progress
from hpsearch.executors.dask.cluster import CONNECT_S, OwnCluster, connect
from hpsearch.executors.dask.data import Data
from hpsearch.executors.dask.demand import Demand
from hpsearch.executors.dask.fleet import Fleet, Flight
from hpsearch.executors.dask.link import Link
from hpsearch.executors.dask.messages import (
    Back,
    Joined,
    Killed,
    Left,
    Mended,
    Message,
    Over,
    Points,
    Present,
    Refused,
    Returned,
    Sent,
    Unsent,
)
from hpsearch.executors.dask.notes import Notes

if TYPE_CHECKING:
    from collections.abc import Callable

_JOIN_S = 5.0
_START_S = 60.0
"""Workers of our own that are not up after so long do not start at all."""
_DEATHS, _MOST_RETURNS = 2, 10
"""A batch is given back over which so many workers have died, or that comes back more often for another's fault."""


@final
class DaskExecutor:
    """Evaluates batches on the workers of a Dask scheduler.

    ``DaskExecutor(scheduler="tcp://127.0.0.1:8786")`` takes a cluster that is there, and ``slots`` follows the threads
    of its workers: none at first, hundreds later. ``DaskExecutor(jobs=2)`` starts two workers of its own, as processes.

    Args:
        scheduler: Address of a scheduler or path of its scheduler file; None: start one, with workers.
        jobs: How many workers to start; without meaning where there is a scheduler.
        preload: A module that workers import before their first batch.
        note: Told what is worth saying, once: there are no workers yet, one that came is given no work, one died.

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
        self._notes = Notes(note)
        self._cluster = OwnCluster(jobs) if scheduler is None else None
        self._least = jobs if scheduler is None else 0
        self.slots = self._least
        self._alone_since = time.monotonic()  # workers of our own that is: there is none
        self._flights: dict[int, Flight] = {}  # by the key of the batch
        self._tasks: dict[str, Flight] = {}  # by the key of the task: those at a worker
        self._unplaced: deque[Flight] = deque()
        self._suspects: deque[Flight] = deque()  # unplaced as well, and a worker died that had them
        self._fleet = Fleet()
        self._rounding = ""  # how the first worker that came rounds
        self._closed = False
        self._over: Over | None = None
        try:
            self._address = self._cluster.address if self._cluster is not None else str(scheduler)
            topic = f"hpsearch-{uuid.uuid4().hex}"
            self._link = Link(connect(self._address), topic=topic, preload=preload, patience=1.5 * CONNECT_S)
        except BaseException:
            if self._cluster is not None:
                self._cluster.close(_JOIN_S, kill=True)
            raise
        self._data, self._demand = Data(self._link), Demand(self._link)
        if self._cluster is None:
            self._open_door()

    def _open_door(self) -> None:
        """See which workers there are; one that is there and cannot be used is a mistake to be mended first."""
        self._link.settle(CONNECT_S)
        for message in self._link.heard(0):
            if isinstance(message, Refused):
                self.close(kill=True)
                raise BadInput(f"the Dask worker {message.worker} {message.reason}")
            self._hear(message)
        if not self.slots:
            self._notes.no_workers(self._address)

    @property
    def free(self) -> int:
        """How many threads of workers have no batch."""
        return max(self.slots - len(self._flights), 0)

    def load(self, objective: Evaluates) -> None:
        """Send the objective with its data, once; workers get it from each other."""
        self._data.load(objective)
        self._data.at(list(self._fleet))

    def expect(self, batches: int) -> None:
        """Let a cluster that adapts to its work know how many workers would have some."""
        if self._cluster is None:
            self._demand.show(len(self._flights) + batches if batches > self.free else 0, there=self.slots)

    def submit(self, batch: Batch) -> None:
        """Hand a batch to a worker that has room; there is one, or one is about to be there."""
        flight = Flight(batch)
        self._flights[batch.key] = flight
        self._unplaced.append(flight)
        self._place()

    def wait(self, timeout: float) -> list[Event]:
        """What has come back; see `hpsearch.executors.base.Executor.wait`.

        Raises:
            EvaluationFailure: The connection to the scheduler is lost, or there will never be a worker.
        """
        if self._closed:
            return []
        events = [event for message in self._link.heard(timeout) for event in self._hear(message)]
        self._place()
        if not events:
            self._check()
        return events

    def _check(self) -> None:
        # Only where nothing is left to tell: what came back before the end is recorded.
        if self._over is not None:
            raise EvaluationFailure(
                f"the connection to the Dask scheduler {self._address} is lost{self._over.why}; what was recorded "
                "stays, and the same command goes on once there is a scheduler again"
            )
        if self._cluster is None:
            return
        if self._fleet.threads:
            self._alone_since = time.monotonic()
        elif time.monotonic() - self._alone_since > _START_S:
            raise EvaluationFailure(f"none of {self._least} Dask workers has started in {_START_S:.0f} s; try --jobs 1")
        if self._fleet.threads < self._least:
            self._cluster.tend()

    def close(self, *, kill: bool = False) -> None:
        """Let go of all batches and disconnect; workers of our own end, others stop at the end of an epoch."""
        if self._closed:
            return
        self._closed = True
        for flight in self._flights.values():
            self._take_back(flight)
        self._flights.clear()
        self._unplaced.clear()
        self._suspects.clear()
        self._demand.show(0, there=0)
        self._data.lost()
        self._link.close(_JOIN_S)
        if self._cluster is not None:
            self._cluster.close(_JOIN_S, kill=kill)

    def _hear(self, message: Message) -> list[Event]:
        """Take note of what was reported."""
        match message:
            case Points(key, points):
                fresh = flight.fresh(points) if (flight := self._tasks.get(key)) is not None else ()
                return [Progress(fresh)] if fresh else []
            case Back(key, reason, outcomes):
                if (flight := self._tasks.get(key)) is not None:
                    self._take_back(flight)
                    batch = self._flights.pop(flight.batch.key).batch
                    return [Done(batch, pickle.loads(outcomes)) if reason is None else Lost(batch, reason)]
            case Returned(key):
                self._data.lost()  # perhaps that is what was lost
                return self._again(self._tasks.get(key))
            case Killed(key):
                return self._again(self._tasks.get(key), died=True)
            case Joined(worker, threads, rounding):
                self._join(worker, threads, rounding)
            case Refused(worker, reason):
                self._notes.refused(worker, reason)
            case Left(worker, keys, expected):
                if not expected:
                    self._notes.died(worker)
                events = self._leave(worker, frozenset() if expected else keys)
                if not self.slots:
                    self._notes.no_workers_left(self._address)
                return events
            case Present(workers):
                gone = [worker for worker in self._fleet if worker not in workers]
                return [event for worker in gone for event in self._leave(worker, frozenset())]
            case Mended():
                self._notes.mended(self._address)
                self._data.lost()
                self._demand.lost()
                return [event for worker in self._fleet for event in self._leave(worker, frozenset())]
            case Sent(sending, future):
                self._data.sent(sending, future)
            case Unsent(sending, reason):
                self._data.unsent(sending, reason)
            case Over():
                self._over = message
        return []

    def _join(self, worker: str, threads: int, rounding: str) -> None:
        if threads > 1:
            self._notes.several_threads()
        if rounding != (self._rounding or rounding):
            self._notes.other_processor(worker)
        self._rounding = self._rounding or rounding
        self._fleet.join(worker, threads)
        self.slots = max(self._least, self._fleet.threads)

    def _leave(self, worker: str, guilty: frozenset[str]) -> list[Event]:
        """A worker is gone; of the tasks at it, these were under way when it died."""
        tasks = self._fleet.leave(worker)
        self._data.left(worker)
        self.slots = max(self._least, self._fleet.threads)
        return [event for key in tasks for event in self._again(self._tasks.get(key), died=key in guilty)]

    def _again(self, flight: Flight | None, *, died: bool = False) -> list[Event]:
        """Have another worker evaluate a batch, unless it has had its chances."""
        if flight is None:
            return []
        if died:
            flight.deaths.append(flight.worker)
        else:
            flight.returns += 1
        self._take_back(flight)
        if len(flight.deaths) < _DEATHS and flight.returns <= _MOST_RETURNS:
            (self._suspects if flight.deaths else self._unplaced).append(flight)
            return []
        del self._flights[flight.batch.key]
        if len(flight.deaths) < _DEATHS:
            return [Lost(flight.batch, f"its workers went away {flight.returns} times")]
        return [Lost(flight.batch, f"its worker processes died ({', '.join(flight.deaths)})")]

    def _take_back(self, flight: Flight) -> None:
        """Part a batch from its task; whatever is still reported of that goes unheard."""
        if flight.key is None:
            return
        del self._tasks[flight.key]
        self._fleet.end(flight.key, flight.worker)
        assert flight.future is not None
        flight.future.release()
        flight.key = flight.future = None

    def _place(self) -> None:
        """Give batches to workers that have room."""
        while not self._over and (found := self._next()) is not None:
            waiting, worker = found
            if (data := self._data.at(list(self._fleet))) is None:
                return
            flight, key = waiting[0], f"hpsearch-{uuid.uuid4().hex}"
            batch = pickle.dumps(flight.batch, protocol=pickle.HIGHEST_PROTOCOL)
            try:
                flight.future = self._link.submit(key, worker, data, self._data.token, batch)
            except Exception:
                if self._link.connected:
                    raise
                return  # the link reports what there is to report in a moment
            waiting.popleft()
            flight.key, flight.worker = key, worker
            self._tasks[key] = flight
            if flight.deaths:
                self._fleet.begin_alone(key, worker)
            else:
                self._fleet.begin(key, worker)

    def _next(self) -> tuple[deque[Flight], str] | None:
        """Where the batch waits that is next, and the worker that has room for it."""
        if self._suspects and (worker := self._fleet.empty()) is not None:
            return self._suspects, worker
        if self._unplaced and (worker := self._fleet.idle()) is not None:
            return self._unplaced, worker
        return None
