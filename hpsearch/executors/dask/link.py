"""The connection to a Dask scheduler: batches go out through it, and Dask's reports come in.

Dask's client has an event loop in a thread of its own. Every coroutine of this module runs there, and puts calls of the
receiver into a queue; everything else, the state of the objective and of placeholders included, belongs to the
executor's thread, which makes these calls.
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
from typing import TYPE_CHECKING, Any, Protocol

from distributed import Client, Future, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm import CommClosedError

from hpsearch import __version__
from hpsearch.errors import EvaluationFailure
from hpsearch.executors.base import Batch, Lost
from hpsearch.executors.dask.worker import BLAS_VARIABLES, evaluate, surroundings, versions
from hpsearch.text import reason

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence

    from hpsearch.executors.base import Evaluates

_GLANCE_S = 0.25  # seconds between two checks of the connection
_LOOK_S = 1.0  # seconds between two questions which workers there are; that one is gone is reported at once
_SEND_S = 300.0  # an objective that has not reached a worker by then is sent again, while running batches continue
_MOST_SENDINGS = 10  # failed attempts to send an objective
_NOWHERE = "hpsearch: on a worker to come"  # a resource that no worker has
# Dask assumes half a second for a task that it does not know, and wants a worker for each five seconds.
_PLACEHOLDERS_A_WORKER = 10
_MOST_PLACEHOLDERS = 1000  # each costs the scheduler memory; the batches under way count as well
_FIRST_WORKERS = 4  # are requested at first, then up to twice the present ones: it costs little where none come


class Receiver(Protocol):
    """The receiver of Dask's reports. `Link.deliver` calls it, in its caller's thread."""

    def points(self, task: str, points: Sequence[tuple[int, int, float]]) -> None:
        """Points of curves have come: number, step, value."""

    def back(self, task: str, event: bytes) -> None:
        """A task has ended with a `Done` or `Lost`, as `hpsearch.executors.dask.worker.evaluate` returns it."""

    def dropped(self, task: str, *, died: bool) -> None:
        """A task is gone: its worker died, or the objective or the connection was lost, or it was cancelled."""

    def joined(self, worker: str, threads: int, rounding: str) -> None:
        """A worker may be given ``threads`` batches at a time; results depend on how it rounds."""

    def refused(self, worker: str, reason: str) -> None:
        """A worker may not be given batches."""

    def left(self, worker: str, tasks: Collection[str], *, expected: bool) -> None:
        """A worker has been retired as ``expected``, or is dead with these tasks."""

    def present(self, workers: Collection[str]) -> None:
        """These are all workers."""

    def reconnected(self) -> None:
        """The connection was lost and is there again; the tasks under way are not."""

    def disconnected(self, reason: str = "") -> None:
        """The connection is lost for good."""


class Link:
    """A watched client, and the objective at its workers.

    Args:
        client: The client; it is closed with the link.
        receiver: Is told of reports.
        preload: A module that workers import as they come.
        patience: A scheduler that has given no answer for so many seconds is lost. The client gives up by itself where
            nobody takes its connection, not where that breaks again while it reconnects, nor where it stays open and
            silent.
    """

    def __init__(self, client: Client, receiver: Receiver, *, preload: str | None, patience: float) -> None:
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._client, self._receiver, self._preload, self._patience = client, receiver, preload, patience
        self._topic = f"hpsearch-{uuid.uuid4().hex}"  # under which workers report points of curves
        self._answer_s = patience / 3  # a scheduler may leave two questions unanswered
        self._versions = versions()
        self._known: dict[str, asyncio.Task[None]] = {}
        self._connection: object = client.scheduler_comm  # the last one that the receiver knows of
        self._objective, self._token = b"", ""  # pickled, and a name for it
        self._future: Future | None = None  # the objective at a worker
        self._sending, self._sending_to, self._in_vain = "", "", 0  # the attempt to send it that is under way
        self._placeholders: list[Future] = []
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._looked = asyncio.Event()
        self._watching = self._start(self._watch())

    def settle(self, within: float) -> None:
        """Wait until the workers that are there have been inspected, or the time is over."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(within)

    def deliver(self, timeout: float) -> None:
        """Make the calls that have come since the last time; wait up to so many seconds for the first one.

        Raises:
            EvaluationFailure: The objective does not get to any worker.
        """
        try:
            first = self._inbox.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return
        for call in (first, *(self._inbox.get_nowait() for _ in range(self._inbox.qsize()))):
            call()

    def _sent(self, sending: str, result: Future | str) -> None:
        """Record that the objective has reached a worker, or why it has not."""
        if sending != self._sending:
            return
        self._sending = ""
        if isinstance(result, Future):
            self._future, self._in_vain = result, 0
            return
        # No worker is there any more, say; the next attempt has other ones.
        self._in_vain += self.connected
        if self._in_vain >= _MOST_SENDINGS:
            raise EvaluationFailure(f"the data do not get to the Dask workers: {result}")

    def _dropped(self, task: str) -> None:
        self.resend()  # the objective may have been lost
        self._receiver.dropped(task, died=False)

    def _reconnected(self, connection: object) -> None:
        self._connection, self._placeholders = connection, []
        self.resend()
        self._receiver.reconnected()

    @property
    def connected(self) -> bool:
        """Return whether there is a scheduler to talk to, as far as is known.

        Not before the receiver knows of a new connection: a task sent earlier would count as lost with the old one, and
        run twice.
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
            self._sending_to = workers[self._in_vain % len(workers)]
            self._start(self._scatter(self._sending, self._objective, self._sending_to, _SEND_S))
        return None

    def resend(self, gone: str | None = None) -> None:
        """Send the objective anew, where it was lost, or the worker that it goes to is ``gone``."""
        if gone is None:
            self._future, self._sending = None, ""
        elif gone == self._sending_to:
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
                # otherwise the receiver is told of it in a moment
        while len(self._placeholders) > count:
            self._placeholders.pop().release()

    def submit(self, key: str, worker: str, batch: Batch, *, workers: Sequence[str]) -> Future | None:
        """Begin a batch as a task on a worker; reports of it have this key.

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
            return None  # the receiver is told of it in a moment
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
                self._put(self._receiver.disconnected, reason(error))

        started = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        started.add_done_callback(ended)
        return started

    def _put(self, call: Callable[..., None], *arguments: Any, **named: Any) -> None:
        self._inbox.put(partial(call, *arguments, **named))

    async def _follow(self, key: str, future: Future) -> None:
        try:
            self._put(self._receiver.back, key, await self._client.gather(future, asynchronous=True))
        except KilledWorker:
            self._put(self._receiver.dropped, key, died=True)
        except (FutureCancelledError, CommClosedError):
            self._put(self._dropped, key)
        except Exception as error:
            # An error that a worker raises about a batch is the batch's failure. One on the way here is not.
            if future.status == "error":
                self._put(self._receiver.back, key, pickle.dumps(Lost(Batch(0, ()), reason(error))))
            else:
                self._put(self._dropped, key)

    async def _scatter(self, sending: str, payload: bytes, worker: str, within: float) -> None:
        try:
            # Dask's own limit is for workers to be there at all.
            sent = self._client.scatter([payload], workers=[worker], hash=False, timeout=within, asynchronous=True)
            (future,) = await asyncio.wait_for(sent, within)
        except Exception as error:
            await asyncio.sleep(_GLANCE_S)  # reports of the workers come first
            self._put(self._sent, sending, reason(error))
        else:
            self._put(self._sent, sending, future)

    async def _watch(self) -> None:
        first, connection, look_at, passed = self._connection, None, 0.0, time.monotonic()
        silent = 0.0  # seconds; where this process was stopped for longer than a question takes, that does not count
        while self._client.status not in ("closing", "closed") and silent < self._patience:
            if self._client.status == "running" and self._client.scheduler_comm is not connection:
                connection, look_at = self._client.scheduler_comm, 0.0
                if connection is not first:
                    self._known.clear()
                    self._put(self._reconnected, connection)
                self._client.subscribe_topic(self._topic, self._receive_points)
            answered = False
            if self._client.status == "running" and (now := time.monotonic()) >= look_at:
                look_at = now + _LOOK_S
                answered = await self._look()
            await asyncio.sleep(_GLANCE_S)
            passed, before = time.monotonic(), passed
            silent = 0.0 if answered else silent + min(passed - before, self._answer_s + _GLANCE_S)
        self._put(self._receiver.disconnected)

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
        self._put(self._receiver.present, threads)
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
        if (reason := self._unfit(answer)) is not None:
            self._put(self._receiver.refused, worker, reason)
        else:
            self._put(self._receiver.joined, worker, threads, answer["rounding"])

    def _unfit(self, answer: Mapping[str, Any] | Exception) -> str | None:
        """Return why a worker would find other results than this process; None: it would not."""
        if isinstance(answer, ImportError | AttributeError):
            return f"has no hpsearch {__version__} ({answer}); install the same there"
        if isinstance(answer, Exception):
            return f"cannot evaluate trials ({reason(answer)})"
        for name, here in self._versions.items():
            if (there := answer["versions"].get(name)) != here:
                return f"has {name} {there}, and this process {here}; results would differ, so install the same there"
        if not answer["pinned"] and answer["process"] != (socket.gethostname(), os.getpid()):
            pins = " ".join(f"{name}=1" for name in BLAS_VARIABLES)
            return f"may use several BLAS threads, and results would differ; start it with a nanny, or with {pins}"
        return None

    def _receive_points(self, event: tuple[float, Any]) -> None:
        self._put(self._receiver.points, *event[1])

    def _receive_end(self, worker: str, event: tuple[float, Any]) -> None:
        what = event[1]
        if isinstance(what, dict) and what.get("action") == "remove-worker":
            self._known.pop(worker, None)
            self._put(self._receiver.left, worker, what["processing-tasks"], expected=what["expected"])
