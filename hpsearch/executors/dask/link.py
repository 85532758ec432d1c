"""The connection to a Dask scheduler: batches go out through it, and Dask's reports come in as messages in a queue.

Dask's client has an event loop in a thread of its own. Every coroutine of this module runs there; everything else, the
state of the objective and of placeholders included, belongs to the executor's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import queue
import socket
import time
import uuid
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from hpsearch import __version__
from hpsearch.errors import EvaluationFailure
from hpsearch.executors.dask.worker import BLAS_VARIABLES, evaluate, surroundings, versions

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Coroutine, Mapping, Sequence

    from hpsearch.executors.base import Batch, Evaluates

_GLANCE_S = 0.25
"""Seconds between two checks of the connection."""
_LOOK_S = 1.0
"""Seconds between two questions which workers there are. That a worker is gone is reported at once."""
_SEND_S = 300.0
"""Seconds after which an objective that has not reached a worker is sent again. Running batches continue."""
_MOST_SENDINGS = 10
"""The most failed attempts to send an objective."""
_NOWHERE = "hpsearch: on a worker to come"
"""A resource that no worker has."""
_PLACEHOLDERS_A_WORKER = 10
"""Dask assumes half a second for a task that it does not know, and wants a worker for each five seconds."""
_MOST_PLACEHOLDERS = 1000
"""Each costs the scheduler memory; the batches under way count as well."""
_FIRST_WORKERS = 4
"""The workers requested at first, then up to twice the present ones: it costs little where none come."""


class Points(NamedTuple):
    """Points of curves of a task: number, step, value."""

    key: str
    points: tuple[tuple[int, int, float], ...]


class Back(NamedTuple):
    """A finished task: with pickled outcomes, or with the reason why there are none."""

    key: str
    reason: str | None
    outcomes: bytes = b""


class Returned(NamedTuple):
    """A task that was dropped by no fault of its own: the objective or the connection was lost, or it was cancelled."""

    key: str


class Killed(NamedTuple):
    """A task that the scheduler dropped, because its worker died."""

    key: str


class Joined(NamedTuple):
    """A worker that may be given ``threads`` batches at a time, and the fingerprint of its rounding."""

    worker: str
    threads: int
    rounding: str


class Refused(NamedTuple):
    """A worker that may not be given batches, and why."""

    worker: str
    reason: str


class Left(NamedTuple):
    """A worker that is gone: retired as expected, or dead, with the tasks that it had then."""

    worker: str
    keys: frozenset[str]
    expected: bool


class Present(NamedTuple):
    """All workers that there are."""

    workers: frozenset[str]


class Reconnected(NamedTuple):
    """The connection was lost and is there again, as ``connection``. The tasks under way are not."""

    connection: object


class Sent(NamedTuple):
    """An objective that has reached a worker."""

    sending: str
    future: Future


class Unsent(NamedTuple):
    """An objective that did not reach a worker, and why."""

    sending: str
    reason: str


class Disconnected(NamedTuple):
    """The connection is lost for good, and why, where that is known."""

    reason: str = ""


Message: TypeAlias = (
    Points | Back | Returned | Killed | Joined | Refused | Left | Present | Reconnected | Sent | Unsent | Disconnected
)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class Link:
    """A watched client, and the objective at its workers.

    Args:
        client: The client; it is closed with the link.
        topic: The topic under which workers report points of curves.
        preload: A module that workers import as they come.
        patience: A scheduler that has given no answer for so many seconds is lost. The client gives up by itself where
            nobody takes its connection, not where that breaks again while it reconnects, nor where it stays open and
            silent.
    """

    def __init__(self, client: Client, *, topic: str, preload: str | None, patience: float) -> None:
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._client, self._topic, self._preload, self._patience = client, topic, preload, patience
        self._answer_s = patience / 3  # a scheduler may leave two questions unanswered
        self._versions = versions()
        self._known: dict[str, asyncio.Task[None]] = {}
        self._connection: object = client.scheduler_comm  # the last one that `messages` has returned
        self._objective, self._token = b"", ""  # pickled, and a name for it
        self._future: Future | None = None  # the objective at a worker
        self._sending, self._receiver, self._in_vain = "", "", 0  # the attempt to send it that is under way
        self._placeholders: list[Future] = []
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._looked = asyncio.Event()
        self._watching = self._start(self._watch())

    def settle(self, within: float) -> None:
        """Wait until the workers that are there have been inspected, or the time is over."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(within)

    def messages(self, timeout: float) -> list[Message]:
        """Return the messages since the last call; waits up to so many seconds for the first one."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait())
            while True:
                messages.append(self._inbox.get_nowait())
        for message in messages:
            if isinstance(message, Reconnected):
                self._connection = message.connection
        return messages

    def follow(self, message: Message) -> None:
        """Record a message about the objective, or one that changes where it is.

        Raises:
            EvaluationFailure: The objective does not get to any worker.
        """
        match message:
            case Reconnected():
                self._placeholders = []
                self.resend()
            case Returned():
                self.resend()  # the objective may have been lost
            case Sent(sending, future) if sending == self._sending:
                self._future, self._sending, self._in_vain = future, "", 0
            case Unsent(sending, reason) if sending == self._sending:
                # No worker is there any more, say; the next attempt has other ones.
                self._sending = ""
                self._in_vain += self.connected
                if self._in_vain >= _MOST_SENDINGS:
                    raise EvaluationFailure(f"the data do not get to the Dask workers: {reason}")

    @property
    def connected(self) -> bool:
        """Return whether there is a scheduler to talk to, as far as is known.

        Not before `messages` has returned a new connection: a task sent earlier would count as lost with the old one,
        and run twice.
        """
        return self._client.status == "running" and self._client.scheduler_comm is self._connection

    def load(self, objective: Evaluates) -> None:
        """Set another objective from now on."""
        self._objective, self._token = pickle.dumps(objective, protocol=pickle.HIGHEST_PROTOCOL), uuid.uuid4().hex
        self._in_vain = 0
        self.resend()

    def send(self, workers: Sequence[str]) -> Future | None:
        """Return the objective with its data, of use to all workers; None while it is sent to one of them.

        The others get it from there, or from each other, with their first batch. Asked to send it to all, a Dask
        scheduler retries without end if one of them dies meanwhile.
        """
        if self._future is not None and self._future.status == "finished":
            return self._future
        self._future = None
        if workers and self._token and not self._sending and self.connected:
            self._sending = uuid.uuid4().hex
            self._receiver = workers[self._in_vain % len(workers)]
            self._start(self._scatter(self._sending, self._objective, self._receiver, _SEND_S))
        return None

    def resend(self, gone: str | None = None) -> None:
        """Send the objective anew, where it was lost, or the worker that it goes to is ``gone``."""
        if gone is None:
            self._future, self._sending = None, ""
        elif gone == self._receiver:
            self._sending = ""

    def ask_for_workers(self, wanted: int, *, there: int) -> None:
        """Let a cluster that adapts to its work (`cluster.adapt()`) know that there is work for more workers.

        Batches wait at the runner, not at the scheduler, because whoever has claimed a batch keeps others from it. So
        the scheduler is given tasks that no worker can run, which it counts among the work that is waiting.

        Args:
            wanted: The workers that would have work, those that have some among them; 0: no more than are busy.
            there: The workers there are.
        """
        count = min(_PLACEHOLDERS_A_WORKER * min(wanted, max(2 * there, _FIRST_WORKERS)), _MOST_PLACEHOLDERS)
        more = count - len(self._placeholders)
        if more > 0 and self.connected:
            names = [f"hpsearch_needs_workers-{uuid.uuid4().hex}" for _ in range(more)]
            try:
                self._placeholders += self._client.map(abs, range(more), key=names, resources={_NOWHERE: 1}, pure=False)
            except Exception:
                if self.connected:
                    raise
                # otherwise a message tells of it in a moment
        while len(self._placeholders) > count:
            self._placeholders.pop().release()

    def submit(self, key: str, worker: str, batch: Batch, *, workers: Sequence[str]) -> Future | None:
        """Begin a batch as a task on a worker; messages tell of it under this key.

        Returns:
            The task; None where the objective has first to be sent to one of ``workers``, or the connection is lost.
        """
        if (objective := self.send(workers)) is None:
            return None
        pickled = pickle.dumps(batch, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Sending large graph")  # trials that go on bring their weights along
                future: Future = self._client.submit(
                    evaluate,
                    objective,
                    self._token,
                    pickled,
                    self._topic,
                    key=key,
                    workers=[worker],
                    allow_other_workers=False,
                    retries=0,
                    pure=False,
                )
        except Exception:
            if self.connected:
                raise
            return None  # a message tells of it in a moment
        self._start(self._follow(key, future))
        return future

    def close(self, within: float) -> None:
        """Let go of everything and disconnect."""
        while self._placeholders:
            self._placeholders.pop().release()
        self.resend()
        self._watching.cancel()
        try:
            self._client.close(timeout=within)
        except Exception:  # the scheduler is gone, and the client with it
            self._client.status = "closed"  # or it would try again when it is collected, and say so

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Run it on the client's loop. An error in it ends the run, which would wait for ever otherwise."""

        def ended(future: concurrent.futures.Future[None]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                self._inbox.put(Disconnected(_one_line(error)))

        started = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        started.add_done_callback(ended)
        return started

    async def _follow(self, key: str, future: Future) -> None:
        message: Message
        try:
            reason, outcomes = await self._client.gather(future, asynchronous=True)
            message = Back(key, reason, outcomes)
        except KilledWorker:
            message = Killed(key)
        except (FutureCancelledError, CommClosedError):
            message = Returned(key)
        except Exception as error:
            # An error that a worker raises about a batch is the batch's failure. One on the way here is not.
            message = Back(key, _one_line(error)) if future.status == "error" else Returned(key)
        self._inbox.put(message)

    async def _scatter(self, sending: str, payload: bytes, worker: str, within: float) -> None:
        try:
            # Dask's own limit is for workers to be there at all.
            sent = self._client.scatter([payload], workers=[worker], hash=False, timeout=within, asynchronous=True)
            (future,) = await asyncio.wait_for(sent, within)
        except Exception as error:
            await asyncio.sleep(_GLANCE_S)  # messages about the workers come first
            self._inbox.put(Unsent(sending, _one_line(error)))
        else:
            self._inbox.put(Sent(sending, future))

    async def _watch(self) -> None:
        first, connection, look_at, passed = self._connection, None, 0.0, time.monotonic()
        silent = 0.0  # seconds; where this process was stopped for longer than a question takes, that does not count
        while self._client.status not in ("closing", "closed") and silent < self._patience:
            if self._client.status == "running" and self._client.scheduler_comm is not connection:
                connection, look_at = self._client.scheduler_comm, 0.0
                if connection is not first:
                    self._known.clear()
                    self._inbox.put(Reconnected(connection))
                self._client.subscribe_topic(self._topic, self._receive_points)
            answered = False
            if self._client.status == "running" and (now := time.monotonic()) >= look_at:
                look_at = now + _LOOK_S
                answered = await self._look()
            await asyncio.sleep(_GLANCE_S)
            passed, before = time.monotonic(), passed
            silent = 0.0 if answered else silent + min(passed - before, self._answer_s + _GLANCE_S)
        self._inbox.put(Disconnected())

    async def _look(self) -> bool:
        """Ask which workers there are; return whether there was an answer."""
        try:
            threads = await asyncio.wait_for(self._client.scheduler.ncores(workers=None), self._answer_s)
        except OSError:  # a time that is over is one, too
            return False
        finally:
            self._looked.set()
        for worker in [worker for worker in self._known if worker not in threads]:
            del self._known[worker]
        self._inbox.put(Present(frozenset(threads)))
        for worker, count in threads.items():
            if worker not in self._known:
                # Dask reports a worker's end under its address. (Under "all", too, with what cannot be sent.)
                self._client.subscribe_topic(worker, partial(self._receive_end, worker))
                self._known[worker] = asyncio.create_task(self._inspect(worker, count))
        return True

    async def _settle(self) -> None:
        await self._looked.wait()
        await asyncio.gather(*self._known.values())

    async def _ask(self, worker: str) -> Any:
        """Return a worker's `surroundings`, or the error that it raised."""
        answers = await self._client.run(surroundings, self._preload, workers=[worker], on_error="return")
        return answers.get(worker, OSError())

    async def _inspect(self, worker: str, threads: int) -> None:
        """Find out whether a worker may be given batches; once, when it comes."""
        try:
            answer = await self._ask(worker)
        except Exception as error:
            answer = error
        if worker not in self._known:  # gone meanwhile
            return
        if isinstance(answer, OSError):  # ask again at the next check
            del self._known[worker]
            return
        reason = self._unfit(answer)
        self._inbox.put(Refused(worker, reason) if reason else Joined(worker, threads, answer["rounding"]))

    def _unfit(self, answer: Mapping[str, Any] | Exception) -> str | None:
        """Return why a worker would find other results than this process; None: it would not."""
        if isinstance(answer, ImportError | AttributeError):
            return f"has no hpsearch {__version__} ({answer}); install the same there"
        if isinstance(answer, Exception):
            return f"cannot evaluate trials ({_one_line(answer)})"
        for name, here in self._versions.items():
            if (there := answer["versions"].get(name)) != here:
                return f"has {name} {there}, and this process {here}; results would differ, so install the same there"
        if not answer["pinned"] and answer["process"] != (socket.gethostname(), os.getpid()):
            pins = " ".join(f"{name}=1" for name in BLAS_VARIABLES)
            return f"may use several BLAS threads, and results would differ; start it with a nanny, or with {pins}"
        return None

    def _receive_points(self, event: tuple[float, Any]) -> None:
        key, points = event[1]
        self._inbox.put(Points(key, tuple((number, step, value) for number, step, value in points)))

    def _receive_end(self, worker: str, event: tuple[float, Any]) -> None:
        what = event[1]
        if isinstance(what, dict) and what.get("action") == "remove-worker":
            self._known.pop(worker, None)
            self._inbox.put(Left(worker, frozenset(what["processing-tasks"]), what["expected"]))
