"""The connection to a Dask scheduler: batches go out through it, and what Dask reports comes in as messages in a queue.

Dask's client has an event loop in a thread of its own. Everything in this module that is a coroutine runs there, and
the executor reads the queue in its own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import socket
import time
import uuid
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from hpsearch import __version__
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
from hpsearch.executors.dask.worker import BLAS_VARIABLES, evaluate, surroundings, versions

if TYPE_CHECKING:
    import concurrent.futures
    from collections.abc import Coroutine, Mapping

    from distributed import Client, Future

_GLANCE_S = 0.25
"""How often the connection is looked at."""
_LOOK_S = 1.0
"""How often it is asked which workers there are. That a worker is gone is reported at once."""
_NOWHERE = "hpsearch: on a worker to come"
"""A resource that no worker has."""


def one_line(error: BaseException) -> str:
    """What an error says, and its kind."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class Link:
    """A client, watched.

    Args:
        client: The client; it is closed with the link.
        topic: Under which workers report points of curves.
        preload: A module that workers import as they come.
        patience: A scheduler that has given no answer for so many seconds is lost. The client gives up by itself where
            nobody takes its connection, not where that breaks again while it is mended, nor where it stays open and
            silent.
    """

    def __init__(self, client: Client, *, topic: str, preload: str | None, patience: float) -> None:
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._client, self._topic, self._preload, self._patience = client, topic, preload, patience
        self._answer_s = patience / 3  # a scheduler may leave two questions unanswered
        self._versions = versions()
        self._known: dict[str, asyncio.Task[None]] = {}
        self._settled: object = client.scheduler_comm
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._looked = asyncio.Event()
        self._watching = self._begin(self._watch())

    def settle(self, within: float) -> None:
        """Wait until the workers that are there have been looked at, or the time is over."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(within)

    def heard(self, timeout: float) -> list[Message]:
        """What has been reported; waits up to so many seconds for the first message."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait())
            while True:
                messages.append(self._inbox.get_nowait())
        for message in messages:
            if isinstance(message, Mended):
                self._settled = message.connection
        return messages

    @property
    def connected(self) -> bool:
        """Whether there is a scheduler to talk to, as far as is known.

        Not before it has been heard that a new connection is there: what goes out earlier would be taken for lost with
        the old one, and be done twice.
        """
        return self._client.status == "running" and self._client.scheduler_comm is self._settled

    def scatter(self, sending: str, payload: bytes, worker: str, within: float) -> None:
        """Begin to send bytes to a worker, from which others get them when they need them; `Sent` or `Unsent` is heard.

        Args:
            sending: What it is heard under.
            payload: The bytes.
            worker: Its address.
            within: After so many seconds it is given up.
        """
        self._begin(self._scatter(sending, payload, worker, within))

    def show(self, count: int) -> list[Future]:
        """Show the scheduler so many more tasks that no worker can run (`hpsearch.executors.dask.demand`)."""
        if not self.connected:
            return []
        names = [f"hpsearch_needs_workers-{uuid.uuid4().hex}" for _ in range(count)]
        try:
            return list(self._client.map(abs, range(count), key=names, resources={_NOWHERE: 1}, pure=False))
        except Exception:
            if self.connected:
                raise
            return []  # the link reports what there is to report in a moment

    def submit(self, key: str, worker: str, objective: Future, token: str, batch: bytes) -> Future:
        """Begin a batch as a task on a worker; what comes of it is heard under this key."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # trials that go on bring their weights along
            future = self._client.submit(
                evaluate,
                objective,
                token,
                batch,
                self._topic,
                key=key,
                workers=[worker],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )
        self._begin(self._follow(key, future))
        return future

    def close(self, within: float) -> None:
        """Let go of everything and disconnect."""
        self._watching.cancel()
        try:
            self._client.close(timeout=within)
        except Exception:  # the scheduler is gone, and the client with it
            self._client.status = "closed"  # or it would try again when it is collected, and say so

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> concurrent.futures.Future[None]:
        """Run it on the client's loop. The run ends where it raises, and says so: it would wait for ever otherwise."""

        def ended(future: concurrent.futures.Future[None]) -> None:
            if not future.cancelled() and (error := future.exception()) is not None:
                self._inbox.put(Over(one_line(error)))

        begun = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        begun.add_done_callback(ended)
        return begun

    async def _follow(self, key: str, future: Future) -> None:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError

        message: Message
        try:
            reason, outcomes = await self._client.gather(future, asynchronous=True)
            message = Back(key, reason, outcomes)
        except KilledWorker:
            message = Killed(key)
        except (FutureCancelledError, CommClosedError):
            message = Returned(key)
        except Exception as error:
            # Whatever a worker raises about a batch is the batch's failure. What comes up on the way here is not.
            message = Back(key, one_line(error)) if future.status == "error" else Returned(key)
        self._inbox.put(message)

    async def _scatter(self, sending: str, payload: bytes, worker: str, within: float) -> None:
        try:
            # Dask's own limit is for workers to be there at all.
            sent = self._client.scatter([payload], workers=[worker], hash=False, timeout=within, asynchronous=True)
            (future,) = await asyncio.wait_for(sent, within)
        except Exception as error:
            await asyncio.sleep(_GLANCE_S)  # what has happened to the workers is heard first
            self._inbox.put(Unsent(sending, one_line(error)))
        else:
            self._inbox.put(Sent(sending, future))

    async def _watch(self) -> None:
        first, connection, look_at, passed = self._settled, None, 0.0, time.monotonic()
        silent = 0.0  # seconds; where this process was stopped for longer than a question takes, that does not count
        while self._client.status not in ("closing", "closed") and silent < self._patience:
            if self._client.status == "running" and self._client.scheduler_comm is not connection:
                connection, look_at = self._client.scheduler_comm, 0.0
                if connection is not first:
                    self._known.clear()
                    self._inbox.put(Mended(connection))
                self._client.subscribe_topic(self._topic, self._hear_points)
            answered = False
            if self._client.status == "running" and (now := time.monotonic()) >= look_at:
                look_at = now + _LOOK_S
                answered = await self._look()
            await asyncio.sleep(_GLANCE_S)
            passed, before = time.monotonic(), passed
            silent = 0.0 if answered else silent + min(passed - before, self._answer_s + _GLANCE_S)
        self._inbox.put(Over())

    async def _look(self) -> bool:
        """Ask which workers there are; whether there was an answer."""
        try:
            threads = await asyncio.wait_for(self._client.scheduler.ncores(workers=None), self._answer_s)
        except OSError:  # a time that is over is one, too
            return False
        finally:
            self._looked.set()
        for worker in [one for one in self._known if one not in threads]:
            del self._known[worker]
        self._inbox.put(Present(frozenset(threads)))
        for worker, count in threads.items():
            if worker not in self._known:
                # Dask reports a worker's end under its address. (Under "all", too, with what cannot be sent.)
                self._client.subscribe_topic(worker, partial(self._hear_worker, worker))
                self._known[worker] = asyncio.create_task(self._inspect(worker, count))
        return True

    async def _settle(self) -> None:
        await self._looked.wait()
        await asyncio.gather(*self._known.values())

    async def _inspect(self, worker: str, threads: int) -> None:
        """Whether a worker may be given batches; asked once, when it comes."""
        seen: Any = OSError()
        try:
            answers = await self._client.run(surroundings, self._preload, workers=[worker], on_error="return")
            seen = answers.get(worker, seen)
            reason = None if isinstance(seen, OSError) else self._unfit(seen)
        except Exception as error:
            seen = error
            reason = None if isinstance(error, OSError) else self._unfit(error)
        if worker not in self._known:  # gone meanwhile
            return
        if isinstance(seen, OSError):  # ask again at the next look
            del self._known[worker]
            return
        self._inbox.put(Joined(worker, threads, seen["rounding"]) if reason is None else Refused(worker, reason))

    def _unfit(self, seen: Mapping[str, Any] | Exception) -> str | None:
        if isinstance(seen, ImportError | AttributeError):
            return f"has no hpsearch {__version__} ({seen}); install the same there"
        if isinstance(seen, Exception):
            return f"cannot evaluate trials ({one_line(seen)})"
        for name, here in self._versions.items():
            if (there := seen["versions"].get(name)) != here:
                return f"has {name} {there}, and this process {here}; results would differ, so install the same there"
        if not seen["pinned"] and seen["process"] != (socket.gethostname(), os.getpid()):
            pins = " ".join(f"{name}=1" for name in BLAS_VARIABLES)
            return f"may use several BLAS threads, and results would differ; start it with a nanny, or with {pins}"
        return None

    def _hear_points(self, event: tuple[float, Any]) -> None:
        key, points = event[1]
        self._inbox.put(Points(key, tuple((number, step, value) for number, step, value in points)))

    def _hear_worker(self, worker: str, event: tuple[float, Any]) -> None:
        what = event[1]
        if isinstance(what, dict) and what.get("action") == "remove-worker":
            self._known.pop(worker, None)
            self._inbox.put(Left(worker, frozenset(what["processing-tasks"]), what["expected"]))
